// Package ownstore is a complete [users.Store] of one's own, as small as it gets: a
// starting point for a store on something that this project does not know. It
// keeps its rows in slices behind one lock; what a real one does with transactions
// and unique indexes is done here in loops. Its test is how a store is proved.
//
// # Capabilities
//
// What not every store can do is optional. This one has [users.UserLister] and
// [users.ApplicationEditor], to show how a capability is added, and lacks the others:
//
//	users.OutboxStore  notifications
//	users.TokenStore   set-password links
//	users.UserEditor   changing and deleting users, changing passwords
//	users.RoleEditor   changing and deleting roles
//	users.LoginStore   signing in
//	users.BatchStore   imports of many users in one transaction
//
// The operations of a [users.Service] that need one of those return
// [users.ErrUnsupported], as the test shows; all others work, imports user by user. To add a capability,
// write its methods on Store and say so to the compiler:
//
//	var _ users.TokenStore = (*Store)(nil)
//
// Nothing is registered: the Service finds it with [users.StoreAs], and package
// storetest no longer skips its cases. With an outbox CreateUser also writes
// NewUser.Notifications, which this one refuses.
//
// # Wrappers
//
// A store that wraps another, for logging, metrics or a cache, embeds it, repeats
// the methods that it changes, and has one more:
//
//	type logged struct{ users.Store }
//
//	func (l logged) Unwrap() users.Store { return l.Store }
//
// StoreAs follows Unwrap, so that the wrapper keeps the capabilities of what it
// wraps without a line for each, those that come in later versions too. A wrapper
// that must see the calls of a capability has its methods itself.
package ownstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gousers/users"
)

// Store is a [users.Store]. Make one with [New]; it is safe for concurrent use.
type Store struct {
	lock         chan struct{} // holds a value while a call works
	applications []users.Application
	roles        []role
	users        []users.UserRecord
	records      []record
}

type role struct {
	applicationID string
	users.RoleRecord
}

// record has its end by the clock of the store, whatever clock the caller has.
type record struct {
	users.IdempotencyRecord
	ends time.Time
}

// What this store can do: the compiler tells when a method is missing.
var (
	_ users.Store             = (*Store)(nil)
	_ users.UserLister        = (*Store)(nil)
	_ users.ApplicationEditor = (*Store)(nil)
)

// New returns an empty store.
func New() *Store { return &Store{lock: make(chan struct{}, 1)} }

// begin waits for the lock, as long as ctx allows. A sync.Mutex would wait longer.
func (s *Store) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}

	select {
	case s.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) end() { <-s.lock }

// CreateApplication implements [users.ApplicationStore].
func (s *Store) CreateApplication(ctx context.Context, a users.Application) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()

	var id, apiKey bool
	for _, old := range s.applications {
		id = id || old.ID == a.ID
		apiKey = apiKey || old.APIKey == a.APIKey
	}
	if err := conflict(id, "id", apiKey, "apiKey"); err != nil {
		return err
	}
	s.applications = append(s.applications, a)
	return nil
}

// conflict returns the error that names each member that is taken, nil if none is.
func conflict(first bool, firstName string, second bool, secondName string) error {
	var members []string
	if first {
		members = append(members, firstName)
	}
	if second {
		members = append(members, secondName)
	}
	if members == nil {
		return nil
	}
	return &users.ConflictError{Members: members}
}

// FindApplication implements [users.ApplicationStore].
func (s *Store) FindApplication(ctx context.Context, q users.ApplicationQuery) (users.Application, error) {
	if err := s.begin(ctx); err != nil {
		return users.Application{}, err
	}
	defer s.end()

	for _, a := range s.applications {
		if q.ID != "" && a.ID == q.ID || q.ID == "" && a.APIKey == q.APIKey {
			return a, nil
		}
	}
	return users.Application{}, users.ErrUnknownApplication
}

