package memstore

import (
	"context"

	"github.com/gousers/users"
)

// EditUser implements [users.UserEditor]. Everything is judged before anything is
// written.
func (s *Store) EditUser(ctx context.Context, e *users.UserEdit) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()

	u := s.user(e.ApplicationID, e.ID)
	switch {
	case u == nil:
		return users.ErrNotFound
	case u.Version != e.Version:
		return users.ErrStale
	}
	t := s.tenants[e.ApplicationID]
	if err := t.checkEdit(u, e); err != nil {
		return err
	}
	roles, ok := t.rolesOf(e.Roles)
	if !ok {
		return users.ErrUnknownRole
	}
	if err := t.checkRows(e.Notifications); err != nil {
		return err
	}

	t.unindex(u)
	u.replace(e)
	t.index(u)
	u.setRoles(roles)
	s.dropTokens(t, u, func(k *token) bool { return e.DropTokens || e.DropIssued && k.NotificationID == "" })
	s.addMissingRows(t, u, e.Notifications)
	return nil
}

// checkEdit returns the conflict with other users that have the keys of e.
func (t *tenant) checkEdit(u *user, e *users.UserEdit) error {
	var existing []users.UserRecord
	for _, other := range []*user{t.names[e.NameKey], t.emails[e.EmailKey]} {
		if other != nil && other != u {
			existing = append(existing, other.UserRecord)
		}
	}
	return users.CheckConflict(&e.UserRecord, existing)
}

// replace makes of u what e says, but for what an edit leaves as it is.
func (u *user) replace(e *users.UserEdit) {
	was := u.UserRecord
	u.UserRecord = kept(&e.UserRecord)
	u.CreatedBy, u.CreationDate, u.DateCreated = was.CreatedBy, was.CreationDate, was.DateCreated
	u.LastLogin, u.Login = was.LastLogin, was.Login
	u.Version++
	if e.SetHash {
		u.endLock()
	} else {
		u.Hash, u.PasswordChanged = was.Hash, was.PasswordChanged
	}
}

// DeleteUser implements [users.UserEditor]. What belongs to the user is found with it,
// not by search.
func (s *Store) DeleteUser(ctx context.Context, d users.UserDeletion) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()

	u := s.user(d.ApplicationID, d.ID)
	switch {
	case u == nil:
		return users.ErrNotFound
	case u.Version != d.IfVersion:
		return users.ErrStale
	}

	t := s.tenants[d.ApplicationID]
	t.unindex(u)
	u.setRoles(nil)
	s.dropTokens(t, u, func(*token) bool { return true })
	for _, r := range u.rows {
		r.node.in.remove(r.node)
		t.removeRow(r)
	}
	return nil
}
