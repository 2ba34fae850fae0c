package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"hash/fnv"
	"regexp"
	"time"

	"github.com/gousers/users"
)

// The lock that keeps two processes from migrating at once.
const (
	lockPatience = 60 * time.Second // how long Migrate waits for another process
	lockLease    = 60 * time.Second // after which the lock row of a dead process is void
	lockPoll     = 100 * time.Millisecond
)

// Migrate brings the schema up to date. It is safe to call in many processes
// at once: one works, the others wait (on MySQL for a minute, on SQLite for
// the connection's busy_timeout, and never past the end of ctx). When it was
// killed in the middle, the next call goes on where it stopped. What is up to
// date is left alone.
//
// Migrate makes no schema (see Options.Schema), and it takes over no table that
// it did not make: where one of the host's has a name that it needs, it fails,
// and Options.TablePrefix helps.
func (s *Store) Migrate(ctx context.Context) error {
	err := s.again(ctx, func(int) error {
		conn, err := s.db.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		m := migrator{dialect: s.dialect, conn: conn}
		switch s.Dialect {
		case Postgres:
			return m.inTransaction(ctx, "BEGIN ISOLATION LEVEL READ COMMITTED", func() error {
				// On the same connection until COMMIT: safe behind a pooler.
				_, err := conn.ExecContext(ctx, fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", m.lockNumber()))
				if err != nil {
					return err
				}
				return m.run(ctx)
			})
		case SQLite:
			return m.inTransaction(ctx, "BEGIN IMMEDIATE", func() error { return m.run(ctx) })
		}
		return m.locked(ctx)
	})
	if err != nil {
		return fmt.Errorf("sqlstore: Migrate: %w", err)
	}
	return nil
}

// migrator works on one connection.
type migrator struct {
	dialect
	conn *sql.Conn
	row  bool // the lock is a row of the journal
}

func (m migrator) inTransaction(ctx context.Context, begin string, f func() error) error {
	_, err := m.conn.ExecContext(ctx, begin)
	if err == nil {
		err = f()
	}
	if err == nil {
		_, err = m.conn.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		// The connection goes back to the host's pool: clean, or not at all.
		if _, undo := m.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); undo != nil {
			m.conn.Raw(func(any) error { return errBroken })
		}
	}
	return err
}

func (m migrator) lockNumber() int64 {
	h := fnv.New64a()
	h.Write([]byte(m.table("users_migrations")))
	return int64(h.Sum64() >> 1)
}

// run does the steps that are left. The caller holds the lock.
func (m migrator) run(ctx context.Context) error {
	if err := m.makeJournal(ctx); err != nil {
		return err
	}
	for _, v := range m.migrations() {
		for i, step := range v.steps {
			if err := m.step(ctx, v.Version, i+1, step); err != nil {
				return fmt.Errorf("version %d (%s), step %d: %w", v.Version, v.Name, i+1, err)
			}
		}
	}
	return nil
}

// makeJournal makes the table that is itself the first step of version 1.
func (m migrator) makeJournal(ctx context.Context) error {
	first := m.migrations()[0].steps[0]
	_, err := m.conn.ExecContext(ctx, createAny.ReplaceAllString(first, "CREATE TABLE IF NOT EXISTS "))
	if err != nil {
		return err
	}
	if at, err := m.journal(ctx, 1, 1); err != nil || at == stepDone {
		return err
	}
	return m.mark(ctx, 1, 1, true)
}

var createAny = regexp.MustCompile(`^CREATE TABLE `)

// step runs one DDL statement between two entries in the journal. Where DDL
// is its own transaction, a step that was started and not done may have
// happened: then the database's catalogue tells.
func (m migrator) step(ctx context.Context, version, n int, text string) error {
	at, err := m.journal(ctx, version, n)
	if err != nil || at == stepDone {
		return err
	}
	if m.row { // it is alive: the others wait on
		_, err := m.conn.ExecContext(ctx, m.render(`UPDATE {users_migrations} SET started_at = {now} WHERE version = 0 AND step = 0`))
		if err != nil {
			return err
		}
	}
	if at == stepUnknown {
		if err := m.mark(ctx, version, n, false); err != nil {
			return err
		}
	}
	happened := false
	if at == stepStarted && m.Dialect == MySQL {
		if happened, err = m.happened(ctx, text); err != nil {
			return err
		}
	}
	if !happened {
		if _, err := m.conn.ExecContext(ctx, text); err != nil {
			if at == stepUnknown && ctx.Err() == nil {
				m.forget(ctx, version, n, text)
			}
			return err
		}
	}
	_, err = m.conn.ExecContext(ctx, m.render(`UPDATE {users_migrations} SET done_at = {now} WHERE version = ? AND step = ?`), version, n)
	return err
}

// forget takes back the entry of a step that found a table of the host's in
// its place: the next call must not mistake it for its own.
func (m migrator) forget(ctx context.Context, version, n int, text string) {
	if m.Dialect != MySQL {
		return // rolled back
	}
	if there, err := m.happened(ctx, text); err == nil && there {
		m.conn.ExecContext(ctx, m.render(`DELETE FROM {users_migrations} WHERE version = ? AND step = ?`), version, n)
	}
}

type stepState int

const (
	stepUnknown stepState = iota
	stepStarted
	stepDone
)

func (m migrator) journal(ctx context.Context, version, n int) (at stepState, err error) {
	var done sql.NullInt64
	err = m.conn.QueryRowContext(ctx, m.render(`SELECT done_at FROM {users_migrations} WHERE version = ? AND step = ?`), version, n).Scan(&done)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return stepUnknown, nil
	case done.Valid:
		return stepDone, err
	}
	return stepStarted, err
}

