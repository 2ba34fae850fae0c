// Package storefake lets a test come between a Service and its store.
package storefake

import (
	"context"
	"time"

	"github.com/gousers/users"
)

// Method names a method of a store.
type Method string

// The methods of users.Store, users.OutboxStore and users.TokenStore.
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
)

// Interceptor is called for each call of a method: arg is the argument that says
// the most, do runs the call. What it returns is what the caller gets; with an
// error the caller gets no result beside it.
type Interceptor func(ctx context.Context, m Method, arg any, do func() error) error

// Around returns s with f around each of its methods. It has the capabilities
// that s has, and f is around these too; it does not unwrap.
func Around(s users.Store, f Interceptor) users.Store {
	b := base{s, f}
	outbox, hasOutbox := users.StoreAs[users.OutboxStore](s)
	tokens, hasTokens := users.StoreAs[users.TokenStore](s)
	switch {
	case hasOutbox && hasTokens:
		return struct {
			base
			outboxStore
			tokenStore
		}{b, outboxStore{outbox, f}, tokenStore{tokens, f}}
	case hasOutbox:
		return struct {
			base
			outboxStore
		}{b, outboxStore{outbox, f}}
	case hasTokens:
		return struct {
			base
			tokenStore
		}{b, tokenStore{tokens, f}}
	}
	return b
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

type outboxStore struct {
	s users.OutboxStore
	f Interceptor
}

func (o outboxStore) Enqueue(ctx context.Context, r users.NotificationRecord, minGap time.Duration) error {
	return o.f(ctx, Enqueue, r, func() error { return o.s.Enqueue(ctx, r, minGap) })
}

func (o outboxStore) Claim(ctx context.Context, c users.Claim) ([]users.NotificationRecord, error) {
	return call(o.f, ctx, Claim, c, func() ([]users.NotificationRecord, error) { return o.s.Claim(ctx, c) })
}

func (o outboxStore) Settle(ctx context.Context, s users.Settlement) error {
	return o.f(ctx, Settle, s, func() error { return o.s.Settle(ctx, s) })
}

func (o outboxStore) ListNotifications(ctx context.Context, q users.NotificationQuery) ([]users.NotificationRecord, error) {
	return call(o.f, ctx, ListNotifications, q, func() ([]users.NotificationRecord, error) { return o.s.ListNotifications(ctx, q) })
}

func (o outboxStore) Retry(ctx context.Context, applicationID, id string) error {
	return o.f(ctx, Retry, id, func() error { return o.s.Retry(ctx, applicationID, id) })
}

func (o outboxStore) PurgeDiscarded(ctx context.Context, age time.Duration, limit int) (int, error) {
	return call(o.f, ctx, PurgeDiscarded, age, func() (int, error) { return o.s.PurgeDiscarded(ctx, age, limit) })
}

type tokenStore struct {
	s users.TokenStore
	f Interceptor
}

func (t tokenStore) CreateToken(ctx context.Context, r users.TokenRecord) error {
	return t.f(ctx, CreateToken, r, func() error { return t.s.CreateToken(ctx, r) })
}

func (t tokenStore) FindToken(ctx context.Context, applicationID string, sum [32]byte) (users.TokenRecord, error) {
	return call(t.f, ctx, FindToken, sum, func() (users.TokenRecord, error) { return t.s.FindToken(ctx, applicationID, sum) })
}

func (t tokenStore) RedeemToken(ctx context.Context, r users.Redemption) error {
	return t.f(ctx, RedeemToken, r, func() error { return t.s.RedeemToken(ctx, r) })
}
