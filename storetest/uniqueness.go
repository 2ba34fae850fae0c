package storetest

import (
	"slices"

	"github.com/gousers/users"
)

func uniquenessCases() []testCase {
	return []testCase{
		{"EveryClashingMemberIsNamed", `a clash is a *ConflictError that names every clashing member in the order "userName", "email", "id"`, 0, everyClashingMemberIsNamed},
		{"ConflictWritesNothing", "on any error that it can vouch for none of it is durable", 0, conflictWritesNothing},
		{"ApplicationsAreApart", "nothing is ever found or clashes across applications", 0, applicationsAreApart},
		{"NameThatIsTheAddress", "NameKey and EmailKey are each unique in the application", 0, nameThatIsTheAddress},
		{"UserKeysAreBytes", "keys are compared byte for byte: no collation, no padding, no case folding", 0, userKeysAreBytes},
		{"RacingNames", "of calls that race for one NameKey exactly one wins, the others get a *ConflictError", 0, func(p *probe) {
			racingUsers(p, isConflict("userName"), func(n, twin *users.NewUser) { n.NameKey = twin.NameKey })
		}},
		{"RacingAddresses", "of calls that race for one EmailKey exactly one wins, the others get a *ConflictError", 0, func(p *probe) {
			racingUsers(p, isConflict("email"), func(n, twin *users.NewUser) { n.EmailKey = twin.EmailKey })
		}},
		{"RacingIDs", "of calls that race for one ID exactly one wins, the others get a *ConflictError", 0, func(p *probe) {
			racingUsers(p, isConflict("userName", "email", "id"), func(n, twin *users.NewUser) { n.ID, n.NameKey, n.EmailKey = twin.ID, twin.NameKey, twin.EmailKey })
		}},
	}
}

func everyClashingMemberIsNamed(p *probe) {
	a := p.app()
	x, y, z := p.create(p.user(a)), p.create(p.user(a)), p.create(p.user(a))
	for _, c := range []struct {
		name, email, id *users.NewUser // whose it is; nil: its own
		members         []string
	}{
		{x, nil, nil, []string{"userName"}},
		{nil, x, nil, []string{"email"}},
		{nil, nil, x, []string{"id"}},
		{x, x, nil, []string{"userName", "email"}},
		{x, y, nil, []string{"userName", "email"}},
		{y, nil, x, []string{"userName", "id"}},
		{nil, y, x, []string{"email", "id"}},
		{x, x, x, []string{"userName", "email", "id"}},
		{z, y, x, []string{"userName", "email", "id"}},
	} {
		// With and without what needs more than one row to be written.
		for _, n := range []*users.NewUser{p.user(a), p.full(a)} {
			if c.name != nil {
				n.NameKey = c.name.NameKey
			}
			if c.email != nil {
				n.EmailKey = c.email.EmailKey
			}
			if c.id != nil {
				n.ID = c.id.ID
			}
			n.InTx = p.neverRun()
			p.conflicts("CreateUser", p.CreateUser(p.ctx, n), c.members...)
		}
	}
	for _, n := range []*users.NewUser{x, y, z} {
		p.stored(n)
	}
}

func conflictWritesNothing(p *probe) {
	a := p.app()
	r := p.role(a, "r")
	x := p.create(p.full(a, r))
	for what, spoil := range map[string]func(*users.NewUser){
		"name":    func(n *users.NewUser) { n.NameKey = x.NameKey },
		"address": func(n *users.NewUser) { n.EmailKey = x.EmailKey },
	} {
		n := p.full(a, r)
		free := *n
		spoil(n)
		if err := p.CreateUser(p.ctx, n); err == nil {
			p.errorf("CreateUser with the %s of another: got no error", what)
		}
		p.absent(n)
		p.creatable(&free)
	}
	p.stored(x)
}

