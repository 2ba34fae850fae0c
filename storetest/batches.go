package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gousers/users"
)

func batchCases() []testCase {
	const (
		creates = "CreateUsers creates those of ns that can be created, in one transaction, and returns what " +
			"became of each, in the order of ns: nil if it is stored as CreateUser stores it"
		conflict = "a *ConflictError that names every member in conflict if a user that was there, or an " +
			"earlier one of ns that is stored, has a key of it"
	)
	return []testCase{
		{"BatchCreates", withBatches, batchCreates, creates},
		{"BatchOfTheLongest", withBatches, batchOfTheLongest,
			creates + " … ns are of one application, at most MaxBatch"},
		{"BatchKeysAreBytes", withBatches, batchKeysAreBytes,
			"Keys (ids, apiKeys, NameKey, EmailKey, idempotency keys) are compared byte for byte: no " +
				"collation, no padding, no case folding"},
		{"BatchConflictsWithOthers", withBatches, batchConflictsWithOthers, conflict},
		{"BatchConflictsInside", withBatches, batchConflictsInside, conflict},
		{"BatchMissingRole", withBatches, batchMissingRole, "ErrNotFound if a role of it does not exist"},
		{"BatchRefusedLeaveNothing", withBatches, batchRefusedLeaveNothing,
			"One that can't be created leaves nothing and harms no other"},
		{"BatchLateFailure", withBatches | withOutbox, batchLateFailure,
			"An error beside them is of all: nothing was stored if the Store knows that the transaction was " +
				"rolled back, as with CreateUser"},
		{"BatchUnknownApplication", withBatches, batchUnknownApplication,
			"An application that does not exist is ErrUnknownApplication … ns are of one application"},
		{"BatchWithoutOutbox", withBatches, batchWithoutOutbox,
			"A Store that keeps no outbox returns ErrUnsupported for ns with Notifications"},
		{"BatchTooLate", withBatches, batchTooLate,
			"when ctx is done before the write took effect, nothing is written and the error matches the " +
				"context's"},
		{"BatchIsNotChanged", withBatches, batchIsNotChanged,
			"none has an Idempotency record or OnCreate. It never changes them"},
		{"BatchCopies", withBatches, batchCopies,
			"Slices, maps and pointers passed in stay the caller's"},
		{"RacingBatches", withBatches, racingBatches,
			"Every method is safe for concurrent use … " + conflict},
	}
}

// newcomer returns a user with everything that can come with one of a batch.
func (p *probe) newcomer(a users.Application, roles ...users.Role) *users.NewUser {
	n := p.full(a, roles...)
	n.Idempotency = nil
	return n
}

// createUsers returns the outcomes of a batch that has no reason to fail as a whole.
func (p *probe) createUsers(ns ...*users.NewUser) []error {
	outcomes, err := p.batches.CreateUsers(p.ctx, ns)
	p.must("CreateUsers", err)
	if len(outcomes) != len(ns) {
		p.fatalf("CreateUsers of %d: got %d outcomes", len(ns), len(outcomes))
	}
	return outcomes
}

// wantCreated notes an outcome of n that is an error, and what of n is not stored.
func (p *probe) wantCreated(what string, outcome error, n *users.NewUser) {
	if outcome != nil {
		p.errorf("%s: got %v, want it created", what, outcome)
		return
	}
	p.wantStored(n)
}

// batchCreates creates a mixed batch beside users that are there, and a batch of one.
func batchCreates(p *probe) {
	a := p.app()
	r, s := p.role(a, "r"), p.role(a, "s")
	before := p.create(p.full(a, r))
	ns := []*users.NewUser{
		p.user(a), p.newcomer(a, s), p.newcomer(a), p.user(a), p.newcomer(a, r, s), p.user(a), p.newcomer(a, r),
	}
	ns[2].IsApproved, ns[2].IsLockedOut, ns[2].AllowDashboardAccess = false, true, true
	ns[2].LastLogin, ns[2].Login = base, users.LoginState{Failures: 3, LockedUntil: base.Add(time.Minute)}
	ns[2].EmailVerified, ns[2].CreatedBy, ns[2].KeyVersion = base.Add(time.Hour), "someone", 7
	if p.outbox != nil {
		ns[4].Notifications = append(ns[4].Notifications, p.notification(ns[4], users.KindSetPassword))
	}
	slices.Reverse(ns) // not in the order of their ids
	for i, outcome := range p.createUsers(ns...) {
		p.wantCreated(fmt.Sprint("user ", i), outcome, ns[i])
	}
	p.wantStored(before)

	one := p.newcomer(a, r)
	p.wantCreated("a batch of one", p.createUsers(one)[0], one)
}

