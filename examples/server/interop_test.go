package main

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

const appOrigin = "http://app.example.test:5173"

// signIn sends the form of a login.
func (c client) signIn(t *testing.T, name, pw string) answer {
	t.Helper()
	return c.send(t, "POST", "/v1/demo/login", "grant_type=password&username="+name+"&password="+strings.ReplaceAll(pw, " ", "+"),
		"Content-Type", "application/x-www-form-urlencoded")
}

func TestInteropServesPublishedClients(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-db", "memory:", "-hash", "bcrypt:4", "-interop", "-origin", "https://app.example.com", "-origin", appOrigin)
	p.stdout.await(t, "interop .*https://app.example.com "+appOrigin)
	made := p.admin().send(t, "POST", "/v1/demo/users", user("ann", ""), "Origin", appOrigin).want(t, http.StatusCreated)
	id, _ := made.members["id"].(string)
	if len(users.LongIDs(id)) != 2 || made.header.Get("Access-Control-Allow-Origin") != appOrigin {
		t.Errorf("got the id %q and %v, want a short id for the page", id, made.header)
	}

	// A user signs in, reads itself, and changes its password.
	in := p.as("").signIn(t, "ann", demoPassword).want(t, http.StatusCreated)
	token, _ := in.members["access_token"].(string)
	self := p.as(token)
	self.send(t, "GET", "/v1/demo/users/"+id, "").want(t, http.StatusOK)
	self.send(t, "GET", "/v1/demo/users", "").want(t, http.StatusForbidden)
	self.send(t, "PUT", "/v1/demo/users/"+id+"/change-password", `{"newPassword":"marble kettle 7 orchards"}`).want(t, http.StatusBadRequest)
	self.send(t, "PUT", "/v1/demo/users/"+id+"/change-password",
		`{"newPassword":"marble kettle 7 orchards","oldPassword":"`+demoPassword+`"}`).want(t, http.StatusOK)
	self.send(t, "GET", "/v1/demo/users/"+id, "").want(t, http.StatusUnauthorized)
	p.as("").signIn(t, "ann", demoPassword).want(t, http.StatusBadRequest)

	// A lock ends what it began with the new one.
	in = p.as("").signIn(t, "ann", "marble kettle 7 orchards").want(t, http.StatusCreated)
	token, _ = in.members["access_token"].(string)
	p.as(token).send(t, "GET", "/v1/demo/users/"+id, "").want(t, http.StatusOK)
	p.admin().send(t, "PUT", "/v1/demo/users/"+id+"/lock", "").want(t, http.StatusNoContent)
	p.as(token).send(t, "GET", "/v1/demo/users/"+id, "").want(t, http.StatusUnauthorized)
}

func TestWithoutInteropNobodySignsIn(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-db", "memory:")
	p.as("").signIn(t, "ann", demoPassword).want(t, http.StatusNotFound)
	made := p.admin().send(t, "POST", "/v1/demo/users", user("ann", ""), "Origin", appOrigin).want(t, http.StatusCreated)
	if id, _ := made.members["id"].(string); len(id) != 26 || made.header["Access-Control-Allow-Origin"] != nil {
		t.Errorf("got the id %q and %v, want a ULID and nothing for pages of other origins", id, made.header)
	}
	if strings.Contains(p.stdout.String(), "interop") {
		t.Errorf("the server speaks of interop:\n%s", p.stdout)
	}
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	svc, err := users.New(memstore.New(), &users.Options{Hasher: password.InsecureForTests()})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"demo", "other"} {
		if _, err := svc.CreateApplication(t.Context(), users.Application{APIKey: key}); err != nil {
			t.Fatal(err)
		}
	}
	u, err := svc.Create(t.Context(), "demo", users.CreateUserParams{UserName: "ann", Email: "ann@example.com", AutoCreatePassword: true})
	if err != nil {
		t.Fatal(err)
	}
	s := newSessions(svc)
	now := time.Now()
	s.now = func() time.Time { return now }
	in := func() string {
		t.Helper()
		a, err := s.signIn(t.Context(), "demo", *u)
		if err != nil {
			t.Fatal(err)
		}
		return a.Secret.Reveal()
	}
	want := func(why, apiKey, token string, ok bool) {
		t.Helper()
		c, err := s.caller(t.Context(), apiKey, token)
		switch {
		case !ok && !errors.Is(err, httpapi.ErrInvalidToken):
			t.Errorf("%s: got %v and %v, want ErrInvalidToken", why, c, err)
		case ok && (err != nil || c.UserID != u.ID || c.APIKey != apiKey || c.Permissions != 0):
			t.Errorf("%s: got %v and %v, want the user without permissions", why, c, err)
		}
	}

	first := in()
	want("a session", "demo", first, true)
	want("another application", "other", first, false)
	want("another token", "demo", first+"A", false)
	want("no token", "demo", "", false)
	now = now.Add(sessionLifetime - 1)
	want("just before the end", "demo", first, true)
	second := in()
	now = now.Add(1)
	want("at the end", "demo", first, false)
	want("one that began later", "demo", second, true)

	for range maxSessions {
		in()
	}
	if len(s.known) != maxSessions || len(s.order) != maxSessions {
		t.Errorf("%d sessions are kept, want %d", len(s.known), maxSessions)
	}
	want("the oldest, beyond the limit", "demo", second, false)

	last := in()
	if err := svc.DeleteUser(t.Context(), "demo", u.ID, 0); err != nil {
		t.Fatal(err)
	}
	want("a user that is deleted", "demo", last, false)
}
