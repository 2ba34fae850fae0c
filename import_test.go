package users_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
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

// importRow asks for a user who brings a hash.
func importRow(name string) users.ImportUser {
	return users.ImportUser{CreateUserParams: withHash(name, oldHash(secret))}
}

// rowsOf makes n rows; change may make something else of the i-th, from 0.
func rowsOf(n int, change func(i int, row *users.ImportUser) error) iter.Seq2[users.ImportUser, error] {
	return func(yield func(users.ImportUser, error) bool) {
		for i := range n {
			row := importRow(fmt.Sprint("user", i))
			var err error
			if change != nil {
				err = change(i, &row)
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// outcome is a result in short: "created", or "refused /email invalid".
func outcome(t testing.TB, r users.ImportResult) string {
	var invalid *users.ValidationError
	var conflict *users.ConflictError
	var forbidden *users.ForbiddenError
	switch {
	case errors.As(r.Err, &invalid):
		return string(r.Outcome) + " " + strings.Join(findings(t, r.Err), ", ")
	case errors.As(r.Err, &conflict):
		return string(r.Outcome) + " " + strings.Join(conflict.Members, ", ")
	case errors.As(r.Err, &forbidden):
		return string(r.Outcome) + " forbidden " + strings.Join(forbidden.Members, ", ")
	case r.Err != nil:
		return string(r.Outcome) + " " + r.Err.Error()
	}
	return string(r.Outcome)
}

// imported runs an import to its end, which must come without an error.
func imported(t testing.TB, ctx context.Context, svc *users.Service, rows iter.Seq2[users.ImportUser, error], o *users.ImportOptions) (outcomes []string) {
	t.Helper()
	for r, err := range svc.Import(ctx, apiKey, rows, o) {
		if err != nil {
			t.Fatal(err)
		}
		outcomes = append(outcomes, outcome(t, r))
		if r.Row != int64(len(outcomes)) {
			t.Fatalf("row %d is the result %d", r.Row, len(outcomes))
		}
		if known := r.Outcome == users.ImportCreated || r.Outcome == users.ImportExists; known != (r.ID != "") || known != (r.Err == nil) {
			t.Errorf("got %+v", r)
		}
	}
	return outcomes
}

// sameOutcomes tells which rows have another outcome than wanted.
func sameOutcomes(t testing.TB, what string, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: got %d results, want %d", what, len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("%s: row %d: got %q, want %q", what, i+1, got[i], want[i])
		}
	}
}

// tally counts outcomes.
func tally(outcomes []string) map[string]int {
	n := make(map[string]int)
	for _, o := range outcomes {
		n[o]++
	}
	return n
}

// importServices are Services that write batches and such that don't.
func importServices(t *testing.T, o users.Options) map[string]*users.Service {
	o.Legacy, o.Now = &oldSystem{}, time.Now
	each := o
	each.OnCreate = func(context.Context, users.CreateEvent) error { return nil }
	return map[string]*users.Service{"in batches": newService(t, o), "user by user": newService(t, each)}
}

// A store that writes no batches is as good.
func TestImportNeedsNoBatchStore(t *testing.T) {
	t.Parallel()
	svc := newServiceOn(t, storefake.Without(memstore.New()), users.Options{Legacy: &oldSystem{}})
	rows := rowsOf(20, func(i int, row *users.ImportUser) error {
		row.UserName = fmt.Sprint("user", i/2)
		return nil
	})
	equal(t, "outcomes", tally(imported(t, t.Context(), svc, rows, nil)), map[string]int{"created": 10, "duplicate userName": 10})
}

// A row that is refused says why, as Create would, and harms no other.
func TestImportSaysWhatBecameOfEachRow(t *testing.T) {
	t.Parallel()
	for name, svc := range importServices(t, users.Options{}) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addRole(t, svc, "editor")
			addUser(t, t.Context(), svc, "taken")
			bad := []struct {
				change func(row *users.ImportUser) error
				want   string
			}{
				{func(r *users.ImportUser) error { r.Email = "nobody"; return nil }, "refused /email invalid_email"},
				{func(r *users.ImportUser) error { r.UserName = ""; return nil }, "refused /userName required"},
				{func(r *users.ImportUser) error { r.UserName, r.Email = "a\x00b", ""; return nil }, "refused /userName invalid_characters, /email required"},
				{func(r *users.ImportUser) error { r.PasswordHash = password.NewHash("plain"); return nil }, "refused /passwordHash unknown_hash"},
				{func(r *users.ImportUser) error { r.PasswordHash = password.NewHash(costly); return nil }, "refused /passwordHash too_costly"},
				{func(r *users.ImportUser) error { r.Roles = roleRefs("editor", "nothing"); return nil }, "refused /roles/1 unknown_role"},
				{func(r *users.ImportUser) error { r.ID = "x"; return nil }, "refused /id invalid_id"},
				{func(r *users.ImportUser) error { r.DashboardSettings = json.RawMessage(`[`); return nil }, "refused /dashboardSettings invalid_type"},
				{func(r *users.ImportUser) error { r.Email = "taken@example.com"; return nil }, "refused email"},
				{func(r *users.ImportUser) error { r.UserName = "user1"; return nil }, "duplicate userName"},
				{func(r *users.ImportUser) error { r.UserName, r.Email = "user1", "user2@example.com"; return nil }, "duplicate userName, email"},
				{func(r *users.ImportUser) error { r.IdempotencyKey = "k"; return nil }, "refused  excluded"},
				{func(r *users.ImportUser) error { r.ID = uuid(1); return nil }, "duplicate id"},
				{func(r *users.ImportUser) error { return errors.New("line is no JSON") }, "refused line is no JSON"},
				{func(r *users.ImportUser) error { r.UserName, r.Email = "taken", "taken@example.com"; return nil }, "exists"},
				{func(r *users.ImportUser) error {
					r.UserName, r.Email, r.ID = "taken", "taken@example.com", uuid(7)
					return nil
				}, "refused userName, email"},
			}
			const n, every = 3000, 97
			rows := rowsOf(n, func(i int, row *users.ImportUser) error {
				if i%every == every-1 {
					return bad[i/every%len(bad)].change(row)
				}
				if i%3 == 0 {
					row.Roles = roleRefs("editor")
				}
				if i == 0 {
					row.ID = uuid(1)
				}
				return nil
			})
			want := func(refused func(string) string) (want []string) {
				for i := range n {
					o := "created"
					if i%every == every-1 {
						o = bad[i/every%len(bad)].want
					}
					want = append(want, refused(o))
				}
				return want
			}
			same := func(o string) string { return o }
			o := &users.ImportOptions{Batch: 100}
			dry := *o
			dry.DryRun = true
			sameOutcomes(t, "a dry run", imported(t, t.Context(), svc, rows, &dry), want(same))
			if found, err := svc.FindUsers(t.Context(), apiKey, users.FindUsersParams{Page: 1}); err != nil || found.Total != 1 {
				t.Fatalf("after the dry run: got %+v, %v, want the user who was there", found, err)
			}
			sameOutcomes(t, "the run", imported(t, t.Context(), svc, rows, o), want(same))
			sameOutcomes(t, "it run again", imported(t, t.Context(), svc, rows, o), want(func(o string) string {
				switch {
				case o == "created":
					return "exists"
				case strings.HasPrefix(o, "duplicate"): // of an earlier run it is no duplicate
					return strings.Replace(o, "duplicate", "refused", 1)
				}
				return o
			}))
			u := get(t, svc, "user3")
			equal(t, "roles", len(u.Roles), 1)
		})
	}
}

