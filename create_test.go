package users_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

func TestCreateGivesTheUserWithItsDefaults(t *testing.T) {
	t.Parallel()
	for _, approval := range []bool{false, true} {
		svc, err := users.New(memstore.New(), &users.Options{
			Hasher: password.InsecureForTests(), NewID: ids(),
			Now: func() time.Time { return start.Add(999).In(time.FixedZone("", 3600)) },
		})
		if err != nil {
			t.Fatal(err)
		}
		addApplication(t, svc, users.Application{APIKey: apiKey, RequireApproval: approval})
		got, err := svc.Create(as(t.Context(), limited), apiKey, users.CreateUserParams{
			UserName: "Alice", Email: "Alice@Example.com", Name: "Alice A.",
			Password: password.New(secret), ConfirmPassword: password.New(secret),
		})
		if err != nil {
			t.Fatal(err)
		}
		want := &users.User{
			ID: uuid(2), UserName: "Alice", Email: "Alice@Example.com", Name: "Alice A.", IsApproved: !approval,
			Roles: []users.Role{}, CreationDate: start, DateCreated: start, DateUpdated: start, CreatedBy: "limited", PasswordChanged: start, Version: 1,
		}
		equal(t, "answer", got, want)
		stored, err := svc.User(t.Context(), apiKey, "alice")
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "what is read back", stored, want)
	}
}

func TestCreateKeepsEveryMember(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{NewID: ids()}) // editor comes before chief
	editor, chief := addRole(t, svc, "editor"), addRole(t, svc, "chief")
	raw := " {\"b\":1e400000, \"a\":\"\\u0000\"}\n"
	p := params("alice")
	p.Name, p.ID = "Alice A.", "ABCDEFAB-0000-4000-8000-000000000001"
	p.IsApproved, p.IsLockedOut, p.AllowDashboardAccess = ptr(false), ptr(true), true
	p.DashboardSettings = json.RawMessage(raw)
	p.CreationDate = time.Date(1, 1, 1, 3, 0, 0, 1999, time.FixedZone("", 3600))
	p.Roles = []users.RoleRef{{Name: "chief"}, {ID: editor.ID}, {Name: "editor"}, {ID: chief.ID, Name: "chief"}}
	got, err := svc.Create(t.Context(), apiKey, p)
	if err != nil {
		t.Fatal(err)
	}
	want := &users.User{
		ID: "abcdefab-0000-4000-8000-000000000001", UserName: "alice", Email: "alice@example.com", Name: "Alice A.",
		IsLockedOut: true, Roles: []users.Role{editor, chief}, CreationDate: time.Date(1, 1, 1, 2, 0, 0, 1000, time.UTC),
		DateCreated: start, DateUpdated: start, AllowDashboardAccess: true, DashboardSettings: json.RawMessage(raw), PasswordChanged: start, Version: 1,
	}
	equal(t, "answer", got, want)
	// What the caller changes afterwards stays with the caller.
	p.DashboardSettings[1], *p.IsApproved, p.Roles[0].Name = 'X', true, "x"
	got.DashboardSettings[1], got.Roles[0].Name = 'Y', "y"
	stored, err := svc.User(t.Context(), apiKey, p.ID)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "what is read back", stored, want)
}

func TestBlankTextIsNone(t *testing.T) {
	t.Parallel()
	for _, blank := range []string{" ", " \u3000\u00a0 ", "\t\n"} {
		svc := newService(t, users.Options{})
		addApplication(t, svc, users.Application{APIKey: "other", Name: blank})
		app, err := svc.Application(t.Context(), "other")
		if err != nil {
			t.Fatal(err)
		}
		role, err := svc.CreateRole(t.Context(), apiKey, users.Role{Name: "editor", Description: blank})
		if err != nil {
			t.Fatal(err)
		}
		p := params("alice")
		p.Name = blank
		u, err := svc.Create(t.Context(), apiKey, p)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, fmt.Sprintf("%q", blank), []string{u.Name, role.Description, app.Name}, []string{"", "", ""})
	}
}

