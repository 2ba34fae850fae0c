package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/gousers/users"
)

func deleteCases() []testCase {
	const takes = "DeleteUser deletes the user with its roles, its tokens and its notifications, in one transaction"
	return []testCase{
		{"DeleteTakesAll", withEditor, deleteTakesAll, takes},
		{"DeleteFreesKeys", withEditor, deleteFreesKeys,
			"its keys are free from then on"},
		{"DeleteKeepsIdempotencyRecords", withEditor, deleteKeepsIdempotencyRecords,
			"Idempotency records stay"},
		{"DeleteOfNobody", withEditor, deleteOfNobody,
			"Idempotency records stay. A user that does not exist is ErrNotFound"},
		{"DeleteStale", withEditor, deleteStale,
			"another version than d.IfVersion is ErrStale"},
		{"RacingDeletes", withEditor, racingDeletes,
			takes + " … and nothing that is under way for it adds to what is deleted"},
	}
}

// delete deletes u as it is.
func (p *probe) delete(u users.UserRecord) {
	p.must("DeleteUser", p.editor.DeleteUser(p.ctx, deletion(u)))
}

func deletion(u users.UserRecord) users.UserDeletion {
	return users.UserDeletion{ApplicationID: u.ApplicationID, ID: u.ID, IfVersion: u.Version}
}

// deleteTakesAll deletes a user with everything that one can have, notifications in each
// state too, one of which was delivered, and creates one with the same id, which starts with nothing. Others keep
// what they have.
func deleteTakesAll(p *probe) {
	a := p.app()
	r := p.role(a, "r")
	n, other := p.create(p.full(a, r)), p.create(p.full(a, r))
	twin := p.user(p.app())
	twin.ID = n.ID
	p.create(twin)
	what := p.belongings(n)
	kept := p.belongings(other)

	p.delete(n.UserRecord)
	p.wantGone(n)
	p.wantKeys(a.ID, n.NameKey, n.EmailKey)
	p.wantNone(what)
	p.wantUser("another user", other.UserRecord)
	p.wantStored(twin)
	for _, t := range kept.tokens {
		p.wantToken(t)
	}
	if p.outbox != nil {
		p.wantStrings("notifications of another user", rowIDs(p.rowsOf(other)), rowIDs(kept.rows))
		p.wantErr("Settle of what was claimed", p.settle(what.rows[0], "w", users.Settlement{Outcome: users.OutcomeDelivered}), users.ErrStale)
		p.wantErr("Retry of what was discarded", p.outbox.Retry(p.ctx, a.ID, what.rows[1].ID), users.ErrNotFound)
	}

	again := p.user(a)
	again.ID, again.NameKey, again.EmailKey = n.ID, n.NameKey, n.EmailKey
	p.create(again)
	p.wantStored(again)
	p.wantNone(what)
	if p.outbox != nil {
		row := p.recovery(again)
		p.must("Enqueue", p.outbox.Enqueue(p.ctx, row, time.Hour))
		p.wantStrings("notifications of the new user", rowIDs(p.rowsOf(again)), []string{row.ID})
	}
}

// belongings is what a user has in other places than its own row.
type belongings struct {
	user   *users.NewUser
	tokens []users.TokenRecord
	rows   []users.NotificationRecord // claimed, discarded and pending
}

// belongings gives n some.
func (p *probe) belongings(n *users.NewUser) belongings {
	b := belongings{user: n}
	if p.tokens != nil {
		for i := range 3 {
			t := newToken(n, byte(i), time.Hour)
			copy(t.Sum[:], p.id())
			p.must("CreateToken", p.tokens.CreateToken(p.ctx, t))
			b.tokens = append(b.tokens, t)
		}
	}
	if p.outbox != nil {
		delivered := p.recovery(n)
		p.must("Enqueue", p.outbox.Enqueue(p.ctx, delivered, 0))
		p.claimOf(users.Claim{Limit: 10})
		p.end(delivered, "w", users.OutcomeDelivered)

		claimed, discarded, pending := n.Notifications[0], p.recovery(n), p.notification(n, users.KindPasswordChanged)
		p.must("Enqueue", p.outbox.Enqueue(p.ctx, discarded, 0))
		p.claimOf(users.Claim{Limit: 10})
		p.end(discarded, "w", users.OutcomeDiscarded)
		p.must("Enqueue", p.outbox.Enqueue(p.ctx, pending, 0))
		b.rows = []users.NotificationRecord{claimed, discarded, pending}
	}
	return b
}

// wantNone notes what is there of b.
func (p *probe) wantNone(b belongings) {
	for _, t := range b.tokens {
		p.wantNoToken(t)
		p.wantBadToken("of a deleted user", redemption(t, "$stolen", base))
	}
	if p.outbox == nil {
		return
	}
	for _, r := range p.rowsOf(b.user) {
		p.errorf("a notification of the deleted user is there: %s, %s", r.Kind, r.State)
	}
	for _, r := range p.claimOf(users.Claim{Limit: 10}) {
		if r.UserID == b.user.ID {
			p.errorf("Claim: got a notification of the deleted user: %s", r.Kind)
		}
	}
}

// wantGone notes that the user of n is there.
func (p *probe) wantGone(n *users.NewUser) {
	for _, u := range p.users(users.UserQuery{ApplicationID: n.ApplicationID, IDs: []string{n.ID}}) {
		p.errorf("the deleted user is there, of version %d", u.Version)
	}
}

