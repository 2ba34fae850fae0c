package users_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

func keyed(name, key string) users.CreateUserParams {
	p := params(name)
	p.IdempotencyKey = key
	return p
}

func TestIdempotencyKeyGivesTheSameUserAsItIsNow(t *testing.T) {
	t.Parallel()
	store, h, ran := memstore.New(), newHasher(), 0
	svc := newServiceOn(t, store, users.Options{Hasher: h, AfterCreate: func(context.Context, users.CreateEvent) { ran++ }})
	first, err := svc.Create(t.Context(), apiKey, keyed("alice", "k"))
	if err != nil {
		t.Fatal(err)
	}
	now, err := svc.SetStatus(t.Context(), apiKey, first.ID, users.Status{IsLockedOut: ptr(true)})
	if err != nil {
		t.Fatal(err)
	}
	again, err := svc.Create(t.Context(), apiKey, keyed("alice", "k"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "repeat", again, now)
	if again.ID != first.ID || !again.IsLockedOut {
		t.Errorf("got %+v, want %s as it is now", again, first.ID)
	}
	equal(t, "hashes", h.made.Load(), 1)
	equal(t, "AfterCreate", ran, 1)
}

// A repeat is answered before validation: it never fails because a rule, a role
// or a permission changed since.
func TestRepeatOutlivesTheRulesItWasMadeUnder(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	svc := newServiceOn(t, store, users.Options{})
	addRole(t, svc, "editor")
	p := keyed("alice", "k")
	p.Roles = []users.RoleRef{{Name: "editor"}}
	first, err := svc.Create(as(t.Context(), admin), apiKey, p)
	if err != nil {
		t.Fatal(err)
	}
	stricter, err := users.New(store, &users.Options{
		Hasher: password.InsecureForTests(), Policy: &password.Policy{MinLength: 200}, Now: func() time.Time { return start },
	})
	if err != nil {
		t.Fatal(err)
	}
	weaker := users.Caller{ID: admin.ID, APIKey: apiKey, Permissions: users.CreateUsers}
	again, err := stricter.Create(as(t.Context(), weaker), apiKey, p)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "repeat", again, first)
	weaker.Permissions = 0
	_, err = stricter.Create(as(t.Context(), weaker), apiKey, p)
	equal(t, "repeat by who may not create any more", class(err), "forbidden")
}