// The one record that the store gets holds all that must be atomic.
func TestCreateHandsEverythingToTheStoreAtOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		auto, send bool
		kind       string
	}{
		{"nothing to tell", false, false, ""},
		{"account created", false, true, users.KindAccountCreated},
		{"no password", true, false, ""},
		{"set password", true, true, users.KindSetPassword},
	} {
		var seen log
		svc := newServiceOn(t, seen.on(memstore.New()), users.Options{NewID: ids()})
		editor := addRole(t, svc, "editor")
		p := params("Alice")
		p.AutoCreatePassword, p.SendEmailNotification, p.IdempotencyKey = c.auto, c.send, "k"
		p.Roles = []users.RoleRef{{Name: "editor"}}
		p.Name = "ALICE A."
		if c.auto {
			p.Password, p.ConfirmPassword = password.Secret{}, password.Secret{}
		}
		seen.take()
		u, err := svc.Create(as(t.Context(), admin), apiKey, p)
		if err != nil {
			t.Fatal(err)
		}
		calls, args := seen.take()
		want := []storefake.Method{storefake.FindApplication, storefake.FindIdempotencyRecord, storefake.FindRoles}
		if !c.auto { // else no hash lies ahead, and nothing is gained by a look
			want = append(want, storefake.FindUsers)
		}
		want = append(want, storefake.CreateUser)
		equal(t, c.name+": store calls", calls, want)
		n := args[len(args)-1].(*users.NewUser)
		equal(t, c.name+": user", n.User, *u)
		equal(t, c.name+": roles", n.Roles, []users.Role{editor})
		equal(t, c.name+": application", n.ApplicationID, uuid(1))
		equal(t, c.name+": keys", []string{n.NameKey, n.EmailKey}, []string{"alice", "alice@example.com"})
		equal(t, c.name+": version", n.Version, 1)
		if n.KeyVersion < 1 {
			t.Errorf("%s: the row does not say by which rules its keys were made", c.name)
		}
		if c.auto != n.Hash.IsZero() {
			t.Errorf("%s: credential present %v, want %v", c.name, !n.Hash.IsZero(), !c.auto)
		}
		if n.Idempotency == nil || n.Idempotency.Key != "k" || n.Idempotency.ApplicationID != uuid(1) || n.Idempotency.UserID != u.ID ||
			n.Idempotency.Lifetime != users.IdempotencyLifetime || n.Idempotency.Fingerprint == [32]byte{} {
			t.Errorf("%s: idempotency record %+v", c.name, n.Idempotency)
		}
		equal(t, c.name+": display key", n.DisplayKey, "alice a.")
		equal(t, c.name+": password changed", n.PasswordChanged.IsZero(), c.auto)
		if !c.send {
			equal(t, c.name+": notifications", len(n.Notifications), 0)
			continue
		}
		equal(t, c.name+": notifications", n.Notifications, []users.NotificationRecord{{
			ID: n.Notifications[0].ID, ApplicationID: uuid(1), UserID: u.ID, Kind: c.kind,
			State: users.StatePending, // when, the store says
		}})
	}
}

func TestCreateStoresAHashOfTheNormalizedPassword(t *testing.T) {
	t.Parallel()
	var seen log
	svc := newServiceOn(t, seen.on(memstore.New()), users.Options{})
	seen.take()
	addUser(t, t.Context(), svc, "alice")
	_, args := seen.take()
	hash := args[len(args)-1].(*users.NewUser).Hash
	pw, err := password.Normalize(password.New(secret))
	if err != nil {
		t.Fatal(err)
	}
	if string(pw) == secret {
		t.Fatal("the test password is normal already")
	}
	if m, err := password.InsecureForTests().Verify(hash, pw); !m.OK || err != nil {
		t.Errorf("the stored hash is not of the normalized password: %v, %v", m, err)
	}
}

