package users_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/memstore"
)

// crowd is a Service with users u00 to u24, each a minute younger than the one before,
// of whom every third is not approved, every fifth is locked out, and the first ten are
// editors.
func crowd(t testing.TB) *users.Service {
	t.Helper()
	var c clock
	svc := newService(t, users.Options{Now: c.Now, NewID: ids()})
	addRole(t, svc, "editor")
	addRole(t, svc, "Chief")
	for i := range 25 {
		c.add(time.Minute)
		p := params(fmt.Sprintf("u%02d", i))
		p.Email = fmt.Sprintf("%02d@example.com", 99-i)
		p.Name = fmt.Sprintf("Äbby %d", i%4)
		p.IsApproved, p.IsLockedOut = ptr(i%3 != 0), ptr(i%5 == 0)
		if i < 10 {
			p.Roles = roleRefs("editor")
		}
		if _, err := svc.Create(t.Context(), apiKey, p); err != nil {
			t.Fatal(err)
		}
	}
	return svc
}

func found(t testing.TB, svc *users.Service, p users.FindUsersParams) (*users.UserPage, []string) {
	t.Helper()
	page, err := svc.FindUsers(t.Context(), apiKey, p)
	if err != nil {
		t.Fatalf("%+v: %v", p, err)
	}
	names := make([]string, len(page.Users))
	for i, u := range page.Users {
		names[i] = u.UserName
	}
	return page, names
}

func TestFindUsersRestrictsByWhatIsGiven(t *testing.T) {
	t.Parallel()
	svc := crowd(t)
	u7 := get(t, svc, "u07")
	editor := u7.Roles[0]
	p := params("z")
	p.ID = "01hzabcdefghjkmnpqrstvwxyz"
	if _, err := svc.Create(t.Context(), apiKey, p); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		f    users.UserFilter
		want string
	}{
		"a phrase of a name":                {users.UserFilter{Phrase: "U1"}, "u10 u11 u12 u13 u14 u15 u16 u17 u18 u19"},
		"of an address":                     {users.UserFilter{Phrase: " 99@EXAMPLE "}, "u00"},
		"of a display name":                 {users.UserFilter{Phrase: "ÄBBY 3"}, "u03 u07 u11 u15 u19 u23"},
		"decomposed":                        {users.UserFilter{Phrase: "a\u0308bby 3"}, "u03 u07 u11 u15 u19 u23"},
		"characters that stand for nothing": {users.UserFilter{Phrase: "u_0"}, ""},
		"nothing":                           {users.UserFilter{Phrase: "%"}, ""},
		"ids":                               {users.UserFilter{IDs: []string{u7.ID, uuid(999), "u08", p.ID}}, "u07 z"},
		"no ids":                            {users.UserFilter{IDs: []string{}}, ""},
		"what is no id":                     {users.UserFilter{IDs: []string{"u08", ""}}, ""},
		"a role":                            {users.UserFilter{Roles: roleRefs("editor", "nobody")}, "u00 u01 u02 u03 u04 u05 u06 u07 u08 u09"},
		"a role that nobody has":            {users.UserFilter{Roles: roleRefs("Chief")}, ""},
		"no such role":                      {users.UserFilter{Roles: []users.RoleRef{{Name: "chief"}, {ID: "x"}, {}}}, ""},
		"what two roles would be":           {users.UserFilter{Roles: []users.RoleRef{{ID: editor.ID, Name: "Chief"}, {}}}, ""},
		"no role":                           {users.UserFilter{Roles: []users.RoleRef{}}, ""},
		"not approved":                      {users.UserFilter{IsApproved: ptr(false)}, "u00 u03 u06 u09 u12 u15 u18 u21 u24"},
		"locked out":                        {users.UserFilter{IsLockedOut: ptr(true)}, "u00 u05 u10 u15 u20"},
		"all of it":                         {users.UserFilter{Phrase: "u0", Roles: roleRefs("editor"), IsApproved: ptr(false), IsLockedOut: ptr(false), IDs: []string{u7.ID, get(t, svc, "u03").ID}}, "u03"},
	} {
		page, names := found(t, svc, users.FindUsersParams{UserFilter: tt.f, Page: 1, Limit: 100})
		equal(t, name, strings.Join(names, " "), tt.want)
		equal(t, name+": total", page.Total, int64(len(words(tt.want))))
		var each []string
		for u, err := range svc.EachUser(t.Context(), apiKey, tt.f) {
			if err != nil {
				t.Fatal(err)
			}
			each = append(each, u.UserName)
		}
		equal(t, name+": one by one", strings.Join(each, " "), tt.want)
	}
}

