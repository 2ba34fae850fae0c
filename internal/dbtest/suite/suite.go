// Package suite holds the tests that every driver has to pass; a test binary
// of its own for each group of drivers calls [Run].
package suite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/dbtest/flaky"
	"github.com/gousers/users/internal/dbtest/servers"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/sqlstore"
	"github.com/gousers/users/storetest"
)

// Target is a database with one of its drivers.
type Target struct {
	Name    string
	Dialect sqlstore.Dialect
	Driver  string // as registered with database/sql
	// DSN returns the data source name of a SQLite file; nil for a server.
	DSN func(path string) string

	// SecondDriver says that another target has the same database.
	SecondDriver bool
	// Prepared also runs the conformance suite with prepared statements.
	Prepared bool

	migrated func(*Env, testing.TB) // runs on new tables; nil: nothing does
	server   sharedServer
}

// sharedServer is a database of a server that the tests of one target share:
// each has its own schema in it. Making tables is slow there, so a schema that
// a test has done with is emptied and used again.
type sharedServer struct {
	once  sync.Once
	dsn   string
	owner testing.TB // when it ends, so do the schemas

	mu   sync.Mutex
	free []*Env
}

// Env is an empty database with a migrated Store on it.
type Env struct {
	*Target
	DB      *sql.DB
	Switch  *flaky.Switch // sees every call of the driver
	Store   *sqlstore.Store
	Options sqlstore.Options
	DSN     string

	closed bool
}

// Share makes the database that the tests below t use. It is to be called
// before any of them.
func (g *Target) Share(t testing.TB) {
	g.server.once.Do(func() {
		g.server.owner = t
		switch g.Dialect {
		case sqlstore.Postgres:
			g.server.dsn = servers.Postgres(t)
		case sqlstore.MySQL:
			g.server.dsn = servers.MySQL(t)
		}
	})
}

var schemas atomic.Int64

// Open returns an empty database without tables.
func (g *Target) Open(t testing.TB) *Env {
	t.Helper()
	e := &Env{Target: g, DSN: g.server.dsn}
	if g.Dialect == sqlstore.SQLite {
		e.DSN = g.DSN(filepath.Join(t.TempDir(), "users.db"))
	} else if g.server.dsn == "" {
		t.Fatal("suite: Share was not called")
	}
	e.DB, e.Switch = open(t, g.Driver, e.DSN)
	if g.Dialect != sqlstore.SQLite {
		e.Options.Schema = fmt.Sprintf("s%d", schemas.Add(1))
		if g.Dialect == sqlstore.MySQL { // databases are the server's
			_, name, _ := strings.Cut(g.server.dsn, "/")
			name, _, _ = strings.Cut(name, "?")
			e.Options.Schema = strings.ReplaceAll(strings.TrimPrefix(name, "users_t_"), "_", "")
			e.Options.Schema = "u" + e.Options.Schema[max(0, len(e.Options.Schema)-20):] + fmt.Sprintf("_%d", schemas.Add(1))
		}
		e.exec(t, "CREATE SCHEMA "+e.Options.Schema)
	}
	t.Cleanup(func() { e.Close(t) })
	e.Store = e.New(t, e.Options)
	return e
}

// Close drops what Open made, once.
func (e *Env) Close(t testing.TB) {
	if e.closed {
		return
	}
	e.closed = true
	e.Switch.Set(nil)
	switch e.Dialect {
	case sqlstore.MySQL:
		e.exec(t, "DROP SCHEMA "+e.Options.Schema)
	case sqlstore.Postgres:
		e.exec(t, "DROP SCHEMA "+e.Options.Schema+" CASCADE")
	}
	e.DB.Close()
}

func open(t testing.TB, name, dsn string) (*sql.DB, *flaky.Switch) {
	t.Helper()
	db, err := sql.Open(name, dsn)
	if err != nil {
		t.Fatal(err)
	}
	d := db.Driver()
	db.Close()
	wrapped, sw := flaky.Open(d, dsn)
	wrapped.SetMaxOpenConns(20)
	wrapped.SetMaxIdleConns(20)
	return wrapped, sw
}