// Each member is part of the request that a key identifies, except the password.
func TestFingerprintCoversEveryMemberButThePassword(t *testing.T) {
	t.Parallel()
	full := func() users.CreateUserParams {
		p := keyed("alice", "k")
		p.Name, p.ID = "Alice", uuid(900)
		p.Roles = []users.RoleRef{{Name: "editor"}, {Name: "chief"}}
		p.IsApproved, p.IsLockedOut, p.AllowDashboardAccess = ptr(true), ptr(true), true
		p.DashboardSettings = json.RawMessage(`{"a":1}`)
		p.CreationDate = start
		p.Extra = map[string]json.RawMessage{"company": json.RawMessage(`"a"`), "plan": json.RawMessage(`1`)}
		return p
	}
	cases := map[string]struct {
		amend func(*users.CreateUserParams)
		want  string
	}{
		"nothing":               {func(p *users.CreateUserParams) {}, "ok"},
		"password":              {func(p *users.CreateUserParams) { p.Password = password.New("something else entirely") }, "ok"},
		"confirmPassword":       {func(p *users.CreateUserParams) { p.ConfirmPassword = password.Secret{} }, "ok"},
		"passwordHash":          {func(p *users.CreateUserParams) { p.PasswordHash = password.NewHash("$5$x") }, "ok"},
		"creationDate, zone":    {func(p *users.CreateUserParams) { p.CreationDate = start.In(time.FixedZone("", 3600)) }, "ok"},
		"userName":              {func(p *users.CreateUserParams) { p.UserName = "bob" }, "mismatch"},
		"userName, case":        {func(p *users.CreateUserParams) { p.UserName = "Alice" }, "mismatch"},
		"email":                 {func(p *users.CreateUserParams) { p.Email = "bob@example.com" }, "mismatch"},
		"name":                  {func(p *users.CreateUserParams) { p.Name = "" }, "mismatch"},
		"autoCreatePassword":    {func(p *users.CreateUserParams) { p.AutoCreatePassword = true }, "mismatch"},
		"sendEmailNotification": {func(p *users.CreateUserParams) { p.SendEmailNotification = true }, "mismatch"},
		"allowDashboardAccess":  {func(p *users.CreateUserParams) { p.AllowDashboardAccess = false }, "mismatch"},
		"dashboardSettings":     {settings(`{"a":2}`), "mismatch"},
		"creationDate":          {func(p *users.CreateUserParams) { p.CreationDate = start.Add(time.Microsecond) }, "mismatch"},
		"creationDate, second":  {func(p *users.CreateUserParams) { p.CreationDate = start.Add(time.Second) }, "mismatch"},
		"isApproved":            {func(p *users.CreateUserParams) { p.IsApproved = ptr(false) }, "mismatch"},
		"isLockedOut absent":    {func(p *users.CreateUserParams) { p.IsLockedOut = nil }, "mismatch"},
		"isLockedOut":           {func(p *users.CreateUserParams) { p.IsLockedOut = ptr(false) }, "mismatch"},
		"roles":                 {func(p *users.CreateUserParams) { p.Roles = p.Roles[:1] }, "mismatch"},
		"roles, by id":          {func(p *users.CreateUserParams) { p.Roles[0] = users.RoleRef{ID: "editor"} }, "mismatch"},
		"id":                    {func(p *users.CreateUserParams) { p.ID = "" }, "mismatch"},
		"extra":                 {func(p *users.CreateUserParams) { p.Extra["plan"] = json.RawMessage(`2`) }, "mismatch"},
		"extra, a name":         {func(p *users.CreateUserParams) { p.Extra["x"] = p.Extra["plan"]; delete(p.Extra, "plan") }, "mismatch"},
		"extra, none":           {func(p *users.CreateUserParams) { p.Extra = nil }, "mismatch"},
		// What moves from one member to the next is another request.
		"name and id":     {func(p *users.CreateUserParams) { p.Name, p.ID = "Alice"+p.ID[:1], p.ID[1:] }, "mismatch"},
		"roles, a shared": {func(p *users.CreateUserParams) { p.Roles = []users.RoleRef{{Name: "editor", ID: "chief"}} }, "mismatch"},
	}
	for f := range reflect.TypeFor[users.CreateUserParams]().Fields() {
		member := strings.ToLower(f.Name[:1]) + f.Name[1:]
		if member == "iD" {
			member = "id"
		}
		if _, ok := cases[member]; f.IsExported() && !ok && f.Name != "IdempotencyKey" {
			t.Errorf("%s has no case", f.Name)
		}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := memstore.New()
			svc := newServiceOn(t, store, users.Options{})
			addRole(t, svc, "editor")
			addRole(t, svc, "chief")
			if _, err := svc.Create(t.Context(), apiKey, full()); err != nil {
				t.Fatal(err)
			}
			p := full()
			c.amend(&p)
			u, err := svc.Create(t.Context(), apiKey, p)
			if got := class(err); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if err == nil && u.ID != uuid(900) {
				t.Errorf("got %s, want the first user", u.ID)
			}
			equal(t, "users", count(t, store, "alice", "bob"), 1)
		})
	}
}

