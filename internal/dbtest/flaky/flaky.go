// Package flaky wraps a real database/sql driver so that a test can see every
// call that reaches it, and make each fail before or after it took effect.
package flaky

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"sync/atomic"
)

// Op is what a call does.
type Op string

// The operations. Reads of rows are not calls of their own.
const (
	Connect  Op = "connect"
	Begin    Op = "begin"
	Exec     Op = "exec"
	Query    Op = "query"
	Prepare  Op = "prepare"
	Commit   Op = "commit"
	Rollback Op = "rollback"
)

// Call is one call of the driver.
type Call struct {
	Ctx   context.Context
	Op    Op
	Query string
	Args  []driver.NamedValue
}

// Hooks see the calls. They run on the caller's goroutine and may be called by
// many at once.
type Hooks struct {
	// Before runs before the call; its error is returned instead of making it.
	Before func(Call) error
	// After runs after a call that succeeded; its error replaces the success,
	// and the effect stays.
	After func(Call) error
	// Failed sees the error of a statement that the database refused.
	Failed func(Call, error)
}

// Switch holds the hooks of a connector; they can change while it is used.
type Switch struct{ hooks atomic.Pointer[Hooks] }

// Set replaces the hooks; nil: none.
func (s *Switch) Set(h *Hooks) { s.hooks.Store(h) }

func (s *Switch) before(c Call) error {
	if h := s.hooks.Load(); h != nil && h.Before != nil {
		return h.Before(c)
	}
	return nil
}

func (s *Switch) failed(c Call, err error) {
	if h := s.hooks.Load(); h != nil && h.Failed != nil {
		h.Failed(c, err)
	}
}

func (s *Switch) after(c Call) error {
	if h := s.hooks.Load(); h != nil && h.After != nil {
		return h.After(c)
	}
	return nil
}

// Open returns a *sql.DB on d, and the switch of its hooks.
func Open(d driver.Driver, dsn string) (*sql.DB, *Switch) {
	s := &Switch{}
	return sql.OpenDB(connector{d, dsn, s}), s
}

type connector struct {
	d   driver.Driver
	dsn string
	s   *Switch
}

func (c connector) Driver() driver.Driver { return c.d }

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	call := Call{Ctx: ctx, Op: Connect}
	if err := c.s.before(call); err != nil {
		return nil, err
	}
	var inner driver.Conn
	var err error
	if d, ok := c.d.(driver.DriverContext); ok {
		var open driver.Connector
		if open, err = d.OpenConnector(c.dsn); err == nil {
			inner, err = open.Connect(ctx)
		}
	} else {
		inner, err = c.d.Open(c.dsn)
	}
	if err != nil {
		return nil, err
	}
	if err := c.s.after(call); err != nil {
		inner.Close()
		return nil, err
	}
	return &conn{inner, c.s}, nil
}

type conn struct {
	driver.Conn
	s *Switch
}

func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	call := Call{Ctx: ctx, Op: Prepare, Query: query}
	if err := c.s.before(call); err != nil {
		return nil, err
	}
	var st driver.Stmt
	var err error
	if p, ok := c.Conn.(driver.ConnPrepareContext); ok {
		st, err = p.PrepareContext(ctx, query)
	} else {
		st, err = c.Conn.Prepare(query)
	}
	if err != nil {
		return nil, err
	}
	if err := c.s.after(call); err != nil {
		st.Close()
		return nil, err
	}
	return &stmt{st, c, query}, nil
}

func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	e, ok := c.Conn.(driver.ExecerContext)
	if !ok {
		return nil, driver.ErrSkip
	}
	return exec(c.s, Call{ctx, Exec, query, args}, func() (driver.Result, error) { return e.ExecContext(ctx, query, args) })
}

func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	q, ok := c.Conn.(driver.QueryerContext)
	if !ok {
		return nil, driver.ErrSkip
	}
	return runQuery(c.s, Call{ctx, Query, query, args}, func() (driver.Rows, error) { return q.QueryContext(ctx, query, args) })
}