// Stopped at any row and run again it ends with the same users.
func TestImportIsResumedByRunningItAgain(t *testing.T) {
	t.Parallel()
	for name, svc := range importServices(t, users.Options{}) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for round, stop := range []int{1, 49, 50, 51, 120} {
				rows := rowsOf(200, func(i int, row *users.ImportUser) error {
					row.UserName = fmt.Sprintf("r%d-%s", round, row.UserName)
					row.Email = row.UserName + "@example.com"
					return nil
				})
				seen := 0
				for _, err := range svc.Import(t.Context(), apiKey, rows, &users.ImportOptions{Batch: 50}) {
					if err != nil {
						t.Fatal(err)
					}
					if seen++; seen == stop {
						break
					}
				}
				written := (stop + 49) / 50 * 50 // the batch that was seen
				equal(t, fmt.Sprint("stopped at ", stop), tally(imported(t, t.Context(), svc, rows, nil)),
					map[string]int{"exists": written, "created": 200 - written})
			}
		})
	}
}

// An error of the store ends the import after what was written before it.
func TestImportEndsWithAnErrorOfTheStore(t *testing.T) {
	t.Parallel()
	for _, method := range []storefake.Method{storefake.CreateUser, storefake.FindRoles} {
		store := memstore.New()
		svc := newServiceOn(t, store, users.Options{Legacy: &oldSystem{}, Now: time.Now})
		addRole(t, svc, "editor")
		calls := 0
		failing := svc.WithStore(storefake.Around(storefake.Without(store), func(_ context.Context, m storefake.Method, _ any, do func() error) error {
			if m == method {
				if calls++; calls > 3 {
					return fmt.Errorf("down: %w", users.ErrUnavailable)
				}
			}
			return do()
		}))
		rows := rowsOf(10, func(_ int, row *users.ImportUser) error { row.Roles = roleRefs("editor"); return nil })
		created, ended := 0, error(nil)
		for r, err := range failing.Import(t.Context(), apiKey, rows, &users.ImportOptions{Batch: 1}) {
			if ended != nil {
				t.Fatal("it goes on after the error")
			}
			if ended = err; err == nil && outcome(t, r) == "created" {
				created++
			}
			if err != nil {
				equal(t, "what comes with the error", r, users.ImportResult{})
			}
		}
		if !errors.Is(ended, users.ErrUnavailable) {
			t.Errorf("%s: got %v, want ErrUnavailable", method, ended)
		}
		equal(t, string(method)+": created", created, 3)
		equal(t, "run again", tally(imported(t, t.Context(), svc, rows, nil)), map[string]int{"exists": 3, "created": 7})
	}
}