func (m migrator) mark(ctx context.Context, version, n int, done bool) error {
	at := "NULL"
	if done {
		at = "{now}"
	}
	_, err := m.conn.ExecContext(ctx, m.render(`INSERT INTO {users_migrations} (version, step, started_at, done_at) VALUES (?, ?, {now}, `+at+`)`), version, n)
	return err
}

// happened reports whether the table that text makes is there (MySQL).
func (m migrator) happened(ctx context.Context, text string) (bool, error) {
	what := created.FindStringSubmatch(text)
	if what == nil || what[1] != "TABLE" {
		return false, nil
	}
	schema, args := "DATABASE()", []any{}
	if m.schema != "" {
		schema, args = "?", append(args, m.schema)
	}
	name := regexp.MustCompile("([A-Za-z0-9_]+)`$").FindStringSubmatch(what[2])[1]
	var n int
	err := m.conn.QueryRowContext(ctx, `SELECT count(*) FROM information_schema.tables WHERE table_schema = `+schema+` AND table_name = ?`,
		append(args, name)...).Scan(&n)
	return n > 0, err
}

// locked runs the steps under MySQL's named lock, which dies with the
// connection, or, on a cluster that has none, under a row of the journal.
func (m migrator) locked(ctx context.Context) error {
	name := fmt.Sprintf("gousers-%d", m.lockNumber())
	var got sql.NullInt64
	err := m.conn.QueryRowContext(ctx, `SELECT GET_LOCK(CONCAT(?, COALESCE(DATABASE(), '')), ?)`, name, int(lockPatience.Seconds())).Scan(&got)
	switch {
	case err != nil && m.classify(err) == unsupported:
		return m.lockedByRow(ctx)
	case err != nil:
		return err
	case got.Int64 != 1:
		return errLocked
	}
	defer func() {
		_, err := m.conn.ExecContext(context.WithoutCancel(ctx), `DO RELEASE_LOCK(CONCAT(?, COALESCE(DATABASE(), '')))`, name)
		if err != nil { // with its connection the lock ends
			m.conn.Raw(func(any) error { return errBroken })
		}
	}()
	return m.run(ctx)
}

// lockedByRow holds version 0, step 0 of the journal while it works. The row
// of a process that died is void after a while.
func (m migrator) lockedByRow(ctx context.Context) error {
	first := m.migrations()[0].steps[0]
	if _, err := m.conn.ExecContext(ctx, createAny.ReplaceAllString(first, "CREATE TABLE IF NOT EXISTS ")); err != nil {
		return err
	}
	for start := time.Now(); ; {
		err := m.mark(ctx, 0, 0, false)
		if err == nil {
			break
		}
		if f := m.classify(err); f != duplicate && f != aborted {
			return err
		}
		if time.Since(start) > lockPatience+lockLease {
			return errLocked
		}
		if _, err := m.conn.ExecContext(ctx, m.render(`DELETE FROM {users_migrations} WHERE version = 0 AND step = 0 AND started_at < {now} - ?`),
			lockLease.Microseconds()); err != nil {
			return err
		}
		select {
		case <-time.After(lockPoll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer m.conn.ExecContext(context.WithoutCancel(ctx), m.render(`DELETE FROM {users_migrations} WHERE version = 0 AND step = 0`))
	m.row = true
	return m.run(ctx)
}

var (
	errLocked = errors.New("another process has been migrating for too long")
	// errBroken makes database/sql close a connection instead of keeping it.
	errBroken = driver.ErrBadConn
)

// Check reports whether the schema is what this version of the package needs,
// whoever made it: an error that matches ErrSchema says what to run. A schema
// that is newer than the package passes, so that programs can be rolled out
// one after the other.
func (s *Store) Check(ctx context.Context) error {
	all := s.migrations()
	err := s.read(ctx, func(r runner) error {
		done := int64(0)
		for _, v := range all {
			n, err := r.number(ctx, s.render(`SELECT count(*) FROM {users_migrations} WHERE version = ? AND done_at IS NOT NULL`), v.Version)
			if err != nil {
				return err
			}
			if n < int64(len(v.steps)) {
				return fmt.Errorf("%w: it is at version %d of %d", ErrSchema, done, len(all))
			}
			done = int64(v.Version)
		}
		return s.probe(ctx, r)
	})
	if err == nil || errors.Is(err, users.ErrUnavailable) || ctx.Err() != nil {
		return err
	}
	if !errors.Is(err, ErrSchema) {
		err = fmt.Errorf("%w: %w", ErrSchema, err)
	}
	return fmt.Errorf("%w; run Store.Migrate, or the statements of sqlstore.Migrations with a tool of your own", err)
}

// probe asks for every column.
func (s *Store) probe(ctx context.Context, r runner) error {
	for table, columns := range map[string]string{
		"applications": applicationColumns + `, version`, "roles": `application_id, ` + roleColumns, "users": userColumns,
		"user_roles": `application_id, user_id, role_id`, "notifications": notificationColumns + `, lease_until, lease_owner`,
		"idempotency":     `application_id, caller, idempotency_key, fingerprint, user_id, expires_at`,
		"password_tokens": `application_id, token_hash, user_id, date_created, expires_at`,
	} {
		text := s.render(`SELECT ` + columns + ` FROM {` + table + `} WHERE 1 = 0`)
		if err := r.query(ctx, func(*sql.Rows) error { return nil }, text); err != nil {
			return fmt.Errorf("table %s: %w", table, err)
		}
	}
	return nil
}
