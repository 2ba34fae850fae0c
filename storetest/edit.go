package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

func editCases() []testCase {
	const fromVersion = "EditUser replaces the user with e's ID by e, all or nothing, if the stored version is " +
		"e.Version, and stores that plus one"
	return []testCase{
		{"EditReplaces", withEditor, editReplaces, fromVersion},
		{"EditKeeps", withEditor, editKeeps,
			"CreatedBy, CreationDate, DateCreated, LastLogin and Login stay as they are stored; so do Hash " +
				"and PasswordChanged without SetHash"},
		{"EditSetsHash", withEditor, editSetsHash,
			"SetHash replaces Hash and PasswordChanged too, and ends a lock after failed sign-ins (Login: " +
				"Failures 0, LockedUntil zero)"},
		{"EditRoles", withEditor, editRoles,
			"Of each element of Roles the ID counts"},
		{"EditOfNobody", withEditor, editOfNobody,
			"A user that does not exist is ErrNotFound"},
		{"EditStale", withEditor, editStale,
			"another version ErrStale … nothing changes then"},
		{"EditConflictNamesAll", withEditor, editConflictNamesAll,
			"keys that another user of the application has are a *ConflictError that names every one " +
				`("userName", "email")`},
		{"EditToOwnKeys", withEditor, editToOwnKeys,
			"keys that another user of the application has"},
		{"EditSwap", withEditor, editSwap, fromVersion},
		{"EditUnknownRole", withEditor, editUnknownRole,
			"a role that does not exist is ErrUnknownRole … nothing changes then"},
		{"EditJudgesInOrder", withEditor, editJudgesInOrder,
			"They are judged in this order"},
		{"EditDropsTokens", withEditor | withTokens, editDropsTokens,
			"DropTokens deletes the user's tokens"},
		{"EditDropsIssuedTokens", withEditor | withTokens, editDropsIssuedTokens,
			"DropIssued those without a NotificationID"},
		{"EditNotifies", withEditor | withOutbox, editNotifies,
			"Notifications are added with the change, at most one of each kind; a zero Created or Due is now"},
		{"EditBesidePending", withEditor | withOutbox, editBesidePending,
			"Where one of the kind is pending already it stays, and none is added, unless a worker holds it … Then the new one takes its place"},
		{"EditWithoutOutbox", withEditor, editWithoutOutbox,
			"A Store without an outbox returns ErrUnsupported for an e with Notifications"},
		{"EditCopies", withEditor, editCopies,
			"Slices, maps and pointers passed in stay the caller's"},
		{"RacingEdits", withEditor, racingEdits, fromVersion},
		{"RacingEditsToOneName", withEditor, racingEditsToOneName,
			"keys that another user of the application has are a *ConflictError"},
		{"RacingEditsLoseNothing", withEditor, racingEditsLoseNothing, fromVersion},
		{"RacingEditsAndEnqueues", withEditor | withOutbox, racingEditsAndEnqueues,
			"A user has at most one pending notification of a kind"},
	}
}

// editOf returns the edit of u that change makes.
func editOf(u users.UserRecord, change func(*users.UserEdit)) *users.UserEdit {
	e := &users.UserEdit{UserRecord: u}
	e.Roles = slices.Clone(u.Roles)
	if change != nil {
		change(e)
	}
	return e
}

// edit changes u and returns it as it must be stored then.
func (p *probe) edit(u users.UserRecord, change func(*users.UserEdit)) users.UserRecord {
	e := editOf(u, change)
	p.must("EditUser", p.editor.EditUser(p.ctx, e))
	e.Version++
	return e.UserRecord
}

// wantUser notes how u is stored otherwise than it should be.
func (p *probe) wantUser(what string, u users.UserRecord) {
	found := p.users(users.UserQuery{ApplicationID: u.ApplicationID, IDs: []string{u.ID}})
	if len(found) != 1 {
		p.errorf("%s: got %d users, want 1", what, len(found))
		return
	}
	p.wantEqual(what, u, found[0])
}

