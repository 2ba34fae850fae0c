package memstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gousers/users"
)

// user is a user as it is kept: its roles are shared, because what a role is called
// may change.
type user struct {
	users.UserRecord         // without Roles
	roles            []*role // in order of ID; some may be deleted
	tokens           map[[32]byte]*token
	rows             map[string]*row // notifications by id
	pending          map[string]*row // of rows, those that are pending, by kind
}

// CreateUser implements [users.UserStore]. n.OnCreate runs while no other call does;
// see [ErrReentrant]. Nothing is written before it returned nil, so that its error and
// its panic leave nothing to undo.
func (s *Store) CreateUser(ctx context.Context, n *users.NewUser) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()

	t := s.tenants[n.ApplicationID]
	if t == nil {
		return users.ErrUnknownApplication
	}
	if err := t.check(n, s.now()); err != nil {
		return err
	}

	write := s.prepare(t, n)
	if n.OnCreate != nil {
		if err := n.OnCreate(context.WithValue(ctx, txKey{s}, true)); err != nil {
			return fmt.Errorf("memstore: OnCreate: %w", err)
		}
		if ctx.Err() != nil { // the host gave up inside
			return done(ctx)
		}
	}
	write()
	return nil
}

// check judges whether n can be written. A used key comes before a conflict: who
// repeats a request is not told that its own user is in the way.
func (t *tenant) check(n *users.NewUser, now time.Time) error {
	if n.Idempotency != nil {
		old := t.idempotency[n.Idempotency.IdempotencyKey]
		if old != nil && old.expires.After(now) {
			return users.ErrIdempotencyKeyUsed
		}
	}

	if err := users.CheckConflict(&n.UserRecord, t.holders(&n.UserRecord)); err != nil {
		return err
	}
	if err := t.checkRoles(n); err != nil {
		return err
	}
	return t.checkRows(n.Notifications)
}

// holders returns the users that have a key of u.
func (t *tenant) holders(u *users.UserRecord) (found []users.UserRecord) {
	for _, other := range []*user{t.users[u.ID], t.names[u.NameKey], t.emails[u.EmailKey]} {
		if other != nil {
			found = append(found, other.UserRecord)
		}
	}
	return found
}

// checkRoles judges whether the roles of n exist.
func (t *tenant) checkRoles(n *users.NewUser) error {
	if _, ok := t.rolesOf(n.Roles); !ok {
		return fmt.Errorf("memstore: role: %w", users.ErrNotFound)
	}
	return nil
}

// prepare copies n and returns the function that writes the copy. What OnCreate does
// to n comes too late.
func (s *Store) prepare(t *tenant, n *users.NewUser) (write func()) {
	u := &user{
		UserRecord: kept(&n.UserRecord),
		tokens:     map[[32]byte]*token{},
		rows:       map[string]*row{},
		pending:    map[string]*row{},
	}
	roles, _ := t.rolesOf(n.Roles)
	var rec *idempotencyRecord
	if n.Idempotency != nil {
		rec = &idempotencyRecord{IdempotencyRecord: *n.Idempotency}
	}
	notifications := slices.Clone(n.Notifications)

	return func() {
		t.index(u)
		u.setRoles(roles)
		if rec != nil {
			s.addIdempotency(t, rec)
		}
		for _, r := range notifications {
			s.addRow(t, u, r)
		}
	}
}

// index makes u found by its keys.
func (t *tenant) index(u *user) {
	t.users[u.ID] = u
	t.names[u.NameKey] = u
	t.emails[u.EmailKey] = u
}

// unindex is the opposite of index.
func (t *tenant) unindex(u *user) {
	delete(t.users, u.ID)
	delete(t.names, u.NameKey)
	delete(t.emails, u.EmailKey)
}

// kept returns rec as it is kept, without its roles; they share no memory.
func kept(rec *users.UserRecord) users.UserRecord {
	u := *rec
	u.DashboardSettings = slices.Clone(rec.DashboardSettings)
	u.Roles = nil

	for _, at := range []*time.Time{
		&u.CreationDate, &u.DateCreated, &u.DateUpdated,
		&u.PasswordChanged, &u.EmailVerified, &u.LastLogin, &u.Login.LockedUntil,
	} {
		*at = micros(*at)
	}
	return u
}

// FindUsers implements [users.UserStore]. With KeysOnly it fills everything too.
func (s *Store) FindUsers(ctx context.Context, q users.UserQuery) ([]users.UserRecord, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end()

	found := []users.UserRecord{}
	t := s.tenants[q.ApplicationID]
	if t == nil {
		return found, nil
	}
	id := func(u *user) string { return u.ID }
	byID := lookup[*user]{t.users, q.IDs}
	byName := lookup[*user]{t.names, q.NameKeys}
	byEmail := lookup[*user]{t.emails, q.EmailKeys}
	for _, u := range matches(id, byID, byName, byEmail) {
		found = append(found, u.record())
	}
	return found, nil
}

// record returns u as the caller's own, with its roles as they are now.
func (u *user) record() users.UserRecord {
	rec := u.UserRecord
	rec.DashboardSettings = slices.Clone(rec.DashboardSettings)
	rec.Roles = make([]users.Role, 0, len(u.roles))
	for _, r := range u.roles {
		if !r.deleted {
			rec.Roles = append(rec.Roles, r.Role)
		}
	}
	return rec
}

// SetUserStatus implements [users.UserStore]. Comparing the version and writing are
// one step, as every call is.
func (s *Store) SetUserStatus(ctx context.Context, c users.StatusUpdate) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()

	u := s.user(c.ApplicationID, c.ID)
	switch {
	case u == nil:
		return users.ErrNotFound
	case u.Version != c.IfVersion:
		return users.ErrStale
	}

	if c.IsApproved != nil {
		u.IsApproved = *c.IsApproved
	}
	if c.IsLockedOut != nil {
		u.IsLockedOut = *c.IsLockedOut
	}
	u.DateUpdated = micros(c.DateUpdated)
	u.Version++
	return nil
}

// user returns nil if there is no such user or no such application.
func (s *Store) user(applicationID, id string) *user {
	if t := s.tenants[applicationID]; t != nil {
		return t.users[id]
	}
	return nil
}
