package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"github.com/gousers/users"
)

// TxHarness is a back end on which the host runs transactions of its own, with
// the store that is tested. For package sqlstore it is:
//
//	storetest.TxHarness{
//		Store: store,
//		Begin: func(ctx context.Context, level sql.IsolationLevel) (storetest.Tx, error) {
//			tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: level})
//			if err != nil {
//				return storetest.Tx{}, err
//			}
//			return storetest.Tx{Store: store.WithTx(tx), Commit: tx.Commit, Rollback: tx.Rollback}, nil
//		},
//	}
type TxHarness struct {
	// Store owns its transactions. It is empty at first.
	Store users.Store
	// Begin begins a transaction of the host's. level is one of
	// sql.LevelReadCommitted, sql.LevelRepeatableRead and
	// sql.LevelSerializable. For one that the back end lacks Begin returns an error
	// that matches errors.ErrUnsupported, and its cases are skipped. One level at
	// least must be there.
	//
	// Two transactions are open at once, each used by one goroutine at a time,
	// beside calls on Store. A write may wait for the end of another
	// transaction that has written, but nothing may wait for one that has only
	// read: on SQLite that takes WAL, a plain BEGIN (deferred, not immediate),
	// a busy_timeout of some seconds and more than one connection.
	Begin func(ctx context.Context, level sql.IsolationLevel) (Tx, error)
}

// Tx is one transaction of the host's. What a Store that writes inside of it
// promises is said at [users.Store].
type Tx struct {
	Store            users.Store // writes inside the transaction
	Commit, Rollback func() error
}