// New makes another Store on the same database.
func (e *Env) New(t testing.TB, o sqlstore.Options) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.New(e.DB, e.Dialect, &o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Fresh returns an empty database with the tables in it.
func (g *Target) Fresh(t testing.TB) *Env {
	t.Helper()
	if g.Dialect == sqlstore.SQLite {
		e := g.Open(t)
		if err := e.Store.Migrate(context.Background()); err != nil {
			t.Fatal(err)
		}
		return e
	}
	g.server.mu.Lock()
	defer g.server.mu.Unlock()
	var e *Env
	if n := len(g.server.free); n > 0 {
		e, g.server.free = g.server.free[n-1], g.server.free[:n-1]
	} else {
		e = g.Open(g.server.owner)
		if err := e.Store.Migrate(context.Background()); err != nil {
			t.Fatal(err)
		}
		if g.migrated != nil {
			g.migrated(e, t)
		}
	}
	t.Cleanup(func() {
		e.Switch.Set(nil)
		for _, table := range tables {
			e.exec(t, "DELETE FROM "+e.table(table))
		}
		g.server.mu.Lock()
		defer g.server.mu.Unlock()
		g.server.free = append(g.server.free, e)
	})
	return &Env{Target: e.Target, DB: e.DB, Switch: e.Switch, Store: e.Store, Options: e.Options, DSN: e.DSN}
}

// tables of the store that hold data.
var tables = []string{"applications", "roles", "users", "user_roles", "deleted_roles", "notifications", "idempotency", "password_tokens"}

func (e *Env) exec(t testing.TB, query string, args ...any) {
	t.Helper()
	if _, err := e.DB.Exec(query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// table returns the name of a table of the store.
func (e *Env) table(name string) string {
	if e.Options.Schema != "" {
		return e.Options.Schema + "." + e.Options.TablePrefix + name
	}
	return e.Options.TablePrefix + name
}

func (e *Env) count(t testing.TB, table string) (n int) {
	t.Helper()
	if err := e.DB.QueryRow("SELECT count(*) FROM " + e.table(table)).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// begin begins a transaction of the host's, for storetest.
func (e *Env) begin(ctx context.Context, level sql.IsolationLevel) (storetest.Tx, error) {
	if e.Dialect == sqlstore.SQLite {
		if level != sql.LevelSerializable {
			return storetest.Tx{}, errors.ErrUnsupported
		}
		level = sql.LevelDefault
	}
	if e.Dialect == sqlstore.MySQL && level == sql.LevelSerializable {
		return storetest.Tx{}, errors.ErrUnsupported // readers lock out writers there
	}
	tx, err := e.DB.BeginTx(ctx, &sql.TxOptions{Isolation: level})
	if err != nil {
		return storetest.Tx{}, err
	}
	return storetest.Tx{Store: e.Store.WithTx(tx), Commit: tx.Commit, Rollback: tx.Rollback}, nil
}

// Conformance runs storetest on g.
func Conformance(t *testing.T, g *Target) {
	g.Share(t)
	t.Run("Store", func(t *testing.T) {
		storetest.Run(t, func(t testing.TB) users.Store { return g.Fresh(t).Store })
	})
	if g.Prepared {
		t.Run("PreparedStatements", func(t *testing.T) { prepared(t, g) })
	}
	if g.Dialect == sqlstore.SQLite { // the fastest: the wrapper is the same everywhere
		t.Run("Wrapped", func(t *testing.T) {
			storetest.Run(t, func(t testing.TB) users.Store { return storefake.Wrapped(g.Fresh(t).Store) })
		})
	}
	t.Run("HostTransaction", func(t *testing.T) {
		storetest.RunTx(t, func(t testing.TB) storetest.TxHarness {
			e := g.Fresh(t)
			return storetest.TxHarness{Store: e.Store, Begin: e.begin}
		})
	})
}

func prepared(t *testing.T, g *Target) {
	storetest.Run(t, func(t testing.TB) users.Store {
		e := g.Fresh(t)
		e.Options.PrepareStatements = true
		s := e.New(t, e.Options)
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Errorf("Close: got %v, want nil", err)
			}
		})
		return s
	})
}