// A repeat is compared by what it asks for, not by how it is written.
func TestRepeatIsWhateverAsksForTheSame(t *testing.T) {
	t.Parallel()
	const (
		editor = "abcdefab-0000-4000-8000-000000000001"
		chief  = "abcdefab-0000-4000-8000-000000000002"
		zeros  = "00000000-0000-0000-0000-000000000000"
	)
	refs := func(refs ...users.RoleRef) amend {
		return func(p *users.CreateUserParams) { p.Roles = refs }
	}
	approved := func(v bool) amend { return func(p *users.CreateUserParams) { p.IsApproved = &v } }
	locked := func(v bool) amend { return func(p *users.CreateUserParams) { p.IsLockedOut = &v } }
	extra := func(raw string) amend {
		return func(p *users.CreateUserParams) { p.Extra = map[string]json.RawMessage{"x": json.RawMessage(raw)} }
	}
	nothing := func(*users.CreateUserParams) {}
	nested := func(depth int, raw string) string {
		return strings.Repeat("[", depth) + raw + strings.Repeat("]", depth)
	}
	long := strings.Repeat("x", 200_000)
	for _, c := range []struct {
		what          string
		first, second amend
		same          bool
	}{
		{"the default", nothing, approved(true), true},
		{"not the default", nothing, approved(false), false},
		{"approved or not", approved(true), approved(false), false},
		{"false", nothing, locked(false), true},
		{"true", nothing, locked(true), false},
		{"zeros", nothing, id(zeros), true},
		{"more zeros", id("00000000000000000000000000"), id("0"), true},
		{"an id in capitals", id(strings.ToUpper(editor)), id(editor), true},
		{"another id", id(editor), id(chief), false},
		{"a blank name", nothing, name(" \t"), true},
		{"a name", nothing, name("x"), false},
		{"a name with blanks", name("x"), name("x "), false},
		{"below the microsecond", created(start), created(start.Add(1)), true},
		{"empty settings", nothing, settings(" { } "), true},
		{"no settings", nothing, settings("null"), true},
		{"settings", nothing, settings(`{"a":null}`), false},
		{"order of members", settings(`{"a":1,"b":{"c":[1,2],"d":2}}`), settings("{\"b\": {\"d\":2,\"c\":[1, 2]},\n\"\\u0061\":1}"), true},
		{"order of elements", settings(`{"a":[1,2]}`), settings(`{"a":[2,1]}`), false},
		{"numbers as written", settings(`{"a":1}`), settings(`{"a":1.0}`), false},
		{"numbers beyond float64", settings(`{"a":9007199254740992}`), settings(`{"a":9007199254740993}`), false},
		{"order of additional members", extra(`{"a":1,"b":2}`), extra(`{"b":2,"a":1}`), true},
		{"order of additional members far down", extra(nested(60, `{"a":1,"b":2}`)), extra(nested(60, `{"b":2,"a":1}`)), true},
		{"order of large additional members", extra(`{"a":1,"b":"` + long + `"}`), extra(`{"b":"` + long + `","a":1}`), true},
		{"additional members", extra(`{"a":1}`), extra(`{"a":2}`), false},
		{"no roles", nothing, refs(), true},
		{"order of roles", refs(roleRefs("editor", "chief")...), refs(roleRefs("chief", "editor")...), true},
		{"a role twice", refs(roleRefs("editor")...), refs(roleRefs("editor", "editor")...), true},
		{"another role", refs(roleRefs("editor")...), refs(roleRefs("chief")...), false},
		{"one role more", refs(roleRefs("editor")...), refs(roleRefs("editor", "chief")...), false},
		{"role id in capitals", refs(users.RoleRef{ID: editor}), refs(users.RoleRef{ID: strings.ToUpper(editor)}), true},
		{"another role id", refs(users.RoleRef{ID: editor}), refs(users.RoleRef{ID: chief}), false},
		{"role id of zeros", refs(roleRefs("editor")...), refs(users.RoleRef{ID: zeros, Name: "editor"}), true},
		{"order of role ids", refs(users.RoleRef{ID: editor}, users.RoleRef{ID: chief}), refs(users.RoleRef{ID: chief}, users.RoleRef{ID: editor}), true},
		{"spelling of a user name", nothing, userName("Alice"), false},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			for _, order := range [][2]amend{{c.first, c.second}, {c.second, c.first}} {
				made := -1 // the application is number 0
				svc := newService(t, users.Options{NewID: func() (string, error) {
					made++
					return fmt.Sprintf("abcdefab-0000-4000-8000-%012d", made), nil
				}})
				equal(t, "editor", addRole(t, svc, "editor").ID, editor)
				equal(t, "chief", addRole(t, svc, "chief").ID, chief)

				p, again := keyed("alice", "k"), keyed("alice", "k")
				order[0](&p)
				order[1](&again)
				first, err := svc.Create(t.Context(), apiKey, p)
				if err != nil {
					t.Fatal(err)
				}
				u, err := svc.Create(t.Context(), apiKey, again)
				if c.same && (err != nil || u.ID != first.ID) {
					t.Errorf("got %v, %v, want the first user", u, err)
				}
				if !c.same {
					equal(t, "other parameters", class(err), "mismatch")
				}
			}
		})
	}
}

