package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/migrate"
)

// Migrate brings the schema up to date. It is safe to call in many processes
// at once: one works, the others wait (on MySQL for a minute, for six on different
// nodes of a cluster; on SQLite for the connection's busy_timeout; and never past
// the end of ctx, but for some seconds of cleaning up). When it was killed in the
// middle, the next call goes on where it stopped; on another node of a cluster that
// takes five minutes. What is up to date is left alone: then Migrate only reads, and
// needs no right to change tables.
//
// On MariaDB Galera, and wherever MySQL writes on more than one node, a row of the
// table users_migrations is what processes on different nodes wait for. A process is
// taken for dead there when one of its statements takes more than five minutes: while
// large tables are changed, let only one node's processes call Migrate, and keep the
// nodes' clocks together.
//
// Migrate makes no schema (see [Options.Schema]), and it takes over no table that
// it did not make: where one of the host's has a name that it needs, it fails,
// and [Options.TablePrefix] helps. It refuses a PostgreSQL database whose encoding
// is not UTF8.
func (s *Store) Migrate(ctx context.Context) error {
	set, err := s.migrations()
	if err == nil {
		err = s.retry(ctx, func(int) error {
			if err := s.checkEncoding(ctx, s.runner()); err != nil {
				return err
			}
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

// What Check says to do.
var (
	errRunMigrate = errors.New("run Store.Migrate, or the statements of sqlstore.Migrations with a tool of your own")
	errForeign    = errors.New("not what Migrate makes: " + migrate.WayOut)
)

// Check reports whether the schema is what this version of the package needs,
// whoever made it: an error that matches [ErrSchema] says what to do. A schema
// that is newer than the package passes, so that programs can be rolled out
// one after the other.
func (s *Store) Check(ctx context.Context) error {
	set, err := s.migrations()
	if err != nil {
		return fmt.Errorf("sqlstore: Check: %w", err)
	}
	err = s.read(ctx, func(r runner) error {
		if err := s.checkEncoding(ctx, r); err != nil {
			return err
		}
		if err := s.checkVersion(ctx, r, set); err != nil {
			return err
		}
		return s.checkColumns(ctx, r)
	})
	if err == nil || errors.Is(err, ErrSchema) || errors.Is(err, users.ErrUnavailable) || ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("%w: %w", ErrSchema, err)
}

// checkVersion asks the journal.
func (s *Store) checkVersion(ctx context.Context, r runner, set *migrate.Set) error {
	done := 0
	for _, v := range set.Versions {
		n, err := r.number(ctx, s.render(`SELECT count(*) FROM {users_migrations} WHERE version = ? AND done_at IS NOT NULL`), v.Number)
		switch {
		case s.classify(err) == missing:
			return fmt.Errorf("%w: %w; %w", ErrSchema, err, s.foreign(ctx, r))
		case err != nil:
			return err
		case n < int64(len(v.Steps)):
			return fmt.Errorf("%w: it is at version %d of %d; %w", ErrSchema, done, len(set.Versions), errRunMigrate)
		}
		done = v.Number
	}
	return nil
}

// foreign is what to do where there is no journal: that depends on whether there
// is a table of a name that Migrate needs.
func (s *Store) foreign(ctx context.Context, r runner) error {
	for _, name := range append(slices.Sorted(maps.Keys(tableColumns)), "users_migrations") {
		if _, err := r.number(ctx, s.render(`SELECT count(*) FROM {`+name+`} WHERE 1 = 0`)); err == nil {
			return fmt.Errorf("table %s is %w", s.prefix+name, errForeign)
		}
	}
	return errRunMigrate
}

// checkEncoding refuses what can't hold every name: PostgreSQL's only, for the
// columns of MySQL's hold bytes.
func (s *Store) checkEncoding(ctx context.Context, r runner) error {
	if s.Dialect != Postgres {
		return nil
	}
	var encoding string
	err := r.query(ctx, func(rows *sql.Rows) error { return rows.Scan(&encoding) }, `SHOW server_encoding`)
	if err == nil && encoding != "UTF8" {
		err = fmt.Errorf("the database has the encoding %s and needs UTF8: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0", encoding)
	}
	return err
}

// tableColumns are those of every table but the journal.
var tableColumns = map[string]string{
	"applications":    applicationColumns,
	"roles":           `application_id, ` + roleColumns,
	"users":           userColumns,
	"user_roles":      `application_id, user_id, role_id`,
	"deleted_roles":   `application_id, role_id`,
	"notifications":   notificationColumns + `, pending, lease_until, lease_owner`,
	"idempotency":     `application_id, caller, idempotency_key, fingerprint, user_id, expires_at`,
	"password_tokens": `application_id, token_hash, user_id, purpose, email_key, notification_id, date_created, expires_at`,
}

// checkColumns asks for every column.
func (s *Store) checkColumns(ctx context.Context, r runner) error {
	for table, columns := range tableColumns {
		text := s.render(`SELECT ` + columns + ` FROM {` + table + `} WHERE 1 = 0`)
		err := r.query(ctx, func(*sql.Rows) error { return nil }, text)
		switch {
		case s.classify(err) == missing:
			return fmt.Errorf("%w: table %s: %w; it is %w", ErrSchema, s.prefix+table, err, errForeign)
		case err != nil:
			return fmt.Errorf("table %s: %w", s.prefix+table, err)
		}
	}
	return nil
}
