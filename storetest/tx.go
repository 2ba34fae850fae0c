package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gousers/users"
)

// TxHarness is a back end on which the host runs transactions of its own, with
// the store that is tested. For package sqlstore it is:
//
//	storetest.TxHarness{
//		Store: store,
//		Begin: func(ctx context.Context, level sql.IsolationLevel) (storetest.HostTx, error) {
//			tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: level})
//			if err != nil {
//				return storetest.HostTx{}, err
//			}
//			return storetest.HostTx{Store: store.WithTx(tx), Commit: tx.Commit, Rollback: tx.Rollback}, nil
//		},
//	}
type TxHarness struct {
	// Store owns its transactions. It is empty at first.
	Store users.Store
	// Begin begins a transaction of the host's. level is one of
	// sql.LevelReadCommitted, sql.LevelRepeatableRead and
	// sql.LevelSerializable; the answer to one that the back end lacks is an
	// error that matches errors.ErrUnsupported, and its cases are skipped. One
	// level at least must be there.
	//
	// Two transactions are open at once, each used by one goroutine at a time,
	// beside calls on Store. A write may wait for the end of another
	// transaction that has written, but nothing may wait for one that has only
	// read: on SQLite that takes WAL, a plain BEGIN (deferred, not immediate),
	// a busy_timeout of some seconds and more than one connection.
	Begin func(ctx context.Context, level sql.IsolationLevel) (HostTx, error)
}

// HostTx is one transaction of the host's.
type HostTx struct {
	Store            users.Store // writes inside the transaction; a users.HostTx
	Commit, Rollback func() error
}

// RunTx checks what a store does inside the host's own transactions, at every
// isolation level that the back end has, and what happens where two of them
// race. fresh makes one empty harness for each case. It is the companion of
// [Run] for a store that also writes inside transactions.
func RunTx(t *testing.T, fresh func(testing.TB) TxHarness) {
	checked, skipped := 0, 0
	for _, level := range txLevels {
		t.Run(level.name, func(t *testing.T) {
			for _, c := range txCases(level) {
				t.Run(c.name, func(t *testing.T) {
					err := c.check(fresh(t), level)
					if errors.Is(err, errors.ErrUnsupported) {
						skipped++
						t.Skipf("the back end has no such isolation level: not checked: %s", c.clause)
					}
					if err != nil {
						t.Error(err)
					}
					if level.level != noTx {
						checked++
					}
				})
			}
		})
	}
	if checked == 0 && skipped > 0 {
		t.Error(errNoLevel)
	}
}

// CheckTx is RunTx without a test; see [Check].
func CheckTx(fresh func() (h TxHarness, done func(), err error)) error {
	var all []error
	checked := 0
	for _, level := range txLevels {
		for _, c := range txCases(level) {
			h, done, err := fresh()
			if err != nil {
				all = append(all, fmt.Errorf("storetest: %s: no store: %w", c.name, err))
				continue
			}
			if err := c.check(h, level); !errors.Is(err, errors.ErrUnsupported) {
				all = append(all, err)
				if level.level != noTx {
					checked++
				}
			}
			if done != nil {
				done()
			}
		}
	}
	if checked == 0 {
		all = append(all, errNoLevel)
	}
	return errors.Join(all...)
}

var errNoLevel = errors.New("storetest: the back end has none of the isolation levels: nothing was checked inside a transaction")

// txLevel is a column of the table of races.
type txLevel struct {
	name  string
	level sql.IsolationLevel
	// mayRetry says that the engine may abort a transaction because of a
	// neighbour: then ErrRetryTx is an answer too.
	mayRetry bool
}

// noTx is the column without a host's transaction.
const noTx sql.IsolationLevel = -1

var txLevels = [...]txLevel{
	{"NoTransaction", noTx, false},
	{"ReadCommitted", sql.LevelReadCommitted, false},
	{"RepeatableRead", sql.LevelRepeatableRead, true},
	{"Serializable", sql.LevelSerializable, true},
}

