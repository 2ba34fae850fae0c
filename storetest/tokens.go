package storetest

import (
	"fmt"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

func tokenCases() []testCase {
	return []testCase{
		{"TokenComesBack", withTokens, tokenComesBack,
			"FindToken returns the token, dead or alive; ErrNotFound if there is none"},
		{"TokenUnknownUser", withTokens, tokenUnknownUser,
			"CreateToken adds t. A user that does not exist is ErrNotFound"},
		{"TokenIsRedeemed", withTokens, tokenIsRedeemed,
			"RedeemToken sets the user's hash, ends a lock after failed sign-ins (Login: Failures 0, LockedUntil " +
				"zero; IsLockedOut stays), adds one to the version and deletes all tokens of the user, in one transaction"},
		{"BadTokenChangesNothing", withTokens, badTokenChangesNothing,
			"if the token exists, expires after r.Now … otherwise ErrBadToken and nothing changes"},
		{"TokenOfAnotherAddress", withTokens, tokenOfAnotherAddress,
			"has an EmailKey that is empty or still the user's: otherwise ErrBadToken and nothing changes"},
		{"RacingRedemptions", withTokens, racingRedemptions,
			"Of several calls with one token exactly one succeeds"},
		{"PurgeTakesTokens", withTokens, purgeTakesTokens,
			"idempotency records and, in a TokenStore, tokens"},
	}
}

// newToken returns a token whose Sum is made of sum; it is not stored yet.
func newToken(n *users.NewUser, sum byte, created, expires time.Time) users.TokenRecord {
	return users.TokenRecord{
		ApplicationID: n.ApplicationID,
		UserID:        n.ID,
		Sum:           [32]byte{sum, 0, 0xff, 31: sum},
		Purpose:       users.PurposeSetPassword,
		EmailKey:      n.EmailKey,
		Created:       created,
		Expires:       expires,
	}
}

// token stores a new token.
func (p *probe) token(n *users.NewUser, sum byte, created, expires time.Time) users.TokenRecord {
	t := newToken(n, sum, created, expires)
	p.must("CreateToken", p.tokens.CreateToken(p.ctx, t))
	return t
}

// redemption returns what uses t up.
func redemption(t users.TokenRecord, hash string, now time.Time) users.Redemption {
	return users.Redemption{ApplicationID: t.ApplicationID, UserID: t.UserID, Sum: t.Sum, Hash: password.NewHash(hash), Now: now}
}

func (p *probe) wantToken(want users.TokenRecord) {
	got, err := p.tokens.FindToken(p.ctx, want.ApplicationID, want.Sum)
	if err != nil {
		p.errorf("FindToken: got error %v, want none", err)
		return
	}
	p.wantEqual("token", want, got)
}

func (p *probe) wantNoToken(t users.TokenRecord) {
	_, err := p.tokens.FindToken(p.ctx, t.ApplicationID, t.Sum)
	p.wantErr("FindToken", err, users.ErrNotFound)
}

func (p *probe) wantBadToken(what string, r users.Redemption) {
	p.wantErr("RedeemToken "+what, p.tokens.RedeemToken(p.ctx, r), users.ErrBadToken)
}

// tokenComesBack stores times at the ends of the range, a token of no address
// and one of a purpose that this version does not know. Dead ones come back
// too: the Service judges.
func tokenComesBack(p *probe) {
	a, other := p.app(), p.app()
	n := p.create(p.user(a))
	var all []users.TokenRecord
	for i, at := range times() {
		all = append(all, p.token(n, byte(i), base, at))
		all = append(all, p.token(n, byte(100+i), at, base))
	}
	noAddress := newToken(n, 200, base, base)
	noAddress.EmailKey = ""
	noAddress.Purpose = "another_purpose" // a later version's
	p.must("CreateToken", p.tokens.CreateToken(p.ctx, noAddress))
	all = append(all, noAddress)

	for _, t := range all {
		p.wantToken(t)
		t.ApplicationID = other.ID
		p.wantNoToken(t)
		t.ApplicationID = p.id()
		p.wantNoToken(t)
	}
	last := all[len(all)-1]
	last.Sum[31]++
	p.wantNoToken(last)
}

// tokenUnknownUser adds no token for nobody, who may be created later.
func tokenUnknownUser(p *probe) {
	a, b := p.app(), p.app()
	n := p.create(p.user(a))
	for what, key := range map[string][2]string{
		"nobody":                          {a.ID, p.id()},
		"a user of another application":   {b.ID, n.ID},
		"a user of no application at all": {p.id(), n.ID},
	} {
		t := newToken(n, 7, base, base)
		t.ApplicationID, t.UserID = key[0], key[1]
		p.wantErr("CreateToken for "+what, p.tokens.CreateToken(p.ctx, t), users.ErrNotFound)
		p.wantNoToken(t)
	}
}

// tokenIsRedeemed: the first use ends all links that were sent, and a lock: who
// reads the user's mail has shown more than who guesses passwords.
func tokenIsRedeemed(p *probe) {
	a := p.app()
	n, other := p.full(a, p.role(a, "r")), p.user(a)
	n.Hash, n.PasswordChanged = password.Hash{}, time.Time{}
	n.Login = users.LoginState{Failures: 11, LockedUntil: base.Add(time.Hour), LastLogin: base}
	p.create(n)
	p.create(other)
	used := p.token(n, 1, base, base.Add(time.Hour))
	sibling := p.token(n, 2, base, base.Add(2*time.Hour))
	foreign := p.token(other, 3, base, base.Add(time.Hour))

	now := base.Add(30 * time.Minute)
	p.must("RedeemToken", p.tokens.RedeemToken(p.ctx, redemption(used, "$chosen", now)))
	want := n.UserRecord
	want.Hash = password.NewHash("$chosen")
	want.PasswordChanged = now
	want.DateUpdated = now
	want.Login.Failures = 0
	want.Login.LockedUntil = time.Time{}
	want.Version = 2
	p.wantEqual("user", want, p.byID(n))
	p.wantStored(other)
	p.wantNoToken(used)
	p.wantNoToken(sibling)
	p.wantToken(foreign)

	p.wantBadToken("again", redemption(used, "$late", now))
	p.wantBadToken("of the same user", redemption(sibling, "$late", now))
	p.wantEqual("user", want, p.byID(n))
	stale := users.StatusUpdate{ApplicationID: a.ID, ID: n.ID, IfVersion: 1, DateUpdated: base}
	p.wantErr("SetUserStatus from the version before", p.SetUserStatus(p.ctx, stale), users.ErrStale)
}

// badTokenChangesNothing tries what an attacker can: a token that has ended,
// that nobody made, and that is another application's.
func badTokenChangesNothing(p *probe) {
	a := p.app()
	n, other := p.create(p.full(a)), p.create(p.full(a))
	twin := p.user(p.app())
	twin.ID = n.ID
	p.create(twin)
	t := p.token(n, 1, base, base.Add(time.Hour))

	for what, spoil := range map[string]func(*users.Redemption){
		"at its end":              func(r *users.Redemption) { r.Now = t.Expires },
		"after its end":           func(r *users.Redemption) { r.Now = t.Expires.Add(time.Hour) },
		"that is unknown":         func(r *users.Redemption) { r.Sum[31]++ },
		"in another application":  func(r *users.Redemption) { r.ApplicationID = twin.ApplicationID },
		"in no application":       func(r *users.Redemption) { r.ApplicationID = p.id() },
		"that nobody made, of 00": func(r *users.Redemption) { r.Sum = [32]byte{} },
	} {
		r := redemption(t, "$stolen", base)
		spoil(&r)
		p.wantBadToken(what, r)
		for _, n := range []*users.NewUser{n, other, twin} {
			p.wantStored(n)
		}
		p.wantToken(t)
	}

	// Whose the token is the store knows, whatever the call says.
	r := redemption(t, "$stolen", base)
	r.UserID = other.ID
	_ = p.tokens.RedeemToken(p.ctx, r)
	p.wantStored(other)
}

// tokenOfAnotherAddress: a link that was mailed to an address which the user has
// given up must not open the account to whoever has that address now.
func tokenOfAnotherAddress(p *probe) {
	n := p.create(p.full(p.app()))
	moved := newToken(n, 1, base, base.Add(time.Hour))
	moved.EmailKey = "former@example.com"
	p.must("CreateToken", p.tokens.CreateToken(p.ctx, moved))
	p.wantBadToken("of an address that the user has no more", redemption(moved, "$stolen", base))
	p.wantStored(n)
	p.wantToken(moved)

	anywhere := newToken(n, 2, base, base.Add(time.Hour))
	anywhere.EmailKey = ""
	p.must("CreateToken", p.tokens.CreateToken(p.ctx, anywhere))
	err := p.tokens.RedeemToken(p.ctx, redemption(anywhere, "$chosen", base))
	p.must("RedeemToken of no address", err)
}

// racingRedemptions is a link that is opened twice. Two passwords would be
// set, and one of the two users of the link be wrong about theirs.
func racingRedemptions(p *probe) {
	a := p.app()
	for round := range 5 {
		n := p.create(p.user(a))
		both := [2]users.TokenRecord{
			p.token(n, byte(2*round), base, base.Add(time.Hour)),
			p.token(n, byte(2*round+1), base, base.Add(time.Hour)),
		}
		hash := func(i int) string { return fmt.Sprintf("$by %d", i) }

		// Every other round with two tokens: the first use ends both.
		errs := p.race(func(i int) error {
			return p.tokens.RedeemToken(p.ctx, redemption(both[i*round%2], hash(i), base))
		})
		winner := p.wantOneWinner("RedeemToken", errs, isError(users.ErrBadToken))
		if got := p.byID(n); got.Version != 2 || got.Hash.Reveal() != hash(winner) {
			p.errorf("after the race: got version %d, want 2 and the winner's hash", got.Version)
		}
	}
}

// purgeTakesTokens counts tokens and idempotency records together against one
// limit.
func purgeTakesTokens(p *probe) {
	a, b := p.app(), p.app()
	n, m := p.create(p.user(a)), p.create(p.user(b))
	withRecord := p.user(a)
	withRecord.Idempotency = p.record(withRecord, "key")
	withRecord.Idempotency.Expires = base
	p.create(withRecord)

	var dead, live []users.TokenRecord
	for i, n := range []*users.NewUser{n, m, n, m} {
		ago := time.Duration(i) * time.Second
		dead = append(dead, p.token(n, byte(2*i), base.AddDate(-1, 0, 0), base.Add(-ago)))
		live = append(live, p.token(n, byte(2*i+1), base, base.Add(time.Microsecond)))
	}
	p.wantPurged([]purge{{0, 0}, {-1, 0}, {2, 2}, {2, 2}, {100, 1}, {100, 0}}) // four tokens and a record

	for _, t := range dead {
		p.wantNoToken(t)
	}
	for _, t := range live {
		p.wantToken(t)
	}
}
