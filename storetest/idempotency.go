package storetest

import (
	"context"
	"fmt"
	"time"

	"github.com/gousers/users"
)

func idempotencyCases() []testCase {
	const liveKey = "A live n.Idempotency key is ErrIdempotencyKeyUsed, and that comes before a conflict"
	return []testCase{
		{"IdempotencyRecordComesBack", anyStore, idempotencyRecordComesBack,
			"FindIdempotencyRecord returns the record, dead or alive … ErrNotFound if there is none"},
		{"IdempotencyLifetimeRunsDown", anyStore, idempotencyLifetimeRunsDown,
			"FindIdempotencyRecord returns the record, dead or alive, with the Lifetime that is left"},
		{"LiveKeyRefuses", anyStore, liveKeyRefuses, liveKey},
		{"DeadRecordIsReplaced", anyStore, deadRecordIsReplaced,
			"a record whose Lifetime has passed is dead and is replaced"},
		{"RefusedUserKeepsTheKey", anyStore, refusedUserKeepsTheKey,
			"if it returns an error and knows that the transaction was rolled back, nothing was stored"},
		{"RacingIdempotencyKeys", anyStore, racingIdempotencyKeys,
			"Every method is safe for concurrent use … " + liveKey},
		{"PurgeIsBounded", anyStore, purgeIsBounded,
			"Purge deletes up to limit of what is of no more use, of all applications, and returns how many: " +
				"dead idempotency records"},
	}
}

// idempotencyRecordComesBack asks with keys that differ in each of their
// parts, and with parts that are the same when they are joined.
func idempotencyRecordComesBack(p *probe) {
	a := p.app()
	n := p.full(a)
	n.Idempotency.Lifetime = -365 * 24 * time.Hour // dead from the start
	p.create(n)
	p.wantStored(n)

	k := n.Idempotency.IdempotencyKey
	for what, key := range map[string]users.IdempotencyKey{
		"another key":            {ApplicationID: k.ApplicationID, Caller: k.Caller, Key: k.Key + "x"},
		"another caller":         {ApplicationID: k.ApplicationID, Caller: "", Key: k.Key},
		"another application":    {ApplicationID: p.app().ID, Caller: k.Caller, Key: k.Key},
		"an unknown application": {ApplicationID: p.id(), Caller: k.Caller, Key: k.Key},
		"caller and key run on":  {ApplicationID: k.ApplicationID, Caller: k.Caller + k.Key[:1], Key: k.Key[1:]},
	} {
		_, err := p.FindIdempotencyRecord(p.ctx, key)
		p.wantErr("FindIdempotencyRecord with "+what, err, users.ErrNotFound)
	}

	// The same key of another caller is another key.
	for _, caller := range []string{"", "caller:", "caller:someone else"} {
		m := p.full(a)
		m.Idempotency.Key, m.Idempotency.Caller = k.Key, caller
		p.create(m)
		p.wantStored(m)
	}
	p.wantStored(n)
}

// idempotencyLifetimeRunsDown: a process learns from the store how long a key
// still holds, as its own clock may differ.
func idempotencyLifetimeRunsDown(p *probe) {
	n := p.create(p.full(p.app()))
	p.wantRunningDown("idempotency record", func() time.Duration {
		r, err := p.FindIdempotencyRecord(p.ctx, n.Idempotency.IdempotencyKey)
		p.must("FindIdempotencyRecord", err)
		return r.Lifetime
	})
}

// liveKeyRefuses also repeats the very same user. Were that answered as a
// conflict, a client that retries would be told that its own user is in its way.
func liveKeyRefuses(p *probe) {
	a := p.app()
	first := p.full(a)
	first.DateCreated, first.Idempotency.Lifetime = base.AddDate(-100, 0, 0), time.Hour // alive, whatever the user's dates say
	p.create(first)

	n := p.full(a)
	n.Idempotency.IdempotencyKey = first.Idempotency.IdempotencyKey
	sameName := p.full(a)
	sameName.Idempotency.IdempotencyKey = first.Idempotency.IdempotencyKey
	sameName.NameKey, sameName.EmailKey = first.NameKey, first.EmailKey
	again := *first
	for what, n := range map[string]*users.NewUser{
		"with the key": n, "with key and name": sameName, "repeated": &again,
	} {
		n.OnCreate = p.neverRun()
		p.wantKeyUsed("CreateUser "+what, p.CreateUser(p.ctx, n))
		if n.ID != first.ID {
			p.wantAbsent(n)
		}
	}

	p.wantStored(first)
	n.Idempotency = p.record(n, "a key of its own")
	p.wantCreatable(n)
}

