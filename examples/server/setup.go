package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
	"github.com/gousers/users/password"
)

const demoKey = "demo"

// setup is what the server starts with.
type setup struct {
	tokens []httpapi.BearerToken
	shown  grant // of the application that is printed
	made   bool  // the shown token is the server's own, and may be printed
}

// setUp makes the applications and roles of the flags unless they are there,
// and says whose the tokens are. Without -application there is one called demo.
func setUp(ctx context.Context, svc *users.Service, cfg *config) (*setup, error) {
	admins := cfg.admins
	if len(admins) == 0 {
		admins = []grant{{demoKey, password.New(rand.Text())}}
	}
	s := &setup{shown: admins[0], made: len(cfg.admins) == 0}
	add := func(g grant, id string, allow users.Permissions) error {
		if err := ensureApplication(ctx, svc, g.apiKey); err != nil {
			return err
		}
		s.tokens = append(s.tokens, httpapi.BearerToken{
			Secret: g.token,
			Caller: users.Caller{ID: id, APIKey: g.apiKey, Permissions: allow},
		})
		return nil
	}
	for _, g := range admins {
		id := callerID("admin", g.token)
		if s.made {
			id = "admin" // whoever starts the demo, whatever the token then is
		}
		if err := add(g, id, users.AllPermissions); err != nil {
			return nil, err
		}
	}
	for _, g := range cfg.limited {
		if err := add(g, callerID("limited", g.token), users.CreateUsers); err != nil {
			return nil, err
		}
	}
	for _, r := range cfg.roles {
		if err := ensureApplication(ctx, svc, r.apiKey); err != nil {
			return nil, err
		}
		// Taken already, perhaps by a process that started beside this one: fine.
		if _, err := svc.CreateRole(ctx, r.apiKey, users.Role{Name: r.name}); err != nil && !errors.Is(err, users.ErrConflict) {
			return nil, fmt.Errorf("role %q of %q: %w", r.name, r.apiKey, err)
		}
	}
	return s, nil
}

// callerID returns the id of the caller who holds token. It is stored with what
// the caller creates, so it comes from the token alone: a place among the flags
// would hand the users of a token that is revoked to the next one. Half of a
// SHA-256 sum does not tell the token, as long as nobody can guess that.
func callerID(kind string, token password.Secret) string {
	sum := sha256.Sum256([]byte(token.Reveal()))
	return fmt.Sprintf("%s-%x", kind, sum[:16])
}

func ensureApplication(ctx context.Context, svc *users.Service, apiKey string) error {
	_, err := svc.CreateApplication(ctx, users.Application{APIKey: apiKey, Name: apiKey})
	if err != nil && !errors.Is(err, users.ErrConflict) {
		return fmt.Errorf("application %q: %w", apiKey, err)
	}
	return nil
}

// print says where the server listens and shows a command that makes a user.
// The name is random, so that the command works again after the next start. Of a
// token that was given, it shows the shell variable TOKEN: what is printed
// often ends in a log.
func (s *setup) print(w io.Writer, url string, cfg *config) {
	token, paste, quote := s.shown.token.Reveal(), "Paste this", "'"
	if !s.made {
		token, paste, quote = "$TOKEN", "Set TOKEN to the token of "+s.shown.apiKey+" and paste this", `"`
	}
	name := "jane-" + strings.ToLower(rand.Text()[:8])
	body := fmt.Sprintf(`{"userName":%q,"email":%q,"password":%q,"confirmPassword":%q}`,
		name, name+"@example.com", demoPassword, demoPassword)
	fmt.Fprintf(w, `listening on %s
application  %s
token        %s
%[8]s
%[4]s to create a user:

curl -i -X POST %[1]s%[6]s/%[2]s/users -H %[7]sAuthorization: Bearer %[3]s%[7]s -H 'Content-Type: application/json' -d '%[5]s'

`, url, s.shown.apiKey, token, paste, body, prefix, quote, s.interop(cfg))
}

// interop is the line that says for whom -interop is.
func (s *setup) interop(cfg *config) string {
	if !cfg.interop {
		return ""
	}
	from := "no pages of other origins"
	if len(cfg.origins) > 0 {
		from = "pages of " + strings.Join(cfg.origins, ", ")
	}
	return "interop      published clients, " + from + "; users sign in at " + prefix + "/" + s.shown.apiKey + "/login\n"
}

const demoPassword = "violet harbour 47 crumpets"
