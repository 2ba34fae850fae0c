package suite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/dbtest/flaky"
	"github.com/gousers/users/sqlstore"
)

// HostErrors runs the promise that an error of OnCreate is the host's own,
// whatever class it matches and wherever its cause looks like the database's: it
// is never taken for what the store met itself, and nothing of the user is left.
// Only what ended the transaction is the store's.
func HostErrors(t *testing.T, g *Target) {
	g.Share(t)
	for name, fail := range hostErrors(g) {
		t.Run(name, func(t *testing.T) {
			t.Run("OwnTransaction", func(t *testing.T) { hookFails(t, newHost(t, g), fail) })
			t.Run("AfterAnAbort", func(t *testing.T) { hookFailsAfterAnAbort(t, newHost(t, g), fail) })
			t.Run("HostTransaction", func(t *testing.T) { hookFailsInHostTx(t, newHost(t, g), fail) })
		})
	}
	t.Run("ConflictInside", func(t *testing.T) { conflictInsideTheHook(t, newHost(t, g)) })
	t.Run("AbortInside", func(t *testing.T) { abortInsideTheHook(t, newHost(t, g)) })
	t.Run("AsksForARetry", func(t *testing.T) { hookAsksForARetry(t, newHost(t, g)) })
	if g.Dialect != sqlstore.SQLite { // which has one writer and no server
		t.Run("LostConnection", func(t *testing.T) { lostInTheHook(t, newHost(t, g)) })
		t.Run("Deadlock", func(t *testing.T) { deadlockOfTheHook(t, newHost(t, g), false) })
		t.Run("DeadlockInHostTransaction", func(t *testing.T) { deadlockOfTheHook(t, newHost(t, g), true) })
	}
}

// hostErrors are what a hook can fail with: refusals, an API that is down, and
// another database in trouble, which has the same codes as this one.
func hostErrors(g *Target) map[string]error {
	all := map[string]error{
		"IdempotencyKeyUsed": users.ErrIdempotencyKeyUsed,
		"Conflict":           &users.ConflictError{Members: []string{"company"}},
		"NotFound":           users.ErrNotFound,
		"UnknownApplication": users.ErrUnknownApplication,
		"Stale":              users.ErrStale,
		"Other":              errors.New("no such company"),
		"EOF":                fmt.Errorf("billing: %w", io.EOF),
		"Refused":            fmt.Errorf("billing: %w", &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}),
		"BadConn":            fmt.Errorf("billing: %w", driver.ErrBadConn),
	}
	maps.Copy(all, g.aborts())
	if g.Dialect == sqlstore.Postgres {
		all["57014"] = stateError("57014")
	}
	return all
}

// wantHostError checks that err is fail, with which the hook failed, and no more.
func wantHostError(t *testing.T, err, fail error) {
	t.Helper()
	var host *users.HookError
	if !errors.As(err, &host) || host.Hook != "OnCreate" || host.Err != fail {
		t.Errorf("got %v, want the hook's own error", err)
	}
	for _, class := range []error{users.ErrUnavailable, users.ErrRetryTx} {
		if errors.Is(err, class) {
			t.Errorf("got %v, want it not to match %v", err, class)
		}
	}
}

func hookFails(t *testing.T, h *host, fail error) {
	calls, failing := 0, true
	svc := h.withHook(t, func(context.Context, users.CreateEvent) error {
		calls++
		if failing {
			return fail
		}
		return nil
	})
	_, err := svc.Create(t.Context(), "demo", params("ada"))
	wantHostError(t, err, fail)
	if calls != 1 {
		t.Errorf("the hook ran %d times, want once", calls)
	}
	h.wantRows(t, 0)

	failing = false
	if _, err := svc.Create(t.Context(), "demo", params("ada")); err != nil {
		t.Errorf("afterwards: got %v, want nil", err)
	}
	h.wantRows(t, 1)
}

// hookFailsAfterAnAbort fails in the second try, when the store looks for what
// the first one may have left.
func hookFailsAfterAnAbort(t *testing.T, h *host, fail error) {
	calls := 0
	svc := h.withHook(t, func(context.Context, users.CreateEvent) error {
		if calls++; calls == 2 {
			return fail
		}
		return nil
	})
	abort := h.aborts()[slices.Min(slices.Collect(maps.Keys(h.aborts())))]
	h.Switch.Set(&flaky.Hooks{Before: func(c flaky.Call) error {
		if c.Op == flaky.Commit && calls == 1 {
			return abort
		}
		return nil
	}})
	_, err := svc.Create(t.Context(), "demo", params("ada"))
	h.Switch.Set(nil)
	wantHostError(t, err, fail)
	if calls != 2 {
		t.Errorf("the hook ran %d times, want twice", calls)
	}
	h.wantRows(t, 0)
}