func TestConflictNamesEveryInConflictMember(t *testing.T) {
	t.Parallel()
	for _, hashed := range []bool{true, false} { // the probe answers, or the store
		store := memstore.New()
		svc := newServiceOn(t, store, users.Options{})
		for i, name := range []string{"alice", "bob"} {
			p := params(name)
			p.ID = uuid(int64(i + 1))
			if _, err := svc.Create(t.Context(), apiKey, p); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			name, email string
			id          int64
			want        []string
		}{
			{"ALICE", "new@example.com", 9, words("userName")},
			{"new", "Alice@EXAMPLE.com", 9, words("email")},
			{"new", "new@example.com", 1, words("id")},
			{"Alice", "alice@example.com", 9, words("userName email")},
			{"alice", "bob@example.com", 9, words("userName email")}, // two other users
			{"alice", "bob@example.com", 2, words("userName email id")},
			{"new", "bob@example.com", 1, words("email id")},
			{"alice@example.com", "alice@example.com", 9, words("email")}, // the name is free, the address is not
		} {
			p := params("x")
			p.UserName, p.Email, p.ID = c.name, c.email, uuid(c.id)
			if !hashed {
				p.AutoCreatePassword, p.Password, p.ConfirmPassword = true, password.Secret{}, password.Secret{}
			}
			_, err := svc.Create(t.Context(), apiKey, p)
			var conflict *users.ConflictError
			if !errors.As(err, &conflict) || !errors.Is(err, users.ErrConflict) {
				t.Fatalf("%+v: got %v, want a conflict", c, err)
			}
			equal(t, fmt.Sprint(c), conflict.Members, c.want)
		}
		equal(t, "users", count(t, store, "alice", "bob", "new", "x"), 2)
	}
}

func TestNothingConflictsAcrossApplications(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{})
	addApplication(t, svc, users.Application{APIKey: "other"})
	p := params("alice")
	p.ID, p.IdempotencyKey = uuid(1), "k"
	for _, key := range []string{apiKey, "other"} {
		u, err := svc.Create(t.Context(), key, p)
		if err != nil || u.ID != p.ID {
			t.Fatalf("%s: got %v, %v", key, u, err)
		}
		p.Name = key // so that a shared idempotency key would be a mismatch
	}
}

func TestConflictNamesMembersInOneOrder(t *testing.T) {
	t.Parallel()
	row := func(id, name, email string) users.UserRecord {
		return users.UserRecord{User: users.User{ID: id}, NameKey: name, EmailKey: email}
	}
	mine := row("1", "alice", "a@x.co")
	for _, c := range []struct {
		found []users.UserRecord
		want  []string
	}{
		{nil, nil},
		{[]users.UserRecord{row("2", "a@x.co", "alice")}, nil},
		{[]users.UserRecord{row("1", "x", "x"), row("2", "x", "a@x.co"), row("3", "alice", "x")}, words("userName email id")},
		{[]users.UserRecord{row("2", "alice", "a@x.co"), row("3", "alice", "x")}, words("userName email")},
	} {
		err := users.CheckConflict(&mine, c.found)
		var conflict *users.ConflictError
		if !errors.As(err, &conflict) {
			conflict = &users.ConflictError{}
		}
		equal(t, fmt.Sprint(c.found), conflict.Members, c.want)
		equal(t, "an error", err != nil, c.want != nil)
	}
}

func TestTakenNamesAreRefusedBeforeAHashIsSpent(t *testing.T) {
	t.Parallel()
	h := newHasher()
	svc := newService(t, users.Options{Hasher: h})
	addUser(t, t.Context(), svc, "alice")
	_, err := svc.Create(t.Context(), apiKey, params("alice"))
	equal(t, "answer", class(err), "conflict")
	equal(t, "hashes", h.made.Load(), 1)
}

func TestRacingCreatesOfOneNameGiveOneUser(t *testing.T) {
	t.Parallel()
	const racers, rounds = 20, 100
	spell := []string{"alice", "Alice", "ALICE", "ａｌｉｃｅ", "Ａlice"}
	for _, c := range []struct {
		name  string
		amend func(p *users.CreateUserParams, i int)
	}{
		{"name", func(p *users.CreateUserParams, i int) { p.UserName = "alice" }},
		{"name in mixed case and width", func(p *users.CreateUserParams, i int) { p.UserName = spell[i%len(spell)] }},
		{"address", func(p *users.CreateUserParams, i int) { p.Email = "alice@example.com" }},
		{"address in mixed case and width", func(p *users.CreateUserParams, i int) {
			p.Email = spell[i%len(spell)] + []string{"@example.com", "@EXAMPLE.com"}[i%2]
		}},
		{"name that is an address", func(p *users.CreateUserParams, i int) {
			p.Email = spell[i%len(spell)] + "@example.com"
			p.UserName = spell[(i+1)%len(spell)] + "@Example.com"
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for round := range rounds {
				svc := newService(t, users.Options{})
				results := make([]string, racers)
				var ready, done sync.WaitGroup
				ready.Add(racers)
				for i := range racers {
					done.Go(func() {
						p := params(fmt.Sprintf("user%d", i))
						c.amend(&p, i)
						ready.Done()
						ready.Wait()
						_, err := svc.Create(t.Context(), apiKey, p)
						results[i] = class(err)
					})
				}
				done.Wait()
				slices.Sort(results)
				want := append(slices.Repeat([]string{"conflict"}, racers-1), "ok")
				if !slices.Equal(results, want) {
					t.Fatalf("round %d: got %v, want one ok", round, results)
				}
			}
		})
	}
}

