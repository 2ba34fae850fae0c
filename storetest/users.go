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
		{"UserComesBack", anyStore, userComesBack,
			"Values are returned as they were given"},
		{"LimitsRoundTrip", anyStore, limitsRoundTrip,
			"strings unchanged … A Store must hold 1,024 bytes of the first and 320 bytes of the second … Hash … at most 1,024 bytes"},
		{"TimesRoundTrip", anyStore, timesRoundTrip,
			"times to the microsecond in UTC from year 1 to 9999"},
		{"DashboardSettingsAreBytes", anyStore, dashboardSettingsAreBytes,
			"DashboardSettings byte for byte"},
		{"RolesOfAUser", anyStore, rolesOfAUser,
			"Of each element of Roles only the ID is used"},
		{"UsersByAnyKey", anyStore, usersByAnyKey,
			"FindUsers returns every user of q.ApplicationID whose ID is in q.IDs, whose NameKey is in " +
				"q.NameKeys or whose EmailKey is in q.EmailKeys, each once, in order of ID"},
		{"KeysOnly", anyStore, keysOnly,
			"With KeysOnly only ApplicationID, ID, NameKey and EmailKey need to be filled"},
		{"UsersAbsent", anyStore, usersAbsent,
			"an empty slice for those that return a slice … A Find method without keys finds nothing"},
		{"UserUnknownApplication", anyStore, userUnknownApplication,
			"An application that does not exist is ErrUnknownApplication"},
		{"UserUnknownRole", anyStore, userUnknownRole,
			"a role of n.Roles that does not exist in it is ErrNotFound"},
		{"NewUserIsNotChanged", anyStore, newUserIsNotChanged,
			"It never changes n"},
		{"StoreCopies", anyStore, storeCopies,
			"Slices, maps and pointers passed in stay the caller's, those returned are the caller's own"},
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
		"1", "01", "1.0", "o'brien", `o"brien`, `o\brien`, "o\\\\brien", "100%", "100_", "null", "bob\u200b",
		"x' for key 'users.email",
	}
}

// userComesBack stores users whose every field has, between them, its zero value
// and another one: a forgotten column shows.
func userComesBack(p *probe) {
	a := p.app()
	plain := p.user(a)

	full := p.full(a, p.role(a, "r"))
	full.IsApproved, full.IsLockedOut, full.AllowDashboardAccess = false, true, true
	full.CreatedBy, full.KeyVersion = "someone", 7
	full.CreationDate, full.DateUpdated = base.AddDate(-10, 0, 0), base.Add(time.Hour)
	full.DisplayKey = wide(256) // 1,024 bytes
	full.LastLogin, full.Login = base, users.LoginState{Failures: 3, LockedUntil: base.Add(time.Minute)}
	full.PasswordChanged, full.EmailVerified = base.Add(time.Second), base.Add(time.Hour)

	noHash := p.user(a)
	noHash.Hash, noHash.PasswordChanged = password.Hash{}, time.Time{}
	noHash.Name, noHash.DisplayKey = "", ""

	all := []*users.NewUser{plain, full, noHash}
	for _, n := range all {
		p.create(n)
	}
	for _, n := range all {
		p.wantStored(n)
	}
}

// limitsRoundTrip stores every string at its longest, in the widest
// characters, and a second user whose keys differ from the first's only at
// their ends.
func limitsRoundTrip(p *probe) {
	a := p.app()
	n := p.longest(a)
	p.create(n)
	p.wantStored(n)

	// Keys of which a shortened index would see the same beginning.
	m := p.user(a)
	m.NameKey, m.EmailKey = wide(255)+"𝔙", wide(16)+"@"+strings.Repeat("d", 254)+"e"
	p.create(m)
	p.wantStored(m)

	found := p.users(users.UserQuery{
		ApplicationID: a.ID, NameKeys: []string{n.NameKey}, EmailKeys: []string{m.EmailKey},
	})
	want := slices.Sorted(slices.Values([]string{n.ID, m.ID}))
	p.wantStrings("FindUsers by the longest keys", userIDs(found), want)
}

