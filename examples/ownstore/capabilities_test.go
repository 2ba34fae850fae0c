package ownstore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/examples/ownstore"
	"github.com/gousers/users/password"
)

// Which capabilities the store has.
func Example() {
	s := ownstore.New()
	fmt.Println("OutboxStore", has[users.OutboxStore](s))
	fmt.Println("TokenStore", has[users.TokenStore](s))
	fmt.Println("UserLister", has[users.UserLister](s))
	fmt.Println("UserEditor", has[users.UserEditor](s))
	fmt.Println("RoleEditor", has[users.RoleEditor](s))
	fmt.Println("ApplicationEditor", has[users.ApplicationEditor](s))
	fmt.Println("LoginStore", has[users.LoginStore](s))
	fmt.Println("BatchStore", has[users.BatchStore](s))
	// Output:
	// OutboxStore false
	// TokenStore false
	// UserLister true
	// UserEditor false
	// RoleEditor false
	// ApplicationEditor true
	// LoginStore false
	// BatchStore false
}

func has[T any](s users.Store) bool {
	_, ok := users.StoreAs[T](s)
	return ok
}

// A Service does with the store what it can do, and says so where it can't.
func TestServiceSaysWhatTheStoreLacks(t *testing.T) {
	svc, err := users.New(ownstore.New(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if _, err := svc.CreateApplication(ctx, users.Application{APIKey: "demo"}); err != nil {
		t.Fatal(err)
	}
	u, err := svc.Create(ctx, "demo", users.CreateUserParams{
		UserName: "ada", Email: "ada@example.com", AutoCreatePassword: true,
	})
	if err != nil {
		t.Fatal(err)
	}

	for _, c := range []struct {
		name string
		lack bool
		do   func(context.Context) error
	}{
		{"FindUsers", false, func(ctx context.Context) error {
			page, err := svc.FindUsers(ctx, "demo", users.FindUsersParams{Page: 1})
			if err == nil && page.Total != 1 {
				t.Errorf("FindUsers: got %d users, want 1", page.Total)
			}
			return err
		}},
		{"Applications", false, func(ctx context.Context) error {
			_, err := svc.Applications(ctx, users.Page{})
			return err
		}},
		{"UpdateApplication", false, func(ctx context.Context) error {
			_, err := svc.UpdateApplication(ctx, "demo", users.ApplicationChange{Name: new("Demo")})
			return err
		}},
		{"SetStatus", false, func(ctx context.Context) error {
			_, err := svc.SetStatus(ctx, "demo", u.ID, users.Status{IsLockedOut: new(true)})
			return err
		}},
		{"UpdateUser", true, func(ctx context.Context) error {
			_, err := svc.UpdateUser(ctx, "demo", u.ID, users.UserChange{Name: new("Ada")})
			return err
		}},
		{"DeleteUser", true, func(ctx context.Context) error { return svc.DeleteUser(ctx, "demo", u.ID, 0) }},
		{"DeleteRole", true, func(ctx context.Context) error { return svc.DeleteRole(ctx, "demo", u.ID) }},
		{"RecoverPassword", true, func(ctx context.Context) error { return svc.RecoverPassword(ctx, "demo", "ada") }},
		{"Authenticate", true, func(ctx context.Context) error {
			_, err := svc.Authenticate(ctx, "demo", "ada", password.New("a wrong guess"))
			return err
		}},
	} {
		err := c.do(ctx)
		if c.lack && !errors.Is(err, users.ErrUnsupported) || !c.lack && err != nil {
			t.Errorf("%s: got error %v, want users.ErrUnsupported: %t", c.name, err, c.lack)
		}
	}
}