// 500 callers at once, 200 of whom give up at random moments, in a time that
// does not move while anybody works.
func TestCancelledCreatesLeaveTheGateFree(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			const callers, canceled, slots, queue, mib = 500, 200, 3, 400, 1 << 20
			h := newHasher()
			h.memory, h.during = 19*mib, func() { time.Sleep(30 * time.Millisecond) }
			gate, err := password.NewGate(&password.GateOptions{Slots: slots, Bytes: 2 * 19 * mib, Queue: queue})
			if err != nil {
				t.Fatal(err)
			}
			store := memstore.New()
			svc := newServiceOn(t, store, users.Options{Hasher: h, Gate: gate})
			random := rand.New(rand.NewPCG(seed, 0))
			var mu sync.Mutex
			got := map[string]int{}
			var names []string
			var all sync.WaitGroup
			for i := range callers {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if i%5 < 2 {
					time.AfterFunc(time.Duration(random.Int64N(int64(6*time.Second))), cancel)
				}
				name := fmt.Sprintf("user%d", i)
				names = append(names, name)
				all.Go(func() {
					_, err := svc.Create(ctx, apiKey, params(name))
					mu.Lock()
					defer mu.Unlock()
					got[class(err)]++
				})
			}
			all.Wait()
			t.Log(got)
			if got["ok"] == 0 || got["canceled"] == 0 || got["overloaded"] == 0 || len(got) != 3 {
				t.Errorf("got %v, want ok, canceled and overloaded", got)
			}
			equal(t, "users written", count(t, store, names...), got["ok"])
			if most := h.most.Load(); most > 2 { // what the bytes allow, not the slots
				t.Errorf("%d hashes at once, want at most 2", most)
			}
			if left := h.now.Load(); left != 0 {
				t.Errorf("%d hashes are still running", left)
			}
			// The gate is free: as many as it allows get in without waiting.
			if wait, busy := svc.Overloaded(apiKey); busy {
				t.Errorf("the gate is still busy, for %v", wait)
			}
			before := time.Now()
			for i := range 2 {
				all.Go(func() { addUser(t, t.Context(), svc, fmt.Sprintf("after%d", i)) })
			}
			all.Wait()
			equal(t, "time for two more users", time.Since(before), 30*time.Millisecond)
		}) // fails if a goroutine is left
	}
}

func TestOverloadSaysWhenToTryAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHasher()
		h.during = func() { time.Sleep(time.Second) }
		gate, err := password.NewGate(&password.GateOptions{Slots: 1, Queue: 1})
		if err != nil {
			t.Fatal(err)
		}
		svc := newService(t, users.Options{Hasher: h, Gate: gate})
		var all sync.WaitGroup
		for i := range 2 {
			all.Go(func() { addUser(t, t.Context(), svc, fmt.Sprintf("user%d", i)) })
			synctest.Wait()
		}
		_, err = svc.Create(t.Context(), apiKey, params("late"))
		var overloaded *password.OverloadedError
		if !errors.Is(err, users.ErrOverloaded) || !errors.As(err, &overloaded) || overloaded.RetryAfter < time.Second {
			t.Errorf("got %v, want ErrOverloaded with a time", err)
		}
		if wait, busy := svc.Overloaded(apiKey); !busy || wait != overloaded.RetryAfter {
			t.Errorf("Overloaded: got %v, %v, want %v, true", wait, busy, overloaded.RetryAfter)
		}
		if wait, busy := svc.Overloaded("other"); busy {
			t.Errorf("another application, whose line is shorter, must wait for %v as well", wait)
		}
		all.Wait()
	})
}