// wantKeys notes a user that is not found by its keys, or found by others.
func (p *probe) wantKeys(app string, name, email string, want ...string) {
	p.wantStrings("FindUsers by the name "+name,
		userIDs(p.users(users.UserQuery{ApplicationID: app, NameKeys: []string{name}})), want)
	p.wantStrings("FindUsers by the address "+email,
		userIDs(p.users(users.UserQuery{ApplicationID: app, EmailKeys: []string{email}})), want)
}

// editReplaces changes every field from one extreme to the other, and back.
func editReplaces(p *probe) {
	a := p.app()
	r, s := p.role(a, "r"), p.role(a, "s")
	n := p.create(p.full(a, r))
	was, long := n.UserRecord, p.longest(a)

	u := p.edit(was, func(e *users.UserEdit) {
		e.UserName, e.NameKey, e.Email, e.EmailKey = long.UserName, long.NameKey, long.Email, long.EmailKey
		e.Name, e.DisplayKey, e.DashboardSettings = long.Name, long.DisplayKey, long.DashboardSettings
		e.KeyVersion, e.IsApproved, e.IsLockedOut, e.AllowDashboardAccess = 9, false, true, true
		e.EmailVerified, e.DateUpdated = times()[9], times()[9]
		e.Roles = []users.Role{s}
	})
	p.wantUser("the longest of everything", u)
	p.wantKeys(a.ID, u.NameKey, u.EmailKey, n.ID)
	p.wantKeys(a.ID, was.NameKey, was.EmailKey)

	version := u.Version
	u = p.edit(was, func(e *users.UserEdit) {
		e.Version = version
		e.Name, e.DisplayKey, e.DashboardSettings, e.Roles = "", "", nil, nil
		e.EmailVerified, e.DateUpdated = time.Time{}, times()[1]
	})
	p.wantUser("the least of everything", u)
	p.wantKeys(a.ID, was.NameKey, was.EmailKey, n.ID)
	p.wantKeys(a.ID, long.NameKey, long.EmailKey)

	// An edit that changes nothing counts; on MySQL affected rows do not tell.
	u = p.edit(u, nil)
	p.wantUser("an edit to the same", u)
}

// editKeeps gives other values for what an edit leaves alone: they are not what was
// read, or what another writer has changed since without adding to the version.
func editKeeps(p *probe) {
	a := p.app()
	n := p.full(a, p.role(a, "r"))
	n.CreatedBy = "someone"
	n.LastLogin, n.Login = base, users.LoginState{Failures: 3, LockedUntil: base.Add(time.Minute)}
	want := p.create(n).UserRecord

	p.edit(want, func(e *users.UserEdit) {
		e.CreatedBy, e.CreationDate, e.DateCreated = "another", base.AddDate(1, 0, 0), base.AddDate(2, 0, 0)
		e.LastLogin, e.Login = base.AddDate(2, 0, 0), users.LoginState{Failures: 9, LockedUntil: base.AddDate(1, 0, 0)}
		e.Hash, e.PasswordChanged = password.NewHash("$another"), base.AddDate(3, 0, 0)
		e.DateUpdated = base.Add(time.Hour)
	})
	want.DateUpdated, want.Version = base.Add(time.Hour), 2
	p.wantUser("user", want)
	p.wantStrings("FindUsers by the keys", userIDs(p.users(users.UserQuery{
		ApplicationID: a.ID, NameKeys: []string{n.NameKey}, EmailKeys: []string{n.EmailKey},
	})), []string{n.ID})
	rec, err := p.FindIdempotencyRecord(p.ctx, n.Idempotency.IdempotencyKey)
	p.must("FindIdempotencyRecord", err)
	p.wantEqual("idempotency record", *n.Idempotency, rec)
}

