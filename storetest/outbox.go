package storetest

import (
	"crypto/sha256"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gousers/users"
)

func outboxCases() []testCase {
	return []testCase{
		{"ClaimInOrderOfDue", withOutbox, claimInOrderOfDue,
			"Claim leases up to c.Limit pending notifications that are due and not leased to anyone, all of " +
				"one application, adds one to their Attempts, and returns them: … the longest due"},
		{"UrgentFirst", withOutbox, urgentFirst,
			"urgent ones first, then the longest due"},
		{"ClaimByTurns", withOutbox, claimByTurns,
			"Applications take turns: of those that have such and are not in c.Except it is the first after " +
				"c.After, in the order of ids and around the end"},
		{"ClaimExcept", withOutbox, claimExcept,
			"of those that have such and are not in c.Except … If there is none, nothing is claimed"},
		{"ClaimOnce", withOutbox, claimOnce,
			"Claim leases up to c.Limit pending notifications that are due and not leased to anyone"},
		{"RacingClaims", withOutbox, racingClaims,
			"Every method is safe for concurrent use … Claim leases up to c.Limit pending notifications " +
				"that are due and not leased to anyone"},
		{"LeaseRunsOut", withOutbox, leaseRunsOut,
			"A lease is a duration, judged by the store's own clock alone"},
		{"LostLeaseIsStale", withOutbox, lostLeaseIsStale,
			"A worker whose lease has passed to another (or whose notification is gone) gets ErrStale and " +
				"changes nothing"},
		{"SettleDelivered", withOutbox, settleDelivered,
			"OutcomeDelivered: it was delivered, or there was nobody to tell. It is deleted"},
		{"SettleForRetry", withOutbox, settleForRetry,
			"OutcomeRetry: the attempt failed; it is pending and due in RetryIn"},
		{"SettleReleased", withOutbox, settleReleased,
			"OutcomeReleased: it was not attempted; it is pending and due in RetryIn, and the attempt that " +
				"Claim counted is taken back"},
		{"DiscardAndRetry", withOutbox, discardAndRetry,
			"Retry makes a discarded notification pending, due now, with no attempts; ErrNotFound if there " +
				"is no such discarded one"},
		{"DiscardedIsDatedNow", withOutbox, discardedIsDatedNow,
			"OutcomeDiscarded: given up; it is kept as StateDiscarded, and Due is now"},
		{"DiscardedArePurged", withOutbox, discardedArePurged,
			"PurgeDiscarded deletes up to limit discarded notifications, of all applications, that were given " +
				"up at least age ago, and returns how many"},
		{"RetryBesidePending", withOutbox, retryBesidePending,
			"Where another of the same user and kind is pending by now it is a *ConflictError with the " +
				`member "kind", and nothing changes`},
		{"TwoNotifications", withOutbox, twoNotifications,
			"CreateUser writes everything in n in one transaction … n.Notifications"},
		{"EnqueueIsDueNow", withOutbox, enqueueIsDueNow,
			"Enqueue adds r, pending and due now whatever r says; a zero Created is now"},
		{"NotificationOfNow", withOutbox, notificationOfNow,
			"A zero Created or Due of n.Notifications is now"},
		{"EnqueueOncePending", withOutbox, enqueueOncePending,
			"When a notification of the same user and kind is pending already, it adds none"},
		{"EnqueueHastens", withOutbox, enqueueHastens,
			"and makes that one due now … unless a worker holds it"},
		{"EnqueueMakesUrgent", withOutbox, enqueueMakesUrgent,
			"and makes that one due now, and urgent if r is, unless a worker holds it"},
		{"EnqueueHastensRarely", withOutbox, enqueueHastensRarely,
			"Nor is that one hastened before it is as old as its Attempts squared times minGap"},
		{"EnqueueHastensAfterTheGap", withOutbox | withTokens, enqueueHastensAfterTheGap,
			"or while a token of the user is less than minGap old: asking must not use up its attempts"},
		{"EnqueueKeepsTheGap", withOutbox | withTokens, enqueueKeepsTheGap,
			"while the youngest of the user's tokens is less than n squared times minGap old, it adds none. n counts " +
				"the messages that the tokens of the last RecoveryWindow belong to"},
		{"EnqueueCountsMessages", withOutbox | withTokens, enqueueCountsMessages,
			"n counts the messages … however many a message has; those without a NotificationID count as one"},
		{"EnqueueUnknownUser", withOutbox, enqueueUnknownUser,
			"A user that does not exist is ErrNotFound"},
		{"EnqueueTakenID", withOutbox, enqueueTakenID,
			"A user that does not exist is ErrNotFound; else a taken ID is an error, and nothing changes"},
		{"RacingEnqueues", withOutbox, racingEnqueues,
			"Of concurrent calls for one user one adds a row"},
		{"NotificationsListed", withOutbox, notificationsListed,
			"ListNotifications returns notifications of one application in order of ID"},
	}
}

// rows returns all notifications of an application.
func (p *probe) rows(applicationID string) []users.NotificationRecord {
	rows, err := p.outbox.ListNotifications(p.ctx, users.NotificationQuery{ApplicationID: applicationID})
	p.must("ListNotifications", err)
	return rows
}

