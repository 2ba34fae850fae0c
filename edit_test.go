package users_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

// get reads a user back as the host.
func get(t testing.TB, svc *users.Service, ref string) *users.User {
	t.Helper()
	u, err := svc.User(t.Context(), apiKey, ref)
	if err != nil {
		t.Fatalf("%s: %v", ref, err)
	}
	return u
}

// addFullUser creates alice with every member at another value than its default.
func addFullUser(t testing.TB, svc *users.Service) *users.User {
	t.Helper()
	p := params("alice")
	p.Name, p.Roles = "Alice A.", roleRefs("editor")
	p.IsApproved, p.IsLockedOut, p.AllowDashboardAccess = ptr(false), ptr(true), true
	p.DashboardSettings = json.RawMessage(`{"a": 1, "b": [2]}`)
	u, err := svc.Create(t.Context(), apiKey, p)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestUpdateUserChangesWhatItNames(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change users.UserChange
		want   func(*users.User)
	}{
		"userName":              {users.UserChange{UserName: ptr("Bob")}, func(u *users.User) { u.UserName = "Bob" }},
		"spelling of a name":    {users.UserChange{UserName: ptr("ALICE")}, func(u *users.User) { u.UserName = "ALICE" }},
		"email":                 {users.UserChange{Email: ptr("Bob@example.org")}, func(u *users.User) { u.Email = "Bob@example.org" }},
		"name":                  {users.UserChange{Name: ptr("Bob B.")}, func(u *users.User) { u.Name = "Bob B." }},
		"no name":               {users.UserChange{Name: ptr(" ")}, func(u *users.User) { u.Name = "" }},
		"isApproved":            {users.UserChange{IsApproved: ptr(true)}, func(u *users.User) { u.IsApproved = true }},
		"isLockedOut":           {users.UserChange{IsLockedOut: ptr(false)}, func(u *users.User) { u.IsLockedOut = false }},
		"no roles":              {users.UserChange{Roles: ptr([]users.RoleRef{})}, func(u *users.User) { u.Roles = []users.Role{} }},
		"a role twice":          {users.UserChange{Roles: ptr(roleRefs("chief", "chief"))}, func(u *users.User) { u.Roles[0].Name = "chief" }},
		"another role":          {users.UserChange{Roles: ptr(roleRefs("editor", "chief"))}, func(u *users.User) { u.Roles = append(u.Roles, users.Role{Name: "chief"}) }},
		"no access":             {users.UserChange{AllowDashboardAccess: ptr(false)}, func(u *users.User) { u.AllowDashboardAccess = false }},
		"settings":              {users.UserChange{DashboardSettings: json.RawMessage(`{ "b":1}`)}, func(u *users.User) { u.DashboardSettings = json.RawMessage(`{ "b":1}`) }},
		"no settings":           {users.UserChange{DashboardSettings: json.RawMessage(`{}`)}, func(u *users.User) { u.DashboardSettings = json.RawMessage(`{}`) }},
		"one member of a whole": {users.UserChange{UserName: ptr("alice"), Email: ptr("alice@example.com"), Name: ptr("B"), Roles: ptr(roleRefs("editor"))}, func(u *users.User) { u.Name = "B" }},
	} {
		var c clock
		svc := newService(t, users.Options{Now: c.Now, NewID: ids()})
		addRole(t, svc, "editor")
		addRole(t, svc, "chief")
		want := addFullUser(t, svc)
		c.add(time.Minute)
		tt.want(want)
		want.DateUpdated, want.Version = c.Now(), 2

		got, err := svc.UpdateUser(t.Context(), apiKey, want.ID, tt.change)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for i, r := range got.Roles {
			if i < len(want.Roles) && r.Name == want.Roles[i].Name {
				want.Roles[i] = r
			}
		}
		equal(t, name+": answer", got, want)
		equal(t, name+": what is read back", get(t, svc, want.ID), want)
		for _, part := range []string{want.UserName, want.Email, want.Name} {
			if _, names := found(t, svc, users.FindUsersParams{UserFilter: users.UserFilter{Phrase: part}}); len(names) != 1 {
				t.Errorf("%s: %q is not found", name, part)
			}
		}
	}
}

// What is sent as it is asks for nothing: no write, no permission, no rule.
func TestUpdateUserWithoutAChangeWritesNothing(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	plain := newServiceOn(t, store, users.Options{})
	role := addRole(t, plain, "editor")
	u := addFullUser(t, plain)
	var seen log
	svc := plain.WithStore(seen.on(store))
	reader := as(t.Context(), users.Caller{ID: "r", APIKey: apiKey, Permissions: users.ReadUsers})
	for name, c := range map[string]users.UserChange{
		"nothing":          {},
		"the whole":        {UserName: &u.UserName, Email: &u.Email, Name: &u.Name, IsApproved: &u.IsApproved, IsLockedOut: &u.IsLockedOut, Roles: ptr(roleRefs("editor")), AllowDashboardAccess: &u.AllowDashboardAccess, DashboardSettings: u.DashboardSettings},
		"role by id":       {Roles: ptr([]users.RoleRef{{ID: strings.ToLower(role.ID)}})},
		"role by both":     {Roles: ptr([]users.RoleRef{{ID: role.ID, Name: "editor"}, {Name: "editor"}})},
		"settings in JSON": {DashboardSettings: json.RawMessage(" {\"b\":[ 2],\n\"\\u0061\":1}")},
		"settings null":    {DashboardSettings: json.RawMessage(" null ")},
	} {
		got, err := svc.UpdateUser(reader, apiKey, u.ID, c)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		equal(t, name, got, u)
	}
	calls, _ := seen.take()
	for _, m := range calls {
		if m != storefake.FindApplication && m != storefake.FindUsers {
			t.Errorf("the store was asked for %s", m)
		}
	}
	_, err := svc.UpdateUser(t.Context(), apiKey, u.ID, users.UserChange{IfVersion: 7})
	equal(t, "of another version", class(err), "stale")
}

