package suite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/dbtest/flaky"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/password"
	"github.com/gousers/users/sqlstore"
)

// aborts are the errors of a driver that a repetition may cure.
func (g *Target) aborts() map[string]error {
	switch g.Dialect {
	case sqlstore.Postgres:
		return map[string]error{"40001": stateError("40001"), "40P01": stateError("40P01")}
	case sqlstore.MySQL:
		return map[string]error{"1213": &numberError{Number: 1213}, "1205": &numberError{Number: 1205}, "1020": &numberError{Number: 1020}}
	}
	return map[string]error{"BUSY": codeError(5), "BUSY_SNAPSHOT": codeError(517)}
}

// The shapes of drivers' errors.
type stateError string

func (e stateError) Error() string    { return "injected " + string(e) }
func (e stateError) SQLState() string { return string(e) }

type numberError struct{ Number uint16 }

func (e *numberError) Error() string { return fmt.Sprint("injected ", e.Number) }

type codeError int

func (e codeError) Error() string { return fmt.Sprint("injected ", int(e)) }
func (e codeError) Code() int     { return int(e) }

// writes reports whether a call can change something.
func writes(c flaky.Call) bool {
	switch c.Op {
	case flaky.Commit:
		return true
	case flaky.Exec, flaky.Query:
		return strings.HasPrefix(c.Query, "INSERT") || strings.HasPrefix(c.Query, "WITH")
	}
	return false
}

// failAt fails every statement that writes to table.
func failAt(table string, after bool, err error) *flaky.Hooks {
	hook := func(c flaky.Call) error {
		if writes(c) && strings.Contains(c.Query, table) {
			return err
		}
		return nil
	}
	if after {
		return &flaky.Hooks{After: hook}
	}
	return &flaky.Hooks{Before: hook}
}

// shapes of a new user: one statement, one statement with more in it, a transaction.
func shapes() map[string]func(name string) users.CreateUserParams {
	return map[string]func(name string) users.CreateUserParams{
		"Alone": func(name string) users.CreateUserParams {
			p := params(name)
			p.Roles, p.SendEmailNotification, p.IdempotencyKey = nil, false, ""
			return p
		},
		"WithRoles": func(name string) users.CreateUserParams {
			p := params(name)
			p.IdempotencyKey = ""
			return p
		},
		"WithKey": params,
	}
}

// Retries runs the promises about transactions that the database aborts.
func Retries(t *testing.T, g *Target) {
	g.Share(t)
	for name, abort := range g.aborts() {
		for shape, params := range shapes() {
			t.Run(name+"/"+shape, func(t *testing.T) {
				t.Parallel() // the pauses between the tries are real
				e := g.Fresh(t)
				retriesFourTimes(t, e, abort, params)
				if shape == "WithKey" {
					e.wantRows(t, 4)
				}
			})
		}
		t.Run(name+"/InHostTransaction", func(t *testing.T) { leavesTheRetryToTheHost(t, g.Fresh(t), abort) })
	}
}

// abortWrites aborts the first n statements that write; it counts them all.
func (e *Env) abortWrites(n int64, abort error) (calls *atomic.Int64) {
	calls = new(atomic.Int64)
	e.Switch.Set(&flaky.Hooks{Before: func(c flaky.Call) error {
		if writes(c) && calls.Add(1) <= n {
			return abort
		}
		return nil
	}})
	return calls
}

