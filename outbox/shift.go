package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gousers/users"
)

const (
	// maxBatch bounds what one claim takes, and with it the rows in memory.
	maxBatch = 256
	// storeTimeout bounds the store calls that must be tried after ctx has ended.
	storeTimeout = 5 * time.Second
	// purgeLimit is how many records one purge takes at a time.
	purgeLimit = 1000
)

// Run delivers until ctx ends and then returns nil, once what it was
// delivering has been delivered or has failed: at most Timeout and a few
// seconds later. Rows that it had claimed but not begun are given back. A call of
// a notifier that does not return, though its own context has ended, is not waited for.
func (r *Relay) Run(ctx context.Context) error {
	var purging sync.WaitGroup
	purging.Go(func() { r.purgeNowAndThen(ctx) })
	defer purging.Wait()
	r.work(ctx, context.WithoutCancel(ctx), false)
	return nil
}

// Drain delivers what is due, whoever wrote it, and returns when a claim finds
// no more due row and everything that it claimed has been settled. What is not
// due yet, such as another attempt of what failed, stays for later.
//
// When ctx ends, deliveries are cancelled and the error is ctx's. When the
// store fails Drain gives up with its error. A delivery that fails is no error
// of Drain: the log and Service.Notifications tell.
func (r *Relay) Drain(ctx context.Context) error { return r.work(ctx, ctx, true) }

// job is one claimed row.
type job struct {
	users.OutboxRow
	worker string    // who holds the lease
	ends   time.Time // when the lease ends, or a little earlier; by this process's monotonic clock
}

// shift is one run of work: the workers' view of it.
type shift struct {
	*Relay
	ctx     context.Context // ends the shift
	calling context.Context // ends the calls of the notifier
	jobs    chan job
	claimed sync.WaitGroup // jobs that are not settled
}

// work claims and hands out until ctx ends or, draining, nothing is due.
func (r *Relay) work(ctx, calling context.Context, drain bool) error {
	s := &shift{Relay: r, ctx: ctx, calling: calling, jobs: make(chan job)}
	var workers sync.WaitGroup
	for range r.o.Workers {
		workers.Go(func() {
			for j := range s.jobs {
				s.handle(j)
			}
		})
	}
	err := s.claimAll(drain)
	close(s.jobs)
	workers.Wait()
	return err
}

func (s *shift) claimAll(drain bool) error {
	batch, broken, idle := s.o.Workers, 0, false
	for s.ctx.Err() == nil {
		began := time.Now()
		jobs, err := s.claim(batch)
		if err != nil && s.ctx.Err() == nil {
			if drain {
				return fmt.Errorf("outbox: claim: %w", err)
			}
			broken++
			s.o.Logger.ErrorContext(s.ctx, "outbox: the store gave no notifications", "error", err)
			sleep(s.ctx, min(s.backoff(broken), time.Minute))
			continue
		}
		broken = 0
		s.hand(jobs)
		if slices.ContainsFunc(jobs, func(j job) bool { return j.Attempts > 1 && j.LastError == "" }) {
			// Whoever held it died, perhaps of it: few rows share its fate.
			batch = 1
			continue
		}
		switch full := len(jobs) == batch; {
		case full:
			batch = s.resize(batch, time.Since(began))
		case drain && len(jobs) == 0 && idle:
			return nil
		case drain:
			s.claimed.Wait()
			idle = len(jobs) == 0
		default:
			sleep(s.ctx, s.o.Poll)
		}
	}
	if drain {
		return fmt.Errorf("outbox: drain: %w", s.ctx.Err())
	}
	return nil
}

// resize makes the batch as large as can be handed out well before the rows
// would have to be given back because their leases run out.
func (s *shift) resize(batch int, took time.Duration) int {
	switch window := s.o.Lease - s.o.Timeout - s.grace; {
	case took < window/8:
		return min(2*batch, maxBatch)
	case took > window/2:
		return max(batch/2, 1)
	}
	return batch
}

