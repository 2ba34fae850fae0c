package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/gousers/users"
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

// retry repeats try while the database aborts it, and translates the error that
// is left. Inside the host's transaction there is one try: only the host can
// repeat what came before.
func (b *backend) retry(ctx context.Context, try func(attempt int) error) error {
	start := time.Now()
	for attempt, pause := 1, firstPause; ; attempt, pause = attempt+1, 4*pause {
		err := try(attempt)
		if err == nil {
			return nil
		}
		if !b.mayRetry(ctx, err) {
			return b.translate(ctx, err)
		}

		wait := rand.N(pause)
		if attempt == maxTries || time.Since(start)+wait > maxElapsed {
			return b.translate(ctx, fmt.Errorf("gave up after %d tries: %w", attempt, err))
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return b.translate(ctx, err)
		}
	}
}

func (b *backend) mayRetry(ctx context.Context, err error) bool {
	if b.tx != nil || isAnswer(err) || ctxErr(ctx) != nil {
		return false
	}
	f := b.classify(err)
	return f == aborted || f == refused || f == badConn
}

// read runs f, which changes nothing, as often as retry does.
func (b *backend) read(ctx context.Context, f func(r runner) error) error {
	return b.retry(ctx, func(int) error { return b.look(ctx, f) })
}

// look runs f, which changes nothing, once.
func (b *backend) look(ctx context.Context, f func(r runner) error) error {
	if needsTx, err := b.needsTx(ctx); err != nil {
		return err
	} else if needsTx {
		return b.transaction(ctx, f)
	}
	return f(b.runner())
}

// runner runs statements in the host's transaction or, if there is none, each in
// its own.
func (b *backend) runner() runner {
	if b.tx != nil {
		return runner{b: b, q: b.tx, tx: b.tx}
	}
	return runner{b: b, q: b.db}
}

// statement runs f, which sends one statement that writes.
func (b *backend) statement(ctx context.Context, f func(r runner) error) error {
	needsTx, err := b.needsTx(ctx)
	switch {
	case err != nil:
		return err
	case needsTx:
		return b.transaction(ctx, f)
	case b.tx != nil:
		return b.inSavepoint(ctx, b.runner(), f)
	}
	return b.writing(ctx, func() error { return f(b.runner()) })
}

// statementOnce is statement for one that must not be run twice unseen. repeated
// reports whether it was sent before the time that err is of, and so may have
// taken effect whatever err says.
//
// A *sql.DB repeats by itself what a driver calls a bad connection, and not every
// driver calls it so only before it has sent anything. On a *sql.Conn the store
// sees each attempt; prepared statements, which belong to no connection, count
// them. A pool that is full of dead connections is left to a BEGIN, which
// database/sql repeats on a new one.
func (b *backend) statementOnce(ctx context.Context, attempt int, f func(r runner) error) (repeated bool, err error) {
	needsTx, err := b.needsTx(ctx)
	switch {
	case err != nil:
		return attempt > 1, err
	case needsTx, attempt > 2:
		return attempt > 1, b.transaction(ctx, f)
	case b.tx != nil:
		return attempt > 1, b.statement(ctx, f)
	}

	sent := 0
	err = b.writing(ctx, func() error {
		q := &connQuerier{db: b.db}
		defer q.close()
		return f(runner{b: b, q: q, sent: &sent})
	})
	return attempt > 1 || sent > 1, err
}

// connQuerier runs statements on a *sql.Conn, which it takes with the first.
type connQuerier struct {
	db   *sql.DB
	conn *sql.Conn
}

func (q *connQuerier) take(ctx context.Context) (err error) {
	if q.conn == nil {
		q.conn, err = q.db.Conn(ctx)
	}
	return err
}

func (q *connQuerier) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := q.take(ctx); err != nil {
		return nil, err
	}
	return q.conn.ExecContext(ctx, query, args...)
}

func (q *connQuerier) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := q.take(ctx); err != nil {
		return nil, err
	}
	return q.conn.QueryContext(ctx, query, args...)
}

func (q *connQuerier) close() {
	if q.conn != nil {
		q.conn.Close()
	}
}

// What is known of MySQL's autocommit.
const (
	autocommitUnknown int32 = iota
	autocommitOn
	autocommitOff
)

// needsTx reports whether a statement outside of a transaction begins one that
// nobody ends: connections of MySQL's do so with autocommit=0, by their DSN,
// my.cnf or init_connect. It asks once, for the connections of a *sql.DB are
// alike.
func (b *backend) needsTx(ctx context.Context) (bool, error) {
	if b.Dialect != MySQL || b.tx != nil {
		return false, nil
	}
	if b.autocommit.Load() == autocommitUnknown {
		on, err := b.runner().number(ctx, `SELECT @@autocommit`)
		if err != nil {
			return false, err
		}
		known := autocommitOff
		if on == 1 {
			known = autocommitOn
		}
		b.autocommit.Store(known)
	}
	return b.autocommit.Load() == autocommitOff, nil
}

