package storetest

import (
	"slices"

	"github.com/gousers/users"
)

func roleCases() []testCase {
	return []testCase{
		{"RoleComesBack", anyStore, roleComesBack,
			"Values are returned as they were given: times to the microsecond in UTC … strings unchanged"},
		{"RoleTaken", anyStore, roleTaken,
			`A taken ID or NameKey is a *ConflictError with the members "id" and "name"`},
		{"RoleApplicationUnknown", anyStore, roleApplicationUnknown,
			"an application that does not exist is ErrUnknownApplication"},
		{"RolesByAnyKey", anyStore, rolesByAnyKey,
			"FindRoles returns the roles of q.ApplicationID whose ID is in q.IDs or whose NameKey is in " +
				"q.NameKeys, each once, in order of ID"},
		{"RolesWithoutKeys", anyStore, rolesWithoutKeys,
			"A Find method without keys finds nothing; what lists is called List"},
		{"RolesListed", anyStore, rolesListed,
			"ListRoles returns the roles of the application in order of ID: those with an ID greater than " +
				"p.After, at most p.Limit of them (0: all)"},
		{"RolesBelongToOneApplication", anyStore, rolesBelongToOneApplication,
			"nothing is ever found or in conflict across applications"},
		{"RoleNamesAreBytes", anyStore, roleNamesAreBytes,
			"Keys (ids, apiKeys, NameKey, EmailKey, idempotency keys) are compared byte for byte: no " +
				"collation, no padding, no case folding"},
	}
}

// roles returns what q finds.
func (p *probe) roles(q users.RoleQuery) []users.RoleRecord {
	found, err := p.FindRoles(p.ctx, q)
	p.must("FindRoles", err)
	return found
}

// listRoles returns a page of roles; a zero page is all of them.
func (p *probe) listRoles(applicationID string, page users.Page) []users.RoleRecord {
	found, err := p.ListRoles(p.ctx, applicationID, page)
	p.must("ListRoles", err)
	return found
}

// roleComesBack stores strings at their longest, blanks at both ends and the
// ends of the range of times.
func roleComesBack(p *probe) {
	a := p.app()
	early, late := times()[0], times()[len(times())-1]
	for _, r := range []users.Role{
		{
			ID: p.id(), DateCreated: base, DateUpdated: base,
			Name: wide(users.MaxRoleName), Description: wide(users.MaxRoleDescription),
		},
		{ID: "0190163d-8694-739b-aea5-966c26f8ad91", Name: " r ", DateCreated: early, DateUpdated: late},
	} {
		want := users.RoleRecord{Role: r, NameKey: r.Name}
		p.must("CreateRole", p.CreateRole(p.ctx, a.ID, want))

		for _, q := range []users.RoleQuery{{IDs: []string{r.ID}}, {NameKeys: []string{r.Name}}} {
			q.ApplicationID = a.ID
			p.wantEqual("roles", []users.RoleRecord{want}, p.roles(q))
		}
	}
}

// roleTaken names every taken member, also where two roles are in the way, and
// leaves the roles as they were.
func roleTaken(p *probe) {
	a := p.app()
	r, other := p.role(a, "editor"), p.role(a, "author")
	for _, c := range []struct {
		id, name string
		members  []string
	}{
		{r.ID, "free", []string{"id"}},
		{p.id(), r.Name, []string{"name"}},
		{r.ID, r.Name, []string{"id", "name"}},
		{r.ID, other.Name, []string{"id", "name"}}, // of two rows
	} {
		late := p.newRole(c.name)
		late.ID = c.id
		p.wantConflict("CreateRole", p.CreateRole(p.ctx, a.ID, late), c.members...)
	}

	want := []users.RoleRecord{{Role: r, NameKey: r.Name}, {Role: other, NameKey: other.Name}}
	p.wantEqual("roles after the conflict", want, p.listRoles(a.ID, users.Page{}))
}

// roleApplicationUnknown guards against rows of an application that does not
// exist: they would come to light when it is created. No foreign key is asked
// for; a look in the same transaction will do.
func roleApplicationUnknown(p *probe) {
	nowhere := p.id()
	p.wantErr("CreateRole", p.CreateRole(p.ctx, nowhere, p.newRole("r")), users.ErrUnknownApplication)

	if got := p.roles(users.RoleQuery{ApplicationID: nowhere, NameKeys: []string{"r"}}); len(got) != 0 {
		p.errorf("FindRoles of an unknown application: got %d, want none", len(got))
	}
	if got := p.listRoles(nowhere, users.Page{}); len(got) != 0 {
		p.errorf("ListRoles of an unknown application: got %d, want none", len(got))
	}
}