// What stands for the default is decided when the key is first used: an
// application that asks for approval later makes no other request of a repeat.
func TestRepeatOutlivesAChangeOfTheDefault(t *testing.T) {
	t.Parallel()
	for _, before := range []bool{false, true} {
		for _, asked := range []*bool{nil, ptr(false), ptr(true)} {
			required := before
			svc := newServiceOn(t, approving{memstore.New(), &required}, users.Options{})
			p := keyed("alice", "k")
			p.IsApproved = asked
			if _, err := svc.Create(t.Context(), apiKey, p); err != nil {
				t.Fatal(err)
			}
			required = !before
			same := []bool{false, false, false}
			for i, again := range []*bool{nil, ptr(false), ptr(true)} {
				p.IsApproved = again
				_, err := svc.Create(t.Context(), apiKey, p)
				same[i] = err == nil
				if err != nil {
					equal(t, "error", class(err), "mismatch")
				}
			}
			want := []bool{asked == nil || *asked == !before, asked == nil && before || asked != nil && !*asked, asked == nil && !before || asked != nil && *asked}
			equal(t, fmt.Sprintf("approval required %v, isApproved nil %v: none, false and true are repeats", before, asked == nil), same, want)
		}
	}
}

// approving is a store whose application asks for approval as required says.
type approving struct {
	users.Store
	required *bool
}

func (s approving) FindApplication(ctx context.Context, q users.ApplicationQuery) (users.Application, error) {
	app, err := s.Store.FindApplication(ctx, q)
	app.RequireApproval = *s.required
	return app, err
}

// Callers without an id can't be told apart: a key of one would show its user to
// every other.
func TestIdempotencyKeyNeedsACallerWithAnID(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{})
	ctx := as(t.Context(), users.Caller{APIKey: apiKey, Permissions: users.CreateUsers})
	for _, create := range []func() error{
		func() error { return ignore(svc.Create(ctx, apiKey, keyed("alice", "k"))) },
		func() error { return svc.CheckCreate(ctx, apiKey, keyed("alice", "k")) },
		func() error { return ignore(svc.Prepare(ctx, apiKey, keyed("alice", "k"))) },
	} {
		err := create()
		equal(t, "findings", findings(t, err), []string{" invalid_idempotency_key"})
		equal(t, "text", err.Error(), "users: invalid: the idempotency key needs a caller with an id")
	}
	if _, err := svc.Create(ctx, apiKey, params("alice")); err != nil {
		t.Errorf("without a key: got %v", err)
	}
}

// A fast hash of a password must be stored nowhere: two requests that differ in
// nothing else leave the same fingerprint.
func TestFingerprintSaysNothingOfThePassword(t *testing.T) {
	t.Parallel()
	var prints []([32]byte)
	for _, pw := range []string{secret, "something else entirely"} {
		var seen log
		svc := newServiceOn(t, seen.on(memstore.New()), users.Options{})
		p := keyed("alice", "k")
		p.Password, p.ConfirmPassword = password.New(pw), password.New(pw)
		seen.take()
		if _, err := svc.Create(t.Context(), apiKey, p); err != nil {
			t.Fatal(err)
		}
		_, args := seen.take()
		prints = append(prints, args[len(args)-1].(*users.NewUser).Idempotency.Fingerprint)
	}
	equal(t, "fingerprints", prints[0], prints[1])
}

func TestIdempotencyKeysAreScopedToApplicationAndCaller(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{})
	addApplication(t, svc, users.Application{APIKey: "other"})
	made := map[string]string{}
	for i, c := range []struct {
		key    string
		caller *users.Caller
	}{
		{apiKey, nil},
		{apiKey, &users.Caller{ID: "a", APIKey: apiKey, Permissions: users.CreateUsers}},
		{apiKey, &users.Caller{ID: "b", APIKey: apiKey, Permissions: users.CreateUsers}},
		{"other", nil},
		{"other", &users.Caller{ID: "a", APIKey: "other", Permissions: users.CreateUsers}},
	} {
		ctx := t.Context()
		if c.caller != nil {
			ctx = as(ctx, *c.caller)
		}
		p := keyed(fmt.Sprintf("user%d", i), "k")
		u, err := svc.Create(ctx, c.key, p)
		if err != nil {
			t.Errorf("%d: got %v, want a user of its own", i, err)
			continue
		}
		made[u.ID] = p.UserName
		again, err := svc.Create(ctx, c.key, p)
		if err != nil || again.ID != u.ID {
			t.Errorf("%d: the repeat got %v, %v", i, again, err)
		}
	}
	equal(t, "users", len(made), 5)
}