// editSetsHash: a password that the user or an administrator sets ends a lock, as one
// that is set by a link does. IsLockedOut and the last sign-in are no part of it.
func editSetsHash(p *probe) {
	a := p.app()
	n := p.user(a)
	n.IsLockedOut = true
	n.LastLogin, n.Login = base, users.LoginState{Failures: 11, LockedUntil: base.AddDate(400, 0, 0)}
	u := p.create(n).UserRecord

	u = p.edit(u, func(e *users.UserEdit) {
		e.SetHash = true
		e.Hash, e.PasswordChanged = password.NewHash("$"+strings.Repeat("h", 254)), base.Add(time.Hour)
	})
	u.Login.Failures, u.Login.LockedUntil = 0, time.Time{}
	p.wantUser("a new password", u)

	u = p.edit(u, func(e *users.UserEdit) {
		e.SetHash = true
		e.Hash, e.PasswordChanged = password.Hash{}, time.Time{}
	})
	p.wantUser("no password any more", u)
}

// editRoles adds, takes and replaces roles by their ids alone; they come back in full.
func editRoles(p *probe) {
	a := p.app()
	var all []users.Role
	for i := range users.MaxRoles {
		all = append(all, p.role(a, fmt.Sprint("role ", i)))
	}
	ids := func(roles ...users.Role) (refs []users.Role) {
		for _, r := range roles {
			refs = append([]users.Role{{ID: r.ID}}, refs...) // in the opposite order
		}
		return refs
	}
	u := p.create(p.user(a)).UserRecord
	for _, want := range [][]users.Role{all[:1], all, all[3:5], all[4:7], all[4:7], nil, all[99:]} {
		u = p.edit(u, func(e *users.UserEdit) { e.Roles = ids(want...) })
		u.Roles = want
		p.wantUser(fmt.Sprintf("%d roles", len(want)), u)
	}
}

// editOfNobody is told apart from a stale version, and leaves nothing behind for who
// may come.
func editOfNobody(p *probe) {
	a := p.app()
	n := p.create(p.full(a))
	for what, c := range map[string]struct{ app, id string }{
		"nobody":                          {a.ID, p.id()},
		"a user of another application":   {p.app().ID, n.ID},
		"a user of no application at all": {p.id(), n.ID},
	} {
		e := editOf(n.UserRecord, nil)
		e.ApplicationID, e.ID, e.NameKey, e.EmailKey = c.app, c.id, "free", "free"
		p.wantErr("EditUser of "+what, p.editor.EditUser(p.ctx, e), users.ErrNotFound)
		p.wantKeys(c.app, "free", "free")
	}
	p.wantStored(n)
}

// spoiled returns an edit of u that would change everything, also what lies in tables
// of its own.
func (p *probe) spoiled(u users.UserRecord, role users.Role) *users.UserEdit {
	return editOf(u, func(e *users.UserEdit) {
		e.Name, e.DisplayKey, e.IsLockedOut = "late", "late", true
		e.NameKey, e.EmailKey = "late-"+u.ID, "late-"+u.ID
		e.SetHash, e.DropTokens, e.Hash = true, true, password.NewHash("$late")
		e.DateUpdated = base.Add(time.Hour)
		e.Roles = []users.Role{role}
		if p.outbox != nil {
			n := users.NewUser{UserRecord: u}
			e.Notifications = []users.NotificationRecord{p.notification(&n, users.KindPasswordChanged)}
		}
	})
}

// wantUnchanged runs an edit that must be refused, and notes what it has changed.
func (p *probe) wantUnchanged(what string, n *users.NewUser, e *users.UserEdit, refused func(error) bool) {
	var token users.TokenRecord
	if p.tokens != nil {
		token = newToken(n, 0, time.Hour)
		copy(token.Sum[:], p.id())
		p.must("CreateToken", p.tokens.CreateToken(p.ctx, token))
	}
	if err := p.editor.EditUser(p.ctx, e); !refused(err) {
		p.errorf("EditUser %s: got error %v", what, err)
	}
	p.wantStored(n)
	p.wantKeys(n.ApplicationID, n.NameKey, n.EmailKey, n.ID)
	if p.tokens != nil {
		p.wantToken(token)
	}
	if p.outbox != nil {
		p.wantStrings("notifications", rowIDs(p.rowsOf(n)), rowIDs(n.Notifications))
	}
}

