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

// Options configures a Store. The zero value is ready for use.
type Options struct {
	// TablePrefix stands before the name of every table and index: at most 31
	// letters, digits and underscores, no digit first. Empty: none.
	TablePrefix string
	// Schema qualifies every table: a schema of PostgreSQL, a database of
	// MySQL, an attached database of SQLite. It must exist. Same letters as
	// TablePrefix. Empty: whatever the connection finds first.
	Schema string
	// PrepareStatements keeps up to 64 prepared statements for the life of the
	// Store, which saves the database the work of parsing. It needs a
	// connection that is a real session (no PgBouncer in transaction mode), and
	// a call of Close at the end.
	PrepareStatements bool
}

// Store is a users.Store, users.OutboxStore and users.TokenStore on a
// *sql.DB. It owns its transactions, and repeats those that a serialization
// failure, a deadlock or a busy SQLite database aborted: at most 5 tries
// within 2 seconds. It is safe for concurrent use.
type Store struct{ backend }

// TxStore is a users.Store and users.TokenStore inside a transaction of the
// host's; see Store.WithTx. Like the *sql.Tx it is for one goroutine.
type TxStore struct{ backend }

var (
	_ users.Store       = (*Store)(nil)
	_ users.OutboxStore = (*Store)(nil)
	_ users.TokenStore  = (*Store)(nil)
	_ users.Store       = (*TxStore)(nil)
	_ users.TokenStore  = (*TxStore)(nil)
	_ users.HostTx      = (*TxStore)(nil)
)

// backend is what Store and TxStore share.
type backend struct {
	*shared
	tx *sql.Tx // the host's; nil: the store owns its transactions
	// clashed tells a TxStore that another transaction's row is in the way,
	// which its own snapshot may not show.
	clashed *atomic.Bool
}

type shared struct {
	db *sql.DB
	dialect
	text       statements
	gate       chan struct{} // SQLite has one writer; nil elsewhere
	prepared   *prepared     // nil unless Options.PrepareStatements
	skipLocked atomic.Bool   // the server knows SKIP LOCKED
}

// New makes a Store on db, which stays the host's. o may be nil. New does not
// touch the database: Migrate makes the tables, Check tells whether they are there.
func New(db *sql.DB, d Dialect, o *Options) (*Store, error) {
	if db == nil {
		return nil, errors.New("sqlstore: New: db is nil")
	}
	dia, err := newDialect(d, o)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: New: %w", err)
	}
	s := &shared{db: db, dialect: dia, text: newStatements(dia)}
	s.skipLocked.Store(true)
	if d == SQLite {
		s.gate = make(chan struct{}, 1)
	}
	if o != nil && o.PrepareStatements {
		s.prepared = &prepared{}
	}
	return &Store{backend{shared: s}}, nil
}

// WithTx gives a Store that writes inside tx. It never commits. Its writes
// stand behind a savepoint: after an error nothing of that call is left, and
// the transaction stays usable, except after users.ErrRetryTx (the database
// aborted the transaction: roll it back and repeat it as a whole) and after a
// lost connection. If even the savepoint can't be restored, tx is rolled
// back, so that a host that ignores the error commits nothing by halves.
//
// There is no users.OutboxStore inside a transaction: a lease that nobody else
// can see is none. A service on a TxStore answers users.ErrUnsupported to
// RecoverPassword.
func (s *Store) WithTx(tx *sql.Tx) *TxStore {
	return &TxStore{backend{shared: s.shared, tx: tx, clashed: new(atomic.Bool)}}
}

// InHostTx marks TxStore as a users.HostTx.
func (*TxStore) InHostTx() {}

// Close closes the statements that Options.PrepareStatements kept. The *sql.DB
// stays open. Without that option there is nothing to close.
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

// TxFrom gives the transaction in which users.Options.OnCreate runs. It is
// false outside of it. OnCreate must neither commit nor roll it back. It may
// use Store.WithTx(tx), with the context that it was given.
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

// maxPrepared bounds the prepared statements: texts with lists in them come in
// many lengths.
const maxPrepared = 64

// prepared keeps statements by their text.
type prepared struct {
	mu     sync.Mutex
	byText map[string]*sql.Stmt
	closed bool
}

// get gives the statement of text; nil once there are enough of them.
func (p *prepared) get(ctx context.Context, db *sql.DB, text string) (*sql.Stmt, error) {
	p.mu.Lock()
	st, full := p.byText[text], p.closed || len(p.byText) >= maxPrepared
	p.mu.Unlock()
	if st != nil || full {
		return st, nil
	}
	made, err := db.PrepareContext(ctx, text) // outside of the lock: it may wait for a connection
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if st := p.byText[text]; st != nil || p.closed || len(p.byText) >= maxPrepared {
		made.Close()
		return st, nil
	}
	if p.byText == nil {
		p.byText = make(map[string]*sql.Stmt)
	}
	p.byText[text] = made
	return made, nil
}

func (p *prepared) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var errs []error
	for _, st := range p.byText {
		errs = append(errs, st.Close())
	}
	clear(p.byText)
	return errors.Join(errs...)
}