// batchOfTheLongest creates as many users as a batch may have. Every third has all that
// can come with one, and some have as much in each member as a Service lets it be.
func batchOfTheLongest(p *probe) {
	a := p.app()
	r, s := p.role(a, "r"), p.role(a, "s")
	ns := make([]*users.NewUser, users.MaxBatch-1, users.MaxBatch)
	for i := range ns {
		ns[i] = p.user(a)
		if i%3 == 0 {
			ns[i] = p.newcomer(a, r, s)
		}
		if i%20 == 0 {
			ns[i].DashboardSettings = []byte(`{"s":"` + wide(16382) + `"}`)
		}
	}
	long := p.longest(a)
	long.Idempotency = nil
	ns = append(ns, long)

	for i, outcome := range p.createUsers(ns...) {
		if outcome != nil {
			p.fatalf("user %d of %d: got %v, want it created", i, len(ns), outcome)
		}
	}
	found := p.users(users.UserQuery{
		ApplicationID: a.ID, IDs: mapped(ns, func(n *users.NewUser) string { return n.ID }),
	})
	slices.SortFunc(ns, func(x, y *users.NewUser) int { return strings.Compare(x.ID, y.ID) })
	if len(found) != len(ns) {
		p.fatalf("FindUsers: got %d users, want %d", len(found), len(ns))
	}
	var rows []string
	for i, n := range ns {
		p.wantEqual(fmt.Sprint("user ", i), n.UserRecord, found[i])
		rows = append(rows, rowIDs(n.Notifications)...)
	}
	if p.outbox != nil {
		slices.Sort(rows)
		p.wantStrings("notifications", rowIDs(p.rows(a.ID)), rows)
	}
}

// batchKeysAreBytes creates look-alikes in one batch, and all but one once more.
func batchKeysAreBytes(p *probe) {
	a := p.app()
	var ns []*users.NewUser
	for _, key := range lookalikes() {
		n := p.user(a)
		n.NameKey = key
		ns = append(ns, n)
	}
	first := p.createUsers(ns[1:]...)
	for i, outcome := range first {
		p.wantCreated(fmt.Sprintf("%q", ns[i+1].NameKey), outcome, ns[i+1])
	}

	var again []*users.NewUser
	for _, n := range ns {
		m := p.user(a)
		m.NameKey = n.NameKey
		again = append(again, m)
	}
	for i, outcome := range p.createUsers(again...) {
		if i == 0 {
			p.wantCreated(fmt.Sprintf("%q", again[i].NameKey), outcome, again[i])
		} else {
			p.wantConflict(fmt.Sprintf("%q once more", again[i].NameKey), outcome, "userName")
		}
	}
}