// editStale edits from versions that are not the stored one, older and newer.
func editStale(p *probe) {
	a := p.app()
	r := p.role(a, "r")
	n := p.create(p.full(a, p.role(a, "s")))
	for _, version := range []int64{0, 2, -1} {
		e := p.spoiled(n.UserRecord, r)
		e.Version = version
		p.wantUnchanged("from another version", n, e, isError(users.ErrStale))
	}
	first := p.edit(n.UserRecord, func(e *users.UserEdit) { e.Name = "first" })
	p.wantErr("EditUser from the version before", p.editor.EditUser(p.ctx, p.spoiled(n.UserRecord, r)), users.ErrStale)
	p.wantUser("user", first)
}

// editConflictNamesAll: also where two users are in the way. A unique index names only
// the first.
func editConflictNamesAll(p *probe) {
	a := p.app()
	r := p.role(a, "r")
	x, y, n := p.create(p.user(a)), p.create(p.user(a)), p.create(p.full(a))
	elsewhere := p.create(p.user(p.app()))
	for _, c := range []struct {
		name, email *users.NewUser // whose it is; nil: free
		members     []string
	}{
		{x, nil, []string{"userName"}},
		{nil, x, []string{"email"}},
		{x, x, []string{"userName", "email"}},
		{x, y, []string{"userName", "email"}},
		{x, n, []string{"userName"}},
		{n, y, []string{"email"}},
	} {
		e := p.spoiled(n.UserRecord, r)
		if c.name != nil {
			e.NameKey = c.name.NameKey
		}
		if c.email != nil {
			e.EmailKey = c.email.EmailKey
		}
		p.wantUnchanged(fmt.Sprintf("to taken %q", c.members), n, e, isConflict(c.members...))
	}
	p.wantStored(x)
	p.wantStored(y)

	u := p.edit(n.UserRecord, func(e *users.UserEdit) { e.NameKey, e.EmailKey = elsewhere.NameKey, elsewhere.EmailKey })
	p.wantUser("with the keys of another application's user", u)
}

// editToOwnKeys: nobody is in the way of itself, also not where its name becomes its
// address.
func editToOwnKeys(p *probe) {
	a := p.app()
	n := p.create(p.full(a))
	u := p.edit(n.UserRecord, func(e *users.UserEdit) { e.UserName = strings.ToUpper(e.UserName) })
	p.wantUser("its own keys", u)
	u = p.edit(u, func(e *users.UserEdit) { e.NameKey = e.EmailKey })
	p.wantUser("its address as its name", u)
	u = p.edit(u, func(e *users.UserEdit) { e.NameKey, e.EmailKey = n.NameKey, "new@example.com" })
	p.wantUser("another address", u)
	p.wantKeys(a.ID, n.NameKey, "new@example.com", n.ID)
}

// editSwap gives two users each other's keys: what one gives up the other can have at
// once, and a new user too.
func editSwap(p *probe) {
	a := p.app()
	n, m := p.create(p.full(a)).UserRecord, p.create(p.full(a)).UserRecord
	to := func(of users.UserRecord) func(*users.UserEdit) {
		return func(e *users.UserEdit) { e.NameKey, e.EmailKey = of.NameKey, of.EmailKey }
	}
	aside := users.UserRecord{NameKey: "aside", EmailKey: "aside@example.com"}

	moved := p.edit(n, to(aside))
	second := p.edit(m, to(n))
	first := p.edit(moved, to(m))
	p.wantUser("the first", first)
	p.wantUser("the second", second)
	p.wantKeys(a.ID, n.NameKey, n.EmailKey, m.ID)
	p.wantKeys(a.ID, m.NameKey, m.EmailKey, n.ID)

	late := p.user(a)
	late.NameKey, late.EmailKey = aside.NameKey, aside.EmailKey
	p.create(late)
	p.wantStored(late)
}