// However many rows there are, no more than a batch is read ahead.
func TestImportReadsABatchAhead(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{Legacy: &oldSystem{}})
	read, seen := 0, 0
	rows := rowsOf(100, func(i int, row *users.ImportUser) error { read = i + 1; return nil })
	for _, err := range svc.Import(t.Context(), apiKey, rows, &users.ImportOptions{Batch: 10}) {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; read-seen >= 10 {
			t.Fatalf("%d rows were read for %d results", read, seen)
		}
	}
	settings := json.RawMessage(`{"a":"` + strings.Repeat("x", 60<<10) + `"}`)
	most, batches := 0, 0
	svc = svc.WithStore(storefake.Around(boxOf(t, svc), func(_ context.Context, m storefake.Method, _ any, do func() error) error {
		if m == storefake.CreateUsers {
			batches++
		}
		return do()
	}))
	heavy := rowsOf(200, func(i int, row *users.ImportUser) error {
		row.UserName, row.Email = "h"+row.UserName, "h"+row.Email
		row.DashboardSettings, read = settings, i+1
		return nil
	})
	seen = 0
	for _, err := range svc.Import(t.Context(), apiKey, heavy, nil) {
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, read-seen)
		seen++
	}
	if most > 70 || batches != 3 {
		t.Errorf("%d rows of 60 KiB were held, in %d batches, want no more than 4 MiB, in 3", most, batches)
	}
}

// What a row asks for needs the permission that Create asks for, and imports one of their
// own.
func TestImportNeedsWhatItsRowsNeed(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{Legacy: &oldSystem{}})
	addRole(t, svc, "editor")
	rows := rowsOf(3, func(i int, row *users.ImportUser) error {
		switch i {
		case 1:
			row.Roles = roleRefs("editor")
		case 2:
			row.AllowDashboardAccess = true
		}
		return nil
	})
	caller := func(p users.Permissions) context.Context {
		return as(t.Context(), users.Caller{ID: "c", APIKey: apiKey, Permissions: p})
	}
	for _, p := range []users.Permissions{users.CreateUsers, users.ImportUsers, users.AllPermissions &^ users.ImportUsers} {
		for r, err := range svc.Import(caller(p), apiKey, rows, nil) {
			equal(t, p.String(), class(err), "forbidden")
			equal(t, "result", r, users.ImportResult{})
		}
	}
	got := imported(t, caller(users.CreateUsers|users.ImportUsers), svc, rows, nil)
	equal(t, "outcomes", got, []string{"created", "refused forbidden roles", "refused forbidden allowDashboardAccess"})
	for _, err := range svc.Import(t.Context(), "nobody", rows, nil) {
		equal(t, "another application", class(err), "unknown application")
	}
	for _, batch := range []int{-1, users.MaxBatch + 1} {
		for _, err := range svc.Import(t.Context(), apiKey, rows, &users.ImportOptions{Batch: batch}) {
			equal(t, "batch", findings(t, err), []string{"/batch out_of_range"})
		}
	}
}