// A changed member meets the rules of a new one, at the same pointer, and all findings
// come at once.
func TestUpdateUserAppliesTheRulesOfCreation(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{})
	addRole(t, svc, "editor")
	u := addFullUser(t, svc)
	long := strings.Repeat("a", 257)
	for name, tt := range map[string]struct {
		change users.UserChange
		want   string
	}{
		"required": {users.UserChange{UserName: ptr(""), Email: ptr("")}, "/userName required, /email required"},
		"all at once": {
			users.UserChange{
				UserName: ptr("a b"), Email: ptr("x"), Name: &long, DashboardSettings: json.RawMessage(`[]`),
				Roles: ptr([]users.RoleRef{{Name: "editor"}, {Name: "nobody"}, {ID: "x"}, {}}),
			},
			"/userName invalid_characters, /email invalid_email, /dashboardSettings invalid_type, /name too_long, /roles/1 unknown_role, /roles/2 invalid_id, /roles/3 required",
		},
		"a name that is another's address": {users.UserChange{UserName: ptr("bob@example.com")}, "/userName not_own_email"},
		"a name that is an id":             {users.UserChange{UserName: ptr(unknownID)}, "/userName looks_like_id"},
		"too many roles":                   {users.UserChange{Roles: ptr(make([]users.RoleRef, 101))}, "/roles too_many"},
		"deep settings":                    {users.UserChange{DashboardSettings: json.RawMessage(strings.Repeat(`{"a":`, 21) + "1" + strings.Repeat("}", 21))}, "/dashboardSettings too_deep"},
		"huge settings":                    {users.UserChange{DashboardSettings: json.RawMessage(`{"a":"` + strings.Repeat("a", 64<<10) + `"}`)}, "/dashboardSettings too_long"},
		"broken settings":                  {users.UserChange{DashboardSettings: json.RawMessage(`{"a":1,"a":2}`)}, "/dashboardSettings invalid_json"},
	} {
		_, err := svc.UpdateUser(t.Context(), apiKey, u.ID, tt.change)
		if class(err) != "invalid" {
			t.Errorf("%s: got %v", name, err)
			continue
		}
		equal(t, name, strings.Join(findings(t, err), ", "), tt.want)
	}
	equal(t, "the user", get(t, svc, u.ID), u)
}

// A user whose name is its address is not left with the address of somebody else as
// its name.
func TestNameThatIsTheAddressChangesWithIt(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{})
	p := params("ann")
	p.UserName = "ann@example.com"
	if _, err := svc.Create(t.Context(), apiKey, p); err != nil {
		t.Fatal(err)
	}
	_, err := svc.UpdateUser(t.Context(), apiKey, "ann@example.com", users.UserChange{Email: ptr("new@example.com")})
	equal(t, "the address alone", findings(t, err), []string{"/userName not_own_email"})
	u, err := svc.UpdateUser(t.Context(), apiKey, "ann@example.com", users.UserChange{Email: ptr("new@example.com"), UserName: ptr("new@example.com")})
	if err != nil || u.UserName != "new@example.com" {
		t.Errorf("both: got %v, %v", u, err)
	}
	if u, err = svc.UpdateUser(t.Context(), apiKey, "new@example.com", users.UserChange{UserName: ptr("ann")}); err != nil || u.UserName != "ann" {
		t.Errorf("the name alone: got %v, %v", u, err)
	}
}

func TestUpdateUserNamesEveryMemberThatIsTaken(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{})
	ann := addUser(t, t.Context(), svc, "ann")
	addUser(t, t.Context(), svc, "bob")
	for want, c := range map[string]users.UserChange{
		"userName":       {UserName: ptr("BOB")},
		"email":          {Email: ptr("BOB@example.com")},
		"userName email": {UserName: ptr("Bob"), Email: ptr("bob@EXAMPLE.com")},
	} {
		_, err := svc.UpdateUser(t.Context(), apiKey, "ann", c)
		var conflict *users.ConflictError
		if !errors.As(err, &conflict) {
			t.Errorf("%s: got %v, want a *ConflictError", want, err)
			continue
		}
		equal(t, want, conflict.Members, words(want))
	}
	equal(t, "ann", get(t, svc, "ann"), ann)
}

