package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
)

// querier is a *sql.DB, *sql.Tx, *sql.Conn, *connQuerier or stmtQuerier.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// runner runs statements on q, prepared ones where the store keeps them.
type runner struct {
	b    *backend
	q    querier
	tx   *sql.Tx // q, if that is a transaction
	sent *int    // how often a prepared statement was sent; nil: not counted
	bare bool    // without the store's prepared statements: q is a connection, and they belong to any, or is one
}

// exec returns how many rows a statement affected. Of an upsert that is no
// truth to rely on; see insert.
func (r runner) exec(ctx context.Context, text string, args ...any) (affected int64, err error) {
	res, err := r.result(ctx, text, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// lastID returns what an UPDATE of one row made LAST_INSERT_ID(…) of; 0 if it affected
// none. MySQL answers the statement itself with that.
func (r runner) lastID(ctx context.Context, text string, args ...any) (id int64, err error) {
	res, err := r.result(ctx, text, args...)
	if err != nil {
		return 0, err
	}
	if affected, err := res.RowsAffected(); err != nil || affected == 0 {
		return 0, err
	}
	return res.LastInsertId()
}

func (r runner) result(ctx context.Context, text string, args ...any) (sql.Result, error) {
	st, done, err := r.stmt(ctx, text)
	if err != nil {
		return nil, err
	}
	defer done()

	if st != nil {
		return st.ExecContext(ctx, r.counted(args)...)
	}
	return r.q.ExecContext(ctx, text, args...)
}

// counted returns the arguments of a prepared statement that counts in r.sent how
// often it is sent. Whoever converts them, database/sql or a driver, does so anew
// on each connection, and once there: if a driver did so twice, a second call of
// the store would pass for a repetition.
func (r runner) counted(args []any) []any {
	if r.sent == nil {
		return args
	}
	args = slices.Clone(args)
	args[0] = countedArg{args[0], r.sent}
	return args
}

// countedArg is a value that counts how often it is converted.
type countedArg struct {
	value any
	times *int
}

// Value implements [driver.Valuer].
func (a countedArg) Value() (driver.Value, error) {
	*a.times++
	return a.value, nil
}

// query calls scan for each row.
func (r runner) query(ctx context.Context, scan func(*sql.Rows) error, text string, args ...any) (err error) {
	st, done, err := r.stmt(ctx, text)
	if err != nil {
		return err
	}
	defer done()

	var rows *sql.Rows
	if st != nil {
		rows, err = st.QueryContext(ctx, r.counted(args)...)
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

// number returns the single number that text selects, 0 if there is no row.
func (r runner) number(ctx context.Context, text string, args ...any) (n int64, err error) {
	err = r.query(ctx, func(rows *sql.Rows) error { return rows.Scan(&n) }, text, args...)
	return n, err
}

// strings returns the texts that text selects.
func (r runner) strings(ctx context.Context, text string, args ...any) (found []string, err error) {
	err = r.query(ctx, func(rows *sql.Rows) error {
		var s string
		err := rows.Scan(&s)
		found = append(found, s)
		return err
	}, text, args...)
	return found, err
}

// changeOne runs a statement that changes one row; absent if it is not there.
func (r runner) changeOne(ctx context.Context, absent error, text string, args ...any) error {
	affected, err := r.exec(ctx, text, args...)
	if err == nil && affected == 0 {
		err = absent
	}
	return err
}

// insert runs an INSERT of one row that ends with {or nothing}. The error is
// errNotWritten where what it selects from is not there, or a unique key is taken.
func (r runner) insert(ctx context.Context, text string, args ...any) error {
	if r.b.Dialect == Postgres {
		// Not by the affected rows: Citus counts what was selected.
		written, err := r.number(ctx, text, args...)
		if err == nil && written == 0 {
			err = errNotWritten
		}
		return err
	}

	err := r.changeOne(ctx, errNotWritten, text, args...)
	if r.b.classify(err) == duplicate {
		// MySQL has no DO NOTHING, and what it calls affected by an upsert
		// depends on the host's clientFoundRows.
		return fmt.Errorf("%w: %w", errNotWritten, err)
	}
	return err
}