// A user may come with a hash, with a password or with neither, and is what its row says.
func TestImportedUsersAreWhatTheirRowsSay(t *testing.T) {
	t.Parallel()
	for name, svc := range importServices(t, users.Options{}) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			long := time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC)
			row := func(name string, change func(r *users.ImportUser)) users.ImportUser {
				r := users.ImportUser{CreateUserParams: users.CreateUserParams{UserName: name, Email: name + "@example.com"}}
				change(&r)
				return r
			}
			all := []users.ImportUser{
				row("hash", func(r *users.ImportUser) { r.PasswordHash, r.CreationDate, r.ID = oldHash("old"), long, uuid(5) }),
				row("clear", func(r *users.ImportUser) { r.Password, r.EmailVerified = password.New(secret), true }),
				row("weak", func(r *users.ImportUser) { r.Password = password.New("123") }),
				row("none", func(r *users.ImportUser) { r.IsLockedOut, r.SendEmailNotification = ptr(true), true }),
				row("both", func(r *users.ImportUser) { r.Password, r.PasswordHash = password.New(secret), oldHash("old") }),
			}
			rows := func(yield func(users.ImportUser, error) bool) {
				for _, r := range all {
					if !yield(r, nil) {
						return
					}
				}
			}
			equal(t, "outcomes", imported(t, t.Context(), svc, rows, nil), []string{
				"created", "created", "refused /password too_short", "created", "refused /password excluded, /confirmPassword excluded",
			})
			equal(t, "without the policy", imported(t, t.Context(), svc, rows, &users.ImportOptions{SkipPolicy: true})[2], "created")
			for name, pw := range map[string]string{"hash": "old", "clear": secret, "weak": "123"} {
				equal(t, name, signIn(t.Context(), svc, name, pw), "ok")
			}
			u := get(t, svc, "hash")
			equal(t, "id, date, verified", [3]any{u.ID, u.CreationDate, u.EmailVerified.IsZero()}, [3]any{uuid(5), long, true})
			clear := get(t, svc, "clear")
			equal(t, "verified", clear.EmailVerified, clear.DateCreated)
			equal(t, "locked out", get(t, svc, "none").IsLockedOut, true)
			waiting, err := svc.Notifications(t.Context(), apiKey, users.NotificationQuery{})
			if err != nil || len(waiting.Notifications) != 1 || waiting.Notifications[0].Kind != users.KindSetPassword {
				t.Errorf("got %+v, %v, want the link of the user without a password", waiting, err)
			}
		})
	}
}

// Hooks see each row, and what one refuses is a row's own.
func TestImportRunsTheHooks(t *testing.T) {
	t.Parallel()
	var before, on, after atomic.Int64
	o := users.Options{
		BeforeCreate: func(_ context.Context, _ users.Application, p *users.CreateUserParams) error {
			before.Add(1)
			if p.UserName == "user2" {
				return &users.ForbiddenError{}
			}
			p.Name = "by a hook"
			return nil
		},
		OnCreate: func(_ context.Context, e users.CreateEvent) error {
			on.Add(1)
			if e.User.UserName == "user3" {
				return errors.New("no")
			}
			return nil
		},
		AfterCreate: func(context.Context, users.CreateEvent) { after.Add(1) },
		Legacy:      &oldSystem{},
	}
	got := imported(t, t.Context(), newService(t, o), rowsOf(6, nil), nil)
	equal(t, "outcomes", got, []string{"created", "created", "refused forbidden ", "refused users: create user: memstore: OnCreate: users: OnCreate: no", "created", "created"})
	equal(t, "hooks", [3]int64{before.Load(), on.Load(), after.Load()}, [3]int64{6, 5, 4})

	// A caller who stops leaves no user of the batch untold.
	o.OnCreate = nil
	after.Store(0)
	for range newService(t, o).Import(t.Context(), apiKey, rowsOf(6, nil), nil) {
		break
	}
	equal(t, "after, stopped at the first", after.Load(), 5)
	svc := newService(t, o)
	imported(t, t.Context(), svc, rowsOf(6, nil), &users.ImportOptions{DryRun: true})
	imported(t, t.Context(), svc.InTx(boxOf(t, svc)), rowsOf(6, nil), nil)
	equal(t, "after a dry run, and in the host's transaction", after.Load(), 5)

	down := users.Options{Legacy: &oldSystem{}, BeforeCreate: func(_ context.Context, _ users.Application, p *users.CreateUserParams) error {
		if p.UserName == "user2" {
			return users.ErrUnavailable
		}
		return nil
	}}
	var results []string
	for r, err := range newService(t, down).Import(t.Context(), apiKey, rowsOf(6, nil), nil) {
		if err != nil && !errors.Is(err, users.ErrUnavailable) {
			t.Errorf("a hook that is down: got %v", err)
		}
		results = append(results, string(r.Outcome))
	}
	equal(t, "up to a hook that is down", results, []string{"created", "created", ""})
}