// editUnknownRole guards against links that become rights when somebody creates the
// role.
func editUnknownRole(p *probe) {
	a, b := p.app(), p.app()
	r, foreign := p.role(a, "r"), p.role(b, "foreign")
	n := p.create(p.full(a, r))
	for what, roles := range map[string][]users.Role{
		"to an unknown role":               {{ID: p.id(), Name: "r"}},
		"to a known and an unknown role":   {r, {ID: p.id()}},
		"to a role of another application": {r, foreign},
	} {
		e := p.spoiled(n.UserRecord, r)
		e.Roles = roles
		p.wantUnchanged(what, n, e, isError(users.ErrUnknownRole))
	}
	if p.roleEditor == nil {
		return
	}
	gone := p.role(a, "gone")
	p.must("DeleteRole", p.roleEditor.DeleteRole(p.ctx, a.ID, gone.ID))
	p.wantUnchanged("to a deleted role", n, p.spoiled(n.UserRecord, gone), isError(users.ErrUnknownRole))
}

// editJudgesInOrder has several reasons to refuse at once.
func editJudgesInOrder(p *probe) {
	a := p.app()
	n, taken := p.create(p.full(a)), p.create(p.user(a))
	spoil := func(nobody, stale bool) *users.UserEdit {
		e := p.spoiled(n.UserRecord, users.Role{ID: p.id()})
		e.NameKey = taken.NameKey
		if nobody {
			e.ID = p.id()
		}
		if stale {
			e.Version = 7
		}
		return e
	}
	p.wantErr("EditUser of nobody, and all else", p.editor.EditUser(p.ctx, spoil(true, true)), users.ErrNotFound)
	p.wantUnchanged("of another version, to a taken name, an unknown role", n, spoil(false, true), isError(users.ErrStale))
	p.wantUnchanged("to a taken name and an unknown role", n, spoil(false, false), isConflict("userName"))
	p.wantStored(taken)
}

// editDropsTokens: without it the links that were mailed stay good.
func editDropsTokens(p *probe) {
	a := p.app()
	n, other := p.create(p.user(a)), p.create(p.user(a))
	first, second := p.token(n, 1, time.Hour), p.token(n, 2, -time.Hour)
	foreign := p.token(other, 3, time.Hour)

	u := p.edit(n.UserRecord, func(e *users.UserEdit) { e.Name = "another" })
	p.wantToken(first)
	p.wantToken(second)

	p.edit(u, func(e *users.UserEdit) { e.DropTokens = true })
	p.wantNoToken(first)
	p.wantNoToken(second)
	p.wantBadToken("that was dropped", redemption(first, "$stolen", base))
	p.wantToken(foreign)
}

// editDropsIssuedTokens: who was given a token for a user may not govern it any more,
// once it may more than before. What goes to the user's own address stays.
func editDropsIssuedTokens(p *probe) {
	a := p.app()
	n, other := p.create(p.user(a)), p.create(p.user(a))
	issued := func(n *users.NewUser, sum byte) users.TokenRecord {
		t := newToken(n, sum, time.Hour)
		t.NotificationID = ""
		p.must("CreateToken", p.tokens.CreateToken(p.ctx, t))
		return t
	}
	own, foreign, mailed := issued(n, 1), issued(other, 2), p.token(n, 3, time.Hour)
	u := p.edit(n.UserRecord, func(e *users.UserEdit) { e.Name = "another" })
	p.wantToken(own)

	p.edit(u, func(e *users.UserEdit) { e.DropIssued = true })
	p.wantNoToken(own)
	p.wantBadToken("that was dropped", redemption(own, "$stolen", base))
	p.wantToken(mailed)
	p.wantToken(foreign)
}

// editNotifies adds rows of two kinds, one with dates and one without.
func editNotifies(p *probe) {
	n := p.create(p.user(p.app()))
	dated, now := p.notification(n, users.KindPasswordChanged), p.notification(n, users.KindAccountCreated)
	dated.Urgent = true
	now.Created, now.Due = time.Time{}, time.Time{}
	u := p.edit(n.UserRecord, func(e *users.UserEdit) { e.Notifications = []users.NotificationRecord{dated, now} })
	p.wantUser("user", u)

	rows := p.claim("w", time.Hour, 10)
	p.wantStrings("what is due", rowIDs(rows), []string{dated.ID, now.ID})
	if len(rows) == 2 {
		dated.Attempts = 1
		p.wantEqual("the notification with dates", dated, rows[0])
		p.wantNow("Created of the other", rows[1].Created)
		p.wantNow("Due of the other", rows[1].Due)
	}
}

