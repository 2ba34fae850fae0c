package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gousers/users"
)

func replayCases() []testCase {
	return []testCase{
		{"ReplayComesBack", "FindReplay gives the record, dead or alive; ErrNotFound if there is none", 0, replayComesBack},
		{"LiveReplayRefuses", "a live n.Replay key is ErrIdempotencyKeyUsed, and that comes before a conflict", 0, liveReplayRefuses},
		{"DeadReplayIsReplaced", "a record whose Expires is not after n.DateCreated is dead and is replaced", 0, deadReplayIsReplaced},
		{"RefusedUserKeepsTheReplay", "on any error that it can vouch for none of it is durable: a refused request does not use a key up, nor replace a dead one", 0, refusedUserKeepsTheReplay},
		{"RacingReplays", "of calls that race for one idempotency key exactly one wins, the others get ErrIdempotencyKeyUsed", 0, racingReplays},
		{"PurgeIsBounded", "Purge deletes up to limit records whose Expires is not after before, of all applications, and reports how many", 0, purgeIsBounded},
	}
}

func replayComesBack(p *probe) {
	a := p.app()
	n := p.full(a)
	n.Replay.Expires = n.DateCreated.AddDate(-1, 0, 0) // dead from the start
	p.create(n)
	p.stored(n)
	k := n.Replay.ReplayKey
	for what, key := range map[string]users.ReplayKey{
		"another key":            {ApplicationID: k.ApplicationID, Scope: k.Scope, Key: k.Key + "x"},
		"another scope":          {ApplicationID: k.ApplicationID, Scope: "", Key: k.Key},
		"another application":    {ApplicationID: p.app().ID, Scope: k.Scope, Key: k.Key},
		"an unknown application": {ApplicationID: p.id(), Scope: k.Scope, Key: k.Key},
		"scope and key run on":   {ApplicationID: k.ApplicationID, Scope: k.Scope + k.Key[:1], Key: k.Key[1:]},
	} {
		_, err := p.FindReplay(p.ctx, key)
		p.is("FindReplay with "+what, err, users.ErrNotFound)
	}
	// The same key of another caller is another key.
	for _, scope := range []string{"", "caller:", "caller:someone else"} {
		m := p.full(a)
		m.Replay.Key, m.Replay.Scope = k.Key, scope
		p.create(m)
		p.stored(m)
	}
	p.stored(n)
}

func liveReplayRefuses(p *probe) {
	a := p.app()
	first := p.full(a)
	first.Replay.Expires = base.Add(time.Microsecond) // just alive
	p.create(first)
	n := p.full(a)
	n.Replay.ReplayKey = first.Replay.ReplayKey
	clash := p.full(a)
	clash.Replay.ReplayKey, clash.NameKey, clash.EmailKey = first.Replay.ReplayKey, first.NameKey, first.EmailKey
	again := *first
	for what, n := range map[string]*users.NewUser{"with the key": n, "with key and name": clash, "repeated": &again} {
		n.InTx = p.neverRun()
		err := p.CreateUser(p.ctx, n)
		p.is("CreateUser "+what, err, users.ErrIdempotencyKeyUsed)
		if errors.Is(err, users.ErrConflict) {
			p.errorf("CreateUser %s: got a conflict, want ErrIdempotencyKeyUsed alone", what)
		}
		if n.ID != first.ID {
			p.absent(n)
		}
	}
	p.stored(first)
	n.Replay = p.replay(n, "a key of its own")
	p.creatable(n)
}

func deadReplayIsReplaced(p *probe) {
	a := p.app()
	for _, age := range []time.Duration{0, time.Microsecond, 48 * time.Hour} {
		old := p.full(a)
		old.Replay.Expires = base.Add(-age)
		p.create(old)
		n := p.full(a)
		n.Replay.ReplayKey, n.Replay.Fingerprint = old.Replay.ReplayKey, [32]byte{42}
		if err := p.CreateUser(p.ctx, n); err != nil {
			p.errorf("CreateUser with a key that died %v ago: got error %v, want none", age, err)
			continue
		}
		p.stored(n)
		again := p.full(a)
		again.Replay.ReplayKey = old.Replay.ReplayKey
		p.is("CreateUser after the replacement", p.CreateUser(p.ctx, again), users.ErrIdempotencyKeyUsed)
	}
}

func refusedUserKeepsTheReplay(p *probe) {
	a := p.app()
	taken := p.create(p.full(a))
	dead := p.full(a)
	dead.Replay.Expires = base
	p.create(dead)
	refused := errors.New("refused by the host")
	for what, spoil := range map[string]func(*users.NewUser){
		"conflict":     func(n *users.NewUser) { n.NameKey = taken.NameKey },
		"unknown role": func(n *users.NewUser) { n.Roles = []users.Role{{ID: "nobody"}} },
		"InTx":         func(n *users.NewUser) { n.InTx = func(context.Context) error { return refused } },
	} {
		n := p.full(a)
		spoil(n)
		if err := p.CreateUser(p.ctx, n); err == nil {
			p.errorf("CreateUser with %s: got no error", what)
		}
		p.absent(n)
		n.Replay.ReplayKey = dead.Replay.ReplayKey
		if err := p.CreateUser(p.ctx, n); err == nil {
			p.errorf("CreateUser with %s and a dead key: got no error", what)
		}
		p.absent(n)
		p.stored(dead)
	}
}

func racingReplays(p *probe) {
	a := p.app()
	for round := range 5 {
		key := fmt.Sprintf("key %d", round)
		if round%2 == 1 { // over a dead record
			dead := p.user(a)
			dead.Replay = p.replay(dead, key)
			dead.Replay.Expires = base
			p.create(dead)
		}
		racing := make([]*users.NewUser, racers)
		for i := range racing {
			racing[i] = p.full(a)
			racing[i].Replay.Key = key
		}
		errs := p.race(func(i int) error { return p.CreateUser(p.ctx, racing[i]) })
		winner := p.oneWins("CreateUser", errs, isError(users.ErrIdempotencyKeyUsed))
		p.stored(racing[winner])
		for i, n := range racing {
			if i != winner {
				p.absent(n)
			}
		}
	}
}

func purgeIsBounded(p *probe) {
	apps := []users.Application{p.app(), p.app()}
	var dead, live []*users.NewUser
	for i := range 10 {
		n := p.full(apps[i%2])
		n.Replay.Expires = base.Add(-time.Duration(i) * time.Hour)
		dead = append(dead, p.create(n))
		m := p.full(apps[i%2])
		m.Replay.Expires = base.Add(time.Duration(i)*time.Hour + time.Microsecond)
		live = append(live, p.create(m))
	}
	for _, c := range []struct{ limit, want int }{{0, 0}, {4, 4}, {4, 4}, {1000, 2}, {1000, 0}} {
		n, err := p.Purge(p.ctx, base, c.limit)
		p.must("Purge", err)
		if n != c.want {
			p.errorf("Purge with limit %d: got %d deleted, want %d", c.limit, n, c.want)
		}
	}
	for _, n := range dead {
		_, err := p.FindReplay(p.ctx, n.Replay.ReplayKey)
		p.is("FindReplay of a record that was purged", err, users.ErrNotFound)
		p.same("user whose record was purged", n.UserRecord, p.byID(n))
	}
	for _, n := range live {
		p.stored(n)
	}
}
