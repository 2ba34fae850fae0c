package users_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/memstore"
)

func TestRoleNamesAreNormalizedAndUnique(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{NewID: ids()})
	r, err := svc.CreateRole(t.Context(), apiKey, users.Role{ID: unknownID, Name: "Ko\u0308ch", Description: "cooks"})
	if err != nil {
		t.Fatal(err)
	}
	want := users.Role{ID: uuid(2), Name: "Köch", Description: "cooks", DateCreated: start, DateUpdated: start}
	equal(t, "role", *r, want)
	for _, ref := range []users.RoleRef{{ID: r.ID}, {Name: "Köch"}, {Name: "Ko\u0308ch"}, {ID: r.ID, Name: "Ko\u0308ch"}} {
		got, err := svc.Role(t.Context(), apiKey, ref)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, fmt.Sprint(ref), *got, want)
	}
	for _, ref := range []users.RoleRef{
		{}, {Name: "köch"}, {ID: unknownID}, {ID: r.ID, Name: "other"}, {ID: unknownID, Name: "Köch"},
		{ID: "x"}, {ID: "x", Name: "Köch"}, {Name: "\xff"}, {ID: r.ID, Name: "\xff"},
	} {
		_, err := svc.Role(t.Context(), apiKey, ref)
		equal(t, fmt.Sprint(ref), class(err), "not found")
	}
	_, err = svc.CreateRole(t.Context(), apiKey, users.Role{Name: "Köch"})
	var conflict *users.ConflictError
	if !errors.As(err, &conflict) {
		t.Fatalf("got %v, want a conflict", err)
	}
	equal(t, "members", conflict.Members, words("name"))
	if _, err := svc.CreateRole(t.Context(), apiKey, users.Role{Name: "köch"}); err != nil {
		t.Errorf("names are compared exactly: %v", err)
	}
}

func TestRoleMembersAreChecked(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{})
	for _, c := range []struct {
		name, description string
		want              string
	}{
		{strings.Repeat("🦊", users.MaxRoleName), strings.Repeat("🦊", users.MaxRoleDescription), ""},
		{"lines", "one\ntwo", ""},
		{"", "", "/name required"},
		{"", strings.Repeat("x", users.MaxRoleDescription+1), "/name required /description too_long"},
		{strings.Repeat("x", users.MaxRoleName+1), "a\x00", "/name too_long /description invalid_characters"},
		{"x", "\xff", "/description invalid_utf8"},
	} {
		_, err := svc.CreateRole(t.Context(), apiKey, users.Role{Name: c.name, Description: c.description})
		if c.want == "" {
			equal(t, "error", err, nil)
			continue
		}
		equal(t, "findings", strings.Join(findings(t, err), " "), c.want)
	}
}

func TestRolesAreListedInPages(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{NewID: ids()})
	for i := range 5 {
		addRole(t, svc, fmt.Sprint("r", i)) // ids 2 to 6
	}
	for _, c := range []struct {
		page users.Page
		want string
		next bool
	}{
		{users.Page{}, "r0 r1 r2 r3 r4", false},
		{users.Page{Limit: 2}, "r0 r1", true},
		{users.Page{Limit: 2, After: uuid(3)}, "r2 r3", true},
		{users.Page{Limit: 2, After: uuid(5)}, "r4", false},
		{users.Page{Limit: 5}, "r0 r1 r2 r3 r4", false}, // a full page is no reason for another
		{users.Page{Limit: 3, After: uuid(3)}, "r2 r3 r4", false},
		{users.Page{Limit: users.MaxPage, After: uuid(6)}, "", false},
	} {
		got, err := svc.Roles(t.Context(), apiKey, c.page)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, r := range got.Roles {
			names = append(names, r.Name)
		}
		equal(t, fmt.Sprint(c.page), strings.Join(names, " "), c.want)
		equal(t, fmt.Sprint(c.page, ": a next page"), got.Next != "", c.next)
	}
	for _, p := range []users.Page{{Limit: -1}, {Limit: users.MaxPage + 1}, {After: "r0"}, {Limit: -1, After: "x"}} {
		_, err := svc.Roles(t.Context(), apiKey, p)
		equal(t, fmt.Sprint(p), class(err), "invalid")
		if invalid, ok := errors.AsType[*users.ValidationError](err); ok {
			for _, f := range invalid.Fields { // as package httpapi calls the parameter
				equal(t, fmt.Sprint(p), f.Pointer+" "+f.Code, map[string]string{"/limit": "/limit invalid_limit", "/after": "/after invalid_after"}[f.Pointer])
			}
		}
		_, err = svc.Notifications(t.Context(), apiKey, users.NotificationQuery{Page: p})
		equal(t, fmt.Sprint(p), class(err), "invalid")
	}
}