// editBesidePending: the row that is there tells the same. One that was given up, of
// another kind or another user's is none.
func editBesidePending(p *probe) {
	a := p.app()
	n, other := p.create(p.user(a)), p.create(p.user(a))
	notify := func(n *users.NewUser, kind string) users.NotificationRecord {
		r := p.notification(n, kind)
		p.edit(p.byID(n), func(e *users.UserEdit) {
			e.Name += "!"
			e.Notifications = []users.NotificationRecord{r}
		})
		return r
	}

	first := notify(n, users.KindPasswordChanged)
	notify(n, users.KindPasswordChanged)
	p.wantStrings("beside a pending one", rowIDs(p.rowsOf(n)), []string{first.ID})
	p.claimOne("w", time.Hour)
	first = p.wantInsteadOf(first, n, func() users.NotificationRecord { return notify(n, users.KindPasswordChanged) })
	if got := p.byID(n); got.Name != n.Name+"!!!" {
		p.errorf("EditUser beside a pending one: got the name %q, want the change", got.Name)
	}

	p.claimOne("w", time.Hour)
	p.end(first, "w", users.OutcomeDiscarded)
	again := notify(n, users.KindPasswordChanged)
	another := notify(n, users.KindAccountCreated)
	p.wantStrings("beside a discarded one", rowIDs(p.rowsOf(n)), []string{first.ID, again.ID, another.ID})
	foreign := notify(other, users.KindPasswordChanged)
	p.wantStrings("of another user", rowIDs(p.rowsOf(other)), []string{foreign.ID})
}

// wantInsteadOf expects that what notify adds takes the place of old, which the worker "w"
// holds, and returns it: it is due, and the worker has lost what it held.
func (p *probe) wantInsteadOf(old users.NotificationRecord, n *users.NewUser, notify func() users.NotificationRecord) users.NotificationRecord {
	r := notify()
	p.wantStrings("beside a claimed one", rowIDs(p.rowsOf(n)), []string{r.ID})
	err := p.outbox.Settle(p.ctx, users.Settlement{
		ApplicationID: n.ApplicationID, ID: old.ID, Worker: "w", Outcome: users.OutcomeDelivered,
	})
	p.wantErr("Settle of the one that was replaced", err, users.ErrStale)
	return r
}

// editWithoutOutbox: see notificationWithoutOutbox.
func editWithoutOutbox(p *probe) {
	n := p.create(p.user(p.app()))
	if p.outbox != nil {
		p.wantUser("user", p.edit(n.UserRecord, nil))
		return
	}
	e := editOf(n.UserRecord, func(e *users.UserEdit) {
		e.Notifications = []users.NotificationRecord{p.notification(n, users.KindPasswordChanged)}
	})
	p.wantErr("EditUser", p.editor.EditUser(p.ctx, e), users.ErrUnsupported)
	p.wantStored(n)
}

// editCopies spoils what it passed in, and looks again.
func editCopies(p *probe) {
	a := p.app()
	r, s := p.role(a, "r"), p.role(a, "s")
	n := p.create(p.user(a))
	e := editOf(n.UserRecord, func(e *users.UserEdit) {
		e.Roles = []users.Role{s, r}
		e.DashboardSettings = []byte(`{"theme": "light"}`)
	})
	want := e.UserRecord
	want.DashboardSettings, want.Roles, want.Version = slices.Clone(e.DashboardSettings), []users.Role{r, s}, 2
	p.must("EditUser", p.editor.EditUser(p.ctx, e))
	p.wantStrings("the caller's roles", []string{e.Roles[0].ID, e.Roles[1].ID}, []string{s.ID, r.ID})
	if e.Version != 1 {
		p.errorf("the caller's version: got %d, want 1 still", e.Version)
	}

	clear(e.Roles)
	clear(e.DashboardSettings)
	p.wantUser("user after what was passed in is spoilt", want)
}