// batchConflictsWithOthers covers each set of members, in one batch whose other users
// are created.
func batchConflictsWithOthers(p *probe) {
	a, elsewhere := p.app(), p.app()
	r := p.role(a, "r")
	x, y, z := p.create(p.user(a)), p.create(p.full(a)), p.create(p.full(a, r))
	stranger := p.create(p.user(elsewhere))
	var ns []*users.NewUser
	var want [][]string
	add := func(n *users.NewUser, members ...string) {
		ns, want = append(ns, n), append(want, members)
	}
	taking := func(name, email, id *users.NewUser) *users.NewUser {
		n := p.newcomer(a, r)
		if name != nil {
			n.NameKey = name.NameKey
		}
		if email != nil {
			n.EmailKey = email.EmailKey
		}
		if id != nil {
			n.ID = id.ID
		}
		return n
	}
	add(taking(stranger, stranger, stranger))
	add(taking(x, nil, nil), "userName")
	add(p.newcomer(a))
	add(taking(nil, y, nil), "email")
	add(taking(nil, nil, z), "id")
	add(taking(x, x, nil), "userName", "email")
	add(taking(x, y, nil), "userName", "email")
	add(p.user(a))
	add(taking(x, z, y), "userName", "email", "id")
	add(taking(z, nil, x), "userName", "id")
	add(p.newcomer(a, r))

	outcomes := p.createUsers(ns...)
	for i, n := range ns {
		if want[i] == nil {
			p.wantCreated(fmt.Sprint("user ", i), outcomes[i], n)
		} else {
			p.wantConflict(fmt.Sprint("user ", i), outcomes[i], want[i]...)
		}
	}
	for _, n := range []*users.NewUser{x, y, z, stranger} {
		p.wantStored(n)
	}
}

// batchConflictsInside: of those of a batch that want a key the first has it, unless it
// is refused itself: then it takes none, and the next one has it.
func batchConflictsInside(p *probe) {
	a := p.app()
	x := p.create(p.user(a))
	named := func(name, email string) *users.NewUser {
		n := p.newcomer(a)
		n.NameKey, n.EmailKey = name, email
		return n
	}
	for what, c := range map[string]struct {
		ns   []*users.NewUser
		want [][]string
	}{
		"twice one name": {
			[]*users.NewUser{named("b1", "e2"), named("b1", "e1")},
			[][]string{nil, {"userName"}},
		},
		"both members of two": {
			[]*users.NewUser{named("c9", "f1"), named("c1", "f9"), named("c9", "f9"), named("c2", "f2")},
			[][]string{nil, nil, {"userName", "email"}, nil},
		},
		"one of the batch and one that was there": {
			[]*users.NewUser{named("d1", "g1"), named("d1", x.EmailKey)},
			[][]string{nil, {"userName", "email"}},
		},
		"the first is refused": {
			[]*users.NewUser{named("h1", x.EmailKey), named("h1", "i2"), named("h1", "i3")},
			[][]string{{"email"}, nil, {"userName"}},
		},
		"a chain": {
			[]*users.NewUser{named("j1", x.EmailKey), named("j1", "k2"), named("j3", "k2"), named("j3", "k4")},
			[][]string{{"email"}, nil, {"email"}, nil},
		},
	} {
		outcomes := p.createUsers(c.ns...)
		for i, n := range c.ns {
			if c.want[i] == nil {
				p.wantCreated(fmt.Sprintf("%s: user %d", what, i), outcomes[i], n)
				continue
			}
			p.wantConflict(fmt.Sprintf("%s: user %d", what, i), outcomes[i], c.want[i]...)
			p.wantAbsent(n)
		}
	}
}

// batchMissingRole: a role that is another application's does not exist, nor does one
// that is deleted.
func batchMissingRole(p *probe) {
	a := p.app()
	r, elsewhere := p.role(a, "r"), p.role(p.app(), "r")
	missing := []users.Role{{ID: p.id()}, elsewhere}
	if p.roleEditor != nil {
		gone := p.role(a, "gone")
		p.must("DeleteRole", p.roleEditor.DeleteRole(p.ctx, a.ID, gone.ID))
		missing = append(missing, gone)
	}

	ns := []*users.NewUser{p.newcomer(a, r)}
	for _, m := range missing {
		ns = append(ns, p.newcomer(a, r, m), p.newcomer(a, r), p.user(a))
	}
	heir := p.user(a) // has the name of one that is refused
	heir.NameKey = ns[1].NameKey
	ns = append(ns, heir)
	for i, outcome := range p.createUsers(ns...) {
		if i%3 == 1 && ns[i] != heir {
			p.wantErr(fmt.Sprint("user ", i), outcome, users.ErrNotFound)
			p.wantAbsent(ns[i])
		} else {
			p.wantCreated(fmt.Sprint("user ", i), outcome, ns[i])
		}
	}
}

