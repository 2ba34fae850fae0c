package suite

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/sqlstore"
)

// Classes injects the errors of a database that is away or unwell: they are
// ErrUnavailable or an unknown error, with their cause, and never a conflict,
// whatever their class or text looks like.
func Classes(t *testing.T, g *Target) {
	g.Share(t)
	e := g.Fresh(t)
	svc := e.service(t, users.Options{})
	forged := errors.New("forged: Error 1062 (23000): Duplicate entry 'x' for key 'users_name'; UNIQUE constraint failed: users.name_key (SQLSTATE 23505)")
	cases := map[error]bool{forged: false} // true: unavailable
	var repeated []error                   // also repeated, since they did nothing
	switch g.Dialect {
	case sqlstore.Postgres:
		for _, s := range []string{"08006", "57P01", "57P03", "53000", "53100", "53200", "58030", "25006", "57014", "25P03", "25P04", "40003"} {
			cases[stateError(s)] = true
		}
		for _, s := range []string{"53300", "55P03"} {
			repeated = append(repeated, stateError(s))
		}
		cases[stateError("23514")] = false // CHECK
		cases[stateError("42P01")] = false // no such table
	case sqlstore.MySQL:
		for _, n := range []uint16{
			1226, 1047, 1053, 1927, 2006, 2013, 3169, 4031, 1158, 1159, 1160, 1161, 1290, 1792, 1836, 1969, 3024,
			3, 20, 28, 1021, 1026, 1030, 1114, 5, 1037, 1038, 1041, 1206, 1180, 3100,
		} {
			cases[&numberError{Number: n}] = true
		}
		for _, n := range []uint16{1040, 1203, 1317, 3572} {
			repeated = append(repeated, &numberError{Number: n})
		}
		cases[&numberError{Number: 4025}] = false // a CHECK of MariaDB, SQLSTATE 23000
		cases[&numberError{Number: 1146}] = false // no such table
		cases[errors.New("invalid connection")] = true
	case sqlstore.SQLite:
		// NOMEM, READONLY, READONLY_DIRECTORY, INTERRUPT, IOERR, IOERR_WRITE, FULL, CANTOPEN, PROTOCOL
		for _, n := range []int{7, 8, 1544, 9, 10, 778, 13, 14, 15} {
			cases[codeError(n)] = true
		}
		repeated = append(repeated, codeError(262)) // LOCKED_SHAREDCACHE
		cases[codeError(275)] = false               // CONSTRAINT_CHECK
		cases[codeError(1)] = false                 // ERROR
		cases[codeError(11)] = false                // CORRUPT
	}
	for cause, unavailable := range cases {
		for shape, params := range shapes() {
			calls := e.abortWrites(math.MaxInt64, cause)
			_, err := svc.Create(context.Background(), "demo", params("ada"))
			e.Switch.Set(nil)
			if errors.Is(err, users.ErrUnavailable) != unavailable || !errors.Is(err, cause) || errors.Is(err, users.ErrConflict) {
				t.Errorf("%s, %v: got %v, want ErrUnavailable: %v", shape, cause, err, unavailable)
			}
			if n := calls.Load(); n != 1 {
				t.Errorf("%s, %v: tried %d times, want once: its outcome may be unknown", shape, cause, n)
			}
		}
	}
	e.wantRows(t, 0)
	for i, cause := range repeated {
		e.abortWrites(1, cause)
		_, err := svc.Create(context.Background(), "demo", params(fmt.Sprint("again", i)))
		if err != nil {
			t.Errorf("%v once: got %v, want success", cause, err)
		}
		e.abortWrites(math.MaxInt64, cause)
		_, err = svc.Create(context.Background(), "demo", params("ada"))
		e.Switch.Set(nil)
		if !errors.Is(err, users.ErrUnavailable) || !errors.Is(err, cause) {
			t.Errorf("%v always: got %v, want ErrUnavailable", cause, err)
		}
	}
	e.wantRows(t, len(repeated))

	// A name that looks like the message of a conflict is a name like any other.
	p := params("ada")
	p.UserName = "'for'key'users_email'"
	for _, want := range []error{nil, users.ErrConflict} {
		p.IdempotencyKey += "x"
		if _, err := svc.Create(context.Background(), "demo", p); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", p.UserName, err, want)
		}
	}
}

