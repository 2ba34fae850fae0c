package storetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gousers/users"
)

func atomicityCases() []testCase {
	const oneTransaction = "CreateUser writes everything in n in one transaction: the user with its " +
		"credential, its role links, n.Idempotency, n.Notifications"
	return []testCase{
		{"OnCreateRuns", anyStore, inTxRuns,
			"then it runs n.OnCreate inside that transaction"},
		{"OnCreateErrorUndoesEverything", anyStore, inTxErrorUndoesEverything,
			"An error of n.OnCreate rolls everything back and is returned wrapped"},
		{"OnCreatePanicUndoesEverything", anyStore, inTxPanicUndoesEverything,
			"When it returns nil all of that is durable together; if it returns an error and knows that " +
				"the transaction was rolled back, nothing was stored"},
		{"NothingIsSeenBeforeTheEnd", anyStore, nothingIsSeenBeforeTheEnd, oneTransaction},
		{"LateFailureUndoesEverything", withOutbox, lateFailureUndoesEverything, oneTransaction},
		{"NotificationWithoutOutbox", anyStore, notificationWithoutOutbox,
			"A Store that keeps no outbox returns ErrUnsupported for an n with Notifications"},
	}
}

// errRefused is what the host's own code in OnCreate says.
var errRefused = errors.New("refused by the host")

// neverRun returns an OnCreate for what must be refused before it.
func (p *probe) neverRun() func(context.Context) error {
	return func(context.Context) error {
		p.errorf("OnCreate ran for a user that must be refused")
		return nil
	}
}

type ctxKey struct{}

// inTxRuns looks for OnCreate's context, which carries the host's values and, in a
// SQL store, the transaction.
func inTxRuns(p *probe) {
	n := p.full(p.app())
	ran := 0
	n.OnCreate = func(ctx context.Context) error {
		ran++
		if ctx.Value(ctxKey{}) != "value" {
			p.errorf("the context of OnCreate lacks the values of CreateUser's")
		}
		return ctx.Err()
	}
	p.must("CreateUser", p.CreateUser(context.WithValue(p.ctx, ctxKey{}, "value"), n))

	// A store repeats it only where another transaction is in its way.
	if ran != 1 {
		p.errorf("OnCreate ran %d times, want once", ran)
	}
	p.wantStored(n)
}

// inTxErrorUndoesEverything is how a host vetoes a user: its error comes back,
// so that it can tell its own.
func inTxErrorUndoesEverything(p *probe) {
	a := p.app()
	for _, n := range []*users.NewUser{p.user(a), p.full(a, p.role(a, "r"))} {
		n.OnCreate = func(context.Context) error { return errRefused }
		p.wantErr("CreateUser", p.CreateUser(p.ctx, n), errRefused)
		p.wantAbsent(n)
		p.wantCreatable(n)
	}
}

// inTxPanicUndoesEverything: a panic in the host's code may go on to the caller,
// or become an error. It must not commit, and must not hold the store.
func inTxPanicUndoesEverything(p *probe) {
	a := p.app()
	for _, n := range []*users.NewUser{p.user(a), p.full(a, p.role(a, "r"))} {
		n.OnCreate = func(context.Context) error { panic("in the host's code") }
		func() {
			defer func() { _ = recover() }()
			if err := p.CreateUser(p.ctx, n); err == nil {
				p.errorf("CreateUser whose OnCreate panicked: got no error")
			}
		}()
		p.wantAbsent(n)
		p.wantCreatable(n)
	}
}

// nothingIsSeenBeforeTheEnd reads while OnCreate holds the transaction open. A store
// may let readers wait; it must not show them half.
func nothingIsSeenBeforeTheEnd(p *probe) {
	a := p.app()
	n := p.full(a, p.role(a, "r"))
	var over atomic.Bool // OnCreate has ended: what is seen from then on is right
	var readers sync.WaitGroup
	n.OnCreate = func(context.Context) error {
		defer over.Store(true)
		ctx, cancel := context.WithTimeout(p.ctx, 50*time.Millisecond)
		defer cancel()

		done := make(chan struct{})
		readers.Go(func() {
			defer close(done)
			p.wantUnseen(ctx, n, &over)
		})
		select {
		case <-done:
		case <-ctx.Done():
		}
		return nil
	}
	p.must("CreateUser", p.CreateUser(p.ctx, n))
	readers.Wait()
	p.wantStored(n)
}

// wantUnseen notes what of n is seen before over.
func (p *probe) wantUnseen(ctx context.Context, n *users.NewUser, over *atomic.Bool) {
	unseen := func(what string, err error, seen bool) {
		if err == nil && seen && !over.Load() {
			p.errorf("%s is seen while OnCreate runs", what)
		}
	}

	found, err := p.FindUsers(ctx, users.UserQuery{
		ApplicationID: n.ApplicationID, IDs: []string{n.ID}, NameKeys: []string{n.NameKey},
	})
	unseen("the user", err, len(found) > 0)
	_, err = p.FindIdempotencyRecord(ctx, n.Idempotency.IdempotencyKey)
	unseen("the idempotency record", err, true)
	if p.outbox != nil {
		rows, err := p.outbox.ListNotifications(ctx, users.NotificationQuery{ApplicationID: n.ApplicationID})
		unseen("the notification", err, len(rows) > 0)
	}
}

// lateFailureUndoesEverything fails at what a store writes last: a notification
// whose id is taken. That is no conflict, for no member of the user is taken.
func lateFailureUndoesEverything(p *probe) {
	a := p.app()
	first := p.create(p.full(a))
	n := p.full(a, p.role(a, "r"))
	free := deepCopy(n)
	n.Notifications[0].ID = first.Notifications[0].ID

	const call = "CreateUser with the notification id of another"
	err := p.CreateUser(p.ctx, n)
	if err == nil {
		p.errorf("%s: got no error", call)
	}
	if conflict := (*users.ConflictError)(nil); errors.As(err, &conflict) {
		p.errorf("%s: got a conflict of %q, but no member of the user is in conflict", call, conflict.Members)
	}
	p.wantAbsent(n)
	p.wantStored(first)
	p.wantCreatable(free)
}

// notificationWithoutOutbox: to return nil and drop what can't be delivered would
// be the one answer that nobody notices.
func notificationWithoutOutbox(p *probe) {
	n := p.full(p.app())
	if p.outbox != nil {
		p.create(n)
		p.wantStored(n)
		return
	}

	n.Notifications = []users.NotificationRecord{p.notification(n, users.KindAccountCreated)}
	p.wantErr("CreateUser", p.CreateUser(p.ctx, n), users.ErrUnsupported)
	p.wantAbsent(n)
	n.Notifications = nil
	p.wantCreatable(n)
}