// batchRefusedLeaveNothing takes what came with a refused user away with it. The same
// user without its fault would meet what was left.
func batchRefusedLeaveNothing(p *probe) {
	a := p.app()
	r := p.role(a, "r")
	x := p.create(p.full(a, r))
	spoilers := []func(*users.NewUser){
		func(n *users.NewUser) { n.NameKey = x.NameKey },
		func(n *users.NewUser) { n.EmailKey = x.EmailKey },
		func(n *users.NewUser) { n.Roles = []users.Role{r, {ID: "nobody's"}} },
	}
	for _, spoil := range spoilers {
		ns := []*users.NewUser{p.newcomer(a, r), p.newcomer(a, r), p.newcomer(a)}
		free := deepCopy(ns[1])
		spoil(ns[1])
		outcomes := p.createUsers(ns...)
		if outcomes[1] == nil {
			p.errorf("got no error for a user who can't be created")
		}
		p.wantAbsent(ns[1])
		p.wantCreated("the one before", outcomes[0], ns[0])
		p.wantCreated("the one behind", outcomes[2], ns[2])
		p.wantCreatable(free)
	}
	p.wantStored(x)
}

// batchLateFailure fails at what a store writes last, which is nobody's own: then nobody
// is created.
func batchLateFailure(p *probe) {
	a := p.app()
	r := p.role(a, "r")
	first := p.create(p.full(a))
	ns := []*users.NewUser{p.newcomer(a, r), p.user(a), p.newcomer(a, r), p.newcomer(a)}
	ns[2].Notifications[0].ID = first.Notifications[0].ID
	p.wantAllRefused("CreateUsers with the notification id of another", ns, func(err error) bool {
		return err != nil && !errors.Is(err, users.ErrConflict)
	})

	ns = []*users.NewUser{p.newcomer(a, r), p.user(a), p.newcomer(a, r)}
	ns[2].Notifications[0].ID = ns[0].Notifications[0].ID
	p.wantAllRefused("CreateUsers with a notification id twice", ns, func(err error) bool {
		return err != nil && !errors.Is(err, users.ErrConflict)
	})
	p.wantStored(first)
}

// wantAllRefused notes a batch that is not refused as a whole with such an error, and
// what of it is stored.
func (p *probe) wantAllRefused(call string, ns []*users.NewUser, such func(error) bool) {
	if _, err := p.batches.CreateUsers(p.ctx, ns); !such(err) {
		p.errorf("%s: got error %v, want another one", call, err)
	}
	for _, n := range ns {
		if found := p.users(users.UserQuery{ApplicationID: n.ApplicationID, IDs: []string{n.ID}}); len(found) > 0 {
			p.errorf("%s: a user is there", call)
		}
	}
}

func batchUnknownApplication(p *probe) {
	p.app()
	nowhere := users.Application{ID: p.id()}
	for _, ns := range [][]*users.NewUser{
		{p.user(nowhere)},
		{p.user(nowhere), p.newcomer(nowhere), p.user(nowhere)},
		{p.newcomer(nowhere, users.Role{ID: "nobody's"})},
	} {
		p.wantAllRefused("CreateUsers of an unknown application", ns, isError(users.ErrUnknownApplication))
	}
}

// batchWithoutOutbox: to drop what can't be delivered would be the one answer that nobody
// notices.
func batchWithoutOutbox(p *probe) {
	a := p.app()
	ns := []*users.NewUser{p.newcomer(a), p.newcomer(a)}
	if p.outbox == nil {
		ns[1].Notifications = []users.NotificationRecord{p.notification(ns[1], users.KindAccountCreated)}
		p.wantAllRefused("CreateUsers with a notification", ns, isError(users.ErrUnsupported))
		ns[1].Notifications = nil
	}
	for i, outcome := range p.createUsers(ns...) {
		p.wantCreated(fmt.Sprint("user ", i), outcome, ns[i])
	}
}

