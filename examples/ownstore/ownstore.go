// Package ownstore is a complete users.Store of one's own, as small as it gets:
// a starting point for a store on something that this project does not know. It
// keeps its rows in slices behind one lock; what a real one does with
// transactions and unique indexes stands here in loops. Its test shows how a
// store is proved.
//
// It leaves out the optional capabilities users.OutboxStore and
// users.TokenStore: without the first there is no relay, without the second
// there are no set-password links.
package ownstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gousers/users"
)

// Store is the store. Make one with New.
type Store struct {
	lock         chan struct{} // holds a value while a call works
	applications []users.Application
	roles        []role
	users        []users.UserRecord
	replays      []users.Replay
}

type role struct {
	applicationID string
	users.RoleRecord
}

var _ users.Store = (*Store)(nil)

// New makes an empty store.
func New() *Store { return &Store{lock: make(chan struct{}, 1)} }

// begin waits for the lock, as long as ctx allows.
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

// CreateApplication implements users.ApplicationStore.
func (s *Store) CreateApplication(ctx context.Context, a users.Application) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()
	var members []string
	if slices.ContainsFunc(s.applications, func(b users.Application) bool { return b.ID == a.ID }) {
		members = append(members, "id")
	}
	if slices.ContainsFunc(s.applications, func(b users.Application) bool { return b.APIKey == a.APIKey }) {
		members = append(members, "apiKey")
	}
	if members != nil {
		return &users.ConflictError{Members: members}
	}
	s.applications = append(s.applications, a)
	return nil
}

// FindApplication implements users.ApplicationStore.
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

// CreateRole implements users.RoleStore.
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
	var members []string
	if id {
		members = append(members, "id")
	}
	if name {
		members = append(members, "name")
	}
	if members != nil {
		return &users.ConflictError{Members: members}
	}
	s.roles = append(s.roles, role{applicationID, r})
	return nil
}

// FindRoles implements users.RoleStore.
func (s *Store) FindRoles(ctx context.Context, q users.RoleQuery) ([]users.RoleRecord, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end()
	listing := len(q.IDs) == 0 && len(q.NameKeys) == 0
	found := []users.RoleRecord{}
	for _, r := range s.roles {
		wanted := slices.Contains(q.IDs, r.ID) || slices.Contains(q.NameKeys, r.NameKey) || listing && r.ID > q.Page.After
		if r.applicationID == q.ApplicationID && wanted {
			found = append(found, r.RoleRecord)
		}
	}
	slices.SortFunc(found, func(a, b users.RoleRecord) int { return strings.Compare(a.ID, b.ID) })
	if listing && q.Page.Limit > 0 && len(found) > q.Page.Limit {
		found = found[:q.Page.Limit]
	}
	return found, nil
}

