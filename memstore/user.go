package memstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gousers/users"
)

// user is a user as it is kept: its roles by id, because what a role is called
// may change.
type user struct {
	users.UserRecord // without Roles
	roles            []string
	tokens           map[[32]byte]*token
	pending          map[string]int // number of pending notifications by kind
}

// replay is an idempotency record and its place among what expires.
type replay struct {
	users.Replay
	node *node[func()]
}

// CreateUser implements [users.UserStore]. InTx runs while no other call does;
// see [ErrInTx]. Nothing is written before it returned nil, so that its error
// and its panic leave nothing to undo.
func (s *Store) CreateUser(ctx context.Context, n *users.NewUser) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()
	t := s.tenants[n.ApplicationID]
	if t == nil {
		return users.ErrUnknownApplication
	}
	if err := t.check(n); err != nil {
		return err
	}
	write := s.prepare(t, n)
	if n.InTx != nil {
		if err := n.InTx(context.WithValue(ctx, txKey{s}, true)); err != nil {
			return fmt.Errorf("memstore: InTx: %w", err)
		}
		if ctx.Err() != nil {
			return done(ctx)
		}
	}
	write()
	return nil
}

// check judges whether n can be written.
func (t *tenant) check(n *users.NewUser) error {
	if n.Replay != nil {
		if old := t.replays[n.Replay.ReplayKey]; old != nil && old.Expires.After(n.DateCreated) {
			return users.ErrIdempotencyKeyUsed
		}
	}
	var clashing []users.UserRecord
	for _, u := range []*user{t.users[n.ID], t.names[n.NameKey], t.emails[n.EmailKey]} {
		if u != nil {
			clashing = append(clashing, u.UserRecord)
		}
	}
	if clashing != nil {
		return users.Clash(&n.UserRecord, clashing)
	}
	for _, r := range n.Roles {
		if t.roles[r.ID] == nil {
			return fmt.Errorf("memstore: role: %w", users.ErrNotFound)
		}
	}
	if n.Notification != nil && t.rows[n.Notification.ID] != nil {
		return errRowTaken
	}
	return nil
}

// prepare copies n and gives the function that writes the copy. What InTx does
// to n comes too late.
func (s *Store) prepare(t *tenant, n *users.NewUser) (write func()) {
	u := &user{UserRecord: n.UserRecord, tokens: map[[32]byte]*token{}, pending: map[string]int{}}
	u.Roles = nil
	for _, r := range n.Roles {
		u.roles = append(u.roles, r.ID)
	}
	slices.Sort(u.roles)
	u.roles = slices.Compact(u.roles)
	u.DashboardSettings = slices.Clone(u.DashboardSettings)
	for _, at := range []*time.Time{&u.CreationDate, &u.DateCreated, &u.DateUpdated, &u.Login.LockedUntil} {
		*at = micros(*at)
	}
	var rec *replay
	if n.Replay != nil {
		rec = &replay{Replay: *n.Replay}
		rec.Expires = micros(rec.Expires)
	}
	var note *users.OutboxRow
	if n.Notification != nil {
		note = new(*n.Notification)
	}
	return func() {
		t.users[u.ID], t.names[u.NameKey], t.emails[u.EmailKey] = u, u, u
		if rec != nil {
			s.addReplay(t, rec)
		}
		if note != nil {
			s.addRow(t, u, *note)
		}
	}
}

// FindUsers implements [users.UserStore].
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
	for _, u := range matches(func(u *user) string { return u.ID },
		lookup[*user]{t.users, q.IDs}, lookup[*user]{t.names, q.NameKeys}, lookup[*user]{t.emails, q.EmailKeys}) {
		found = append(found, t.record(u))
	}
	return found, nil
}

// record gives u as the caller's own.
func (t *tenant) record(u *user) users.UserRecord {
	rec := u.UserRecord
	rec.DashboardSettings = slices.Clone(rec.DashboardSettings)
	rec.Roles = make([]users.Role, len(u.roles))
	for i, id := range u.roles {
		rec.Roles[i] = t.roles[id].Role
	}
	return rec
}

// UpdateUser implements [users.UserStore].
func (s *Store) UpdateUser(ctx context.Context, c users.UserUpdate) error {
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
		u.Login = users.LoginState{Failures: c.Login.Failures, LockedUntil: micros(c.Login.LockedUntil)}
	}
	u.DateUpdated = micros(c.DateUpdated)
	u.Version++
	return nil
}

// user gives nil if there is no such user or no such application.
func (s *Store) user(applicationID, id string) *user {
	if t := s.tenants[applicationID]; t != nil {
		return t.users[id]
	}
	return nil
}

func (s *Store) addReplay(t *tenant, r *replay) {
	if old := t.replays[r.ReplayKey]; old != nil {
		s.expiry.remove(old.node)
	}
	t.replays[r.ReplayKey] = r
	r.node = s.expiry.add(r.Expires, r.Key, func() { delete(t.replays, r.ReplayKey) })
}

// FindReplay implements [users.ReplayStore].
func (s *Store) FindReplay(ctx context.Context, k users.ReplayKey) (users.Replay, error) {
	if err := s.begin(ctx); err != nil {
		return users.Replay{}, err
	}
	defer s.end()
	if t := s.tenants[k.ApplicationID]; t != nil {
		if r := t.replays[k]; r != nil {
			return r.Replay, nil
		}
	}
	return users.Replay{}, users.ErrNotFound
}

// Purge implements [users.ReplayStore].
func (s *Store) Purge(ctx context.Context, before time.Time, limit int) (int, error) {
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	defer s.end()
	n := 0
	for ; n < limit; n++ {
		del, ok := s.expiry.pop(before)
		if !ok {
			break
		}
		del()
	}
	return n, nil
}
