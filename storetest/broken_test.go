package storetest_test

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
)

// broken is a good store with some of its methods replaced. It is no
// storefake.Around because it changes arguments and results.
type broken struct {
	*memstore.Store
	createApplication func(context.Context, users.Application) error
	findApplication   func(context.Context, users.ApplicationQuery) (users.Application, error)
	createRole        func(context.Context, string, users.RoleRecord) error
	findRoles         func(context.Context, users.RoleQuery) ([]users.RoleRecord, error)
	listRoles         func(context.Context, string, users.Page) ([]users.RoleRecord, error)
	createUser        func(context.Context, *users.NewUser) error
	findUsers         func(context.Context, users.UserQuery) ([]users.UserRecord, error)
	setUserStatus     func(context.Context, users.StatusUpdate) error
	findRecord        func(context.Context, users.IdempotencyKey) (users.IdempotencyRecord, error)
	purge             func(context.Context, int) (int, error)

	enqueue           func(context.Context, users.NotificationRecord, time.Duration) error
	claim             func(context.Context, users.Claim) ([]users.NotificationRecord, error)
	settle            func(context.Context, users.Settlement) error
	listNotifications func(context.Context, users.NotificationQuery) ([]users.NotificationRecord, error)
	retry             func(context.Context, string, string) error
	purgeDiscarded    func(context.Context, time.Duration, int) (int, error)

	createToken func(context.Context, users.TokenRecord) error
	findToken   func(context.Context, string, [32]byte) (users.TokenRecord, error)
	redeemToken func(context.Context, users.Redemption) error

	listUsers func(context.Context, users.UserListing) (users.UserList, error)

	editUser   func(context.Context, *users.UserEdit) error
	deleteUser func(context.Context, users.UserDeletion) error

	updateRole func(context.Context, users.RoleUpdate) error
	deleteRole func(context.Context, string, string) error

	listApplications  func(context.Context, users.Page) ([]users.Application, error)
	updateApplication func(context.Context, users.Application) error

	beginLogin func(context.Context, users.LoginAttempt) (int, error)
	endLogin   func(context.Context, users.LoginEnd) error

	createUsers func(context.Context, []*users.NewUser) ([]error, error)
}

func newBroken() *broken {
	s := memstore.New()
	return &broken{
		s, s.CreateApplication, s.FindApplication, s.CreateRole, s.FindRoles, s.ListRoles,
		s.CreateUser, s.FindUsers, s.SetUserStatus, s.FindIdempotencyRecord, s.Purge,
		s.Enqueue, s.Claim, s.Settle, s.ListNotifications, s.Retry, s.PurgeDiscarded,
		s.CreateToken, s.FindToken, s.RedeemToken,
		s.ListUsers,
		s.EditUser, s.DeleteUser,
		s.UpdateRole, s.DeleteRole,
		s.ListApplications, s.UpdateApplication,
		s.BeginLogin, s.EndLogin,
		s.CreateUsers,
	}
}

func (b *broken) CreateApplication(ctx context.Context, a users.Application) error {
	return b.createApplication(ctx, a)
}

func (b *broken) FindApplication(ctx context.Context, q users.ApplicationQuery) (users.Application, error) {
	return b.findApplication(ctx, q)
}

func (b *broken) CreateRole(ctx context.Context, app string, r users.RoleRecord) error {
	return b.createRole(ctx, app, r)
}

func (b *broken) FindRoles(ctx context.Context, q users.RoleQuery) ([]users.RoleRecord, error) {
	return b.findRoles(ctx, q)
}

func (b *broken) ListRoles(ctx context.Context, app string, p users.Page) ([]users.RoleRecord, error) {
	return b.listRoles(ctx, app, p)
}

func (b *broken) CreateUser(ctx context.Context, n *users.NewUser) error { return b.createUser(ctx, n) }

func (b *broken) FindUsers(ctx context.Context, q users.UserQuery) ([]users.UserRecord, error) {
	return b.findUsers(ctx, q)
}

func (b *broken) SetUserStatus(ctx context.Context, u users.StatusUpdate) error {
	return b.setUserStatus(ctx, u)
}

func (b *broken) FindIdempotencyRecord(ctx context.Context, k users.IdempotencyKey) (users.IdempotencyRecord, error) {
	return b.findRecord(ctx, k)
}

func (b *broken) Purge(ctx context.Context, limit int) (int, error) {
	return b.purge(ctx, limit)
}

func (b *broken) Enqueue(ctx context.Context, r users.NotificationRecord, gap time.Duration) error {
	return b.enqueue(ctx, r, gap)
}

func (b *broken) Claim(ctx context.Context, c users.Claim) ([]users.NotificationRecord, error) {
	return b.claim(ctx, c)
}

func (b *broken) Settle(ctx context.Context, s users.Settlement) error { return b.settle(ctx, s) }

func (b *broken) ListNotifications(ctx context.Context, q users.NotificationQuery) ([]users.NotificationRecord, error) {
	return b.listNotifications(ctx, q)
}

func (b *broken) Retry(ctx context.Context, app, id string) error { return b.retry(ctx, app, id) }

func (b *broken) PurgeDiscarded(ctx context.Context, age time.Duration, limit int) (int, error) {
	return b.purgeDiscarded(ctx, age, limit)
}

