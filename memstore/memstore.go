// Package memstore keeps everything in the memory of one process: for unit
// tests, demos and first steps. It is a [users.Store], a [users.OutboxStore] and
// a [users.TokenStore], it passes package storetest as the SQL stores do, and it
// forgets everything when the process ends.
//
//	svc, err := users.New(memstore.New(), nil)
package memstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gousers/users"
)

// ErrInTx is the answer to a call with the context of a NewUser.InTx
// (Options.OnCreate) of the same store. The transaction holds the store for
// itself, so the call would wait for its own end. With a context that does not
// come from InTx's it does wait, until that context is done.
var ErrInTx = errors.New("memstore: called from inside its own transaction (InTx, Options.OnCreate)")

// Store is the store. Make one with [New]; it is safe for concurrent use, and
// its calls run one after the other.
type Store struct {
	now func() time.Time
	// lock is held while it holds a value. It is no Mutex because waiting for
	// a slow InTx of another call must end with ctx.
	lock chan struct{}

	tenants map[string]*tenant // by id
	apiKeys map[string]*tenant
	ready   queue[*row]   // pending and not leased, by due
	leased  queue[*row]   // by the end of the lease
	expiry  queue[func()] // what Purge may take, by Expires; the value deletes it
}

var (
	_ users.Store       = (*Store)(nil)
	_ users.OutboxStore = (*Store)(nil)
	_ users.TokenStore  = (*Store)(nil)
)

// tenant is one application and all that belongs to it.
type tenant struct {
	users.Application
	roles     map[string]*users.RoleRecord // by id
	roleNames map[string]*users.RoleRecord
	users     map[string]*user // by id
	names     map[string]*user
	emails    map[string]*user
	replays   map[users.ReplayKey]*replay
	rows      map[string]*row // by id
	tokens    map[[32]byte]*token
}

// New makes an empty store whose clock is time.Now.
func New() *Store { return NewWithClock(time.Now) }

// NewWithClock makes an empty store with a clock of its own, which judges due
// times and leases and nothing else. now must be safe for concurrent use.
func NewWithClock(now func() time.Time) *Store {
	return &Store{
		now:     func() time.Time { return micros(now()) },
		lock:    make(chan struct{}, 1),
		tenants: map[string]*tenant{},
		apiKeys: map[string]*tenant{},
	}
}

// txKey marks the context of an InTx of one store.
type txKey struct{ *Store }

// begin takes the store for one call, which must call end.
func (s *Store) begin(ctx context.Context) error {
	if ctx.Value(txKey{s}) != nil {
		return ErrInTx
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

func done(ctx context.Context) error { return fmt.Errorf("memstore: %w", ctx.Err()) }

// CreateApplication implements [users.ApplicationStore].
func (s *Store) CreateApplication(ctx context.Context, a users.Application) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()
	var taken []string
	if s.tenants[a.ID] != nil {
		taken = append(taken, "id")
	}
	if s.apiKeys[a.APIKey] != nil {
		taken = append(taken, "apiKey")
	}
	if taken != nil {
		return &users.ConflictError{Members: taken}
	}
	a.DateCreated = micros(a.DateCreated)
	t := &tenant{
		Application: a,
		roles:       map[string]*users.RoleRecord{},
		roleNames:   map[string]*users.RoleRecord{},
		users:       map[string]*user{},
		names:       map[string]*user{},
		emails:      map[string]*user{},
		replays:     map[users.ReplayKey]*replay{},
		rows:        map[string]*row{},
		tokens:      map[[32]byte]*token{},
	}
	s.tenants[a.ID], s.apiKeys[a.APIKey] = t, t
	return nil
}

// FindApplication implements [users.ApplicationStore].
func (s *Store) FindApplication(ctx context.Context, q users.ApplicationQuery) (users.Application, error) {
	if err := s.begin(ctx); err != nil {
		return users.Application{}, err
	}
	defer s.end()
	t := s.tenants[q.ID]
	if q.ID == "" {
		t = s.apiKeys[q.APIKey]
	}
	if t == nil {
		return users.Application{}, users.ErrUnknownApplication
	}
	return t.Application, nil
}

// CreateRole implements [users.RoleStore].
func (s *Store) CreateRole(ctx context.Context, applicationID string, r users.RoleRecord) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()
	t := s.tenants[applicationID]
	if t == nil {
		return users.ErrUnknownApplication
	}
	var taken []string
	if t.roles[r.ID] != nil {
		taken = append(taken, "id")
	}
	if t.roleNames[r.NameKey] != nil {
		taken = append(taken, "name")
	}
	if taken != nil {
		return &users.ConflictError{Members: taken}
	}
	r.DateCreated, r.DateUpdated = micros(r.DateCreated), micros(r.DateUpdated)
	t.roles[r.ID], t.roleNames[r.NameKey] = &r, &r
	return nil
}

// FindRoles implements [users.RoleStore].
func (s *Store) FindRoles(ctx context.Context, q users.RoleQuery) ([]users.RoleRecord, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end()
	found := []users.RoleRecord{}
	t := s.tenants[q.ApplicationID]
	if t == nil {
		return found, nil
	}
	if len(q.IDs) == 0 && len(q.NameKeys) == 0 {
		for _, id := range pageOf(t.roles, q.Page, func(*users.RoleRecord) bool { return true }) {
			found = append(found, *t.roles[id])
		}
		return found, nil
	}
	for _, r := range matches(func(r *users.RoleRecord) string { return r.ID },
		lookup[*users.RoleRecord]{t.roles, q.IDs}, lookup[*users.RoleRecord]{t.roleNames, q.NameKeys}) {
		found = append(found, *r)
	}
	return found, nil
}

// micros is the precision that every store keeps.
func micros(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
