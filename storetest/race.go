package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gousers/users"
)

// racers is how many writers race: more than the connections of a usual pool.
const racers = 20

// race calls f from racers goroutines at once and returns their errors.
func (p *probe) race(f func(i int) error) []error { return p.raceOf(racers, f) }

// raceOf is race with n goroutines.
func (p *probe) raceOf(n int, f func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			defer func() {
				if v := recover(); v != nil {
					errs[i] = fmt.Errorf("panic: %v", v)
				}
			}()
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// wantOneWinner notes a race that has not exactly one winner, and losers whose
// error is not as it should be. It returns the winner.
func (p *probe) wantOneWinner(call string, errs []error, lost func(error) bool) (winner int) {
	winner = -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			p.errorf("%s: %d and %d both succeeded, want one", call, winner, i)
		case err == nil:
			winner = i
		case !lost(err):
			p.errorf("%s: a loser got error %v", call, err)
		}
	}
	if winner < 0 {
		p.fatalf("%s: nobody succeeded of %d, want one", call, len(errs))
	}
	return winner
}

// isError accepts what matches want.
func isError(want error) func(error) bool {
	return func(err error) bool { return errors.Is(err, want) }
}

// isConflict accepts a *ConflictError that names these members.
func isConflict(members ...string) func(error) bool {
	return func(err error) bool {
		var c *users.ConflictError
		return errors.As(err, &c) && slices.Equal(c.Members, members)
	}
}

// eventually calls f until it reports true. Where the store's own clock must run
// on there is nothing to wait for but time.
func (p *probe) eventually(what string, f func() bool) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(10 * time.Second)
	for !f() {
		select {
		case <-tick.C:
		case <-limit:
			p.fatalf("%s: not within 10 s", what)
		}
	}
}
