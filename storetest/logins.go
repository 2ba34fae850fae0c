package storetest

import (
	"slices"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

func loginCases() []testCase {
	const counts = "BeginLogin counts a failure in advance and returns how many there are in a row now, unless the " +
		"user is locked by the Store's clock"
	return []testCase{
		{"LoginCounts", withLogins, loginCounts, counts},
		{"LoginLocksAndGrows", withLogins, loginLocksAndGrows,
			"From the a.Free-th failure on each one sets LockedUntil to now plus a.First, doubled with each " +
				"further failure, at most a.Max"},
		{"LoginWhileLocked", withLogins, loginWhileLocked,
			counts + ": then it changes nothing and returns 0"},
		{"LoginAfterTheLock", withLogins, loginAfterTheLock, counts},
		{"LoginOfNobody", withLogins, loginOfNobody,
			"A user that does not exist is 0"},
		{"RacingLogins", withLogins, racingLogins,
			"Of calls that race each counts, and no two that count return the same number"},
		{"LoginEndsCount", withLogins, loginEndsCount,
			"EndLogin forgets the failures, ends the lock and sets LastLogin to l.Now, unless that is zero"},
		{"LoginRehash", withLogins, loginRehash,
			"If l.Hash is not zero it replaces l.OldHash, and leaves any other hash alone: a password that " +
				"was changed meanwhile stays"},
		{"LoginEndOfNobody", withLogins, loginEndOfNobody,
			"A user that is gone is no error"},
		{"LoginKeepsVersion", withLogins, loginKeepsVersion,
			"It never changes a user's version or DateUpdated"},
	}
}

// attempt returns an attempt of u that locks from the fifth failure on, for an hour.
func attempt(u users.UserRecord) users.LoginAttempt {
	return users.LoginAttempt{ApplicationID: u.ApplicationID, UserID: u.ID, Free: 5, First: time.Hour, Max: 100 * time.Hour}
}

// wantLogin notes an attempt with another answer than failures.
func (p *probe) wantLogin(what string, a users.LoginAttempt, failures int) {
	got, err := p.logins.BeginLogin(p.ctx, a)
	p.must("BeginLogin", err)
	if got != failures {
		p.errorf("BeginLogin %s: got %d failures, want %d", what, got, failures)
	}
}

// newLogin stores a user with such a state, who has signed in at base.
func (p *probe) newLogin(a users.Application, l users.LoginState) *users.NewUser {
	n := p.full(a)
	n.LastLogin, n.Login = base, l
	return p.create(n)
}

// loginCounts counts up to the first lock, for a user who is locked out too: that is
// not a lock of this kind. Another user's failures are its own.
func loginCounts(p *probe) {
	a := p.app()
	other := p.newLogin(a, users.LoginState{Failures: 2})
	n := p.full(a)
	n.IsLockedOut, n.LastLogin = true, base
	want := p.create(n).UserRecord
	for range 4 {
		want.Login.Failures++
		p.wantLogin("before the last that is free", attempt(want), want.Login.Failures)
		p.wantUser("user", want)
	}
	p.wantStored(other)
}

// loginLocksAndGrows begins with failures that are counted already, so that nothing has
// to wait for the end of a lock. Many double into no overflow.
func loginLocksAndGrows(p *probe) {
	a := p.app()
	for failures, want := range map[int]time.Duration{
		4: time.Hour, 5: 2 * time.Hour, 6: 4 * time.Hour, 9: 32 * time.Hour, 10: 64 * time.Hour,
		11: 100 * time.Hour, 12: 100 * time.Hour, 40: 100 * time.Hour, 67: 100 * time.Hour, 100_000: 100 * time.Hour,
	} {
		n := p.newLogin(a, users.LoginState{Failures: failures, LockedUntil: base})
		p.wantLogin("after a lock", attempt(n.UserRecord), failures+1)
		p.wantLocked(n, failures+1, want)
	}

	// Locks that are as long as a Duration allows.
	const year = 365 * 24 * time.Hour
	n := p.newLogin(a, users.LoginState{Failures: 5})
	long := attempt(n.UserRecord)
	long.First, long.Max = 200*year, 250*year
	p.wantLogin("before a lock of centuries", long, 6)
	p.wantLocked(n, 6, 250*year)

	// Where the first lock is the longest.
	for failures, first := range map[int]time.Duration{0: 3 * time.Hour, 7: 5 * time.Hour} {
		n := p.newLogin(a, users.LoginState{Failures: failures})
		once := attempt(n.UserRecord)
		once.Free, once.First, once.Max = 1, first, 3*time.Hour
		p.wantLogin("where one failure locks", once, failures+1)
		p.wantLocked(n, failures+1, 3*time.Hour)
		p.wantLogin("once it is locked", once, 0)
	}
}

// wantLocked notes another count or another lock than one that ends about so far from
// now.
func (p *probe) wantLocked(n *users.NewUser, failures int, left time.Duration) {
	got := p.byID(n)
	if d := time.Until(got.Login.LockedUntil); got.Login.Failures != failures || d < left-slack || d > left+slack {
		p.errorf("after failure %d: got %d failures and a lock for %v, want one for %v",
			failures, got.Login.Failures, d, left)
	}
	if got.Login.LockedUntil.Location() != time.UTC {
		p.errorf("LockedUntil: got a time in %v, want UTC", got.Login.LockedUntil.Location())
	}
	want := n.UserRecord
	want.Login.Failures, want.Login.LockedUntil = failures, got.Login.LockedUntil
	p.wantEqual("user", want, got)
}

// loginWhileLocked: guesses that are not judged make the lock no longer.
func loginWhileLocked(p *probe) {
	a := p.app()
	for _, until := range []time.Time{time.Now().Add(time.Hour), times()[9]} {
		n := p.newLogin(a, users.LoginState{Failures: 7, LockedUntil: until.UTC().Truncate(time.Microsecond)})
		for range 3 {
			p.wantLogin("of a locked user", attempt(n.UserRecord), 0)
		}
		p.wantStored(n)
	}
}

// loginAfterTheLock waits for the end of a short lock: the failures before count on.
func loginAfterTheLock(p *probe) {
	n := p.newLogin(p.app(), users.LoginState{Failures: 4})
	short := attempt(n.UserRecord)
	short.First = 50 * time.Millisecond
	p.wantLogin("before the lock", short, 5)
	p.eventually("BeginLogin after the lock", func() bool {
		failures, err := p.logins.BeginLogin(p.ctx, attempt(n.UserRecord))
		p.must("BeginLogin", err)
		if failures != 0 && failures != 6 {
			p.errorf("BeginLogin after the lock: got %d failures, want 6", failures)
		}
		return failures > 0
	})
	p.wantLocked(n, 6, 2*time.Hour)
}

// loginOfNobody must not count for somebody else.
func loginOfNobody(p *probe) {
	n := p.newLogin(p.app(), users.LoginState{})
	for what, a := range p.nobodies(n) {
		p.wantLogin("of "+what, a, 0)
	}
	p.wantStored(n)
}

// nobodies are attempts of users that do not exist.
func (p *probe) nobodies(n *users.NewUser) map[string]users.LoginAttempt {
	of := func(applicationID, id string) users.LoginAttempt {
		a := attempt(n.UserRecord)
		a.ApplicationID, a.UserID = applicationID, id
		return a
	}
	return map[string]users.LoginAttempt{
		"nobody":                     of(n.ApplicationID, p.id()),
		"another application's user": of(p.app().ID, n.ID),
		"no application's user":      of(p.id(), n.ID),
		"no id":                      of(n.ApplicationID, ""),
	}
}

// racingLogins lets three times as many guess at once as usual: no more are judged than
// are free. Where none locks, none is lost.
func racingLogins(p *probe) {
	a := p.app()
	for range 3 {
		n := p.newLogin(a, users.LoginState{})
		p.wantRacingLogins(attempt(n.UserRecord), 1, 5)
		p.wantLocked(n, 5, time.Hour)
	}

	n := p.newLogin(a, users.LoginState{Failures: 2})
	free := attempt(n.UserRecord)
	free.Free = 1000
	p.wantRacingLogins(free, 3, 2+3*racers)
	want := n.UserRecord
	want.Login.Failures = 2 + 3*racers
	p.wantUser("user after a race without a lock", want)
}

// wantRacingLogins notes attempts at once that are not counted from first to last, each
// number once. Those that come later are 0.
func (p *probe) wantRacingLogins(a users.LoginAttempt, first, last int) {
	got := make([]int, 3*racers)
	errs := p.raceOf(len(got), func(i int) (err error) {
		got[i], err = p.logins.BeginLogin(p.ctx, a)
		return err
	})
	p.wantNoErrors("BeginLogin", errs)

	slices.Sort(got)
	want := make([]int, len(got))
	for i := range last - first + 1 {
		want[len(want)-1-i] = last - i
	}
	if !slices.Equal(got, want) {
		p.errorf("BeginLogin, %d at once: got %v failures, want %v", len(got), got, want)
	}
}

// loginEnd ends a login of u.
func loginEnd(u users.UserRecord, now time.Time) users.LoginEnd {
	return users.LoginEnd{ApplicationID: u.ApplicationID, UserID: u.ID, Now: now}
}

// loginEndsCount: with a time it is a sign-in, and without one a password that was
// proved.
func loginEndsCount(p *probe) {
	a := p.app()
	locked := users.LoginState{Failures: 7, LockedUntil: times()[9]}
	signed, proved, other := p.newLogin(a, locked), p.newLogin(a, locked), p.newLogin(a, locked)
	for _, at := range []time.Time{base.Add(time.Hour), times()[9], base} {
		p.must("EndLogin", p.logins.EndLogin(p.ctx, loginEnd(signed.UserRecord, at)))
		want := signed.UserRecord
		want.LastLogin, want.Login = at, users.LoginState{}
		p.wantUser("user who signed in", want)
	}

	p.must("EndLogin", p.logins.EndLogin(p.ctx, loginEnd(proved.UserRecord, time.Time{})))
	want := proved.UserRecord
	want.Login = users.LoginState{}
	p.wantUser("user who proved the password", want)
	p.wantStored(other)
	p.wantLogin("after the lock was ended", attempt(want), 1)
}

// loginRehash replaces a hash by one of the same password; it is no new password. One
// that is not the old one stays, and the sign-in counts all the same.
func loginRehash(p *probe) {
	n := p.create(p.full(p.app()))
	want := n.UserRecord
	end := loginEnd(want, base.Add(time.Hour))
	end.OldHash, end.Hash = want.Hash, password.NewHash("$fresh")

	p.must("EndLogin", p.logins.EndLogin(p.ctx, end))
	want.Hash, want.LastLogin = end.Hash, end.Now
	p.wantUser("a hash that was out of date", want)

	end.Hash, end.Now = password.NewHash("$late"), base.Add(2*time.Hour)
	p.must("EndLogin", p.logins.EndLogin(p.ctx, end))
	want.LastLogin = end.Now
	p.wantUser("a hash that was changed meanwhile", want)

	end.OldHash, end.Hash, end.Now = want.Hash, password.Hash{}, base.Add(3*time.Hour)
	p.must("EndLogin", p.logins.EndLogin(p.ctx, end))
	want.LastLogin = end.Now
	p.wantUser("no new hash", want)
}

// loginEndOfNobody changes nobody else.
func loginEndOfNobody(p *probe) {
	n := p.newLogin(p.app(), users.LoginState{Failures: 3})
	for what, a := range p.nobodies(n) {
		end := users.LoginEnd{
			ApplicationID: a.ApplicationID, UserID: a.UserID, Now: base, OldHash: n.Hash, Hash: password.NewHash("$late"),
		}
		if err := p.logins.EndLogin(p.ctx, end); err != nil {
			p.errorf("EndLogin of %s: got error %v, want none", what, err)
		}
	}
	p.wantStored(n)
}

// loginKeepsVersion: a guess must not make the form stale in which somebody edits.
func loginKeepsVersion(p *probe) {
	n := p.newLogin(p.app(), users.LoginState{})
	p.wantLogin("before", attempt(n.UserRecord), 1)
	end := loginEnd(n.UserRecord, base.Add(time.Hour))
	end.OldHash, end.Hash = n.Hash, password.NewHash("$fresh")
	p.must("EndLogin", p.logins.EndLogin(p.ctx, end))
	p.wantLogin("after", attempt(n.UserRecord), 1)

	want := n.UserRecord
	want.Hash, want.LastLogin, want.Login.Failures = end.Hash, end.Now, 1
	p.wantUser("user", want)
	p.must("SetUserStatus from the version before", p.SetUserStatus(p.ctx, users.StatusUpdate{
		ApplicationID: n.ApplicationID, ID: n.ID, IfVersion: 1, IsApproved: new(true), DateUpdated: n.DateUpdated,
	}))
}