func batchTooLate(p *probe) {
	a := p.app()
	r := p.role(a, "r")
	canceled, cancel := context.WithCancel(p.ctx)
	cancel()
	late, cancel := context.WithDeadline(p.ctx, time.Now().Add(-time.Second))
	defer cancel()
	for _, ctx := range []context.Context{canceled, late} {
		ns := []*users.NewUser{p.user(a), p.newcomer(a, r)}
		_, err := p.batches.CreateUsers(ctx, ns)
		p.wantErr("CreateUsers with a context that is done", err, ctx.Err())
		for _, n := range ns {
			p.wantAbsent(n)
			p.wantCreatable(n)
		}
	}
}

// batchIsNotChanged hands over roles in no order, and users in none.
func batchIsNotChanged(p *probe) {
	a := p.app()
	r, s := p.role(a, "r"), p.role(a, "s")
	taken := p.create(p.full(a))
	ns := []*users.NewUser{p.newcomer(a, users.Role{ID: s.ID}, users.Role{ID: r.ID}), p.user(a), p.newcomer(a, r), p.user(a)}
	ns[2].NameKey = taken.NameKey
	slices.Reverse(ns)
	was := slices.Clone(ns)
	want := make([]*users.NewUser, len(ns))
	for i, n := range ns {
		want[i] = deepCopy(n)
	}
	p.createUsers(ns...)
	if !slices.Equal(ns, was) {
		p.errorf("the order of ns is another one")
	}
	for i, n := range was {
		p.wantEqual(fmt.Sprintf("ns[%d]", i), want[i].UserRecord, n.UserRecord)
		p.wantEqual(fmt.Sprintf("ns[%d].Notifications", i), want[i].Notifications, n.Notifications)
	}
}

// batchCopies spoils what it passed in, and looks again.
func batchCopies(p *probe) {
	a := p.app()
	ns := []*users.NewUser{p.newcomer(a, p.role(a, "r"), p.role(a, "s")), p.user(a)}
	want := []*users.NewUser{deepCopy(ns[0]), deepCopy(ns[1])}
	p.createUsers(ns...)
	for _, n := range ns {
		clear(n.Roles)
		clear(n.DashboardSettings)
		clear(n.Notifications)
		n.UserName, n.NameKey = "spoilt", "spoilt"
	}
	clear(ns)
	for _, n := range want {
		p.wantStored(n)
	}
}

// racingBatches lets batches with the same keys race, each in an order of its own, beside
// users that come alone. Each key is somebody's in the end, and only its loser is told so.
func racingBatches(p *probe) {
	const keys, batches = 30, 4
	a := p.app()
	r := p.role(a, "r")
	racing := make([][]*users.NewUser, racers)
	for i := range racing {
		ns := make([]*users.NewUser, keys)
		for k := range ns {
			n := p.newcomer(a, r)
			n.NameKey, n.EmailKey = fmt.Sprint("name", k), fmt.Sprint("name", k, "@example.com")
			ns[k] = n
		}
		switch {
		case i >= batches:
			ns = ns[i : i+1]
		case i%2 == 1:
			slices.Reverse(ns)
		}
		racing[i] = ns
	}

	outcomes := make([][]error, racers)
	errs := p.race(func(i int) (err error) {
		if i >= batches {
			outcomes[i] = []error{p.CreateUser(p.ctx, racing[i][0])}
			return nil
		}
		outcomes[i], err = p.batches.CreateUsers(p.ctx, racing[i])
		return err
	})

	lost := isConflict("userName", "email")
	winners := map[string]int{}
	for i, err := range errs {
		if err != nil || len(outcomes[i]) != len(racing[i]) {
			p.fatalf("batch %d: got %d outcomes and error %v", i, len(outcomes[i]), err)
		}
		for k, n := range racing[i] {
			switch outcome := outcomes[i][k]; {
			case outcome == nil:
				winners[n.NameKey]++
				p.wantStored(n)
			case lost(outcome):
				p.wantAbsent(n)
			default:
				p.errorf("a loser got error %v", outcome)
			}
		}
	}
	for k := range keys {
		if got := winners[fmt.Sprint("name", k)]; got != 1 {
			p.errorf("%d racers got one key, want 1", got)
		}
	}
}