// Limits brings a real database to refuse a write: it is read-only, full, or has no
// time or patience left. That is ErrUnavailable, and nothing is written.
func Limits(t *testing.T, g *Target) {
	g.Share(t)
	switch g.Dialect {
	case sqlstore.SQLite:
		for _, pragma := range []string{"query_only = 1", "max_page_count = 1"} { // the count goes no lower than what is there
			t.Run(pragma, func(t *testing.T) {
				e := g.Fresh(t)
				e.addApplication(t)
				e.exec(t, "PRAGMA wal_checkpoint(TRUNCATE)")
				refused := func(s *sqlstore.Store) (err error) {
					for i := 0; err == nil && i < 1000; i++ {
						u := newUser(fmt.Sprint("user", i), time.Now().UTC().Truncate(time.Microsecond))
						u.DashboardSettings = []byte(`"` + strings.Repeat("x", 60000) + `"`)
						err = s.CreateUser(t.Context(), u)
					}
					return err
				}
				limited := e.limited(t, e.DSN)
				limited.DB.SetMaxOpenConns(1)
				limited.exec(t, "PRAGMA "+pragma)
				wantUnavailable(t, refused(limited.Store))
			})
		}
		t.Run("mode=ro", func(t *testing.T) {
			e := g.Fresh(t)
			e.addApplication(t)
			wantUnavailable(t, e.limited(t, e.DSN+"&mode=ro").Store.CreateUser(t.Context(), newUser("ada", time.Now())))
			e.wantRows(t, 0)
		})

	case sqlstore.Postgres:
		g.readOnly(t, "&default_transaction_read_only=on")
		g.behindALock(t, "&statement_timeout=50", "&lock_timeout=50")
		g.idle(t, "&idle_in_transaction_session_timeout=50", "SELECT pg_backend_pid()", "SELECT count(*) FROM pg_stat_activity WHERE pid = ")

	case sqlstore.MySQL:
		g.readOnly(t, "?tx_read_only=1")
		g.behindALock(t, "?max_statement_time=0.05", "?innodb_lock_wait_timeout=1")
		g.idle(t, "?idle_transaction_timeout=1", "SELECT CONNECTION_ID()", "SELECT count(*) FROM information_schema.processlist WHERE id = ")
	}
}

func wantUnavailable(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, users.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}

// limited is e through connections of another DSN.
func (e *Env) limited(t *testing.T, dsn string) *Env {
	t.Helper()
	l := &Env{Target: e.Target, Options: e.Options, DSN: dsn}
	l.DB, l.Switch = open(t, e.Driver, dsn)
	t.Cleanup(func() { l.DB.Close() })
	l.Store = l.New(t, l.Options)
	return l
}

func (g *Target) readOnly(t *testing.T, setting string) {
	t.Run(setting[1:], func(t *testing.T) {
		e := g.Fresh(t)
		e.addApplication(t)
		wantUnavailable(t, e.limited(t, e.DSN+setting).Store.CreateUser(t.Context(), newUser("ada", time.Now())))
		e.wantRows(t, 0)
	})
}

// behindALock lets a user wait for one that a transaction has not committed yet.
func (g *Target) behindALock(t *testing.T, settings ...string) {
	for _, setting := range settings {
		t.Run(setting[1:], func(t *testing.T) {
			e := g.Fresh(t)
			e.addApplication(t)
			tx, err := e.DB.Begin()
			must(t, err)
			defer tx.Rollback()
			first := newUser("ada", time.Now())
			first.HostTx = true
			must(t, e.Store.WithTx(tx).CreateUser(t.Context(), first))
			wantUnavailable(t, e.limited(t, e.DSN+setting).Store.CreateUser(t.Context(), newUser("ada", time.Now())))
			must(t, tx.Rollback())
			e.wantRows(t, 0)
		})
	}
}

// idle lets the host's code take longer than a transaction may idle: the server
// ends the connection that pid asks for, which then is none of those that there are.
func (g *Target) idle(t *testing.T, setting, pid, there string) {
	t.Run(setting[1:], func(t *testing.T) {
		e := g.Fresh(t)
		e.addApplication(t)
		u := newUser("ada", time.Now())
		u.OnCreate = func(ctx context.Context) error {
			tx, _ := sqlstore.TxFrom(ctx)
			var id int64
			if err := tx.QueryRowContext(ctx, pid).Scan(&id); err != nil {
				return err
			}
			for n := 1; n > 0; {
				if err := e.DB.QueryRowContext(ctx, there+fmt.Sprint(id)).Scan(&n); err != nil {
					return err
				}
			}
			return nil
		}
		wantUnavailable(t, e.limited(t, e.DSN+setting).Store.CreateUser(t.Context(), u))
		e.wantRows(t, 0)
	})
}