// clearRows are rows with passwords.
func clearRows(n int) iter.Seq2[users.ImportUser, error] {
	return rowsOf(n, func(_ int, row *users.ImportUser) error {
		row.PasswordHash, row.Password = password.Hash{}, password.New(secret)
		return nil
	})
}

// Passwords are hashed side by side, in turns with those who sign in and create, and not
// again for users who are there.
func TestImportLeavesOthersTheirTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate, err := password.NewGate(&password.GateOptions{Slots: 1, Queue: 4})
		if err != nil {
			t.Fatal(err)
		}
		h := newHasher()
		h.during = func() { time.Sleep(time.Second) }
		svc := newService(t, users.Options{Hasher: h, Gate: gate, Legacy: &oldSystem{}, Now: time.Now})
		var all sync.WaitGroup
		all.Go(func() {
			got := tally(imported(t, t.Context(), svc, clearRows(20), nil))
			equal(t, "outcomes", got, map[string]int{"created": 20})
		})
		synctest.Wait()
		for i := range 5 {
			start := time.Now()
			addUser(t, t.Context(), svc, fmt.Sprint("other", i))
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("a new user took %v beside the import", took)
			}
		}
		all.Wait()
		made := h.made.Load()
		equal(t, "run again", tally(imported(t, t.Context(), svc, clearRows(20), nil)), map[string]int{"exists": 20})
		equal(t, "hashed again", h.made.Load(), made)
	})
}

// An import waits where the queue is full, until ctx ends.
func TestImportWaitsForTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate, err := password.NewGate(&password.GateOptions{Slots: 1, Queue: 1, MaxWait: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		h := newHasher()
		h.during = func() { time.Sleep(3 * time.Second) }
		svc := newService(t, users.Options{Hasher: h, Gate: gate})
		var others sync.WaitGroup
		for i := range 5 {
			others.Go(func() { _, _ = svc.Create(t.Context(), apiKey, params(fmt.Sprint("other", i))) })
		}
		synctest.Wait()
		equal(t, "outcomes", tally(imported(t, t.Context(), svc, clearRows(5), nil)), map[string]int{"created": 5})
		others.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		for i := range 2 {
			others.Go(func() { _, _ = svc.Create(t.Context(), apiKey, params(fmt.Sprint("more", i))) })
		}
		rows := rowsOf(50, func(_ int, row *users.ImportUser) error {
			row.UserName, row.Email = "x"+row.UserName, "x"+row.Email
			row.PasswordHash, row.Password = password.Hash{}, password.New(secret)
			return nil
		})
		var ended error
		for _, err := range svc.Import(ctx, apiKey, rows, nil) {
			ended = err
		}
		if !errors.Is(ended, context.DeadlineExceeded) {
			t.Errorf("got %v, want the end of ctx", ended)
		}
		others.Wait()
	})
}

// The panic of a Hasher is the caller's to recover, as everywhere.
func TestImportPanicsWhereItsCallerIs(t *testing.T) {
	t.Parallel()
	h := newHasher()
	h.during = func() { panic("hasher") }
	svc := newService(t, users.Options{Hasher: h})
	defer func() {
		if v := recover(); v != "hasher" {
			t.Errorf("got %v, want the panic of the Hasher", v)
		}
	}()
	for range svc.Import(t.Context(), apiKey, clearRows(10), nil) {
		t.Error("got a result")
	}
}

