package users_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

// writes are the methods that a check must not call.
var writes = []storefake.Method{
	storefake.EditUser, storefake.DeleteUser, storefake.UpdateRole, storefake.DeleteRole, storefake.ListUsers,
	storefake.BeginLogin, storefake.EndLogin, storefake.Enqueue,
}

// Each check says what its operation says, but for what only the store can tell.
func TestChecksRefuseWhatTheOperationsRefuseAndWriteNothing(t *testing.T) {
	t.Parallel()
	var seen log
	svc := newServiceOn(t, seen.on(memstore.New()), users.Options{})
	role := addRole(t, svc, "editor")
	alice := addUser(t, t.Context(), svc, "alice")
	addUser(t, t.Context(), svc, "bob")

	type check struct {
		what    string
		ask, do func(ctx context.Context) error
	}
	var checks []check
	for _, ref := range []string{"alice", alice.ID, "nobody"} {
		for _, c := range []users.UserChange{
			{}, {Name: ptr("A")}, {Name: ptr("\x00"), Email: ptr("x")}, {UserName: ptr("")}, {Roles: ptr(roleRefs("none"))}, {Roles: ptr(roleRefs("editor"))},
			{AllowDashboardAccess: ptr(true), DashboardSettings: []byte("[]")}, {IsLockedOut: ptr(true), Name: ptr("\x00")},
		} {
			checks = append(checks, check{fmt.Sprintf("change %s by %+v", ref, c),
				func(ctx context.Context) error { return svc.CheckUpdateUser(ctx, apiKey, ref, c) },
				func(ctx context.Context) error { _, err := svc.UpdateUser(ctx, apiKey, ref, c); return err }})
		}
		for _, pw := range []string{"", "short", "violet harbour 47 crumpets"} {
			p := users.ChangePasswordParams{NewPassword: password.New(pw)}
			checks = append(checks, check{fmt.Sprintf("password of %s: %s", ref, pw),
				func(ctx context.Context) error { return svc.CheckChangePassword(ctx, apiKey, ref, p) },
				func(ctx context.Context) error { return svc.ChangePassword(ctx, apiKey, ref, p) }})
		}
	}
	for _, id := range []string{role.ID, "none"} {
		for _, c := range []users.RoleChange{{}, {Name: ptr("")}, {Name: ptr("author"), Description: ptr("\x00")}, {Description: ptr(strings.Repeat("x", 1025))}, {Description: ptr("d")}} {
			checks = append(checks, check{fmt.Sprintf("change role %s by %+v", id, c),
				func(ctx context.Context) error { return svc.CheckUpdateRole(ctx, apiKey, id, c) },
				func(ctx context.Context) error { _, err := svc.UpdateRole(ctx, apiKey, id, c); return err }})
		}
	}
	for _, p := range []users.FindUsersParams{
		{}, {Page: -1, Limit: -1}, {Page: 1, After: "x"}, {Order: []users.Order{{By: "x"}}}, {UserFilter: users.UserFilter{Phrase: "\x00", Roles: roleRefs("editor")}},
	} {
		checks = append(checks, check{fmt.Sprintf("find %+v", p),
			func(ctx context.Context) error { return svc.CheckFindUsers(ctx, apiKey, p) },
			func(ctx context.Context) error { _, err := svc.FindUsers(ctx, apiKey, p); return err }})
	}

	reader := users.Caller{ID: "r", APIKey: apiKey, Permissions: users.ReadUsers}
	self := users.Caller{ID: "s", APIKey: apiKey, UserID: alice.ID}
	for _, c := range checks {
		for who, ctx := range map[string]context.Context{
			"limited": as(t.Context(), limited), "reader": as(t.Context(), reader), "self": as(t.Context(), self), "other": as(t.Context(), users.Caller{APIKey: "x"}), "host": t.Context(),
		} {
			seen.take()
			got := c.ask(ctx)
			calls, _ := seen.take()
			if i := slices.IndexFunc(calls, func(m storefake.Method) bool { return slices.Contains(writes, m) }); i >= 0 {
				t.Errorf("%s: the check of %s calls %s", who, c.what, calls[i])
			}
			want := c.do(ctx)
			equal(t, who+": "+c.what, fmt.Sprint(got), fmt.Sprint(want))
		}
	}
}

// What a check can't know is left to the operation.
func TestChecksLookNeitherAtVersionsNorAtTheOldPassword(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{})
	alice := addUser(t, t.Context(), svc, "alice")
	ctx := as(t.Context(), users.Caller{ID: "s", APIKey: apiKey, UserID: alice.ID})
	p := users.ChangePasswordParams{NewPassword: password.New("violet harbour 47 crumpets"), OldPassword: password.New("wrong"), IfVersion: 9}
	if err := errors.Join(
		svc.CheckUpdateUser(t.Context(), apiKey, "alice", users.UserChange{Name: ptr("A"), IfVersion: 9}),
		svc.CheckChangePassword(ctx, apiKey, "alice", p),
	); err != nil {
		t.Error(err)
	}
}
