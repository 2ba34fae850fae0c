// Package memstore keeps everything in the memory of one process: for unit
// tests, demos and first steps. It is a [users.Store] with every capability: a
// [users.OutboxStore], [users.TokenStore], [users.UserLister], [users.UserEditor],
// [users.RoleEditor], [users.ApplicationEditor], [users.LoginStore] and
// [users.BatchStore]. It passes package storetest as the SQL stores do, and it forgets
// everything when the process ends.
//
//	svc, err := users.New(memstore.New(), nil)
//
// One lock is held for the whole of a call, so that each call is a transaction of
// its own and none sees half of another. There are no transactions of the host's.
package memstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gousers/users"
)

// ErrReentrant is returned by a call that is made inside OnCreate of the same
// store ([users.Options.OnCreate]) with the context that OnCreate got. The
// transaction holds the store for itself, so the call would wait for its own end.
// With any other context the call blocks until that context is done.
var ErrReentrant = errors.New("memstore: called from inside its own transaction (OnCreate)")

// Store is a [users.Store] in memory. Make one with [New] or [NewWithClock]. It is
// safe for concurrent use; its calls run one after the other.
type Store struct {
	now func() time.Time
	// lock is held while it holds a value. It is no Mutex because waiting for
	// a slow OnCreate of another call must end with ctx.
	lock chan struct{}

	tenants map[string]*tenant // by id
	apiKeys map[string]*tenant

	// What is looked for over all applications, by time.
	ready     queue[*row]   // pending and not leased, by due; Claim moves what is due to its tenant
	leased    queue[*row]   // by the end of the lease
	discarded queue[*row]   // by when they were given up
	expiry    queue[func()] // what Purge may take, by when; the value deletes it
	gone      []*role       // deleted roles that somebody is still linked to, for Purge

	turns []*tenant // those with due rows, perhaps with none since, in order of id
}

var (
	_ users.Store             = (*Store)(nil)
	_ users.OutboxStore       = (*Store)(nil)
	_ users.TokenStore        = (*Store)(nil)
	_ users.UserLister        = (*Store)(nil)
	_ users.UserEditor        = (*Store)(nil)
	_ users.RoleEditor        = (*Store)(nil)
	_ users.ApplicationEditor = (*Store)(nil)
	_ users.LoginStore        = (*Store)(nil)
	_ users.BatchStore        = (*Store)(nil)
)

// New returns an empty store whose clock is [time.Now].
func New() *Store { return NewWithClock(time.Now) }

// NewWithClock returns an empty store with a clock of its own, which judges what
// is due and what has ended: leases, tokens, idempotency keys, locks. A test that moves the
// time passes the same clock as [users.Options.Now]. now must be safe for concurrent
// use.
func NewWithClock(now func() time.Time) *Store {
	return &Store{
		now:     func() time.Time { return micros(now()) },
		lock:    make(chan struct{}, 1),
		tenants: map[string]*tenant{},
		apiKeys: map[string]*tenant{},
	}
}

// txKey marks the context of an OnCreate of one store.
type txKey struct{ *Store }

// begin takes the store for one call, which must call end.
func (s *Store) begin(ctx context.Context) error {
	if ctx.Value(txKey{s}) != nil {
		return ErrReentrant
	}

	select {
	case s.lock <- struct{}{}:
	case <-ctx.Done():
		return done(ctx)
	}
	if ctx.Err() != nil { // select chooses at random among what is ready
		s.end()
		return done(ctx)
	}
	return nil
}

func (s *Store) end() { <-s.lock }

// done returns the error of a context that has ended.
func done(ctx context.Context) error { return fmt.Errorf("memstore: %w", ctx.Err()) }

// orNow returns t, or the time where t is zero.
func (s *Store) orNow(t time.Time) time.Time {
	if t.IsZero() {
		return s.now()
	}
	return micros(t)
}

// micros returns t in the precision that every store keeps.
func micros(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
