package memstore

import (
	"context"
	"slices"
	"strings"

	"github.com/gousers/users"
)

// role is a role as it is kept, with the users that are linked to it: whoever asks
// what is left of a deleted role need not look at all users.
type role struct {
	users.RoleRecord
	holders map[*user]bool
	deleted bool
}

// CreateRole implements [users.RoleStore]. A role is shared by the users that have
// it: they point to it, and [Store.FindUsers] fills in what it is now.
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
	kept := &role{RoleRecord: r, holders: map[*user]bool{}}
	t.roles[r.ID] = kept
	t.roleNames[r.NameKey] = kept
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
	id := func(r *role) string { return r.ID }
	byID := lookup[*role]{t.roles, q.IDs}
	byName := lookup[*role]{t.roleNames, q.NameKeys}
	for _, r := range matches(id, byID, byName) {
		found = append(found, r.RoleRecord)
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
	every := func(*role) bool { return true }
	for _, id := range pageOf(t.roles, p, every) {
		found = append(found, t.roles[id].RoleRecord)
	}
	return found, nil
}

// UpdateRole implements [users.RoleEditor].
func (s *Store) UpdateRole(ctx context.Context, u users.RoleUpdate) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()

	t, r := s.role(u.ApplicationID, u.ID)
	if r == nil {
		return users.ErrNotFound
	}
	if u.Name != nil {
		if other := t.roleNames[u.Name.NameKey]; other != nil && other != r {
			return &users.ConflictError{Members: []string{"name"}}
		}
		delete(t.roleNames, r.NameKey)
		r.Name, r.NameKey = u.Name.Name, u.Name.NameKey
		t.roleNames[r.NameKey] = r
	}
	if u.Description != nil {
		r.Description = *u.Description
	}
	r.DateUpdated = micros(u.DateUpdated)
	return nil
}

// DeleteRole implements [users.RoleEditor]. Users that had the role stay linked to it
// until [Store.Purge] comes by, or until they are edited.
func (s *Store) DeleteRole(ctx context.Context, applicationID, id string) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()

	t, r := s.role(applicationID, id)
	if r == nil {
		return users.ErrNotFound
	}
	delete(t.roles, r.ID)
	delete(t.roleNames, r.NameKey)
	r.deleted = true
	if len(r.holders) > 0 {
		s.gone = append(s.gone, r)
	}
	return nil
}

// role returns no role if there is no such one or no such application.
func (s *Store) role(applicationID, id string) (*tenant, *role) {
	t := s.tenants[applicationID]
	if t == nil {
		return nil, nil
	}
	return t, t.roles[id]
}

// rolesOf returns the roles that refs name by id, each once, in order of ID; false if
// one does not exist.
func (t *tenant) rolesOf(refs []users.Role) (list []*role, ok bool) {
	for _, ref := range refs {
		r := t.roles[ref.ID]
		if r == nil {
			return nil, false
		}
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b *role) int { return strings.Compare(a.ID, b.ID) })
	return slices.Compact(list), true
}

// setRoles links u to list and to nothing else.
func (u *user) setRoles(list []*role) {
	for _, r := range u.roles {
		delete(r.holders, u)
	}
	u.roles = list
	for _, r := range list {
		r.holders[u] = true
	}
}

// unlink removes up to limit links to deleted roles and returns how many.
func (s *Store) unlink(limit int) (n int) {
	for len(s.gone) > 0 && n < limit {
		r := s.gone[0]
		for u := range r.holders {
			if n == limit {
				return n
			}
			u.roles = slices.DeleteFunc(u.roles, func(its *role) bool { return its == r })
			delete(r.holders, u)
			n++
		}
		s.gone = slices.Delete(s.gone, 0, 1)
	}
	return n
}
