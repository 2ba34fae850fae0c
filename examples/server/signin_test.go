package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

// Who signs in reads itself and changes its own password, and nothing else.
func TestAUserSignsInAndChangesItsPassword(t *testing.T) {
	t.Parallel()
	const origin = "http://app.example.test:5173"
	p := start(t, t.TempDir(), "-db", "memory:", "-addr", "127.0.0.1:0", "-interop", "-origin", origin)
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
	signIn(demoPassword).want(t, 400)
	signIn(next).want(t, 201)
	p.as("made-up").get(t, users+"/ann").want(t, 401)
}

// sessionsOf is sessions in the application demo, and in reports whether a token is let in.
func sessionsOf(t *testing.T) (svc *users.Service, s *sessions, in func(token httpapi.AccessToken, apiKey string) bool) {
	t.Helper()
	svc, err := users.New(memstore.New(), &users.Options{Hasher: password.InsecureForTests()})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"demo", "other"} {
		if err := ensureApplication(t.Context(), svc, key); err != nil {
			t.Fatal(err)
		}
	}
	s = newSessions(svc)
	beside := s.beside(httpapi.BearerTokens())
	return svc, s, func(token httpapi.AccessToken, apiKey string) bool {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "GET", "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token.Secret.Reveal())
		_, err = beside(r, apiKey)
		if err != nil && err != httpapi.ErrInvalidToken {
			t.Errorf("got %v, want ErrInvalidToken", err)
		}
		return err == nil
	}
}

func (s *sessions) mustSignIn(t *testing.T, u users.User) httpapi.AccessToken {
	t.Helper()
	token, err := s.signIn(t.Context(), "demo", u)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func mustCreate(t *testing.T, svc *users.Service, name string) users.User {
	t.Helper()
	secret := password.New(demoPassword)
	u, err := svc.Create(t.Context(), "demo", users.CreateUserParams{UserName: name, Email: name + "@example.com", Password: secret, ConfirmPassword: secret})
	if err != nil {
		t.Fatal(err)
	}
	return *u
}

func TestSessionsAreFewAndOfOneApplication(t *testing.T) {
	t.Parallel()
	svc, s, in := sessionsOf(t)
	ann, bob := mustCreate(t, svc, "ann"), mustCreate(t, svc, "bob")
	first := s.mustSignIn(t, ann)
	if !in(first, "demo") || in(first, "other") {
		t.Error("want it let in by its own application alone")
	}
	var bobs []httpapi.AccessToken
	for range maxOwnSessions + 1 {
		bobs = append(bobs, s.mustSignIn(t, bob))
	}
	if in(bobs[0], "demo") || !in(bobs[1], "demo") || !in(bobs[maxOwnSessions], "demo") || !in(first, "demo") {
		t.Error("want the oldest of the user's own ended, and no other")
	}
	for i := range maxSessions {
		s.mustSignIn(t, users.User{ID: fmt.Sprint(i)})
	}
	if in(first, "demo") || len(s.live) != maxSessions || len(s.made) != maxSessions {
		t.Errorf("got %d and %d sessions, want the oldest ended", len(s.live), len(s.made))
	}
}

func TestASessionEndsWithItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		svc, s, in := sessionsOf(t)
		token := s.mustSignIn(t, mustCreate(t, svc, "ann"))
		time.Sleep(sessionLifetime - 1)
		if !in(token, "demo") {
			t.Error("it ended before its time")
		}
		time.Sleep(1)
		if in(token, "demo") {
			t.Error("it goes on after its time")
		}
	})
}

// What a user may no longer do it may not go on doing.
func TestASessionEndsWithWhatItsUserMay(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(ctx context.Context, svc *users.Service) error{
		"deleted": func(ctx context.Context, svc *users.Service) error { return svc.DeleteUser(ctx, "demo", "ann", 0) },
		"locked": func(ctx context.Context, svc *users.Service) error {
			_, err := svc.SetStatus(ctx, "demo", "ann", users.Status{IsLockedOut: new(true)})
			return err
		},
		"disapproved": func(ctx context.Context, svc *users.Service) error {
			_, err := svc.SetStatus(ctx, "demo", "ann", users.Status{IsApproved: new(false)})
			return err
		},
	} {
		svc, s, in := sessionsOf(t)
		token, other := s.mustSignIn(t, mustCreate(t, svc, "ann")), s.mustSignIn(t, mustCreate(t, svc, "bob"))
		if err := change(t.Context(), svc); err != nil {
			t.Fatal(err)
		}
		if in(token, "demo") || !in(other, "demo") || len(s.live) != 1 {
			t.Errorf("%s: want its session ended, and no other", what)
		}
	}
}
