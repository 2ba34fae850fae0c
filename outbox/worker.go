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
	// purgeLimit is how many records one purge deletes at a time.
	purgeLimit = 1000
)

// job is one claimed row.
type job struct {
	users.NotificationRecord
	worker string    // who holds the lease
	ends   time.Time // when the lease ends, or a little earlier; by this process's monotonic clock
}

// orphaned reports whether the process that made the last attempt died before it
// stored an outcome, perhaps because of this row.
func (j job) orphaned() bool { return j.Attempts > 1 && j.LastError == "" }

// pool is the workers of one call to Run or Drain.
type pool struct {
	*Relay
	ctx      context.Context // ends the claims
	delivery context.Context // ends the deliveries
	jobs     chan job
	claimed  sync.WaitGroup // jobs that are not settled
}

// work claims and dispatches until ctx ends or, draining, nothing is due.
func (r *Relay) work(ctx, delivery context.Context, drain bool) error {
	p := &pool{Relay: r, ctx: ctx, delivery: delivery, jobs: make(chan job)}
	var workers sync.WaitGroup
	for range r.o.Workers {
		workers.Go(func() {
			for j := range p.jobs {
				p.handle(j)
			}
		})
	}

	err := p.claimAll(drain)
	close(p.jobs)
	workers.Wait()
	return err
}

func (p *pool) claimAll(drain bool) error {
	batch, failures, idle := p.o.Workers, 0, false
	for p.ctx.Err() == nil {
		start := time.Now()
		jobs, err := p.claim(batch)
		switch {
		case err != nil && p.ctx.Err() != nil:
			continue
		case err != nil && drain:
			return fmt.Errorf("outbox: claim: %w", err)
		case err != nil:
			failures++
			p.o.Logger.ErrorContext(p.ctx, "outbox: claim failed", "error", err)
			sleep(p.ctx, min(p.backoff(failures), time.Minute))
			continue
		}
		failures = 0
		p.dispatch(jobs)
		idle = idle && len(jobs) == 0

		switch full := len(jobs) == batch; {
		case slices.ContainsFunc(jobs, job.orphaned):
			batch = 1 // if one of them kills the process, few share its fate
		case full:
			batch = p.resize(batch, time.Since(start))
		case drain && len(jobs) == 0 && idle:
			return nil
		case drain:
			p.claimed.Wait()
			idle = len(jobs) == 0
		default:
			sleep(p.ctx, p.o.Poll)
		}
	}

	if drain {
		return fmt.Errorf("outbox: drain: %w", p.ctx.Err())
	}
	return nil
}

// resize returns the size of the next batch: as many rows as can be dispatched
// well before their leases are too short. The last batch took so long.
func (p *pool) resize(batch int, took time.Duration) int {
	switch window := p.o.Lease - p.o.Timeout - p.grace; {
	case took < window/8:
		return min(2*batch, maxBatch)
	case took > window/2:
		return max(batch/2, 1)
	}
	return batch
}

// claim takes up to limit rows, under a name that is used for this claim only:
// the late result of an earlier lease must not pass for that of a later one.
func (p *pool) claim(limit int) (jobs []job, err error) {
	defer func() { err = p.recovered("claim", recover(), err) }()

	worker := p.name + "." + strconv.FormatUint(p.claims.Add(1), 36)
	start := time.Now()
	rows, err := p.box.Claim(p.ctx, users.Claim{Worker: worker, Lease: p.o.Lease, Limit: limit})
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		jobs = append(jobs, job{row, worker, start.Add(p.o.Lease)})
	}
	p.claimed.Add(len(jobs))
	return jobs, nil
}

// dispatch passes the jobs to the workers as these become free. When ctx ends it
// releases the rest.
func (p *pool) dispatch(jobs []job) {
	for i, j := range jobs {
		select {
		case p.jobs <- j:
		case <-p.ctx.Done():
			p.releaseAll(jobs[i:])
			return
		}
	}
}

// releaseAll returns to the store what no worker has begun. What fails in
// storeTimeout stays leased until the leases end.
func (p *pool) releaseAll(jobs []job) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), storeTimeout)
	defer cancel()
	for _, j := range jobs {
		if ctx.Err() == nil {
			s, _ := p.decide(j, result{status: released})
			_ = p.trySettle(ctx, s)
		}
		p.claimed.Done()
	}
}

// handle processes one row. Whatever panics here costs one attempt: the lease
// runs out and the row is claimed again.
func (p *pool) handle(j job) {
	defer p.claimed.Done()
	defer func() { _ = p.recovered("delivery", recover(), nil) }()

	settlement, e := p.decide(j, p.process(j))
	p.log(j, e)
	p.settle(j, settlement)
}

// process has j delivered, if it is not too late for that.
func (p *pool) process(j job) result {
	if j.Attempts > p.o.MaxAttempts {
		return result{reason: "the outcome of the last attempt is unknown"}
	}
	select {
	case p.calls <- struct{}{}:
	case <-p.ctx.Done():
		return result{status: released}
	}
	if time.Until(j.ends) < p.o.Timeout+p.grace {
		<-p.calls
		return result{status: leaseShort} // it waited too long here: another relay may be free
	}
	return p.deliver(j) // which frees the place in p.calls
}

// settle stores an outcome, again and again while the lease holds: what was
// delivered and could not be marked is delivered twice.
func (p *pool) settle(j job, s users.Settlement) {
	for try := 1; ; try++ {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), storeTimeout)
		err := p.trySettle(ctx, s)
		cancel()
		switch {
		case err == nil:
			return
		case errors.Is(err, users.ErrStale):
			p.log(j, event{slog.LevelWarn, "outbox: lease lost, outcome dropped", nil})
			return
		}

		p.log(j, event{slog.LevelError, "outbox: settle failed", []slog.Attr{slog.Any("error", err)}})
		wait := min(p.backoff(try)/4, storeTimeout)
		if p.ctx.Err() != nil || time.Until(j.ends) < wait {
			return
		}
		sleep(p.ctx, wait)
	}
}

func (p *pool) trySettle(ctx context.Context, s users.Settlement) (err error) {
	defer func() { err = p.recovered("settle", recover(), err) }()

	err = p.box.Settle(ctx, s)
	if errors.Is(err, users.ErrStale) { // here, because a method of err can panic
		return users.ErrStale
	}
	return err
}

// purgeUntil deletes what has expired until ctx ends. The first time is random,
// so that processes started together do not all purge at once.
func (r *Relay) purgeUntil(ctx context.Context) {
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
	defer func() { err = r.recovered("purge", recover(), err) }()
	return r.svc.Purge(ctx, purgeLimit)
}