// claim takes up to limit rows, under a name that is used for this claim only:
// the late result of an earlier lease must not pass for that of a later one.
func (s *shift) claim(limit int) (jobs []job, err error) {
	defer func() { err = s.recovered(recover(), err) }()
	worker := s.name + "." + strconv.FormatUint(s.claims.Add(1), 36)
	began := time.Now()
	rows, err := s.box.Claim(s.ctx, users.Claim{Worker: worker, Lease: s.o.Lease, Limit: limit})
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		jobs = append(jobs, job{row, worker, began.Add(s.o.Lease)})
	}
	s.claimed.Add(len(jobs))
	return jobs, nil
}

// hand gives the jobs to the workers as these become free. When ctx ends it
// gives the rest back to the store.
func (s *shift) hand(jobs []job) {
	for i, j := range jobs {
		select {
		case s.jobs <- j:
			continue
		case <-s.ctx.Done():
		}
		until, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), storeTimeout)
		defer cancel()
		for _, j := range jobs[i:] {
			if until.Err() == nil {
				_ = s.trySettle(until, s.untouched(j, 0)) // else the lease runs out
			}
			s.claimed.Done()
		}
		return
	}
}

// handle delivers one row and stores the outcome. Whatever panics here costs
// one attempt: the lease runs out and the row is claimed again.
func (s *shift) handle(j job) {
	defer s.claimed.Done()
	defer func() {
		if err := s.recovered(recover(), nil); err != nil {
			s.o.Logger.ErrorContext(s.calling, "outbox: delivery broke down", attrs(j, "error", err)...)
		}
	}()
	if j.Attempts > s.o.MaxAttempts {
		// The processes that made the last attempts did not live to tell.
		s.finish(j, s.abandoned(j, "no outcome of the last attempt is known"))
		return
	}
	select {
	case s.calls <- struct{}{}:
	case <-s.ctx.Done():
		s.finish(j, s.untouched(j, 0))
		return
	}
	if time.Until(j.ends) < s.o.Timeout+s.grace {
		<-s.calls
		s.o.Logger.WarnContext(s.calling, "outbox: given back, too little of the lease was left", attrs(j)...)
		s.finish(j, s.untouched(j, 0)) // it waited too long here: another relay may be free
		return
	}
	s.finish(j, s.settlement(j, s.deliver(j))) // the call gives its place in s.calls back
}

// finish stores an outcome, again and again while the lease holds: what was
// delivered and could not be marked is delivered twice.
func (s *shift) finish(j job, outcome users.Settlement) {
	for try := 1; ; try++ {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), storeTimeout)
		err := s.trySettle(ctx, outcome)
		cancel()
		switch {
		case err == nil:
			return
		case errors.Is(err, users.ErrStale):
			s.o.Logger.WarnContext(s.calling, "outbox: outcome dropped, the lease was lost", attrs(j)...)
			return
		}
		s.o.Logger.ErrorContext(s.calling, "outbox: the store did not take an outcome", attrs(j, "error", err)...)
		wait := min(s.backoff(try)/4, storeTimeout)
		if s.ctx.Err() != nil || time.Until(j.ends) < wait {
			return
		}
		sleep(s.ctx, wait)
	}
}

func (r *Relay) trySettle(ctx context.Context, outcome users.Settlement) (err error) {
	defer func() { err = r.recovered(recover(), err) }()
	return r.box.Settle(ctx, outcome)
}

// purgeNowAndThen deletes what has expired. The first time comes at random, so
// that processes started together do not all purge at once.
func (r *Relay) purgeNowAndThen(ctx context.Context) {
	sleep(ctx, time.Duration(r.o.Rand()*float64(r.o.PurgeEvery)))
	for ctx.Err() == nil {
		n, err := r.purge(ctx)
		if err != nil && ctx.Err() == nil {
			r.o.Logger.ErrorContext(ctx, "outbox: purge failed", "error", err)
		}
		if err != nil || n < purgeLimit {
			sleep(ctx, r.o.PurgeEvery)
		}
	}
}

func (r *Relay) purge(ctx context.Context) (n int, err error) {
	defer func() { err = r.recovered(recover(), err) }()
	return r.svc.Purge(ctx, purgeLimit)
}

// attrs are what every log line about a row says.
func attrs(j job, more ...any) []any {
	return append([]any{
		slog.String("notification", j.ID), slog.String("application", j.ApplicationID),
		slog.String("kind", j.Kind), slog.Int("attempt", j.Attempts),
	}, more...)
}