// transaction runs f in a transaction: its own, or behind a savepoint of the host's.
func (b *backend) transaction(ctx context.Context, f func(r runner) error) error {
	level := sql.LevelDefault
	if b.Dialect == Postgres {
		// The look-ups behind a lock must see what the lock waited for, whatever
		// default the database has.
		level = sql.LevelReadCommitted
	}
	return b.transactionAt(ctx, level, f)
}

// transactionAt is transaction with a level of isolation for its own one.
func (b *backend) transactionAt(ctx context.Context, level sql.IsolationLevel, f func(r runner) error) error {
	if b.tx != nil {
		return b.inSavepoint(ctx, b.runner(), f)
	}
	return b.writing(ctx, func() error {
		tx, err := b.db.BeginTx(ctx, &sql.TxOptions{Isolation: level})
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if err := f(runner{b: b, q: tx, tx: tx}); err != nil {
			return err
		}

		err = tx.Commit()
		if b.classify(err) == badConn {
			return fmt.Errorf("%w: %w", errCommit, err)
		}
		return err
	})
}

// retryTx runs f as retry does, each time in the transaction that run begins. answer
// returns what becomes of an error; repeated reports whether an earlier attempt reached
// its commit, and so may have taken effect.
func (b *backend) retryTx(
	ctx context.Context, run func(context.Context, func(runner) error) error,
	f func(r runner) error, answer func(err error, repeated bool) error,
) error {
	committing := false
	return b.retry(ctx, func(int) error {
		repeated := committing
		err := run(ctx, func(r runner) error {
			err := f(r)
			committing = committing || err == nil
			return err
		})
		if err == nil {
			return nil
		}
		return answer(err, repeated)
	})
}

// deleteOnce is retryTx for an f that deletes one thing: what an attempt does not find
// behind one that may have taken effect is deleted.
func (b *backend) deleteOnce(
	ctx context.Context, run func(context.Context, func(runner) error) error, f func(r runner) error,
) error {
	return b.retryTx(ctx, run, f, func(err error, repeated bool) error {
		if repeated && errors.Is(err, users.ErrNotFound) {
			return nil
		}
		return err
	})
}

// repeatable is the level that sees one state of the database, without a lock on
// PostgreSQL and MySQL, and locks the places of rows on MySQL. It is the server's own
// where autocommit is off: the level can't be set on a connection on which a statement of
// the host's has begun a transaction, and nobody has ended it. MySQL's own is no other
// one, unless somebody changed it.
func (b *backend) repeatable(ctx context.Context) (sql.IsolationLevel, error) {
	off, err := b.needsTx(ctx)
	if off {
		return sql.LevelDefault, err
	}
	return sql.LevelRepeatableRead, err
}

// snapshot runs f, which changes nothing and sees one state of the database: in a
// transaction that only reads, at the level repeatable. In the host's transaction it is
// that one's level that counts.
func (b *backend) snapshot(ctx context.Context, f func(r runner) error) error {
	switch {
	case b.tx != nil:
		return f(b.runner())
	case b.Dialect == SQLite:
		return b.snapshotSQLite(ctx, f)
	}
	level, err := b.repeatable(ctx)
	if err != nil {
		return err
	}
	tx, err := b.db.BeginTx(ctx, &sql.TxOptions{Isolation: level, ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return f(runner{b: b, q: tx, tx: tx})
}

// snapshotSQLite begins by itself: database/sql begins as the DSN says, which may be
// by the lock to write.
func (b *backend) snapshotSQLite(ctx context.Context, f func(r runner) error) error {
	conn, err := b.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer func() {
		// Not on the call's context: it may be what ended f. BEGIN may have taken effect
		// whatever it returned; the error of the statement itself is that it did not.
		_, err := conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`)
		if err != nil && b.classify(err) != missing {
			conn.Raw(func(any) error { return driver.ErrBadConn }) // nobody gets it with the transaction open
		}
	}()
	if _, err := conn.ExecContext(ctx, `BEGIN DEFERRED`); err != nil {
		return err
	}
	return f(runner{b: b, q: conn, bare: true})
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

	released := false
	defer func() {
		if released {
			return
		}
		// Not on the call's context: it may be what ended f.
		ctx := context.WithoutCancel(ctx)
		host, ok := errors.AsType[*onCreateError](err)
		alive := !ok || r.alive(ctx)
		_, undo := r.tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT "+name)
		if undo == nil {
			_, undo = r.tx.ExecContext(ctx, "RELEASE SAVEPOINT "+name)
		}
		if undo != nil {
			r.tx.Rollback() // no half user, even if the caller goes on to commit
		}
		if ok {
			host.txAlive = alive && undo == nil
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
	released = true
	return nil
}

// alive reports whether PostgreSQL has not aborted the transaction; it goes back
// to a savepoint also after that. Of the others that fails.
func (r runner) alive(ctx context.Context) bool {
	if r.b.Dialect != Postgres {
		return true
	}
	_, err := r.tx.ExecContext(ctx, "SELECT 1")
	return err == nil
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