// Each privileged member needs its permission, at both of its values.
func TestUpdateUserNamesEveryMemberThatIsForbidden(t *testing.T) {
	t.Parallel()
	for member, tt := range map[string]struct {
		need   users.Permissions
		change users.UserChange
	}{
		"userName":             {users.EditUsers, users.UserChange{UserName: ptr("new")}},
		"email":                {users.EditUsers, users.UserChange{Email: ptr("new@example.com")}},
		"name":                 {users.EditUsers, users.UserChange{Name: ptr("new")}},
		"isApproved":           {users.SetStatus, users.UserChange{IsApproved: ptr(false)}},
		"isLockedOut":          {users.SetStatus, users.UserChange{IsLockedOut: ptr(true)}},
		"roles":                {users.AssignAnyRole, users.UserChange{Roles: ptr(roleRefs("editor"))}},
		"allowDashboardAccess": {users.GrantDashboard, users.UserChange{AllowDashboardAccess: ptr(true)}},
		"dashboardSettings":    {users.GrantDashboard, users.UserChange{DashboardSettings: json.RawMessage(`{"a":1}`)}},
	} {
		for _, allowed := range []bool{false, true} {
			svc := newService(t, users.Options{})
			addRole(t, svc, "editor")
			before := addUser(t, t.Context(), svc, "ann")
			c := users.Caller{ID: "c", APIKey: apiKey, Permissions: users.AllPermissions &^ (tt.need | users.AssignRoles)}
			if allowed {
				c.Permissions = tt.need
			}
			_, err := svc.UpdateUser(as(t.Context(), c), apiKey, before.ID, tt.change)
			if allowed {
				equal(t, member, class(err), "ok")
				continue
			}
			var forbidden *users.ForbiddenError
			if !errors.As(err, &forbidden) {
				t.Errorf("%s: got %v, want a *ForbiddenError", member, err)
				continue
			}
			equal(t, member, forbidden.Members, []string{member})
			equal(t, member+": the user", get(t, svc, before.ID), before)
		}
	}
}

func TestForbiddenChangesAreNamedInContractOrder(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{})
	addRole(t, svc, "editor")
	u := addUser(t, t.Context(), svc, "ann")
	reader := as(t.Context(), users.Caller{ID: "r", APIKey: apiKey, Permissions: users.ReadUsers})
	_, err := svc.UpdateUser(reader, apiKey, u.ID, users.UserChange{
		UserName: ptr("new"), Email: ptr("new@example.com"), Name: ptr("new"), IsApproved: ptr(false), IsLockedOut: ptr(true),
		Roles: ptr(roleRefs("editor")), AllowDashboardAccess: ptr(true), DashboardSettings: json.RawMessage(`{"a":1}`),
	})
	var forbidden *users.ForbiddenError
	if !errors.As(err, &forbidden) {
		t.Fatalf("got %v, want a *ForbiddenError", err)
	}
	equal(t, "members", forbidden.Members, words("userName email allowDashboardAccess dashboardSettings isApproved isLockedOut name roles"))

	_, err = svc.UpdateUser(reader, apiKey, u.ID, users.UserChange{DashboardSettings: json.RawMessage(` { } `)})
	equal(t, "no settings where there are none", class(err), "ok")
}

// A row says of the rules that made its keys what is true of both.
func TestKeysOfOlderRulesStayUntilBothAreNew(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	svc := newServiceOn(t, store, users.Options{})
	app, err := svc.Application(t.Context(), apiKey)
	if err != nil {
		t.Fatal(err)
	}
	err = store.CreateUser(t.Context(), &users.NewUser{UserRecord: users.UserRecord{
		User:          users.User{ID: uuid(1), UserName: "ANN", Email: "ann@example.com", Version: 1},
		ApplicationID: app.ID, NameKey: "ANN", EmailKey: "ann@example.com", KeyVersion: 1,
	}})
	if err != nil {
		t.Fatal(err)
	}
	version := func() int {
		found, err := store.FindUsers(t.Context(), users.UserQuery{ApplicationID: app.ID, IDs: []string{uuid(1)}})
		if err != nil || len(found) != 1 {
			t.Fatalf("got %v, %v", found, err)
		}
		return found[0].KeyVersion
	}
	if _, err := svc.UpdateUser(t.Context(), apiKey, uuid(1), users.UserChange{UserName: ptr("ANN"), Email: ptr("new@example.com")}); err != nil {
		t.Fatal(err)
	}
	equal(t, "the name is old", version(), 1)
	if _, err := svc.UpdateUser(t.Context(), apiKey, uuid(1), users.UserChange{UserName: ptr("Ann")}); err != nil {
		t.Fatal(err)
	}
	if version() == 1 {
		t.Error("both keys are new: got version 1")
	}
}

// Who may assign some roles may add and remove these, of users who have no others, and
// learns nothing of other roles.
func TestUpdateUserGivesAndTakesAssignableRolesOnly(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{})
	for _, name := range []string{"editor", "viewer", "chief"} {
		addRole(t, svc, name)
	}
	assigner := as(t.Context(), users.Caller{
		ID: "a", APIKey: apiKey, Permissions: users.AssignRoles | users.ReadUsers, AssignableRoles: roleRefs("editor", "viewer", "ghost"),
	})
	for i, tt := range []struct{ has, to, want string }{
		{"", "editor", "ok"},
		{"editor", "viewer", "ok"},
		{"editor viewer", "", "ok"},
		{"", "chief", "forbidden"},
		{"editor", "editor chief", "forbidden"},
		{"", "nobody", "forbidden"},
		{"", "ghost", "invalid"},
		{"chief", "", "forbidden"},
		{"chief", "chief editor", "forbidden"},
		{"editor chief", "chief", "forbidden"},
		{"chief", "chief", "ok"},
	} {
		name := fmt.Sprint("user", i)
		p := params(name)
		p.Roles = roleRefs(words(tt.has)...)
		if _, err := svc.Create(t.Context(), apiKey, p); err != nil {
			t.Fatal(err)
		}
		_, err := svc.UpdateUser(assigner, apiKey, name, users.UserChange{Roles: ptr(roleRefs(words(tt.to)...))})
		what := tt.has + " to " + tt.to
		equal(t, what, class(err), tt.want)
		want := tt.has
		if tt.want == "ok" {
			want = tt.to
		}
		equal(t, what+": roles", strings.Join(sorted(roleNames(get(t, svc, name))), " "), strings.Join(sorted(words(want)), " "))
	}
}

