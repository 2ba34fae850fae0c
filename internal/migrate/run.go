package migrate

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"
)

// The lock that keeps two processes from migrating at once.
const (
	lockPatience = 60 * time.Second // how long Run waits for another process
	lockLease    = 60 * time.Second // after which the lock row of a dead process is void
	lockPoll     = 100 * time.Millisecond
)

var (
	errLocked = errors.New("another process has been migrating for too long")
	errEntry  = errors.New("another process removed an entry of the table users_migrations")
	// errBroken makes database/sql close a connection instead of keeping it.
	errBroken = driver.ErrBadConn
)

// Run does on conn the steps that are not in the journal. One process works,
// the others wait. When it was killed, the next one goes on where it stopped.
// What a step makes must not be there before, or it is someone else's and Run
// fails.
func (s *Set) Run(ctx context.Context, conn *sql.Conn) error {
	r := runner{Set: s, conn: conn}
	switch s.db.Dialect {
	case "postgres":
		// On the same connection until COMMIT: safe behind a pooler.
		return r.inTransaction(ctx, "BEGIN ISOLATION LEVEL READ COMMITTED", fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", s.lockNumber()))
	case "sqlite":
		return r.inTransaction(ctx, "BEGIN IMMEDIATE")
	}
	return r.locked(ctx)
}

func (s *Set) lockNumber() int64 {
	h := fnv.New64a()
	h.Write([]byte(s.db.Render("{users_migrations}")))
	return int64(h.Sum64() >> 1)
}

// runner works on one connection.
type runner struct {
	*Set
	conn *sql.Conn
	row  bool // the lock is a row of the journal
}

// exec writes to the journal. On MySQL it commits: a connection with
// autocommit=0 would hold the row, also one that it could not write, and show
// it to nobody.
func (r *runner) exec(ctx context.Context, template string, args ...any) (sql.Result, error) {
	res, err := r.conn.ExecContext(ctx, r.db.Render(template), args...)
	if !r.db.implicitCommit() {
		return res, err
	}
	_, commit := r.conn.ExecContext(context.WithoutCancel(ctx), "COMMIT")
	return res, errors.Join(err, commit)
}

// inTransaction does the steps in a transaction that begins with the statements begin.
func (r *runner) inTransaction(ctx context.Context, begin ...string) (err error) {
	defer func() {
		if err == nil {
			return
		}
		// The connection goes back to the host's pool: clean, or not at all.
		if _, undo := r.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); undo != nil {
			r.conn.Raw(func(any) error { return errBroken })
		}
	}()
	for _, statement := range begin {
		if _, err := r.conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	if err := r.steps(ctx); err != nil {
		return err
	}
	_, err = r.conn.ExecContext(ctx, "COMMIT")
	return err
}

// steps does the steps that are left. The caller holds the lock.
func (r *runner) steps(ctx context.Context) error {
	if err := r.makeJournal(ctx); err != nil {
		return err
	}
	entries, err := r.entries(ctx)
	if err != nil {
		return err
	}
	for _, v := range r.Versions {
		for i, step := range v.Steps {
			id := entry{v.Number, i + 1}
			if err := r.step(ctx, id, entries[id], step); err != nil {
				return fmt.Errorf("version %d (%s), step %d: %w", v.Number, v.Name, i+1, err)
			}
		}
	}
	return nil
}

// entry is the key of one in the journal.
type entry struct{ version, step int }

// progress is what the journal says of a step.
type progress int

const (
	unknown progress = iota
	started
	done
)

// first is the step that makes the journal, and so is done whenever there is one.
var first = entry{1, 1}

func (r *runner) makeJournal(ctx context.Context) error {
	text := strings.Replace(r.Versions[0].Steps[0].Up, "CREATE TABLE", "CREATE TABLE IF NOT EXISTS", 1)
	_, err := r.conn.ExecContext(ctx, text)
	return err
}

func (r *runner) entries(ctx context.Context) (map[entry]progress, error) {
	rows, err := r.conn.QueryContext(ctx, r.db.Render(`SELECT version, step, done_at FROM {users_migrations}`))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := make(map[entry]progress)
	for rows.Next() {
		var id entry
		var doneAt sql.NullInt64
		if err := rows.Scan(&id.version, &id.step, &doneAt); err != nil {
			return nil, err
		}
		all[id] = started
		if doneAt.Valid {
			all[id] = done
		}
	}
	return all, rows.Err()
}

// step does one step and notes it in the journal.
func (r *runner) step(ctx context.Context, id entry, at progress, step Step) error {
	if at == done {
		return nil
	}
	if r.row { // it is alive: the others wait on
		if err := r.update(ctx, `UPDATE {users_migrations} SET started_at = GREATEST({now}, started_at + 1) WHERE version = 0 AND step = 0`); err != nil {
			return err
		}
	}
	switch {
	case id == first:
		return r.insert(ctx, id, done)
	case r.db.implicitCommit():
		return r.resumable(ctx, id, at, step)
	}
	if _, err := r.conn.ExecContext(ctx, step.Up); err != nil {
		return err
	}
	return r.insert(ctx, id, done)
}

// resumable does a step that is its own transaction. An entry that says started
// is written only where the step's sign was not to be seen: whoever finds both
// knows that the step was run, and not that the host has a table of that name.
func (r *runner) resumable(ctx context.Context, id entry, at progress, step Step) error {
	happened, err := r.seen(ctx, step.done)
	if err != nil {
		return err
	}
	if at == unknown {
		if happened {
			return fmt.Errorf("found %s, which is not Migrate's doing", step.done)
		}
		if err := r.insert(ctx, id, started); err != nil {
			return err
		}
	}
	if !happened {
		if _, err := r.conn.ExecContext(ctx, step.Up); err != nil {
			if at == unknown {
				r.forget(ctx, id, step, err)
			}
			return err
		}
	}
	return r.update(ctx, `UPDATE {users_migrations} SET done_at = {now} WHERE version = ? AND step = ?`, id.version, id.step)
}

// forget takes back the entry of a step that this call started and that failed
// with cause, where it changed nothing: if the sign is there later, or came between
// the look for it and the statement, it is not this step's.
func (r *runner) forget(ctx context.Context, id entry, step Step, cause error) {
	if r.db.Exists == nil || !r.db.Exists(cause) {
		if happened, err := r.seen(ctx, step.done); err != nil || happened {
			return
		}
	}
	r.exec(ctx, `DELETE FROM {users_migrations} WHERE version = ? AND step = ? AND done_at IS NULL`, id.version, id.step)
}

func (r *runner) insert(ctx context.Context, id entry, at progress) error {
	doneAt := "NULL"
	if at == done {
		doneAt = "{now}"
	}
	_, err := r.exec(ctx, `INSERT INTO {users_migrations} (version, step, started_at, done_at) VALUES (?, ?, {now}, `+doneAt+`)`, id.version, id.step)
	return err
}

// update changes one entry, to other values than it had: MySQL counts no other change.
func (r *runner) update(ctx context.Context, template string, args ...any) error {
	res, err := r.exec(ctx, template, args...)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		err = errEntry
	}
	return err
}