// rowsOf returns the notifications of n.
func (p *probe) rowsOf(n *users.NewUser) []users.NotificationRecord {
	return slices.DeleteFunc(p.rows(n.ApplicationID), func(r users.NotificationRecord) bool {
		return r.UserID != n.ID
	})
}

func (p *probe) claim(worker string, lease time.Duration, limit int) []users.NotificationRecord {
	rows, err := p.outbox.Claim(p.ctx, users.Claim{Worker: worker, Lease: lease, Limit: limit})
	p.must("Claim", err)
	return rows
}

// claimOf claims for an hour what c selects.
func (p *probe) claimOf(c users.Claim) []users.NotificationRecord {
	c.Worker, c.Lease = "w", time.Hour
	rows, err := p.outbox.Claim(p.ctx, c)
	p.must("Claim", err)
	return rows
}

// claimOne returns the one row that is there to be claimed.
func (p *probe) claimOne(worker string, lease time.Duration) users.NotificationRecord {
	rows := p.claim(worker, lease, 10)
	if len(rows) != 1 {
		p.fatalf("Claim by %s: got %d rows, want 1", worker, len(rows))
	}
	return rows[0]
}

// claimEventually claims until there is something.
func (p *probe) claimEventually(what, worker string, lease time.Duration) (rows []users.NotificationRecord) {
	p.eventually(what, func() bool {
		rows = p.claim(worker, lease, 10)
		return len(rows) > 0
	})
	return rows
}

// wantNothingToClaim notes rows that are handed out.
func (p *probe) wantNothingToClaim(what, worker string) {
	if got := p.claim(worker, time.Hour, 10); len(got) != 0 {
		p.errorf("Claim %s: got %d rows, want none", what, len(got))
	}
}

// settle ends the lease of r.
func (p *probe) settle(r users.NotificationRecord, worker string, s users.Settlement) error {
	s.ApplicationID, s.ID, s.Worker = r.ApplicationID, r.ID, worker
	return p.outbox.Settle(p.ctx, s)
}

// end settles r with an outcome and nothing else.
func (p *probe) end(r users.NotificationRecord, worker string, o users.Outcome) {
	p.must("Settle", p.settle(r, worker, users.Settlement{Outcome: o}))
}

// waiting makes a user with a notification that has been due since due.
func (p *probe) waiting(app users.Application, due time.Time) users.NotificationRecord {
	n := p.full(app)
	n.Notifications[0].Due = due
	return p.create(n).Notifications[0]
}

// recovery returns a row for Enqueue.
func (p *probe) recovery(n *users.NewUser) users.NotificationRecord {
	r := p.notification(n, users.KindSetPassword)
	r.Created, r.Due, r.Urgent = base, base, true // as the Service makes it
	return r
}

// claimInOrderOfDue reads the rows of an application in the order of Due, in two
// steps, and leaves the one that is not due and another application's. Leased rows
// are still listed.
func claimInOrderOfDue(p *probe) {
	a := p.app()
	var want []users.NotificationRecord
	for i := range 9 {
		r := p.waiting(a, base.Add(time.Duration(i*5%9)*time.Second))
		r.Attempts = 1
		want = append(want, r)
	}
	slices.SortFunc(want, func(x, y users.NotificationRecord) int { return x.Due.Compare(y.Due) })
	p.waiting(a, time.Now().Add(24*time.Hour)) // not due
	other := p.waiting(p.app(), base)

	for _, none := range []int{0, -1} {
		if got := p.claim("w", time.Hour, none); len(got) != 0 {
			p.errorf("Claim with limit %d: got %d rows, want none", none, len(got))
		}
	}
	claim := func(limit int) []users.NotificationRecord {
		return p.claimOf(users.Claim{Limit: limit, Except: []string{other.ApplicationID}})
	}
	p.wantEqual("the four longest due", want[:4], claim(4))
	p.wantEqual("the rest", want[4:], claim(100))

	got := p.rows(a.ID)
	i := slices.IndexFunc(got, func(r users.NotificationRecord) bool { return r.ID == want[0].ID })
	if i < 0 {
		p.errorf("a leased row is not listed")
	} else {
		p.wantEqual("a leased row", want[0], got[i])
	}
}

// urgentFirst: who waits for a link must not wait for the notices of an import. The
// rows are due in the opposite order.
func urgentFirst(p *probe) {
	a := p.app()
	var urgent, others []string
	for i := range 4 {
		n := p.full(a)
		n.Notifications[0].Due = base.Add(time.Duration(i) * time.Second)
		if i%2 == 1 {
			n.Notifications[0].Urgent = true
			urgent = append(urgent, n.Notifications[0].ID)
		} else {
			others = append(others, n.Notifications[0].ID)
		}
		p.create(n)
	}
	late := p.recovery(p.create(p.user(a)))
	late.Urgent = true
	p.must("Enqueue", p.outbox.Enqueue(p.ctx, late, 0))
	urgent = append(urgent, late.ID)

	claim := func(what string, limit int, want ...string) {
		rows := p.claimOf(users.Claim{Limit: limit})
		p.wantStrings(what, rowIDs(rows), want)
		for _, r := range rows {
			if r.Urgent != slices.Contains(urgent, r.ID) {
				p.errorf("Urgent of a claimed row: got %v", r.Urgent)
			}
		}
	}
	claim("two of the urgent ones", 2, urgent[:2]...)
	claim("the last urgent one and the longest due", 2, urgent[2], others[0])
	claim("the rest", 10, others[1])
}

