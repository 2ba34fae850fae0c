package storetest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gousers/users"
)

func contextCases() []testCase {
	const clause = "when ctx is done before the write took effect, nothing is written and the error matches the context's"
	return []testCase{
		{"CancelledBefore", clause, 0, cancelledBefore},
		{"CancelledInside", clause, 0, cancelledInside},
		{"CancelledWhileWaiting", clause, 0, cancelledWhileWaiting},
	}
}

// cancelledBefore calls every method with contexts that are done.
func cancelledBefore(p *probe) {
	a := p.app()
	n := p.create(p.full(a))
	cancelled, cancel := context.WithCancel(p.ctx)
	cancel()
	late, cancel := context.WithDeadline(p.ctx, time.Now().Add(-time.Second))
	defer cancel()
	for _, ctx := range []context.Context{cancelled, late} {
		m := p.full(a)
		m.InTx = p.neverRun()
		app := users.Application{ID: p.id(), APIKey: p.id(), DateCreated: base}
		role := users.RoleRecord{Role: users.Role{ID: p.id(), Name: "late", DateCreated: base, DateUpdated: base}, NameKey: "late"}
		calls := map[string]func() error{
			"CreateApplication": func() error { return p.CreateApplication(ctx, app) },
			"FindApplication": func() error {
				_, err := p.FindApplication(ctx, users.ApplicationQuery{ID: a.ID})
				return err
			},
			"CreateRole": func() error { return p.CreateRole(ctx, a.ID, role) },
			"FindRoles":  func() error { _, err := p.FindRoles(ctx, users.RoleQuery{ApplicationID: a.ID}); return err },
			"CreateUser": func() error { return p.CreateUser(ctx, m) },
			"FindUsers": func() error {
				_, err := p.FindUsers(ctx, users.UserQuery{ApplicationID: a.ID, IDs: []string{n.ID}})
				return err
			},
			"UpdateUser": func() error {
				return p.UpdateUser(ctx, users.UserUpdate{ApplicationID: a.ID, ID: n.ID, IfVersion: 1, IsLockedOut: new(true), DateUpdated: base})
			},
			"FindReplay": func() error { _, err := p.FindReplay(ctx, n.Replay.ReplayKey); return err },
			"Purge":      func() error { _, err := p.Purge(ctx, n.Replay.Expires, 100); return err },
		}
		if box, ok := p.Store.(users.OutboxStore); ok {
			row := *n.Notification
			row.ID, row.Kind = p.id(), users.KindSetPassword
			calls["Enqueue"] = func() error { return box.Enqueue(ctx, row, 0) }
			calls["Claim"] = func() error {
				_, err := box.Claim(ctx, users.Claim{Worker: "w", Lease: time.Hour, Limit: 10})
				return err
			}
			calls["FindNotifications"] = func() error {
				_, err := box.FindNotifications(ctx, users.NotificationQuery{ApplicationID: a.ID})
				return err
			}
			calls["Settle"] = func() error {
				return box.Settle(ctx, users.Settlement{ApplicationID: a.ID, ID: n.Notification.ID, Worker: "w"})
			}
			calls["Retry"] = func() error { return box.Retry(ctx, a.ID, n.Notification.ID) }
		}
		if k, ok := p.Store.(users.TokenStore); ok {
			t := users.TokenRecord{ApplicationID: a.ID, UserID: n.ID, Sum: [32]byte{1}, Created: base, Expires: base}
			calls["CreateToken"] = func() error { return k.CreateToken(ctx, t) }
			calls["FindToken"] = func() error { _, err := k.FindToken(ctx, a.ID, t.Sum); return err }
			calls["RedeemToken"] = func() error { return k.RedeemToken(ctx, users.Redemption{TokenRecord: t, Now: base}) }
			defer func() {
				_, err := k.FindToken(p.ctx, a.ID, t.Sum)
				p.is("FindToken of what was cancelled", err, users.ErrNotFound)
			}()
		}
		for name, call := range calls {
			p.is(name+" with a context that is done", call(), ctx.Err())
		}
		_, err := p.FindApplication(p.ctx, users.ApplicationQuery{ID: app.ID})
		p.is("FindApplication of what was cancelled", err, users.ErrUnknownApplication)
		if got := p.roles(users.RoleQuery{ApplicationID: a.ID}); len(got) != 0 {
			p.errorf("the role whose creation was cancelled is there")
		}
		p.absent(m)
		p.stored(n)
		if outbox.lackedBy(p.Store) == "" {
			p.sameStrings("notifications", rowIDs(p.rows(a.ID)), []string{n.Notification.ID})
		}
	}
}

func cancelledInside(p *probe) {
	a := p.app()
	n := p.full(a, p.role(a, "r"))
	ctx, cancel := context.WithCancel(p.ctx)
	n.InTx = func(context.Context) error { cancel(); return nil }
	p.is("CreateUser whose context ended in InTx", p.CreateUser(ctx, n), context.Canceled)
	p.absent(n)
	p.creatable(n)
}

// cancelledWhileWaiting cancels a call that may be waiting for another one with
// the same keys.
func cancelledWhileWaiting(p *probe) {
	a := p.app()
	first, second := p.full(a), p.full(a)
	second.NameKey, second.EmailKey = first.NameKey, first.EmailKey
	inside, release := make(chan struct{}), make(chan struct{})
	enter := sync.OnceFunc(func() { close(inside) })
	first.InTx = func(context.Context) error {
		enter()
		<-release
		return nil
	}
	won, lost := make(chan error, 1), make(chan error, 1)
	go func() { won <- p.CreateUser(p.ctx, first) }()
	select {
	case <-inside:
	case err := <-won:
		p.fatalf("CreateUser ended without InTx: error %v", err)
	}
	ctx, cancel := context.WithTimeout(p.ctx, 50*time.Millisecond)
	defer cancel()
	go func() { lost <- p.CreateUser(ctx, second) }()
	<-ctx.Done()
	// A store may need the other call's end to notice.
	late := time.AfterFunc(200*time.Millisecond, func() { close(release) })
	err := <-lost
	if late.Stop() {
		close(release)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		p.errorf("CreateUser whose context ended while it waited: got error %v, want %v", err, context.DeadlineExceeded)
	}
	p.must("CreateUser for which it waited", <-won)
	p.stored(first)
	p.absent(second)
}
