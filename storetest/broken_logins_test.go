package storetest_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gousers/users"
)

// brokenLogins break what LoginStore promises.
var brokenLogins = []brokenStore{
	{"failures are not counted before the lock", "LoginCounts", func(b *broken) {
		b.beginLogin = func(ctx context.Context, a users.LoginAttempt) (int, error) {
			for _, u := range b.withIDs(a.ApplicationID, a.UserID) {
				if u.Login.Failures+1 < a.Free {
					return u.Login.Failures + 1, nil
				}
			}
			return b.Store.BeginLogin(ctx, a)
		}
	}},
	{"who is locked out is not counted", "LoginCounts", func(b *broken) {
		b.beginLogin = func(ctx context.Context, a users.LoginAttempt) (int, error) {
			for _, u := range b.withIDs(a.ApplicationID, a.UserID) {
				if u.IsLockedOut {
					return 0, nil
				}
			}
			return b.Store.BeginLogin(ctx, a)
		}
	}},
	{"locks come one failure late", "LoginLocksAndGrows", attempting(func(a *users.LoginAttempt) { a.Free++ })},
	{"locks do not grow", "LoginLocksAndGrows", attempting(func(a *users.LoginAttempt) { a.Max = a.First })},
	{"locks grow without an end", "LoginLocksAndGrows", attempting(func(a *users.LoginAttempt) { a.Max *= 10 })},
	{"long locks overflow", "LoginLocksAndGrows", func(b *broken) {
		b.beginLogin = func(ctx context.Context, a users.LoginAttempt) (int, error) {
			for _, u := range b.withIDs(a.ApplicationID, a.UserID) {
				if a.First<<max(u.Login.Failures+1-a.Free, 0) <= 0 {
					a.Max = 0
				}
			}
			return b.Store.BeginLogin(ctx, a)
		}
	}},
	{"a lock is judged by the caller", "LoginWhileLocked", func(b *broken) {
		b.beginLogin = func(ctx context.Context, a users.LoginAttempt) (int, error) {
			n, err := b.Store.BeginLogin(ctx, a)
			for _, u := range b.withIDs(a.ApplicationID, a.UserID) {
				n = u.Login.Failures
			}
			return n, err
		}
	}},
	{"guesses during a lock make it longer", "LoginWhileLocked", func(b *broken) {
		b.beginLogin = func(ctx context.Context, a users.LoginAttempt) (int, error) {
			n, err := b.Store.BeginLogin(ctx, a)
			if err == nil && n == 0 {
				_ = b.Store.EndLogin(ctx, users.LoginEnd{ApplicationID: a.ApplicationID, UserID: a.UserID})
				_, err = b.Store.BeginLogin(ctx, users.LoginAttempt{
					ApplicationID: a.ApplicationID, UserID: a.UserID, Free: 1, First: a.Max, Max: a.Max,
				})
			}
			return n, err
		}
	}},
	{"the count begins anew after a lock", "LoginAfterTheLock", func(b *broken) {
		b.beginLogin = func(ctx context.Context, a users.LoginAttempt) (int, error) {
			for _, u := range b.withIDs(a.ApplicationID, a.UserID) {
				if until := u.Login.LockedUntil; !until.IsZero() && !until.After(time.Now()) {
					_ = b.Store.EndLogin(ctx, users.LoginEnd{ApplicationID: a.ApplicationID, UserID: a.UserID})
				}
			}
			return b.Store.BeginLogin(ctx, a)
		}
	}},
	{"nobody is an error", "LoginOfNobody", func(b *broken) {
		b.beginLogin = func(ctx context.Context, a users.LoginAttempt) (int, error) {
			if ctx.Err() == nil && len(b.withIDs(a.ApplicationID, a.UserID)) == 0 {
				return 0, users.ErrNotFound
			}
			return b.Store.BeginLogin(ctx, a)
		}
	}},
	{"nobody may try", "LoginOfNobody", func(b *broken) {
		found(&b.beginLogin, func(a users.LoginAttempt, n int) int {
			if len(b.withIDs(a.ApplicationID, a.UserID)) == 0 {
				return 1
			}
			return n
		})
	}},
	{"a lock is looked for before the failure is counted", "RacingLogins", func(b *broken) {
		b.beginLogin = func(ctx context.Context, a users.LoginAttempt) (int, error) {
			found := b.withIDs(a.ApplicationID, a.UserID)
			untilAllHaveLooked()
			n, err := b.Store.BeginLogin(ctx, a)
			if n == 0 && len(found) == 1 && !found[0].Login.LockedUntil.After(time.Now()) {
				n = found[0].Login.Failures + 1
			}
			return n, err
		}
	}},
	{"failures are read again once they are counted", "RacingLogins", func(b *broken) {
		found(&b.beginLogin, func(a users.LoginAttempt, n int) int {
			untilAllHaveLooked()
			for _, u := range b.withIDs(a.ApplicationID, a.UserID) {
				n = min(n, 1) * u.Login.Failures
			}
			return n
		})
	}},
	{"racing logins count once", "RacingLogins", func(b *broken) {
		var counting sync.Map
		b.beginLogin = func(ctx context.Context, a users.LoginAttempt) (int, error) {
			if _, busy := counting.LoadOrStore(a.UserID, true); busy && a.Free > 5 {
				return 1, nil
			}
			defer counting.Delete(a.UserID)
			untilAllHaveLooked()
			return b.Store.BeginLogin(ctx, a)
		}
	}},
	{"failures are those before", "LoginCounts", func(b *broken) {
		found(&b.beginLogin, func(_ users.LoginAttempt, n int) int { return max(n-1, 0) })
	}},
	{"failures are those since the lock", "LoginLocksAndGrows", func(b *broken) {
		b.beginLogin = func(ctx context.Context, a users.LoginAttempt) (int, error) {
			n, err := b.Store.BeginLogin(ctx, a)
			return min(n, a.Free), err
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
