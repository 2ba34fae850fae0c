package users_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

// contractID is the id of a user in these tests.
const contractID = "01HZ0000000000000000000001"

// newContractService returns a Service on s with the application "acme", which has
// the user contractID.
func newContractService(t *testing.T, s users.Store) *users.Service {
	t.Helper()
	svc, err := users.New(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := svc.CreateApplication(t.Context(), users.Application{APIKey: "acme"}); err != nil {
		t.Fatal(err)
	}
	_, err = svc.Create(t.Context(), "acme", users.CreateUserParams{
		ID: contractID, UserName: "ada", Email: "ada@example.com", AutoCreatePassword: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return svc
}

// needCapabilities are the operations that not every store can do.
var needCapabilities = map[string]func(context.Context, *users.Service) error{
	"Create with SendEmailNotification": func(ctx context.Context, svc *users.Service) error {
		_, err := svc.Create(ctx, "acme", users.CreateUserParams{
			UserName: "bob", Email: "bob@example.com", AutoCreatePassword: true, SendEmailNotification: true,
		})
		return err
	},
	"RecoverPassword": func(ctx context.Context, svc *users.Service) error {
		return svc.RecoverPassword(ctx, "acme", "ada")
	},
	"RecoverPassword of nobody": func(ctx context.Context, svc *users.Service) error {
		return svc.RecoverPassword(ctx, "acme", "nobody")
	},
	"Notifications": func(ctx context.Context, svc *users.Service) error {
		_, err := svc.Notifications(ctx, "acme", users.NotificationQuery{})
		return err
	},
	"RetryNotification": func(ctx context.Context, svc *users.Service) error {
		return svc.RetryNotification(ctx, "acme", contractID)
	},
	"Outbox": func(_ context.Context, svc *users.Service) error {
		_, err := svc.Outbox()
		return err
	},
	"PrepareNotification": func(ctx context.Context, svc *users.Service) error {
		u, err := svc.User(ctx, "acme", contractID)
		if err != nil {
			return err
		}
		app, err := svc.Application(ctx, "acme")
		if err != nil {
			return err
		}
		_, err = svc.PrepareNotification(ctx, users.NotificationRecord{
			ID: contractID, ApplicationID: app.ID, UserID: u.ID, Kind: users.KindSetPassword,
		})
		return err
	},
	"IssueSetPasswordToken": func(ctx context.Context, svc *users.Service) error {
		_, err := svc.IssueSetPasswordToken(ctx, "acme", contractID)
		return err
	},
	"SetPassword": func(ctx context.Context, svc *users.Service) error {
		return svc.SetPassword(ctx, "acme", password.New(strings.Repeat("A", 43)), password.New("correct horse battery"))
	},
	"FindUsers": func(ctx context.Context, svc *users.Service) error {
		_, err := svc.FindUsers(ctx, "acme", users.FindUsersParams{})
		return err
	},
	"EachUser": func(ctx context.Context, svc *users.Service) error {
		for _, err := range svc.EachUser(ctx, "acme", users.UserFilter{}) {
			return err
		}
		return nil
	},
	"UpdateUser": func(ctx context.Context, svc *users.Service) error {
		_, err := svc.UpdateUser(ctx, "acme", contractID, users.UserChange{})
		return err
	},
	"DeleteUser": func(ctx context.Context, svc *users.Service) error {
		return svc.DeleteUser(ctx, "acme", contractID, 0)
	},
	"ChangePassword": func(ctx context.Context, svc *users.Service) error {
		return svc.ChangePassword(ctx, "acme", contractID, users.ChangePasswordParams{
			NewPassword: password.New("correct horse battery"),
		})
	},
	"UpdateRole": func(ctx context.Context, svc *users.Service) error {
		_, err := svc.UpdateRole(ctx, "acme", contractID, users.RoleChange{})
		return err
	},
	"DeleteRole": func(ctx context.Context, svc *users.Service) error {
		return svc.DeleteRole(ctx, "acme", contractID)
	},
	"Applications": func(ctx context.Context, svc *users.Service) error {
		_, err := svc.Applications(ctx, users.Page{})
		return err
	},
	"UpdateApplication": func(ctx context.Context, svc *users.Service) error {
		_, err := svc.UpdateApplication(ctx, "acme", users.ApplicationChange{})
		return err
	},
	"Authenticate": func(ctx context.Context, svc *users.Service) error {
		_, err := svc.Authenticate(ctx, "acme", "ada", password.New("correct horse battery"))
		return err
	},
	"Authenticate of nobody": func(ctx context.Context, svc *users.Service) error {
		_, err := svc.Authenticate(ctx, "acme", "nobody", password.New("correct horse battery"))
		return err
	},
}

// A store that was written before a capability existed must never let an operation
// return nil that did nothing.
func TestOldStoresReturnErrUnsupported(t *testing.T) {
	t.Parallel()
	for what, old := range map[string]users.Store{
		"old":         storefake.Without(memstore.New()),
		"old wrapped": storefake.Wrapped(storefake.Without(memstore.New())),
	} {
		svc := newContractService(t, old)
		for name, call := range needCapabilities {
			t.Run(what+"/"+name, func(t *testing.T) {
				if err := call(t.Context(), svc); !errors.Is(err, users.ErrUnsupported) {
					t.Errorf("got error %v, want %v", err, users.ErrUnsupported)
				}
			})
		}

		if _, err := svc.User(t.Context(), "acme", "bob"); !errors.Is(err, users.ErrNotFound) {
			t.Errorf("%s: the user who can't be told is there: got error %v, want %v", what, err, users.ErrNotFound)
		}
	}
}

// contractFile lists every method of the interfaces that a store implements, and
// every field of the structs that they pass.
const contractFile = "testdata/contract.txt"

const growthRule = `the contract of stores changed; see "How the contract grows" at users.Store:
a field is added only where a store that ignores it still answers truly; everything else is a new
interface, which old stores are seen not to have. A method more in an interface breaks every store
there is. If that is meant, say so in the CHANGELOG and in testdata/contract.txt`

func TestContractGrowsByNewInterfaces(t *testing.T) {
	t.Parallel()
	got := map[string]bool{}
	for _, root := range []reflect.Type{
		reflect.TypeFor[users.Store](),
		reflect.TypeFor[users.OutboxStore](),
		reflect.TypeFor[users.TokenStore](),
		reflect.TypeFor[users.UserLister](),
		reflect.TypeFor[users.UserEditor](),
		reflect.TypeFor[users.RoleEditor](),
		reflect.TypeFor[users.ApplicationEditor](),
		reflect.TypeFor[users.LoginStore](),
		reflect.TypeFor[users.BatchStore](),
	} {
		addContract(got, root)
	}

	golden, err := os.ReadFile(contractFile)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for line := range strings.SplitSeq(strings.TrimSpace(string(golden)), "\n") {
		want[line] = true
	}

	for _, line := range slices.Sorted(maps.Keys(got)) {
		if !want[line] {
			t.Errorf("new: %s", line)
		}
	}
	for _, line := range slices.Sorted(maps.Keys(want)) {
		if !got[line] {
			t.Errorf("gone: %s", line)
		}
	}
	if t.Failed() {
		t.Log(growthRule)
	}
}

// addContract adds a line for each method and field of t, a type of package users,
// and of what these mention.
func addContract(lines map[string]bool, t reflect.Type) {
	add := func(name string, mentions reflect.Type) bool {
		text := strings.ReplaceAll(mentions.String(), "users.", "")
		if mentions == reflect.TypeFor[json.RawMessage]() {
			text = "json.RawMessage" // the next JSON engine makes an alias of it
		}
		line := fmt.Sprintf("%s.%s %s", t.Name(), name, text)
		if lines[line] {
			return false
		}
		lines[line] = true
		return true
	}

	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		addContract(lines, t.Elem())
	case reflect.Func:
		for in := range t.Ins() {
			addContract(lines, in)
		}
		for out := range t.Outs() {
			addContract(lines, out)
		}
	case reflect.Interface, reflect.Struct:
		if t.PkgPath() != reflect.TypeFor[users.Store]().PkgPath() {
			return
		}
		if t.Kind() == reflect.Interface {
			for m := range t.Methods() {
				if add(m.Name, m.Type) {
					addContract(lines, m.Type)
				}
			}
			return
		}
		for f := range t.Fields() {
			if add(f.Name, f.Type) {
				addContract(lines, f.Type)
			}
		}
	}
}
