package storetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

func userCases() []testCase {
	return []testCase{
		{"UserComesBack", "values come back as they were given", 0, userComesBack},
		{"LimitsRoundTrip", "strings come back unchanged, at their longest", 0, limitsRoundTrip},
		{"TimesRoundTrip", "times come back to the microsecond in UTC from year 1 to 9999", 0, timesRoundTrip},
		{"DashboardSettingsAreBytes", "DashboardSettings come back byte for byte", 0, dashboardSettingsAreBytes},
		{"RolesOfAUser", "of each element of Roles the ID counts", 0, rolesOfAUser},
		{"UsersByAnyKey", "FindUsers gives every user whose ID is in q.IDs, whose NameKey is in q.NameKeys or whose EmailKey is in q.EmailKeys, each once, in order of ID", 0, usersByAnyKey},
		{"KeysOnly", "with KeysOnly only ApplicationID, ID, NameKey and EmailKey need to be filled", 0, keysOnly},
		{"UsersAbsent", "what is absent is answered with an empty slice by the Find methods that take lists", 0, usersAbsent},
		{"UserUnknownApplication", "an application that does not exist is ErrUnknownApplication", 0, userUnknownApplication},
		{"UserUnknownRole", "a role of n.Roles that does not exist in the application is ErrNotFound", 0, userUnknownRole},
		{"NewUserIsNotChanged", "CreateUser never changes n", 0, newUserIsNotChanged},
		{"StoreCopies", "slices, maps and pointers passed in stay the caller's, those returned are the caller's own", 0, storeCopies},
	}
}

// times are the ends of the range, what lies around the zero points of common
// clocks, and fractions that floating point or a database's own type would round.
func times() []time.Time {
	return []time.Time{
		time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC),
		time.Date(1582, 10, 10, 12, 0, 0, 0, time.UTC),
		time.Date(1899, 12, 31, 23, 59, 59, 1000, time.UTC),
		time.Date(1969, 12, 31, 23, 59, 59, 999999000, time.UTC),
		time.Unix(0, 0).UTC(),
		time.Date(2024, 2, 29, 1, 2, 3, 999999000, time.UTC),
		time.Date(2024, 3, 31, 2, 30, 0, 123457000, time.UTC),
		time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC),
	}
}

// lookalikes are keys that collations, padding or folding would take for the
// same, or that a database cuts, quotes or escapes.
func lookalikes() []string {
	return []string{
		"jose", "josé", "jose\u0301", "bob", "BOB", "Bob", "bob ", " bob", "bob  ", "bob\t",
		"strasse", "straße", "istanbul", "ıstanbul", "😀", "😁", "ﬀ", "ff", "а", "a",
		"1", "01", "1.0", "o'brien", `o"brien`, `o\brien`, "o\\\\brien", "100%", "100_", "null", "bob\u200b", "x' for key 'users.email",
	}
}

func userComesBack(p *probe) {
	a := p.app()
	plain := p.user(a)
	full := p.full(a, p.role(a, "r"))
	full.IsApproved, full.IsLockedOut, full.AllowDashboardAccess = false, true, true
	full.CreatedBy, full.KeyVersion = "someone", 7
	full.CreationDate, full.DateUpdated = base.AddDate(-10, 0, 0), base.Add(time.Hour)
	full.Login = users.LoginState{Failures: 3, LockedUntil: base.Add(time.Minute)}
	noHash := p.user(a)
	noHash.Hash, noHash.Name = "", ""
	for _, n := range []*users.NewUser{plain, full, noHash} {
		p.create(n)
	}
	for _, n := range []*users.NewUser{plain, full, noHash} {
		p.stored(n)
	}
}