// CreateUser implements users.UserStore: everything is judged before anything
// is written, so there is nothing to undo.
func (s *Store) CreateUser(ctx context.Context, n *users.NewUser) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()
	if !s.hasApplication(n.ApplicationID) {
		return users.ErrUnknownApplication
	}
	if n.Notification != nil {
		return users.ErrUnsupported // it would never be delivered
	}
	if n.Replay != nil {
		if at := s.replay(n.Replay.ReplayKey); at >= 0 && s.replays[at].Expires.After(n.DateCreated) {
			return users.ErrIdempotencyKeyUsed
		}
	}
	if err := s.clash(n); err != nil {
		return err
	}
	for _, r := range n.Roles {
		if _, ok := s.role(n.ApplicationID, r.ID); !ok {
			return fmt.Errorf("role: %w", users.ErrNotFound)
		}
	}
	row, replay := copied(n.UserRecord), n.Replay
	if n.InTx != nil {
		if err := n.InTx(ctx); err != nil {
			return fmt.Errorf("in the transaction: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	s.users = append(s.users, row)
	if replay != nil {
		if at := s.replay(replay.ReplayKey); at >= 0 {
			s.replays[at] = *replay
		} else {
			s.replays = append(s.replays, *replay)
		}
	}
	return nil
}

// clash looks for rows with a key of n; users.Clash makes the error of them.
func (s *Store) clash(n *users.NewUser) error {
	var same []users.UserRecord
	for _, u := range s.users {
		if u.ApplicationID == n.ApplicationID && (u.ID == n.ID || u.NameKey == n.NameKey || u.EmailKey == n.EmailKey) {
			same = append(same, u)
		}
	}
	return users.Clash(&n.UserRecord, same)
}

func (s *Store) role(applicationID, id string) (users.Role, bool) {
	for _, r := range s.roles {
		if r.applicationID == applicationID && r.ID == id {
			return r.Role, true
		}
	}
	return users.Role{}, false
}

// FindUsers implements users.UserStore.
func (s *Store) FindUsers(ctx context.Context, q users.UserQuery) ([]users.UserRecord, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end()
	found := []users.UserRecord{}
	for _, u := range s.users {
		wanted := slices.Contains(q.IDs, u.ID) || slices.Contains(q.NameKeys, u.NameKey) || slices.Contains(q.EmailKeys, u.EmailKey)
		if u.ApplicationID != q.ApplicationID || !wanted {
			continue
		}
		u = copied(u)
		for i := range u.Roles { // in full, as they are now
			u.Roles[i], _ = s.role(u.ApplicationID, u.Roles[i].ID)
		}
		found = append(found, u)
	}
	slices.SortFunc(found, func(a, b users.UserRecord) int { return strings.Compare(a.ID, b.ID) })
	return found, nil
}

// copied gives u with slices of its own, and its roles once each in order of ID.
func copied(u users.UserRecord) users.UserRecord {
	u.DashboardSettings = slices.Clone(u.DashboardSettings)
	u.Roles = append([]users.Role{}, u.Roles...)
	slices.SortFunc(u.Roles, func(a, b users.Role) int { return strings.Compare(a.ID, b.ID) })
	u.Roles = slices.CompactFunc(u.Roles, func(a, b users.Role) bool { return a.ID == b.ID })
	return u
}

// UpdateUser implements users.UserStore.
func (s *Store) UpdateUser(ctx context.Context, c users.UserUpdate) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()
	at := slices.IndexFunc(s.users, func(u users.UserRecord) bool { return u.ApplicationID == c.ApplicationID && u.ID == c.ID })
	if at < 0 {
		return users.ErrNotFound
	}
	u := &s.users[at]
	if u.Version != c.IfVersion {
		return users.ErrStale
	}
	if c.Hash != nil {
		u.Hash = *c.Hash
	}
	if c.IsApproved != nil {
		u.IsApproved = *c.IsApproved
	}
	if c.IsLockedOut != nil {
		u.IsLockedOut = *c.IsLockedOut
	}
	if c.Login != nil {
		u.Login = *c.Login
	}
	u.DateUpdated = c.DateUpdated
	u.Version++
	return nil
}

func (s *Store) replay(k users.ReplayKey) int {
	return slices.IndexFunc(s.replays, func(r users.Replay) bool { return r.ReplayKey == k })
}

// FindReplay implements users.ReplayStore.
func (s *Store) FindReplay(ctx context.Context, k users.ReplayKey) (users.Replay, error) {
	if err := s.begin(ctx); err != nil {
		return users.Replay{}, err
	}
	defer s.end()
	if at := s.replay(k); at >= 0 {
		return s.replays[at], nil
	}
	return users.Replay{}, users.ErrNotFound
}

// Purge implements users.ReplayStore.
func (s *Store) Purge(ctx context.Context, before time.Time, limit int) (int, error) {
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	defer s.end()
	n := 0
	s.replays = slices.DeleteFunc(s.replays, func(r users.Replay) bool {
		dead := n < limit && !r.Expires.After(before)
		if dead {
			n++
		}
		return dead
	})
	return n, nil
}