// RunTx checks what a store does inside the host's own transactions, at every
// isolation level that the back end has, and what happens where two of them
// race. fresh returns one empty harness for each case. It is the companion of
// [Run] for a store that also writes inside transactions; see [Tx] for what such a
// store promises.
func RunTx(t *testing.T, fresh func(testing.TB) TxHarness) {
	checked, skipped := 0, 0
	for _, level := range txLevels {
		t.Run(level.name, func(t *testing.T) {
			for _, c := range txCases(level) {
				t.Run(c.name, func(t *testing.T) {
					err := c.check(fresh(t), level)
					if lacks := lacking(""); errors.As(err, &lacks) {
						t.Skipf("%v: not checked: %s", lacks, c.clause)
					}
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

// errNoLevel keeps a harness that supports nothing from passing.
var errNoLevel = errors.New("storetest: the back end has none of the isolation levels: " +
	"nothing was checked inside a transaction")

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
	name   string
	needs  capability
	run    func(*txProbe)
	clause string
}

// lacking says that the store of a transaction has no such interface.
type lacking string

func (l lacking) Error() string { return "the Store has no users." + string(l) }

// Is makes it one of the reasons to skip a case.
func (l lacking) Is(err error) bool { return err == errors.ErrUnsupported }

// txProbe is one case at work. Its Store is the one outside of transactions.
type txProbe struct {
	*probe
	harness TxHarness
	txLevel
	open []Tx
}

// check returns nil, a *Breach, or an error that matches errors.ErrUnsupported.
func (c txCase) check(h TxHarness, level txLevel) error {
	ctx, cancel := context.WithTimeout(context.Background(), caseTimeout)
	defer cancel()

	if level.level != noTx {
		tx, err := h.Begin(ctx, level.level)
		if errors.Is(err, errors.ErrUnsupported) {
			return err
		}
		if err == nil {
			lacks := c.needs.lackedBy(tx.Store)
			_ = tx.Rollback()
			if lacks != "" {
				return lacking(lacks)
			}
		}
	}

	return runProbe(ctx, h.Store, level.name+"/"+c.name, c.clause, func(p *probe) {
		x := &txProbe{probe: p, harness: h, txLevel: level}
		defer x.rollback()
		c.run(x)
	})
}

// begin begins a transaction; the case ends if that fails.
func (x *txProbe) begin() Tx {
	tx, err := x.tryBegin()
	x.must("Begin", err)
	x.open = append(x.open, tx)
	return tx
}

// tryBegin begins a transaction whose store is told what a Service made by InTx
// says with every new user.
func (x *txProbe) tryBegin() (Tx, error) {
	tx, err := x.harness.Begin(x.ctx, x.level)
	if err == nil {
		tx.Store = inTx{tx.Store}
	}
	return tx, err
}

// inTx sets NewUser.HostTx.
type inTx struct{ users.Store }

func (s inTx) Unwrap() users.Store { return s.Store }

func (s inTx) CreateUser(ctx context.Context, n *users.NewUser) error {
	told := *n
	told.HostTx = true
	return s.Store.CreateUser(ctx, &told)
}

// rollback ends what a case that was given up left open: it would be in the way
// of whoever clears the back end up.
func (x *txProbe) rollback() {
	for _, tx := range x.open {
		_ = tx.Rollback()
	}
}

// txCases returns what can be checked at level.
func txCases(level txLevel) []txCase {
	var all []txCase
	if level.level != noTx {
		all = append(all, txOnlyCases()...)
		all = append(all, txEditCases()...)
	}
	for _, r := range txRaces {
		all = append(all, txCase{r.name, anyStore, func(x *txProbe) { x.racing(r) }, raceClause})
	}
	return all
}

func txOnlyCases() []txCase {
	const durable = "Writes become durable only when the host commits, and not if it rolls back"
	return []txCase{
		{"CommitMakesDurable", anyStore, commitMakesDurable, durable},
		{"RefusesWhoDoesNotKnow", anyStore, refusesWhoDoesNotKnow,
			"A Store inside such a transaction refuses a NewUser without it: what follows a commit must " +
				"not run before it"},
		{"RollbackLeavesNothing", anyStore, rollbackLeavesNothing, durable},
		{"FailureLeavesNoHalf", anyStore, failureLeavesNoHalf,
			"A call that returns an error has written nothing, even if the host ignores the error and commits"},
		{"DuplicateInside", anyStore, duplicateInside,
			"An error other than ErrRetryTx and ErrUnavailable leaves the transaction usable"},
		{"CanceledBeforeInside", anyStore, canceledBeforeInside,
			"when ctx is done before the write took effect, nothing is written and the error matches the " +
				"context's"},
	}
}

// commitMakesDurable reads its own writes inside the transaction, while nobody
// outside sees them.
func commitMakesDurable(x *txProbe) {
	a := x.app()
	plain, full := x.user(a), x.full(a, x.role(a, "r"))
	tx := x.begin()
	for _, n := range []*users.NewUser{plain, full} {
		x.must("CreateUser", tx.Store.CreateUser(x.ctx, n))
	}

	found, err := tx.Store.FindUsers(x.ctx, users.UserQuery{
		ApplicationID: a.ID, NameKeys: []string{plain.NameKey}, EmailKeys: []string{full.EmailKey},
	})
	x.must("FindUsers in the transaction", err)
	want := []users.UserRecord{plain.UserRecord, full.UserRecord}
	x.wantEqual("users seen in the transaction", want, found)
	x.wantAbsent(plain)
	x.wantAbsent(full)

	x.must("Commit", tx.Commit())
	x.wantStored(plain)
	x.wantStored(full)
}

// refusesWhoDoesNotKnow: a Service that was made by WithStore instead of InTx
// would call AfterCreate, and send a welcome, for a user that is rolled back.
func refusesWhoDoesNotKnow(x *txProbe) {
	n := x.full(x.app())
	tx := x.begin()
	if err := tx.Store.(inTx).Store.CreateUser(x.ctx, n); err == nil {
		x.errorf("CreateUser without HostTx: got no error: a Service would call AfterCreate before the commit")
	}

	other := x.full(users.Application{ID: n.ApplicationID})
	x.must("CreateUser with HostTx, in the same transaction", tx.Store.CreateUser(x.ctx, other))
	x.must("Commit", tx.Commit())
	x.wantAbsent(n)
	x.wantCreatable(n)
	x.wantStored(other)
}

// rollbackLeavesNothing rolls back a user with everything that comes with one.
func rollbackLeavesNothing(x *txProbe) {
	a := x.app()
	n := x.full(a, x.role(a, "r"))
	tx := x.begin()
	x.must("CreateUser", tx.Store.CreateUser(x.ctx, n))
	x.must("Rollback", tx.Rollback())
	x.wantAbsent(n)
	x.wantCreatable(n)
}

// failureLeavesNoHalf lets the host do the worst: it ignores the error, or
// recovers from the panic, and commits.
func failureLeavesNoHalf(x *txProbe) {
	a := x.app()
	r := x.role(a, "r")
	taken := x.create(x.full(a))
	usedKey := taken.Idempotency.IdempotencyKey
	spoilers := map[string]func(*users.NewUser){
		"a taken name":     func(n *users.NewUser) { n.NameKey = taken.NameKey },
		"a used key":       func(n *users.NewUser) { n.Idempotency.IdempotencyKey = usedKey },
		"an unknown role":  func(n *users.NewUser) { n.Roles = []users.Role{r, {ID: "nobody"}} },
		"OnCreate's error": func(n *users.NewUser) { n.OnCreate = func(context.Context) error { return errRefused } },
		"OnCreate's panic": func(n *users.NewUser) { n.OnCreate = func(context.Context) error { panic(errRefused) } },
	}
	if x.outbox != nil {
		spoilers["a taken notification"] = func(n *users.NewUser) {
			n.Notifications[0].ID = taken.Notifications[0].ID
		}
	}

	for what, spoil := range spoilers {
		before, n, after := x.full(a, r), x.full(a, r), x.full(a, r)
		free := deepCopy(n)
		spoil(n)

		tx := x.begin()
		x.must("CreateUser before the failure", tx.Store.CreateUser(x.ctx, before))
		func() {
			defer func() { _ = recover() }()
			if err := tx.Store.CreateUser(x.ctx, n); err == nil {
				x.errorf("CreateUser with %s: got no error", what)
			}
		}()
		x.must("CreateUser after "+what, tx.Store.CreateUser(x.ctx, after))
		x.must("Commit", tx.Commit())

		x.wantStored(before)
		x.wantAbsent(n)
		x.wantStored(after)
		x.wantCreatable(free)
	}
	x.wantStored(taken)
}

// duplicateInside: a host that looks for a free name tries again in the same
// transaction.
func duplicateInside(x *txProbe) {
	a := x.app()
	outside, inside := x.create(x.full(a)), x.full(a)
	tx := x.begin()
	x.must("CreateUser", tx.Store.CreateUser(x.ctx, inside))

	for what, other := range map[string]*users.NewUser{
		"committed before":        outside,
		"of the same transaction": inside,
	} {
		n := x.user(a)
		n.NameKey, n.EmailKey = other.NameKey, other.EmailKey
		err := tx.Store.CreateUser(x.ctx, n)
		x.wantConflict("CreateUser with name and address "+what, err, "userName", "email")

		n = x.full(a)
		n.Idempotency.IdempotencyKey = other.Idempotency.IdempotencyKey
		x.wantKeyUsed("CreateUser with a key "+what, tx.Store.CreateUser(x.ctx, n))
		got, err := tx.Store.FindIdempotencyRecord(x.ctx, other.Idempotency.IdempotencyKey)
		x.must("FindIdempotencyRecord in the transaction", err)
		x.wantEqual("idempotency record", *other.Idempotency, got)
	}

	x.must("Commit", tx.Commit())
	x.wantStored(inside)
	x.wantStored(outside)
}

// canceledBeforeInside leaves the end of the transaction to the host, which
// rolls it back.
func canceledBeforeInside(x *txProbe) {
	n := x.full(x.app())
	tx := x.begin()
	ctx, cancel := context.WithCancel(x.ctx)
	cancel()
	err := tx.Store.CreateUser(ctx, n)
	x.wantErr("CreateUser with a context that is done", err, context.Canceled)
	x.must("Rollback", tx.Rollback())
	x.wantAbsent(n)
}