func TestIdempotencyKeyLivesFor24Hours(t *testing.T) {
	t.Parallel()
	var c clock
	svc := newService(t, users.Options{Now: c.Now})
	first, err := svc.Create(t.Context(), apiKey, keyed("alice", "k"))
	if err != nil {
		t.Fatal(err)
	}
	c.add(24*time.Hour - time.Microsecond)
	if u, err := svc.Create(t.Context(), apiKey, keyed("alice", "k")); err != nil || u.ID != first.ID {
		t.Errorf("just before: got %v, %v, want the same user", u, err)
	}
	_, err = svc.Create(t.Context(), apiKey, keyed("bob", "k"))
	equal(t, "other parameters just before", class(err), "mismatch")
	c.add(time.Microsecond)
	_, err = svc.Create(t.Context(), apiKey, keyed("alice", "k"))
	equal(t, "after", class(err), "conflict") // the key is free, the name is not
	u, err := svc.Create(t.Context(), apiKey, keyed("bob", "k"))
	if err != nil || u.ID == first.ID {
		t.Errorf("other parameters after: got %v, %v, want another user", u, err)
	}
}

func TestPurgeDeletesDeadKeysOnly(t *testing.T) {
	t.Parallel()
	var c clock
	svc := newService(t, users.Options{Now: c.Now})
	for i, name := range []string{"a", "b", "c"} {
		if _, err := svc.Create(t.Context(), apiKey, keyed(name+"lice", name)); err != nil {
			t.Fatal(err)
		}
		c.add(time.Duration(i) * time.Hour)
	}
	c.now = start.Add(24 * time.Hour) // a and b are dead
	for _, want := range []int{1, 1, 0} {
		n, err := svc.Purge(t.Context(), 1)
		if n != want || err != nil {
			t.Errorf("got %d, %v, want %d", n, err, want)
		}
	}
	_, err := svc.Create(t.Context(), apiKey, keyed("x", "c"))
	equal(t, "the live key", class(err), "mismatch")
}

func TestRefusedRequestDoesNotUseTheKeyUp(t *testing.T) {
	t.Parallel()
	boom := false
	svc := newService(t, users.Options{OnCreate: func(context.Context, users.CreateEvent) error {
		if boom {
			return fmt.Errorf("no")
		}
		return nil
	}})
	addUser(t, t.Context(), svc, "taken")
	for i, refuse := range []func(*users.CreateUserParams){
		func(p *users.CreateUserParams) { p.Email = "" },
		func(p *users.CreateUserParams) { p.AllowDashboardAccess = true },
		func(p *users.CreateUserParams) { p.UserName = "taken" },
		func(p *users.CreateUserParams) { boom = true },
	} {
		boom = false
		key := fmt.Sprintf("k%d", i)
		p := keyed("alice"+key, key)
		refuse(&p)
		if _, err := svc.Create(as(t.Context(), limited), apiKey, p); err == nil {
			t.Fatalf("%d was not refused", i)
		}
		boom = false
		if _, err := svc.Create(as(t.Context(), limited), apiKey, keyed("alice"+key, key)); err != nil {
			t.Errorf("%d: the key was used up: %v", i, err)
		}
	}
}

func TestRacingCreatesWithOneKeyGiveOneUserToAll(t *testing.T) {
	t.Parallel()
	for round := range 100 {
		store := memstore.New()
		svc := newServiceOn(t, store, users.Options{NewID: ids()})
		got := make([]string, 20)
		var ready, done sync.WaitGroup
		ready.Add(len(got))
		for i := range got {
			done.Go(func() {
				name := "alice"
				if i%4 == 3 {
					name = "bob" // the same key for another request
				}
				ready.Done()
				ready.Wait()
				u, err := svc.Create(t.Context(), apiKey, keyed(name, "k"))
				if got[i] = class(err); err == nil {
					got[i] = u.ID
				}
			})
		}
		done.Wait()
		if n := count(t, store, "alice", "bob"); n != 1 {
			t.Fatalf("round %d: %d users, want 1", round, n)
		}
		seen := map[string]int{}
		for _, g := range got {
			seen[g]++
		}
		if len(seen) != 2 || seen["mismatch"] != 5 && seen["mismatch"] != 15 {
			t.Fatalf("round %d: got %v, want one id and mismatches", round, seen)
		}
	}
}

