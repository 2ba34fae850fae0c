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
			"FindToken returns the token, dead or alive … ErrNotFound if there is none"},
		{"TokenLifetimeRunsDown", withTokens, tokenLifetimeRunsDown,
			"FindToken returns the token, dead or alive, with the Lifetime that is left"},
		{"TokenOfNow", withTokens, tokenOfNow,
			"CreateToken adds t; a zero Created is now"},
		{"TokenUnknownUser", withTokens, tokenUnknownUser,
			"CreateToken adds t … A user that does not exist is ErrNotFound"},
		{"TokenIsRedeemed", withTokens, tokenIsRedeemed,
			"RedeemToken sets the user's hash, ends a lock after failed sign-ins (Login: Failures 0, LockedUntil " +
				"zero; IsLockedOut stays), sets EmailVerified to r.Now if the token has a NotificationID, adds one to the " +
				"version and deletes all tokens of the user, in one transaction"},
		{"RedeemedUserIsWrittenToAtOnce", withOutbox | withTokens, redeemedUserIsWrittenToAtOnce,
			"and deletes all tokens of the user"},
		{"BadTokenChangesNothing", withTokens, badTokenChangesNothing,
			"if the token exists, is alive … otherwise ErrBadToken and nothing changes"},
		{"TokenOfAnotherAddress", withTokens, tokenOfAnotherAddress,
			"has an EmailKey that is empty or still the user's: otherwise ErrBadToken and nothing changes"},
		{"RacingRedemptions", withTokens, racingRedemptions,
			"Of several calls with one token exactly one succeeds"},
		{"PurgeTakesTokens", withTokens, purgeTakesTokens,
			"dead idempotency records, in a TokenStore tokens that ended a RecoveryWindow ago or earlier"},
	}
}

// newToken returns a token whose Sum is made of sum; it is not stored yet.
func newToken(n *users.NewUser, sum byte, lifetime time.Duration) users.TokenRecord {
	return users.TokenRecord{
		ApplicationID:  n.ApplicationID,
		UserID:         n.ID,
		Sum:            [32]byte{sum, 0, 0xff, 31: sum},
		Purpose:        users.PurposeSetPassword,
		EmailKey:       n.EmailKey,
		NotificationID: fmt.Sprint("message ", sum),
		Created:        base,
		Lifetime:       lifetime,
	}
}

// token stores a new token.
func (p *probe) token(n *users.NewUser, sum byte, lifetime time.Duration) users.TokenRecord {
	t := newToken(n, sum, lifetime)
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
		t := newToken(n, byte(i), -time.Duration(i)*365*24*time.Hour)
		if !at.IsZero() {
			t.Created = at
		}
		p.must("CreateToken", p.tokens.CreateToken(p.ctx, t))
		all = append(all, t)
	}
	noAddress := newToken(n, 200, 100*365*24*time.Hour)
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

// tokenLifetimeRunsDown: see idempotencyLifetimeRunsDown.
func tokenLifetimeRunsDown(p *probe) {
	t := p.token(p.create(p.user(p.app())), 1, time.Hour)
	p.wantRunningDown("token", func() time.Duration {
		got, err := p.tokens.FindToken(p.ctx, t.ApplicationID, t.Sum)
		p.must("FindToken", err)
		return got.Lifetime
	})
}