// apps returns applications in the order of their ids.
func (p *probe) apps(n int) (apps []users.Application) {
	for range n {
		apps = append(apps, p.app())
	}
	slices.SortFunc(apps, func(x, y users.Application) int { return strings.Compare(x.ID, y.ID) })
	return apps
}

// claimByTurns: the rows of the application that is served last have been due for
// longer than those of others, and are more.
func claimByTurns(p *probe) {
	apps := p.apps(4)
	nothing := apps[2] // it has nothing to send
	want := []users.Application{apps[0], apps[1], apps[3]}
	for i, a := range want {
		for range 3 + i {
			p.waiting(a, base.Add(-time.Duration(i)*time.Hour))
		}
	}

	turn := func(what, after string, limit int, want users.Application, rows int) {
		got := p.claimOf(users.Claim{Limit: limit, After: after})
		for _, r := range got {
			if r.ApplicationID != want.ID {
				p.errorf("Claim %s: got a row of another application than the one whose turn it is", what)
			}
		}
		if len(got) != rows {
			p.errorf("Claim %s: got %d rows, want %d", what, len(got), rows)
		}
	}
	turn("after none", "", 1, want[0], 1)
	turn("after the first", want[0].ID, 1, want[1], 1)
	turn("after an application without a row", nothing.ID, 1, want[2], 1)
	turn("after an unknown application", apps[2].ID+"!", 2, want[2], 2)
	turn("after the last", want[2].ID, 10, want[0], 2)
	turn("around the end, where one has no more", want[2].ID, 10, want[1], 3)
	turn("after the only one that is left", want[2].ID, 10, want[2], 2)
	turn("of nothing", want[0].ID, 10, want[0], 0)
}

// claimExcept: a relay passes over the applications whose mail servers hang.
func claimExcept(p *probe) {
	apps := p.apps(3)
	for _, a := range apps {
		p.waiting(a, base)
	}
	ids := []string{apps[0].ID, apps[1].ID, apps[2].ID}

	for what, except := range map[string][]string{
		"all three":               ids,
		"them and an unknown one": append([]string{p.id()}, ids...),
		"one of them twice":       append(ids[:2:2], ids[1], ids[2]),
	} {
		for _, after := range []string{"", ids[1]} {
			if rows := p.claimOf(users.Claim{Limit: 10, After: after, Except: except}); len(rows) != 0 {
				p.errorf("Claim except %s: got %d rows, want none", what, len(rows))
			}
		}
	}
	for _, c := range []struct {
		after  string
		except []string
		want   string
	}{
		{"", ids[:1], ids[1]},
		{ids[1], ids[2:], ids[0]},
		{ids[2], []string{p.id()}, ids[2]},
	} {
		rows := p.claimOf(users.Claim{Limit: 10, After: c.after, Except: c.except})
		if len(rows) != 1 || rows[0].ApplicationID != c.want {
			p.errorf("Claim except %d of three: got %d rows, want that of another application", len(c.except), len(rows))
		}
	}
}

// claimOnce: a lease is no lock of its worker; the worker gets it no second time.
func claimOnce(p *probe) {
	p.waiting(p.app(), base)
	p.claimOne("one", time.Hour)
	p.wantNothingToClaim("of what another leased", "two")
	p.wantNothingToClaim("of what it leased itself", "one")
}

// racingClaims: a row that two workers get is delivered twice. A worker may come
// away with nothing while others hold their locks; what is left must be there
// for the next.
func racingClaims(p *probe) {
	a := p.app()
	want := map[string]bool{}
	for range 60 {
		want[p.waiting(a, base).ID] = true
	}

	var mu sync.Mutex
	got := map[string]int{}
	errs := p.race(func(i int) error {
		c := users.Claim{Worker: string(rune('a' + i)), Lease: time.Hour, Limit: 4}
		for range len(want) { // more than there is, even if rows come again and again
			rows, err := p.outbox.Claim(p.ctx, c)
			if err != nil || len(rows) == 0 {
				return err
			}
			mu.Lock()
			for _, r := range rows {
				got[r.ID]++
			}
			mu.Unlock()
		}
		return nil
	})
	for _, err := range errs {
		p.must("Claim", err)
	}
	for _, r := range p.claim("last", time.Hour, 100) {
		got[r.ID]++
	}

	for id, n := range got {
		if n != 1 || !want[id] {
			p.errorf("a row was claimed %d times, want once", n)
		}
	}
	if len(got) != len(want) {
		p.errorf("%d of %d rows were claimed", len(got), len(want))
	}
}

// leaseRunsOut is what saves the rows of a worker that died. One that was only
// slow can still settle, as long as no other has come.
func leaseRunsOut(p *probe) {
	r := p.waiting(p.app(), base)
	p.claimOne("one", 50*time.Millisecond)
	again := p.claimEventually("Claim after the lease of 50 ms", "two", time.Hour)
	r.Attempts = 2
	p.wantEqual("claimed again", []users.NotificationRecord{r}, again)

	p.end(r, "two", users.OutcomeRetry)
	p.claimOne("three", time.Microsecond)
	if err := p.settle(r, "three", users.Settlement{Outcome: users.OutcomeDelivered}); err != nil {
		p.errorf("Settle of a lease that has not passed to another: got error %v, want none", err)
	}
}