// txCase checks one clause at one level.
type txCase struct {
	name, clause string
	run          func(*txProbe)
}

// txProbe is one case at work. Its Store is the one outside of transactions.
type txProbe struct {
	*probe
	harness TxHarness
	txLevel
	open []HostTx
}

// check gives nil, a *Breach, or an error that matches errors.ErrUnsupported.
func (c txCase) check(h TxHarness, level txLevel) error {
	ctx, cancel := context.WithTimeout(context.Background(), caseTimeout)
	defer cancel()
	if level.level != noTx {
		tx, err := h.Begin(ctx, level.level)
		if errors.Is(err, errors.ErrUnsupported) {
			return err
		}
		if err == nil {
			_ = tx.Rollback()
		}
	}
	return runProbe(ctx, h.Store, level.name+"/"+c.name, c.clause, func(p *probe) {
		x := &txProbe{probe: p, harness: h, txLevel: level}
		defer x.rollback()
		c.run(x)
	})
}

// begin begins a transaction; the case ends if that fails.
func (x *txProbe) begin() HostTx {
	tx, err := x.harness.Begin(x.ctx, x.level)
	x.must("Begin", err)
	x.open = append(x.open, tx)
	return tx
}

// rollback ends what a case that was given up left open: it would be in the way
// of whoever clears the back end up.
func (x *txProbe) rollback() {
	for _, tx := range x.open {
		_ = tx.Rollback()
	}
}

// txCases gives what can be checked at level.
func txCases(level txLevel) []txCase {
	var all []txCase
	if level.level != noTx {
		all = append(all, txOnlyCases()...)
	}
	for _, r := range txRaces {
		all = append(all, txCase{r.name, r.clause(), func(x *txProbe) { x.racing(r) }})
	}
	return all
}

func txOnlyCases() []txCase {
	return []txCase{
		{"CommitMakesDurable", "writes become durable only when the host commits", commitMakesDurable},
		{"RollbackLeavesNothing", "writes become durable only when the host commits", rollbackLeavesNothing},
		{"FailureLeavesNoHalf", "on any error none of it is durable, even if the host ignores the error and commits", failureLeavesNoHalf},
		{"DuplicateInside", "a duplicate does not poison the transaction", duplicateInside},
		{"CancelledBeforeInside", "when ctx is done before the write took effect, nothing is written and the error matches the context's", cancelledBeforeInside},
	}
}

func commitMakesDurable(x *txProbe) {
	a := x.app()
	r := x.role(a, "r")
	plain, full := x.user(a), x.full(a, r)
	tx := x.begin()
	if _, ok := tx.Store.(users.HostTx); !ok {
		x.errorf("the store inside a transaction is no users.HostTx: a Service would call AfterCreate before the commit")
	}
	for _, n := range []*users.NewUser{plain, full} {
		x.must("CreateUser", tx.Store.CreateUser(x.ctx, n))
	}
	found, err := tx.Store.FindUsers(x.ctx, users.UserQuery{ApplicationID: a.ID, NameKeys: []string{plain.NameKey}, EmailKeys: []string{full.EmailKey}})
	x.must("FindUsers in the transaction", err)
	x.same("users seen in the transaction", []users.UserRecord{plain.UserRecord, full.UserRecord}, found)
	x.absent(plain)
	x.absent(full)
	x.must("Commit", tx.Commit())
	x.stored(plain)
	x.stored(full)
}

func rollbackLeavesNothing(x *txProbe) {
	a := x.app()
	n := x.full(a, x.role(a, "r"))
	tx := x.begin()
	x.must("CreateUser", tx.Store.CreateUser(x.ctx, n))
	x.must("Rollback", tx.Rollback())
	x.absent(n)
	x.creatable(n)
}

