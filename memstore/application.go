package memstore

import (
	"context"

	"github.com/gousers/users"
)

// tenant is one application and all that belongs to it: nothing is ever found
// across applications because there is no other way to it.
type tenant struct {
	users.Application
	roles       map[string]*role // by id
	roleNames   map[string]*role // by NameKey
	users       map[string]*user // by id
	names       map[string]*user // by NameKey
	emails      map[string]*user // by EmailKey
	idempotency map[users.IdempotencyKey]*idempotencyRecord
	rows        map[string]*row // by id
	urgent      queue[*row]     // of rows, those that are due and not leased, by due
	others      queue[*row]
	tokens      map[[32]byte]*token
}

// CreateApplication implements [users.ApplicationStore]. There is no way to remove an
// application: what belongs to it stays as long as the store.
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
		roles:       map[string]*role{},
		roleNames:   map[string]*role{},
		users:       map[string]*user{},
		names:       map[string]*user{},
		emails:      map[string]*user{},
		idempotency: map[users.IdempotencyKey]*idempotencyRecord{},
		rows:        map[string]*row{},
		tokens:      map[[32]byte]*token{},
	}
	s.tenants[a.ID] = t
	s.apiKeys[a.APIKey] = t
	return nil
}

// FindApplication implements [users.ApplicationStore]. An ID that is not empty counts,
// whatever the APIKey.
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

// ListApplications implements [users.ApplicationEditor]. It looks at every
// application, as [Store.ListRoles] does at every role.
func (s *Store) ListApplications(ctx context.Context, p users.Page) ([]users.Application, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end()

	found := []users.Application{}
	every := func(*tenant) bool { return true }
	for _, id := range pageOf(s.tenants, p, every) {
		found = append(found, s.tenants[id].Application)
	}
	return found, nil
}

// UpdateApplication implements [users.ApplicationEditor].
func (s *Store) UpdateApplication(ctx context.Context, a users.Application) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()

	t := s.tenants[a.ID]
	switch {
	case t == nil:
		return users.ErrUnknownApplication
	case t.Version != a.Version:
		return users.ErrStale
	}

	a.APIKey, a.DateCreated = t.APIKey, t.DateCreated
	a.Version++
	t.Application = a
	return nil
}