func TestCheckCreateRoleRefusesWhatCreateRoleRefusesAndWritesNothing(t *testing.T) {
	t.Parallel()
	var seen log
	svc := newServiceOn(t, seen.on(memstore.New()), users.Options{})
	seen.take()
	for _, r := range []users.Role{{Name: "editor"}, {}, {Name: "x", Description: "\x00"}, {Name: "\xff", Description: strings.Repeat("x", 1025)}} {
		for who, ctx := range map[string]context.Context{"host": t.Context(), "limited": as(t.Context(), limited)} {
			got := svc.CheckCreateRole(ctx, apiKey, r)
			calls, _ := seen.take()
			equal(t, "store calls", calls, []storefake.Method{storefake.FindApplication})
			_, want := svc.CreateRole(ctx, apiKey, r)
			equal(t, fmt.Sprintf("%s, %+v", who, r), got, want)
			seen.take()
		}
	}
}

// Letters of either case name the same place in a listing.
func TestPageStartsAfterAnIdInAnyCase(t *testing.T) {
	t.Parallel()
	made := []string{"01ARZ3NDEKTSV4RRFFQ69G5FA1", "01ARZ3NDEKTSV4RRFFQ69G5FA2", "01ARZ3NDEKTSV4RRFFQ69G5FA3"}
	n := 0
	svc := newService(t, users.Options{NewID: func() (string, error) { n++; return made[n-1], nil }})
	addRole(t, svc, "a")
	b := addRole(t, svc, "b")
	got, err := svc.Roles(t.Context(), apiKey, users.Page{After: strings.ToLower(made[1])})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "roles", got.Roles, []users.Role{b})
}

func TestListingIsCutAtTheDefaultPage(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{})
	for i := range users.DefaultPage + 1 {
		addRole(t, svc, fmt.Sprint("r", i))
	}
	got, err := svc.Roles(t.Context(), apiKey, users.Page{})
	if err != nil || len(got.Roles) != users.DefaultPage {
		t.Fatalf("got %v, %v, want %d roles", got, err, users.DefaultPage)
	}
	rest, err := svc.Roles(t.Context(), apiKey, users.Page{After: got.Next})
	if err != nil || len(rest.Roles) != 1 || rest.Next != "" {
		t.Errorf("the next page: got %v, %v, want the last role", rest, err)
	}
}

func TestApplicationIsCreatedOnceForEachKey(t *testing.T) {
	t.Parallel()
	svc, err := users.New(memstore.New(), &users.Options{NewID: ids()})
	if err != nil {
		t.Fatal(err)
	}
	random, err := svc.CreateApplication(t.Context(), users.Application{ID: "mine", Name: "Ä"})
	if err != nil {
		t.Fatal(err)
	}
	if len(random.APIKey) < 22 || random.ID != uuid(1) || random.Name != "Ä" || random.DateCreated.IsZero() {
		t.Errorf("got %+v, want an id and a random key of 128 bits at least", random)
	}
	got, err := svc.Application(t.Context(), random.APIKey)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "application", *got, *random)
	for key, want := range map[string]string{
		"a": "ok", "A": "ok", "0-._~": "ok", "...": "ok", strings.Repeat("k", users.MaxAPIKey): "ok",
		".": "invalid", "..": "invalid", strings.Repeat("k", users.MaxAPIKey+1): "invalid",
		"a/b": "invalid", "a b": "invalid", "ä": "invalid", "a\x00": "invalid", "%41": "invalid",
	} {
		_, err := svc.CreateApplication(t.Context(), users.Application{APIKey: key})
		equal(t, fmt.Sprintf("%q", key), class(err), want)
	}
	_, err = svc.CreateApplication(t.Context(), users.Application{APIKey: "a/b", Name: strings.Repeat("x", users.MaxApplicationName+1)})
	equal(t, "findings", findings(t, err), []string{"/apiKey invalid_characters", "/name too_long"})
	_, err = svc.CreateApplication(t.Context(), users.Application{APIKey: "a"})
	var conflict *users.ConflictError
	if !errors.As(err, &conflict) {
		t.Fatalf("got %v, want a conflict", err)
	}
	equal(t, "members", conflict.Members, words("apiKey"))
	equal(t, "text", conflict.Error(), "users: conflict: already taken: apiKey")
}
