package storetest

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/gousers/users"
)

func contextCases() []testCase {
	const clause = "when ctx is done before the write took effect, nothing is written and the error " +
		"matches the context's"
	return []testCase{
		{"CanceledBefore", anyStore, canceledBefore, clause},
		{"CanceledInside", anyStore, canceledInside, clause},
		{"CanceledWhileWaiting", anyStore, canceledWhileWaiting, clause},
	}
}

// canceledBefore calls every method with contexts that are done. Reads are no
// exception: who asks no longer waits.
func canceledBefore(p *probe) {
	a := p.app()
	role := users.RoleUpdate{ApplicationID: a.ID, ID: p.role(a, "r").ID, Description: new("late"), DateUpdated: base}
	n := p.create(p.full(a))
	canceled, cancel := context.WithCancel(p.ctx)
	cancel()
	late, cancel := context.WithDeadline(p.ctx, time.Now().Add(-time.Second))
	defer cancel()

	for _, ctx := range []context.Context{canceled, late} {
		d := p.doomed(n)
		calls := p.storeCalls(ctx, n, d)
		maps.Copy(calls, p.outboxCalls(ctx, n, d))
		maps.Copy(calls, p.tokenCalls(ctx, d))
		maps.Copy(calls, p.userCalls(ctx, n))
		maps.Copy(calls, p.roleEditorCalls(ctx, role))
		maps.Copy(calls, p.applicationEditorCalls(ctx, a))
		maps.Copy(calls, p.loginCalls(ctx, n))
		for name, call := range calls {
			p.wantErr(name+" with a context that is done", call(), ctx.Err())
		}

		p.wantNothingOf(d)
		p.wantStored(n)
		p.wantApplication("application", a)
		if p.outbox != nil {
			want := []string{n.Notifications[0].ID}
			p.wantStrings("notifications", rowIDs(p.rows(n.ApplicationID)), want)
		}
	}
}

// doomed is what the calls of canceledBefore would write.
type doomed struct {
	app   users.Application
	role  users.RoleRecord
	user  *users.NewUser
	row   users.NotificationRecord
	token users.TokenRecord
}

// doomed returns what belongs to the application of n or to n.
func (p *probe) doomed(n *users.NewUser) doomed {
	d := doomed{
		app:   users.Application{ID: p.id(), APIKey: p.id(), DateCreated: base},
		role:  p.newRole("late"),
		user:  p.full(users.Application{ID: n.ApplicationID}),
		row:   p.notification(n, users.KindSetPassword),
		token: newToken(n, 1, time.Hour),
	}
	d.user.OnCreate = p.neverRun()
	return d
}

func (p *probe) storeCalls(ctx context.Context, n *users.NewUser, d doomed) map[string]func() error {
	app := n.ApplicationID
	return map[string]func() error{
		"CreateApplication": func() error { return p.CreateApplication(ctx, d.app) },
		"FindApplication": func() error {
			_, err := p.FindApplication(ctx, users.ApplicationQuery{ID: app})
			return err
		},
		"CreateRole": func() error { return p.CreateRole(ctx, app, d.role) },
		"FindRoles": func() error {
			_, err := p.FindRoles(ctx, users.RoleQuery{ApplicationID: app, NameKeys: []string{"r"}})
			return err
		},
		"ListRoles": func() error {
			_, err := p.ListRoles(ctx, app, users.Page{})
			return err
		},
		"CreateUser": func() error { return p.CreateUser(ctx, d.user) },
		"FindUsers": func() error {
			_, err := p.FindUsers(ctx, users.UserQuery{ApplicationID: app, IDs: []string{n.ID}})
			return err
		},
		"SetUserStatus": func() error {
			return p.SetUserStatus(ctx, users.StatusUpdate{
				ApplicationID: app, ID: n.ID, IfVersion: 1, IsLockedOut: new(true), DateUpdated: base,
			})
		},
		"FindIdempotencyRecord": func() error {
			_, err := p.FindIdempotencyRecord(ctx, n.Idempotency.IdempotencyKey)
			return err
		},
		"Purge": func() error {
			_, err := p.Purge(ctx, 100)
			return err
		},
	}
}

func (p *probe) outboxCalls(ctx context.Context, n *users.NewUser, d doomed) map[string]func() error {
	if p.outbox == nil {
		return nil
	}
	row := n.Notifications[0]
	return map[string]func() error{
		"Enqueue": func() error { return p.outbox.Enqueue(ctx, d.row, 0) },
		"Claim": func() error {
			_, err := p.outbox.Claim(ctx, users.Claim{Worker: "w", Lease: time.Hour, Limit: 10})
			return err
		},
		"Settle": func() error {
			return p.outbox.Settle(ctx, users.Settlement{
				ApplicationID: row.ApplicationID, ID: row.ID, Worker: "w", Outcome: users.OutcomeDelivered,
			})
		},
		"ListNotifications": func() error {
			_, err := p.outbox.ListNotifications(ctx, users.NotificationQuery{ApplicationID: row.ApplicationID})
			return err
		},
		"Retry": func() error { return p.outbox.Retry(ctx, row.ApplicationID, row.ID) },
		"PurgeDiscarded": func() error {
			_, err := p.outbox.PurgeDiscarded(ctx, 0, 100)
			return err
		},
	}
}

