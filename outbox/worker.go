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
	// maxBatch bounds the rows in memory that wait for a worker.
	maxBatch = 256
	// storeTimeout bounds the store calls that must be tried after ctx has ended.
	storeTimeout = 5 * time.Second
	// purgeLimit is how many records one purge deletes at a time.
	purgeLimit = 1000
)

// job is one claimed row.
type job struct {
	users.NotificationRecord
	lane   *lane
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
	lanes    *lanes
}

// work claims and delivers until ctx ends or, draining, nothing is due.
func (r *Relay) work(ctx, delivery context.Context, drain bool) error {
	window := r.o.Lease - r.o.Timeout - r.grace
	p := &pool{Relay: r, ctx: ctx, delivery: delivery, lanes: newLanes(ctx, r.o.Workers, window)}
	var workers sync.WaitGroup
	for range r.o.Workers {
		workers.Go(func() {
			for j, ok := p.lanes.next(); ok; j, ok = p.lanes.next() {
				p.handle(j)
			}
		})
	}

	err := p.claimAll(drain)
	p.releaseAll(p.lanes.close())
	workers.Wait()
	return err
}

func (p *pool) claimAll(drain bool) error {
	poll := time.NewTimer(p.o.Poll)
	defer poll.Stop()
	failures := 0
	for p.ctx.Err() == nil {
		next, ok := p.lanes.nextClaim(drain)
		if !ok {
			select {
			case <-p.lanes.changed:
			case <-poll.C:
				if !drain {
					p.lanes.poll()
				}
			case <-p.ctx.Done():
			}
			continue
		}

		start := time.Now()
		jobs, err := p.claim(next, start)
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
		p.lanes.add(next, start, jobs)
		if len(jobs) == 0 {
			if drain && next.nothing {
				return nil
			}
			poll.Reset(p.o.Poll)
		}
	}

	if drain {
		return fmt.Errorf("outbox: drain: %w", p.ctx.Err())
	}
	return nil
}

// claim takes rows under a name that is used for this claim only: the late result of
// an earlier lease must not pass for that of a later one.
func (p *pool) claim(next plan, start time.Time) (jobs []job, err error) {
	defer func() { err = p.recovered("claim", recover(), err) }()

	worker := p.name + "." + strconv.FormatUint(p.claims.Add(1), 36)
	rows, err := p.box.Claim(p.ctx, users.Claim{
		Worker: worker, Lease: p.o.Lease, Limit: next.limit, After: next.after, Except: next.except,
	})
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		jobs = append(jobs, job{NotificationRecord: row, worker: worker, ends: start.Add(p.o.Lease)})
	}
	return jobs, nil
}

// releaseAll returns to the store what no worker has begun, as many rows at a time as
// there are workers. What fails in storeTimeout stays leased until the leases end.
func (p *pool) releaseAll(jobs []job) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), storeTimeout)
	defer cancel()
	var all sync.WaitGroup
	for part := range slices.Chunk(jobs, len(jobs)/p.o.Workers+1) {
		all.Go(func() {
			for _, j := range part {
				if ctx.Err() == nil {
					s, _ := p.decide(j, result{status: released})
					_ = p.trySettle(ctx, s)
				}
			}
		})
	}
	all.Wait()
}

// handle processes one row. Whatever panics here costs one attempt: the lease
// runs out and the row is claimed again.
func (p *pool) handle(j job) {
	defer p.lanes.done(j)
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

// purgeUntil deletes what has expired, and what was given up long ago, until ctx
// ends. The first time is random, so that processes started together do not all
// purge at once.
func (r *Relay) purgeUntil(ctx context.Context) {
	sleep(ctx, time.Duration(r.o.Rand()*float64(r.o.PurgeEvery)))
	for ctx.Err() == nil {
		expired, err := r.purge(func() (int, error) { return r.svc.Purge(ctx, purgeLimit) })
		discarded, errDiscarded := r.purge(func() (int, error) { return r.box.PurgeDiscarded(ctx, r.o.KeepDiscarded, purgeLimit) })
		if err = errors.Join(err, errDiscarded); err != nil && ctx.Err() == nil {
			r.o.Logger.ErrorContext(ctx, "outbox: purge failed", "error", err)
		}
		if err != nil || max(expired, discarded) < purgeLimit {
			sleep(ctx, r.o.PurgeEvery)
		}
	}
}

// purge calls what deletes, and returns how much that was.
func (r *Relay) purge(some func() (int, error)) (n int, err error) {
	defer func() { err = r.recovered("purge", recover(), err) }()
	return some()
}
