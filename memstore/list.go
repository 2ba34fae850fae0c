package memstore

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/gousers/users"
)

// ListUsers implements [users.UserLister]. It looks at every user of the application
// but, if q names IDs, at no others, and copies none that is not on the page.
func (s *Store) ListUsers(ctx context.Context, q users.UserListing) (users.UserList, error) {
	if err := s.begin(ctx); err != nil {
		return users.UserList{}, err
	}
	defer s.end()

	list := users.UserList{Users: []users.UserRecord{}}
	t := s.tenants[q.ApplicationID]
	if t == nil {
		return list, nil
	}

	compare := comparing(q.Order)
	match := matching(q.UserMatch)
	total := 0
	wanted := func(yield func(*user) bool) {
		for u := range t.candidates(q.IDs) {
			if !match(u) {
				continue
			}
			total++
			if q.After != nil && compare(&u.UserRecord, q.After) <= 0 {
				continue
			}
			if !yield(u) {
				return
			}
		}
	}
	page := first(wanted, q.Offset+q.Limit, func(a, b *user) int { return compare(&a.UserRecord, &b.UserRecord) })
	for _, u := range page[min(q.Offset, len(page)):] {
		list.Users = append(list.Users, u.record())
	}
	if q.Count {
		list.Total = int64(total)
	}
	return list, nil
}

// candidates returns the users with these ids; all where ids is nil.
func (t *tenant) candidates(ids []string) func(yield func(*user) bool) {
	if ids == nil {
		return maps.Values(t.users)
	}
	return slices.Values(matches(func(u *user) string { return u.ID }, lookup[*user]{t.users, ids}))
}

// matching returns what judges whether a user matches m, but for its IDs.
func matching(m users.UserMatch) func(*user) bool {
	is := func(want *bool, have bool) bool { return want == nil || *want == have }
	has := func(u *user) bool {
		return m.RoleIDs == nil || slices.ContainsFunc(u.roles, func(r *role) bool {
			return !r.deleted && slices.Contains(m.RoleIDs, r.ID)
		})
	}
	says := func(u *user) bool {
		return strings.Contains(u.NameKey, m.Phrase) || strings.Contains(u.EmailKey, m.Phrase) ||
			strings.Contains(u.DisplayKey, m.Phrase)
	}
	return func(u *user) bool {
		return is(m.IsApproved, u.IsApproved) && is(m.IsLockedOut, u.IsLockedOut) && says(u) && has(u)
	}
}

// comparing returns what compares users by order, and by ID where they are equal, in
// the direction of the first member. A unique member needs no ID: a user that has the
// key of another which is gone is not behind it, whatever its ID.
func comparing(order []users.Order) func(a, b *users.UserRecord) int {
	unique := slices.ContainsFunc(order, func(o users.Order) bool { return o.By.Unique() })
	if !unique {
		desc := len(order) > 0 && order[0].Desc
		order = append(slices.Clone(order), users.Order{By: users.ByID, Desc: desc})
	}
	return func(a, b *users.UserRecord) int {
		for _, o := range order {
			c := compareBy(o.By, a, b)
			switch {
			case c != 0 && o.Desc:
				return -c
			case c != 0:
				return c
			}
		}
		return 0
	}
}

func compareBy(m users.Member, a, b *users.UserRecord) int {
	switch m {
	case users.ByID:
		return strings.Compare(a.ID, b.ID)
	case users.ByUserName:
		return strings.Compare(a.NameKey, b.NameKey)
	case users.ByEmail:
		return strings.Compare(a.EmailKey, b.EmailKey)
	case users.ByName:
		return strings.Compare(a.DisplayKey, b.DisplayKey)
	case users.ByDateCreated:
		return a.DateCreated.Compare(micros(b.DateCreated))
	case users.ByCreationDate:
		return a.CreationDate.Compare(b.CreationDate)
	case users.ByDateUpdated:
		return a.DateUpdated.Compare(b.DateUpdated)
	case users.ByIsApproved:
		return compareBools(a.IsApproved, b.IsApproved)
	case users.ByIsLockedOut:
		return compareBools(a.IsLockedOut, b.IsLockedOut)
	}
	return 0
}

// compareBools puts false before true.
func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
