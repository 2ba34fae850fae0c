package suite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/dbtest/flaky"
	"github.com/gousers/users/sqlstore"
)

// Batches runs the promises about users that are created in batches.
func Batches(t *testing.T, g *Target) {
	g.Share(t)
	t.Run("SameRowsBesideSingleOnes", func(t *testing.T) { raceOfBatches(t, g.Fresh(t)) })
	t.Run("CrossedKeys", func(t *testing.T) { raceOfCrossedKeys(t, g.Fresh(t)) })
	t.Run("ManyConnections", func(t *testing.T) { batchesOfAllConnections(t, g.Fresh(t)) })
	t.Run("SomebodyComesBetween", func(t *testing.T) { comesBetween(t, g) })
	t.Run("BeginsToWrite", func(t *testing.T) { beginsToWrite(t, g.Fresh(t)) })
	t.Run("FewTexts", func(t *testing.T) { fewTexts(t, g.Fresh(t)) })
	t.Run("Aborted", func(t *testing.T) { abortedBatch(t, g) })
	t.Run("Faults", func(t *testing.T) { batchFaults(t, g.Fresh(t)) })
}

// joiner returns a user with a role and a notification, for a batch.
func joiner(id string) *users.NewUser {
	n := withNotifications(id, users.KindAccountCreated)
	n.Roles = []users.Role{{ID: "r"}}
	return n
}

// named sets other keys of a user with such an id.
func named(id, name, email string) *users.NewUser {
	n := joiner(id)
	n.NameKey, n.EmailKey = name, email
	return n
}

// wantWinners checks that each of keys names is the name of one user, with all that comes
// with one, and that each of those was told so.
func (e *Env) wantWinners(t *testing.T, keys int, won int64) {
	t.Helper()
	for _, table := range []string{"users", "user_roles", "notifications"} {
		if got := e.count(t, table); got != keys {
			t.Errorf("rows of %s: got %d, want %d", table, got, keys)
		}
	}
	if won != int64(keys) {
		t.Errorf("got %d users created, want %d", won, keys)
	}
}

// countDeadlocks counts those that the database sorted out, until the hooks are replaced.
// SQLite's are transactions that have read, and can't write because another one has.
func (e *Env) countDeadlocks() (deadlocks *atomic.Int64) {
	deadlocks = new(atomic.Int64)
	e.Switch.Set(&flaky.Hooks{Failed: func(_ flaky.Call, err error) {
		text := strings.ToLower(err.Error())
		if strings.Contains(text, "deadlock") || e.Dialect == sqlstore.SQLite && strings.Contains(text, "locked") {
			deadlocks.Add(1)
		}
	}})
	return deadlocks
}

// tally counts the outcomes of a call that made a batch.
func tally(t *testing.T, won *atomic.Int64, outcomes []error, err error) {
	if err != nil {
		t.Errorf("a batch: got %v, want nil", err)
	}
	for _, outcome := range outcomes {
		switch {
		case outcome == nil:
			won.Add(1)
		case class(outcome) != "conflict of userName and email":
			t.Errorf("a loser: got %v, want a conflict", outcome)
		}
	}
}

// raceOfBatches lets two processes create the same 60 users, each in an order of its own,
// beside 20 who come alone. On PostgreSQL and SQLite they queue: there a deadlock takes a
// second, or all of the tries. MySQL's rows that are refused leave locks that two can wait
// behind.
func raceOfBatches(t *testing.T, e *Env) {
	const keys = 60
	e.withRole(t)
	stores := []*sqlstore.Store{e.Store, e.New(t, e.Options)}
	deadlocks := e.countDeadlocks()
	var won atomic.Int64
	var wg sync.WaitGroup
	start := make(chan struct{})
	for b, s := range stores {
		ns := make([]*users.NewUser, keys)
		for k := range ns {
			ns[k] = named(fmt.Sprintf("batch%d/%d", b, k), fmt.Sprint("name", k), fmt.Sprint("name", k, "@example.com"))
		}
		if b == 1 {
			slices.Reverse(ns)
		}
		wg.Go(func() {
			<-start
			outcomes, err := s.CreateUsers(t.Context(), ns)
			tally(t, &won, outcomes, err)
		})
	}
	for i := range 20 {
		wg.Go(func() {
			<-start
			k := 3 * i
			n := named(fmt.Sprint("single/", k), fmt.Sprint("name", k), fmt.Sprint("name", k, "@example.com"))
			tally(t, &won, []error{stores[i%2].CreateUser(t.Context(), n)}, nil)
		})
	}
	close(start)
	wg.Wait()
	e.Switch.Set(nil)
	e.wantWinners(t, keys, won.Load())
	t.Logf("%d deadlocks", deadlocks.Load())
	if e.Dialect != sqlstore.MySQL && deadlocks.Load() > 0 {
		t.Errorf("got %d deadlocks, want none", deadlocks.Load())
	}
}

