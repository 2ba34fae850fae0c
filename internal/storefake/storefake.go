// Package storefake lets a test come between a Service and its store.
package storefake

import (
	"context"

	"github.com/gousers/users"
)

// Method names a method of a store.
type Method string

// The methods of users.Store and of its capabilities.
const (
	CreateApplication     Method = "CreateApplication"
	FindApplication       Method = "FindApplication"
	CreateRole            Method = "CreateRole"
	FindRoles             Method = "FindRoles"
	ListRoles             Method = "ListRoles"
	CreateUser            Method = "CreateUser"
	FindUsers             Method = "FindUsers"
	SetUserStatus         Method = "SetUserStatus"
	FindIdempotencyRecord Method = "FindIdempotencyRecord"
	Purge                 Method = "Purge"

	Enqueue           Method = "Enqueue"
	Claim             Method = "Claim"
	Settle            Method = "Settle"
	ListNotifications Method = "ListNotifications"
	Retry             Method = "Retry"
	PurgeDiscarded    Method = "PurgeDiscarded"

	CreateToken Method = "CreateToken"
	FindToken   Method = "FindToken"
	RedeemToken Method = "RedeemToken"

	ListUsers         Method = "ListUsers"
	EditUser          Method = "EditUser"
	DeleteUser        Method = "DeleteUser"
	UpdateRole        Method = "UpdateRole"
	DeleteRole        Method = "DeleteRole"
	ListApplications  Method = "ListApplications"
	UpdateApplication Method = "UpdateApplication"
	BeginLogin        Method = "BeginLogin"
	EndLogin          Method = "EndLogin"
	CreateUsers       Method = "CreateUsers"
)

// Interceptor is called for each call of a method: arg is the argument that says
// the most, do runs the call. What it returns is what the caller gets; with an
// error the caller gets no result beside it.
type Interceptor func(ctx context.Context, m Method, arg any, do func() error) error

// Around returns s with f around each of its methods. It has the capabilities
// that s has, and f is around these too. Each is a wrapper of its own that unwraps to
// the next, as StoreAs follows them; the last does not unwrap to s.
func Around(s users.Store, f Interceptor) users.Store {
	all := users.Store(base{s, f})
	all = with(all, s, func(below users.Store, c users.OutboxStore) users.Store { return outboxStore{below, c, f} })
	all = with(all, s, func(below users.Store, c users.TokenStore) users.Store { return tokenStore{below, c, f} })
	all = with(all, s, func(below users.Store, c users.UserLister) users.Store { return userLister{below, c, f} })
	all = with(all, s, func(below users.Store, c users.UserEditor) users.Store { return userEditor{below, c, f} })
	all = with(all, s, func(below users.Store, c users.RoleEditor) users.Store { return roleEditor{below, c, f} })
	all = with(all, s, func(below users.Store, c users.ApplicationEditor) users.Store { return applicationEditor{below, c, f} })
	all = with(all, s, func(below users.Store, c users.LoginStore) users.Store { return loginStore{below, c, f} })
	all = with(all, s, func(below users.Store, c users.BatchStore) users.Store { return batchStore{below, c, f} })
	return all
}

// with returns below inside what wrap makes of the capability C of s, if s has it.
func with[C any](below, s users.Store, wrap func(below users.Store, c C) users.Store) users.Store {
	if c, ok := users.StoreAs[C](s); ok {
		return wrap(below, c)
	}
	return below
}

// Failing returns s with err as the outcome of the methods ms, which do not run.
func Failing(s users.Store, err error, ms ...Method) users.Store {
	return Around(s, func(_ context.Context, m Method, _ any, do func() error) error {
		for _, failing := range ms {
			if m == failing {
				return err
			}
		}
		return do()
	})
}

// Without returns s without its capabilities. As every Store without an outbox it
// refuses users with notifications.
func Without(s users.Store) users.Store { return plain{s} }

type plain struct{ users.Store }

func (p plain) CreateUser(ctx context.Context, n *users.NewUser) error {
	if len(n.Notifications) > 0 {
		return users.ErrUnsupported
	}
	return p.Store.CreateUser(ctx, n)
}

// Wrapped returns s inside a wrapper of the kind that hosts write, for logging or
// metrics: it has no capability of its own, and a method Unwrap.
func Wrapped(s users.Store) users.Store { return wrapper{s} }

type wrapper struct{ users.Store }

func (w wrapper) Unwrap() users.Store { return w.Store }

// call runs do through f, for methods with a result.
func call[T any](f Interceptor, ctx context.Context, m Method, arg any, do func() (T, error)) (T, error) {
	var result T
	err := f(ctx, m, arg, func() (err error) {
		result, err = do()
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	return result, nil
}

type base struct {
	s users.Store
	f Interceptor
}

func (b base) CreateApplication(ctx context.Context, a users.Application) error {
	return b.f(ctx, CreateApplication, a, func() error { return b.s.CreateApplication(ctx, a) })
}

func (b base) FindApplication(ctx context.Context, q users.ApplicationQuery) (users.Application, error) {
	return call(b.f, ctx, FindApplication, q, func() (users.Application, error) { return b.s.FindApplication(ctx, q) })
}

func (b base) CreateRole(ctx context.Context, applicationID string, r users.RoleRecord) error {
	return b.f(ctx, CreateRole, r, func() error { return b.s.CreateRole(ctx, applicationID, r) })
}

func (b base) FindRoles(ctx context.Context, q users.RoleQuery) ([]users.RoleRecord, error) {
	return call(b.f, ctx, FindRoles, q, func() ([]users.RoleRecord, error) { return b.s.FindRoles(ctx, q) })
}

func (b base) ListRoles(ctx context.Context, applicationID string, p users.Page) ([]users.RoleRecord, error) {
	return call(b.f, ctx, ListRoles, p, func() ([]users.RoleRecord, error) { return b.s.ListRoles(ctx, applicationID, p) })
}

func (b base) CreateUser(ctx context.Context, n *users.NewUser) error {
	return b.f(ctx, CreateUser, n, func() error { return b.s.CreateUser(ctx, n) })
}

func (b base) FindUsers(ctx context.Context, q users.UserQuery) ([]users.UserRecord, error) {
	return call(b.f, ctx, FindUsers, q, func() ([]users.UserRecord, error) { return b.s.FindUsers(ctx, q) })
}

func (b base) SetUserStatus(ctx context.Context, u users.StatusUpdate) error {
	return b.f(ctx, SetUserStatus, u, func() error { return b.s.SetUserStatus(ctx, u) })
}

func (b base) FindIdempotencyRecord(ctx context.Context, k users.IdempotencyKey) (users.IdempotencyRecord, error) {
	return call(b.f, ctx, FindIdempotencyRecord, k, func() (users.IdempotencyRecord, error) { return b.s.FindIdempotencyRecord(ctx, k) })
}

func (b base) Purge(ctx context.Context, limit int) (int, error) {
	return call(b.f, ctx, Purge, limit, func() (int, error) { return b.s.Purge(ctx, limit) })
}
