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
				"version, deletes all tokens of the user … in one transaction"},
		{"TokenNotifies", withOutbox | withTokens, tokenNotifies,
			"Notifications are added with the new hash, at most one of each kind; a zero Created or Due is now"},
		{"TokenBesidePending", withOutbox | withTokens, tokenBesidePending,
			"Notifications are added with the new hash … Where one of the kind is pending already it stays, and none is added, unless a worker holds it … Then the new one takes its place"},
		{"TokenWithoutOutbox", withTokens, tokenWithoutOutbox,
			"A Store without an outbox returns ErrUnsupported for an r with Notifications, and changes nothing"},
		{"RedeemedUserIsWrittenToAtOnce", withOutbox | withTokens, redeemedUserIsWrittenToAtOnce,
			"deletes all tokens of the user"},
		{"BadTokenChangesNothing", withTokens, badTokenChangesNothing,
			"if the token exists, is alive … otherwise ErrBadToken and nothing changes"},
		{"TokenOfAnotherAddress", withTokens, tokenOfAnotherAddress,
			"has an EmailKey that is empty or still the user's: otherwise ErrBadToken and nothing changes"},
		{"RacingRedemptions", withTokens, racingRedemptions,
			"Of several calls with one token exactly one succeeds"},
		{"RacingRedemptionsAndEnqueues", withOutbox | withTokens, racingRedemptionsAndEnqueues,
			"A user has at most one pending notification of a kind"},
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

// tokenNotifies adds rows of two kinds, one with dates and one without.
func tokenNotifies(p *probe) {
	n := p.create(p.user(p.app()))
	dated, now := p.notification(n, users.KindPasswordChanged), p.notification(n, users.KindAccountCreated)
	dated.Urgent = true
	now.Created, now.Due = time.Time{}, time.Time{}
	r := redemption(p.token(n, 1, time.Hour), "$chosen", base)
	r.Notifications = []users.NotificationRecord{dated, now}
	p.must("RedeemToken", p.tokens.RedeemToken(p.ctx, r))

	rows := p.claim("w", time.Hour, 10)
	p.wantStrings("what is due", rowIDs(rows), []string{dated.ID, now.ID})
	if len(rows) == 2 {
		dated.Attempts = 1
		p.wantEqual("the notification with dates", dated, rows[0])
		p.wantNow("Created of the other", rows[1].Created)
		p.wantNow("Due of the other", rows[1].Due)
	}
}

// tokenBesidePending: see editBesidePending.
func tokenBesidePending(p *probe) {
	n := p.create(p.user(p.app()))
	redeemed := byte(0)
	notify := func(kind string) users.NotificationRecord {
		redeemed++
		r := redemption(p.token(n, redeemed, time.Hour), fmt.Sprint("$", redeemed), base)
		r.Notifications = []users.NotificationRecord{p.notification(n, kind)}
		p.must("RedeemToken", p.tokens.RedeemToken(p.ctx, r))
		if got := p.byID(n); !got.Hash.Equal(r.Hash) {
			p.errorf("RedeemToken with a notification of the kind %s: the hash is another one", kind)
		}
		return r.Notifications[0]
	}

	first := notify(users.KindPasswordChanged)
	notify(users.KindPasswordChanged)
	p.wantStrings("beside a pending one", rowIDs(p.rowsOf(n)), []string{first.ID})
	p.claimOne("w", time.Hour)
	first = p.wantInsteadOf(first, n, func() users.NotificationRecord { return notify(users.KindPasswordChanged) })
	p.claimOne("w", time.Hour)
	p.end(first, "w", users.OutcomeDiscarded)
	again, another := notify(users.KindPasswordChanged), notify(users.KindAccountCreated)
	p.wantStrings("beside a discarded one", rowIDs(p.rowsOf(n)), []string{first.ID, again.ID, another.ID})
}

// tokenWithoutOutbox: see notificationWithoutOutbox.
func tokenWithoutOutbox(p *probe) {
	n := p.create(p.user(p.app()))
	t := p.token(n, 1, time.Hour)
	if p.outbox == nil {
		r := redemption(t, "$late", base)
		r.Notifications = []users.NotificationRecord{p.notification(n, users.KindPasswordChanged)}
		p.wantErr("RedeemToken", p.tokens.RedeemToken(p.ctx, r), users.ErrUnsupported)
		p.wantStored(n)
		p.wantToken(t)
	}
	p.must("RedeemToken without notifications", p.tokens.RedeemToken(p.ctx, redemption(t, "$chosen", base)))
}

// notify has r tell the user, where the store can.
func (p *probe) notify(n *users.NewUser, r users.Redemption) users.Redemption {
	if p.outbox != nil {
		r.Notifications = []users.NotificationRecord{p.notification(n, users.KindPasswordChanged)}
	}
	return r
}

// wantTold notes other notifications of n than these.
func (p *probe) wantTold(n *users.NewUser, rows ...users.NotificationRecord) {
	if p.outbox != nil {
		p.wantStrings("notifications", rowIDs(p.rowsOf(n)), rowIDs(rows))
	}
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
		r := p.notify(n, redemption(t, "$stolen", base))
		spoil(&r)
		p.wantBadToken(what, r)
		for _, n := range []*users.NewUser{n, other, twin} {
			p.wantStored(n)
			p.wantTold(n, n.Notifications...)
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
	p.wantBadToken("of an address that the user has no more", p.notify(n, redemption(moved, "$stolen", base)))
	p.wantStored(n)
	p.wantTold(n, n.Notifications...)
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
		all := make([]users.Redemption, racers)
		for i := range all {
			// Every other round with two tokens: the first use ends both.
			all[i] = p.notify(n, redemption(both[i*round%2], fmt.Sprintf("$by %d", i), base))
		}

		errs := p.race(func(i int) error { return p.tokens.RedeemToken(p.ctx, all[i]) })
		winner := p.wantOneWinner("RedeemToken", errs, isError(users.ErrBadToken))
		if got := p.byID(n); got.Version != 2 || !got.Hash.Equal(all[winner].Hash) {
			p.errorf("after the race: got version %d, want 2 and the winner's hash", got.Version)
		}
		p.wantTold(n, all[winner].Notifications...)
	}
}

// racingRedemptionsAndEnqueues adds notifications of one kind from two sides.
func racingRedemptionsAndEnqueues(p *probe) {
	a := p.app()
	for range 5 {
		n := p.create(p.user(a))
		t := newToken(n, 1, time.Hour)
		copy(t.Sum[:], n.ID)
		p.must("CreateToken", p.tokens.CreateToken(p.ctx, t))
		rows := make([]users.NotificationRecord, racers)
		for i := range rows {
			rows[i] = p.notification(n, users.KindPasswordChanged)
		}
		errs := p.race(func(i int) error {
			if i > 0 {
				return p.outbox.Enqueue(p.ctx, rows[i], 0)
			}
			r := redemption(t, "$chosen", base)
			r.Notifications = rows[:1]
			return p.tokens.RedeemToken(p.ctx, r)
		})
		p.wantNoErrors("Enqueue and RedeemToken", errs)
		if got := p.rowsOf(n); len(got) != 1 {
			p.errorf("after the race: got %d notifications, want 1", len(got))
		}
		if got := p.byID(n); got.Version != 2 {
			p.errorf("after the race: got version %d, want 2", got.Version)
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