// The host's transaction holds no connection for the hash, and what the hook and
// the checks decided in Prepare is final.
func TestCreatePreparedOnlyWrites(t *testing.T) {
	t.Parallel()
	h, clock := newHasher(), &clock{}
	hooks := 0
	store := memstore.New()
	svc := newServiceOn(t, store, users.Options{Hasher: h, Now: clock.Now, BeforeCreate: func(_ context.Context, _ users.Application, p *users.CreateUserParams) error {
		hooks++
		p.Name = "amended"
		return nil
	}})
	prepared, err := svc.Prepare(as(t.Context(), limited), apiKey, params("alice"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "users after Prepare", count(t, store, "alice"), 0)
	equal(t, "hashes after Prepare", h.made.Load(), 1)

	clock.add(time.Minute)
	var seen log
	u, err := svc.InTx(seen.on(store)).CreatePrepared(t.Context(), prepared)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "hashes after CreatePrepared", h.made.Load(), 1)
	equal(t, "runs of the hook", hooks, 1)
	equal(t, "name", u.Name, "amended")
	equal(t, "the caller of Prepare", u.CreatedBy, limited.ID)
	equal(t, "the date is that of the write", u.DateCreated, start.Add(time.Minute))
	calls, args := seen.take()
	equal(t, "store calls", calls, []storefake.Method{storefake.CreateUser})
	n := args[0].(*users.NewUser)
	equal(t, "HostTx", n.HostTx, true)
	pw, _ := password.Normalize(password.New(secret))
	if m, err := h.Verify(n.Hash, pw); !m.OK || err != nil {
		t.Errorf("the stored hash is not that of the password: %v, %v", m, err)
	}
}

// What the host does to the parameters afterwards comes too late.
func TestPreparedSharesNothingWithItsParameters(t *testing.T) {
	t.Parallel()
	var extra string
	store := memstore.New()
	svc := newServiceOn(t, store, users.Options{OnCreate: func(_ context.Context, e users.CreateEvent) error {
		extra = string(e.Extra["company"])
		return nil
	}})
	addRole(t, svc, "editor")
	p := params("alice")
	p.DashboardSettings = json.RawMessage(`{"a":1}`)
	p.Extra = map[string]json.RawMessage{"company": json.RawMessage(`"acme"`)}
	p.Roles = []users.RoleRef{{Name: "editor"}}
	p.IsApproved, p.IsLockedOut = ptr(false), ptr(true)
	prepared, err := svc.Prepare(t.Context(), apiKey, p)
	if err != nil {
		t.Fatal(err)
	}
	copy(p.DashboardSettings, "garbage")
	copy(p.Extra["company"], "garbage")
	clear(p.Roles)
	*p.IsApproved, *p.IsLockedOut = true, false

	u, err := svc.CreatePrepared(t.Context(), prepared)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "settings", string(u.DashboardSettings), `{"a":1}`)
	equal(t, "extra", extra, `"acme"`)
	if len(u.Roles) != 1 || u.IsApproved || !u.IsLockedOut {
		t.Errorf("got %+v, want what was prepared", u)
	}
}

// As in Create, a known key comes before every check and costs no hash.
func TestPrepareAnswersAKnownIdempotencyKey(t *testing.T) {
	t.Parallel()
	h, clock := newHasher(), &clock{}
	store := memstore.NewWithClock(clock.Now)
	svc := newServiceOn(t, store, users.Options{Hasher: h, Now: clock.Now})
	first, err := svc.Create(t.Context(), apiKey, keyed("alice", "k"))
	if err != nil {
		t.Fatal(err)
	}
	strict, err := users.New(store, &users.Options{Hasher: h, Now: clock.Now, Policy: &password.Policy{MinLength: 200}})
	if err != nil {
		t.Fatal(err)
	}
	prepared, err := strict.Prepare(t.Context(), apiKey, keyed("alice", "k"))
	if err != nil {
		t.Fatalf("under a stricter policy: got %v, want the known key to answer", err)
	}
	u, err := strict.CreatePrepared(t.Context(), prepared)
	if err != nil || u.ID != first.ID {
		t.Errorf("got %v, %v, want the user of the key", u, err)
	}
	equal(t, "hashes", h.made.Load(), 1)
	equal(t, "another request with the key", class(ignore(strict.Prepare(t.Context(), apiKey, keyed("bob", "k")))), "mismatch")

	clock.add(users.IdempotencyLifetime) // the record is dead: nothing of prepared was checked
	if _, err := strict.CreatePrepared(t.Context(), prepared); !errors.Is(err, users.ErrIdempotencyKeyUsed) {
		t.Errorf("after the key's end: got %v, want ErrIdempotencyKeyUsed", err)
	}
	equal(t, "users", count(t, store, "alice"), 1)
}