// The twin wins after our look for the key: while we hash, or at the store itself.
func TestTwinThatWinsInBetweenGivesItsUser(t *testing.T) {
	t.Parallel()
	for _, when := range []storefake.Method{storefake.FindRoles, storefake.FindUsers, storefake.CreateUser} {
		for twin, want := range map[string]string{"alice": "ok", "bob": "mismatch"} {
			store := memstore.New()
			setup := newServiceOn(t, store, users.Options{})
			addRole(t, setup, "editor")
			ask := func(name string) users.CreateUserParams {
				p := keyed(name, "k")
				p.Roles = []users.RoleRef{{Name: "editor"}}
				return p
			}
			var won *users.User
			svc := setup.WithStore(storefake.Around(store, func(ctx context.Context, method storefake.Method, _ any, do func() error) error {
				if method == when && won == nil {
					var err error
					if won, err = setup.Create(ctx, apiKey, ask(twin)); err != nil {
						t.Error(err)
					}
				}
				return do()
			}))
			u, err := svc.Create(t.Context(), apiKey, ask("alice"))
			equal(t, string(when)+", "+twin, class(err), want)
			if err == nil && u.ID != won.ID {
				t.Errorf("%s: got %s, want the twin's %s", when, u.ID, won.ID)
			}
			equal(t, "users", count(t, store, "alice", "bob"), 1)
		}
	}
}

// The record outlived its user: that is said, and nobody else's user is given.
func TestRepeatOfAUserThatIsGoneIsNotFound(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	svc := newServiceOn(t, store, users.Options{})
	if _, err := svc.Create(t.Context(), apiKey, keyed("alice", "k")); err != nil {
		t.Fatal(err)
	}
	_, err := svc.WithStore(userless{store}).Create(t.Context(), apiKey, keyed("alice", "k"))
	equal(t, "answer", class(err), "not found")
}

// userless is a Store that finds no users.
type userless struct{ users.Store }

func (userless) FindUsers(context.Context, users.UserQuery) ([]users.UserRecord, error) {
	return nil, nil
}

func TestHookThatIsNoPureFunctionDoesNotTurnARepeatIntoAMismatch(t *testing.T) {
	t.Parallel()
	n := 0
	svc := newService(t, users.Options{BeforeCreate: func(_ context.Context, _ users.Application, p *users.CreateUserParams) error {
		n++
		p.Name = fmt.Sprintf("number %d", n)
		p.DashboardSettings = json.RawMessage(fmt.Sprintf(`{"n":%d}`, n))
		p.IdempotencyKey = "a hook has no say in this"
		return nil
	}})
	first, err := svc.Create(t.Context(), apiKey, keyed("alice", "k"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := svc.Create(t.Context(), apiKey, keyed("alice", "k"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "repeat", again, first)
	equal(t, "name", again.Name, "number 1")
	equal(t, "times that the hook ran", n, 2)
}

func TestIdempotencyKeyIsPrintingASCII(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{})
	for key, want := range map[string]bool{
		"": true, "k": true, "~ !\"": true, strings.Repeat("k", users.MaxIdempotencyKey): true,
		strings.Repeat("k", users.MaxIdempotencyKey+1): false, "a\tb": false, "\x7f": false, "é": false, "\xff": false, "\x00": false,
	} {
		err := svc.CheckCreate(t.Context(), apiKey, keyed("alice", key))
		if want != (err == nil) {
			t.Errorf("%q: got %v, want valid %v", key, err, want)
		}
		if err != nil {
			equal(t, "findings", findings(t, err), []string{" invalid_idempotency_key"})
		}
	}
	p := keyed("alice", "\x00") // reported together with the members
	p.UserName = ""
	equal(t, "findings", findings(t, svc.CheckCreate(t.Context(), apiKey, p)), []string{"/userName required", " invalid_idempotency_key"})
}