func failureLeavesNoHalf(x *txProbe) {
	a := x.app()
	r := x.role(a, "r")
	taken := x.create(x.full(a))
	refused := errors.New("refused by the host")
	for what, spoil := range map[string]func(*users.NewUser){
		"a taken name":    func(n *users.NewUser) { n.NameKey = taken.NameKey },
		"a used key":      func(n *users.NewUser) { n.Replay.ReplayKey = taken.Replay.ReplayKey },
		"an unknown role": func(n *users.NewUser) { n.Roles = []users.Role{r, {ID: "nobody"}} },
		"InTx's error":    func(n *users.NewUser) { n.InTx = func(context.Context) error { return refused } },
		"InTx's panic":    func(n *users.NewUser) { n.InTx = func(context.Context) error { panic("in the host's code") } },
		"a taken notification": func(n *users.NewUser) {
			if n.Notification == nil {
				n.Roles = []users.Role{{ID: "nobody"}}
			} else {
				n.Notification.ID = taken.Notification.ID
			}
		},
	} {
		before, n, after := x.full(a, r), x.full(a, r), x.full(a, r)
		free := *n
		if n.Notification != nil {
			free.Notification = new(*n.Notification)
		}
		free.Replay = new(*n.Replay)
		spoil(n)
		tx := x.begin()
		x.must("CreateUser before the failure", tx.Store.CreateUser(x.ctx, before))
		func() {
			defer func() { _ = recover() }() // the host's code recovers too
			if err := tx.Store.CreateUser(x.ctx, n); err == nil {
				x.errorf("CreateUser with %s: got no error", what)
			}
		}()
		x.must("CreateUser after "+what, tx.Store.CreateUser(x.ctx, after))
		x.must("Commit", tx.Commit())
		x.stored(before)
		x.absent(n)
		x.stored(after)
		x.creatable(&free)
	}
	x.stored(taken)
}

func duplicateInside(x *txProbe) {
	a := x.app()
	outside := x.create(x.full(a))
	tx := x.begin()
	inside := x.full(a)
	x.must("CreateUser", tx.Store.CreateUser(x.ctx, inside))
	for what, other := range map[string]*users.NewUser{"committed before": outside, "of the same transaction": inside} {
		n := x.user(a)
		n.NameKey, n.EmailKey = other.NameKey, other.EmailKey
		x.conflicts("CreateUser with name and address "+what, tx.Store.CreateUser(x.ctx, n), "userName", "email")
		n = x.full(a)
		n.Replay.ReplayKey = other.Replay.ReplayKey
		x.is("CreateUser with a key "+what, tx.Store.CreateUser(x.ctx, n), users.ErrIdempotencyKeyUsed)
		got, err := tx.Store.FindReplay(x.ctx, other.Replay.ReplayKey)
		x.must("FindReplay in the transaction", err)
		x.same("idempotency record", *other.Replay, got)
	}
	x.must("Commit", tx.Commit())
	x.stored(inside)
	x.stored(outside)
}

func cancelledBeforeInside(x *txProbe) {
	a := x.app()
	n := x.full(a)
	tx := x.begin()
	ctx, cancel := context.WithCancel(x.ctx)
	cancel()
	x.is("CreateUser with a context that is done", tx.Store.CreateUser(ctx, n), context.Canceled)
	x.must("Rollback", tx.Rollback())
	x.absent(n)
}

// txRace is a row of the table: two users that share an idempotency key or a
// name, the first of which ends before the second does.
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
type txAnswer string

const (
	answerNil      txAnswer = "no error"
	answerKeyUsed  txAnswer = "ErrIdempotencyKeyUsed, with a record that names the winner"
	answerConflict txAnswer = `a *ConflictError of "userName"`
)

// The table. The answers hold in every column; the transaction stays usable.
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

