package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/gousers/users"
)

// Migrate brings the schema up to date. It is safe to call in many processes
// at once: one works, the others wait (on MySQL for a minute, on SQLite for
// the connection's busy_timeout, and never past the end of ctx). When it was
// killed in the middle, the next call goes on where it stopped. What is up to
// date is left alone.
//
// On MariaDB Galera the lock is local to a node: processes on different nodes
// don't wait for each other, and one can fail on what the other is doing. Let one
// process migrate there, or all of them by the same node.
//
// Migrate makes no schema (see [Options.Schema]), and it takes over no table that
// it did not make: where one of the host's has a name that it needs, it fails,
// and [Options.TablePrefix] helps.
func (s *Store) Migrate(ctx context.Context) error {
	set, err := s.migrations()
	if err == nil {
		err = s.retry(ctx, func(int) error {
			conn, err := s.db.Conn(ctx)
			if err != nil {
				return err
			}
			defer conn.Close()
			return set.Run(ctx, conn)
		})
	}
	if err != nil {
		return fmt.Errorf("sqlstore: Migrate: %w", err)
	}
	return nil
}

// Check reports whether the schema is what this version of the package needs,
// whoever made it: an error that matches [ErrSchema] says what to run. A schema
// that is newer than the package passes, so that programs can be rolled out
// one after the other.
func (s *Store) Check(ctx context.Context) error {
	set, err := s.migrations()
	if err != nil {
		return fmt.Errorf("sqlstore: Check: %w", err)
	}
	err = s.read(ctx, func(r runner) error {
		done := int64(0)
		for _, v := range set.Versions {
			n, err := r.number(ctx, s.render(`SELECT count(*) FROM {users_migrations} WHERE version = ? AND done_at IS NOT NULL`), v.Number)
			if err != nil {
				return err
			}
			if n < int64(len(v.Steps)) {
				return fmt.Errorf("%w: it is at version %d of %d", ErrSchema, done, len(set.Versions))
			}
			done = int64(v.Number)
		}
		return s.checkColumns(ctx, r)
	})
	if err == nil || errors.Is(err, users.ErrUnavailable) || ctx.Err() != nil {
		return err
	}
	if !errors.Is(err, ErrSchema) {
		err = fmt.Errorf("%w: %w", ErrSchema, err)
	}
	return fmt.Errorf("%w; run Store.Migrate, or the statements of sqlstore.Migrations with a tool of your own", err)
}

// checkColumns asks for every column.
func (s *Store) checkColumns(ctx context.Context, r runner) error {
	for table, columns := range map[string]string{
		"applications": applicationColumns + `, version`, "roles": `application_id, ` + roleColumns, "users": userColumns,
		"user_roles": `application_id, user_id, role_id`, "notifications": notificationColumns + `, pending, lease_until, lease_owner`,
		"idempotency":     `application_id, caller, idempotency_key, fingerprint, user_id, expires_at`,
		"password_tokens": `application_id, token_hash, user_id, purpose, email_key, date_created, expires_at`,
	} {
		text := s.render(`SELECT ` + columns + ` FROM {` + table + `} WHERE 1 = 0`)
		if err := r.query(ctx, func(*sql.Rows) error { return nil }, text); err != nil {
			return fmt.Errorf("table %s: %w", table, err)
		}
	}
	return nil
}