func roleNames(u *users.User) []string {
	names := make([]string, len(u.Roles))
	for i, r := range u.Roles {
		names[i] = r.Name
	}
	return names
}

// A new address is not proved; what went to the old one is worth nothing.
func TestNewAddressEndsTokensAndVerification(t *testing.T) {
	t.Parallel()
	var c clock
	store := memstore.NewWithClock(c.Now)
	svc := newServiceOn(t, store, users.Options{Now: c.Now})
	u := invite(t, svc, "ann")
	if !u.EmailVerified.IsZero() {
		t.Error("verified before anything was sent")
	}

	mailed := mailedToken(t, svc, u)
	c.add(time.Minute)
	if err := svc.SetPassword(t.Context(), apiKey, mailed, password.New(secret)); err != nil {
		t.Fatal(err)
	}
	equal(t, "verified by a mailed token", get(t, svc, u.ID).EmailVerified, c.Now())

	kept := issue(t, svc, u.ID)
	if _, err := svc.UpdateUser(t.Context(), apiKey, u.ID, users.UserChange{Email: ptr("ANN@example.com")}); err != nil {
		t.Fatal(err)
	}
	equal(t, "another spelling: verified", get(t, svc, u.ID).EmailVerified, c.Now())
	if _, err := svc.UpdateUser(t.Context(), apiKey, u.ID, users.UserChange{Email: ptr("ann@example.org")}); err != nil {
		t.Fatal(err)
	}
	equal(t, "a new address: verified", get(t, svc, u.ID).EmailVerified, time.Time{})
	equal(t, "the token", class(svc.SetPassword(t.Context(), apiKey, kept.Secret, password.New(newSecret))), "bad token")

	if err := svc.SetPassword(t.Context(), apiKey, issue(t, svc, u.ID).Secret, password.New(newSecret)); err != nil {
		t.Fatal(err)
	}
	equal(t, "verified by a token of the host's", get(t, svc, u.ID).EmailVerified, time.Time{})
}

// A token whose message was already under way when the address changed is bound to
// the address that it goes to.
func TestTokenIsBoundToItsAddress(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	svc := newServiceOn(t, store, users.Options{})
	u := invite(t, svc, "ann")
	var late func() error
	slow := svc.WithStore(storefake.Around(store, func(_ context.Context, m storefake.Method, _ any, do func() error) error {
		if m == storefake.CreateToken { // its arguments are made: the relay stands still here
			late = do
			return nil
		}
		return do()
	}))
	token := mailedToken(t, slow, u)
	if _, err := svc.UpdateUser(t.Context(), apiKey, u.ID, users.UserChange{Email: ptr("new@example.com")}); err != nil {
		t.Fatal(err)
	}
	if err := late(); err != nil {
		t.Fatal(err)
	}
	equal(t, "the token", class(svc.SetPassword(t.Context(), apiKey, token, password.New(secret))), "bad token")
}

// mailedToken is the token of a message to u.
func mailedToken(t *testing.T, svc *users.Service, u *users.User) password.Secret {
	t.Helper()
	app, err := svc.Application(t.Context(), apiKey)
	if err != nil {
		t.Fatal(err)
	}
	n, err := svc.PrepareNotification(t.Context(), users.NotificationRecord{
		ID: unknownID, ApplicationID: app.ID, UserID: u.ID, Kind: users.KindSetPassword, State: users.StatePending,
	})
	if err != nil {
		t.Fatal(err)
	}
	return n.Token
}

