package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// prepared keeps the statements of constant texts: those with lists in them come
// in many lengths.
type prepared struct {
	mu     sync.Mutex
	byText map[string]*sql.Stmt
	closed bool
	inUse  sync.WaitGroup // calls that use a statement; none begins after closed
}

// use returns the statement of text, and what ends its use; nil if there is none.
func (p *prepared) use(text string) (st *sql.Stmt, done func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if st = p.byText[text]; st == nil || p.closed {
		return nil, func() {}
	}
	p.inUse.Add(1)
	return st, p.inUse.Done
}

// add prepares text, unless that was done.
func (p *prepared) add(ctx context.Context, db *sql.DB, text string) error {
	p.mu.Lock()
	enough := p.closed || p.byText[text] != nil
	p.mu.Unlock()
	if enough {
		return nil
	}

	made, err := db.PrepareContext(ctx, text) // outside of the lock: it may wait for a connection
	if err != nil {
		return err
	}

	if !p.keep(text, made) {
		// Outside of the lock: it may wait for whoever has the connection by now, and that
		// one for a transaction that asks for a statement.
		return made.Close()
	}
	return nil
}

// keep reports whether made is the statement of text from now on.
func (p *prepared) keep(text string, made *sql.Stmt) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.byText[text] != nil {
		return false
	}
	if p.byText == nil {
		p.byText = make(map[string]*sql.Stmt)
	}
	p.byText[text] = made
	return true
}

// close waits for the calls that use a statement; others go on without.
func (p *prepared) close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.inUse.Wait()

	p.mu.Lock()
	all := p.byText
	p.byText = nil
	p.mu.Unlock()
	var errs []error
	for _, st := range all {
		errs = append(errs, st.Close()) // outside of the lock, as in add
	}
	return errors.Join(errs...)
}

// stmt returns the prepared statement of text, and what ends its use; nil if the
// store keeps none.
func (r runner) stmt(ctx context.Context, text string) (st *sql.Stmt, done func(), err error) {
	p := r.b.prepared
	if p == nil || r.b.tx != nil || r.bare || !r.b.isConstant(text) {
		return nil, func() {}, nil
	}
	// A transaction must not wait for a second connection: only what is
	// prepared already is used inside of one.
	if r.tx == nil {
		if err := p.add(ctx, r.b.db, text); err != nil {
			return nil, nil, err
		}
	}
	if st, done = p.use(text); st != nil && r.tx != nil {
		st = r.tx.StmtContext(ctx, st)
	}
	return st, done, nil
}
