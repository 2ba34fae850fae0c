package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"sync/atomic"

	"github.com/gousers/users"
)

// Dialect is the SQL that a database understands.
type Dialect string

// The dialects.
const (
	Postgres Dialect = "postgres" // PostgreSQL 12 and later
	MySQL    Dialect = "mysql"    // MariaDB 10.6 and later, MySQL 8.0 and later
	SQLite   Dialect = "sqlite"   // SQLite 3.35 and later
)

// Options configures a [Store]. The zero value is ready for use.
type Options struct {
	// TablePrefix precedes the name of every table and index: at most 31
	// letters, digits and underscores, no digit first. Empty: none.
	TablePrefix string
	// Schema qualifies every table: a schema of PostgreSQL, a database of
	// MySQL, an attached database of SQLite. It must exist. Same letters as
	// TablePrefix. Empty: whatever the connection finds first.
	Schema string
	// PrepareStatements keeps prepared statements for the life of the Store, which
	// saves the database the work of parsing: some dozens, none of those with lists
	// of more than one value. It needs a connection that is a real session (no
	// PgBouncer in transaction mode), and a call of [Store.Close] at the end.
	PrepareStatements bool
}

// Store is a [users.Store] with all of its capabilities on a [*sql.DB]; make one with
// [New]. It is safe for concurrent use, by any number of processes on one database.
//
// It owns its transactions and retries those that a serialization failure, a
// deadlock, a lock timeout, a limit of connections or a busy SQLite database
// ended: at most 5 tries within 2 seconds, after pauses of random length. What is
// ended still is [users.ErrUnavailable], and so is a database that can't be
// reached, that is read-only, has no space or memory left, or ended a statement or
// a transaction for its time limit. An error that is none of those that
// [users.Store] names is the driver's, wrapped.
//
// Conflicts are judged by unique indexes alone, on every engine and on clusters,
// and recognized by error number, never by text.
type Store struct{ backend }

// TxStore is a [users.Store] with all of its capabilities but [users.OutboxStore] inside
// a transaction of the host's; see [Store.WithTx]. Like the [*sql.Tx] it is for one goroutine. It works
// at every isolation level. Once a row of another transaction was in its way, it
// reads with a shared lock on MySQL, whose plain reads would not see that row.
type TxStore struct{ backend }

// capabilities are those that a Store and a TxStore have.
type capabilities interface {
	users.Store
	users.TokenStore
	users.UserLister
	users.UserEditor
	users.RoleEditor
	users.ApplicationEditor
	users.LoginStore
	users.BatchStore
}

var (
	_ capabilities      = (*Store)(nil)
	_ users.OutboxStore = (*Store)(nil)
	_ capabilities      = (*TxStore)(nil)
)

// backend is what Store and TxStore share.
type backend struct {
	*shared
	tx *sql.Tx // the host's; nil: the store owns its transactions
	// conflicted tells a TxStore that another transaction's row was in the way,
	// which its own snapshot may not show; nil in a Store.
	conflicted *atomic.Bool
}

type shared struct {
	db *sql.DB
	dialect
	texts      sync.Map      // rendered statements by template; see text
	constants  sync.Map      // the set of those statements
	gate       chan struct{} // SQLite has one writer; nil elsewhere
	prepared   *prepared     // nil unless Options.PrepareStatements
	skipLocked atomic.Bool   // the server knows SKIP LOCKED
	autocommit atomic.Int32  // see needsTx
}

// New returns a [Store] on db, which stays the host's. o may be nil. The error
// names the option that is wrong. New does not touch the database:
// [Store.Migrate] makes the tables, [Store.Check] tells whether they are there.
func New(db *sql.DB, d Dialect, o *Options) (*Store, error) {
	if db == nil {
		return nil, errors.New("sqlstore: New: db is nil")
	}
	dia, err := newDialect(d, o)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: New: %w", err)
	}

	s := &shared{db: db, dialect: dia}
	s.skipLocked.Store(true)
	if d == SQLite {
		s.gate = make(chan struct{}, 1)
	}
	if o != nil && o.PrepareStatements {
		s.prepared = &prepared{}
	}
	return &Store{backend{shared: s}}, nil
}

// WithTx returns a store that writes inside tx and never commits. It is for
// [users.Service.InTx], which runs no AfterCreate: a new user of a Service that
// does not know of tx is refused with an error, and nothing is written.
//
// Writes are behind a savepoint: after an error nothing of that call is left, and
// tx stays usable, except after [users.ErrRetryTx] (the database aborted tx: roll
// it back and repeat it as a whole; the store tries only once) and after a lost
// connection. If even the savepoint can't be restored, tx is rolled back, so that
// a host that ignores the error commits nothing by halves.
//
// There is no [users.OutboxStore] inside a transaction: a lease that nobody else
// can see is none. A Service on a TxStore returns [users.ErrUnsupported] from
// RecoverPassword.
func (s *Store) WithTx(tx *sql.Tx) *TxStore {
	return &TxStore{backend{shared: s.shared, tx: tx, conflicted: new(atomic.Bool)}}
}

// Close closes the statements that [Options.PrepareStatements] kept, and waits for
// the calls that use one. The [*sql.DB] stays open, and so does the Store, without
// prepared statements.
// Without that option there is nothing to close.
func (s *Store) Close() error {
	if s.prepared == nil {
		return nil
	}
	return s.prepared.close()
}

type txKey struct{}

// openTx is what the context of OnCreate holds.
type openTx struct {
	tx    *sql.Tx
	depth int // how many savepoints of the store's are open in it
}

// TxFrom returns the transaction in which [users.Options.OnCreate] runs, and
// false outside of it. OnCreate must neither commit nor roll it back. It may use
// [Store.WithTx] of it, with the context that it was given.
//
// An error of OnCreate is returned as it is, whatever it wraps, while the
// transaction is alive. Where the database has ended the transaction (a deadlock,
// a serialization failure, a lost connection), the error is judged like one of the
// store's own statements, and retried if that helps. OnCreate asks for a retry of
// anything else, such as MySQL's lock wait timeout, with an error that matches
// [users.ErrRetryTx]; those of [Store.WithTx] do so by themselves.
func TxFrom(ctx context.Context) (*sql.Tx, bool) {
	open, ok := ctx.Value(txKey{}).(openTx)
	return open.tx, ok
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,30}$`)

func newDialect(d Dialect, o *Options) (dialect, error) {
	if d != Postgres && d != MySQL && d != SQLite {
		return dialect{}, fmt.Errorf("unknown dialect %q", string(d))
	}
	dia := dialect{Dialect: d}
	if o == nil {
		return dia, nil
	}
	if o.TablePrefix != "" && !identifier.MatchString(o.TablePrefix) {
		return dialect{}, errors.New("Options.TablePrefix must be at most 31 letters, digits and underscores, no digit first")
	}
	if o.Schema != "" && !identifier.MatchString(o.Schema) {
		return dialect{}, errors.New("Options.Schema must be at most 31 letters, digits and underscores, no digit first")
	}
	dia.prefix, dia.schema = o.TablePrefix, o.Schema
	return dia, nil
}
