package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// maxPrepared bounds the prepared statements: texts with lists in them come in
// many lengths.
const maxPrepared = 64

// prepared keeps statements by their text.
type prepared struct {
	mu     sync.Mutex
	byText map[string]*sql.Stmt
	closed bool
}

// get returns the statement of text; nil once there are enough of them.
func (p *prepared) get(ctx context.Context, db *sql.DB, text string) (*sql.Stmt, error) {
	p.mu.Lock()
	st, full := p.byText[text], p.closed || len(p.byText) >= maxPrepared
	p.mu.Unlock()
	if st != nil || full {
		return st, nil
	}

	made, err := db.PrepareContext(ctx, text) // outside of the lock: it may wait for a connection
	if err != nil {
		return nil, err
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	if st := p.byText[text]; st != nil || p.closed || len(p.byText) >= maxPrepared {
		made.Close()
		return st, nil
	}
	if p.byText == nil {
		p.byText = make(map[string]*sql.Stmt)
	}
	p.byText[text] = made
	return made, nil
}

func (p *prepared) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var errs []error
	for _, st := range p.byText {
		errs = append(errs, st.Close())
	}
	clear(p.byText)
	return errors.Join(errs...)
}

// open reports whether p prepares statements; a nil p does not.
func (p *prepared) open() bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.closed
}

// made returns the statement of text if there is one.
func (p *prepared) made(text string) *sql.Stmt {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byText[text]
}

// stmt returns the prepared statement of text; nil if the store keeps none.
func (r runner) stmt(ctx context.Context, text string) (*sql.Stmt, error) {
	p := r.b.prepared
	if p == nil || r.b.tx != nil {
		return nil, nil
	}
	if r.tx == nil {
		return p.get(ctx, r.b.db, text)
	}

	// A transaction must not wait for a second connection: only what is
	// prepared already is used inside of one.
	st := p.made(text)
	if st == nil {
		return nil, nil
	}
	return r.tx.StmtContext(ctx, st), nil
}