// tokenOfNow: the Service gives no time, as its clock is not the store's.
func tokenOfNow(p *probe) {
	t := newToken(p.create(p.user(p.app())), 1, time.Hour)
	t.Created = time.Time{}
	p.must("CreateToken", p.tokens.CreateToken(p.ctx, t))
	got, err := p.tokens.FindToken(p.ctx, t.ApplicationID, t.Sum)
	p.must("FindToken", err)
	p.wantNow("Created of the token", got.Created)
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
		t := newToken(n, 7, time.Hour)
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
	n.LastLogin, n.Login = base, users.LoginState{Failures: 11, LockedUntil: base.Add(time.Hour)}
	p.create(n)
	p.create(other)
	used := p.token(n, 1, time.Hour)
	sibling := p.token(n, 2, 2*time.Hour)
	foreign := p.token(other, 3, time.Hour)

	now := base.Add(30 * time.Minute)
	p.must("RedeemToken", p.tokens.RedeemToken(p.ctx, redemption(used, "$chosen", now)))
	want := n.UserRecord
	want.Hash = password.NewHash("$chosen")
	want.PasswordChanged = now
	want.DateUpdated = now
	want.EmailVerified = now
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

// redeemedUserIsWrittenToAtOnce: whoever has set a password and forgets it need not
// wait for another link.
func redeemedUserIsWrittenToAtOnce(p *probe) {
	n := p.create(p.user(p.app()))
	p.tokensOfAge(n, time.Minute, 2*time.Minute, 3*time.Minute)
	used := newToken(n, 1, time.Hour)
	used.Created = time.Time{}
	p.must("CreateToken", p.tokens.CreateToken(p.ctx, used))
	p.must("RedeemToken", p.tokens.RedeemToken(p.ctx, redemption(used, "$chosen", base)))

	r := p.recovery(n)
	p.must("Enqueue", p.outbox.Enqueue(p.ctx, r, time.Hour))
	p.wantStrings("what is due after Enqueue", rowIDs(p.claim("w", time.Hour, 10)), []string{r.ID})
}

// badTokenChangesNothing tries what an attacker can: a token that has ended,
// that nobody made, and that is another application's.
func badTokenChangesNothing(p *probe) {
	a := p.app()
	n, other := p.create(p.full(a)), p.create(p.full(a))
	twin := p.user(p.app())
	twin.ID = n.ID
	p.create(twin)
	t := p.token(n, 1, time.Hour)
	ended, longEnded := p.token(n, 2, 0), p.token(n, 3, -time.Hour)

	for what, spoil := range map[string]func(*users.Redemption){
		"at its end":              func(r *users.Redemption) { r.Sum = ended.Sum },
		"after its end":           func(r *users.Redemption) { r.Sum = longEnded.Sum },
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
	moved := newToken(n, 1, time.Hour)
	moved.EmailKey = "former@example.com"
	p.must("CreateToken", p.tokens.CreateToken(p.ctx, moved))
	p.wantBadToken("of an address that the user has no more", redemption(moved, "$stolen", base))
	p.wantStored(n)
	p.wantToken(moved)

	anywhere := newToken(n, 2, time.Hour)
	anywhere.EmailKey, anywhere.NotificationID = "", ""
	p.must("CreateToken", p.tokens.CreateToken(p.ctx, anywhere))
	err := p.tokens.RedeemToken(p.ctx, redemption(anywhere, "$chosen", base))
	p.must("RedeemToken of a token that no message carried", err)
	if got := p.byID(n); !got.EmailVerified.IsZero() {
		p.errorf("a token that no message carried: got EmailVerified %v, want zero", got.EmailVerified)
	}
}

// racingRedemptions is a link that is opened twice. Two passwords would be
// set, and one of the two users of the link be wrong about theirs.
func racingRedemptions(p *probe) {
	a := p.app()
	for round := range 5 {
		n := p.create(p.user(a))
		both := [2]users.TokenRecord{
			p.token(n, byte(2*round), time.Hour),
			p.token(n, byte(2*round+1), time.Hour),
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
// limit. Tokens are kept for a while, as Enqueue counts them.
func purgeTakesTokens(p *probe) {
	a, b := p.app(), p.app()
	n, m := p.create(p.user(a)), p.create(p.user(b))
	withRecord := p.user(a)
	withRecord.Idempotency = p.record(withRecord, "key")
	withRecord.Idempotency.Lifetime = 0
	p.create(withRecord)

	var dead, live []users.TokenRecord
	for i, n := range []*users.NewUser{n, m, n, m} {
		ago := time.Duration(i) * time.Hour
		dead = append(dead, p.token(n, byte(2*i), -users.RecoveryWindow-ago))
		live = append(live, p.token(n, byte(2*i+1), ago-users.RecoveryWindow+time.Hour))
	}
	p.wantPurged([]purge{{0, 0}, {-1, 0}, {2, 2}, {2, 2}, {100, 1}, {100, 0}}) // four tokens and a record

	for _, t := range dead {
		p.wantNoToken(t)
	}
	for _, t := range live {
		p.wantToken(t)
	}
}