// longest returns a user each of whose strings is as long as a Service lets it be.
func (p *probe) longest(a users.Application) *users.NewUser {
	n := p.full(a)
	n.ID = "0190163d-8694-739b-aea5-966c26f8ad91"
	n.UserName, n.NameKey = wide(256), wide(256)
	n.Email = wide(16) + "@" + strings.Repeat("d", 189)
	n.EmailKey = wide(16) + "@" + strings.Repeat("d", 255)
	n.Name, n.DisplayKey = wide(256), wide(256)
	n.Hash = password.NewHash("$argon2id$" + strings.Repeat("h", 1014))
	n.CreatedBy = wide(63) + "abc"
	n.DashboardSettings = json.RawMessage(`{"s":"` + wide(16382) + `"}`)
	n.Idempotency = p.record(n, strings.Repeat("~", users.MaxIdempotencyKey))
	n.Idempotency.Caller = "caller:" + n.CreatedBy
	if len(n.Notifications) > 0 {
		n.Notifications[0].ID = "0190163d-8694-739b-aea5-966c26f8ad92"
		n.Notifications[0].UserID = n.ID
	}

	for what, l := range map[string][2]int{
		"name key":    {len(n.NameKey), 1024},
		"email":       {len(n.Email), 254},
		"email key":   {len(n.EmailKey), 320},
		"display key": {len(n.DisplayKey), 1024},
		"hash":        {len(n.Hash.Reveal()), 1024},
		"caller":      {len(n.CreatedBy), users.MaxCallerID},
		"settings":    {len(n.DashboardSettings), 64 << 10},
	} {
		if l[0] != l[1] {
			panic(fmt.Sprintf("the %s of this case has %d bytes, not %d", what, l[0], l[1]))
		}
	}
	return n
}

// timesRoundTrip stores each time of times in every field that holds one. A
// zero time is one of them: it is year 1, not NULL.
func timesRoundTrip(p *probe) {
	a := p.app()
	for _, at := range times() {
		n := p.full(a)
		for _, to := range []*time.Time{
			&n.CreationDate, &n.DateCreated, &n.DateUpdated, &n.PasswordChanged, &n.EmailVerified,
			&n.LastLogin, &n.Login.LockedUntil,
		} {
			*to = at
		}
		if len(n.Notifications) > 0 && !at.IsZero() {
			n.Notifications[0].Created, n.Notifications[0].Due = at, at
		}
		p.create(n)
		p.wantStored(n)

		other := users.Application{ID: p.id(), APIKey: p.id(), DateCreated: at}
		p.must("CreateApplication", p.CreateApplication(p.ctx, other))
		got, err := p.FindApplication(p.ctx, users.ApplicationQuery{ID: other.ID})
		p.must("FindApplication", err)
		p.wantEqual("application", other, got)
	}
}

// dashboardSettingsAreBytes stores JSON that a JSON column or a decoder would
// change: order, white space, repeated members, numbers, escapes, depth.
func dashboardSettingsAreBytes(p *probe) {
	a := p.app()
	for _, raw := range []string{
		"",
		"{}",
		" {\t\r\n} ",
		`{"b":1,"a":2}`,
		`{"a":1,"A":2,"á":3,"a\u0301":4}`,
		`{"n":1e400000,"m":-0.0,"i":123456789012345678901234567890}`,
		`{"s":"\u0000\ud83d\ude00\/\b"}`,
		`{"s":"😀 '' \" \\ %s $1 ? :x"}`,
		`{"\u0061":1,"b":"a"}`,
		strings.Repeat(`{"d":`, 19) + "{}" + strings.Repeat("}", 19),
		`{"d":` + strings.Repeat("[", 19) + strings.Repeat("]", 19) + "}",
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

// rolesOfAUser links roles by nothing but their ids, in the opposite order; they
// come back in full, in order of ID.
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
	p.wantEqual("no roles", []users.Role(nil), found[0].Roles)
	p.wantEqual("one role", all[len(all)-4:len(all)-3], found[1].Roles)
	p.wantEqual("all roles, in order of ID", all, found[2].Roles)
}

// usersByAnyKey asks by each kind of key, by all of them at once for one user
// and for three, and for more than a statement takes. A twin in another
// application is never found.
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
		ids, names, emails []string
		want               []int
	}{
		{ids: []string{u(7).ID, u(2).ID, u(2).ID}, want: []int{2, 7}},
		{names: []string{u(1).NameKey, u(9).NameKey}, want: []int{1, 9}},
		{emails: []string{u(4).EmailKey, u(3).EmailKey}, want: []int{3, 4}},
		{[]string{u(5).ID}, []string{u(5).NameKey}, []string{u(5).EmailKey}, []int{5}},
		{[]string{u(8).ID}, []string{u(6).NameKey}, []string{u(0).EmailKey, "nobody"}, []int{0, 6, 8}},
		{[]string{u(1).NameKey}, []string{u(1).EmailKey}, []string{u(1).ID}, nil}, // mixed up
	} {
		var want []string
		for _, i := range c.want {
			want = append(want, u(i).ID)
		}
		found := p.users(users.UserQuery{
			ApplicationID: a.ID, IDs: c.ids, NameKeys: c.names, EmailKeys: c.emails,
		})
		p.wantStrings("FindUsers", userIDs(found), want)
		for _, f := range found {
			if f.ApplicationID != a.ID {
				p.errorf("FindUsers: got a user of another application")
			}
		}
	}

	p.wantFoundAmongMany(a, all)
}

