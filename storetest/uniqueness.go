package storetest

import (
	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

// conflictClause is what a conflict of users is in the contract.
const conflictClause = "A conflict with the unique keys of the application (ID, NameKey, EmailKey) is a " +
	"*ConflictError that names every member in conflict, as CheckConflict does"

// racingClause is the clause of the cases in which users race for a key.
const racingClause = "Every method is safe for concurrent use … " + conflictClause

func uniquenessCases() []testCase {
	return []testCase{
		{"EveryMemberInConflictIsNamed", anyStore, everyMemberInConflictIsNamed,
			conflictClause + ` … so that all name the same members in the same order: "userName", "email", "id"`},
		{"ConflictWritesNothing", anyStore, conflictWritesNothing,
			"if it returns an error and knows that the transaction was rolled back, nothing was stored"},
		{"ApplicationsAreApart", anyStore, applicationsAreApart,
			"Everything but an application's own id and apiKey belongs to one application; nothing is ever " +
				"found or in conflict across applications"},
		{"NameThatIsTheAddress", anyStore, nameThatIsTheAddress,
			"NameKey and EmailKey are the canonical keys, each unique in the application"},
		{"UserKeysAreBytes", anyStore, userKeysAreBytes,
			"Keys (ids, apiKeys, NameKey, EmailKey, idempotency keys) are compared byte for byte: no " +
				"collation, no padding, no case folding"},
		{"RacingNames", anyStore, racingNames, racingClause},
		{"RacingAddresses", anyStore, racingAddresses, racingClause},
		{"RacingIDs", anyStore, racingIDs, racingClause},
	}
}

// everyMemberInConflictIsNamed covers each set of members, with the rows in
// the way belonging to one user, to two and to three. A unique index names
// only the first that it finds; the store looks for the others.
func everyMemberInConflictIsNamed(p *probe) {
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
			n.OnCreate = p.neverRun()
			p.wantConflict("CreateUser", p.CreateUser(p.ctx, n), c.members...)
		}
	}

	for _, n := range []*users.NewUser{x, y, z} {
		p.wantStored(n)
	}
}

// conflictWritesNothing takes the rows of a refused user away with it: its
// links, its record, its notification. The free user that follows would meet
// what was left.
func conflictWritesNothing(p *probe) {
	a := p.app()
	r := p.role(a, "r")
	x := p.create(p.full(a, r))
	for what, spoil := range map[string]func(*users.NewUser){
		"name":    func(n *users.NewUser) { n.NameKey = x.NameKey },
		"address": func(n *users.NewUser) { n.EmailKey = x.EmailKey },
	} {
		n := p.full(a, r)
		free := deepCopy(n)
		spoil(n)
		if err := p.CreateUser(p.ctx, n); err == nil {
			p.errorf("CreateUser with the %s of another: got no error", what)
		}
		p.wantAbsent(n)
		p.wantCreatable(free)
	}
	p.wantStored(x)
}

// applicationsAreApart gives two applications users that are alike in every key:
// one whose column is unique over all of them would refuse the second.
func applicationsAreApart(p *probe) {
	a, b := p.app(), p.app()
	r := p.role(a, "r")
	p.must("CreateRole", p.CreateRole(p.ctx, b.ID, users.RoleRecord{Role: r, NameKey: "r"}))

	n := p.create(p.full(a, r))
	twin := deepCopy(n)
	twin.ApplicationID, twin.Name, twin.Hash = b.ID, "the twin", password.NewHash("$twin")
	twin.Idempotency.ApplicationID, twin.Idempotency.Fingerprint = b.ID, [32]byte{9}
	if len(n.Notifications) > 0 {
		twin.Notifications[0].ApplicationID, twin.Notifications[0].Kind = b.ID, users.KindSetPassword
	}
	if err := p.CreateUser(p.ctx, twin); err != nil {
		p.fatalf("CreateUser with all keys of another application's user: got error %v, want none", err)
	}
	p.wantStored(n)
	p.wantStored(twin)

	p.must("SetUserStatus", p.SetUserStatus(p.ctx, users.StatusUpdate{
		ApplicationID: b.ID, ID: n.ID, IfVersion: 1, IsLockedOut: new(true), DateUpdated: base,
	}))
	p.wantStored(n)
}