func (p *probe) tokenCalls(ctx context.Context, d doomed) map[string]func() error {
	if p.tokens == nil {
		return nil
	}
	return map[string]func() error{
		"CreateToken": func() error { return p.tokens.CreateToken(ctx, d.token) },
		"FindToken": func() error {
			_, err := p.tokens.FindToken(ctx, d.token.ApplicationID, d.token.Sum)
			return err
		},
		"RedeemToken": func() error { return p.tokens.RedeemToken(ctx, redemption(d.token, "", base)) },
	}
}

func (p *probe) userCalls(ctx context.Context, n *users.NewUser) map[string]func() error {
	calls := map[string]func() error{}
	if p.lister != nil {
		calls["ListUsers"] = func() error {
			_, err := p.lister.ListUsers(ctx, users.UserListing{ApplicationID: n.ApplicationID, Limit: 1})
			return err
		}
	}
	if p.editor != nil {
		calls["EditUser"] = func() error {
			return p.editor.EditUser(ctx, editOf(n.UserRecord, func(e *users.UserEdit) { e.Name = "late" }))
		}
		calls["DeleteUser"] = func() error { return p.editor.DeleteUser(ctx, deletion(n.UserRecord)) }
	}
	return calls
}

func (p *probe) roleEditorCalls(ctx context.Context, u users.RoleUpdate) map[string]func() error {
	if p.roleEditor == nil {
		return nil
	}
	return map[string]func() error{
		"UpdateRole": func() error { return p.roleEditor.UpdateRole(ctx, u) },
		"DeleteRole": func() error { return p.roleEditor.DeleteRole(ctx, u.ApplicationID, u.ID) },
	}
}

func (p *probe) applicationEditorCalls(ctx context.Context, a users.Application) map[string]func() error {
	if p.applicationEditor == nil {
		return nil
	}
	a.Name = "late"
	return map[string]func() error{
		"ListApplications": func() error {
			_, err := p.applicationEditor.ListApplications(ctx, users.Page{})
			return err
		},
		"UpdateApplication": func() error { return p.applicationEditor.UpdateApplication(ctx, a) },
	}
}

func (p *probe) loginCalls(ctx context.Context, n *users.NewUser) map[string]func() error {
	if p.logins == nil {
		return nil
	}
	return map[string]func() error{
		"BeginLogin": func() error {
			_, err := p.logins.BeginLogin(ctx, attempt(n.UserRecord))
			return err
		},
		"EndLogin": func() error { return p.logins.EndLogin(ctx, loginEnd(n.UserRecord, base.Add(time.Hour))) },
	}
}

// wantNothingOf notes what of d was written.
func (p *probe) wantNothingOf(d doomed) {
	_, err := p.FindApplication(p.ctx, users.ApplicationQuery{ID: d.app.ID})
	p.wantErr("FindApplication of what was canceled", err, users.ErrUnknownApplication)

	if got := p.listRoles(d.user.ApplicationID, users.Page{}); len(got) != 1 || got[0].Description == "late" {
		p.errorf("a role was created, changed or deleted, which was canceled")
	}
	p.wantAbsent(d.user)
	if p.tokens != nil {
		p.wantNoToken(d.token)
	}
}

// canceledInside: the host gives up in its own code, and its OnCreate returns nil
// all the same. A store that commits then has written for nobody.
func canceledInside(p *probe) {
	a := p.app()
	n := p.full(a, p.role(a, "r"))
	ctx, cancel := context.WithCancel(p.ctx)
	n.OnCreate = func(context.Context) error {
		cancel()
		return nil
	}
	p.wantErr("CreateUser whose context ended in OnCreate", p.CreateUser(ctx, n), context.Canceled)
	p.wantAbsent(n)
	p.wantCreatable(n)
}

// canceledWhileWaiting cancels a call that may be waiting for another one with
// the same keys: for its lock, or for its row.
func canceledWhileWaiting(p *probe) {
	a := p.app()
	first, second := p.full(a), p.full(a)
	second.NameKey, second.EmailKey = first.NameKey, first.EmailKey
	release, won := p.hold(first, nil)

	ctx, cancel := context.WithTimeout(p.ctx, 50*time.Millisecond)
	defer cancel()
	lost := make(chan error, 1)
	go func() { lost <- p.CreateUser(ctx, second) }()
	<-ctx.Done()

	// A store may need the other call's end to notice.
	late := time.AfterFunc(200*time.Millisecond, release)
	err := <-lost
	late.Stop()
	release()

	if !errors.Is(err, context.DeadlineExceeded) {
		p.errorf("CreateUser whose context ended while it waited: got error %v, want %v",
			err, context.DeadlineExceeded)
	}
	p.must("CreateUser for which it waited", <-won)
	p.wantStored(first)
	p.wantAbsent(second)
}

// hold begins to create n and returns when its OnCreate runs. OnCreate returns result
// after release, which may be called more than once; ended then has the outcome.
func (p *probe) hold(n *users.NewUser, result error) (release func(), ended <-chan error) {
	inside, released := make(chan struct{}), make(chan struct{})
	enter := sync.OnceFunc(func() { close(inside) })
	holding := *n
	holding.OnCreate = func(context.Context) error {
		enter() // once, though a store may retry
		<-released
		return result
	}

	outcome := make(chan error, 1)
	go func() { outcome <- p.CreateUser(p.ctx, &holding) }()
	select {
	case <-inside:
	case err := <-outcome:
		p.fatalf("CreateUser ended without OnCreate: error %v", err)
	}
	return sync.OnceFunc(func() { close(released) }), outcome
}
