package storetest

import (
	"fmt"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

func tokenCases() []testCase {
	return []testCase{
		{"TokenComesBack", "FindToken gives the token, dead or alive; ErrNotFound if there is none", tokens, tokenComesBack},
		{"TokenUnknownUser", "CreateToken for a user that does not exist is ErrNotFound", tokens, tokenUnknownUser},
		{"TokenIsRedeemed", "RedeemToken sets the user's hash, adds one to the version and deletes all tokens of the user", tokens, tokenIsRedeemed},
		{"BadTokenChangesNothing", "if the token exists and expires after r.Now: otherwise ErrBadToken and nothing changes", tokens, badTokenChangesNothing},
		{"RacingRedemptions", "of several calls with one token exactly one succeeds", tokens, racingRedemptions},
		{"PurgeTakesTokens", "Purge deletes, where the Store keeps them, set-password tokens whose Expires is not after before", tokens, purgeTakesTokens},
	}
}

// keys is for the cases that need a TokenStore.
func (p *probe) keys() users.TokenStore { return p.Store.(users.TokenStore) }

// token makes the token whose digest begins with sum.
func (p *probe) token(n *users.NewUser, sum byte, created, expires time.Time) users.TokenRecord {
	t := users.TokenRecord{ApplicationID: n.ApplicationID, UserID: n.ID, Sum: [32]byte{sum, 0, 0xff, 31: sum}, Created: created, Expires: expires}
	p.must("CreateToken", p.keys().CreateToken(p.ctx, t))
	return t
}

func (p *probe) tokenStored(want users.TokenRecord) {
	got, err := p.keys().FindToken(p.ctx, want.ApplicationID, want.Sum)
	if err != nil {
		p.errorf("FindToken: got error %v, want none", err)
		return
	}
	p.same("token", want, got)
}

func (p *probe) tokenAbsent(t users.TokenRecord) {
	_, err := p.keys().FindToken(p.ctx, t.ApplicationID, t.Sum)
	p.is("FindToken", err, users.ErrNotFound)
}

func tokenComesBack(p *probe) {
	a := p.app()
	n := p.create(p.user(a))
	var all []users.TokenRecord
	for i, at := range times() {
		all = append(all, p.token(n, byte(i), base, at))
		all = append(all, p.token(n, byte(100+i), at, base))
	}
	for _, t := range all {
		p.tokenStored(t)
		t.ApplicationID = p.app().ID
		p.tokenAbsent(t)
		t.ApplicationID = p.id()
		p.tokenAbsent(t)
	}
	last := all[len(all)-1]
	last.Sum[31]++
	p.tokenAbsent(last)
}

func tokenUnknownUser(p *probe) {
	a, b := p.app(), p.app()
	n := p.create(p.user(a))
	for what, m := range map[string][2]string{
		"nobody": {a.ID, p.id()}, "a user of another application": {b.ID, n.ID}, "a user of an application that is none": {p.id(), n.ID},
	} {
		t := users.TokenRecord{ApplicationID: m[0], UserID: m[1], Sum: [32]byte{7}, Created: base, Expires: base}
		p.is("CreateToken for "+what, p.keys().CreateToken(p.ctx, t), users.ErrNotFound)
		p.tokenAbsent(t)
	}
}

func tokenIsRedeemed(p *probe) {
	a := p.app()
	n, other := p.full(a, p.role(a, "r")), p.user(a)
	n.Hash = ""
	p.create(n)
	p.create(other)
	t, sibling, foreign := p.token(n, 1, base, base.Add(time.Hour)), p.token(n, 2, base, base.Add(2*time.Hour)), p.token(other, 3, base, base.Add(time.Hour))
	now := base.Add(30 * time.Minute)
	p.must("RedeemToken", p.keys().RedeemToken(p.ctx, users.Redemption{TokenRecord: t, Hash: "$chosen", Now: now}))
	want := n.UserRecord
	want.Hash, want.DateUpdated, want.Version = "$chosen", now, 2
	p.same("user", want, p.byID(n))
	p.stored(other)
	p.tokenAbsent(t)
	p.tokenAbsent(sibling)
	p.tokenStored(foreign)
	for what, t := range map[string]users.TokenRecord{"again": t, "of the same user": sibling} {
		p.is("RedeemToken "+what, p.keys().RedeemToken(p.ctx, users.Redemption{TokenRecord: t, Hash: "$late", Now: now}), users.ErrBadToken)
	}
	p.same("user", want, p.byID(n))
	p.is("UpdateUser from the version before", p.UpdateUser(p.ctx, users.UserUpdate{ApplicationID: a.ID, ID: n.ID, IfVersion: 1, DateUpdated: base}), users.ErrStale)
}

func badTokenChangesNothing(p *probe) {
	a := p.app()
	n, other := p.create(p.full(a)), p.create(p.full(a))
	twin := *p.user(p.app())
	twin.ID = n.ID
	p.create(&twin)
	t := p.token(n, 1, base, base.Add(time.Hour))
	for what, spoil := range map[string]func(*users.Redemption){
		"at its end":              func(r *users.Redemption) { r.Now = t.Expires },
		"after its end":           func(r *users.Redemption) { r.Now = t.Expires.Add(time.Hour) },
		"with a forged end":       func(r *users.Redemption) { r.Now, r.Expires = t.Expires, t.Expires.Add(time.Hour) },
		"that is unknown":         func(r *users.Redemption) { r.Sum[31]++ },
		"in another application":  func(r *users.Redemption) { r.ApplicationID = twin.ApplicationID },
		"in no application":       func(r *users.Redemption) { r.ApplicationID = p.id() },
		"that nobody made, of 00": func(r *users.Redemption) { r.Sum = [32]byte{} },
	} {
		r := users.Redemption{TokenRecord: t, Hash: "$stolen", Now: base}
		spoil(&r)
		p.is("RedeemToken "+what, p.keys().RedeemToken(p.ctx, r), users.ErrBadToken)
		for _, n := range []*users.NewUser{n, other, &twin} {
			p.stored(n)
		}
		p.tokenStored(t)
	}
	// Whose the token is the store knows, whatever the call says.
	r := users.Redemption{TokenRecord: t, Hash: "$stolen", Now: base}
	r.UserID = other.ID
	_ = p.keys().RedeemToken(p.ctx, r)
	p.stored(other)
}

func racingRedemptions(p *probe) {
	a := p.app()
	for round := range 5 {
		n := p.create(p.user(a))
		// Every other round with two tokens: the first use ends both.
		both := []users.TokenRecord{p.token(n, byte(2*round), base, base.Add(time.Hour)), p.token(n, byte(2*round+1), base, base.Add(time.Hour))}
		errs := p.race(func(i int) error {
			return p.keys().RedeemToken(p.ctx, users.Redemption{
				TokenRecord: both[i*round%2], Hash: password.Hash(fmt.Sprintf("$by %d", i)), Now: base,
			})
		})
		winner := p.oneWins("RedeemToken", errs, isError(users.ErrBadToken))
		if got := p.byID(n); got.Version != 2 || string(got.Hash) != fmt.Sprintf("$by %d", winner) {
			p.errorf("after the race: got version %d, want 2 and the winner's hash", got.Version)
		}
	}
}

func purgeTakesTokens(p *probe) {
	a, b := p.app(), p.app()
	n, m := p.create(p.user(a)), p.create(p.user(b))
	replay := p.user(a)
	replay.Replay = p.replay(replay, "key")
	replay.Replay.Expires = base
	p.create(replay)
	var dead, live []users.TokenRecord
	for i, n := range []*users.NewUser{n, m, n, m} {
		dead = append(dead, p.token(n, byte(2*i), base.AddDate(-1, 0, 0), base.Add(-time.Duration(i)*time.Second)))
		live = append(live, p.token(n, byte(2*i+1), base, base.Add(time.Microsecond)))
	}
	for _, c := range []struct{ limit, want int }{{0, 0}, {2, 2}, {2, 2}, {100, 1}, {100, 0}} {
		got, err := p.Purge(p.ctx, base, c.limit)
		p.must("Purge", err)
		if got != c.want {
			p.errorf("Purge with limit %d: got %d deleted, want %d", c.limit, got, c.want)
		}
	}
	for _, t := range dead {
		p.tokenAbsent(t)
	}
	for _, t := range live {
		p.tokenStored(t)
	}
}