// A host repeats its transaction after ErrRetryTx with what it has.
func TestPreparedCanBeUsedAgain(t *testing.T) {
	t.Parallel()
	h, store := newHasher(), memstore.New()
	svc := newServiceOn(t, store, users.Options{Hasher: h})
	prepared, err := svc.Prepare(t.Context(), apiKey, keyed("alice", "k"))
	if err != nil {
		t.Fatal(err)
	}
	aborted := svc.InTx(storefake.Failing(store, users.ErrRetryTx, storefake.CreateUser))
	for range 2 {
		if _, err := aborted.CreatePrepared(t.Context(), prepared); !errors.Is(err, users.ErrRetryTx) {
			t.Fatalf("got %v, want ErrRetryTx", err)
		}
	}
	var made []string
	for range 2 { // the second time the idempotency key answers
		u, err := svc.InTx(store).CreatePrepared(t.Context(), prepared)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, u.ID)
	}
	equal(t, "the repeat", made[1], made[0])
	equal(t, "hashes", h.made.Load(), 1)
}

func TestPrepareRefusesWhatCreateRefuses(t *testing.T) {
	t.Parallel()
	h := newHasher()
	svc := newService(t, users.Options{Hasher: h})
	p := params("alice")
	p.Email = ""
	for i, err := range []error{
		ignore(svc.Prepare(t.Context(), apiKey, p)), svc.CheckCreate(t.Context(), apiKey, p),
		ignore(svc.Prepare(t.Context(), "nobody", p)),
	} {
		equal(t, "answer", class(err), []string{"invalid", "invalid", "unknown application"}[i])
	}
	equal(t, "hashes", h.made.Load(), 0)

	p = params("alice")
	p.AutoCreatePassword, p.Password, p.ConfirmPassword = true, password.Secret{}, password.Secret{}
	if prepared, err := svc.Prepare(t.Context(), apiKey, p); err != nil {
		t.Error(err)
	} else if _, err := svc.CreatePrepared(t.Context(), prepared); err != nil {
		t.Error(err)
	}
	equal(t, "hashes without a password", h.made.Load(), 0)

	for _, nothing := range []*users.Prepared{nil, {}} {
		if _, err := svc.CreatePrepared(t.Context(), nothing); err == nil {
			t.Error("CreatePrepared of nothing: got no error")
		}
	}
}

func ignore[T any](_ T, err error) error { return err }

func TestWithStoreSharesGateHooksAndRules(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHasher()
		h.during = func() { time.Sleep(time.Second) }
		gate, err := password.NewGate(&password.GateOptions{Slots: 1})
		if err != nil {
			t.Fatal(err)
		}
		var hooked atomic.Int64
		store := memstore.New()
		svc := newServiceOn(t, store, users.Options{Hasher: h, Gate: gate, AfterCreate: func(context.Context, users.CreateEvent) { hooked.Add(1) }})
		twin := svc.WithStore(store)
		var all sync.WaitGroup
		for i, s := range []*users.Service{svc, twin, svc, twin} {
			all.Go(func() { addUser(t, t.Context(), s, fmt.Sprintf("user%d", i)) })
		}
		all.Wait()
		equal(t, "hashes at once", h.most.Load(), 1)
		equal(t, "AfterCreate", hooked.Load(), 4)
	})
}

func TestCreateIsRefusedWhereThereIsNoApplication(t *testing.T) {
	t.Parallel()
	var seen log
	svc := newServiceOn(t, seen.on(memstore.New()), users.Options{})
	for _, key := range []string{"", ".", "..", "Acme", "acme ", "acme/x", "acme\x00", "\xff", "ａcme", string(make([]byte, 65))} {
		seen.take()
		_, err := svc.Create(t.Context(), key, params("alice"))
		equal(t, fmt.Sprintf("%q", key), class(err), "unknown application")
		calls, _ := seen.take()
		if key != "Acme" && len(calls) > 0 {
			t.Errorf("%q reached the store", key)
		}
	}
}
