package storetest

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gousers/users"
)

func outboxCases() []testCase {
	return []testCase{
		{"ClaimInOrderOfDue", "Claim leases up to c.Limit pending rows that are due, the longest due first, over all applications, adds one to their Attempts, and gives them", outbox, claimInOrderOfDue},
		{"ClaimOnce", "Claim leases rows that are not leased to anyone", outbox, claimOnce},
		{"RacingClaims", "of workers that claim at once each row goes to one", outbox, racingClaims},
		{"LeaseRunsOut", "a lease is a duration, judged by the store's own clock alone", outbox, leaseRunsOut},
		{"LostLeaseIsStale", "a worker whose lease has passed to another gets ErrStale and changes nothing", outbox, lostLeaseIsStale},
		{"SettleDelivered", "State is empty when the row was delivered (it is deleted)", outbox, settleDelivered},
		{"SettleForAnotherTry", "StatePending for another try in RetryIn", outbox, settleForAnotherTry},
		{"SettleNotTried", "NotTried takes the attempt back that Claim counted", outbox, settleNotTried},
		{"AbandonAndRetry", "Retry makes an abandoned row pending, due now, with no attempts; ErrNotFound if there is no such abandoned row", outbox, abandonAndRetry},
		{"EnqueueIsDueNow", "Enqueue adds r, due now", outbox, enqueueIsDueNow},
		{"EnqueueOncePending", "it does nothing and returns nil when a pending row of the same application, user and kind exists", outbox, enqueueOncePending},
		{"EnqueueKeepsTheGap", "or when a token of the user was created less than minGap before r.Created", outbox | tokens, enqueueKeepsTheGap},
		{"EnqueueUnknownUser", "a user that does not exist is ErrNotFound", outbox, enqueueUnknownUser},
		{"RacingEnqueues", "of calls that race for one user one adds a row", outbox, racingEnqueues},
		{"NotificationsListed", "FindNotifications gives the rows of one application in order of ID; no States means all", outbox, notificationsListed},
	}
}

// box is for the cases that need an OutboxStore.
func (p *probe) box() users.OutboxStore { return p.Store.(users.OutboxStore) }

// rows gives all notifications of an application.
func (p *probe) rows(applicationID string) []users.OutboxRow {
	rows, err := p.box().FindNotifications(p.ctx, users.NotificationQuery{ApplicationID: applicationID})
	p.must("FindNotifications", err)
	return rows
}

func (p *probe) claim(worker string, lease time.Duration, limit int) []users.OutboxRow {
	rows, err := p.box().Claim(p.ctx, users.Claim{Worker: worker, Lease: lease, Limit: limit})
	p.must("Claim", err)
	return rows
}

// claimOne gives the one row that is there to be claimed.
func (p *probe) claimOne(worker string, lease time.Duration) users.OutboxRow {
	rows := p.claim(worker, lease, 10)
	if len(rows) != 1 {
		p.fatalf("Claim by %s: got %d rows, want 1", worker, len(rows))
	}
	return rows[0]
}

func (p *probe) settle(r users.OutboxRow, worker string, s users.Settlement) error {
	s.ApplicationID, s.ID, s.Worker = r.ApplicationID, r.ID, worker
	return p.box().Settle(p.ctx, s)
}

// waiting makes a user with a notification that has been due since due.
func (p *probe) waiting(app users.Application, due time.Time) users.OutboxRow {
	n := p.full(app)
	n.Notification.Due = due
	return *p.create(n).Notification
}

func claimInOrderOfDue(p *probe) {
	a, b := p.app(), p.app()
	var want []users.OutboxRow
	for i := range 9 {
		app := a
		if i%2 == 1 {
			app = b
		}
		r := p.waiting(app, base.Add(time.Duration(i*5%9)*time.Second))
		r.Attempts = 1
		want = append(want, r)
	}
	slices.SortFunc(want, func(x, y users.OutboxRow) int { return x.Due.Compare(y.Due) })
	p.waiting(a, time.Now().Add(24*time.Hour)) // not due

	if got := p.claim("w", time.Hour, 0); len(got) != 0 {
		p.errorf("Claim with limit 0: got %d rows, want none", len(got))
	}
	p.same("the four longest due", want[:4], p.claim("w", time.Hour, 4))
	p.same("the rest", want[4:], p.claim("w", time.Hour, 100))
	got := p.rows(a.ID)
	if i := slices.IndexFunc(got, func(r users.OutboxRow) bool { return r.ID == want[0].ID }); i < 0 {
		p.errorf("a leased row is not listed")
	} else {
		p.same("a leased row", want[0], got[i])
	}
}