// hookFailsInHostTx leaves the host's transaction usable.
func hookFailsInHostTx(t *testing.T, h *host, fail error) {
	calls := 0
	svc := h.withHook(t, func(context.Context, users.CreateEvent) error {
		if calls++; calls == 1 {
			return fail
		}
		return nil
	})
	tx := h.begin(t)
	defer tx.Rollback()
	wantHostError(t, h.createIn(t, svc, tx, params("ada")), fail)
	if err := errors.Join(h.addRow(tx), h.createIn(t, svc, tx, params("bob")), tx.Commit()); err != nil {
		t.Errorf("afterwards: got %v, want nil", err)
	}
	if calls != 2 {
		t.Errorf("the hook ran %d times, want twice", calls)
	}
	h.wantRows(t, 1)
	h.wantOwnRows(t, 1)
}

// withRole returns a Service whose hook makes a role of this name, or of the
// user's, in the same transaction and returns the store's answer.
func (h *host) withRole(t *testing.T, name string, calls *int) *users.Service {
	app, err := h.svc.Application(t.Context(), "demo")
	must(t, err)
	return h.withHook(t, func(ctx context.Context, e users.CreateEvent) error {
		*calls++
		tx, _ := sqlstore.TxFrom(ctx)
		name := cmp.Or(name, e.User.UserName)
		role := users.RoleRecord{Role: users.Role{ID: "of-" + e.User.ID, Name: name}, NameKey: name}
		return h.Store.WithTx(tx).CreateRole(ctx, app.ID, role)
	})
}

func conflictInsideTheHook(t *testing.T, h *host) {
	calls := 0
	svc := h.withRole(t, "admin", &calls)
	var host *users.HookError
	_, err := svc.Create(t.Context(), "demo", params("ada"))
	if !errors.As(err, &host) || !errors.Is(err, users.ErrConflict) || calls != 1 {
		t.Errorf("got %v after %d calls, want the conflict of the role, as the hook's error, after 1", err, calls)
	}

	tx := h.begin(t)
	defer tx.Rollback()
	if err := h.createIn(t, svc, tx, params("ada")); !errors.As(err, &host) || !errors.Is(err, users.ErrConflict) {
		t.Errorf("in the host's transaction: got %v, want the conflict of the role, as the hook's error", err)
	}
	if err := errors.Join(h.createIn(t, h.svc, tx, params("bob")), tx.Commit()); err != nil {
		t.Errorf("afterwards: got %v, want nil", err)
	}
	h.wantRows(t, 1)
}

// abortInsideTheHook is repeated by whoever owns the transaction, although the
// inner store restored its savepoint.
func abortInsideTheHook(t *testing.T, h *host) {
	calls := 0
	svc := h.withRole(t, "", &calls)
	made := 0
	for name, abort := range h.aborts() {
		p := params(strings.ToLower(name))
		left := 0
		h.Switch.Set(&flaky.Hooks{Before: func(c flaky.Call) error {
			if strings.HasPrefix(c.Query, "INSERT") && strings.Contains(c.Query, "description") && left > 0 {
				left--
				return abort
			}
			return nil
		}})

		left = 1
		tx := h.begin(t)
		if err := h.createIn(t, svc, tx, p); !errors.Is(err, users.ErrRetryTx) || !errors.Is(err, abort) {
			t.Errorf("%v in the host's transaction: got %v, want ErrRetryTx with its cause", abort, err)
		}
		must(t, tx.Rollback())

		left, calls = 1, 0
		if _, err := svc.Create(t.Context(), "demo", p); err != nil || calls != 2 {
			t.Errorf("%v: got %v after %d calls, want success after 2", abort, err, calls)
		}
		h.Switch.Set(nil)
		made++
		h.wantRows(t, made)
	}
}

