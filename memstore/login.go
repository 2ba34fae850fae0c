package memstore

import (
	"context"
	"time"

	"github.com/gousers/users"
)

// BeginLogin implements [users.LoginStore]. Looking at the lock and counting are one
// step, as every call is.
func (s *Store) BeginLogin(ctx context.Context, a users.LoginAttempt) (failures int, err error) {
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	defer s.end()

	u := s.user(a.ApplicationID, a.UserID)
	now := s.now()
	if u == nil || u.Login.LockedUntil.After(now) {
		return 0, nil
	}
	u.Login.Failures++
	if u.Login.Failures >= a.Free {
		u.Login.LockedUntil = micros(now.Add(a.Lock(u.Login.Failures)))
	}
	return u.Login.Failures, nil
}

// EndLogin implements [users.LoginStore].
func (s *Store) EndLogin(ctx context.Context, l users.LoginEnd) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()

	u := s.user(l.ApplicationID, l.UserID)
	if u == nil {
		return nil
	}
	u.endLock()
	if !l.Now.IsZero() {
		u.LastLogin = micros(l.Now)
	}
	if !l.Hash.IsZero() && u.Hash.Equal(l.OldHash) {
		u.Hash = l.Hash
	}
	return nil
}

// endLock forgets failed sign-ins.
func (u *user) endLock() {
	u.Login.Failures = 0
	u.Login.LockedUntil = time.Time{}
}