// retriesFourTimes creates 4 users, and a fifth that fails. The store tries for two
// seconds; where a busy machine takes them all, nothing is written and the user is
// asked for once more.
func retriesFourTimes(t *testing.T, e *Env, abort error, params func(name string) users.CreateUserParams) {
	var hashed atomic.Int64
	svc := e.service(t, users.Options{Hasher: hasher{password.InsecureForTests(), func() { hashed.Add(1) }}})
	for times := 1; times <= 5; times++ {
		var err error
		for slow := true; slow; {
			hashed.Store(0)
			e.abortWrites(int64(times), abort)
			start := time.Now()
			_, err = svc.Create(context.Background(), "demo", params(fmt.Sprint("user", times)))
			e.Switch.Set(nil)
			slow = times < 5 && errors.Is(err, users.ErrUnavailable) && time.Since(start) > time.Second
		}

		switch {
		case times < 5 && err != nil:
			t.Errorf("%d times in a row: got %v, want success", times, err)
		case times == 5 && (!errors.Is(err, users.ErrUnavailable) || !errors.Is(err, abort)):
			t.Errorf("5 times in a row: got %v, want ErrUnavailable with its cause", err)
		}
		if got := hashed.Load(); got != 1 {
			t.Errorf("%d times in a row: hashed %d times, want once", times, got)
		}
	}
	if got := e.count(t, "users"); got != 4 {
		t.Errorf("users: got %d, want 4", got)
	}
}

func leavesTheRetryToTheHost(t *testing.T, e *Env, abort error) {
	svc := e.service(t, users.Options{})
	tx, err := e.DB.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()

	calls := e.abortWrites(math.MaxInt64, abort)
	_, err = svc.InTx(e.Store.WithTx(tx)).Create(context.Background(), "demo", params("ada"))
	e.Switch.Set(nil)
	if !errors.Is(err, users.ErrRetryTx) || !errors.Is(err, abort) {
		t.Errorf("got %v, want ErrRetryTx with its cause", err)
	}
	if got := calls.Load(); got != 1 {
		t.Errorf("tries: got %d, want 1: only the host can repeat its transaction", got)
	}
}

// way is how a call of the driver fails.
type way struct {
	name   string
	before bool // it does not reach the database
	err    func(cancel context.CancelFunc) error
	class  error // of an error that comes out; nil: any
}

func ways() []way {
	injected := errors.New("injected")
	return []way{
		{"ErrorBefore", true, func(context.CancelFunc) error { return injected }, injected},
		{"ErrorAfter", false, func(context.CancelFunc) error { return injected }, injected},
		{"Delay", true, func(context.CancelFunc) error { time.Sleep(2 * time.Millisecond); return nil }, nil},
		{"Panic", true, func(context.CancelFunc) error { panic("injected") }, nil},
		{"CanceledBefore", true, func(cancel context.CancelFunc) error { cancel(); return nil }, context.Canceled},
		{"CanceledAfter", false, func(cancel context.CancelFunc) error { cancel(); return nil }, context.Canceled},
		{"BadConnBefore", true, func(context.CancelFunc) error { return driver.ErrBadConn }, users.ErrUnavailable},
		{"BadConnAfter", false, func(context.CancelFunc) error { return driver.ErrBadConn }, users.ErrUnavailable},
		{"LostAfter", false, func(context.CancelFunc) error { return fmt.Errorf("read: %w", io.ErrUnexpectedEOF) }, users.ErrUnavailable},
	}
}

// canFail reports whether the way can be taken at c.
func (w way) canFail(c flaky.Call) bool {
	if c.Op == flaky.Rollback || c.Op == flaky.Connect || strings.HasPrefix(c.Query, "ROLLBACK") {
		return false
	}
	// After a panic of the driver in any other call database/sql itself loses the
	// connection or its lock.
	return w.name != "Panic" || c.Op == flaky.Exec
}

// Faults fails every call of the driver in turn, in every way, and checks that
// the answer is true.
func Faults(t *testing.T, g *Target) {
	g.Share(t)
	for shape, params := range shapes() {
		t.Run(shape, func(t *testing.T) {
			e := g.Fresh(t)
			f := faulty{e, e.service(t, users.Options{}), shape == "WithKey"}
			made := 0
			for _, w := range ways() {
				for n, more := 1, true; more; n++ {
					var there bool
					there, more = f.failCall(t, w, n, params(strings.ToLower(fmt.Sprintf("%s%d", w.name, n))))
					if there {
						made++
					}
				}
			}
			if got := e.count(t, "users"); got != made {
				t.Errorf("users: got %d, want %d", got, made)
			}
			if f.withKey {
				e.wantRows(t, made)
			}
			wantIdle(t, e)
		})
	}
}

