package storetest

import (
	"errors"
	"time"

	"github.com/gousers/users"
)

// txRace is a row of the table of races: two users that share an idempotency key
// or a name, the first of which ends before the second does. Each isolation level
// is a column; see txLevels.
type txRace struct {
	name     string
	sameKey  bool // otherwise they share the name
	ends     bool // the first one's transaction is committed; otherwise rolled back
	snapshot bool // the second transaction has read before the first began
	again    bool // the second is the first once more, whose outcome was unknown
	// answer is what the second gets; where the level may retry, ErrRetryTx as
	// well, and then answer from a transaction of its own.
	answer txAnswer
}

// txAnswer is what CreateUser says to the second one.
type txAnswer int

const (
	answerNil      txAnswer = iota
	answerKeyUsed           // with a record that names the first
	answerConflict          // of "userName"
)

// raceClause is the clause of all races.
const raceClause = "Of two transactions that race, the one whose write comes second is answered as if it " +
	"began after the end of the first. Where the isolation level does not allow that, it is ErrRetryTx, " +
	"and the repeated transaction is answered so"

// txRaces is the table. The answers hold in every column.
var txRaces = [...]txRace{
	{name: "SameKeyRacing", sameKey: true, ends: true, answer: answerKeyUsed},
	{name: "SameKeyRacingRolledBack", sameKey: true, answer: answerNil},
	{name: "SameKeyAfterASnapshot", sameKey: true, ends: true, snapshot: true, answer: answerKeyUsed},
	{name: "SameNameRacing", ends: true, answer: answerConflict},
	{name: "SameNameRacingRolledBack", answer: answerNil},
	{name: "SameNameAfterASnapshot", ends: true, snapshot: true, answer: answerConflict},
	{name: "RetryAfterUnknownOutcome", sameKey: true, ends: true, again: true, answer: answerKeyUsed},
	{name: "RetryAfterUnknownRollback", sameKey: true, again: true, answer: answerNil},
}

// racing runs r in the column of x.
func (x *txProbe) racing(r txRace) {
	a := x.app()
	role := x.role(a, "r")
	first := x.full(a, role)
	second := first
	if !r.again {
		second = x.full(a, role)
		if r.sameKey {
			second.Idempotency.IdempotencyKey = first.Idempotency.IdempotencyKey
		} else {
			second.NameKey = first.NameKey
		}
	}

	var tx Tx
	var err error
	switch {
	case x.level == noTx:
		err = x.raceWithoutTx(r, first, second)
	case r.again:
		x.firstTx(r, first)
		tx = x.begin()
		err = tx.Store.CreateUser(x.ctx, second)
	case r.snapshot:
		tx = x.begin()
		_, err = tx.Store.FindUsers(x.ctx, users.UserQuery{
			ApplicationID: a.ID, NameKeys: []string{second.NameKey},
		})
		x.must("FindUsers", err)
		x.firstTx(r, first)
		err = tx.Store.CreateUser(x.ctx, second)
	default:
		tx, err = x.raceWithTx(r, first, second)
	}
	x.wantAnswer(r, tx, err, first, second)
}

// firstTx runs the first one's transaction from its beginning to its end.
func (x *txProbe) firstTx(r txRace, first *users.NewUser) {
	tx := x.begin()
	x.must("CreateUser of the first", tx.Store.CreateUser(x.ctx, first))
	if r.ends {
		x.must("Commit of the first", tx.Commit())
	} else {
		x.must("Rollback of the first", tx.Rollback())
	}
}

// raceWithTx lets the second wait for the first, if it is one that waits.
func (x *txProbe) raceWithTx(r txRace, first, second *users.NewUser) (tx Tx, err error) {
	tx1 := x.begin()
	x.must("CreateUser of the first", tx1.Store.CreateUser(x.ctx, first))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if tx, err = x.tryBegin(); err == nil {
			err = tx.Store.CreateUser(x.ctx, second)
		}
	}()
	x.untilItWaits(done)

	end := tx1.Rollback
	if r.ends {
		end = tx1.Commit
	}
	x.must("the end of the first transaction", end())
	<-done
	if tx.Store == nil {
		x.must("Begin of the second", err)
	}
	x.open = append(x.open, tx)
	return tx, err
}

// raceWithoutTx does the same where the store owns the transactions: OnCreate keeps
// the first one's open. With again and snapshot nothing races: the first ends
// before the second begins.
func (x *txProbe) raceWithoutTx(r txRace, first, second *users.NewUser) error {
	var result error
	if !r.ends {
		result = errRefused
	}
	release, ended := x.hold(first, result)
	create := func() error { return x.CreateUser(x.ctx, second) }

	lost := make(chan error, 1)
	if !r.again && !r.snapshot {
		done := make(chan struct{})
		go func() {
			defer close(done)
			lost <- create()
		}()
		x.untilItWaits(done)
	}
	release()
	if err := <-ended; r.ends {
		x.must("CreateUser of the first", err)
	} else {
		x.wantErr("CreateUser of the first", err, errRefused)
	}

	if r.again || r.snapshot {
		return create()
	}
	return <-lost
}

// untilItWaits gives the other call time to run into the lock that it waits
// for: nothing else can tell. Without it the race would be one after the other,
// which every answer allows.
func (x *txProbe) untilItWaits(done <-chan struct{}) {
	t := time.NewTimer(50 * time.Millisecond)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

// wantAnswer judges err, what the second one got in tx, and that tx stays usable.
func (x *txProbe) wantAnswer(r txRace, tx Tx, err error, first, second *users.NewUser) {
	if x.mayRetry && errors.Is(err, users.ErrRetryTx) {
		if errors.Is(err, users.ErrConflict) {
			x.errorf("CreateUser of the second: got ErrRetryTx and a conflict at once")
		}
		_ = tx.Rollback() // the engine may have done that already
		x.wantOnlyFirst(r, first, second)
		tx = x.begin()
		err = tx.Store.CreateUser(x.ctx, second)
	}
	switch r.answer {
	case answerNil:
		x.must("CreateUser of the second", err)
	case answerKeyUsed:
		x.wantKeyUsed("CreateUser of the second", err)
	case answerConflict:
		x.wantConflict("CreateUser of the second", err, "userName")
	}

	other := x.full(users.Application{ID: first.ApplicationID})
	if x.level == noTx {
		x.must("CreateUser after the answer", x.CreateUser(x.ctx, other))
	} else {
		x.must("CreateUser after the answer, in the same transaction", tx.Store.CreateUser(x.ctx, other))
		x.must("Commit", tx.Commit())
	}

	x.wantStored(other)
	if r.answer != answerNil {
		x.wantOnlyFirst(r, first, second)
		return
	}
	x.wantStored(second)
	if !r.again {
		x.wantAbsent(first)
	}
}

// wantOnlyFirst notes whatever is stored of the second, and of the first unless
// it ended well.
func (x *txProbe) wantOnlyFirst(r txRace, first, second *users.NewUser) {
	if !r.again {
		x.wantAbsent(second)
	}
	if r.ends {
		x.wantStored(first) // with the idempotency record that names it
	}
}
