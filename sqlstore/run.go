package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// The bounds of repeating what the database aborted.
const (
	maxTries   = 5
	maxElapsed = 2 * time.Second
	firstPause = 10 * time.Millisecond // at most; four times as much after each try
)

// savepoint is the name of the savepoint around the store's writes; inside
// OnCreate a number follows, for MySQL forgets a savepoint when there is
// another one of its name.
const savepoint = "gousers_sqlstore"

// depth is the number of the store's savepoints that are open around OnCreate.
func depth(ctx context.Context) int {
	open, _ := ctx.Value(txKey{}).(openTx)
	return open.depth
}

// querier is a *sql.DB, *sql.Conn or *sql.Tx.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// runner runs statements on q, prepared ones where the store keeps them.
type runner struct {
	b  *backend
	q  querier
	tx *sql.Tx // q, if that is a transaction
}

func (r runner) exec(ctx context.Context, text string, args ...any) (affected int64, err error) {
	st, err := r.stmt(ctx, text)
	if err != nil {
		return 0, err
	}
	var res sql.Result
	if st != nil {
		res, err = st.ExecContext(ctx, args...)
	} else {
		res, err = r.q.ExecContext(ctx, text, args...)
	}
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// query calls scan for each row.
func (r runner) query(ctx context.Context, scan func(*sql.Rows) error, text string, args ...any) (err error) {
	st, err := r.stmt(ctx, text)
	if err != nil {
		return err
	}
	var rows *sql.Rows
	if st != nil {
		rows, err = st.QueryContext(ctx, args...)
	} else {
		rows, err = r.q.QueryContext(ctx, text, args...)
	}
	if err != nil {
		return err
	}
	for err == nil && rows.Next() {
		err = scan(rows)
	}
	return errors.Join(err, rows.Err(), rows.Close())
}

// number gives the single number that text selects, 0 if there is no row.
func (r runner) number(ctx context.Context, text string, args ...any) (n int64, err error) {
	err = r.query(ctx, func(rows *sql.Rows) error { return rows.Scan(&n) }, text, args...)
	return n, err
}

func (r runner) stmt(ctx context.Context, text string) (*sql.Stmt, error) {
	if r.b.prepared == nil || r.b.tx != nil {
		return nil, nil
	}
	if r.tx == nil {
		return r.b.prepared.get(ctx, r.b.db, text)
	}
	// A transaction must not wait for a second connection: only what is
	// prepared already is used inside of one.
	r.b.prepared.mu.Lock()
	st := r.b.prepared.byText[text]
	r.b.prepared.mu.Unlock()
	if st == nil {
		return nil, nil
	}
	return r.tx.StmtContext(ctx, st), nil
}

// again repeats try while the database aborts it, and translates the error
// that is left. Inside the host's transaction there is one try: only the host
// can repeat what came before.
func (b *backend) again(ctx context.Context, try func(attempt int) error) error {
	start := time.Now()
	for attempt, pause := 1, firstPause; ; attempt, pause = attempt+1, 4*pause {
		err := try(attempt)
		if err == nil {
			return nil
		}
		if f := b.classify(err); b.tx != nil || f != aborted && f != badConn || answered(err) || done(ctx) != nil {
			return b.answer(ctx, err)
		}
		wait := rand.N(pause)
		if attempt == maxTries || time.Since(start)+wait > maxElapsed {
			return b.answer(ctx, fmt.Errorf("gave up after %d tries: %w", attempt, err))
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return b.answer(ctx, err)
		}
	}
}

// read runs f, which changes nothing.
func (b *backend) read(ctx context.Context, f func(r runner) error) error {
	return b.again(ctx, func(int) error { return f(b.runner()) })
}

func (b *backend) runner() runner {
	if b.tx != nil {
		return runner{b, b.tx, b.tx}
	}
	return runner{b, b.db, nil}
}

// single runs f, which runs one statement that writes.
func (b *backend) single(ctx context.Context, f func(r runner) error) error {
	if b.tx != nil {
		return b.inSavepoint(ctx, runner{b, b.tx, b.tx}, f)
	}
	return b.writing(ctx, func() error { return f(b.runner()) })
}

// once is single for a statement that must not be run twice unseen. A *sql.DB
// repeats by itself what a driver calls a bad connection, and not every driver
// calls it so only before it has sent anything: on a *sql.Conn the store sees
// each attempt. A pool that is full of dead connections is left to a BEGIN,
// which database/sql repeats on a new one.
func (b *backend) once(ctx context.Context, attempt int, f func(r runner) error) error {
	if attempt > 2 {
		return b.transaction(ctx, f)
	}
	return b.writing(ctx, func() error {
		if b.prepared != nil {
			return f(b.runner())
		}
		conn, err := b.db.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		return f(runner{b, conn, nil})
	})
}

// transaction runs f in a transaction: its own, or behind a savepoint of the host's.
func (b *backend) transaction(ctx context.Context, f func(r runner) error) error {
	if b.tx != nil {
		return b.inSavepoint(ctx, runner{b, b.tx, b.tx}, f)
	}
	return b.writing(ctx, func() error {
		var o sql.TxOptions
		if b.Dialect == Postgres {
			// The look-ups behind a lock must see what the lock waited for,
			// whatever default the database has.
			o.Isolation = sql.LevelReadCommitted
		}
		tx, err := b.db.BeginTx(ctx, &o)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if err := f(runner{b, tx, tx}); err != nil {
			return err
		}
		if err := tx.Commit(); err != nil {
			if b.classify(err) == badConn {
				return fmt.Errorf("%w: %w", errCommit, err)
			}
			return err
		}
		return nil
	})
}

// inSavepoint undoes what f did when it fails or panics.
func (b *backend) inSavepoint(ctx context.Context, r runner, f func(r runner) error) (err error) {
	name := savepoint
	if n := depth(ctx); n > 0 {
		name += strconv.Itoa(n)
	}
	if _, err := r.tx.ExecContext(ctx, "SAVEPOINT "+name); err != nil {
		return err
	}
	done := false
	defer func() {
		if done {
			return
		}
		// Not on the call's context: it may be what ended f.
		ctx := context.WithoutCancel(ctx)
		_, undo := r.tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT "+name)
		if undo == nil {
			_, undo = r.tx.ExecContext(ctx, "RELEASE SAVEPOINT "+name)
		}
		if undo != nil {
			r.tx.Rollback() // no half user, even if the caller goes on to commit
		}
	}()
	if err := f(r); err != nil {
		return err
	}
	// It also tells whether the transaction is still the one that f wrote in:
	// code in OnCreate can have swallowed a deadlock that rolled it back.
	if _, err := r.tx.ExecContext(ctx, "RELEASE SAVEPOINT "+name); err != nil {
		return err
	}
	done = true
	return nil
}

// writing runs f when it is this call's turn to write: SQLite has one writer,
// and a queue here is fairer and faster than its busy_timeout.
func (b *backend) writing(ctx context.Context, f func() error) error {
	if b.gate == nil {
		return f()
	}
	if _, ok := TxFrom(ctx); ok {
		return errors.New("the Store must not be written to inside OnCreate, which holds SQLite's only write lock: use WithTx and TxFrom")
	}
	select {
	case b.gate <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-b.gate }()
	return f()
}