// The end of ctx ends an import, whatever its rows go on with.
func TestImportEndsWithItsContext(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{Legacy: &oldSystem{}})
	ctx, cancel := context.WithCancel(t.Context())
	read := 0
	endless := func(yield func(users.ImportUser, error) bool) {
		for ; yield(importRow(fmt.Sprint("user", read)), nil); read++ {
			if read == 25 {
				cancel()
			}
		}
	}
	created, ended := 0, error(nil)
	for _, err := range svc.Import(ctx, apiKey, endless, &users.ImportOptions{Batch: 10}) {
		if ended = err; err == nil {
			created++
		}
	}
	if !errors.Is(ended, context.Canceled) || created != 20 || read > 26 {
		t.Errorf("got %d results of %d rows and %v, want the two whole batches and the end of ctx", created, read, ended)
	}
}

// The same rows at once from two programs: each user once, each row told.
func TestRacingImports(t *testing.T) {
	t.Parallel()
	for name, svc := range importServices(t, users.Options{}) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			total := make(map[string]int)
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					n := tally(imported(t, t.Context(), svc, rowsOf(300, nil), &users.ImportOptions{Batch: 7}))
					mu.Lock()
					defer mu.Unlock()
					for o, k := range n {
						total[o] += k
					}
				})
			}
			all.Wait()
			for o := range maps.Keys(total) {
				if !slices.Contains([]string{"created", "exists", "duplicate userName, email"}, o) {
					t.Errorf("got %d rows %s", total[o], o)
				}
			}
			equal(t, "created", total["created"], 300)
		})
	}
}

// The roles of a batch are looked up once, and one that goes meanwhile is a fault of the rows
// that have it.
func TestImportLooksForRolesOnceABatch(t *testing.T) {
	t.Parallel()
	for name, svc := range importServices(t, users.Options{}) {
		addRole(t, svc, "editor")
		going := addRole(t, svc, "going")
		looked := 0
		racing := svc.WithStore(storefake.Around(boxOf(t, svc), func(ctx context.Context, m storefake.Method, _ any, do func() error) error {
			switch m {
			case storefake.FindRoles:
				looked++
			case storefake.CreateUser, storefake.CreateUsers:
				if err := svc.DeleteRole(ctx, apiKey, going.ID); err != nil && !errors.Is(err, users.ErrNotFound) {
					t.Error(err)
				}
			}
			return do()
		}))
		rows := rowsOf(30, func(i int, row *users.ImportUser) error {
			row.Roles = roleRefs([]string{"editor", "going"}[i%2])
			return nil
		})
		var outcomes []string
		for r, err := range racing.Import(t.Context(), apiKey, rows, &users.ImportOptions{Batch: 30}) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Outcome == users.ImportRefused && !errors.Is(r.Err, users.ErrNotFound) {
				t.Errorf("%s: got %v, want ErrNotFound", name, r.Err)
			}
			outcomes = append(outcomes, string(r.Outcome))
		}
		equal(t, name, tally(outcomes), map[string]int{"created": 15, "refused": 15})
		equal(t, name+": looked for roles", looked, 2)
	}
}

// What no hash can be made of is refused, whatever the policy is told.
func TestImportOfPasswordsThatCantBeHashed(t *testing.T) {
	t.Parallel()
	bcrypt, err := password.Bcrypt(password.MinBcryptCost)
	if err != nil {
		t.Fatal(err)
	}
	svc := newService(t, users.Options{Hasher: bcrypt})
	passwords := []string{"short", strings.Repeat("a", 72), strings.Repeat("a", 73), "\xff", strings.Repeat("a", 100_000)}
	rows := rowsOf(len(passwords), func(i int, row *users.ImportUser) error {
		row.PasswordHash, row.Password = password.Hash{}, password.New(passwords[i])
		return nil
	})
	equal(t, "outcomes", imported(t, t.Context(), svc, rows, &users.ImportOptions{SkipPolicy: true}), []string{
		"created", "created", "refused /password too_long", "refused /password not_text", "refused /password too_long",
	})
}