// deleteFreesKeys creates the same user again, and another with its keys.
func deleteFreesKeys(p *probe) {
	a := p.app()
	n := p.create(p.full(a, p.role(a, "r")))
	n.Idempotency, n.Notifications = nil, nil
	p.delete(n.UserRecord)
	p.wantCreatable(n)
	p.delete(n.UserRecord)

	other := p.user(a)
	other.NameKey, other.EmailKey = n.NameKey, n.EmailKey
	p.create(other)
	p.wantStored(other)
	p.wantKeys(a.ID, n.NameKey, n.EmailKey, other.ID)

	third := p.create(p.user(a))
	p.delete(other.UserRecord)
	u := p.edit(third.UserRecord, func(e *users.UserEdit) { e.NameKey, e.EmailKey = n.NameKey, n.EmailKey })
	p.wantUser("an older user with the free keys", u)
}

// deleteKeepsIdempotencyRecords: a client that repeats the request that made the user
// must not bring it back.
func deleteKeepsIdempotencyRecords(p *probe) {
	a := p.app()
	n := p.create(p.full(a))
	p.delete(n.UserRecord)
	got, err := p.FindIdempotencyRecord(p.ctx, n.Idempotency.IdempotencyKey)
	p.must("FindIdempotencyRecord", err)
	p.wantEqual("idempotency record", *n.Idempotency, got)

	again := p.user(a)
	again.Idempotency = p.record(again, n.Idempotency.Key)
	p.wantKeyUsed("CreateUser with its key", p.CreateUser(p.ctx, again))
	p.wantAbsent(again)
}

// deleteOfNobody is told apart from a stale version.
func deleteOfNobody(p *probe) {
	n := p.create(p.full(p.app()))
	for what, d := range map[string]users.UserDeletion{
		"nobody":                          {ApplicationID: n.ApplicationID, ID: p.id()},
		"a user of another application":   {ApplicationID: p.app().ID, ID: n.ID},
		"a user of no application at all": {ApplicationID: p.id(), ID: n.ID},
	} {
		d.IfVersion = 1
		p.wantErr("DeleteUser of "+what, p.editor.DeleteUser(p.ctx, d), users.ErrNotFound)
	}
	p.wantStored(n)
	p.delete(n.UserRecord)
	p.wantErr("DeleteUser once more", p.editor.DeleteUser(p.ctx, deletion(n.UserRecord)), users.ErrNotFound)
}

// deleteStale: who judged an older version has not seen what the user is now. Nothing
// stands for any version.
func deleteStale(p *probe) {
	a := p.app()
	n := p.create(p.full(a, p.role(a, "r")))
	what := p.belongings(n)
	for _, version := range []int64{0, 2, -1} {
		d := deletion(n.UserRecord)
		d.IfVersion = version
		p.wantErr("DeleteUser of another version", p.editor.DeleteUser(p.ctx, d), users.ErrStale)
		p.wantUser("user", n.UserRecord)
		for _, t := range what.tokens {
			p.wantToken(t)
		}
		if p.outbox != nil {
			p.wantStrings("notifications", rowIDs(p.rowsOf(n)), rowIDs(what.rows))
		}
	}
}

// racingDeletes deletes a user for whom others work: whatever comes first, nothing is
// left that a new user with the same id would get.
func racingDeletes(p *probe) {
	a := p.app()
	r := p.role(a, "r")
	for range 10 {
		n := p.create(p.full(a))
		tokens := make([]users.TokenRecord, racers)
		rows := make([]users.NotificationRecord, racers)
		for i := range racers {
			tokens[i], rows[i] = newToken(n, 0, time.Hour), p.recovery(n)
			copy(tokens[i].Sum[:], p.id())
		}
		if p.tokens != nil {
			p.must("CreateToken", p.tokens.CreateToken(p.ctx, tokens[0]))
		}

		errs := p.race(func(i int) error {
			switch {
			case i == 0:
				return p.deleteAtLast(n)
			case i%4 == 1 && p.tokens != nil:
				return p.tokens.CreateToken(p.ctx, tokens[i])
			case i%4 == 2 && p.outbox != nil:
				return p.outbox.Enqueue(p.ctx, rows[i], 0)
			case i%4 == 3 && p.tokens != nil:
				r := redemption(tokens[0], "$chosen", base)
				if p.outbox != nil {
					r.Notifications = []users.NotificationRecord{rows[i]}
				}
				return p.tokens.RedeemToken(p.ctx, r)
			}
			return p.editor.EditUser(p.ctx, editOf(n.UserRecord, func(e *users.UserEdit) {
				e.Roles = []users.Role{r}
				e.NameKey = fmt.Sprint("late ", n.ID)
				if p.outbox != nil {
					e.Notifications = []users.NotificationRecord{rows[i]}
				}
			}))
		})
		p.must("DeleteUser", errs[0])
		for _, err := range errs[1:] {
			late := errors.Is(err, users.ErrNotFound) || errors.Is(err, users.ErrStale) || errors.Is(err, users.ErrBadToken)
			if err != nil && !late {
				p.errorf("a call that races DeleteUser: got error %v", err)
			}
		}

		p.wantGone(n)
		p.wantKeys(a.ID, fmt.Sprint("late ", n.ID), n.EmailKey)
		again := p.user(a)
		again.ID, again.NameKey, again.EmailKey = n.ID, n.NameKey, n.EmailKey
		p.create(again)
		p.wantStored(again)
		what := belongings{user: again}
		if p.tokens != nil {
			what.tokens = tokens
		}
		p.wantNone(what)
	}
}

// deleteAtLast deletes n, whatever its version is by now.
func (p *probe) deleteAtLast(n *users.NewUser) error {
	for {
		found, err := p.FindUsers(p.ctx, users.UserQuery{ApplicationID: n.ApplicationID, IDs: []string{n.ID}})
		if err != nil || len(found) != 1 {
			return fmt.Errorf("FindUsers: %d users, %w", len(found), err)
		}
		if err := p.editor.DeleteUser(p.ctx, deletion(found[0])); !errors.Is(err, users.ErrStale) {
			return err
		}
	}
}