func (r txRace) clause() string {
	return "the second one gets " + string(r.answer) + " and its transaction stays usable; under Repeatable Read and Serializable ErrRetryTx is right too, and the repeated transaction gets that answer"
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
			second.Replay.ReplayKey = first.Replay.ReplayKey
		} else {
			second.NameKey = first.NameKey
		}
	}
	var tx HostTx
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
		_, err = tx.Store.FindUsers(x.ctx, users.UserQuery{ApplicationID: a.ID, NameKeys: []string{second.NameKey}})
		x.must("FindUsers", err)
		x.firstTx(r, first)
		err = tx.Store.CreateUser(x.ctx, second)
	default:
		tx, err = x.raceWithTx(r, first, second)
	}
	x.answered(r, tx, err, first, second)
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
func (x *txProbe) raceWithTx(r txRace, first, second *users.NewUser) (tx HostTx, err error) {
	tx1 := x.begin()
	x.must("CreateUser of the first", tx1.Store.CreateUser(x.ctx, first))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if tx, err = x.harness.Begin(x.ctx, x.level); err == nil {
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

// raceWithoutTx does the same where the store owns the transactions: InTx keeps
// the first one's open.
func (x *txProbe) raceWithoutTx(r txRace, first, second *users.NewUser) error {
	lost := errors.New("refused by the host")
	holding := *first
	inside, release := make(chan struct{}), make(chan struct{})
	enter := sync.OnceFunc(func() { close(inside) })
	holding.InTx = func(context.Context) error {
		enter()
		<-release
		if !r.ends {
			return lost
		}
		return nil
	}
	ended := make(chan error, 1)
	go func() { ended <- x.CreateUser(x.ctx, &holding) }()
	select {
	case <-inside:
	case err := <-ended:
		x.fatalf("CreateUser ended without InTx: error %v", err)
	}
	done := make(chan struct{})
	var err error
	if r.again || r.snapshot { // nothing races: the first ends before the second begins
		close(done)
	} else {
		go func() {
			defer close(done)
			err = x.CreateUser(x.ctx, second)
		}()
		x.untilItWaits(done)
	}
	close(release)
	if firstErr := <-ended; r.ends {
		x.must("CreateUser of the first", firstErr)
	} else {
		x.is("CreateUser of the first", firstErr, lost)
	}
	<-done
	if r.again || r.snapshot {
		err = x.CreateUser(x.ctx, second)
	}
	return err
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

// answered judges err, what the second one got in tx, and that tx stays usable.
func (x *txProbe) answered(r txRace, tx HostTx, err error, first, second *users.NewUser) {
	if x.mayRetry && errors.Is(err, users.ErrRetryTx) {
		if errors.Is(err, users.ErrConflict) {
			x.errorf("CreateUser of the second: got ErrRetryTx and a conflict at once")
		}
		_ = tx.Rollback() // the engine may have done that already
		x.absentUnlessSame(r, first, second)
		tx = x.begin()
		err = tx.Store.CreateUser(x.ctx, second)
	}
	in := x.Store
	if x.level != noTx {
		in = tx.Store
	}
	switch r.answer {
	case answerNil:
		x.must("CreateUser of the second", err)
	case answerKeyUsed:
		x.is("CreateUser of the second", err, users.ErrIdempotencyKeyUsed)
		if errors.Is(err, users.ErrConflict) {
			x.errorf("CreateUser of the second: got a conflict, want ErrIdempotencyKeyUsed alone")
		}
	case answerConflict:
		x.conflicts("CreateUser of the second", err, "userName")
	}
	other := x.full(users.Application{ID: first.ApplicationID})
	x.must("CreateUser after the answer, in the same transaction", in.CreateUser(x.ctx, other))
	if x.level != noTx {
		x.must("Commit", tx.Commit())
	}
	x.stored(other)
	switch {
	case r.answer == answerNil:
		x.stored(second)
	default:
		x.stored(first) // its idempotency record names it
		x.absentUnlessSame(r, first, second)
	}
	if r.answer == answerNil && !r.again {
		x.absent(first)
	}
}

func (x *txProbe) absentUnlessSame(r txRace, first, second *users.NewUser) {
	if !r.again {
		x.absent(second)
	}
	if r.ends {
		x.stored(first)
	}
}