func (b *broken) CreateToken(ctx context.Context, t users.TokenRecord) error {
	return b.createToken(ctx, t)
}

func (b *broken) FindToken(ctx context.Context, app string, sum [32]byte) (users.TokenRecord, error) {
	return b.findToken(ctx, app, sum)
}

func (b *broken) RedeemToken(ctx context.Context, r users.Redemption) error {
	return b.redeemToken(ctx, r)
}

func (b *broken) ListUsers(ctx context.Context, q users.UserListing) (users.UserList, error) {
	return b.listUsers(ctx, q)
}

func (b *broken) EditUser(ctx context.Context, e *users.UserEdit) error { return b.editUser(ctx, e) }

func (b *broken) DeleteUser(ctx context.Context, d users.UserDeletion) error {
	return b.deleteUser(ctx, d)
}

func (b *broken) UpdateRole(ctx context.Context, u users.RoleUpdate) error {
	return b.updateRole(ctx, u)
}

func (b *broken) DeleteRole(ctx context.Context, app, id string) error {
	return b.deleteRole(ctx, app, id)
}

func (b *broken) ListApplications(ctx context.Context, p users.Page) ([]users.Application, error) {
	return b.listApplications(ctx, p)
}

func (b *broken) UpdateApplication(ctx context.Context, a users.Application) error {
	return b.updateApplication(ctx, a)
}

func (b *broken) BeginLogin(ctx context.Context, a users.LoginAttempt) (int, error) {
	return b.beginLogin(ctx, a)
}

func (b *broken) EndLogin(ctx context.Context, l users.LoginEnd) error { return b.endLogin(ctx, l) }

func (b *broken) CreateUsers(ctx context.Context, ns []*users.NewUser) ([]error, error) {
	return b.createUsers(ctx, ns)
}

// given changes the argument of a method that returns an error alone.
func given[A any](f *func(context.Context, A) error, change func(*A)) {
	good := *f
	*f = func(ctx context.Context, a A) error {
		change(&a)
		return good(ctx, a)
	}
}

// asked changes the argument of a method that returns something.
func asked[A, R any](f *func(context.Context, A) (R, error), change func(*A)) {
	good := *f
	*f = func(ctx context.Context, a A) (R, error) {
		change(&a)
		return good(ctx, a)
	}
}

// answered changes the error of a method.
func answered[A any](f *func(context.Context, A) error, change func(A, error) error) {
	good := *f
	*f = func(ctx context.Context, a A) error { return change(a, good(ctx, a)) }
}

// found changes what a method returns without an error.
func found[A, R any](f *func(context.Context, A) (R, error), change func(A, R) R) {
	good := *f
	*f = func(ctx context.Context, a A) (R, error) {
		r, err := good(ctx, a)
		if err == nil {
			r = change(a, r)
		}
		return r, err
	}
}

// waiting reports whether a notification of a user's is pending.
func (b *broken) waiting(app, user, kind string) bool {
	rows, _ := b.Store.ListNotifications(context.Background(), users.NotificationQuery{
		ApplicationID: app, States: []string{users.StatePending},
	})
	return slices.ContainsFunc(rows, func(n users.NotificationRecord) bool { return n.UserID == user && n.Kind == kind })
}

// redeeming returns what changes each redemption.
func redeeming(change func(*users.Redemption)) func(*broken) {
	return func(b *broken) { given(&b.redeemToken, change) }
}

// creating returns what changes a copy of each new user.
func creating(change func(n *users.NewUser)) func(*broken) {
	return func(b *broken) {
		given(&b.createUser, func(n **users.NewUser) {
			m := **n
			change(&m)
			*n = &m
		})
	}
}

// eachUser returns what changes each user that is found.
func eachUser(change func(q users.UserQuery, u *users.UserRecord)) func(*broken) {
	return func(b *broken) {
		found(&b.findUsers, func(q users.UserQuery, all []users.UserRecord) []users.UserRecord {
			for i := range all {
				change(q, &all[i])
			}
			return all
		})
	}
}

func firstMember(err error) error {
	if c := (*users.ConflictError)(nil); errors.As(err, &c) {
		return &users.ConflictError{Members: c.Members[:1]}
	}
	return err
}

// except hides one error.
func except(hidden, err error) error {
	if errors.Is(err, hidden) {
		return nil
	}
	return err
}

// racy looks for a conflict first, and takes the one that comes up later for
// success.
func racy(members ...string) func(*broken) {
	return func(b *broken) {
		b.createUser = func(ctx context.Context, n *users.NewUser) error {
			found, err := b.Store.FindUsers(ctx, users.UserQuery{
				ApplicationID: n.ApplicationID,
				IDs:           []string{n.ID}, NameKeys: []string{n.NameKey}, EmailKeys: []string{n.EmailKey},
			})
			if err != nil || len(found) > 0 {
				return b.Store.CreateUser(ctx, n)
			}
			untilAllHaveLooked()
			err = b.Store.CreateUser(ctx, n)
			if c := (*users.ConflictError)(nil); errors.As(err, &c) && slices.Equal(c.Members, members) {
				return nil
			}
			return err
		}
	}
}

// untilAllHaveLooked lets the other racers go first: in the bubble of synctest
// time passes when all of them wait.
func untilAllHaveLooked() { <-time.After(time.Millisecond) }