func limitsRoundTrip(p *probe) {
	a := p.app()
	n := p.full(a)
	n.ID = "0190163d-8694-739b-aea5-966c26f8ad91"
	n.UserName, n.NameKey = wide(256), wide(256)
	n.Email = wide(16) + "@" + strings.Repeat("d", 189)
	n.EmailKey = wide(16) + "@" + strings.Repeat("d", 255)
	n.Name = wide(256)
	n.Hash = password.Hash("$argon2id$" + strings.Repeat("h", 245))
	n.CreatedBy = wide(63) + "abc"
	n.DashboardSettings = json.RawMessage(`{"s":"` + wide(16382) + `"}`)
	n.Replay = p.replay(n, strings.Repeat("~", users.MaxIdempotencyKey))
	n.Replay.Scope = "caller:" + n.CreatedBy
	if n.Notification != nil {
		n.Notification.ID, n.Notification.UserID = "0190163d-8694-739b-aea5-966c26f8ad92", n.ID
	}
	for what, l := range map[string][2]int{
		"name key": {len(n.NameKey), 1024}, "email": {len(n.Email), 254}, "email key": {len(n.EmailKey), 320}, "hash": {len(n.Hash), 255},
		"caller": {len(n.CreatedBy), users.MaxCallerID}, "settings": {len(n.DashboardSettings), 64 << 10},
	} {
		if l[0] != l[1] {
			panic(fmt.Sprintf("the %s of this case has %d bytes, not %d", what, l[0], l[1]))
		}
	}
	p.create(n)
	p.stored(n)
	// Keys of which a shortened index would see the same beginning.
	m := p.user(a)
	m.NameKey, m.EmailKey = wide(255)+"𝔙", wide(16)+"@"+strings.Repeat("d", 254)+"e"
	p.create(m)
	p.stored(m)
	found := p.users(users.UserQuery{ApplicationID: a.ID, NameKeys: []string{n.NameKey}, EmailKeys: []string{m.EmailKey}})
	p.sameStrings("FindUsers by the longest keys", userIDs(found), slices.Sorted(slices.Values([]string{n.ID, m.ID})))
}

func timesRoundTrip(p *probe) {
	a := p.app()
	for _, at := range times() {
		n := p.full(a)
		n.CreationDate, n.DateCreated, n.DateUpdated, n.Login.LockedUntil, n.Replay.Expires = at, at, at, at, at
		if n.Notification != nil {
			n.Notification.Created, n.Notification.Due = at, at
		}
		p.create(n)
		p.stored(n)
		other := users.Application{ID: p.id(), APIKey: p.id(), DateCreated: at}
		p.must("CreateApplication", p.CreateApplication(p.ctx, other))
		got, err := p.FindApplication(p.ctx, users.ApplicationQuery{ID: other.ID})
		p.must("FindApplication", err)
		p.same("application", other, got)
	}
}

func dashboardSettingsAreBytes(p *probe) {
	a := p.app()
	for _, raw := range []string{
		"", "{}", " {\t\r\n} ", `{"b":1,"a":2}`, `{"a":1,"A":2,"á":3,"a\u0301":4}`, `{"n":1e400000,"m":-0.0,"i":123456789012345678901234567890}`,
		`{"s":"\u0000\ud83d\ude00\/\b"}`, `{"s":"😀 '' \" \\ %s $1 ? :x"}`, `{"\u0061":1,"b":"a"}`,
		strings.Repeat(`{"d":`, 19) + "{}" + strings.Repeat("}", 19), `{"d":` + strings.Repeat("[", 19) + strings.Repeat("]", 19) + "}",
		`{"d":` + strings.Repeat(" ", 64<<10-7) + "1}",
	} {
		n := p.user(a)
		if raw != "" {
			n.DashboardSettings = json.RawMessage(raw)
		}
		p.create(n)
		if got := p.byID(n).DashboardSettings; !bytes.Equal(got, n.DashboardSettings) {
			p.errorf("settings: got %d bytes %.100q, want %d bytes %.100q", len(got), got, len(raw), raw)
		}
	}
}

func rolesOfAUser(p *probe) {
	a := p.app()
	var all, refs []users.Role
	for i := range users.MaxRoles {
		r := p.role(a, fmt.Sprintf("role %d", i))
		all = append(all, r)
		refs = append(refs, users.Role{ID: r.ID})
	}
	slices.Reverse(refs)
	none, one, every := p.user(a), p.user(a), p.user(a)
	one.Roles, every.Roles = refs[3:4], refs
	for _, n := range []*users.NewUser{none, one, every} {
		p.create(n)
	}
	found := p.users(users.UserQuery{ApplicationID: a.ID, IDs: []string{none.ID, one.ID, every.ID}})
	if len(found) != 3 {
		p.fatalf("FindUsers: got %d users, want 3", len(found))
	}
	p.same("no roles", []users.Role(nil), found[0].Roles)
	p.same("one role", all[len(all)-4:len(all)-3], found[1].Roles)
	p.same("all roles, in order of ID", all, found[2].Roles)
}