// raceOfCrossedKeys lets two batches race whose addresses are in the opposite order of
// their names: no order of writing keeps them from waiting for each other, and one of them
// is repeated.
func raceOfCrossedKeys(t *testing.T, e *Env) {
	const keys = 60
	e.withRole(t)
	batches := make([][]*users.NewUser, 2)
	for b := range batches {
		for k := range keys {
			address := k
			if b == 1 {
				address = keys - 1 - k
			}
			batches[b] = append(batches[b], named(
				fmt.Sprintf("batch%d/%02d", b, k), fmt.Sprintf("name%d/%02d", b, k), fmt.Sprintf("a%02d@example.com", address)))
		}
	}
	var created, refused atomic.Int64
	var wg sync.WaitGroup
	for _, ns := range batches {
		wg.Go(func() {
			outcomes, err := e.Store.CreateUsers(t.Context(), ns)
			if err != nil {
				t.Errorf("a batch: got %v, want nil", err)
			}
			for _, outcome := range outcomes {
				switch {
				case outcome == nil:
					created.Add(1)
				case class(outcome) == "conflict of email":
					refused.Add(1)
				default:
					t.Errorf("a loser: got %v, want a conflict", outcome)
				}
			}
		})
	}
	wg.Wait()
	e.wantWinners(t, keys, created.Load())
	if refused.Load() != keys {
		t.Errorf("got %d refused, want %d", refused.Load(), keys)
	}
}

