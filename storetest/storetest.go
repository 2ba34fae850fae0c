// Package storetest checks that a [users.Store] keeps its contract, which is
// written in the comments of [users.Store] and of the interfaces that a store may
// have besides, from [users.OutboxStore] to [users.BatchStore]. Whoever writes a store
// runs it in one test:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t testing.TB) users.Store { return newEmptyStore(t) })
//	}
//
// # Reading a failure
//
// Each case checks one clause of the contract on a fresh, empty store. When it
// fails it quotes the clause, and lists what the store did instead:
//
//	--- FAIL: TestStore/UserUnknownRole
//	    storetest: UserUnknownRole: "a role of n.Roles that does not exist in it is ErrNotFound"
//	        CreateUser with an unknown role: got error <nil>, want users: not found
//	        the user is there, found by its id
//
// Take the first failure first: the cases come in the order in which a store is
// written, and later ones rest on what earlier ones check. One case runs alone
// with go test -run 'TestStore/UserUnknownRole'.
//
// # The groups
//
//   - Applications and roles: what is stored comes back, every taken member is
//     named, keys are bytes, applications do not see each other's rows.
//   - Users: every field at its limits, times, raw JSON, roles, look-ups by key,
//     and that the store shares no memory with its caller.
//   - Uniqueness: conflicts, one after the other and racing.
//   - Atomicity: CreateUser writes all or nothing, whatever its hook does.
//   - Status: updates from a version, also racing.
//   - Idempotency: live keys refuse, dead ones are replaced, Purge is bounded.
//   - Contexts: who gives up, before, during or while waiting, leaves no trace.
//   - Outbox and tokens, and then what a store may do besides, if it does:
//   - Lists: filters, orders, ties, pages by number and after a user, counts.
//   - Edits and deletions: all or nothing from a version, in the order in which they are
//     judged, also racing; nothing is left for a new user with the same id.
//   - Roles: renamed, and taken from everybody at once; Purge takes what is left.
//   - Applications: listed, and changed from a version.
//   - Sign-ins: of guesses that arrive together no more are judged than are free.
//   - Batches: those that can be created are, the others leave nothing; also racing.
//
// The cases whose names begin with Racing call the store from 20 goroutines at
// once; run them with the race detector too.
//
// # Capabilities and wrappers
//
// The cases of a capability are skipped, each by its name, if the Store does not have
// it: [users.OutboxStore], [users.TokenStore], [users.UserLister], [users.UserEditor],
// [users.RoleEditor], [users.ApplicationEditor], [users.LoginStore] and
// [users.BatchStore], each for itself. They are looked for with [users.StoreAs], as a
// [users.Service] does: a wrapper with a method Unwrap is checked with the capabilities of
// the store inside. That all are one store needs no case of its own: what CreateUser writes
// through the wrapper is looked for through the capability by most of the others.
//
// # Transactions of the host
//
// A store that also writes inside the host's own transactions has a second test,
// [RunTx].
package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"testing"
	"time"

	"github.com/gousers/users"
)

// caseTimeout bounds one case. A store that does not honor its context may hang
// longer; go test's own timeout then shows where.
const caseTimeout = time.Minute

// Run checks the stores that fresh returns, one empty store for each case, as
// subtests that bear the names of the cases. The cases run one after the other.
// What fresh opens it closes with t.Cleanup.
//
// A case is skipped if the store lacks the capability that it needs. So that none
// is skipped by mistake, let the compiler hold what your store promises:
//
//	var _ users.OutboxStore = (*Store)(nil)
//	var _ users.TokenStore = (*Store)(nil)
//	var _ users.UserLister = (*Store)(nil)
func Run(t *testing.T, fresh func(testing.TB) users.Store) {
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			s := fresh(t)
			if lacks := c.needs.lackedBy(s); lacks != "" {
				t.Skipf("the Store has no users.%s: not checked: %s", lacks, c.clause)
			}
			if err := c.check(s); err != nil {
				t.Error(err)
			}
		})
	}
}