// faulty creates users on a driver that fails.
type faulty struct {
	*Env
	svc     *users.Service
	withKey bool // the users come with an idempotency key
}

// failCall creates a user while call n fails in the way w, and reports whether
// the user is there in the end and whether there was such a call.
func (f faulty) failCall(t *testing.T, w way, n int, p users.CreateUserParams) (there, more bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var seen int
	var at flaky.Call
	hook := func(c flaky.Call) error {
		if !w.canFail(c) {
			return nil
		}
		if seen++; seen == n {
			at = c
			return w.err(cancel)
		}
		return nil
	}
	if w.before {
		f.Switch.Set(&flaky.Hooks{Before: hook})
	} else {
		f.Switch.Set(&flaky.Hooks{After: hook})
	}
	err := attempt(ctx, f.svc, p)
	f.Switch.Set(nil)
	if seen < n { // every call had its turn
		if err != nil {
			t.Fatalf("%s: without a fault: got %v", w.name, err)
		}
		return true, false
	}

	cell := fmt.Sprintf("%s at call %d (%s %.40s)", w.name, n, at.Op, at.Query)
	there = exists(t, f.svc, p.UserName)
	switch {
	case err == nil && !there:
		t.Errorf("%s: success, and the user is not there", cell)
	case errors.Is(err, users.ErrConflict):
		t.Errorf("%s: got %v for a free name", cell, err)
	case err != nil && w.class != nil && !errors.Is(err, w.class):
		t.Errorf("%s: got %v, want %v", cell, err, w.class)
	case err != nil && w.name == "Delay":
		t.Errorf("%s: got %v, want success", cell, err)
	case strings.Contains(fmt.Sprint(err), goodPassword):
		t.Errorf("%s: the password is in the error", cell)
	}

	if f.withKey && !there {
		// The same key finds the user, or makes it.
		if _, err := f.svc.Create(context.Background(), "demo", p); err != nil {
			t.Errorf("%s: the repeated request: got %v, want success", cell, err)
		}
		there = true
	}
	return there, true
}

// attempt creates a user; a panic of the driver is an error of its own.
func attempt(ctx context.Context, svc *users.Service, p users.CreateUserParams) error {
	return recovered(func() error {
		_, err := svc.Create(ctx, "demo", p)
		return err
	})
}

// recovered runs f; a panic is an error of its own.
func recovered(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return f()
}

func exists(t testing.TB, svc *users.Service, name string) bool {
	t.Helper()
	_, err := svc.User(context.Background(), "demo", name)
	if err != nil && !errors.Is(err, users.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

// wantIdle waits until no connection is in use: database/sql rolls back a
// canceled transaction on a goroutine of its own.
func wantIdle(t testing.TB, e *Env) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		got := e.DB.Stats().InUse
		if got == 0 {
			return
		}
		if time.Now().After(end) {
			t.Errorf("connections in use: got %d, want 0", got)
			return
		}
	}
}

