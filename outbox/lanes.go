package outbox

import (
	"context"
	"slices"
	"sync"
	"time"
)

// lane is what a pool knows of one application.
type lane struct {
	jobs    []job // claimed and not begun
	running int   // being delivered
	batch   int   // how many rows to claim at a time

	// Of the last claim:
	at       time.Time
	limit    int
	full     bool // there may be more where that came from
	orphaned bool // one of its rows was
}

// plan is a claim that is worth its while.
type plan struct {
	after   string
	except  []string
	limit   int
	nothing bool // the pool held no job when it was made
}

// lanes shares the workers of a pool among applications. An application may have no
// more deliveries under way than there are free workers: alone it gets half of them,
// the next one half of what is left, and so on, so that some are left for others
// even where the deliveries of a few never end ("dynamic queue length thresholds",
// Choudhury and Hahne, 1998).
type lanes struct {
	ctx     context.Context // nothing is begun when it has ended
	workers int
	window  time.Duration // within which a claimed row must be begun
	changed chan struct{} // receives when nextClaim may have another answer

	mu        sync.Mutex
	ready     sync.Cond // there is something to begin, or no more to come
	closed    bool
	all       map[string]*lane // by application
	turns     []*lane          // those that have jobs, the next to be served first
	waiting   int              // jobs that are not begun
	busy      int              // workers that deliver
	unsettled int              // jobs that are claimed

	last    string // the application that was claimed last
	untried int    // how many rows to claim of an application of which nothing is known
	empty   *plan  // the last claim, if that found nothing
}

func newLanes(ctx context.Context, workers int, window time.Duration) *lanes {
	l := &lanes{
		ctx: ctx, workers: workers, window: window, changed: make(chan struct{}, 1),
		all: map[string]*lane{}, untried: workers,
	}
	l.ready.L = &l.mu
	return l
}

// next returns a job for a worker, which must call done after it. It waits for one;
// false means that there will be none.
func (l *lanes) next() (j job, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.closed && l.ctx.Err() == nil {
		if i := l.startable(); i >= 0 {
			j = l.start(i)
			if l.startable() >= 0 {
				l.ready.Signal()
			} else {
				l.change()
			}
			return j, true
		}
		l.change()
		l.ready.Wait()
	}
	return job{}, false
}

// free is how many workers deliver nothing.
func (l *lanes) free() int { return l.workers - l.busy }

// startable returns whose turn it is of those that may begin another delivery; -1:
// nobody's.
func (l *lanes) startable() int {
	return slices.IndexFunc(l.turns, func(a *lane) bool { return a.running < l.free() })
}

// start takes a job of the lane whose turn is i, and puts that one last.
func (l *lanes) start(i int) job {
	a := l.turns[i]
	l.turns = slices.Delete(l.turns, i, i+1)
	j := a.jobs[0]
	a.jobs = a.jobs[1:]
	a.running++
	l.busy++
	l.waiting--

	if len(a.jobs) > 0 {
		l.turns = append(l.turns, a)
	} else {
		a.jobs = nil
		a.resize(l.window)
	}
	return j
}

// resize sets the size of the next batch when the last one has been begun: as many
// rows as can be begun well before their leases are too short.
func (a *lane) resize(window time.Duration) {
	switch took := time.Since(a.at); {
	case !a.full || a.orphaned:
	case took < window/8:
		a.batch = max(a.batch, min(2*a.limit, maxBatch))
	case took > window/2:
		a.batch = max(a.limit/2, 1)
	}
}

// done ends what next began.
func (l *lanes) done(j job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	j.lane.running--
	l.busy--
	l.unsettled--
	l.change()
}

// nextClaim returns a claim if a worker has nothing to do, and the claim may find
// something for it. Where the last one found nothing it may only if an application
// that was excepted then is no longer, or, to end a drain, when the pool holds nothing.
func (l *lanes) nextClaim(drain bool) (p plan, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.free() == 0 || l.startable() >= 0 || l.waiting >= maxBatch {
		return plan{}, false
	}

	p = plan{after: l.last, nothing: l.unsettled == 0}
	for app, a := range l.all {
		switch {
		case len(a.jobs) > 0 || a.running >= l.free():
			p.except = append(p.except, app)
		case a.full && (p.limit == 0 || a.batch < p.limit):
			p.limit = a.batch // one that is slow must not get what suits another
		}
	}
	if p.limit == 0 {
		p.limit = l.untried
	}
	p.limit = min(p.limit, maxBatch-l.waiting)
	if l.empty == nil || drain && p.nothing {
		return p, true
	}
	slices.Sort(p.except)
	return p, slices.ContainsFunc(l.empty.except, func(app string) bool {
		_, still := slices.BinarySearch(p.except, app)
		return !still
	})
}

// add adds the jobs that the claim p, which was sent at this time, returned.
func (l *lanes) add(p plan, at time.Time, jobs []job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(jobs) == 0 {
		l.passOver(p, func(string) bool { return true })
		l.empty = &p
		return
	}
	l.passOver(p, func(app string) bool { return between(p.after, app, jobs[0].ApplicationID) })
	l.empty = nil
	l.unsettled += len(jobs)
	l.waiting += len(jobs)

	l.last = jobs[0].ApplicationID
	a := l.all[l.last]
	if a == nil {
		l.forget()
		a = &lane{batch: p.limit}
		l.all[l.last] = a
	}
	if len(a.jobs) == 0 {
		l.turns = append(l.turns, a)
	}
	for _, j := range jobs {
		j.lane = a
		a.jobs = append(a.jobs, j)
	}
	a.at, a.limit, a.full = at, p.limit, len(jobs) >= p.limit
	a.orphaned = slices.ContainsFunc(jobs, job.orphaned)

	l.untried = min(2*l.untried, l.workers)
	if a.orphaned { // if one of them kills the process, few share its fate
		l.untried = 1
		for _, a := range l.all {
			a.batch = 1
		}
	}
	l.ready.Signal()
}

// passOver notes that of some applications the claim p found nothing, though it asked
// for them: they say no more how much to claim.
func (l *lanes) passOver(p plan, some func(application string) bool) {
	for app, a := range l.all {
		if some(app) && !slices.Contains(p.except, app) {
			a.full = false
		}
	}
}

// between reports whether x comes after one id and before another, around the end.
func between(after, x, before string) bool {
	if after < before {
		return after < x && x < before
	}
	return x > after || x < before
}

// forget bounds what is remembered of applications that have no job.
func (l *lanes) forget() {
	if len(l.all) < maxBatch {
		return
	}
	for app, a := range l.all {
		if len(a.jobs) == 0 && a.running == 0 {
			delete(l.all, app)
		}
	}
}

// poll lets the next claim ask for all applications again.
func (l *lanes) poll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.empty = nil
}

// close lets the workers end and returns the jobs that none has begun.
func (l *lanes) close() (jobs []job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.ready.Broadcast()
	for _, a := range l.turns {
		jobs = append(jobs, a.jobs...)
	}
	return jobs
}

// change says that nextClaim may have another answer.
func (l *lanes) change() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}