func exec(s *Switch, call Call, run func() (driver.Result, error)) (driver.Result, error) {
	if err := s.before(call); err != nil {
		return nil, err
	}
	res, err := run()
	if err != nil {
		s.failed(call, err)
		return nil, err
	}
	if err := s.after(call); err != nil {
		return nil, err
	}
	return res, nil
}

func runQuery(s *Switch, call Call, run func() (driver.Rows, error)) (driver.Rows, error) {
	if err := s.before(call); err != nil {
		return nil, err
	}
	rows, err := run()
	if err != nil {
		s.failed(call, err)
		return nil, err
	}
	if err := s.after(call); err != nil {
		// The statement runs to its end before its error is replaced.
		dest := make([]driver.Value, len(rows.Columns()))
		for rows.Next(dest) == nil {
		}
		rows.Close()
		return nil, err
	}
	return rows, nil
}

func (c *conn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	call := Call{Ctx: ctx, Op: Begin}
	if err := c.s.before(call); err != nil {
		return nil, err
	}
	var inner driver.Tx
	var err error
	if b, ok := c.Conn.(driver.ConnBeginTx); ok {
		inner, err = b.BeginTx(ctx, o)
	} else {
		//lint:ignore SA1019 what such a driver has
		inner, err = c.Conn.Begin()
	}
	if err != nil {
		return nil, err
	}
	if err := c.s.after(call); err != nil {
		inner.Rollback()
		return nil, err
	}
	return &tx{inner, c, ctx}, nil
}

func (c *conn) Ping(ctx context.Context) error {
	if p, ok := c.Conn.(driver.Pinger); ok {
		return p.Ping(ctx)
	}
	return nil
}

func (c *conn) ResetSession(ctx context.Context) error {
	if r, ok := c.Conn.(driver.SessionResetter); ok {
		return r.ResetSession(ctx)
	}
	return nil
}

func (c *conn) IsValid() bool {
	if v, ok := c.Conn.(driver.Validator); ok {
		return v.IsValid()
	}
	return true
}

func (c *conn) CheckNamedValue(v *driver.NamedValue) error {
	if n, ok := c.Conn.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

type tx struct {
	driver.Tx
	c   *conn
	ctx context.Context
}

func (t *tx) Commit() error {
	call := Call{Ctx: t.ctx, Op: Commit}
	if err := t.c.s.before(call); err != nil {
		t.Tx.Rollback() // a commit that failed leaves nothing
		return err
	}
	if err := t.Tx.Commit(); err != nil {
		return err
	}
	return t.c.s.after(call)
}

func (t *tx) Rollback() error {
	call := Call{Ctx: t.ctx, Op: Rollback}
	if err := t.c.s.before(call); err != nil {
		t.Tx.Rollback()
		return err
	}
	if err := t.Tx.Rollback(); err != nil {
		return err
	}
	return t.c.s.after(call)
}

type stmt struct {
	driver.Stmt
	c     *conn
	query string
}

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return exec(s.c.s, Call{ctx, Exec, s.query, args}, func() (driver.Result, error) {
		if e, ok := s.Stmt.(driver.StmtExecContext); ok {
			return e.ExecContext(ctx, args)
		}
		//lint:ignore SA1019 what such a driver has
		return s.Stmt.Exec(values(args))
	})
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return runQuery(s.c.s, Call{ctx, Query, s.query, args}, func() (driver.Rows, error) {
		if q, ok := s.Stmt.(driver.StmtQueryContext); ok {
			return q.QueryContext(ctx, args)
		}
		//lint:ignore SA1019 what such a driver has
		return s.Stmt.Query(values(args))
	})
}

func (s *stmt) CheckNamedValue(v *driver.NamedValue) error {
	if n, ok := s.Stmt.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(v)
	}
	return s.c.CheckNamedValue(v)
}

func values(args []driver.NamedValue) []driver.Value {
	vs := make([]driver.Value, len(args))
	for i, a := range args {
		vs[i] = a.Value
	}
	return vs
}