// Changes that race without a version are applied one after the other, member by
// member; of those with a version one wins.
func TestRacingChangesLoseNothing(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{})
	addRole(t, svc, "editor")
	u := addUser(t, t.Context(), svc, "ann")
	changes := []users.UserChange{
		{UserName: ptr("bea")}, {Email: ptr("bea@example.com")}, {Name: ptr("Bea")}, {IsApproved: ptr(false)},
		{IsLockedOut: ptr(true)}, {Roles: ptr(roleRefs("editor"))}, {AllowDashboardAccess: ptr(true)}, {DashboardSettings: json.RawMessage(`{"a":1}`)},
	}
	var all sync.WaitGroup
	for _, c := range changes {
		all.Go(func() {
			if _, err := svc.UpdateUser(t.Context(), apiKey, u.ID, c); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	got := get(t, svc, u.ID)
	if got.UserName != "bea" || got.Email != "bea@example.com" || got.Name != "Bea" || got.IsApproved || !got.IsLockedOut ||
		len(got.Roles) != 1 || !got.AllowDashboardAccess || string(got.DashboardSettings) != `{"a":1}` {
		t.Errorf("got %+v, want every change", got)
	}
	equal(t, "version", got.Version, int64(1+len(changes)))

	outcomes := make(chan string, 20)
	for i := range 20 {
		all.Go(func() {
			_, err := svc.UpdateUser(t.Context(), apiKey, u.ID, users.UserChange{IfVersion: got.Version, Name: ptr(fmt.Sprint("n", i))})
			outcomes <- class(err)
		})
	}
	all.Wait()
	close(outcomes)
	counts := map[string]int{}
	for o := range outcomes {
		counts[o]++
	}
	equal(t, "of one version", counts, map[string]int{"ok": 1, "stale": 19})
}

// A role that goes while a user gets it is an unknown role, as it would be a moment
// later, and not a failure.
func TestRoleThatIsDeletedMeanwhileIsUnknown(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	plain := newServiceOn(t, store, users.Options{})
	role := addRole(t, plain, "editor")
	u := addUser(t, t.Context(), plain, "ann")
	gone := false
	svc := plain.WithStore(storefake.Around(store, func(ctx context.Context, m storefake.Method, _ any, do func() error) error {
		if m == storefake.EditUser && !gone {
			gone = true
			if err := plain.DeleteRole(ctx, apiKey, role.ID); err != nil {
				t.Error(err)
			}
		}
		return do()
	}))
	_, err := svc.UpdateUser(t.Context(), apiKey, u.ID, users.UserChange{Roles: ptr(roleRefs("editor"))})
	equal(t, "findings", findings(t, err), []string{"/roles/0 unknown_role"})
}

// What the caller may do is judged by the user as it is when it is changed.
func TestGoverningIsJudgedByWhatIsChanged(t *testing.T) {
	t.Parallel()
	for op, call := range (&world{}).onUsers() {
		if op == "IssueSetPasswordToken" { // changes nothing of the user
			continue
		}
		store := memstore.New()
		plain := newServiceOn(t, store, users.Options{})
		addRole(t, plain, "editor")
		u := addUser(t, t.Context(), plain, "ann")
		if _, err := plain.SetStatus(t.Context(), apiKey, u.ID, users.Status{IsApproved: ptr(op == "UpdateUser,whole")}); err != nil {
			t.Fatal(err)
		}
		promoted := false
		svc := plain.WithStore(storefake.Around(store, func(ctx context.Context, m storefake.Method, _ any, do func() error) error {
			if (m == storefake.EditUser || m == storefake.DeleteUser || m == storefake.SetUserStatus) && !promoted {
				promoted = true
				if _, err := plain.UpdateUser(context.WithoutCancel(t.Context()), apiKey, u.ID, users.UserChange{Roles: ptr(roleRefs("editor"))}); err != nil {
					t.Error(err)
				}
			}
			return do()
		}))
		call = (&world{svc: svc}).onUsers()[op]
		if err := call(as(t.Context(), manager), u.ID); promoted {
			equal(t, op, class(err), "forbidden")
		} else if op != "UpdateUser,whole" {
			t.Errorf("%s: nothing was written", op)
		}
		got := get(t, plain, u.ID)
		if got.Email != u.Email || got.IsApproved != (op == "UpdateUser,whole") {
			t.Errorf("%s: got %+v", op, got)
		}
	}
}

// Inside the host's transaction another writer's version is never visible.
func TestChangesInTheHostsTransactionAreStaleOnce(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	plain := newServiceOn(t, store, users.Options{})
	u := addUser(t, t.Context(), plain, "ann")
	for _, failure := range []error{users.ErrStale, users.ErrUnknownRole} {
		tries := 0
		svc := plain.InTx(storefake.Around(store, func(_ context.Context, m storefake.Method, _ any, do func() error) error {
			if m == storefake.EditUser || m == storefake.DeleteUser {
				tries++
				return failure
			}
			return do()
		}))
		_, err := svc.UpdateUser(t.Context(), apiKey, u.ID, users.UserChange{Name: ptr("x")})
		equal(t, "UpdateUser", class(err), "stale")
		equal(t, "tries", tries, 1)
	}
}

func TestDeletedUserLeavesNothing(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	svc := newServiceOn(t, store, users.Options{})
	p := keyed("ann", "key")
	p.SendEmailNotification = true
	u, err := svc.Create(t.Context(), apiKey, p)
	if err != nil {
		t.Fatal(err)
	}
	token := issue(t, svc, u.ID)
	equal(t, "of another version", class(svc.DeleteUser(t.Context(), apiKey, "ann", 2)), "stale")
	if err := svc.DeleteUser(t.Context(), apiKey, "ANN@example.com", 1); err != nil {
		t.Fatal(err)
	}

	equal(t, "again", class(svc.DeleteUser(t.Context(), apiKey, "ann", 0)), "not found")
	for _, ref := range []string{u.ID, "ann", "ann@example.com"} {
		_, err := svc.User(t.Context(), apiKey, ref)
		equal(t, ref, class(err), "not found")
	}
	equal(t, "its token", class(svc.SetPassword(t.Context(), apiKey, token.Secret, password.New(newSecret))), "bad token")
	waiting, err := svc.Notifications(t.Context(), apiKey, users.NotificationQuery{})
	if err != nil || len(waiting.Notifications) != 0 {
		t.Errorf("notifications: got %v, %v, want none", waiting, err)
	}
	_, err = svc.Create(t.Context(), apiKey, p)
	equal(t, "a repetition of the request that created it", class(err), "not found")
	again := addUser(t, t.Context(), svc, "ann")
	if again.ID == u.ID || again.Version != 1 {
		t.Errorf("got %+v, want a new user", again)
	}
}

func TestChangePasswordByAnAdministrator(t *testing.T) {
	t.Parallel()
	var c clock
	store := memstore.NewWithClock(c.Now)
	svc := newServiceOn(t, store, users.Options{Now: c.Now})
	u := addUser(t, t.Context(), svc, "ann")
	token := issue(t, svc, u.ID)
	c.add(time.Minute)
	err := svc.ChangePassword(as(t.Context(), admin), apiKey, "ann", users.ChangePasswordParams{
		NewPassword: password.New(newSecret), SendEmailNotification: true, IfVersion: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := svc.Authenticate(t.Context(), apiKey, "ann", password.New(newSecret)); err != nil {
		t.Errorf("the new one: %v", err)
	}
	_, err = svc.Authenticate(t.Context(), apiKey, "ann", password.New(secret))
	equal(t, "the old one", class(err), "bad credentials")
	equal(t, "an earlier token", class(svc.SetPassword(t.Context(), apiKey, token.Secret, password.New(secret))), "bad token")
	got := get(t, svc, u.ID)
	equal(t, "version", got.Version, 2)
	equal(t, "date", got.DateUpdated, c.Now())
	equal(t, "the password's date", recordOf(t, svc, store, "ann").PasswordChanged, c.Now())
	waiting, err := svc.Notifications(t.Context(), apiKey, users.NotificationQuery{})
	if err != nil || len(waiting.Notifications) != 1 || waiting.Notifications[0].Kind != users.KindPasswordChanged || waiting.Notifications[0].UserID != u.ID {
		t.Errorf("notifications: got %v, %v, want one", waiting, err)
	}
	err = svc.ChangePassword(t.Context(), apiKey, "ann", users.ChangePasswordParams{NewPassword: password.New("ann"), OldPassword: password.New("x")})
	equal(t, "a weak one", len(findings(t, err)), 1)
	err = svc.ChangePassword(t.Context(), apiKey, "ann", users.ChangePasswordParams{})
	equal(t, "none", findings(t, err), []string{"/newPassword required"})
	err = svc.ChangePassword(t.Context(), apiKey, "ann", users.ChangePasswordParams{NewPassword: password.New(newSecret), IfVersion: 1})
	equal(t, "of another version", class(err), "stale")
}

// A message that nobody would keep is refused before the password is changed.
func TestChangePasswordTellsOnlyWithAnOutbox(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	svc := newServiceOn(t, struct {
		users.Store
		users.UserEditor
	}{storefake.Without(store), store}, users.Options{})
	u := addUser(t, t.Context(), svc, "ann")
	change := users.ChangePasswordParams{NewPassword: password.New(newSecret), SendEmailNotification: true}
	equal(t, "with a message", class(svc.ChangePassword(t.Context(), apiKey, u.ID, change)), "unsupported")
	equal(t, "version", get(t, svc, u.ID).Version, 1)
	change.SendEmailNotification = false
	equal(t, "without", class(svc.ChangePassword(t.Context(), apiKey, u.ID, change)), "ok")
}

// A user changes its own password, and no other's, with the old one; guesses at that
// are failed sign-ins.
func TestChangePasswordOfOnesOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		svc := newService(t, users.Options{Lockout: users.Lockout{Free: 3}})
		u := addUser(t, t.Context(), svc, "ann")
		addUser(t, t.Context(), svc, "bob")
		for _, permissions := range []users.Permissions{0, users.AllPermissions} {
			own := as(t.Context(), users.Caller{ID: "session", APIKey: apiKey, UserID: strings.ToLower(u.ID), Permissions: permissions})
			change := func(ref, old string) string {
				return class(svc.ChangePassword(own, apiKey, ref, users.ChangePasswordParams{NewPassword: password.New(newSecret), OldPassword: password.New(old)}))
			}
			err := svc.ChangePassword(own, apiKey, "ann", users.ChangePasswordParams{})
			equal(t, "nothing", findings(t, err), []string{"/oldPassword required", "/newPassword required"})
			for _, ref := range []string{u.ID, "ann", "ann@example.com"} {
				equal(t, ref, change(ref, secret), "ok")
				if err := svc.ChangePassword(t.Context(), apiKey, u.ID, users.ChangePasswordParams{NewPassword: password.New(secret)}); err != nil {
					t.Fatal(err)
				}
			}
			for range 3 {
				equal(t, "a wrong one", change("ann", newSecret), "bad credentials")
			}
			equal(t, "the right one after 3 wrong ones", change("ann", secret), "bad credentials")
			_, err = svc.Authenticate(t.Context(), apiKey, "ann", password.New(secret))
			equal(t, "signing in", class(err), "bad credentials")
			time.Sleep(time.Minute)
			equal(t, "after the lock", change("ann", secret), "ok")
			if err := svc.ChangePassword(t.Context(), apiKey, u.ID, users.ChangePasswordParams{NewPassword: password.New(secret)}); err != nil {
				t.Fatal(err)
			}
			if permissions == 0 {
				equal(t, "another's", change("bob", secret), "forbidden")
				equal(t, "nobody's", change("nobody", secret), "forbidden")
			}
			got, err := svc.User(own, apiKey, u.ID)
			if err != nil || got.ID != u.ID {
				t.Errorf("itself: got %v, %v", got, err)
			}
		}
	})
}

// The old password that was right a moment ago says nothing of the next one.
func TestChangePasswordOfOnesOwnNotOverAnother(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	plain := newServiceOn(t, store, users.Options{})
	u := addUser(t, t.Context(), plain, "ann")
	const third = "eleven plum jars over 6 saddles"
	raced := false
	svc := plain.WithStore(storefake.Around(store, func(ctx context.Context, m storefake.Method, _ any, do func() error) error {
		if m == storefake.EditUser && !raced {
			raced = true
			if err := plain.ChangePassword(context.WithoutCancel(t.Context()), apiKey, u.ID, users.ChangePasswordParams{NewPassword: password.New(third)}); err != nil {
				t.Error(err)
			}
		}
		return do()
	}))
	own := as(t.Context(), users.Caller{APIKey: apiKey, UserID: u.ID})
	err := svc.ChangePassword(own, apiKey, u.ID, users.ChangePasswordParams{NewPassword: password.New(newSecret), OldPassword: password.New(secret)})
	equal(t, "the change", class(err), "bad credentials")
	if _, err := svc.Authenticate(t.Context(), apiKey, "ann", password.New(third)); err != nil {
		t.Errorf("the other's: %v", err)
	}
}

// A name can be another user's when a change begins again: it goes on with the user that
// it was for.
func TestChangesFollowTheirUser(t *testing.T) {
	t.Parallel()
	for op := range (&world{}).onUsers() {
		if op == "IssueSetPasswordToken" || op == "UpdateUser,whole" {
			continue
		}
		for _, sameVersion := range []bool{false, true} {
			store := memstore.New()
			plain := newServiceOn(t, store, users.Options{})
			ann := addUser(t, t.Context(), plain, "ann")
			bob := addUser(t, t.Context(), plain, "bob")
			for _, u := range []*users.User{ann, bob} {
				if _, err := plain.SetStatus(t.Context(), apiKey, u.ID, users.Status{IsApproved: ptr(false)}); err != nil {
					t.Fatal(err)
				}
			}
			if !sameVersion { // once "ann" is bob's
				if _, err := plain.UpdateUser(t.Context(), apiKey, bob.ID, users.UserChange{Name: ptr("Bob")}); err != nil {
					t.Fatal(err)
				}
			}
			handed := false
			svc := plain.WithStore(storefake.Around(store, func(ctx context.Context, m storefake.Method, _ any, do func() error) error {
				if (m == storefake.EditUser || m == storefake.DeleteUser || m == storefake.SetUserStatus) && !handed {
					handed = true
					for ref, name := range map[string]string{ann.ID: "anna"} {
						if _, err := plain.UpdateUser(context.WithoutCancel(t.Context()), apiKey, ref, users.UserChange{UserName: &name}); err != nil {
							t.Error(err)
						}
					}
					if _, err := plain.UpdateUser(context.WithoutCancel(t.Context()), apiKey, bob.ID, users.UserChange{UserName: ptr("ann")}); err != nil {
						t.Error(err)
					}
				}
				return do()
			}))
			before := get(t, plain, bob.ID)
			err := (&world{svc: svc}).onUsers()[op](t.Context(), "ann")
			equal(t, op, class(err), "ok")
			after, err := plain.User(t.Context(), apiKey, bob.ID)
			if err != nil || after.Email != before.Email || after.IsApproved || !after.PasswordChanged.Equal(before.PasswordChanged) {
				t.Errorf("%s: the other user: got %+v, %v", op, after, err)
			}
		}
	}
}

// A password is judged by what the user is called when it is set.
func TestPolicyJudgesTheUserAsItIsChanged(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	plain := newServiceOn(t, store, users.Options{})
	u := addUser(t, t.Context(), plain, "ann")
	raced := false
	svc := plain.WithStore(storefake.Around(store, func(ctx context.Context, m storefake.Method, _ any, do func() error) error {
		if m == storefake.EditUser && !raced {
			raced = true
			if _, err := plain.UpdateUser(context.WithoutCancel(t.Context()), apiKey, u.ID, users.UserChange{UserName: ptr("quillfeather-ann")}); err != nil {
				t.Error(err)
			}
		}
		return do()
	}))
	err := svc.ChangePassword(t.Context(), apiKey, u.ID, users.ChangePasswordParams{NewPassword: password.New("quillfeather-ann")})
	equal(t, "the name as a password", len(findings(t, err)), 1)
}

// Roles that go one after the other do not fail a change that is not about them.
func TestChangeOutlivesRolesThatGo(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	plain := newServiceOn(t, store, users.Options{})
	p := params("ann")
	var roles []users.Role
	for i := range 4 {
		roles = append(roles, addRole(t, plain, fmt.Sprint("role", i)))
		p.Roles = append(p.Roles, users.RoleRef{ID: roles[i].ID})
	}
	if _, err := plain.Create(t.Context(), apiKey, p); err != nil {
		t.Fatal(err)
	}
	svc := plain.WithStore(storefake.Around(store, func(ctx context.Context, m storefake.Method, _ any, do func() error) error {
		if m == storefake.EditUser && len(roles) > 1 {
			if err := plain.DeleteRole(context.WithoutCancel(t.Context()), apiKey, roles[0].ID); err != nil {
				t.Error(err)
			}
			roles = roles[1:]
		}
		return do()
	}))
	u, err := svc.UpdateUser(t.Context(), apiKey, "ann", users.UserChange{Name: ptr("Ann")})
	if err != nil || u.Name != "Ann" || len(u.Roles) != 1 {
		t.Errorf("got %+v, %v, want the new name and the role that is left", u, err)
	}
}

// Who was given a token for a user could take it over once the user may more.
func TestIssuedTokensEndWhereTheUserMayMore(t *testing.T) {
	t.Parallel()
	for what, tt := range map[string]struct {
		more users.UserChange
		ends bool
	}{
		"a role":                  {users.UserChange{Roles: ptr(roleRefs("chief", "editor"))}, true},
		"another role":            {users.UserChange{Roles: ptr(roleRefs("chief"))}, true},
		"access to the dashboard": {users.UserChange{AllowDashboardAccess: ptr(true)}, true},
		"no role":                 {users.UserChange{Roles: ptr([]users.RoleRef{})}, false},
		"a name":                  {users.UserChange{Name: ptr("Ann")}, false},
	} {
		for _, racing := range []bool{false, true} {
			store := memstore.New()
			plain := newServiceOn(t, store, users.Options{})
			addRole(t, plain, "editor")
			addRole(t, plain, "chief")
			p := params("ann")
			p.Roles = roleRefs("editor")
			u, err := plain.Create(t.Context(), apiKey, p)
			if err != nil {
				t.Fatal(err)
			}
			mailed := mailedToken(t, plain, u)
			promote := func() {
				if _, err := plain.UpdateUser(context.WithoutCancel(t.Context()), apiKey, u.ID, tt.more); err != nil {
					t.Error(err)
				}
			}
			svc := plain.WithStore(storefake.Around(store, func(_ context.Context, m storefake.Method, _ any, do func() error) error {
				if racing && m == storefake.CreateToken { // the user was judged before
					promote()
				}
				return do()
			}))
			issuer := as(t.Context(), users.Caller{ID: "i", APIKey: apiKey, Permissions: users.IssueTokens | users.AssignRoles, AssignableRoles: roleRefs("editor")})
			token, err := svc.IssueSetPasswordToken(issuer, apiKey, u.ID)
			if racing && tt.ends {
				equal(t, what+", while it is issued", class(err), "forbidden")
				continue
			}
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if !racing {
				promote()
			}
			if tt.ends {
				equal(t, what+": the token", class(plain.SetPassword(t.Context(), apiKey, token.Secret, password.New(newSecret))), "bad token")
				equal(t, what+": the mailed one", class(plain.SetPassword(t.Context(), apiKey, mailed, password.New(newSecret))), "ok")
			} else {
				equal(t, what+": the token", class(plain.SetPassword(t.Context(), apiKey, token.Secret, password.New(newSecret))), "ok")
			}
		}
	}
}

// A token that was issued for the former address is worth nothing, however late it is
// stored.
func TestIssuedTokenIsBoundToItsAddress(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	plain := newServiceOn(t, store, users.Options{})
	u := addUser(t, t.Context(), plain, "ann")
	svc := plain.WithStore(storefake.Around(store, func(_ context.Context, m storefake.Method, _ any, do func() error) error {
		if m == storefake.CreateToken {
			if _, err := plain.UpdateUser(context.WithoutCancel(t.Context()), apiKey, u.ID, users.UserChange{Email: ptr("new@example.com")}); err != nil {
				t.Error(err)
			}
		}
		return do()
	}))
	token := issue(t, svc, u.ID)
	equal(t, "the token", class(plain.SetPassword(t.Context(), apiKey, token.Secret, password.New(newSecret))), "bad token")
}

// Who may not sign in may not change its password either.
func TestChangePasswordOfOnesOwnAsSigningIn(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{})
	u := addUser(t, t.Context(), svc, "ann")
	own := as(t.Context(), users.Caller{APIKey: apiKey, UserID: u.ID})
	change := func(old string) string {
		return class(svc.ChangePassword(own, apiKey, u.ID, users.ChangePasswordParams{NewPassword: password.New(newSecret), OldPassword: password.New(old)}))
	}
	for _, tt := range []struct {
		status users.Status
		want   string
	}{{users.Status{IsLockedOut: ptr(true)}, "locked out"}, {users.Status{IsLockedOut: ptr(false), IsApproved: ptr(false)}, "not approved"}} {
		if _, err := svc.SetStatus(t.Context(), apiKey, u.ID, tt.status); err != nil {
			t.Fatal(err)
		}
		equal(t, "a wrong one", change(newSecret), "bad credentials")
		equal(t, "the right one", change(secret), tt.want)
		equal(t, "signing in", signIn(t.Context(), svc, "ann", secret), tt.want)
	}
	for _, ref := range []string{u.ID, "ann", "ann@example.com"} {
		if got, err := svc.User(own, apiKey, ref); err != nil || got.ID != u.ID {
			t.Errorf("itself as %s: got %v, %v", ref, got, err)
		}
	}
}