// lostLeaseIsStale lets a slow worker come back after another took its row:
// whatever it reports, the row is the other's.
func lostLeaseIsStale(p *probe) {
	a := p.app()
	r := p.waiting(a, base)
	p.claimOne("one", time.Millisecond)
	p.claimEventually("Claim after the lease of 1 ms", "two", time.Hour)
	want := p.rows(a.ID)

	elsewhere, unknown := r, r
	elsewhere.ApplicationID, unknown.ID = p.app().ID, p.id()
	for _, s := range []users.Settlement{
		{Outcome: users.OutcomeDelivered},
		{Outcome: users.OutcomeRetry, LastError: "late"},
		{Outcome: users.OutcomeReleased},
		{Outcome: users.OutcomeDiscarded},
	} {
		p.wantErr("Settle by who lost the lease", p.settle(r, "one", s), users.ErrStale)
		p.wantErr("Settle by who never had it", p.settle(r, "three", s), users.ErrStale)
		p.wantErr("Settle in another application", p.settle(elsewhere, "two", s), users.ErrStale)
		p.wantErr("Settle of no row", p.settle(unknown, "two", s), users.ErrStale)
		p.wantEqual("rows", want, p.rows(a.ID))
	}

	p.wantNothingToClaim("after stale settlements", "three")
	p.end(r, "two", users.OutcomeDelivered)
}

// settleDelivered deletes the row: what was delivered holds nothing that is
// worth keeping, and tables stay small.
func settleDelivered(p *probe) {
	a := p.app()
	r, other := p.waiting(a, base), p.waiting(a, base.Add(time.Second))
	p.claim("w", time.Hour, 10)
	p.end(r, "w", users.OutcomeDelivered)
	p.wantStrings("what waits", rowIDs(p.rows(a.ID)), []string{other.ID})

	err := p.settle(r, "w", users.Settlement{Outcome: users.OutcomeDelivered})
	p.wantErr("Settle once more", err, users.ErrStale)
}

// settleForRetry also stores the longest LastError, in characters of two bytes.
func settleForRetry(p *probe) {
	a := p.app()
	r := p.waiting(a, base)
	p.claimOne("w", time.Hour)
	long := strings.Repeat("é", 256)
	p.must("Settle", p.settle(r, "w", users.Settlement{
		Outcome: users.OutcomeRetry, LastError: long, RetryIn: 50 * time.Millisecond,
	}))
	err := p.settle(r, "w", users.Settlement{Outcome: users.OutcomeDelivered})
	p.wantErr("Settle once more", err, users.ErrStale)

	g := p.claimEventually("Claim after RetryIn of 50 ms", "w", time.Hour)[0]
	if g.ID != r.ID || g.Attempts != 2 || g.State != users.StatePending || g.LastError != long {
		p.errorf("after a failed attempt: got %d attempts, state %q and an error of %d bytes, want 2, %q and 512",
			g.Attempts, g.State, len(g.LastError), users.StatePending)
	}

	p.must("Settle", p.settle(r, "w", users.Settlement{Outcome: users.OutcomeRetry, RetryIn: time.Hour}))
	p.wantNothingToClaim("before RetryIn", "w")
	if due := p.rows(a.ID)[0].Due; due.Before(base.Add(time.Hour)) {
		p.errorf("due after RetryIn of 1 h: got %v", due)
	}
}

// settleReleased: a worker that shuts down returns rows unattempted. If that
// counted, a few deployments would discard a message that nobody tried to send.
func settleReleased(p *probe) {
	a := p.app()
	r := p.waiting(a, base)
	for range 3 {
		p.claimOne("w", time.Hour)
		p.end(r, "w", users.OutcomeReleased)
		if got := p.rows(a.ID)[0].Attempts; got != 0 {
			p.errorf("attempts of what was not attempted: got %d, want 0", got)
		}
	}
	if got := p.claimOne("w", time.Hour).Attempts; got != 1 {
		p.errorf("attempts at the first attempt: got %d, want 1", got)
	}
}

// discardAndRetry keeps what was given up, with its error, for an operator to
// see, and lets none but a discarded row be retried.
func discardAndRetry(p *probe) {
	a := p.app()
	r := p.waiting(a, base)
	p.wantErr("Retry of a pending row", p.outbox.Retry(p.ctx, a.ID, r.ID), users.ErrNotFound)

	p.claimOne("w", time.Hour)
	p.must("Settle", p.settle(r, "w", users.Settlement{
		Outcome: users.OutcomeDiscarded, LastError: "no such mailbox",
	}))
	p.wantNothingToClaim("of a discarded row", "w")
	got := p.rows(a.ID)
	if len(got) != 1 || got[0].State != users.StateDiscarded || got[0].LastError != "no such mailbox" ||
		got[0].Attempts != 1 {
		p.errorf("a discarded row: got %+v", got)
	}

	err := p.settle(r, "w", users.Settlement{Outcome: users.OutcomeDelivered})
	p.wantErr("Settle once more", err, users.ErrStale)
	for what, key := range map[string][2]string{
		"another application's":    {p.app().ID, r.ID},
		"an unknown application's": {p.id(), r.ID},
		"an unknown":               {a.ID, p.id()},
	} {
		p.wantErr("Retry of "+what+" row", p.outbox.Retry(p.ctx, key[0], key[1]), users.ErrNotFound)
	}

	p.must("Retry", p.outbox.Retry(p.ctx, a.ID, r.ID))
	if got := p.rows(a.ID); len(got) != 1 || got[0].State != users.StatePending || got[0].Attempts != 0 {
		p.errorf("a row that is retried: got %+v", got)
	}
	p.wantErr("Retry once more", p.outbox.Retry(p.ctx, a.ID, r.ID), users.ErrNotFound)
	if got := p.claimOne("w", time.Hour); got.ID != r.ID || got.Attempts != 1 {
		p.errorf("Claim after Retry: got %d attempts, want 1", got.Attempts)
	}
}

