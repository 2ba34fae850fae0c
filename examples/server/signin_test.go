package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
)

// Who signs in reads itself and changes its own password, and nothing else.
func TestAUserSignsInAndChangesItsPassword(t *testing.T) {
	t.Parallel()
	const origin = "http://app.example.test:5173"
	p := start(t, t.TempDir(), "-db", "memory:", "-addr", "127.0.0.1:0", "-interop", "-origin", origin)
	if want := "interop      published clients, pages of " + origin + "; users sign in at /v1/" + p.apiKey + "/login\n"; !strings.Contains(p.stdout.String(), want) {
		t.Errorf("got %s, want the line %s", p.stdout, want)
	}
	users := "/v1/" + p.apiKey + "/users"
	p.admin().send(t, "POST", users, user("ann", "")).want(t, 201)
	p.admin().send(t, "POST", users, user("bob", "")).want(t, 201)
	signIn := func(password string) answer {
		form := url.Values{"grant_type": {"password"}, "username": {"ann"}, "password": {password}}
		return p.as("").send(t, "POST", "/v1/"+p.apiKey+"/login", form.Encode(),
			"Content-Type", "application/x-www-form-urlencoded", "Origin", origin)
	}
	signIn("wrong").want(t, 400)
	in := signIn(demoPassword).want(t, 201)
	if got := in.header.Get("Access-Control-Allow-Origin"); got != origin {
		t.Errorf("got %q, want the origin let in", got)
	}
	ann := p.as(in.members["access_token"].(string))
	id := p.admin().get(t, users+"/ann").want(t, 200).members["id"].(string)
	if got := ann.get(t, users+"/"+id).want(t, 200).members["userName"]; got != "ann" {
		t.Errorf("got %v, want ann", got)
	}
	for _, path := range []string{"/bob", "", "/ann/exists"} {
		ann.get(t, users+path).want(t, 403)
	}
	ann.send(t, "PUT", users+"/ann", `{"name":"x"}`).want(t, 403)
	const next = "seven brass kettles over 9 moors"
	ann.send(t, "PUT", users+"/ann/change-password", `{"newPassword":"`+next+`","oldPassword":"wrong"}`).want(t, 400)
	ann.send(t, "PUT", users+"/bob/change-password", `{"newPassword":"`+next+`","oldPassword":"`+demoPassword+`"}`).want(t, 403)
	ann.send(t, "PUT", users+"/ann/change-password", `{"newPassword":"`+next+`","oldPassword":"`+demoPassword+`"}`).want(t, 200)
	ann.get(t, users+"/"+id).want(t, 401)
	signIn(demoPassword).want(t, 400)
	ann = p.as(signIn(next).want(t, 201).members["access_token"].(string))
	ann.get(t, users+"/"+id).want(t, 200)
	p.admin().send(t, "PUT", users+"/ann/lock", "").want(t, 204)
	ann.get(t, users+"/"+id).want(t, 401)
	p.as("made-up").get(t, users+"/ann").want(t, 401)
}

// Whoever looks after the server sees that somebody guesses.
func TestLocksAreLogged(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-db", "memory:", "-addr", "127.0.0.1:0", "-interop")
	p.admin().send(t, "POST", "/v1/"+p.apiKey+"/users", user("ann", "")).want(t, 201)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			form := url.Values{"grant_type": {"password"}, "username": {"ann"}, "password": {"wrong"}}
			p.as("").send(t, "POST", "/v1/"+p.apiKey+"/login", form.Encode(), "Content-Type", "application/x-www-form-urlencoded").want(t, 400)
		})
	}
	all.Wait()
	p.stderr.await(t, "too many failed sign-ins.* failures=10 locked_for=1m0s")
	if n := strings.Count(p.stderr.String(), "too many failed sign-ins"); n != 1 {
		t.Errorf("got %d lines of one lock: %s", n, p.stderr)
	}
}

// anyone finds every user, at this version.
func anyone(version int64) func(context.Context, string, string) (*users.User, error) {
	return func(_ context.Context, _, id string) (*users.User, error) {
		return &users.User{ID: id, Version: version}, nil
	}
}