func (s *Store) hasApplication(id string) bool {
	return slices.ContainsFunc(s.applications, func(a users.Application) bool { return a.ID == id })
}

// CreateRole implements [users.RoleStore].
func (s *Store) CreateRole(ctx context.Context, applicationID string, r users.RoleRecord) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()

	if !s.hasApplication(applicationID) {
		return users.ErrUnknownApplication
	}
	var id, name bool
	for _, old := range s.roles {
		if old.applicationID == applicationID {
			id = id || old.ID == r.ID
			name = name || old.NameKey == r.NameKey
		}
	}
	if err := conflict(id, "id", name, "name"); err != nil {
		return err
	}
	s.roles = append(s.roles, role{applicationID, r})
	return nil
}

// FindRoles implements [users.RoleStore].
func (s *Store) FindRoles(ctx context.Context, q users.RoleQuery) ([]users.RoleRecord, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end()

	return s.rolesOf(q.ApplicationID, func(r users.RoleRecord) bool {
		return slices.Contains(q.IDs, r.ID) || slices.Contains(q.NameKeys, r.NameKey)
	}), nil
}

// ListRoles implements [users.RoleStore].
func (s *Store) ListRoles(ctx context.Context, applicationID string, p users.Page) ([]users.RoleRecord, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end()

	found := s.rolesOf(applicationID, func(r users.RoleRecord) bool { return r.ID > p.After })
	if p.Limit > 0 && len(found) > p.Limit {
		found = found[:p.Limit]
	}
	return found, nil
}

// rolesOf returns the roles of an application that are wanted, in order of ID.
func (s *Store) rolesOf(applicationID string, wanted func(users.RoleRecord) bool) []users.RoleRecord {
	found := []users.RoleRecord{}
	for _, r := range s.roles {
		if r.applicationID == applicationID && wanted(r.RoleRecord) {
			found = append(found, r.RoleRecord)
		}
	}
	slices.SortFunc(found, func(a, b users.RoleRecord) int { return strings.Compare(a.ID, b.ID) })
	return found
}

// role returns one role of an application.
func (s *Store) role(applicationID, id string) (users.Role, bool) {
	for _, r := range s.roles {
		if r.applicationID == applicationID && r.ID == id {
			return r.Role, true
		}
	}
	return users.Role{}, false
}