// discardedIsDatedNow: how long a row has been given up is counted from there. The
// clocks of the store and of the test may differ.
func discardedIsDatedNow(p *probe) {
	a := p.app()
	r := p.waiting(a, base)
	p.claimOne("w", time.Hour)
	p.end(r, "w", users.OutcomeDiscarded)
	if got := p.rows(a.ID)[0].Due; time.Since(got).Abs() > 24*time.Hour {
		p.errorf("Due of a row that was given up just now: got %v", got)
	}
}

// discardedArePurged takes only what was given up, and only what is old enough. One
// that was retried starts anew.
func discardedArePurged(p *probe) {
	var discarded []users.NotificationRecord
	for range 2 {
		a := p.app()
		for i := range 4 {
			n := p.full(a)
			n.Notifications[0].Due, n.Notifications[0].Urgent = base, i%2 == 1
			discarded = append(discarded, p.create(n).Notifications[0])
		}
		for _, r := range p.claimOf(users.Claim{Limit: 10}) {
			p.end(r, "w", users.OutcomeDiscarded)
		}
	}
	pending := p.waiting(p.app(), base)
	retried := discarded[0]
	p.must("Retry", p.outbox.Retry(p.ctx, retried.ApplicationID, retried.ID))

	left := func() (n int) {
		for _, a := range []string{discarded[0].ApplicationID, discarded[7].ApplicationID, pending.ApplicationID} {
			n += len(p.rows(a))
		}
		return n
	}
	purge := func(what string, age time.Duration, limit, want int) {
		before := left()
		n, err := p.outbox.PurgeDiscarded(p.ctx, age, limit)
		p.must("PurgeDiscarded", err)
		if gone := before - left(); n != want || gone != want {
			p.errorf("PurgeDiscarded %s: got %d, and %d are gone, want %d", what, n, gone, want)
		}
	}
	purge("of what is an hour old", time.Hour, 100, 0)
	purge("with no limit left", 0, 0, 0)
	purge("of the first five", 0, 5, 5)
	purge("of the rest", 0, 100, 2)
	purge("once more", 0, 100, 0)

	ids := rowIDs(append(p.rows(retried.ApplicationID), p.rows(pending.ApplicationID)...))
	p.wantStrings("rows that are pending", ids, []string{retried.ID, pending.ID})
	p.claimOf(users.Claim{Limit: 10, Except: []string{pending.ApplicationID}})
	p.end(retried, "w", users.OutcomeDiscarded)
	purge("of one that was given up again", 0, 100, 1)
}

// retryBesidePending: two pending ones would send a user two links.
func retryBesidePending(p *probe) {
	n := p.create(p.user(p.app()))
	discarded := p.recovery(n)
	p.must("Enqueue", p.outbox.Enqueue(p.ctx, discarded, 0))
	p.claimOne("w", time.Hour)
	p.end(discarded, "w", users.OutcomeDiscarded)
	p.must("Enqueue beside a discarded one", p.outbox.Enqueue(p.ctx, p.recovery(n), 0))

	want := p.rows(n.ApplicationID)
	p.wantConflict("Retry", p.outbox.Retry(p.ctx, n.ApplicationID, discarded.ID), "kind")
	p.wantEqual("rows", want, p.rows(n.ApplicationID))
}

// twoNotifications come with one user and are delivered each for itself.
func twoNotifications(p *probe) {
	n := p.full(p.app())
	second := p.notification(n, users.KindSetPassword)
	second.Due = base.Add(time.Second)
	n.Notifications = append(n.Notifications, second)
	p.create(n)
	p.wantStored(n)

	got := p.claim("w", time.Hour, 10)
	p.wantStrings("claimed", rowIDs(got), []string{n.Notifications[0].ID, second.ID})
}

// enqueueIsDueNow passes a Due by a clock that is ahead of the store's.
func enqueueIsDueNow(p *probe) {
	n := p.create(p.user(p.app()))
	r := p.recovery(n)
	r.Created, r.Due = time.Time{}, time.Now().Add(24*time.Hour)
	r.State = ""
	p.must("Enqueue", p.outbox.Enqueue(p.ctx, r, time.Minute))

	got := p.claimOne("w", time.Hour)
	p.wantNow("Created", got.Created)
	p.wantNow("Due", got.Due)
	r.State, r.Attempts, r.Created, r.Due = users.StatePending, 1, got.Created, got.Due
	p.wantEqual("row", r, got)
}