// racingEdits: two editors who read the same version can't both save.
func racingEdits(p *probe) {
	a := p.app()
	u := p.create(p.user(a)).UserRecord
	var roles []users.Role
	for i := range racers {
		roles = append(roles, p.role(a, fmt.Sprint("role ", i)))
	}
	for range 5 {
		edit := func(i int) *users.UserEdit {
			return editOf(u, func(e *users.UserEdit) {
				e.Name, e.NameKey = fmt.Sprint("by ", i), fmt.Sprint(u.Version, " by ", i)
				e.Roles = roles[i : i+1]
			})
		}
		errs := p.race(func(i int) error { return p.editor.EditUser(p.ctx, edit(i)) })
		winner := p.wantOneWinner("EditUser", errs, isError(users.ErrStale))
		u = edit(winner).UserRecord
		u.Version++
		p.wantUser("after the race", u)
	}
}

// racingEditsToOneName: names that are given later are as unique as those of new users.
func racingEditsToOneName(p *probe) {
	a := p.app()
	for round := range 5 {
		racing := make([]users.UserRecord, racers)
		for i := range racing {
			racing[i] = p.create(p.user(a)).UserRecord
		}
		name := fmt.Sprint("the name ", round)
		errs := p.race(func(i int) error {
			return p.editor.EditUser(p.ctx, editOf(racing[i], func(e *users.UserEdit) { e.NameKey = name }))
		})
		winner := p.wantOneWinner("EditUser", errs, isConflict("userName"))
		for i, u := range racing {
			if i == winner {
				u.NameKey, u.Version = name, 2
			}
			p.wantUser("after the race", u)
		}
		p.wantStrings("who has the name", userIDs(p.users(users.UserQuery{ApplicationID: a.ID, NameKeys: []string{name}})),
			[]string{racing[winner].ID})
	}
}

// racingEditsLoseNothing lets each caller add a role to what it has read, until that
// was not changed meanwhile: a user that is read must be all of one version.
func racingEditsLoseNothing(p *probe) {
	a := p.app()
	n := p.create(p.user(a))
	roles := make([]users.Role, racers)
	for i := range roles {
		roles[i] = p.role(a, fmt.Sprint("role ", i))
	}
	errs := p.race(func(i int) error {
		for {
			found, err := p.FindUsers(p.ctx, users.UserQuery{ApplicationID: a.ID, IDs: []string{n.ID}})
			if err != nil || len(found) != 1 {
				return fmt.Errorf("FindUsers: %d users, %w", len(found), err)
			}
			e := editOf(found[0], func(e *users.UserEdit) { e.Roles = append(e.Roles, roles[i]) })
			if err := p.editor.EditUser(p.ctx, e); !errors.Is(err, users.ErrStale) {
				return err
			}
		}
	})
	p.wantNoErrors("FindUsers and EditUser", errs)
	want := n.UserRecord
	want.Roles, want.Version = roles, 1+racers
	p.wantUser("after the race", want)
}

// wantNoErrors notes each error of a race that nobody loses.
func (p *probe) wantNoErrors(call string, errs []error) {
	for _, err := range errs {
		if err != nil {
			p.errorf("racing %s: got error %v, want none", call, err)
		}
	}
}

// racingEditsAndEnqueues adds notifications of one kind from two sides.
func racingEditsAndEnqueues(p *probe) {
	a := p.app()
	for range 5 {
		n := p.create(p.user(a))
		rows := make([]users.NotificationRecord, racers)
		for i := range rows {
			rows[i] = p.notification(n, users.KindPasswordChanged)
		}
		errs := p.race(func(i int) error {
			if i%2 == 0 {
				return p.outbox.Enqueue(p.ctx, rows[i], 0)
			}
			e := editOf(n.UserRecord, func(e *users.UserEdit) { e.Notifications = rows[i : i+1] })
			if err := p.editor.EditUser(p.ctx, e); !errors.Is(err, users.ErrStale) {
				return err
			}
			return nil
		})
		p.wantNoErrors("Enqueue and EditUser", errs)
		if got := p.rowsOf(n); len(got) != 1 {
			p.errorf("after the race: got %d notifications, want 1", len(got))
		}
		want := n.UserRecord
		want.Version = 2
		p.wantUser("after the race", want)
	}
}