// wantFoundAmongMany asks for more keys at once than some databases take as
// parameters of one statement.
func (p *probe) wantFoundAmongMany(a users.Application, all []*users.NewUser) {
	q := users.UserQuery{ApplicationID: a.ID}
	for i := range 1000 {
		nobody := fmt.Sprintf("nobody %d", i)
		q.IDs = append(q.IDs, nobody)
		q.NameKeys = append(q.NameKeys, nobody)
		q.EmailKeys = append(q.EmailKeys, nobody)
	}
	var want []string
	for _, n := range all {
		q.NameKeys = append(q.NameKeys, n.NameKey)
		want = append(want, n.ID)
	}
	p.wantStrings("FindUsers by 3,030 keys", userIDs(p.users(q)), want)
}

// keysOnly looks at what must be filled. A store may fill more, and may save
// itself the roles.
func keysOnly(p *probe) {
	n := p.create(p.full(p.app()))
	found := p.users(users.UserQuery{
		ApplicationID: n.ApplicationID, NameKeys: []string{n.NameKey}, KeysOnly: true,
	})
	if len(found) != 1 {
		p.fatalf("FindUsers: got %d users, want 1", len(found))
	}
	f := found[0]
	got := []string{f.ApplicationID, f.ID, f.NameKey, f.EmailKey}
	p.wantStrings("keys", got, []string{n.ApplicationID, n.ID, n.NameKey, n.EmailKey})
}

// usersAbsent guards against an error for an empty answer, and against a query
// whose empty lists of keys drop the condition.
func usersAbsent(p *probe) {
	n := p.create(p.full(p.app()))
	itsKeys := users.UserQuery{
		IDs: []string{n.ID}, NameKeys: []string{n.NameKey}, EmailKeys: []string{n.EmailKey},
	}
	strange := users.UserQuery{
		IDs: []string{p.id()}, NameKeys: []string{""}, EmailKeys: []string{"nobody@example.com"},
	}
	for what, c := range map[string]struct {
		app string
		q   users.UserQuery
	}{
		"no keys":                {n.ApplicationID, users.UserQuery{}},
		"keys of nobody":         {n.ApplicationID, strange},
		"an unknown application": {p.id(), itsKeys},
		"another application":    {p.app().ID, itsKeys},
	} {
		c.q.ApplicationID = c.app
		if found := p.users(c.q); len(found) != 0 {
			p.errorf("FindUsers with %s: got %d users, want none", what, len(found))
		}
	}
}

// userUnknownApplication runs no OnCreate: what must be refused is refused before
// the host's own code has had effects elsewhere.
func userUnknownApplication(p *probe) {
	nowhere := users.Application{ID: p.id()}
	n := p.full(nowhere)
	n.OnCreate = p.neverRun()
	p.wantErr("CreateUser", p.CreateUser(p.ctx, n), users.ErrUnknownApplication)

	// It must not come to light when the application appears.
	late := users.Application{ID: nowhere.ID, APIKey: "late", DateCreated: base}
	p.must("CreateApplication", p.CreateApplication(p.ctx, late))
	p.wantAbsent(n)
	p.wantCreatable(n)
}