// notificationOfNow: the Service gives no times, as its clock is not the store's.
func notificationOfNow(p *probe) {
	n := p.full(p.app())
	n.Notifications[0].Created, n.Notifications[0].Due = time.Time{}, time.Time{}
	p.create(n)
	got := p.claimOne("w", time.Hour)
	p.wantNow("Created", got.Created)
	p.wantNow("Due", got.Due)
}

// enqueueOncePending: whose row is pending, and of which kind, decides; a row
// that is leased is pending, a discarded one is not.
func enqueueOncePending(p *probe) {
	a, b := p.app(), p.app()
	n := p.create(p.full(a)) // has a pending row of another kind
	other := p.create(p.user(a))
	twin := p.user(b)
	twin.ID = n.ID
	p.create(twin)

	p.wantAfterEnqueue("beside another kind", n, 1)
	p.wantAfterEnqueue("beside a pending row", n, 1)
	p.wantAfterEnqueue("beside another user's row", other, 1)
	p.wantAfterEnqueue("beside another application's row", twin, 1)

	claimed := map[[2]string]users.NotificationRecord{}
	for _, r := range append(p.claim("w", time.Hour, 10), p.claim("w", time.Hour, 10)...) { // of each application
		if r.Kind == users.KindSetPassword {
			claimed[[2]string{r.ApplicationID, r.UserID}] = r
		}
	}
	p.wantAfterEnqueue("beside a leased row", n, 1)
	p.wantAfterEnqueue("beside a leased row", twin, 1)
	p.end(claimed[[2]string{a.ID, n.ID}], "w", users.OutcomeDiscarded)
	p.wantAfterEnqueue("beside a discarded row", n, 2)
	p.end(claimed[[2]string{b.ID, twin.ID}], "w", users.OutcomeDelivered)
	p.wantAfterEnqueue("after the delivery", twin, 1)
}

// wantAfterEnqueue enqueues for n and counts its rows of that kind.
func (p *probe) wantAfterEnqueue(what string, n *users.NewUser, want int) {
	p.must("Enqueue", p.outbox.Enqueue(p.ctx, p.recovery(n), 0))
	rows := slices.DeleteFunc(p.rowsOf(n), func(r users.NotificationRecord) bool {
		return r.Kind != users.KindSetPassword
	})
	if len(rows) != want {
		p.errorf("after Enqueue %s: got %d rows of the user, want %d", what, len(rows), want)
	}
}

// enqueueHastens: whoever asks again while a message waits for its retry must not
// wait with it, for as long as an hour.
func enqueueHastens(p *probe) {
	n := p.create(p.user(p.app()))
	first := p.recovery(n)
	p.must("Enqueue", p.outbox.Enqueue(p.ctx, first, 0))
	p.claimOne("w", time.Hour)
	p.must("Settle", p.settle(first, "w", users.Settlement{Outcome: users.OutcomeRetry, RetryIn: time.Hour, LastError: "mail server down"}))

	p.must("Enqueue beside one that waits", p.outbox.Enqueue(p.ctx, p.recovery(n), 0))
	got := p.claimOne("w", time.Hour)
	if got.ID != first.ID || got.Attempts != 2 || got.LastError != "mail server down" {
		p.errorf("claimed after Enqueue: got %+v, want the one that waited", got)
	}

	held := p.rows(n.ApplicationID)
	p.must("Enqueue beside one that a worker holds", p.outbox.Enqueue(p.ctx, p.recovery(n), 0))
	p.wantEqual("rows", held, p.rows(n.ApplicationID))
	if rows := p.claim("another", time.Hour, 10); len(rows) != 0 {
		p.errorf("Claim of what a worker holds: got %d rows, want none", len(rows))
	}
	p.must("Settle", p.settle(first, "w", users.Settlement{Outcome: users.OutcomeDelivered}))
	p.wantStrings("what waits", rowIDs(p.rows(n.ApplicationID)), nil)
}

// enqueueMakesUrgent: whoever asks for a link that is on its way among a thousand
// notices must not wait for all of these.
func enqueueMakesUrgent(p *probe) {
	a := p.app()
	p.waiting(a, base)
	n := p.create(p.user(a))
	again := func(urgent bool) users.NotificationRecord {
		r := p.recovery(n)
		r.Urgent = urgent
		return r
	}
	notice := again(false)
	p.must("Enqueue", p.outbox.Enqueue(p.ctx, notice, 0))
	p.must("Enqueue of what is not urgent", p.outbox.Enqueue(p.ctx, again(false), 0))
	if r := p.rowsOf(n)[0]; r.Urgent {
		p.errorf("after Enqueue of what is not urgent: the row is urgent")
	}
	p.must("Enqueue of what is urgent", p.outbox.Enqueue(p.ctx, again(true), 0))
	got := p.claim("w", time.Hour, 1)
	p.wantStrings("claimed first", rowIDs(got), []string{notice.ID})
	if len(got) == 1 && !got[0].Urgent {
		p.errorf("claimed first: the row is not urgent")
	}
	p.must("Settle", p.settle(notice, "w", users.Settlement{Outcome: users.OutcomeRetry}))
	p.must("Enqueue of what is not urgent", p.outbox.Enqueue(p.ctx, again(false), 0))
	if r := p.rowsOf(n)[0]; !r.Urgent {
		p.errorf("after Enqueue of what is not urgent: the row is no longer urgent")
	}
}