// batchesOfAllConnections creates the same users in batches and one by one, on every
// connection, by a store that has prepared nothing yet: none waits for a statement that
// another one has, which waits for it.
func batchesOfAllConnections(t *testing.T, e *Env) {
	const keys, rounds = 30, 3
	e.withRole(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var won atomic.Int64
	for round := range rounds {
		s := e.preparing(t)
		var wg sync.WaitGroup
		start := make(chan struct{})
		for b := range 20 {
			ns := make([]*users.NewUser, keys)
			for k := range ns {
				key := fmt.Sprintf("%d/%d", round, k)
				ns[k] = named(fmt.Sprintf("%d/%d/%d", round, b, k), key, key+"@example.com")
			}
			wg.Go(func() {
				<-start
				if b >= 4 {
					tally(t, &won, []error{s.CreateUser(ctx, ns[b])}, nil)
					return
				}
				outcomes, err := s.CreateUsers(ctx, ns)
				tally(t, &won, outcomes, err)
			})
		}
		close(start)
		wg.Wait()
		must(t, s.Close())
	}
	e.wantWinners(t, rounds*keys, won.Load())
}

// comesBetween creates a user when a batch has looked, if it does, and before it writes.
func comesBetween(t *testing.T, g *Target) {
	if g.Dialect == sqlstore.SQLite {
		t.Skip("it has one writer")
	}
	for name, c := range map[string]struct {
		ns   []*users.NewUser
		want []string
	}{
		"WithAnAddress": {
			[]*users.NewUser{named("a", "a", "a@example.com"), named("b", "b", "taken@example.com"), named("c", "c", "c@example.com")},
			[]string{class(nil), "conflict of email", class(nil)},
		},
		// Who would have been in the way of the second is refused, so the second is
		// created, and in the way of the third.
		"WithWhatAChainHangsOn": {
			[]*users.NewUser{named("a", "x", "taken@example.com"), named("b", "x", "y@example.com"), named("c", "z", "y@example.com")},
			[]string{"conflict of email", class(nil), "conflict of email"},
		},
		"WithANameBesideAMissingRole": {
			[]*users.NewUser{named("a", "taken", "a@example.com"), withRoles(named("b", "b", "b@example.com"), "nobody's"), named("c", "c", "c@example.com")},
			[]string{"conflict of userName", class(users.ErrNotFound), class(nil)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := g.Fresh(t)
			e.withRole(t)
			var come atomic.Bool
			e.Switch.Set(&flaky.Hooks{Before: func(c flaky.Call) error {
				if c.Op == flaky.Exec || c.Op == flaky.Query {
					if strings.HasPrefix(c.Query, "INSERT INTO") && strings.Contains(c.Query, "name_key") && come.CompareAndSwap(false, true) {
						return e.Store.CreateUser(t.Context(), named("between", "taken", "taken@example.com"))
					}
				}
				return nil
			}})
			outcomes, err := e.Store.CreateUsers(t.Context(), c.ns)
			e.Switch.Set(nil)
			var got []string
			created := 1
			for _, outcome := range outcomes {
				got = append(got, class(outcome))
				if outcome == nil {
					created++
				}
			}
			if err != nil || !slices.Equal(got, c.want) || !come.Load() {
				t.Errorf("got %q and error %v, want %q", got, err, c.want)
			}
			e.wantWinners(t, created, int64(created))
		})
	}
}

// beginsToWrite: a transaction of SQLite's that begins with reading is refused to write
// where another process has written meanwhile, and waiting does not help it.
func beginsToWrite(t *testing.T, e *Env) {
	if e.Dialect != sqlstore.SQLite {
		t.Skip("elsewhere there are many writers")
	}
	e.withRole(t)
	first := ""
	e.Switch.Set(&flaky.Hooks{Before: func(c flaky.Call) error {
		if first == "" && c.Op != flaky.Begin {
			first = c.Query
		}
		return nil
	}})
	_, err := e.Store.CreateUsers(t.Context(), []*users.NewUser{joiner("ada"), joiner("bob")})
	e.Switch.Set(nil)
	if err != nil || first == "" || strings.HasPrefix(first, "SELECT") {
		t.Errorf("got %v and %q first, want a statement that writes", err, first)
	}
}

func withRoles(n *users.NewUser, ids ...string) *users.NewUser {
	n.Roles = nil
	for _, id := range ids {
		n.Roles = append(n.Roles, users.Role{ID: id})
	}
	return n
}

// fewTexts: a driver that keeps prepared statements, each as large as it is, keeps few. No
// statement has more variables than a build of SQLite may take, or comes near the longest
// that MySQL takes.
func fewTexts(t *testing.T, e *Env) {
	e.withRole(t)
	texts := map[string]map[string]bool{}
	e.Switch.Set(&flaky.Hooks{Before: func(c flaky.Call) error {
		for _, table := range []string{"users", "user_roles", "notifications"} {
			if strings.HasPrefix(c.Query, "INSERT INTO") && strings.Contains(c.Query, table+e.quote()+" (") {
				if texts[table] == nil {
					texts[table] = map[string]bool{}
				}
				texts[table][c.Query] = true
			}
		}
		if e.Dialect == sqlstore.SQLite && len(c.Args) > 999 {
			t.Errorf("got a statement with %d variables, want 999 at most: %.60s", len(c.Args), c.Query)
		}
		length := 0
		for _, a := range c.Args {
			s, _ := a.Value.(string)
			length += len(s)
		}
		if length > 1<<20 {
			t.Errorf("got a statement with %d bytes, want a mebibyte at most: %.60s", length, c.Query)
		}
		return nil
	}})
	made := 0
	for _, size := range []int{1, 2, 3, 4, 7, 39, 42, 99, 123, 600} {
		var ns []*users.NewUser
		for k := range size {
			made++
			n := joiner(fmt.Sprint("user", made))
			if size == 42 || k%100 == 0 {
				n.DashboardSettings = []byte(`"` + strings.Repeat("x", users.MaxDashboardSettings-2) + `"`)
			}
			ns = append(ns, n)
		}
		outcomes, err := e.Store.CreateUsers(t.Context(), ns)
		if failed := errors.Join(outcomes...); err != nil || failed != nil {
			t.Fatalf("%d users: got %v and %v, want nil", size, failed, err)
		}
	}
	e.Switch.Set(nil)
	for table, of := range texts {
		if len(of) > 4 {
			t.Errorf("%s: got %d texts, want 4 at most", table, len(of))
		}
	}
	if len(texts) != 3 {
		t.Errorf("got texts for %d tables, want 3", len(texts))
	}
	e.wantWinners(t, made, int64(made))
}

func (e *Env) quote() string {
	if e.Dialect == sqlstore.MySQL {
		return "`"
	}
	return `"`
}

// abortedBatch aborts one statement that writes after the other: all is repeated, and
// nothing is there twice. In the host's transaction that is for the host to do.
func abortedBatch(t *testing.T, g *Target) {
	for name, abort := range g.aborts() {
		e := g.Fresh(t)
		e.withRole(t)
		made := 0
		for call, more := int64(1), true; more; call++ {
			ns := []*users.NewUser{joiner(fmt.Sprint("a", call)), joiner(fmt.Sprint("b", call)), joiner(fmt.Sprint("c", call))}
			var calls atomic.Int64
			e.Switch.Set(&flaky.Hooks{Before: func(c flaky.Call) error {
				if writes(c) && calls.Add(1) == call {
					return abort
				}
				return nil
			}})
			outcomes, err := e.Store.CreateUsers(t.Context(), ns)
			e.Switch.Set(nil)
			made += len(ns)
			if failed := errors.Join(outcomes...); err != nil || failed != nil {
				t.Fatalf("%s at write %d: got %v and %v, want nil", name, call, failed, err)
			}
			e.wantWinners(t, made, int64(made))
			more = calls.Load() >= call
		}

		tx, err := e.DB.Begin()
		must(t, err)
		e.Switch.Set(failAt("users", false, abort))
		n := joiner("inside")
		n.HostTx = true
		_, err = e.Store.WithTx(tx).CreateUsers(t.Context(), []*users.NewUser{n})
		e.Switch.Set(nil)
		if !errors.Is(err, users.ErrRetryTx) || !errors.Is(err, abort) {
			t.Errorf("%s in the host's transaction: got %v, want ErrRetryTx with its cause", name, err)
		}
		must(t, tx.Rollback())
	}
}

// batchFaults fails each call of the driver in turn, in every way: a batch is created as
// a whole or not at all, and an answer without an error is true.
func batchFaults(t *testing.T, e *Env) {
	e.withRole(t)
	taken := e.stored(t, "taken")
	made := 0
	for i, w := range ways() {
		if w.name == "Panic" && e.Dialect == sqlstore.SQLite {
			continue // database/sql loses its lock also with a prepared statement that panics
		}
		for n, more := 1, true; more; n++ {
			id := func(k int) string { return fmt.Sprintf("u%d-%d-%d", i, n, k) }
			ns := []*users.NewUser{joiner(id(1)), joiner(id(2)), joiner(id(3)), joiner(id(4))}
			ns[1].NameKey = taken.NameKey
			if n%2 == 1 {
				ns[2].Roles = []users.Role{{ID: "nobody's"}}
			}
			want := []string{class(nil), "conflict of userName", class(nil), class(nil)}
			whole := 3
			if n%2 == 1 {
				want[2], whole = class(users.ErrNotFound), 2
			}

			var outcomes []error
			var err error
			more, err = e.failing(w, n, func(ctx context.Context) (err error) {
				outcomes, err = e.Store.CreateUsers(ctx, ns)
				return err
			})
			cell := fmt.Sprintf("%s at call %d", w.name, n)
			there := e.count(t, "users") - 1 - made
			made += there
			var got []string
			for _, outcome := range outcomes {
				got = append(got, class(outcome))
			}
			switch {
			case err == nil && (there != whole || !slices.Equal(got, want)):
				t.Errorf("%s: got %q and %d users, want %q and %d", cell, got, there, want, whole)
			case err != nil && there != 0 && there != whole:
				t.Errorf("%s: got %v and %d users, want %d or none", cell, err, there, whole)
			case err != nil && (w.name == "Delay" || w.class != nil && !errors.Is(err, w.class)):
				t.Errorf("%s: got %v, want %v", cell, err, w.class)
			case err != nil && w.before && w.name != "Delay" && there != 0:
				t.Errorf("%s: got %v and %d users, want none", cell, err, there)
			}
			for _, table := range []string{"user_roles", "notifications"} {
				if got := e.count(t, table); got != made {
					t.Errorf("%s: rows of %s: got %d, want %d", cell, table, got, made)
				}
			}
			if t.Failed() {
				return
			}
		}
	}
	wantIdle(t, e)
}
