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
	return []testCase{
		{"InTxRuns", "then it runs n.InTx inside that transaction", 0, inTxRuns},
		{"InTxErrorUndoesEverything", "an error of n.InTx undoes everything and is returned wrapped", 0, inTxErrorUndoesEverything},
		{"InTxPanicUndoesEverything", "on any error that it can vouch for none of it is durable; a panic of n.InTx leaves the store usable", 0, inTxPanicUndoesEverything},
		{"NothingIsSeenBeforeTheEnd", "CreateUser writes everything in n in one transaction", 0, nothingIsSeenBeforeTheEnd},
		{"LateFailureUndoesEverything", "CreateUser writes everything in n in one transaction: a notification whose id is taken leaves no user", outbox, lateFailureUndoesEverything},
		{"NotificationWithoutOutbox", "a Store that keeps no outbox answers ErrUnsupported to an n with a Notification", 0, notificationWithoutOutbox},
	}
}

// neverRun is an InTx for what must be refused before.
func (p *probe) neverRun() func(context.Context) error {
	return func(context.Context) error {
		p.errorf("InTx ran for a user that must be refused")
		return nil
	}
}

type ctxKey struct{}

func inTxRuns(p *probe) {
	n := p.full(p.app())
	ran := 0
	n.InTx = func(ctx context.Context) error {
		ran++
		if ctx.Value(ctxKey{}) != "value" {
			p.errorf("the context of InTx lacks the values of CreateUser's")
		}
		return ctx.Err()
	}
	p.must("CreateUser", p.CreateUser(context.WithValue(p.ctx, ctxKey{}, "value"), n))
	// A store repeats it only where another transaction is in its way.
	if ran != 1 {
		p.errorf("InTx ran %d times, want once", ran)
	}
	p.stored(n)
}

func inTxErrorUndoesEverything(p *probe) {
	a := p.app()
	refused := errors.New("refused by the host")
	for _, n := range []*users.NewUser{p.user(a), p.full(a, p.role(a, "r"))} {
		n.InTx = func(context.Context) error { return refused }
		p.is("CreateUser", p.CreateUser(p.ctx, n), refused)
		p.absent(n)
		p.creatable(n)
	}
}

func inTxPanicUndoesEverything(p *probe) {
	a := p.app()
	for _, n := range []*users.NewUser{p.user(a), p.full(a, p.role(a, "r"))} {
		n.InTx = func(context.Context) error { panic("in the host's code") }
		func() {
			// The panic may go on to the caller, or become an error.
			defer func() { _ = recover() }()
			if err := p.CreateUser(p.ctx, n); err == nil {
				p.errorf("CreateUser whose InTx panicked: got no error")
			}
		}()
		p.absent(n)
		p.creatable(n)
	}
}

func nothingIsSeenBeforeTheEnd(p *probe) {
	a := p.app()
	n := p.full(a, p.role(a, "r"))
	var over atomic.Bool // InTx has ended: what is seen from then on is right
	var readers sync.WaitGroup
	seen := func(what string, err error, any bool) {
		if err == nil && any && !over.Load() {
			p.errorf("%s is seen while InTx runs", what)
		}
	}
	n.InTx = func(context.Context) error {
		defer over.Store(true)
		// A store may let others wait; it must not show them half.
		ctx, cancel := context.WithTimeout(p.ctx, 50*time.Millisecond)
		defer cancel()
		done := make(chan struct{})
		readers.Go(func() {
			defer close(done)
			found, err := p.FindUsers(ctx, users.UserQuery{ApplicationID: a.ID, IDs: []string{n.ID}, NameKeys: []string{n.NameKey}})
			seen("the user", err, len(found) > 0)
			_, err = p.FindReplay(ctx, n.Replay.ReplayKey)
			seen("the idempotency record", err, true)
			if box, ok := p.Store.(users.OutboxStore); ok {
				rows, err := box.FindNotifications(ctx, users.NotificationQuery{ApplicationID: a.ID})
				seen("the notification", err, len(rows) > 0)
			}
		})
		select {
		case <-done:
		case <-ctx.Done():
		}
		return nil
	}
	p.must("CreateUser", p.CreateUser(p.ctx, n))
	readers.Wait()
	p.stored(n)
}

func lateFailureUndoesEverything(p *probe) {
	a := p.app()
	first := p.create(p.full(a))
	n := p.full(a, p.role(a, "r"))
	free := *n.Notification
	n.Notification.ID = first.Notification.ID
	err := p.CreateUser(p.ctx, n)
	if err == nil {
		p.errorf("CreateUser with the notification id of another: got no error")
	}
	var conflict *users.ConflictError
	if errors.As(err, &conflict) {
		p.errorf("CreateUser with the notification id of another: got a conflict of %q, but no member of the user clashes", conflict.Members)
	}
	p.absent(n)
	p.stored(first)
	n.Notification = &free
	p.creatable(n)
}

func notificationWithoutOutbox(p *probe) {
	n := p.full(p.app())
	if outbox.lackedBy(p.Store) == "" {
		p.create(n)
		p.stored(n)
		return
	}
	n.Notification = p.notification(n)
	p.is("CreateUser", p.CreateUser(p.ctx, n), users.ErrUnsupported)
	p.absent(n)
	n.Notification = nil
	p.creatable(n)
}
