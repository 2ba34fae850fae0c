package storefake

import (
	"context"
	"time"

	"github.com/gousers/users"
)

type outboxStore struct {
	users.Store
	c users.OutboxStore
	f Interceptor
}

func (o outboxStore) Unwrap() users.Store { return o.Store }

func (o outboxStore) Enqueue(ctx context.Context, r users.NotificationRecord, minGap time.Duration) error {
	return o.f(ctx, Enqueue, r, func() error { return o.c.Enqueue(ctx, r, minGap) })
}

func (o outboxStore) Claim(ctx context.Context, c users.Claim) ([]users.NotificationRecord, error) {
	return call(o.f, ctx, Claim, c, func() ([]users.NotificationRecord, error) { return o.c.Claim(ctx, c) })
}

func (o outboxStore) Settle(ctx context.Context, s users.Settlement) error {
	return o.f(ctx, Settle, s, func() error { return o.c.Settle(ctx, s) })
}

func (o outboxStore) ListNotifications(ctx context.Context, q users.NotificationQuery) ([]users.NotificationRecord, error) {
	return call(o.f, ctx, ListNotifications, q, func() ([]users.NotificationRecord, error) { return o.c.ListNotifications(ctx, q) })
}

func (o outboxStore) Retry(ctx context.Context, applicationID, id string) error {
	return o.f(ctx, Retry, id, func() error { return o.c.Retry(ctx, applicationID, id) })
}

func (o outboxStore) PurgeDiscarded(ctx context.Context, age time.Duration, limit int) (int, error) {
	return call(o.f, ctx, PurgeDiscarded, age, func() (int, error) { return o.c.PurgeDiscarded(ctx, age, limit) })
}

type tokenStore struct {
	users.Store
	c users.TokenStore
	f Interceptor
}

func (t tokenStore) Unwrap() users.Store { return t.Store }

func (t tokenStore) CreateToken(ctx context.Context, r users.TokenRecord) error {
	return t.f(ctx, CreateToken, r, func() error { return t.c.CreateToken(ctx, r) })
}

func (t tokenStore) FindToken(ctx context.Context, applicationID string, sum [32]byte) (users.TokenRecord, error) {
	return call(t.f, ctx, FindToken, sum, func() (users.TokenRecord, error) { return t.c.FindToken(ctx, applicationID, sum) })
}

func (t tokenStore) RedeemToken(ctx context.Context, r users.Redemption) error {
	return t.f(ctx, RedeemToken, r, func() error { return t.c.RedeemToken(ctx, r) })
}

type userLister struct {
	users.Store
	c users.UserLister
	f Interceptor
}

func (l userLister) Unwrap() users.Store { return l.Store }

func (l userLister) ListUsers(ctx context.Context, q users.UserListing) (users.UserList, error) {
	return call(l.f, ctx, ListUsers, q, func() (users.UserList, error) { return l.c.ListUsers(ctx, q) })
}

type userEditor struct {
	users.Store
	c users.UserEditor
	f Interceptor
}

func (e userEditor) Unwrap() users.Store { return e.Store }

func (e userEditor) EditUser(ctx context.Context, u *users.UserEdit) error {
	return e.f(ctx, EditUser, u, func() error { return e.c.EditUser(ctx, u) })
}

func (e userEditor) DeleteUser(ctx context.Context, d users.UserDeletion) error {
	return e.f(ctx, DeleteUser, d, func() error { return e.c.DeleteUser(ctx, d) })
}

type roleEditor struct {
	users.Store
	c users.RoleEditor
	f Interceptor
}

func (e roleEditor) Unwrap() users.Store { return e.Store }

func (e roleEditor) UpdateRole(ctx context.Context, u users.RoleUpdate) error {
	return e.f(ctx, UpdateRole, u, func() error { return e.c.UpdateRole(ctx, u) })
}

func (e roleEditor) DeleteRole(ctx context.Context, applicationID, id string) error {
	return e.f(ctx, DeleteRole, id, func() error { return e.c.DeleteRole(ctx, applicationID, id) })
}

type applicationEditor struct {
	users.Store
	c users.ApplicationEditor
	f Interceptor
}

func (e applicationEditor) Unwrap() users.Store { return e.Store }

func (e applicationEditor) ListApplications(ctx context.Context, p users.Page) ([]users.Application, error) {
	return call(e.f, ctx, ListApplications, p, func() ([]users.Application, error) { return e.c.ListApplications(ctx, p) })
}

func (e applicationEditor) UpdateApplication(ctx context.Context, a users.Application) error {
	return e.f(ctx, UpdateApplication, a, func() error { return e.c.UpdateApplication(ctx, a) })
}

type loginStore struct {
	users.Store
	c users.LoginStore
	f Interceptor
}

func (l loginStore) Unwrap() users.Store { return l.Store }

func (l loginStore) BeginLogin(ctx context.Context, a users.LoginAttempt) (int, error) {
	return call(l.f, ctx, BeginLogin, a, func() (int, error) { return l.c.BeginLogin(ctx, a) })
}

func (l loginStore) EndLogin(ctx context.Context, e users.LoginEnd) error {
	return l.f(ctx, EndLogin, e, func() error { return l.c.EndLogin(ctx, e) })
}

type batchStore struct {
	users.Store
	c users.BatchStore
	f Interceptor
}

func (b batchStore) Unwrap() users.Store { return b.Store }

func (b batchStore) CreateUsers(ctx context.Context, ns []*users.NewUser) ([]error, error) {
	return call(b.f, ctx, CreateUsers, ns, func() ([]error, error) { return b.c.CreateUsers(ctx, ns) })
}
