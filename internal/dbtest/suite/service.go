package suite

import (
	"context"
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

const goodPassword = "seventeen purple elephants"

// hasher tells a test what happens while a password is hashed.
type hasher struct {
	password.Hasher
	during func()
}

func (h hasher) Hash(pw []byte) (password.Hash, error) {
	if h.during != nil {
		h.during()
	}
	return h.Hasher.Hash(pw)
}

// service makes a Service on e's store with the application "demo" and two roles.
func (e *Env) service(t testing.TB, o users.Options) *users.Service {
	t.Helper()
	if o.Hasher == nil {
		o.Hasher = password.InsecureForTests()
	}
	svc, err := users.New(e.Store, &o)
	if err != nil {
		t.Fatal(err)
	}

	ctx := context.Background()
	if _, err := svc.CreateApplication(ctx, users.Application{APIKey: "demo", Name: "Demo"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"admin", "editor"} {
		if _, err := svc.CreateRole(ctx, "demo", users.Role{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	return svc
}

// params asks for everything that a user can come with.
func params(name string) users.CreateUserParams {
	return users.CreateUserParams{
		UserName: name, Email: name + "@example.com",
		Password: password.New(goodPassword), ConfirmPassword: password.New(goodPassword),
		Roles:                 []users.RoleRef{{Name: "admin"}, {Name: "editor"}},
		SendEmailNotification: true,
		IdempotencyKey:        "key-" + name,
	}
}

// wantRows checks how many users there are and that each has all that came
// into being with it.
func (e *Env) wantRows(t testing.TB, users int) {
	t.Helper()
	for table, each := range map[string]int{"users": 1, "user_roles": 2, "notifications": 1, "idempotency": 1} {
		if got := e.count(t, table); got != users*each {
			t.Errorf("rows of %s: got %d, want %d", table, got, users*each)
		}
	}
}