func usersByAnyKey(p *probe) {
	a, b := p.app(), p.app()
	var all []*users.NewUser
	for range 30 {
		n := p.user(a)
		n.NameKey = fmt.Sprintf("name %d", 99-p.seq) // not in the order of the ids
		all = append(all, p.create(n))
		twin := *n
		twin.ApplicationID = b.ID
		p.create(&twin)
	}
	u := func(i int) *users.NewUser { return all[i] }
	for _, c := range []struct {
		q    users.UserQuery
		want []int
	}{
		{users.UserQuery{IDs: []string{u(7).ID, u(2).ID, u(2).ID}}, []int{2, 7}},
		{users.UserQuery{NameKeys: []string{u(1).NameKey, u(9).NameKey}}, []int{1, 9}},
		{users.UserQuery{EmailKeys: []string{u(4).EmailKey, u(3).EmailKey}}, []int{3, 4}},
		{users.UserQuery{IDs: []string{u(5).ID}, NameKeys: []string{u(5).NameKey}, EmailKeys: []string{u(5).EmailKey}}, []int{5}},
		{users.UserQuery{IDs: []string{u(8).ID}, NameKeys: []string{u(6).NameKey}, EmailKeys: []string{u(0).EmailKey, "nobody"}}, []int{0, 6, 8}},
		{users.UserQuery{IDs: []string{u(1).NameKey}, NameKeys: []string{u(1).EmailKey}, EmailKeys: []string{u(1).ID}}, nil},
	} {
		var want []string
		for _, i := range c.want {
			want = append(want, u(i).ID)
		}
		c.q.ApplicationID = a.ID
		found := p.users(c.q)
		p.sameStrings("FindUsers", userIDs(found), want)
		for _, f := range found {
			if f.ApplicationID != a.ID {
				p.errorf("FindUsers: got a user of another application")
			}
		}
	}
	// As many keys as a caller may have.
	q := users.UserQuery{ApplicationID: a.ID}
	var want []string
	for i := range 1000 {
		q.IDs = append(q.IDs, fmt.Sprintf("nobody %d", i))
		q.NameKeys, q.EmailKeys = append(q.NameKeys, q.IDs[i]), append(q.EmailKeys, q.IDs[i])
	}
	for _, n := range all {
		q.NameKeys, want = append(q.NameKeys, n.NameKey), append(want, n.ID)
	}
	p.sameStrings("FindUsers by 3,030 keys", userIDs(p.users(q)), want)
}

func keysOnly(p *probe) {
	n := p.create(p.full(p.app()))
	found := p.users(users.UserQuery{ApplicationID: n.ApplicationID, NameKeys: []string{n.NameKey}, KeysOnly: true})
	if len(found) != 1 {
		p.fatalf("FindUsers: got %d users, want 1", len(found))
	}
	f := found[0]
	p.sameStrings("keys", []string{f.ApplicationID, f.ID, f.NameKey, f.EmailKey}, []string{n.ApplicationID, n.ID, n.NameKey, n.EmailKey})
}

func usersAbsent(p *probe) {
	n := p.create(p.full(p.app()))
	for what, q := range map[string]users.UserQuery{
		"no keys":                {ApplicationID: n.ApplicationID},
		"keys of nobody":         {ApplicationID: n.ApplicationID, IDs: []string{p.id()}, NameKeys: []string{""}, EmailKeys: []string{"nobody@example.com"}},
		"an unknown application": {ApplicationID: p.id(), IDs: []string{n.ID}, NameKeys: []string{n.NameKey}, EmailKeys: []string{n.EmailKey}},
		"another application":    {ApplicationID: p.app().ID, IDs: []string{n.ID}, NameKeys: []string{n.NameKey}, EmailKeys: []string{n.EmailKey}},
	} {
		if found := p.users(q); len(found) != 0 {
			p.errorf("FindUsers with %s: got %d users, want none", what, len(found))
		}
	}
}

func userUnknownApplication(p *probe) {
	nowhere := users.Application{ID: p.id()}
	n := p.full(nowhere)
	n.InTx = p.neverRun()
	p.is("CreateUser", p.CreateUser(p.ctx, n), users.ErrUnknownApplication)
	// It must not come to light when the application appears.
	p.must("CreateApplication", p.CreateApplication(p.ctx, users.Application{ID: nowhere.ID, APIKey: "late", DateCreated: base}))
	p.absent(n)
	p.creatable(n)
}

