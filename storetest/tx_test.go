package storetest_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/storetest"
)

// txBackEnd gives memstore host transactions, with one writer at a time as in
// SQLite: a transaction works on a copy from its first write to its end.
type txBackEnd struct {
	*memstore.Store                               // what was committed
	log             []func(*memstore.Store) error // what it came from
	writer          chan struct{}                 // holds a value while someone writes
	spoil           txSpoil
}

// txSpoil is what is wrong with a back end.
type txSpoil struct {
	writesThrough, losesCommit, poisons, emptyConflict, neverRetry, alwaysRetry bool
	half, ignoresCtx, noRecord, takesAnybody                                    bool
}

func newTxBackEnd(spoil txSpoil) *txBackEnd {
	return &txBackEnd{Store: memstore.New(), writer: make(chan struct{}, 1), spoil: spoil}
}

// write runs op on the committed store, and remembers it.
func (b *txBackEnd) write(ctx context.Context, op func(*memstore.Store) error) error {
	select {
	case b.writer <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-b.writer }()
	err := op(b.Store)
	if err == nil {
		b.log = append(b.log, op)
	}
	return err
}

func (b *txBackEnd) CreateApplication(ctx context.Context, a users.Application) error {
	return b.write(ctx, func(s *memstore.Store) error { return s.CreateApplication(ctx, a) })
}

func (b *txBackEnd) CreateRole(ctx context.Context, app string, r users.RoleRecord) error {
	return b.write(ctx, func(s *memstore.Store) error { return s.CreateRole(ctx, app, r) })
}

func (b *txBackEnd) EditUser(ctx context.Context, e *users.UserEdit) error {
	return b.write(ctx, func(s *memstore.Store) error { return s.EditUser(context.Background(), e) })
}

func (b *txBackEnd) DeleteUser(ctx context.Context, d users.UserDeletion) error {
	return b.write(ctx, func(s *memstore.Store) error { return s.DeleteUser(context.Background(), d) })
}

func (b *txBackEnd) UpdateRole(ctx context.Context, u users.RoleUpdate) error {
	return b.write(ctx, func(s *memstore.Store) error { return s.UpdateRole(context.Background(), u) })
}

func (b *txBackEnd) DeleteRole(ctx context.Context, app, id string) error {
	return b.write(ctx, func(s *memstore.Store) error { return s.DeleteRole(context.Background(), app, id) })
}

func (b *txBackEnd) CreateToken(ctx context.Context, t users.TokenRecord) error {
	return b.write(ctx, func(s *memstore.Store) error { return s.CreateToken(context.Background(), t) })
}

func (b *txBackEnd) CreateUser(ctx context.Context, n *users.NewUser) error {
	first, m := true, *n
	return b.write(ctx, func(s *memstore.Store) error {
		if first {
			first = false
			return s.CreateUser(ctx, n)
		}
		m.OnCreate = nil // for a copy it does not run again
		return s.CreateUser(context.Background(), &m)
	})
}

func (b *txBackEnd) CreateUsers(ctx context.Context, ns []*users.NewUser) (outcomes []error, err error) {
	err = b.write(ctx, func(s *memstore.Store) (err error) {
		outcomes, err = s.CreateUsers(context.Background(), ns)
		return err
	})
	return outcomes, err
}

// hostTx is a transaction; its reads and writes go to its copy once it has one.
type hostTx struct {
	*memstore.Store
	b       *txBackEnd
	level   sql.IsolationLevel
	seen    int // length of the log at the first read, where the level keeps a snapshot
	own     []func(*memstore.Store) error
	writing bool
	dead    error
}

func (h *hostTx) FindUsers(ctx context.Context, q users.UserQuery) ([]users.UserRecord, error) {
	if h.level == sql.LevelRepeatableRead && h.seen < 0 {
		h.seen = len(h.b.log)
	}
	return h.Store.FindUsers(ctx, q)
}

func (h *hostTx) CreateUser(ctx context.Context, n *users.NewUser) error {
	if h.dead != nil {
		return h.dead
	}
	if !n.HostTx && !h.b.spoil.takesAnybody {
		return errors.New("in the host's transaction, use Service.OnCreate")
	}
	if h.b.spoil.ignoresCtx {
		ctx = context.WithoutCancel(ctx)
	}
	if err := h.beginWriting(ctx); err != nil {
		return err
	}
	m := *n
	if h.b.spoil.noRecord {
		m.Idempotency = nil
	}
	if h.b.spoil.half {
		m.OnCreate = nil
	}
	op := func(s *memstore.Store) error {
		bare := m
		bare.OnCreate = nil
		return s.CreateUser(context.Background(), &bare)
	}
	err := h.Store.CreateUser(ctx, &m)
	if err == nil {
		h.own = append(h.own, op)
		if h.b.spoil.writesThrough {
			_ = op(h.b.Store)
		}
		if h.b.spoil.half && n.OnCreate != nil {
			err = n.OnCreate(ctx)
		}
	} else if h.b.spoil.poisons && errors.Is(err, users.ErrConflict) {
		h.dead = errors.New("current transaction is aborted")
	}
	return err
}