// Check is [Run] without a test. fresh returns an empty store and, unless it is
// nil, done to close it. The error joins a [*Breach] for every case that a store
// failed, and whatever error fresh returned.
func Check(fresh func() (s users.Store, done func(), err error)) error {
	var all []error
	for _, c := range cases() {
		s, done, err := fresh()
		if err != nil {
			all = append(all, fmt.Errorf("storetest: %s: no store: %w", c.name, err))
			continue
		}
		if c.needs.lackedBy(s) == "" {
			all = append(all, c.check(s))
		}
		if done != nil {
			done()
		}
	}
	return errors.Join(all...)
}

// Breach is a clause of the contract that a store does not keep.
type Breach struct {
	Case   string   // the name of the case, as in Run
	Clause string   // what the contract says; "…" where it is shortened
	Found  []string // what the store did instead
}

// Error returns the case and the clause, and each finding on a line of its own.
func (b *Breach) Error() string {
	text := fmt.Sprintf("storetest: %s: %q", b.Case, b.Clause)
	for _, f := range b.Found {
		text += "\n\t" + f
	}
	return text
}

// testCase checks one clause, which it quotes from the comments of the contract.
type testCase struct {
	name   string
	needs  capability
	run    func(*probe)
	clause string
}

// capability is a set of what a case needs of a store.
type capability int

// What a case needs; anyStore is users.Store alone.
const (
	withOutbox capability = 1 << iota
	withTokens
	withLister
	withEditor
	withRoleEditor
	withApplicationEditor
	withLogins
	withBatches

	anyStore capability = 0
)

// lackedBy names an interface that s does not have; empty if it has all.
func (c capability) lackedBy(s users.Store) string {
	for _, k := range []struct {
		needed capability
		name   string
		there  bool
	}{
		{withOutbox, "OutboxStore", has[users.OutboxStore](s)},
		{withTokens, "TokenStore", has[users.TokenStore](s)},
		{withLister, "UserLister", has[users.UserLister](s)},
		{withEditor, "UserEditor", has[users.UserEditor](s)},
		{withRoleEditor, "RoleEditor", has[users.RoleEditor](s)},
		{withApplicationEditor, "ApplicationEditor", has[users.ApplicationEditor](s)},
		{withLogins, "LoginStore", has[users.LoginStore](s)},
		{withBatches, "BatchStore", has[users.BatchStore](s)},
	} {
		if c&k.needed != 0 && !k.there {
			return k.name
		}
	}
	return ""
}

func has[T any](s users.Store) bool {
	_, ok := users.StoreAs[T](s)
	return ok
}

// cases returns all cases, the simple ones first: later ones rest on what earlier
// ones check.
func cases() []testCase {
	var all []testCase
	for _, group := range [][]testCase{
		applicationCases(),
		roleCases(),
		userCases(),
		uniquenessCases(),
		atomicityCases(),
		statusCases(),
		idempotencyCases(),
		contextCases(),
		outboxCases(),
		tokenCases(),
		listCases(),
		editCases(),
		deleteCases(),
		roleEditCases(),
		applicationEditCases(),
		loginCases(),
		batchCases(),
	} {
		all = append(all, group...)
	}
	return all
}

// check runs c on s; its error is nil or a *Breach.
func (c testCase) check(s users.Store) error {
	ctx, cancel := context.WithTimeout(context.Background(), caseTimeout)
	defer cancel()
	return runProbe(ctx, s, c.name, c.clause, c.run)
}

// runProbe runs one case on s. A panic, of the store or in what it called, is a
// finding like any other, so that the remaining cases still run.
func runProbe(ctx context.Context, s users.Store, name, clause string, run func(*probe)) error {
	p := newProbe(ctx, s)
	func() {
		defer func() {
			switch v := recover(); v.(type) {
			case nil, stop:
			default:
				p.errorf("panic: %v\n%s", v, debug.Stack())
			}
		}()
		run(p)
	}()

	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.found) > 0 {
		return &Breach{Case: name, Clause: clause, Found: p.found}
	}
	return nil
}