// Cancellation cancels creates at random instants: a user has all of its rows
// or is not there.
func Cancellation(t *testing.T, g *Target, instants int) {
	g.Share(t)
	e := g.Fresh(t)
	svc := e.service(t, users.Options{})
	var wg sync.WaitGroup
	var done atomic.Int64
	for worker := range 4 {
		wg.Go(func() {
			// It follows what a call takes now, so that about a third of them
			// end in time and the others at every stage.
			limit := 10 * time.Millisecond
			for i := range instants / 4 {
				ctx, cancel := context.WithTimeout(context.Background(), rand.N(limit))
				_, err := svc.Create(ctx, "demo", params(fmt.Sprintf("w%dn%d", worker, i)))
				cancel()
				switch {
				case err == nil:
					done.Add(1)
					limit -= limit / 10
				case errors.Is(err, context.DeadlineExceeded):
					limit += limit / 20
				default:
					t.Errorf("canceled: got %v, want context.DeadlineExceeded", err)
				}
			}
		})
	}
	wg.Wait()
	wantIdle(t, e)
	there := e.count(t, "users")
	if there < int(done.Load()) {
		t.Errorf("users: got %d, want at least the %d acknowledged ones", there, done.Load())
	}
	e.wantRows(t, there)
	t.Logf("%d instants: %d acknowledged, %d there", instants, done.Load(), there)
}

// StoreFaults fails each call of the Store in turn.
func StoreFaults(t *testing.T, g *Target) {
	g.Share(t)
	e := g.Fresh(t)
	svc := e.service(t, users.Options{})
	injected := errors.New("injected")
	made := 0
	for name, fault := range map[string]func(cancel func(), do func() error) error{
		"before":   func(func(), func() error) error { return injected },
		"after":    func(_ func(), do func() error) error { do(); return injected },
		"panic":    func(func(), func() error) error { panic("injected") },
		"canceled": func(cancel func(), do func() error) error { cancel(); return do() },
		"badconn":  func(func(), func() error) error { return driver.ErrBadConn },
	} {
		for call := 1; ; call++ {
			user := fmt.Sprintf("%s%d", name, call)
			ctx, cancel := context.WithCancel(context.Background())
			seen := 0
			faulty := storefake.Around(e.Store, func(_ context.Context, _ storefake.Method, _ any, do func() error) error {
				if seen++; seen == call {
					return fault(cancel, do)
				}
				return do()
			})
			err := attempt(ctx, svc.WithStore(faulty), params(user))
			cancel()
			if seen < call { // every one had its turn
				if err != nil {
					t.Fatalf("%s: without a fault: got %v", name, err)
				}
				made++
				break
			}
			if err == nil {
				t.Errorf("%s at call %d: got success, want an error", name, call)
			}
			if errors.Is(err, users.ErrConflict) {
				t.Errorf("%s at call %d: got %v for a free name", name, call, err)
			}
			// The same key finds the user, or makes it.
			u, err := svc.Create(context.Background(), "demo", params(user))
			if err != nil || u.UserName != user {
				t.Errorf("%s at call %d, repeated: got %v, want the user", name, call, err)
			}
			made++
		}
	}
	e.wantRows(t, made)
	wantIdle(t, e)
}

// EditFaults fails every call of the driver in turn, in every way, while a user is
// edited, deleted and listed, and sets a password by a token, and checks that it is done in whole or not at all.
func EditFaults(t *testing.T, g *Target) {
	g.Share(t)
	e := g.Fresh(t)
	e.withRole(t)
	for i, w := range ways() {
		for n, more := 1, true; more; n++ {
			u := e.stored(t, fmt.Sprintf("user%d-%d", i, n))
			edit := e.fullEdit(u, 0)
			edit.Name = "new"
			var err error
			more, err = e.failing(w, n, func(ctx context.Context) error { return e.Store.EditUser(ctx, edit) })
			cell := fmt.Sprintf("%s at call %d", w.name, n)
			e.wantWhole(t, cell+" of an edit", u.ID, err)

			moreToRedeem := e.redeemFailing(t, w, n, fmt.Sprintf("mailed%d-%d", i, n))
			more = more || moreToRedeem

			_, err = e.failing(w, n, func(ctx context.Context) error {
				_, err := e.Store.ListUsers(ctx, users.UserListing{ApplicationID: "app", Limit: 3, Count: true})
				return err
			})
			if err != nil && w.class != nil && !errors.Is(err, w.class) {
				t.Errorf("%s of a list: got %v, want %v", cell, err, w.class)
			}

			moreToDelete, err := e.failing(w, n, func(ctx context.Context) error {
				return e.Store.DeleteUser(ctx, users.UserDeletion{ApplicationID: "app", ID: u.ID, IfVersion: 2})
			})
			if more = more || moreToDelete; err == nil {
				e.deleteNow(t, u.ID) // it had version 1 still
			} else if errors.Is(err, users.ErrNotFound) {
				t.Errorf("%s of a deletion: got %v", cell, err)
			}
			e.deleteNow(t, u.ID)
			e.wantNothingOfUsers(t)
			if t.Failed() {
				return
			}
		}
	}
	wantIdle(t, e)
}