// write runs op, which is no CreateUser, in the transaction.
func (h *hostTx) write(ctx context.Context, op func(*memstore.Store) error) error {
	if h.dead != nil {
		return h.dead
	}
	if err := h.beginWriting(ctx); err != nil {
		return err
	}
	err := op(h.Store)
	if err == nil {
		h.own = append(h.own, op)
		if h.b.spoil.writesThrough {
			_ = op(h.b.Store)
		}
	} else if h.b.spoil.poisons && errors.Is(err, users.ErrConflict) {
		h.dead = errors.New("current transaction is aborted")
	}
	return err
}

func (h *hostTx) EditUser(ctx context.Context, e *users.UserEdit) error {
	err := h.write(ctx, func(s *memstore.Store) error { return s.EditUser(context.Background(), e) })
	if errors.Is(err, users.ErrUnknownRole) && h.b.spoil.half {
		bare := *e
		bare.Roles = nil
		_ = h.write(ctx, func(s *memstore.Store) error { return s.EditUser(context.Background(), &bare) })
	}
	return err
}

func (h *hostTx) DeleteUser(ctx context.Context, d users.UserDeletion) error {
	return h.write(ctx, func(s *memstore.Store) error { return s.DeleteUser(context.Background(), d) })
}

func (h *hostTx) CreateUsers(_ context.Context, ns []*users.NewUser) (outcomes []error, err error) {
	for _, n := range ns {
		if !n.HostTx && !h.b.spoil.takesAnybody {
			return nil, errors.New("in the host's transaction, use Service.OnCreate")
		}
	}
	create := func(ns []*users.NewUser) error {
		return h.write(context.Background(), func(s *memstore.Store) error {
			got, err := s.CreateUsers(context.Background(), ns)
			if outcomes == nil {
				outcomes = got
			}
			return err
		})
	}
	err = create(ns)
	if err != nil && h.b.spoil.half {
		_ = create(ns[:1])
	}
	return outcomes, err
}

func (h *hostTx) RedeemToken(ctx context.Context, r users.Redemption) error {
	err := h.write(ctx, func(s *memstore.Store) error { return s.RedeemToken(context.Background(), r) })
	if errors.Is(err, users.ErrBadToken) && h.b.spoil.half {
		for _, u := range h.usersWithID(r.ApplicationID, r.UserID) {
			e := &users.UserEdit{UserRecord: u, SetHash: true}
			e.Hash = r.Hash
			_ = h.write(ctx, func(s *memstore.Store) error { return s.EditUser(context.Background(), e) })
		}
	}
	return err
}

func (h *hostTx) usersWithID(app, id string) []users.UserRecord {
	found, _ := h.Store.FindUsers(context.Background(), users.UserQuery{ApplicationID: app, IDs: []string{id}})
	return found
}

func (h *hostTx) UpdateRole(ctx context.Context, u users.RoleUpdate) error {
	return h.write(ctx, func(s *memstore.Store) error { return s.UpdateRole(context.Background(), u) })
}

func (h *hostTx) DeleteRole(ctx context.Context, app, id string) error {
	return h.write(ctx, func(s *memstore.Store) error { return s.DeleteRole(context.Background(), app, id) })
}

