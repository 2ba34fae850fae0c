package storetest_test

import (
	"context"
	"errors"
	"time"

	"github.com/gousers/users"
)

// brokenLogins break what LoginStore promises.
var brokenLogins = []brokenStore{
	{"failures are not counted before the lock", "LoginCounts", func(b *broken) {
		b.beginLogin = func(ctx context.Context, a users.LoginAttempt) (bool, error) {
			for _, u := range b.withIDs(a.ApplicationID, a.UserID) {
				if u.Login.Failures+1 < a.Free {
					return true, nil
				}
			}
			return b.Store.BeginLogin(ctx, a)
		}
	}},
	{"who is locked out is not counted", "LoginCounts", func(b *broken) {
		b.beginLogin = func(ctx context.Context, a users.LoginAttempt) (bool, error) {
			for _, u := range b.withIDs(a.ApplicationID, a.UserID) {
				if u.IsLockedOut {
					return false, nil
				}
			}
			return b.Store.BeginLogin(ctx, a)
		}
	}},
	{"locks come one failure late", "LoginLocksAndGrows", attempting(func(a *users.LoginAttempt) { a.Free++ })},
	{"locks do not grow", "LoginLocksAndGrows", attempting(func(a *users.LoginAttempt) { a.Max = a.First })},
	{"locks grow without an end", "LoginLocksAndGrows", attempting(func(a *users.LoginAttempt) { a.Max *= 10 })},
	{"long locks overflow", "LoginLocksAndGrows", func(b *broken) {
		b.beginLogin = func(ctx context.Context, a users.LoginAttempt) (bool, error) {
			for _, u := range b.withIDs(a.ApplicationID, a.UserID) {
				if a.First<<max(u.Login.Failures+1-a.Free, 0) <= 0 {
					a.Max = 0
				}
			}
			return b.Store.BeginLogin(ctx, a)
		}
	}},
	{"a lock is judged by the caller", "LoginWhileLocked", func(b *broken) {
		b.beginLogin = func(ctx context.Context, a users.LoginAttempt) (bool, error) {
			ok, err := b.Store.BeginLogin(ctx, a)
			return ok || len(b.withIDs(a.ApplicationID, a.UserID)) > 0, err
		}
	}},
	{"guesses during a lock make it longer", "LoginWhileLocked", func(b *broken) {
		b.beginLogin = func(ctx context.Context, a users.LoginAttempt) (bool, error) {
			ok, err := b.Store.BeginLogin(ctx, a)
			if err == nil && !ok {
				_ = b.Store.EndLogin(ctx, users.LoginEnd{ApplicationID: a.ApplicationID, UserID: a.UserID})
				_, err = b.Store.BeginLogin(ctx, users.LoginAttempt{
					ApplicationID: a.ApplicationID, UserID: a.UserID, Free: 1, First: a.Max, Max: a.Max,
				})
			}
			return ok, err
		}
	}},
	{"the count begins anew after a lock", "LoginAfterTheLock", func(b *broken) {
		b.beginLogin = func(ctx context.Context, a users.LoginAttempt) (bool, error) {
			for _, u := range b.withIDs(a.ApplicationID, a.UserID) {
				if until := u.Login.LockedUntil; !until.IsZero() && !until.After(time.Now()) {
					_ = b.Store.EndLogin(ctx, users.LoginEnd{ApplicationID: a.ApplicationID, UserID: a.UserID})
				}
			}
			return b.Store.BeginLogin(ctx, a)
		}
	}},
	{"nobody is an error", "LoginOfNobody", func(b *broken) {
		b.beginLogin = func(ctx context.Context, a users.LoginAttempt) (bool, error) {
			if ctx.Err() == nil && len(b.withIDs(a.ApplicationID, a.UserID)) == 0 {
				return false, users.ErrNotFound
			}
			return b.Store.BeginLogin(ctx, a)
		}
	}},
	{"nobody may try", "LoginOfNobody", func(b *broken) {
		found(&b.beginLogin, func(a users.LoginAttempt, ok bool) bool {
			return ok || len(b.withIDs(a.ApplicationID, a.UserID)) == 0
		})
	}},
	{"a lock is looked for before the failure is counted", "RacingLogins", func(b *broken) {
		b.beginLogin = func(ctx context.Context, a users.LoginAttempt) (bool, error) {
			found := b.withIDs(a.ApplicationID, a.UserID)
			untilAllHaveLooked()
			ok, err := b.Store.BeginLogin(ctx, a)
			free := len(found) == 1 && !found[0].Login.LockedUntil.After(time.Now())
			return ok || free, err
		}
	}},
	{"the end of a login leaves the lock", "LoginEndsCount", func(b *broken) {
		b.endLogin = func(ctx context.Context, l users.LoginEnd) error {
			for _, u := range b.withIDs(l.ApplicationID, l.UserID) {
				if u.Login.LockedUntil.After(time.Now()) {
					return nil
				}
			}
			return b.Store.EndLogin(ctx, l)
		}
	}},
	{"a login without a time is one of now", "LoginEndsCount", ending(func(l *users.LoginEnd) {
		if l.Now.IsZero() {
			l.Now = time.Now()
		}
	})},
	{"a new hash replaces any other", "LoginRehash", func(b *broken) {
		ending(func(l *users.LoginEnd) {
			for _, u := range b.withIDs(l.ApplicationID, l.UserID) {
				l.OldHash = u.Hash
			}
		})(b)
	}},
	{"a new hash is not taken", "LoginRehash", ending(func(l *users.LoginEnd) { l.OldHash = l.Hash })},
	{"the end of nobody's login is an error", "LoginEndOfNobody", func(b *broken) {
		answered(&b.endLogin, func(l users.LoginEnd, err error) error {
			if err == nil && len(b.withIDs(l.ApplicationID, l.UserID)) == 0 {
				return errors.New("no row was changed")
			}
			return err
		})
	}},
	{"a login is a change", "LoginKeepsVersion", func(b *broken) {
		answered(&b.endLogin, func(l users.LoginEnd, err error) error {
			for _, u := range b.withIDs(l.ApplicationID, l.UserID) {
				_ = b.Store.EditUser(context.Background(), &users.UserEdit{UserRecord: u})
			}
			return err
		})
	}},
}

// attempting returns what changes each attempt.
func attempting(change func(*users.LoginAttempt)) func(*broken) {
	return func(b *broken) { asked(&b.beginLogin, change) }
}

// ending returns what changes the end of each login.
func ending(change func(*users.LoginEnd)) func(*broken) {
	return func(b *broken) { given(&b.endLogin, change) }
}