// Numbered pages and those behind a cursor cover every user once, in order.
func TestPagesCoverEveryUserOnce(t *testing.T) {
	t.Parallel()
	svc := crowd(t)
	_, all := found(t, svc, users.FindUsersParams{Limit: 100})
	backwards := slices.Clone(all)
	slices.Reverse(backwards)
	for _, o := range []struct {
		order []users.Order
		want  []string
	}{
		{nil, all},
		{[]users.Order{{By: users.ByID, Desc: true}}, backwards},
		{[]users.Order{{By: users.ByUserName}}, all},
		{[]users.Order{{By: users.ByUserName, Desc: true}}, backwards},
		{[]users.Order{{By: users.ByEmail}}, backwards},
		{[]users.Order{{By: users.ByEmail, Desc: true}}, all},
		{[]users.Order{{By: users.ByDateCreated}}, all},
		{[]users.Order{{By: users.ByDateCreated, Desc: true}}, backwards},
	} {
		var numbered, followed []string
		for n := 1; n <= 5; n++ {
			page, names := found(t, svc, users.FindUsersParams{Order: o.order, Page: n, Limit: 7})
			numbered = append(numbered, names...)
			equal(t, "total, limit, page", [3]int64{page.Total, int64(page.Limit), int64(page.Page)}, [3]int64{25, 7, int64(n)})
			equal(t, "next", page.Next, "")
		}
		for after, pages := "", 0; pages == 0 || after != ""; pages++ {
			page, names := found(t, svc, users.FindUsersParams{Order: o.order, After: after, Limit: 5})
			followed = append(followed, names...)
			after = page.Next
			if len(names) != 5 || page.Total != 0 {
				t.Errorf("%v: got a page of %d, total %d", o.order, len(names), page.Total)
			}
		}
		equal(t, fmt.Sprint(o.order, ": numbered"), numbered, o.want)
		equal(t, fmt.Sprint(o.order, ": followed"), followed, o.want)
	}
	page, names := found(t, svc, users.FindUsersParams{})
	equal(t, "by default", len(names), 10)
	equal(t, "limit", page.Limit, users.DefaultFoundPage)
	_, names = found(t, svc, users.FindUsersParams{Order: []users.Order{{By: users.ByIsLockedOut, Desc: true}, {By: users.ByName}, {By: users.ByUserName, Desc: true}}, Page: 1, Limit: 8})
	equal(t, "several members", strings.Join(names, " "), "u20 u00 u05 u10 u15 u24 u16 u12")
}

// A cursor names a place, and not a user that has to be there.
func TestCursorOutlivesItsUser(t *testing.T) {
	t.Parallel()
	svc := crowd(t)
	for _, by := range []users.Member{users.ByID, users.ByUserName, users.ByEmail, users.ByDateCreated} {
		order := []users.Order{{By: by}}
		page, before := found(t, svc, users.FindUsersParams{Order: order, Limit: 3})
		_, want := found(t, svc, users.FindUsersParams{Order: order, After: page.Next, Limit: 3})
		if err := svc.DeleteUser(t.Context(), apiKey, before[2], 0); err != nil {
			t.Fatal(err)
		}
		_, got := found(t, svc, users.FindUsersParams{Order: order, After: page.Next, Limit: 3})
		equal(t, string(by), got, want)
	}
}

func TestFindUsersRefusesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	var seen log
	svc := newServiceOn(t, seen.on(store), users.Options{})
	for i := range 3 {
		addUser(t, t.Context(), svc, fmt.Sprint("u", i))
	}
	page, _ := found(t, svc, users.FindUsersParams{Order: []users.Order{{By: users.ByUserName}}, Limit: 1})
	raw := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	seen.take()
	for want, all := range map[string][]users.FindUsersParams{
		"/searchQuery too_long":           {{UserFilter: users.UserFilter{Phrase: strings.Repeat("é", 257)}}},
		"/searchQuery invalid_characters": {{UserFilter: users.UserFilter{Phrase: "a\x00"}}, {UserFilter: users.UserFilter{Phrase: "\xff"}}},
		"/userIds too_many":               {{UserFilter: users.UserFilter{IDs: make([]string, 1001)}}},
		"/roleIds too_many":               {{UserFilter: users.UserFilter{Roles: make([]users.RoleRef, 1001)}}},
		"/sort unknown_member": {
			{Order: []users.Order{{By: "password"}}, Page: 1}, {Order: []users.Order{{}}, Page: 1},
			{Order: []users.Order{{By: users.ByName}, {By: users.ByName, Desc: true}}, Page: 1},
		},
		"/sort too_many":     {{Order: make([]users.Order, 5), Page: 1}},
		"/sort not_flat":     {{Order: []users.Order{{By: users.ByName}}}, {Order: []users.Order{{By: users.ByID}, {By: users.ByEmail}}}},
		"/page invalid_page": {{Page: -1}},
		"/page too_deep":     {{Page: 10_002}, {Page: 102, Limit: 1000}, {Page: 1 << 62}},
		"/rpp invalid_limit": {{Limit: -1}, {Limit: 1001, Page: 1}},
		"/after excluded":    {{Page: 1, After: page.Next}},
		"/after invalid_after": {
			{After: page.Next}, {After: "x"}, {After: "!"}, {After: page.Next + "A", Order: []users.Order{{By: users.ByUserName}}},
			{After: page.Next, Order: []users.Order{{By: users.ByEmail}}},
			{After: raw(`{"b":"id","i":"x"}`)}, {After: raw(`{"b":"id","i":"` + unknownID + `","t":9223372036854775807}`)},
			{After: raw(`{"b":"id","k":"\u0000","i":"` + unknownID + `"}`)}, {After: raw(strings.Repeat(" ", 5000) + `{"b":"id","i":"` + unknownID + `"}`)},
		},
		"/searchQuery too_long /sort unknown_member /page invalid_page": {{UserFilter: users.UserFilter{Phrase: strings.Repeat("a", 257)}, Order: []users.Order{{By: "x"}}, Page: -1}},
	} {
		for _, p := range all {
			_, err := svc.FindUsers(t.Context(), apiKey, p)
			if class(err) != "invalid" {
				t.Errorf("%+v: got %v, want %s", p, err, want)
				continue
			}
			equal(t, fmt.Sprintf("%.100v", p), strings.Join(findings(t, err), " "), want)
		}
	}
	calls, _ := seen.take()
	if slices.Contains(calls, storefake.ListUsers) {
		t.Error("the store was asked")
	}
	_, names := found(t, svc, users.FindUsersParams{Page: 10_001})
	equal(t, "the last page that may be asked for", len(names), 0)
}

func TestEachUserStopsWhereItsCallerStops(t *testing.T) {
	t.Parallel()
	svc := crowd(t)
	n := 0
	for _, err := range svc.EachUser(t.Context(), apiKey, users.UserFilter{}) {
		if n++; err != nil || n == 3 {
			break
		}
	}
	equal(t, "users", n, 3)
	failing := svc.WithStore(storefake.Failing(memstore.New(), errHost, storefake.FindApplication))
	for u, err := range failing.EachUser(t.Context(), apiKey, users.UserFilter{}) {
		if !errors.Is(err, errHost) || u.ID != "" {
			t.Errorf("got %v, %v, want the error alone", u, err)
		}
	}
}