// deadRecordIsReplaced: what is dead is judged by the store's clock, not by that
// of the process that asks, and whether Purge has come by must not matter.
func deadRecordIsReplaced(p *probe) {
	a := p.app()
	for _, age := range []time.Duration{0, time.Microsecond, 48 * time.Hour} {
		old := p.full(a)
		old.Idempotency.Lifetime = -age
		p.create(old)

		n := p.full(a)
		n.Idempotency.IdempotencyKey = old.Idempotency.IdempotencyKey
		n.Idempotency.Fingerprint = [32]byte{42}
		if err := p.CreateUser(p.ctx, n); err != nil {
			p.errorf("CreateUser with a key that died %v ago: got error %v, want none", age, err)
			continue
		}
		p.wantStored(n)

		again := p.full(a)
		again.Idempotency.IdempotencyKey = old.Idempotency.IdempotencyKey
		p.wantErr("CreateUser after the replacement", p.CreateUser(p.ctx, again), users.ErrIdempotencyKeyUsed)
	}
}

// refusedUserKeepsTheKey: a refused request does not use a key up, nor replace
// a dead record.
func refusedUserKeepsTheKey(p *probe) {
	a := p.app()
	taken := p.create(p.full(a))
	dead := p.full(a)
	dead.Idempotency.Lifetime = 0
	p.create(dead)
	for what, spoil := range map[string]func(*users.NewUser){
		"conflict":     func(n *users.NewUser) { n.NameKey = taken.NameKey },
		"unknown role": func(n *users.NewUser) { n.Roles = []users.Role{{ID: "nobody"}} },
		"OnCreate":     func(n *users.NewUser) { n.OnCreate = func(context.Context) error { return errRefused } },
	} {
		n := p.full(a)
		spoil(n)
		if err := p.CreateUser(p.ctx, n); err == nil {
			p.errorf("CreateUser with %s: got no error", what)
		}
		p.wantAbsent(n)

		n.Idempotency.IdempotencyKey = dead.Idempotency.IdempotencyKey
		if err := p.CreateUser(p.ctx, n); err == nil {
			p.errorf("CreateUser with %s and a dead key: got no error", what)
		}
		p.wantAbsent(n)
		p.wantStored(dead)
	}
}

// racingIdempotencyKeys is a client that repeats a request before the first
// has ended. One user comes of it; every other round a dead record is there to
// be replaced by one alone.
func racingIdempotencyKeys(p *probe) {
	a := p.app()
	for round := range 5 {
		key := fmt.Sprintf("key %d", round)
		if round%2 == 1 { // over a dead record
			dead := p.user(a)
			dead.Idempotency = p.record(dead, key)
			dead.Idempotency.Lifetime = 0
			p.create(dead)
		}
		racing := make([]*users.NewUser, racers)
		for i := range racing {
			racing[i] = p.full(a)
			racing[i].Idempotency.Key = key
		}

		errs := p.race(func(i int) error { return p.CreateUser(p.ctx, racing[i]) })
		winner := p.wantOneWinner("CreateUser", errs, isError(users.ErrIdempotencyKeyUsed))
		p.wantStored(racing[winner])
		for i, n := range racing {
			if i != winner {
				p.wantAbsent(n)
			}
		}
	}
}

// purgeIsBounded: a host deletes in small steps, so that no step holds locks for
// long, until fewer than limit were deleted.
func purgeIsBounded(p *probe) {
	apps := []users.Application{p.app(), p.app()}
	var dead, live []*users.NewUser
	for i := range 10 {
		n := p.full(apps[i%2])
		n.Idempotency.Lifetime = -time.Duration(i) * time.Hour
		dead = append(dead, p.create(n))
		m := p.full(apps[i%2])
		m.Idempotency.Lifetime = time.Duration(i+1) * time.Hour
		live = append(live, p.create(m))
	}

	p.wantPurged([]purge{{0, 0}, {-1, 0}, {4, 4}, {4, 4}, {1000, 2}, {1000, 0}})

	for _, n := range dead {
		_, err := p.FindIdempotencyRecord(p.ctx, n.Idempotency.IdempotencyKey)
		p.wantErr("FindIdempotencyRecord of a record that was purged", err, users.ErrNotFound)
		p.wantEqual("user whose record was purged", n.UserRecord, p.byID(n))
	}
	for _, n := range live {
		p.wantStored(n)
	}
}

// purge is a call of Purge with a limit, and how many it must delete.
type purge struct{ limit, want int }

func (p *probe) wantPurged(calls []purge) {
	for _, c := range calls {
		got, err := p.Purge(p.ctx, c.limit)
		p.must("Purge", err)
		if got != c.want {
			p.errorf("Purge with limit %d: got %d deleted, want %d", c.limit, got, c.want)
		}
	}
}