// CreateUser implements [users.UserStore]: everything is judged before anything
// is written, so that there is nothing to undo.
func (s *Store) CreateUser(ctx context.Context, n *users.NewUser) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()

	if err := s.check(n); err != nil {
		return err
	}
	user := copied(n.UserRecord)

	if n.OnCreate != nil {
		if err := n.OnCreate(ctx); err != nil {
			return fmt.Errorf("ownstore: OnCreate: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}

	s.users = append(s.users, user)
	if key := n.Idempotency; key != nil {
		s.records = slices.DeleteFunc(s.records, func(r record) bool {
			return r.IdempotencyKey == key.IdempotencyKey // a dead one
		})
		s.records = append(s.records, record{*key, time.Now().Add(key.Lifetime)})
	}
	return nil
}

// check judges whether n can be written. The order counts: who repeats a request
// gets ErrIdempotencyKeyUsed, not a conflict with its own user.
func (s *Store) check(n *users.NewUser) error {
	if !s.hasApplication(n.ApplicationID) {
		return users.ErrUnknownApplication
	}
	if len(n.Notifications) > 0 {
		return users.ErrUnsupported // to drop them would be a lie
	}
	if n.Idempotency != nil {
		old, ok := s.record(n.Idempotency.IdempotencyKey)
		if ok && time.Now().Before(old.ends) {
			return users.ErrIdempotencyKeyUsed
		}
	}

	// CheckConflict names the members of the rows that are in the way.
	var existing []users.UserRecord
	for _, u := range s.users {
		if u.ApplicationID == n.ApplicationID &&
			(u.ID == n.ID || u.NameKey == n.NameKey || u.EmailKey == n.EmailKey) {
			existing = append(existing, u)
		}
	}
	if err := users.CheckConflict(&n.UserRecord, existing); err != nil {
		return err
	}

	for _, r := range n.Roles {
		if _, ok := s.role(n.ApplicationID, r.ID); !ok {
			return fmt.Errorf("ownstore: role: %w", users.ErrNotFound)
		}
	}
	return nil
}

// copied returns u with slices of its own, and its roles once each in order of ID.
func copied(u users.UserRecord) users.UserRecord {
	u.DashboardSettings = slices.Clone(u.DashboardSettings)
	u.Roles = append([]users.Role{}, u.Roles...)
	slices.SortFunc(u.Roles, func(a, b users.Role) int { return strings.Compare(a.ID, b.ID) })
	u.Roles = slices.CompactFunc(u.Roles, func(a, b users.Role) bool { return a.ID == b.ID })
	return u
}

// FindUsers implements [users.UserStore]. It may ignore KeysOnly.
func (s *Store) FindUsers(ctx context.Context, q users.UserQuery) ([]users.UserRecord, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end()

	found := []users.UserRecord{}
	for _, u := range s.users {
		wanted := slices.Contains(q.IDs, u.ID) ||
			slices.Contains(q.NameKeys, u.NameKey) ||
			slices.Contains(q.EmailKeys, u.EmailKey)
		if u.ApplicationID != q.ApplicationID || !wanted {
			continue
		}
		found = append(found, s.current(u))
	}
	slices.SortFunc(found, func(a, b users.UserRecord) int { return strings.Compare(a.ID, b.ID) })
	return found, nil
}

// current returns a copy of u with its roles in full, as they are now.
func (s *Store) current(u users.UserRecord) users.UserRecord {
	u = copied(u)
	for i := range u.Roles {
		u.Roles[i], _ = s.role(u.ApplicationID, u.Roles[i].ID)
	}
	return u
}

// SetUserStatus implements [users.UserStore].
func (s *Store) SetUserStatus(ctx context.Context, c users.StatusUpdate) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()

	at := slices.IndexFunc(s.users, func(u users.UserRecord) bool {
		return u.ApplicationID == c.ApplicationID && u.ID == c.ID
	})
	if at < 0 {
		return users.ErrNotFound
	}
	u := &s.users[at]
	if u.Version != c.IfVersion {
		return users.ErrStale
	}

	if c.IsApproved != nil {
		u.IsApproved = *c.IsApproved
	}
	if c.IsLockedOut != nil {
		u.IsLockedOut = *c.IsLockedOut
	}
	u.DateUpdated = c.DateUpdated
	u.Version++
	return nil
}

// FindIdempotencyRecord implements [users.IdempotencyStore].
func (s *Store) FindIdempotencyRecord(ctx context.Context, k users.IdempotencyKey) (users.IdempotencyRecord, error) {
	if err := s.begin(ctx); err != nil {
		return users.IdempotencyRecord{}, err
	}
	defer s.end()

	if r, ok := s.record(k); ok {
		r.Lifetime = time.Until(r.ends)
		return r.IdempotencyRecord, nil
	}
	return users.IdempotencyRecord{}, users.ErrNotFound
}

// record returns the idempotency record of a key, dead or alive.
func (s *Store) record(k users.IdempotencyKey) (record, bool) {
	for _, r := range s.records {
		if r.IdempotencyKey == k {
			return r, true
		}
	}
	return record{}, false
}

// Purge implements [users.IdempotencyStore].
func (s *Store) Purge(ctx context.Context, limit int) (int, error) {
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	defer s.end()

	n, now := 0, time.Now()
	s.records = slices.DeleteFunc(s.records, func(r record) bool {
		dead := n < limit && !now.Before(r.ends)
		if dead {
			n++
		}
		return dead
	})
	return n, nil
}