// nameThatIsTheAddress has a user whose two keys are equal, as those of a user
// who signs in by address are: the keys are unique each for itself.
func nameThatIsTheAddress(p *probe) {
	a := p.app()
	n := p.user(a)
	n.NameKey = n.EmailKey
	p.create(n)
	p.wantStored(n)

	found := p.users(users.UserQuery{
		ApplicationID: a.ID, NameKeys: []string{n.EmailKey}, EmailKeys: []string{n.EmailKey},
	})
	p.wantStrings("FindUsers by a login that is both", userIDs(found), []string{n.ID})

	m := p.user(a)
	m.NameKey, m.EmailKey = n.NameKey, n.EmailKey
	p.wantConflict("CreateUser", p.CreateUser(p.ctx, m), "userName", "email")
	m = p.user(a)
	m.EmailKey = n.EmailKey
	p.wantConflict("CreateUser", p.CreateUser(p.ctx, m), "email")
}

// userKeysAreBytes stores keys that collations, padding or folding take for
// the same, and asks for each of them. As names, addresses and idempotency
// keys they are bytes.
func userKeysAreBytes(p *probe) {
	a := p.app()
	for _, key := range lookalikes() {
		n := p.user(a)
		n.NameKey, n.EmailKey = key, key
		n.Idempotency = p.record(n, key)
		if err := p.CreateUser(p.ctx, n); err != nil {
			p.errorf("CreateUser %q beside keys like it: got error %v, want none", key, err)
			continue
		}
		p.wantStored(n)

		for _, q := range []users.UserQuery{{NameKeys: []string{key}}, {EmailKeys: []string{key}}} {
			q.ApplicationID = a.ID
			p.wantStrings("FindUsers "+key, userIDs(p.users(q)), []string{n.ID})
		}

		// The answer to a conflict must be as exact as the index.
		m := p.user(a)
		m.NameKey = key
		p.wantConflict("CreateUser "+key, p.CreateUser(p.ctx, m), "userName")
	}
}

// racingNames lets users race for one name, each with an address of its own.
func racingNames(p *probe) {
	p.raceUsers(isConflict("userName"), func(n, twin *users.NewUser) { n.NameKey = twin.NameKey })
}

// racingAddresses lets users race for one address, each with a name of its
// own.
func racingAddresses(p *probe) {
	p.raceUsers(isConflict("email"), func(n, twin *users.NewUser) { n.EmailKey = twin.EmailKey })
}

// racingIDs lets the same user race with itself, as a client that sends a
// request twice does, but without an idempotency key.
func racingIDs(p *probe) {
	p.raceUsers(isConflict("userName", "email", "id"), func(n, twin *users.NewUser) {
		n.ID, n.NameKey, n.EmailKey = twin.ID, twin.NameKey, twin.EmailKey
		n.Idempotency.UserID = twin.ID
		for i := range n.Notifications {
			n.Notifications[i].UserID = twin.ID
		}
	})
}

// raceUsers lets users race to whom share gives what they have in common. A store
// that looks before it writes lets several through.
func (p *probe) raceUsers(lost func(error) bool, share func(n, twin *users.NewUser)) {
	a := p.app()
	r := p.role(a, "r")
	for range 5 {
		twin := p.user(a)
		racing := make([]*users.NewUser, racers)
		for i := range racing {
			racing[i] = p.full(a, r)
			share(racing[i], twin)
		}

		errs := p.race(func(i int) error { return p.CreateUser(p.ctx, racing[i]) })
		winner := racing[p.wantOneWinner("CreateUser", errs, lost)]
		p.wantStored(winner)
		for _, n := range racing {
			if n.ID != winner.ID {
				p.wantAbsent(n)
			}
		}
		if p.outbox != nil {
			if got := len(p.rowsOf(winner)); got != 1 {
				p.errorf("after the race: got %d notifications of the winner, want 1", got)
			}
		}
	}
}
