// Package storetest proves that a Store keeps its contract: the comments on
// [users.Store], [users.OutboxStore] and [users.TokenStore]. Whoever writes a
// store of their own runs it in one test:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t testing.TB) users.Store { return newEmptyStore(t) })
//	}
//
// Each case checks one clause, which it quotes when it fails, on a fresh store.
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

// caseTimeout bounds one case. A store that does not honour its context may
// hang longer; go test's own timeout then shows where.
const caseTimeout = time.Minute

// Run checks the stores that fresh makes, one empty store for each case, as
// subtests that bear the names of the cases. The cases run one after the other,
// many of them call their store from 20 goroutines at once. What fresh opens it
// closes with t.Cleanup.
//
// The cases of the outbox and of the tokens are skipped, each by its name, if
// the Store is no users.OutboxStore or no users.TokenStore. So that none is
// skipped by mistake, let the compiler hold what your store promises:
//
//	var _ users.OutboxStore = (*Store)(nil)
//	var _ users.TokenStore = (*Store)(nil)
func Run(t *testing.T, fresh func(testing.TB) users.Store) {
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			s := fresh(t)
			if lacks := c.needs.lackedBy(s); lacks != "" {
				t.Skipf("the Store is no users.%s: not checked: %s", lacks, c.clause)
			}
			if err := c.check(s); err != nil {
				t.Error(err)
			}
		})
	}
}

// Check is Run without a test. fresh gives an empty store and, unless it is
// nil, done to close it. The error joins a [*Breach] for every case that a store
// failed, and whatever error fresh gave.
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
	Clause string   // what the contract says
	Found  []string // what the store did instead
}

func (b *Breach) Error() string {
	text := fmt.Sprintf("storetest: %s: %q", b.Case, b.Clause)
	for _, f := range b.Found {
		text += "\n\t" + f
	}
	return text
}

// testCase checks one clause.
type testCase struct {
	name, clause string
	needs        capability
	run          func(*probe)
}

// capability is what a case needs of the store beyond users.Store.
type capability int

const (
	outbox capability = 1 << iota
	tokens
)

// lackedBy names the interface that s does not implement; empty if it has all.
func (c capability) lackedBy(s users.Store) string {
	if _, ok := s.(users.OutboxStore); !ok && c&outbox != 0 {
		return "OutboxStore"
	}
	if _, ok := s.(users.TokenStore); !ok && c&tokens != 0 {
		return "TokenStore"
	}
	return ""
}

func cases() []testCase {
	var all []testCase
	for _, group := range [][]testCase{
		applicationCases(), roleCases(), userCases(), uniquenessCases(), atomicityCases(),
		updateCases(), replayCases(), contextCases(), outboxCases(), tokenCases(),
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

func runProbe(ctx context.Context, s users.Store, name, clause string, run func(*probe)) error {
	p := &probe{ctx: ctx, Store: s}
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
	if p.mu.Lock(); len(p.found) > 0 {
		return &Breach{Case: name, Clause: clause, Found: p.found}
	}
	return nil
}