// beginWriting takes the writer's place and the copy.
func (h *hostTx) beginWriting(ctx context.Context) error {
	if h.writing {
		return nil
	}
	select {
	case h.b.writer <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	h.writing = true
	switch retry := h.seen >= 0 && h.seen != len(h.b.log); {
	case retry && h.b.spoil.emptyConflict:
		h.dead = &users.ConflictError{}
		return h.dead
	case retry && !h.b.spoil.neverRetry, h.b.spoil.alwaysRetry:
		h.dead = users.ErrRetryTx
		return h.dead
	case retry:
		h.dead = errors.New("could not serialize access")
		return h.dead
	}
	h.Store = memstore.New()
	for _, op := range h.b.log {
		if err := op(h.Store); err != nil {
			return err
		}
	}
	return nil
}

func (h *hostTx) end(commit bool) error {
	if !h.writing {
		return nil
	}
	if commit && !h.b.spoil.losesCommit {
		for _, op := range h.own {
			if !h.b.spoil.writesThrough {
				if err := op(h.b.Store); err != nil {
					return err
				}
			}
			h.b.log = append(h.b.log, op)
		}
	}
	h.writing, h.own, h.dead = false, nil, sql.ErrTxDone
	<-h.b.writer
	return nil
}

func (b *txBackEnd) begin(_ context.Context, level sql.IsolationLevel) (storetest.Tx, error) {
	if level == sql.LevelSerializable {
		return storetest.Tx{}, errors.ErrUnsupported
	}
	h := &hostTx{Store: b.Store, b: b, level: level, seen: -1}
	return storetest.Tx{
		Store: h, Commit: func() error { return h.end(true) }, Rollback: func() error { return h.end(false) },
	}, nil
}

func (b *txBackEnd) harness() storetest.TxHarness {
	return storetest.TxHarness{Store: b, Begin: b.begin}
}

func TestHostTransactionsThatKeepTheContractPass(t *testing.T) {
	t.Parallel()
	storetest.RunTx(t, func(testing.TB) storetest.TxHarness { return newTxBackEnd(txSpoil{}).harness() })
}

func TestEveryBrokenHostTransactionIsCaughtByItsCase(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, by string
		spoil    txSpoil
	}{
		{"writes do not wait for the commit",
			"ReadCommitted/RollbackLeavesNothing", txSpoil{writesThrough: true}},
		{"the commit is lost",
			"ReadCommitted/CommitMakesDurable", txSpoil{losesCommit: true}},
		{"a failure keeps the user",
			"ReadCommitted/FailureLeavesNoHalf", txSpoil{half: true}},
		{"a duplicate aborts the transaction",
			"ReadCommitted/DuplicateInside", txSpoil{poisons: true}},
		{"a duplicate aborts the transaction, racing",
			"ReadCommitted/SameNameRacing", txSpoil{poisons: true}},
		{"the context is ignored",
			"RepeatableRead/CanceledBeforeInside", txSpoil{ignoresCtx: true}},
		{"an aborted transaction is an empty conflict",
			"RepeatableRead/SameNameAfterASnapshot", txSpoil{emptyConflict: true}},
		{"an aborted transaction is a raw error",
			"RepeatableRead/SameKeyAfterASnapshot", txSpoil{neverRetry: true}},
		{"Read Committed asks for a retry",
			"ReadCommitted/SameKeyRacing", txSpoil{alwaysRetry: true}},
		{"who does not know of the transaction may write",
			"ReadCommitted/RefusesWhoDoesNotKnow", txSpoil{takesAnybody: true}},
		{"edits do not wait for the commit",
			"ReadCommitted/EditInside", txSpoil{writesThrough: true}},
		{"deletions do not wait for the commit",
			"ReadCommitted/DeleteInside", txSpoil{writesThrough: true}},
		{"redemptions do not wait for the commit",
			"ReadCommitted/RedeemInside", txSpoil{writesThrough: true}},
		{"a bad token keeps the hash changed",
			"ReadCommitted/FailedRedemptionInside", txSpoil{half: true}},
		{"changes of roles do not wait for the commit",
			"ReadCommitted/RolesInside", txSpoil{writesThrough: true}},
		{"a refused edit keeps the user changed",
			"ReadCommitted/FailedEditInside", txSpoil{half: true}},
		{"batches do not wait for the commit",
			"ReadCommitted/BatchInside", txSpoil{writesThrough: true}},
		{"a refused batch keeps the first of it",
			"ReadCommitted/FailedBatchInside", txSpoil{half: true}},
		{"of a batch one who does not know of the transaction may write",
			"ReadCommitted/BatchRefusesWhoDoesNotKnow", txSpoil{takesAnybody: true}},
		{"a taken name of a role aborts the transaction",
			"ReadCommitted/FailedRolesInside", txSpoil{poisons: true}},
		{"Read Committed asks for a retry of edits",
			"ReadCommitted/EditsRacing", txSpoil{alwaysRetry: true}},
		{"a taken name aborts the transaction, racing",
			"ReadCommitted/RenamesRacing", txSpoil{poisons: true}},
		{"keys are not kept",
			"ReadCommitted/RetryAfterUnknownOutcome", txSpoil{noRecord: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				err := storetest.CheckTx(func() (storetest.TxHarness, func(), error) {
					return newTxBackEnd(c.spoil).harness(), nil, nil
				})
				if got := breached(err); !slices.Contains(got, c.by) {
					t.Errorf("got breaches %q, want %s among them\n%v", got, c.by, err)
				}
			})
		})
	}
}

func TestNoIsolationLevelAtAllIsAnError(t *testing.T) {
	t.Parallel()
	err := storetest.CheckTx(func() (storetest.TxHarness, func(), error) {
		begin := func(context.Context, sql.IsolationLevel) (storetest.Tx, error) {
			return storetest.Tx{}, errors.ErrUnsupported
		}
		return storetest.TxHarness{Store: memstore.New(), Begin: begin}, nil, nil
	})
	if err == nil || len(breaches(err)) > 0 {
		t.Errorf("got %v, want an error that is no breach", err)
	}
}
