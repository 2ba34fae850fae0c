package storetest

import (
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

func updateCases() []testCase {
	return []testCase{
		{"UpdateChangesWhatItNames", "UpdateUser changes what u names and adds one to the version; nil members stay as they are", 0, updateChangesWhatItNames},
		{"UpdateComparesVersions", "if the stored version is u.IfVersion: otherwise ErrStale", 0, updateComparesVersions},
		{"UpdateAbsent", "a user that does not exist is ErrNotFound", 0, updateAbsent},
		{"RacingUpdates", "of updates that race from one version exactly one wins, the others get ErrStale", 0, racingUpdates},
	}
}

func updateChangesWhatItNames(p *probe) {
	n := p.create(p.full(p.app()))
	want := n.UserRecord
	for _, c := range []struct {
		update users.UserUpdate
		apply  func(*users.UserRecord)
	}{
		{users.UserUpdate{}, func(*users.UserRecord) {}},
		{users.UserUpdate{Hash: new(password.Hash("$other"))}, func(u *users.UserRecord) { u.Hash = "$other" }},
		{users.UserUpdate{Hash: new(password.Hash("$other"))}, func(*users.UserRecord) {}}, // to the same value
		{users.UserUpdate{Hash: new(password.Hash(""))}, func(u *users.UserRecord) { u.Hash = "" }},
		{users.UserUpdate{IsApproved: new(false)}, func(u *users.UserRecord) { u.IsApproved = false }},
		{users.UserUpdate{IsLockedOut: new(true)}, func(u *users.UserRecord) { u.IsLockedOut = true }},
		{users.UserUpdate{Login: &users.LoginState{Failures: 2, LockedUntil: base}}, func(u *users.UserRecord) {
			u.Login = users.LoginState{Failures: 2, LockedUntil: base}
		}},
		{users.UserUpdate{Login: &users.LoginState{}, IsApproved: new(true), IsLockedOut: new(false)}, func(u *users.UserRecord) {
			u.Login, u.IsApproved, u.IsLockedOut = users.LoginState{}, true, false
		}},
	} {
		u := c.update
		u.ApplicationID, u.ID, u.IfVersion, u.DateUpdated = n.ApplicationID, n.ID, want.Version, want.DateUpdated.Add(time.Microsecond)
		p.must("UpdateUser", p.UpdateUser(p.ctx, u))
		c.apply(&want)
		want.DateUpdated, want.Version = u.DateUpdated, want.Version+1
		p.same("user", want, p.byID(n))
	}
}

func updateComparesVersions(p *probe) {
	n := p.create(p.full(p.app()))
	for _, version := range []int64{0, 2, -1} {
		err := p.UpdateUser(p.ctx, users.UserUpdate{ApplicationID: n.ApplicationID, ID: n.ID, IfVersion: version, IsLockedOut: new(true), DateUpdated: base.Add(time.Hour)})
		p.is("UpdateUser from another version", err, users.ErrStale)
		p.stored(n)
	}
}

func updateAbsent(p *probe) {
	n := p.create(p.full(p.app()))
	for what, u := range map[string]users.UserUpdate{
		"nobody":                                {ApplicationID: n.ApplicationID, ID: p.id()},
		"a user of another application":         {ApplicationID: p.app().ID, ID: n.ID},
		"a user of an application that is none": {ApplicationID: p.id(), ID: n.ID},
	} {
		u.IfVersion, u.IsLockedOut, u.DateUpdated = 1, new(true), base
		p.is("UpdateUser of "+what, p.UpdateUser(p.ctx, u), users.ErrNotFound)
	}
	p.stored(n)
}

func racingUpdates(p *probe) {
	n := p.create(p.user(p.app()))
	for version := range int64(5) {
		errs := p.race(func(i int) error {
			return p.UpdateUser(p.ctx, users.UserUpdate{
				ApplicationID: n.ApplicationID, ID: n.ID, IfVersion: version + 1,
				Login: &users.LoginState{Failures: i}, DateUpdated: base,
			})
		})
		winner := p.oneWins("UpdateUser", errs, isError(users.ErrStale))
		if got := p.byID(n); got.Version != version+2 || got.Login.Failures != winner {
			p.errorf("after the race: got version %d by %d, want %d by %d", got.Version, got.Login.Failures, version+2, winner)
		}
	}
}
