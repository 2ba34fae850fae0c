package memstore

import (
	"context"

	"github.com/gousers/users"
)

// CreateRole implements [users.RoleStore]. A role is shared by the users that have
// it: they hold its id, and [Store.FindUsers] fills in what it is now.
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
	t.roles[r.ID] = &r
	t.roleNames[r.NameKey] = &r
	return nil
}

// FindRoles implements [users.RoleStore], by the indexes alone.
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
	id := func(r *users.RoleRecord) string { return r.ID }
	byID := lookup[*users.RoleRecord]{t.roles, q.IDs}
	byName := lookup[*users.RoleRecord]{t.roleNames, q.NameKeys}
	for _, r := range matches(id, byID, byName) {
		found = append(found, *r)
	}
	return found, nil
}

// ListRoles implements [users.RoleStore]. It looks at every role of the application,
// for maps have no order, but sorts no more than two pages.
func (s *Store) ListRoles(ctx context.Context, applicationID string, p users.Page) ([]users.RoleRecord, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end()

	found := []users.RoleRecord{}
	t := s.tenants[applicationID]
	if t == nil {
		return found, nil
	}
	every := func(*users.RoleRecord) bool { return true }
	for _, id := range pageOf(t.roles, p, every) {
		found = append(found, *t.roles[id])
	}
	return found, nil
}