func TestFindRolesPagesAndOrders(t *testing.T) {
	t.Parallel()
	var c clock
	svc := newService(t, users.Options{Now: c.Now, NewID: ids()})
	for _, r := range []users.Role{{Name: "b", Description: "Reads"}, {Name: "C"}, {Name: "a", Description: "reads and writes"}} {
		c.add(time.Minute)
		if _, err := svc.CreateRole(t.Context(), apiKey, r); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		p     users.FindRolesParams
		want  string
		total int64
	}{
		{users.FindRolesParams{}, "b C a", 3},
		{users.FindRolesParams{Limit: 2}, "b C", 3},
		{users.FindRolesParams{Limit: 2, Page: 2}, "a", 3},
		{users.FindRolesParams{Limit: 2, Page: 3}, "", 3},
		{users.FindRolesParams{Order: []users.Order{{By: users.ByName}}}, "C a b", 3},
		{users.FindRolesParams{Order: []users.Order{{By: users.ByDateCreated, Desc: true}}}, "a C b", 3},
		{users.FindRolesParams{Phrase: "READS"}, "b a", 2},
		{users.FindRolesParams{Phrase: " c "}, "C", 1},
	} {
		page, err := svc.FindRoles(t.Context(), apiKey, tt.p)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, r := range page.Roles {
			names = append(names, r.Name)
		}
		equal(t, fmt.Sprintf("%+v", tt.p), strings.Join(names, " "), tt.want)
		equal(t, fmt.Sprintf("%+v: total", tt.p), page.Total, tt.total)
	}
	for want, p := range map[string]users.FindRolesParams{
		"/sort unknown_member":  {Order: []users.Order{{By: users.ByEmail}}},
		"/page invalid_page":    {Page: -1},
		"/rpp invalid_limit":    {Limit: 1001},
		"/searchQuery too_long": {Phrase: strings.Repeat("a", 257)},
	} {
		_, err := svc.FindRoles(t.Context(), apiKey, p)
		equal(t, want, findings(t, err), []string{want})
	}
	limited := as(t.Context(), users.Caller{ID: "x", APIKey: apiKey, Permissions: users.AssignRoles, AssignableRoles: roleRefs("a", "x")})
	page, err := svc.FindRoles(limited, apiKey, users.FindRolesParams{})
	if err != nil || page.Total != 1 || page.Roles[0].Name != "a" {
		t.Errorf("who may assign one: got %+v, %v", page, err)
	}
}

func TestRolesAreRenamedAndDeleted(t *testing.T) {
	t.Parallel()
	var c clock
	svc := newService(t, users.Options{Now: c.Now})
	editor, chief := addRole(t, svc, "editor"), addRole(t, svc, "chief")
	p := params("ann")
	p.Roles = roleRefs("editor", "chief")
	u, err := svc.Create(t.Context(), apiKey, p)
	if err != nil {
		t.Fatal(err)
	}
	c.add(time.Minute)
	got, err := svc.UpdateRole(t.Context(), apiKey, strings.ToLower(editor.ID), users.RoleChange{Name: ptr("writer"), Description: ptr("Writes.")})
	if err != nil {
		t.Fatal(err)
	}
	want := users.Role{ID: editor.ID, Name: "writer", Description: "Writes.", DateCreated: start, DateUpdated: c.Now()}
	equal(t, "answer", *got, want)
	read, err := svc.Role(t.Context(), apiKey, users.RoleRef{ID: editor.ID})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "what is read back", *read, want)
	equal(t, "of its user", sorted(roleNames(get(t, svc, u.ID))), []string{"chief", "writer"})

	c.add(time.Minute)
	if same, err := svc.UpdateRole(t.Context(), apiKey, editor.ID, users.RoleChange{Name: ptr("writer")}); err != nil || !same.DateUpdated.Equal(want.DateUpdated) {
		t.Errorf("without a change: got %v, %v", same, err)
	}
	_, err = svc.UpdateRole(t.Context(), apiKey, editor.ID, users.RoleChange{Name: ptr("chief")})
	var conflict *users.ConflictError
	if !errors.As(err, &conflict) || !slices.Equal(conflict.Members, []string{"name"}) {
		t.Errorf("a taken name: got %v", err)
	}
	_, err = svc.UpdateRole(t.Context(), apiKey, editor.ID, users.RoleChange{Name: ptr(""), Description: ptr(strings.Repeat("a", 1025))})
	equal(t, "what makes no role", findings(t, err), []string{"/name required", "/description too_long"})
	for _, id := range []string{"", "x", unknownID, "00000000-0000-0000-0000-000000000000"} {
		_, err := svc.UpdateRole(t.Context(), apiKey, id, users.RoleChange{Name: ptr("x")})
		equal(t, id, class(err), "not found")
		equal(t, id, class(svc.DeleteRole(t.Context(), apiKey, id)), "not found")
	}

	if err := svc.DeleteRole(t.Context(), apiKey, chief.ID); err != nil {
		t.Fatal(err)
	}
	left := get(t, svc, u.ID)
	equal(t, "of its user, after the other is gone", roleNames(left), []string{"writer"})
	equal(t, "version", left.Version, u.Version)
	addRole(t, svc, "chief")
	equal(t, "a new one of that name is not theirs", roleNames(get(t, svc, u.ID)), []string{"writer"})
}