// enqueueHastensRarely: anybody can ask for a message to somebody else, as often
// as they like, and each attempt is one less until the message is discarded.
func enqueueHastensRarely(p *probe) {
	const gap = time.Hour
	a := p.app()
	for attempts := range 4 {
		for _, late := range []time.Duration{-gap / 2, gap / 2} {
			age := time.Duration(attempts*attempts)*gap + late
			row := p.recovery(p.create(p.user(a)))
			row.Created = time.Now().Add(-age)
			p.must("Enqueue", p.outbox.Enqueue(p.ctx, row, gap))
			for range attempts {
				p.claimOne("w", time.Hour)
				p.must("Settle", p.settle(row, "w", users.Settlement{Outcome: users.OutcomeRetry}))
			}
			p.claimOne("w", time.Hour)
			p.must("Settle", p.settle(row, "w", users.Settlement{Outcome: users.OutcomeReleased, RetryIn: 24 * time.Hour}))

			again := row
			again.ID = p.id()
			p.must("Enqueue", p.outbox.Enqueue(p.ctx, again, gap))
			if rows := p.claim("another", time.Hour, 10); (len(rows) == 1) != (late > 0) {
				p.errorf("Claim after %d attempts within %v and an Enqueue: got %d rows, want one from %v on",
					attempts, age, len(rows), age-late)
			}
		}
	}
}

// enqueueHastensAfterTheGap: the last attempt may have reached the user after all.
func enqueueHastensAfterTheGap(p *probe) {
	for age, want := range map[time.Duration]int{30 * time.Minute: 0, 90 * time.Minute: 1} {
		n := p.create(p.user(p.app()))
		row := p.recovery(n)
		p.must("Enqueue", p.outbox.Enqueue(p.ctx, row, time.Hour))
		p.claimOne("w", time.Hour)
		p.tokensOfAge(n, age)
		p.must("Settle", p.settle(row, "w", users.Settlement{Outcome: users.OutcomeRetry, RetryIn: 24 * time.Hour}))

		p.must("Enqueue", p.outbox.Enqueue(p.ctx, p.recovery(n), time.Hour))
		if rows := p.claim("another", time.Hour, 10); len(rows) != want {
			p.errorf("Claim after an Enqueue %v after a token: got %d rows, want %d", age, len(rows), want)
		}
	}
}

// tokensOfAge gives n tokens that were made so long ago.
func (p *probe) tokensOfAge(n *users.NewUser, ages ...time.Duration) {
	for _, age := range ages {
		t := newToken(n, 0, time.Hour-age)
		t.NotificationID = p.id()
		t.Sum, t.Created = sha256.Sum256([]byte(t.NotificationID)), time.Now().Add(-age)
		p.must("CreateToken", p.tokens.CreateToken(p.ctx, t))
	}
}

// enqueueCountsMessages: a mail server that is down for hours costs the user no other
// message, though each attempt leaves a token.
func enqueueCountsMessages(p *probe) {
	a := p.app()
	for _, message := range []string{"", "a message"} {
		for age, want := range map[time.Duration]int{30 * time.Minute: 0, 90 * time.Minute: 1} {
			n := p.create(p.user(a))
			for i := range 20 {
				t := newToken(n, 0, time.Hour)
				t.Sum, t.Created = sha256.Sum256([]byte(p.id())), time.Now().Add(-age-time.Duration(i)*time.Minute)
				t.NotificationID = message
				p.must("CreateToken", p.tokens.CreateToken(p.ctx, t))
			}
			p.must("Enqueue", p.outbox.Enqueue(p.ctx, p.recovery(n), time.Hour))
			if got := p.rowsOf(n); len(got) != want {
				p.errorf("Enqueue %v after the last of 20 tokens of one message (%q): got %d rows, want %d", age, message, len(got), want)
			}
		}
	}
}

// enqueueKeepsTheGap: a delivered notification is deleted; what is left of it is
// the token that it carried, also when that is dead.
func enqueueKeepsTheGap(p *probe) {
	const gap = time.Hour
	hours := func(ages ...float64) (all []time.Duration) {
		for _, age := range ages {
			all = append(all, time.Duration(age*float64(time.Hour)))
		}
		return all
	}
	a := p.app()
	p.tokensOfAge(p.create(p.user(a)), 0) // another user's does not count
	for _, c := range []struct {
		ages []time.Duration
		want int
	}{
		{nil, 1},
		{hours(0.5), 0}, {hours(1.5), 1},
		{hours(3.5, 23), 0}, {hours(4.5, 23), 1},
		{hours(8.5, 23, 22), 0}, {hours(9.5, 23, 22), 1},
		{hours(23, 15.5, 21, 22), 0}, {hours(23, 16.5, 21, 22), 1},
		{hours(1.5, 25, 26, 27), 1}, // those before the window do not count
	} {
		n := p.create(p.user(a))
		p.tokensOfAge(n, c.ages...)
		p.must("Enqueue", p.outbox.Enqueue(p.ctx, p.recovery(n), gap))
		if got := p.rowsOf(n); len(got) != c.want {
			p.errorf("Enqueue for a user with tokens of the ages %v: got %d rows, want %d", c.ages, len(got), c.want)
		}
	}
}