func claimOnce(p *probe) {
	a := p.app()
	p.waiting(a, base)
	p.claimOne("one", time.Hour)
	for _, worker := range []string{"two", "one"} {
		if got := p.claim(worker, time.Hour, 10); len(got) != 0 {
			p.errorf("Claim of what is leased: got %d rows, want none", len(got))
		}
	}
}

func racingClaims(p *probe) {
	a := p.app()
	want := map[string]bool{}
	for range 60 {
		want[p.waiting(a, base).ID] = true
	}
	var mu sync.Mutex
	got := map[string]int{}
	errs := p.race(func(i int) error {
		for range len(want) { // more than there is, even if rows come again and again
			rows, err := p.box().Claim(p.ctx, users.Claim{Worker: string(rune('a' + i)), Lease: time.Hour, Limit: 4})
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
	// A worker may come away with nothing while others hold their locks; what
	// is left must be there for the next.
	for _, r := range p.claim("last", time.Hour, 100) {
		got[r.ID]++
	}
	for id, n := range got {
		if n != 1 || !want[id] {
			p.errorf("a row was given %d times, want once", n)
		}
	}
	if len(got) != len(want) {
		p.errorf("%d of %d rows were given", len(got), len(want))
	}
}

func leaseRunsOut(p *probe) {
	a := p.app()
	r := p.waiting(a, base)
	p.claimOne("one", 50*time.Millisecond)
	var again []users.OutboxRow
	p.eventually("Claim after the lease of 50 ms", func() bool {
		again = p.claim("two", time.Hour, 10)
		return len(again) > 0
	})
	r.Attempts = 2
	p.same("claimed again", []users.OutboxRow{r}, again)
	// A lease that ran out and went to nobody else can still be settled.
	p.must("Settle", p.settle(r, "two", users.Settlement{State: users.StatePending}))
	p.claimOne("three", time.Microsecond)
	if err := p.settle(r, "three", users.Settlement{}); err != nil {
		p.errorf("Settle of a lease that has not passed to another: got error %v, want none", err)
	}
}

func lostLeaseIsStale(p *probe) {
	a := p.app()
	r := p.waiting(a, base)
	p.claimOne("one", time.Millisecond)
	p.eventually("Claim after the lease of 1 ms", func() bool { return len(p.claim("two", time.Hour, 10)) > 0 })
	want := p.rows(a.ID)
	elsewhere, unknown := r, r
	elsewhere.ApplicationID, unknown.ID = p.app().ID, p.id()
	for _, s := range []users.Settlement{{}, {State: users.StatePending, LastError: "late"}, {State: users.StateAbandoned}, {State: users.StatePending, NotTried: true}} {
		p.is("Settle by who lost the lease", p.settle(r, "one", s), users.ErrStale)
		p.is("Settle by who never had it", p.settle(r, "three", s), users.ErrStale)
		p.is("Settle in another application", p.settle(elsewhere, "two", s), users.ErrStale)
		p.is("Settle of no row", p.settle(unknown, "two", s), users.ErrStale)
		p.same("rows", want, p.rows(a.ID))
	}
	if got := p.claim("three", time.Hour, 10); len(got) != 0 {
		p.errorf("Claim after stale settlements: got %d rows, want none", len(got))
	}
	p.must("Settle by who has the lease", p.settle(r, "two", users.Settlement{}))
}

func settleDelivered(p *probe) {
	a := p.app()
	r, other := p.waiting(a, base), p.waiting(a, base.Add(time.Second))
	p.claim("w", time.Hour, 10)
	p.must("Settle", p.settle(r, "w", users.Settlement{}))
	p.sameStrings("what waits", rowIDs(p.rows(a.ID)), []string{other.ID})
	p.is("Settle once more", p.settle(r, "w", users.Settlement{}), users.ErrStale)
}

func settleForAnotherTry(p *probe) {
	a := p.app()
	r := p.waiting(a, base)
	p.claimOne("w", time.Hour)
	long := strings.Repeat("é", 256)
	p.must("Settle", p.settle(r, "w", users.Settlement{State: users.StatePending, LastError: long, RetryIn: 50 * time.Millisecond}))
	p.is("Settle once more", p.settle(r, "w", users.Settlement{}), users.ErrStale)
	var again []users.OutboxRow
	p.eventually("Claim after RetryIn of 50 ms", func() bool {
		again = p.claim("w", time.Hour, 10)
		return len(again) > 0
	})
	if g := again[0]; g.ID != r.ID || g.Attempts != 2 || g.State != users.StatePending || g.LastError != long {
		p.errorf("after a failed try: got %d attempts, state %q and an error of %d bytes, want 2, %q and 512", g.Attempts, g.State, len(g.LastError), users.StatePending)
	}
	p.must("Settle", p.settle(r, "w", users.Settlement{State: users.StatePending, RetryIn: time.Hour}))
	if got := p.claim("w", time.Hour, 10); len(got) != 0 {
		p.errorf("Claim before RetryIn: got %d rows, want none", len(got))
	}
	if due := p.rows(a.ID)[0].Due; due.Before(base.Add(time.Hour)) {
		p.errorf("due after RetryIn of 1 h: got %v", due)
	}
}

func settleNotTried(p *probe) {
	a := p.app()
	r := p.waiting(a, base)
	for range 3 {
		p.claimOne("w", time.Hour)
		p.must("Settle", p.settle(r, "w", users.Settlement{State: users.StatePending, NotTried: true}))
		if got := p.rows(a.ID)[0].Attempts; got != 0 {
			p.errorf("attempts of what was not tried: got %d, want 0", got)
		}
	}
	if got := p.claimOne("w", time.Hour).Attempts; got != 1 {
		p.errorf("attempts at the first try: got %d, want 1", got)
	}
}

func abandonAndRetry(p *probe) {
	a := p.app()
	r := p.waiting(a, base)
	p.is("Retry of a pending row", p.box().Retry(p.ctx, a.ID, r.ID), users.ErrNotFound)
	p.claimOne("w", time.Hour)
	p.must("Settle", p.settle(r, "w", users.Settlement{State: users.StateAbandoned, LastError: "no such mailbox"}))
	if got := p.claim("w", time.Hour, 10); len(got) != 0 {
		p.errorf("Claim of an abandoned row: got %d rows, want none", len(got))
	}
	if got := p.rows(a.ID); len(got) != 1 || got[0].State != users.StateAbandoned || got[0].LastError != "no such mailbox" || got[0].Attempts != 1 {
		p.errorf("an abandoned row: got %+v", got)
	}
	p.is("Settle once more", p.settle(r, "w", users.Settlement{}), users.ErrStale)
	for what, ids := range map[string][2]string{
		"another application's": {p.app().ID, r.ID}, "an unknown application's": {p.id(), r.ID}, "an unknown": {a.ID, p.id()},
	} {
		p.is("Retry of "+what+" row", p.box().Retry(p.ctx, ids[0], ids[1]), users.ErrNotFound)
	}
	p.must("Retry", p.box().Retry(p.ctx, a.ID, r.ID))
	if got := p.rows(a.ID); len(got) != 1 || got[0].State != users.StatePending || got[0].Attempts != 0 {
		p.errorf("a row that is tried again: got %+v", got)
	}
	p.is("Retry once more", p.box().Retry(p.ctx, a.ID, r.ID), users.ErrNotFound)
	if got := p.claimOne("w", time.Hour); got.ID != r.ID || got.Attempts != 1 {
		p.errorf("Claim after Retry: got %d attempts, want 1", got.Attempts)
	}
}

// recovery gives a row for Enqueue.
func (p *probe) recovery(n *users.NewUser) users.OutboxRow {
	return users.OutboxRow{
		ID: p.id(), ApplicationID: n.ApplicationID, UserID: n.ID, Kind: users.KindSetPassword,
		State: users.StatePending, Created: base, Due: base,
	}
}

func enqueueIsDueNow(p *probe) {
	n := p.create(p.user(p.app()))
	r := p.recovery(n)
	r.Due = time.Now().Add(24 * time.Hour) // by a clock that is not the store's
	p.must("Enqueue", p.box().Enqueue(p.ctx, r, time.Minute))
	got := p.claimOne("w", time.Hour)
	r.Attempts, r.Due = 1, got.Due
	p.same("row", r, got)
}

func enqueueOncePending(p *probe) {
	a, b := p.app(), p.app()
	n := p.create(p.full(a)) // has a pending row of another kind
	other := p.create(p.user(a))
	twin := *p.user(b)
	twin.ID = n.ID
	p.create(&twin)
	enqueue := func(what string, n *users.NewUser, want int) {
		p.must("Enqueue", p.box().Enqueue(p.ctx, p.recovery(n), 0))
		rows := slices.DeleteFunc(p.rows(n.ApplicationID), func(r users.OutboxRow) bool { return r.Kind != users.KindSetPassword || r.UserID != n.ID })
		if len(rows) != want {
			p.errorf("after Enqueue %s: got %d rows of the user, want %d", what, len(rows), want)
		}
	}
	enqueue("beside another kind", n, 1)
	enqueue("beside a pending row", n, 1)
	enqueue("beside another user's row", other, 1)
	enqueue("beside another application's row", &twin, 1)
	for _, r := range p.claim("w", time.Hour, 10) {
		if r.UserID != n.ID || r.Kind != users.KindSetPassword {
			continue
		}
		enqueue("beside a leased row", &users.NewUser{UserRecord: users.UserRecord{ApplicationID: r.ApplicationID, User: users.User{ID: r.UserID}}}, 1)
		if r.ApplicationID == a.ID {
			p.must("Settle", p.settle(r, "w", users.Settlement{State: users.StateAbandoned}))
			enqueue("beside an abandoned row", n, 2)
		} else {
			p.must("Settle", p.settle(r, "w", users.Settlement{}))
			enqueue("after the delivery", &twin, 1)
		}
	}
}

func enqueueKeepsTheGap(p *probe) {
	a := p.app()
	n, other := p.create(p.user(a)), p.create(p.user(a))
	p.token(n, 1, base.Add(-time.Minute), base.Add(time.Hour))
	p.token(other, 2, base, base.Add(time.Hour))
	r := p.recovery(n)
	p.must("Enqueue", p.box().Enqueue(p.ctx, r, time.Minute+time.Microsecond))
	if got := p.rows(a.ID); len(got) != 0 {
		p.errorf("Enqueue within the gap: got %d rows, want none", len(got))
	}
	p.must("Enqueue", p.box().Enqueue(p.ctx, r, time.Minute))
	p.sameStrings("after Enqueue at the end of the gap", rowIDs(p.rows(a.ID)), []string{r.ID})
}

func enqueueUnknownUser(p *probe) {
	a, b := p.app(), p.app()
	n := p.create(p.user(a))
	for what, m := range map[string][2]string{
		"nobody": {a.ID, p.id()}, "a user of another application": {b.ID, n.ID}, "a user of an application that is none": {p.id(), n.ID},
	} {
		r := p.recovery(n)
		r.ApplicationID, r.UserID = m[0], m[1]
		p.is("Enqueue for "+what, p.box().Enqueue(p.ctx, r, time.Minute), users.ErrNotFound)
		if got := p.rows(r.ApplicationID); len(got) != 0 {
			p.errorf("Enqueue for %s: got %d rows, want none", what, len(got))
		}
	}
}

func racingEnqueues(p *probe) {
	a := p.app()
	for range 5 {
		n := p.create(p.user(a))
		rows := make([]users.OutboxRow, racers)
		for i := range rows {
			rows[i] = p.recovery(n)
		}
		for _, err := range p.race(func(i int) error { return p.box().Enqueue(p.ctx, rows[i], time.Minute) }) {
			p.must("Enqueue", err)
		}
		got := slices.DeleteFunc(p.rows(a.ID), func(r users.OutboxRow) bool { return r.UserID != n.ID })
		if len(got) != 1 {
			p.errorf("after %d calls of Enqueue at once: got %d rows, want 1", racers, len(got))
		}
	}
}

func notificationsListed(p *probe) {
	a := p.app()
	var want, abandoned []string
	for i := range 25 {
		r := p.waiting(a, base.Add(-time.Duration(i)*time.Second)) // due in the order opposite to the ids
		want = append(want, r.ID)
	}
	for i, r := range p.claim("w", time.Hour, 100) {
		if i%3 == 0 {
			p.must("Settle", p.settle(r, "w", users.Settlement{State: users.StateAbandoned}))
			abandoned = append(abandoned, r.ID)
		}
	}
	p.waiting(p.app(), base)
	slices.Sort(abandoned)
	pending := slices.DeleteFunc(slices.Clone(want), func(id string) bool { return slices.Contains(abandoned, id) })
	for what, c := range map[string]struct {
		states []string
		page   users.Page
		want   []string
	}{
		"all":               {nil, users.Page{}, want},
		"the first page":    {nil, users.Page{Limit: 10}, want[:10]},
		"the second page":   {nil, users.Page{After: want[9], Limit: 10}, want[10:20]},
		"the last page":     {nil, users.Page{After: want[19], Limit: 10}, want[20:]},
		"after the last":    {nil, users.Page{After: want[24], Limit: 10}, nil},
		"both states":       {[]string{users.StateAbandoned, users.StatePending}, users.Page{}, want},
		"abandoned":         {[]string{users.StateAbandoned}, users.Page{}, abandoned},
		"a page of pending": {[]string{users.StatePending}, users.Page{After: pending[1], Limit: 5}, pending[2:7]},
	} {
		got, err := p.box().FindNotifications(p.ctx, users.NotificationQuery{ApplicationID: a.ID, States: c.states, Page: c.page})
		p.must("FindNotifications", err)
		p.sameStrings("FindNotifications: "+what, rowIDs(got), c.want)
	}
	if got := p.rows(p.id()); len(got) != 0 {
		p.errorf("FindNotifications of an unknown application: got %d rows, want none", len(got))
	}
}