// rolesByAnyKey asks by ids, by names, by both with overlap, with repeated
// keys, and with the two kinds of key mixed up.
func rolesByAnyKey(p *probe) {
	a := p.app()
	var all []users.Role
	for _, name := range []string{"d", "c", "b", "a"} { // not in the order of their ids
		all = append(all, p.role(a, name))
	}

	for _, c := range []struct {
		ids, names, want []string
	}{
		{[]string{all[2].ID, all[0].ID}, nil, []string{all[0].ID, all[2].ID}},
		{nil, []string{"a", "d"}, []string{all[0].ID, all[3].ID}},
		{[]string{all[1].ID, all[3].ID}, []string{"c", "b", "b"}, []string{all[1].ID, all[2].ID, all[3].ID}},
		{[]string{all[0].ID, all[0].ID}, []string{"d"}, []string{all[0].ID}},
		{[]string{p.id(), "d"}, []string{"nobody", all[0].ID}, []string{}},
	} {
		q := users.RoleQuery{ApplicationID: a.ID, IDs: c.ids, NameKeys: c.names}
		p.wantStrings("FindRoles by keys", roleIDs(p.roles(q)), c.want)
	}
}

// rolesWithoutKeys guards against a query whose empty list of keys drops the
// condition: it would return every role to a caller that asked for none.
func rolesWithoutKeys(p *probe) {
	a := p.app()
	p.role(a, "editor")
	if got := p.roles(users.RoleQuery{ApplicationID: a.ID}); got == nil || len(got) != 0 {
		p.errorf("FindRoles without keys: got %#v, want an empty slice", got)
	}
}

// rolesListed reads page by page, the last page short and the one after it
// empty: that is how a caller notices the end.
func rolesListed(p *probe) {
	a := p.app()
	want := make([]string, 25)
	for i := range want {
		want[i] = p.id()
	}
	for _, i := range []int{7, 3, 24, 0} {
		want[0], want[i] = want[i], want[0] // not in the order of their ids
	}
	for i, id := range want {
		r := p.newRole(string(rune('z' - i)))
		r.ID = id
		p.must("CreateRole", p.CreateRole(p.ctx, a.ID, r))
	}
	slices.Sort(want)

	p.wantStrings("all roles", roleIDs(p.listRoles(a.ID, users.Page{})), want)
	page := users.Page{Limit: 10}
	for _, w := range [][]string{want[:10], want[10:20], want[20:], {}} {
		got := roleIDs(p.listRoles(a.ID, page))
		p.wantStrings("a page of roles after "+page.After, got, w)
		if len(w) > 0 {
			page.After = w[len(w)-1]
		}
	}
	rest := p.listRoles(a.ID, users.Page{After: want[20]})
	p.wantStrings("the rest of the roles", roleIDs(rest), want[21:])
}

// rolesBelongToOneApplication gives two applications roles that are alike in
// id and name.
func rolesBelongToOneApplication(p *probe) {
	a, b, c := p.app(), p.app(), p.app()
	r := p.role(a, "editor")
	twin := users.RoleRecord{Role: r, NameKey: r.Name}
	twin.Description = "of another application"
	if err := p.CreateRole(p.ctx, b.ID, twin); err != nil {
		p.fatalf("CreateRole with id and name of another application's role: got error %v, want none", err)
	}

	for app, want := range map[string][]users.RoleRecord{
		a.ID: {{Role: r, NameKey: r.Name}},
		b.ID: {twin},
		c.ID: {},
	} {
		p.wantEqual("roles by id", want, p.roles(users.RoleQuery{ApplicationID: app, IDs: []string{r.ID}}))
		p.wantEqual("roles by name", want, p.roles(users.RoleQuery{ApplicationID: app, NameKeys: []string{r.Name}}))
		p.wantEqual("all roles", want, p.listRoles(app, users.Page{}))
	}
}

// roleNamesAreBytes stores names that collations take for the same: the
// library has folded what is to be folded, and two roles are two roles.
func roleNamesAreBytes(p *probe) {
	a := p.app()
	for _, name := range lookalikes() {
		if err := p.CreateRole(p.ctx, a.ID, p.newRole(name)); err != nil {
			p.errorf("CreateRole %q beside names like it: got error %v, want none", name, err)
		}
	}

	for _, name := range lookalikes() {
		got := p.roles(users.RoleQuery{ApplicationID: a.ID, NameKeys: []string{name}})
		if len(got) != 1 || got[0].NameKey != name {
			p.errorf("FindRoles %q: got %d roles %q", name, len(got), got)
		}
	}
}