// enqueueUnknownUser adds no row for nobody. RecoverPassword counts on it: it
// enqueues for users who do not exist, so that its time does not tell.
func enqueueUnknownUser(p *probe) {
	a, b := p.app(), p.app()
	n := p.create(p.user(a))
	for what, key := range map[string][2]string{
		"nobody":                          {a.ID, p.id()},
		"a user of another application":   {b.ID, n.ID},
		"a user of no application at all": {p.id(), n.ID},
	} {
		r := p.recovery(n)
		r.ApplicationID, r.UserID = key[0], key[1]
		p.wantErr("Enqueue for "+what, p.outbox.Enqueue(p.ctx, r, time.Minute), users.ErrNotFound)
		if got := p.rows(r.ApplicationID); len(got) != 0 {
			p.errorf("Enqueue for %s: got %d rows, want none", what, len(got))
		}
	}
}

// enqueueTakenID: dropping the row unsaid would lose a message.
func enqueueTakenID(p *probe) {
	a := p.app()
	n := p.create(p.full(a)) // has a row of another kind
	waiting := p.recovery(p.create(p.user(a)))
	p.must("Enqueue", p.outbox.Enqueue(p.ctx, waiting, 0))
	p.claim("w", time.Hour, 10)
	p.must("Settle", p.settle(waiting, "w", users.Settlement{Outcome: users.OutcomeRetry, RetryIn: time.Hour}))
	want := p.rows(a.ID)

	beside := p.recovery(n)
	beside.ID = waiting.ID
	other := p.recovery(&users.NewUser{UserRecord: users.UserRecord{ApplicationID: a.ID, User: users.User{ID: waiting.UserID}}})
	other.ID = n.Notifications[0].ID
	for what, r := range map[string]users.NotificationRecord{"its own": waiting, "that waits": beside, "of another kind": other} {
		if err := p.outbox.Enqueue(p.ctx, r, 0); err == nil {
			p.errorf("Enqueue with the id of a row %s: got no error", what)
		}
		p.wantEqual("rows", want, p.rows(a.ID))
	}

	nobody := waiting
	nobody.UserID = p.id()
	p.wantErr("Enqueue for nobody with the id of a row", p.outbox.Enqueue(p.ctx, nobody, 0), users.ErrNotFound)
	p.wantEqual("rows", want, p.rows(a.ID))

	elsewhere := p.recovery(p.create(p.user(p.app())))
	elsewhere.ID = waiting.ID
	p.must("Enqueue with the id of another application's row", p.outbox.Enqueue(p.ctx, elsewhere, 0))
}

// racingEnqueues is a user who clicks twice. Two rows would send two mails.
func racingEnqueues(p *probe) {
	a := p.app()
	for range 5 {
		n := p.create(p.user(a))
		rows := make([]users.NotificationRecord, racers)
		for i := range rows {
			rows[i] = p.recovery(n)
		}

		errs := p.race(func(i int) error { return p.outbox.Enqueue(p.ctx, rows[i], time.Minute) })
		for _, err := range errs {
			p.must("Enqueue", err)
		}
		if got := len(p.rowsOf(n)); got != 1 {
			p.errorf("after %d calls of Enqueue at once: got %d rows, want 1", racers, got)
		}
	}
}

// notificationsListed reads pages, with and without states. That the rows are
// due in the opposite order must not show.
func notificationsListed(p *probe) {
	a := p.app()
	var all, discarded, pending []string
	for i := range 25 {
		r := p.waiting(a, base.Add(-time.Duration(i)*time.Second)) // due in the order opposite to the ids
		all = append(all, r.ID)
	}
	for i, r := range p.claim("w", time.Hour, 100) {
		if i%3 == 0 {
			p.end(r, "w", users.OutcomeDiscarded)
			discarded = append(discarded, r.ID)
		} else {
			pending = append(pending, r.ID)
		}
	}
	p.waiting(p.app(), base)
	slices.Sort(discarded)
	slices.Sort(pending)

	both := []string{users.StateDiscarded, users.StatePending}
	for what, c := range map[string]struct {
		states []string
		page   users.Page
		want   []string
	}{
		"all":               {nil, users.Page{}, all},
		"the first page":    {nil, users.Page{Limit: 10}, all[:10]},
		"the second page":   {nil, users.Page{After: all[9], Limit: 10}, all[10:20]},
		"the last page":     {nil, users.Page{After: all[19], Limit: 10}, all[20:]},
		"after the last":    {nil, users.Page{After: all[24], Limit: 10}, nil},
		"both states":       {both, users.Page{}, all},
		"discarded":         {both[:1], users.Page{}, discarded},
		"a page of pending": {both[1:], users.Page{After: pending[1], Limit: 5}, pending[2:7]},
	} {
		got, err := p.outbox.ListNotifications(p.ctx, users.NotificationQuery{
			ApplicationID: a.ID, States: c.states, Page: c.page,
		})
		p.must("ListNotifications", err)
		p.wantStrings("ListNotifications: "+what, rowIDs(got), c.want)
	}

	if got := p.rows(p.id()); len(got) != 0 {
		p.errorf("ListNotifications of an unknown application: got %d rows, want none", len(got))
	}
}
