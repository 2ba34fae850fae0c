package storetest

import (
	"time"

	"github.com/gousers/users"
)

func statusCases() []testCase {
	const fromVersion = "SetUserStatus changes what u names and adds one to the version, if the stored " +
		"version is u.IfVersion: otherwise ErrStale"
	return []testCase{
		{"StatusChangesWhatItNames", anyStore, statusChangesWhatItNames,
			"StatusUpdate changes the status of one user; nil members stay as they are"},
		{"StatusComparesVersions", anyStore, statusComparesVersions, fromVersion},
		{"StatusOfNobody", anyStore, statusOfNobody,
			"A user that does not exist is ErrNotFound"},
		{"RacingStatusUpdates", anyStore, racingStatusUpdates, fromVersion},
	}
}

// statusChangesWhatItNames also changes nothing, and changes to the value that
// is there: both are updates and count. On MySQL the number of affected rows
// does not tell.
func statusChangesWhatItNames(p *probe) {
	n := p.create(p.full(p.app()))
	want := n.UserRecord
	for _, c := range []struct {
		update users.StatusUpdate
		apply  func(*users.UserRecord)
	}{
		{users.StatusUpdate{}, func(*users.UserRecord) {}},
		{users.StatusUpdate{IsApproved: new(false)}, func(u *users.UserRecord) { u.IsApproved = false }},
		{users.StatusUpdate{IsApproved: new(false)}, func(*users.UserRecord) {}}, // to the same value
		{users.StatusUpdate{IsLockedOut: new(true)}, func(u *users.UserRecord) { u.IsLockedOut = true }},
		{users.StatusUpdate{IsApproved: new(true), IsLockedOut: new(false)}, func(u *users.UserRecord) {
			u.IsApproved, u.IsLockedOut = true, false
		}},
	} {
		u := c.update
		u.ApplicationID, u.ID = n.ApplicationID, n.ID
		u.IfVersion = want.Version
		u.DateUpdated = want.DateUpdated.Add(time.Microsecond)
		p.must("SetUserStatus", p.SetUserStatus(p.ctx, u))

		c.apply(&want)
		want.DateUpdated, want.Version = u.DateUpdated, want.Version+1
		p.wantEqual("user", want, p.byID(n))
	}
}

// statusComparesVersions writes from versions that are not the stored one,
// older and newer.
func statusComparesVersions(p *probe) {
	n := p.create(p.full(p.app()))
	for _, version := range []int64{0, 2, -1} {
		err := p.SetUserStatus(p.ctx, users.StatusUpdate{
			ApplicationID: n.ApplicationID, ID: n.ID, IfVersion: version,
			IsLockedOut: new(true), DateUpdated: base.Add(time.Hour),
		})
		p.wantErr("SetUserStatus from another version", err, users.ErrStale)
		p.wantStored(n)
	}
}

// statusOfNobody is told apart from a stale version: nobody needs to try
// again.
func statusOfNobody(p *probe) {
	n := p.create(p.full(p.app()))
	for what, u := range map[string]users.StatusUpdate{
		"nobody":                          {ApplicationID: n.ApplicationID, ID: p.id()},
		"a user of another application":   {ApplicationID: p.app().ID, ID: n.ID},
		"a user of no application at all": {ApplicationID: p.id(), ID: n.ID},
	} {
		u.IfVersion, u.IsLockedOut, u.DateUpdated = 1, new(true), base
		p.wantErr("SetUserStatus of "+what, p.SetUserStatus(p.ctx, u), users.ErrNotFound)
	}
	p.wantStored(n)
}

// racingStatusUpdates: two editors who read the same version can't both save.
func racingStatusUpdates(p *probe) {
	n := p.create(p.user(p.app()))
	for version := range int64(5) {
		date := func(i int) time.Time { return base.Add(time.Duration(i) * time.Microsecond) }
		errs := p.race(func(i int) error {
			return p.SetUserStatus(p.ctx, users.StatusUpdate{
				ApplicationID: n.ApplicationID, ID: n.ID, IfVersion: version + 1,
				IsLockedOut: new(true), DateUpdated: date(i),
			})
		})

		winner := p.wantOneWinner("SetUserStatus", errs, isError(users.ErrStale))
		if got := p.byID(n); got.Version != version+2 || !got.DateUpdated.Equal(date(winner)) {
			p.errorf("after the race: got version %d and the date %v, want %d and the date of %d",
				got.Version, got.DateUpdated, version+2, winner)
		}
	}
}