func userUnknownRole(p *probe) {
	a, b := p.app(), p.app()
	known, foreign := p.role(a, "known"), p.role(b, "foreign")
	for what, roles := range map[string][]users.Role{
		"an unknown role":               {{ID: p.id(), Name: "known"}},
		"a known and an unknown role":   {known, {ID: p.id()}},
		"a role of another application": {known, foreign},
	} {
		n := p.full(a, roles...)
		n.InTx = p.neverRun()
		p.is("CreateUser with "+what, p.CreateUser(p.ctx, n), users.ErrNotFound)
		p.absent(n)
		n.Roles = nil
		p.creatable(n)
	}
}

func newUserIsNotChanged(p *probe) {
	a := p.app()
	r, s := p.role(a, "r"), p.role(a, "s")
	taken := p.create(p.full(a))
	for what, spoil := range map[string]func(*users.NewUser){
		"success":  func(*users.NewUser) {},
		"conflict": func(n *users.NewUser) { n.NameKey = taken.NameKey },
	} {
		n := p.full(a, users.Role{ID: s.ID}, users.Role{ID: r.ID})
		spoil(n)
		rec, replay := n.UserRecord, *n.Replay
		rec.Roles, rec.DashboardSettings = slices.Clone(n.Roles), slices.Clone(n.DashboardSettings)
		var row users.OutboxRow
		if n.Notification != nil {
			row = *n.Notification
		}
		_ = p.CreateUser(p.ctx, n)
		p.same("n after "+what, rec, n.UserRecord)
		p.same("n.Replay after "+what, replay, *n.Replay)
		if n.Notification != nil {
			p.same("n.Notification after "+what, row, *n.Notification)
		}
	}
}

func storeCopies(p *probe) {
	a := p.app()
	r, s := p.role(a, "r"), p.role(a, "s")
	n := p.create(p.full(a, r, s))
	want := *n
	want.Roles, want.DashboardSettings = slices.Clone(n.Roles), slices.Clone(n.DashboardSettings)
	replay := *n.Replay
	want.Replay = &replay
	if n.Notification != nil {
		row := *n.Notification
		want.Notification = &row
		n.Notification.Kind = "spoilt"
	}
	// What was passed in is spoilt, then what came out.
	n.Roles[0], n.Roles[1] = users.Role{ID: "spoilt"}, users.Role{}
	clear(n.DashboardSettings)
	n.Replay.UserID, n.Replay.Fingerprint = "spoilt", [32]byte{}
	p.stored(&want)
	got := p.byID(&want)
	clear(got.Roles)
	clear(got.DashboardSettings)
	p.stored(&want)

	hash, yes, login := password.Hash("$new"), true, users.LoginState{Failures: 1}
	p.must("UpdateUser", p.UpdateUser(p.ctx, users.UserUpdate{
		ApplicationID: a.ID, ID: n.ID, IfVersion: 1, Hash: &hash, IsLockedOut: &yes, Login: &login, DateUpdated: base,
	}))
	hash, yes, login = "spoilt", false, users.LoginState{Failures: 9}
	if got := p.byID(&want); got.Hash != "$new" || !got.IsLockedOut || got.Login.Failures != 1 {
		p.errorf("UpdateUser kept the caller's pointers")
	}

	found := p.roles(users.RoleQuery{ApplicationID: a.ID})
	clear(found)
	q := users.RoleQuery{ApplicationID: a.ID, IDs: []string{s.ID, r.ID, s.ID}, NameKeys: []string{"s", "r"}}
	p.sameStrings("FindRoles after the first answer was spoilt", roleIDs(p.roles(q)), []string{r.ID, s.ID})
	p.sameStrings("the caller's q.IDs", q.IDs, []string{s.ID, r.ID, s.ID})
	p.sameStrings("the caller's q.NameKeys", q.NameKeys, []string{"s", "r"})
	uq := users.UserQuery{ApplicationID: a.ID, IDs: []string{"z", n.ID, "a"}, NameKeys: []string{"z", "a"}, EmailKeys: []string{"z", "a"}}
	p.users(uq)
	p.sameStrings("the caller's q.IDs", uq.IDs, []string{"z", n.ID, "a"})
	p.sameStrings("the caller's q.NameKeys", uq.NameKeys, []string{"z", "a"})
	p.sameStrings("the caller's q.EmailKeys", uq.EmailKeys, []string{"z", "a"})
}
