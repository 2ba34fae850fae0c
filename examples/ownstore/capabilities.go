package ownstore

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/gousers/users"
)

// ListUsers implements [users.UserLister]: who matches, in order, and of these a page.
func (s *Store) ListUsers(ctx context.Context, q users.UserListing) (users.UserList, error) {
	if err := s.begin(ctx); err != nil {
		return users.UserList{}, err
	}
	defer s.end()

	var found []users.UserRecord
	for _, u := range s.users {
		if u.ApplicationID == q.ApplicationID && matches(q.UserMatch, u) {
			found = append(found, s.current(u))
		}
	}
	slices.SortFunc(found, func(a, b users.UserRecord) int { return compare(q.Order, a, b) })

	list := users.UserList{Users: []users.UserRecord{}}
	if q.Count {
		list.Total = int64(len(found))
	}
	if q.After != nil {
		found = slices.DeleteFunc(found, func(u users.UserRecord) bool { return compare(q.Order, u, *q.After) <= 0 })
	}
	from := min(q.Offset, len(found))
	list.Users = append(list.Users, found[from:min(from+q.Limit, len(found))]...)
	return list, nil
}

// matches reports whether u matches m. Nil is no restriction, empty is one that nobody
// meets. The phrase is searched for as it is: in SQL, mind what LIKE takes for patterns.
func matches(m users.UserMatch, u users.UserRecord) bool {
	has := func(r users.Role) bool { return slices.Contains(m.RoleIDs, r.ID) }
	keys := []string{u.NameKey, u.EmailKey, u.DisplayKey}
	return slices.ContainsFunc(keys, func(k string) bool { return strings.Contains(k, m.Phrase) }) &&
		(m.IDs == nil || slices.Contains(m.IDs, u.ID)) &&
		(m.RoleIDs == nil || slices.ContainsFunc(u.Roles, has)) &&
		(m.IsApproved == nil || *m.IsApproved == u.IsApproved) &&
		(m.IsLockedOut == nil || *m.IsLockedOut == u.IsLockedOut)
}

// compare compares two users by order, and by ID where they are equal, in the direction
// of the first member. A member that is unique is enough by itself.
func compare(order []users.Order, a, b users.UserRecord) int {
	desc := len(order) > 0 && order[0].Desc
	for _, o := range append(slices.Clone(order), users.Order{By: users.ByID, Desc: desc}) {
		c := compareBy(o.By, a, b)
		if o.Desc {
			c = -c
		}
		if c != 0 || o.By.Unique() {
			return c
		}
	}
	return 0
}

func compareBy(m users.Member, a, b users.UserRecord) int {
	switch m {
	case users.ByUserName:
		return strings.Compare(a.NameKey, b.NameKey)
	case users.ByEmail:
		return strings.Compare(a.EmailKey, b.EmailKey)
	case users.ByName:
		return strings.Compare(a.DisplayKey, b.DisplayKey)
	case users.ByDateCreated:
		return a.DateCreated.Compare(b.DateCreated)
	case users.ByCreationDate:
		return a.CreationDate.Compare(b.CreationDate)
	case users.ByDateUpdated:
		return a.DateUpdated.Compare(b.DateUpdated)
	case users.ByIsApproved:
		return cmp.Compare(number(a.IsApproved), number(b.IsApproved))
	case users.ByIsLockedOut:
		return cmp.Compare(number(a.IsLockedOut), number(b.IsLockedOut))
	}
	return strings.Compare(a.ID, b.ID)
}

// number puts false before true.
func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// ListApplications implements [users.ApplicationEditor].
func (s *Store) ListApplications(ctx context.Context, p users.Page) ([]users.Application, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end()

	found := []users.Application{}
	for _, a := range s.applications {
		if a.ID > p.After {
			found = append(found, a)
		}
	}
	slices.SortFunc(found, func(a, b users.Application) int { return strings.Compare(a.ID, b.ID) })
	if p.Limit > 0 && len(found) > p.Limit {
		found = found[:p.Limit]
	}
	return found, nil
}

// UpdateApplication implements [users.ApplicationEditor].
func (s *Store) UpdateApplication(ctx context.Context, a users.Application) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()

	at := slices.IndexFunc(s.applications, func(old users.Application) bool { return old.ID == a.ID })
	if at < 0 {
		return users.ErrUnknownApplication
	}
	old := &s.applications[at]
	if old.Version != a.Version {
		return users.ErrStale
	}
	a.APIKey, a.DateCreated = old.APIKey, old.DateCreated
	a.Version++
	*old = a
	return nil
}
