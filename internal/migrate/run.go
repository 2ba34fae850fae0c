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
	lockPatience = 60 * time.Second // how long Run waits for another process of the server
	lockLease    = 5 * time.Minute  // after which the lock row of a process that says nothing is void
	lockPoll     = 100 * time.Millisecond
)

// cleanUpTime is how long Run may outlive its context.
const cleanUpTime = 5 * time.Second

var (
	errLocked = errors.New("another process has been migrating for too long")
	errEntry  = errors.New("another process took over, or an entry of the table users_migrations was removed: run Migrate again")
	// errBroken makes database/sql close a connection instead of keeping it.
	errBroken = driver.ErrBadConn
)

// Run does on conn the steps that are not in the journal. One process works,
// the others wait. When it was killed, the next one goes on where it stopped.
// What a step makes must not be there before, or it is someone else's and Run
// fails. Where nothing is left to do, Run only reads.
func (s *Set) Run(ctx context.Context, conn *sql.Conn) error {
	r := runner{Set: s, conn: conn}
	if r.upToDate(ctx) {
		return nil
	}
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
	// owner marks what this runner writes to the journal of MySQL's; see lock.go.
	owner string
}

// again repeats f, which is one statement on MySQL, while the database aborts it.
// A cluster does so to what another node's DDL or writes are in the way of.
func (r *runner) again(ctx context.Context, f func() error) error {
	for start := time.Now(); ; {
		err := f()
		if err == nil || !r.db.implicitCommit() || !r.db.Aborted(err) || time.Since(start) > lockPatience {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context) error {
	t := time.NewTimer(lockPoll)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// exec writes to the journal. On MySQL it commits: a connection with
// autocommit=0 would hold the row, also one that it could not write, and show
// it to nobody.
func (r *runner) exec(ctx context.Context, template string, args ...any) (res sql.Result, err error) {
	text := r.db.Render(template)
	err = r.again(ctx, func() (err error) {
		res, err = r.conn.ExecContext(ctx, text, args...)
		return errors.Join(err, r.commit(ctx))
	})
	return res, err
}

// commit ends what a statement began on a connection of MySQL's with
// autocommit=0, a read too; elsewhere it does nothing.
func (r *runner) commit(ctx context.Context) error {
	if !r.db.implicitCommit() {
		return nil
	}
	commit := func(ctx context.Context) error {
		_, err := r.conn.ExecContext(ctx, "COMMIT")
		return err
	}
	if ctx.Err() != nil {
		return r.cleanUp(ctx, commit)
	}
	return commit(ctx)
}

// cleanUp does what must be done also when ctx is over. Where that fails or takes
// too long, the connection ends, and with it all that it holds.
func (r *runner) cleanUp(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer cancel()
	err := do(ctx)
	if err != nil {
		r.conn.Raw(func(any) error { return errBroken })
	}
	return err
}

// run executes a step's statement.
func (r *runner) run(ctx context.Context, text string) error {
	return r.again(ctx, func() error {
		_, err := r.conn.ExecContext(ctx, text)
		return err
	})
}

// inTransaction does the steps in a transaction that begins with the statements begin.
func (r *runner) inTransaction(ctx context.Context, begin ...string) (err error) {
	defer func() {
		if err == nil {
			return
		}
		// The connection goes back to the host's pool: clean, or not at all.
		r.cleanUp(ctx, func(ctx context.Context) error {
			_, err := r.conn.ExecContext(ctx, "ROLLBACK")
			return err
		})
	}()
	for _, statement := range begin {
		if _, err := r.conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	if err := r.makeJournal(ctx); err != nil {
		return err
	}
	if err := r.steps(ctx); err != nil {
		return err
	}
	_, err = r.conn.ExecContext(ctx, "COMMIT")
	return err
}

// steps does the steps that are left. The caller holds the lock, and has made the journal.
func (r *runner) steps(ctx context.Context) error {
	entries, err := r.entries(ctx)
	if err != nil {
		return r.explainJournal(err)
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
	return r.run(ctx, strings.Replace(r.Versions[0].Steps[0].Up, "CREATE TABLE", "CREATE TABLE IF NOT EXISTS", 1))
}

// upToDate reports whether nothing is left to do. It asks for no right but to
// read, and is false where that fails: what comes next says why.
func (r *runner) upToDate(ctx context.Context) bool {
	entries, err := r.entries(ctx)
	if errors.Join(err, r.commit(ctx)) != nil {
		return false
	}
	for _, v := range r.Versions {
		for i := range v.Steps {
			if entries[entry{v.Number, i + 1}] != done {
				return false
			}
		}
	}
	return true
}

func (r *runner) entries(ctx context.Context) (all map[entry]progress, err error) {
	err = r.again(ctx, func() (err error) {
		all, err = r.readEntries(ctx)
		return err
	})
	return all, err
}

func (r *runner) readEntries(ctx context.Context) (map[entry]progress, error) {
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
	if r.db.implicitCommit() {
		if err := r.holdOn(ctx); err != nil {
			return err
		}
	}
	switch {
	case id == first:
		return r.insert(ctx, id, done)
	case r.db.implicitCommit():
		return r.resumable(ctx, id, at, step)
	}
	if err := r.run(ctx, step.Up); err != nil {
		return r.explain(ctx, step, err)
	}
	return r.insert(ctx, id, done)
}

// resumable does a step that is its own transaction. An entry that says started
// is written only where the step's sign was not to be seen: whoever finds both
// knows that the step was run, and not that the host has a table of that name.
//
// Whoever goes on with another's entry makes it its own first: that process may
// be alive after all, and must not undo it then.
func (r *runner) resumable(ctx context.Context, id entry, at progress, step Step) error {
	happened, err := r.seen(ctx, step.done)
	switch {
	case err != nil:
		return err
	case at == started:
		err = r.update(ctx, `UPDATE {users_migrations} e, {users_migrations} l SET e.owner = l.owner
			WHERE e.version = ? AND e.step = ? AND e.done_at IS NULL AND l.version = 0 AND l.step = 0 AND l.owner = ?`, id.version, id.step, r.owner)
	case happened:
		err = fmt.Errorf("found %s, which is not Migrate's doing: %s", step.done, WayOut)
	default:
		err = r.insert(ctx, id, started)
	}
	if err != nil {
		return err
	}

	if !happened {
		if err := r.run(ctx, step.Up); err != nil {
			if at == started {
				return err
			}
			r.forget(ctx, id, step, err)
			return r.explain(ctx, step, err)
		}
	}
	return r.update(ctx, `UPDATE {users_migrations} SET done_at = {now} WHERE version = ? AND step = ? AND owner = ?`, id.version, id.step, r.owner)
}

// explain adds to the error of a step what helps where a name is taken.
func (r *runner) explain(ctx context.Context, step Step, err error) error {
	taken := r.db.Exists(err)
	if r.db.Dialect == "sqlite" { // which has one code for all
		taken = r.inSQLite(ctx, step.makes)
	}
	if !taken {
		return err
	}
	return fmt.Errorf("%w: it is not Migrate's doing: %s", err, WayOut)
}

// explainJournal does so where the journal lacks a column.
func (r *runner) explainJournal(err error) error {
	if !r.db.Missing(err) {
		return err
	}
	return fmt.Errorf("found table %susers_migrations, which is not Migrate's doing: %s: %w", r.db.Prefix, WayOut, err)
}

// forget takes back the entry of a step that this call started and that failed
// with cause, where it changed nothing: if the sign is there later, or came between
// the look for it and the statement, it is not this step's.
func (r *runner) forget(ctx context.Context, id entry, step Step, cause error) {
	if !r.db.Exists(cause) {
		if happened, err := r.seen(ctx, step.done); err != nil || happened {
			return
		}
	}
	r.exec(ctx, `DELETE FROM {users_migrations} WHERE version = ? AND step = ? AND done_at IS NULL AND owner = ?`, id.version, id.step, r.owner)
}

func (r *runner) insert(ctx context.Context, id entry, at progress) error {
	values := `?, ?, {now}, NULL`
	if at == done {
		values = `?, ?, {now}, {now}`
	}
	if r.db.implicitCommit() { // only the owner of the lock
		return r.update(ctx, `INSERT INTO {users_migrations} (version, step, started_at, done_at, owner)
			SELECT `+values+`, owner FROM {users_migrations} WHERE version = 0 AND step = 0 AND owner = ?`, id.version, id.step, r.owner)
	}
	_, err := r.exec(ctx, `INSERT INTO {users_migrations} (version, step, started_at, done_at) VALUES (`+values+`)`, id.version, id.step)
	return err
}

// update writes one entry, with other values than it had: MySQL counts no other change.
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