// hookAsksForARetry of what only it knows to be worth one.
func hookAsksForARetry(t *testing.T, h *host) {
	calls := 0
	svc := h.withHook(t, func(context.Context, users.CreateEvent) error {
		if calls++; calls%2 == 1 {
			return fmt.Errorf("the row was locked: %w", users.ErrRetryTx)
		}
		return nil
	})
	if _, err := svc.Create(t.Context(), "demo", params("ada")); err != nil || calls != 2 {
		t.Errorf("got %v after %d calls, want success after 2", err, calls)
	}

	tx := h.begin(t)
	defer tx.Rollback()
	if err := h.createIn(t, svc, tx, params("bob")); !errors.Is(err, users.ErrRetryTx) || calls != 3 {
		t.Errorf("in the host's transaction: got %v after %d more calls, want ErrRetryTx after 1", err, calls-2)
	}
}

// lostInTheHook ends the connection of the transaction while the hook uses it:
// that is the store's trouble, whoever noticed.
func lostInTheHook(t *testing.T, h *host) {
	kill := "SELECT pg_terminate_backend(pg_backend_pid())"
	if h.Dialect == sqlstore.MySQL {
		kill = "KILL CONNECTION_ID()"
	}
	calls := 0
	svc := h.withHook(t, func(ctx context.Context, _ users.CreateEvent) error {
		if calls++; calls > 1 {
			return nil
		}
		tx, _ := sqlstore.TxFrom(ctx)
		tx.ExecContext(ctx, kill)
		_, err := tx.ExecContext(ctx, "SELECT 1")
		return err
	})
	_, err := svc.Create(t.Context(), "demo", params("ada"))
	made := 0
	if calls == 2 { // a driver that says that it sent nothing
		made = 1
	}
	if (err == nil) != (calls == 2) || err != nil && !errors.Is(err, users.ErrUnavailable) {
		t.Errorf("got %v after %d calls, want ErrUnavailable after 1 or success after 2", err, calls)
	}
	h.wantRows(t, made)

	calls = 0
	tx := h.begin(t)
	defer tx.Rollback()
	if err := h.createIn(t, svc, tx, params("bob")); !errors.Is(err, users.ErrUnavailable) {
		t.Errorf("in the host's transaction: got %v, want ErrUnavailable", err)
	}
	h.wantRows(t, made)
}

// deadlockOfTheHook lets two hooks lock the host's rows in opposite orders: the
// database ends one of the transactions, and its owner repeats it.
func deadlockOfTheHook(t *testing.T, h *host, hostTx bool) {
	h.exec(t, "INSERT INTO "+h.table("accounts")+" VALUES ('a'), ('b')")
	h.exec(t, "CREATE UNIQUE INDEX accounts_user ON "+h.table("accounts")+" (user_id)")
	var calls atomic.Int64
	var both sync.WaitGroup
	both.Add(2)
	svc := h.withHook(t, func(ctx context.Context, e users.CreateEvent) error {
		first := calls.Add(1) <= 2
		tx, _ := sqlstore.TxFrom(ctx)
		order := []string{"a", "b"}
		if e.User.UserName == "bob" {
			slices.Reverse(order)
		}
		for i, id := range order {
			if i == 1 && first {
				both.Done()
				both.Wait()
			}
			if _, err := tx.ExecContext(ctx, "UPDATE "+h.table("accounts")+" SET user_id = '"+id+"' WHERE user_id = '"+id+"'"); err != nil {
				return err
			}
		}
		return nil
	})

	var wg sync.WaitGroup
	var retry atomic.Int64
	for _, name := range []string{"ada", "bob"} {
		wg.Go(func() {
			var err error
			if hostTx {
				tx := h.begin(t)
				defer tx.Rollback()
				if err = h.createIn(t, svc, tx, params(name)); err == nil {
					err = tx.Commit()
				}
			} else {
				_, err = svc.Create(t.Context(), "demo", params(name))
			}
			if hostTx && errors.Is(err, users.ErrRetryTx) {
				retry.Add(1)
			} else if err != nil {
				t.Errorf("%s: got %v, want success", name, err)
			}
		})
	}
	wg.Wait()
	wantCalls, wantRetry := int64(3), int64(0)
	if hostTx {
		wantCalls, wantRetry = 2, 1
	}
	if calls.Load() != wantCalls || retry.Load() != wantRetry {
		t.Errorf("the hook ran %d times, with %d transactions for the host to repeat, want %d and %d", calls.Load(), retry.Load(), wantCalls, wantRetry)
	}
	h.wantRows(t, 2-int(wantRetry))
}