// locked does the steps under MySQL's named lock, which dies with the
// connection, or, on a cluster that has none, under a row of the journal.
func (r *runner) locked(ctx context.Context) error {
	name := fmt.Sprintf("gousers-%d", r.lockNumber())
	var got sql.NullInt64
	err := r.conn.QueryRowContext(ctx, `SELECT GET_LOCK(CONCAT(?, COALESCE(DATABASE(), '')), ?)`, name, int(lockPatience.Seconds())).Scan(&got)
	switch {
	case err != nil && r.db.Unsupported(err):
		return r.lockedByRow(ctx)
	case err != nil:
		return err
	case got.Int64 != 1:
		return errLocked
	}
	defer func() {
		ctx := context.WithoutCancel(ctx)
		_, commit := r.conn.ExecContext(ctx, "COMMIT") // of what was read; see exec
		_, release := r.conn.ExecContext(ctx, `DO RELEASE_LOCK(CONCAT(?, COALESCE(DATABASE(), '')))`, name)
		if commit != nil || release != nil { // with its connection the lock ends
			r.conn.Raw(func(any) error { return errBroken })
		}
	}()
	return r.steps(ctx)
}

// lockedByRow holds version 0, step 0 of the journal while it works. The row
// of a process that died is void after a while.
func (r *runner) lockedByRow(ctx context.Context) error {
	if err := r.makeJournal(ctx); err != nil {
		return err
	}
	for start := time.Now(); ; {
		err := r.insert(ctx, entry{0, 0}, started)
		if err == nil {
			break
		}
		if !r.db.Taken(err) {
			return err
		}
		if time.Since(start) > lockPatience+lockLease {
			return errLocked
		}
		if _, err := r.exec(ctx, `DELETE FROM {users_migrations} WHERE version = 0 AND step = 0 AND started_at < {now} - ?`, lockLease.Microseconds()); err != nil {
			return err
		}
		select {
		case <-time.After(lockPoll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer r.exec(context.WithoutCancel(ctx), `DELETE FROM {users_migrations} WHERE version = 0 AND step = 0`)
	r.row = true
	return r.steps(ctx)
}