func TestApplicationsAreListedAndChanged(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	svc := newServiceOn(t, store, users.Options{NewID: ids()})
	for i := range 4 {
		addApplication(t, svc, users.Application{APIKey: fmt.Sprint("app", i), Disabled: i == 2})
	}
	var keys []string
	for p := (users.Page{Limit: 2}); ; {
		list, err := svc.Applications(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range list.Applications {
			keys = append(keys, a.APIKey)
		}
		if p.After = list.Next; p.After == "" {
			break
		}
	}
	equal(t, "all", keys, []string{apiKey, "app0", "app1", "app2", "app3"})

	a, err := svc.UpdateApplication(t.Context(), apiKey, users.ApplicationChange{Name: ptr("Acme"), RequireApproval: ptr(true), IfVersion: 1})
	if err != nil || a.Version != 2 || a.Name != "Acme" || !a.RequireApproval || a.Disabled {
		t.Fatalf("got %+v, %v", a, err)
	}
	if u := addUser(t, t.Context(), svc, "ann"); u.IsApproved {
		t.Error("a new user is approved")
	}
	if same, err := svc.UpdateApplication(t.Context(), apiKey, users.ApplicationChange{Name: ptr("Acme"), Disabled: ptr(false)}); err != nil || same.Version != 2 {
		t.Errorf("without a change: got %+v, %v", same, err)
	}
	if _, err = svc.UpdateApplication(t.Context(), apiKey, users.ApplicationChange{Disabled: ptr(true)}); err != nil {
		t.Fatal(err)
	}
	_, err = svc.User(t.Context(), apiKey, "ann")
	equal(t, "what is disabled", class(err), "forbidden")
	if _, err = svc.UpdateApplication(t.Context(), apiKey, users.ApplicationChange{Disabled: ptr(false)}); err != nil {
		t.Fatal(err)
	}
	got, err := svc.Application(t.Context(), apiKey)
	if err != nil || got.Version != 4 || got.Name != "Acme" || !got.RequireApproval || got.Disabled {
		t.Errorf("what is read back: got %+v, %v", got, err)
	}

	_, err = svc.UpdateApplication(t.Context(), apiKey, users.ApplicationChange{Name: ptr("x"), IfVersion: 3})
	equal(t, "of another version", class(err), "stale")
	_, err = svc.UpdateApplication(t.Context(), "nobody", users.ApplicationChange{})
	equal(t, "of none", class(err), "unknown application")
	_, err = svc.UpdateApplication(t.Context(), apiKey, users.ApplicationChange{Name: ptr(strings.Repeat("a", 257))})
	equal(t, "a long name", findings(t, err), []string{"/name too_long"})
}

// Changes of an application that race are both applied; one that never sees the other
// writer's version is stale.
func TestRacingChangesOfAnApplicationLoseNothing(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	plain := newServiceOn(t, store, users.Options{})
	raced := 0
	svc := plain.WithStore(storefake.Around(store, func(ctx context.Context, m storefake.Method, _ any, do func() error) error {
		if m == storefake.UpdateApplication && raced < 3 {
			raced++
			if _, err := plain.UpdateApplication(ctx, apiKey, users.ApplicationChange{Name: ptr(fmt.Sprint("name ", raced))}); err != nil {
				t.Error(err)
			}
		}
		return do()
	}))
	a, err := svc.UpdateApplication(t.Context(), apiKey, users.ApplicationChange{RequireApproval: ptr(true)})
	if err != nil || a.Name != "name 3" || !a.RequireApproval || a.Version != 5 {
		t.Errorf("got %+v, %v, want every change", a, err)
	}
	raced = 0
	_, err = svc.UpdateApplication(t.Context(), apiKey, users.ApplicationChange{RequireApproval: ptr(false), IfVersion: 5})
	equal(t, "of one version", class(err), "stale")

	tries := 0
	svc = plain.WithStore(storefake.Around(store, func(_ context.Context, m storefake.Method, _ any, do func() error) error {
		if m == storefake.UpdateApplication {
			tries++
			return users.ErrStale
		}
		return do()
	}))
	_, err = svc.UpdateApplication(t.Context(), apiKey, users.ApplicationChange{Disabled: ptr(true)})
	equal(t, "one version forever", class(err), "stale")
	equal(t, "tries", tries, 1)
}