func applicationsAreApart(p *probe) {
	a, b := p.app(), p.app()
	r := p.role(a, "r")
	p.must("CreateRole", p.CreateRole(p.ctx, b.ID, users.RoleRecord{Role: r, NameKey: "r"}))
	n := p.create(p.full(a, r))
	twin := *n
	twin.ApplicationID, twin.Name, twin.Hash = b.ID, "the twin", "$twin"
	replay := *n.Replay
	replay.ApplicationID, replay.Fingerprint = b.ID, [32]byte{9}
	twin.Replay = &replay
	if n.Notification != nil {
		row := *n.Notification
		row.ApplicationID, row.Kind = b.ID, users.KindSetPassword
		twin.Notification = &row
	}
	if err := p.CreateUser(p.ctx, &twin); err != nil {
		p.fatalf("CreateUser with all keys of another application's user: got error %v, want none", err)
	}
	p.stored(n)
	p.stored(&twin)
	yes := true
	p.must("UpdateUser", p.UpdateUser(p.ctx, users.UserUpdate{ApplicationID: b.ID, ID: n.ID, IfVersion: 1, IsLockedOut: &yes, DateUpdated: base}))
	p.stored(n)
}

func nameThatIsTheAddress(p *probe) {
	a := p.app()
	n := p.user(a)
	n.NameKey = n.EmailKey
	p.create(n)
	p.stored(n)
	found := p.users(users.UserQuery{ApplicationID: a.ID, NameKeys: []string{n.EmailKey}, EmailKeys: []string{n.EmailKey}})
	p.sameStrings("FindUsers by a login that is both", userIDs(found), []string{n.ID})
	m := p.user(a)
	m.NameKey, m.EmailKey = n.NameKey, n.EmailKey
	p.conflicts("CreateUser", p.CreateUser(p.ctx, m), "userName", "email")
	m = p.user(a)
	m.EmailKey = n.EmailKey
	p.conflicts("CreateUser", p.CreateUser(p.ctx, m), "email")
}

func userKeysAreBytes(p *probe) {
	a := p.app()
	for _, key := range lookalikes() {
		n := p.user(a)
		n.NameKey, n.EmailKey = key, key
		n.Replay = p.replay(n, key)
		if err := p.CreateUser(p.ctx, n); err != nil {
			p.errorf("CreateUser %q beside keys like it: got error %v, want none", key, err)
			continue
		}
		p.stored(n)
		for _, q := range []users.UserQuery{{NameKeys: []string{key}}, {EmailKeys: []string{key}}} {
			q.ApplicationID = a.ID
			p.sameStrings("FindUsers "+key, userIDs(p.users(q)), []string{n.ID})
		}
		// The answer to a clash must be as exact as the index.
		m := p.user(a)
		m.NameKey = key
		p.conflicts("CreateUser "+key, p.CreateUser(p.ctx, m), "userName")
	}
}

// racingUsers lets users race that share what share gives them with one twin.
func racingUsers(p *probe, lost func(error) bool, share func(n, twin *users.NewUser)) {
	a := p.app()
	r := p.role(a, "r")
	for range 5 {
		twin := p.user(a)
		racing := make([]*users.NewUser, racers)
		for i := range racing {
			racing[i] = p.full(a, r)
			share(racing[i], twin)
			if racing[i].ID == twin.ID {
				racing[i].Replay.UserID = twin.ID
				if racing[i].Notification != nil {
					racing[i].Notification.UserID = twin.ID
				}
			}
		}
		winner := p.oneWins("CreateUser", p.race(func(i int) error { return p.CreateUser(p.ctx, racing[i]) }), lost)
		p.stored(racing[winner])
		for i, n := range racing {
			if i != winner && n.ID != twin.ID {
				p.absent(n)
			}
		}
		if outbox.lackedBy(p.Store) == "" {
			rows := slices.DeleteFunc(p.rows(a.ID), func(r users.OutboxRow) bool { return r.UserID != racing[winner].ID })
			if len(rows) != 1 {
				p.errorf("after the race: got %d notifications of the winner, want 1", len(rows))
			}
		}
	}
}