// userUnknownRole guards against links to roles that do not exist, which would
// become rights when somebody creates the role.
func userUnknownRole(p *probe) {
	a, b := p.app(), p.app()
	known, foreign := p.role(a, "known"), p.role(b, "foreign")
	for what, roles := range map[string][]users.Role{
		"an unknown role":               {{ID: p.id(), Name: "known"}},
		"a known and an unknown role":   {known, {ID: p.id()}},
		"a role of another application": {known, foreign},
	} {
		n := p.full(a, roles...)
		n.OnCreate = p.neverRun()
		p.wantErr("CreateUser with "+what, p.CreateUser(p.ctx, n), users.ErrNotFound)
		p.wantAbsent(n)

		n.Roles = nil
		p.wantCreatable(n)
	}
}

// newUserIsNotChanged also looks at a call that failed: the Service, or a Store
// that retries, may pass the same n once more.
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
		want := deepCopy(n)
		_ = p.CreateUser(p.ctx, n)
		p.wantEqual("n after "+what, want.UserRecord, n.UserRecord)
		p.wantEqual("n.Idempotency after "+what, *want.Idempotency, *n.Idempotency)
		p.wantEqual("n.Notifications after "+what, want.Notifications, n.Notifications)
	}
}

// deepCopy returns a copy of n that shares no memory with it.
func deepCopy(n *users.NewUser) *users.NewUser {
	c := *n
	c.Roles = slices.Clone(n.Roles)
	c.DashboardSettings = slices.Clone(n.DashboardSettings)
	c.Notifications = slices.Clone(n.Notifications)
	if n.Idempotency != nil {
		c.Idempotency = new(*n.Idempotency)
	}
	return &c
}

// storeCopies spoils what it passed in, and what it got, and looks again.
func storeCopies(p *probe) {
	a := p.app()
	n := p.create(p.full(a, p.role(a, "r"), p.role(a, "s")))
	want := deepCopy(n)

	n.Roles[0], n.Roles[1] = users.Role{ID: "spoilt"}, users.Role{}
	clear(n.DashboardSettings)
	n.Idempotency.UserID, n.Idempotency.Fingerprint = "spoilt", [32]byte{}
	if len(n.Notifications) > 0 {
		n.Notifications[0].Kind = "spoilt"
	}
	p.wantStored(want)

	got := p.byID(want)
	clear(got.Roles)
	clear(got.DashboardSettings)
	p.wantStored(want)

	locked := true
	p.must("SetUserStatus", p.SetUserStatus(p.ctx, users.StatusUpdate{
		ApplicationID: a.ID, ID: n.ID, IfVersion: 1, IsLockedOut: &locked, DateUpdated: base,
	}))
	locked = false
	if got := p.byID(want); !got.IsLockedOut {
		p.errorf("SetUserStatus kept the caller's pointer")
	}

	clear(p.listRoles(a.ID, users.Page{}))
	p.wantQueriesUnchanged(a, want)
}

// wantQueriesUnchanged notes a store that sorts or shortens the caller's lists.
func (p *probe) wantQueriesUnchanged(a users.Application, n *users.NewUser) {
	r, s := n.Roles[0].ID, n.Roles[1].ID
	rq := users.RoleQuery{ApplicationID: a.ID, IDs: []string{s, r, s}, NameKeys: []string{"s", "r"}}
	p.wantStrings("FindRoles after the list was spoilt", roleIDs(p.roles(rq)), []string{r, s})
	p.wantStrings("the caller's q.IDs", rq.IDs, []string{s, r, s})
	p.wantStrings("the caller's q.NameKeys", rq.NameKeys, []string{"s", "r"})

	uq := users.UserQuery{
		ApplicationID: a.ID, IDs: []string{"z", n.ID, "a"},
		NameKeys: []string{"z", "a"}, EmailKeys: []string{"z", "a"},
	}
	p.users(uq)
	p.wantStrings("the caller's q.IDs", uq.IDs, []string{"z", n.ID, "a"})
	p.wantStrings("the caller's q.NameKeys", uq.NameKeys, []string{"z", "a"})
	p.wantStrings("the caller's q.EmailKeys", uq.EmailKeys, []string{"z", "a"})
}