// A session of a user that is gone, or was changed, is none. A store that is down is no
// bad token: at that a client would drop a good one.
func TestSessionsEndWithWhatTheyAreFor(t *testing.T) {
	t.Parallel()
	for why, c := range map[string]struct {
		user func(context.Context, string, string) (*users.User, error)
		want error
	}{
		"the same user":        {anyone(1), nil},
		"changed":              {anyone(2), httpapi.ErrInvalidToken},
		"deleted":              {func(context.Context, string, string) (*users.User, error) { return nil, users.ErrNotFound }, httpapi.ErrInvalidToken},
		"a store that is down": {func(context.Context, string, string) (*users.User, error) { return nil, users.ErrUnavailable }, users.ErrUnavailable},
	} {
		s := newSessions(c.user)
		token, err := s.signIn(t.Context(), "demo", users.User{ID: "1", Version: 1})
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), "GET", "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token.Secret.Reveal())
		if _, err := s.beside(httpapi.BearerTokens())(r, "demo"); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", why, err, c.want)
		}
	}
}

func TestSessionsAreFewAndOfOneApplication(t *testing.T) {
	t.Parallel()
	s := newSessions(anyone(1))
	in := s.beside(httpapi.BearerTokens())
	caller := func(token, apiKey string) error {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		_, err = in(r, apiKey)
		return err
	}
	first, err := s.signIn(t.Context(), "demo", users.User{ID: "1", Version: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := caller(first.Secret.Reveal(), "demo"); err != nil {
		t.Errorf("got %v, want it let in", err)
	}
	if err := caller(first.Secret.Reveal(), "other"); err != httpapi.ErrInvalidToken {
		t.Errorf("another application: got %v", err)
	}
	others := 0
	another := func() {
		t.Helper()
		others++
		if _, err := s.signIn(t.Context(), "demo", users.User{ID: fmt.Sprint("other", others), Version: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for range maxSessions - 1 {
		another()
	}
	if err := caller(first.Secret.Reveal(), "demo"); err != nil || len(s.live) != maxSessions {
		t.Errorf("got %v and %d sessions, want all let in", err, len(s.live))
	}
	another()
	if len(s.live) != maxSessions {
		t.Errorf("got %d sessions, want %d", len(s.live), maxSessions)
	}
	if err := caller(first.Secret.Reveal(), "demo"); err != httpapi.ErrInvalidToken {
		t.Errorf("got %v, want the oldest ended", err)
	}
}

func TestAUserHasFewSessionsAndEndsNobodyElses(t *testing.T) {
	t.Parallel()
	s := newSessions(anyone(1))
	signIn := func(id string) string {
		token, err := s.signIn(t.Context(), "demo", users.User{ID: id, Version: 1})
		if err != nil {
			t.Fatal(err)
		}
		return token.Secret.Reveal()
	}
	other := signIn("1")
	var own []string
	for range maxOwnSessions + 1 {
		own = append(own, signIn("2"))
	}
	for i, token := range append(own, other) {
		if _, ok := s.find(token); ok != (i > 0) {
			t.Errorf("session %d: got %t, want the oldest of the user's own ended alone", i, ok)
		}
	}
	if len(s.made) != maxOwnSessions+1 || len(s.live) != len(s.made) {
		t.Errorf("got %d and %d sessions", len(s.made), len(s.live))
	}
}

// Without the flag nothing of it is printed or served.
func TestThereIsNoLoginWithoutInterop(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-db", "memory:")
	if strings.Contains(p.stdout.String(), "interop") {
		t.Errorf("got %s", p.stdout)
	}
	p.as("").send(t, "POST", "/v1/"+p.apiKey+"/login", "grant_type=password", "Content-Type", "application/x-www-form-urlencoded").want(t, 404)
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSessions(anyone(1))
		in := s.beside(httpapi.BearerTokens())
		token, err := s.signIn(t.Context(), "demo", users.User{ID: "1", Version: 1})
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), "GET", "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token.Secret.Reveal())

		time.Sleep(token.ExpiresIn - 1)
		if c, err := in(r, "demo"); err != nil || c.UserID != "1" || c.Permissions != 0 {
			t.Errorf("got %+v, %v, want the user and no permissions", c, err)
		}
		time.Sleep(time.Nanosecond)
		if _, err := in(r, "demo"); err != httpapi.ErrInvalidToken || len(s.live) > 0 {
			t.Errorf("got %v and %d sessions, want it ended", err, len(s.live))
		}
	})
}