// redeemFailing has a user set a password by a token while call n of the driver fails in
// the way w, and checks that all or nothing is written.
func (e *Env) redeemFailing(t *testing.T, w way, n int, id string) (failed bool) {
	t.Helper()
	u := e.stored(t, id)
	before, token := e.count(t, "notifications"), e.token(t, u)
	redeem := e.fullRedemption(token, 0)
	failed, err := e.failing(w, n, func(ctx context.Context) error { return e.Store.RedeemToken(ctx, redeem) })

	found, lookup := e.Store.FindUsers(t.Context(), users.UserQuery{ApplicationID: "app", IDs: []string{id}})
	if lookup != nil || len(found) != 1 {
		t.Fatalf("got %d users and %v, want 1", len(found), lookup)
	}
	told, tokens := e.count(t, "notifications")-before, e.count(t, "password_tokens")
	set := found[0].Version == 2 && found[0].Hash.Equal(redeem.Hash) && told == 1 && tokens == 0
	untouched := found[0].Version == 1 && !found[0].Hash.Equal(redeem.Hash) && told == 0 && tokens == 1
	if !set && (!untouched || err == nil) {
		t.Errorf("%s at call %d of a redemption: got %v, and version %d, %d notifications, %d tokens",
			w.name, n, err, found[0].Version, told, tokens)
	}
	if errors.Is(err, users.ErrBadToken) {
		t.Errorf("%s at call %d of a redemption: got %v for a good token", w.name, n, err)
	}
	e.deleteNow(t, id)
	return failed
}

// failing runs do while call n of the driver fails in the way w, and reports whether
// there was such a call.
func (e *Env) failing(w way, n int, do func(ctx context.Context) error) (failed bool, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	seen := 0
	hook := func(c flaky.Call) error {
		if !w.canFail(c) {
			return nil
		}
		if seen++; seen == n {
			return w.err(cancel)
		}
		return nil
	}
	if w.before {
		e.Switch.Set(&flaky.Hooks{Before: hook})
	} else {
		e.Switch.Set(&flaky.Hooks{After: hook})
	}
	defer e.Switch.Set(nil)
	err = recovered(func() error { return do(ctx) })
	return seen >= n, err
}

// wantWhole checks that a user is as before an edit or as behind one, which returned err.
func (e *Env) wantWhole(t *testing.T, cell, id string, err error) {
	t.Helper()
	found, lookup := e.Store.FindUsers(context.Background(), users.UserQuery{ApplicationID: "app", IDs: []string{id}})
	if lookup != nil || len(found) != 1 {
		t.Fatalf("%s: got %d users and %v, want 1", cell, len(found), lookup)
	}
	u := &found[0]
	edited := u.Version == 2 && u.Name == "new" && len(u.Roles) == 1
	untouched := u.Version == 1 && u.Name == "" && len(u.Roles) == 0
	pending := e.count(t, "notifications")
	switch {
	case edited && pending == 1:
	case untouched && pending == 0 && err != nil:
	default:
		t.Errorf("%s: got %v, and version %d, name %q, %d roles, %d notifications", cell, err, u.Version, u.Name, len(u.Roles), pending)
	}
}
