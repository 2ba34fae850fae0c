package storetest

import (
	"slices"

	"github.com/gousers/users"
)

func roleCases() []testCase {
	return []testCase{
		{"RoleComesBack", "strings come back unchanged, times to the microsecond", 0, roleComesBack},
		{"RoleTaken", `a taken ID or NameKey is a *ConflictError with the members "id" and "name"`, 0, roleTaken},
		{"RoleApplicationUnknown", "an application that does not exist is ErrUnknownApplication", 0, roleApplicationUnknown},
		{"RolesByAnyKey", "FindRoles gives the roles whose ID is in q.IDs or whose NameKey is in q.NameKeys, each once, in order of ID", 0, rolesByAnyKey},
		{"RolesListed", "with neither it lists all roles in order of ID, a page at a time", 0, rolesListed},
		{"RolesBelongToOneApplication", "nothing is ever found or clashes across applications", 0, rolesBelongToOneApplication},
		{"RoleNamesAreBytes", "NameKeys are compared byte for byte: no collation, no padding, no case folding", 0, roleNamesAreBytes},
	}
}

func (p *probe) roles(q users.RoleQuery) []users.RoleRecord {
	found, err := p.FindRoles(p.ctx, q)
	p.must("FindRoles", err)
	return found
}

func roleComesBack(p *probe) {
	a := p.app()
	for _, r := range []users.Role{
		{ID: p.id(), Name: wide(users.MaxRoleName), Description: wide(users.MaxRoleDescription), DateCreated: base, DateUpdated: base},
		{ID: "0190163d-8694-739b-aea5-966c26f8ad91", Name: " r ", DateCreated: times()[0], DateUpdated: times()[len(times())-1]},
	} {
		want := users.RoleRecord{Role: r, NameKey: r.Name}
		p.must("CreateRole", p.CreateRole(p.ctx, a.ID, want))
		for _, q := range []users.RoleQuery{{IDs: []string{r.ID}}, {NameKeys: []string{r.Name}}} {
			q.ApplicationID = a.ID
			p.same("roles", []users.RoleRecord{want}, p.roles(q))
		}
	}
}

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
		{r.ID, other.Name, []string{"id", "name"}},
	} {
		err := p.CreateRole(p.ctx, a.ID, users.RoleRecord{Role: users.Role{ID: c.id, Name: c.name, DateCreated: base, DateUpdated: base}, NameKey: c.name})
		p.conflicts("CreateRole", err, c.members...)
	}
	p.same("roles after the clash", []users.RoleRecord{{Role: r, NameKey: r.Name}, {Role: other, NameKey: other.Name}}, p.roles(users.RoleQuery{ApplicationID: a.ID}))
}

func roleApplicationUnknown(p *probe) {
	nowhere := p.id()
	err := p.CreateRole(p.ctx, nowhere, users.RoleRecord{Role: users.Role{ID: p.id(), Name: "r", DateCreated: base, DateUpdated: base}, NameKey: "r"})
	p.is("CreateRole", err, users.ErrUnknownApplication)
	for _, q := range []users.RoleQuery{{}, {NameKeys: []string{"r"}}} {
		q.ApplicationID = nowhere
		if got := p.roles(q); len(got) != 0 {
			p.errorf("FindRoles of an unknown application: got %d, want none", len(got))
		}
	}
}

func rolesByAnyKey(p *probe) {
	a := p.app()
	var all []users.Role
	for _, name := range []string{"d", "c", "b", "a"} {
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
		// A page is for listings: it must not cut a look-up.
		q := users.RoleQuery{ApplicationID: a.ID, IDs: c.ids, NameKeys: c.names, Page: users.Page{After: all[3].ID, Limit: 1}}
		p.sameStrings("FindRoles by keys", roleIDs(p.roles(q)), c.want)
	}
}

func rolesListed(p *probe) {
	a := p.app()
	var want []string
	for range 25 {
		id := p.id()
		want = append(want, id)
	}
	for _, i := range []int{7, 3, 24, 0} {
		want[0], want[i] = want[i], want[0] // not in the order of their ids
	}
	for i, id := range want {
		name := string(rune('z' - i))
		p.must("CreateRole", p.CreateRole(p.ctx, a.ID, users.RoleRecord{Role: users.Role{ID: id, Name: name, DateCreated: base, DateUpdated: base}, NameKey: name}))
	}
	slices.Sort(want)
	p.sameStrings("all roles", roleIDs(p.roles(users.RoleQuery{ApplicationID: a.ID})), want)
	page := users.Page{Limit: 10}
	for _, w := range [][]string{want[:10], want[10:20], want[20:], {}} {
		got := roleIDs(p.roles(users.RoleQuery{ApplicationID: a.ID, Page: page}))
		p.sameStrings("a page of roles after "+page.After, got, w)
		if len(w) > 0 {
			page.After = w[len(w)-1]
		}
	}
	p.sameStrings("the rest of the roles", roleIDs(p.roles(users.RoleQuery{ApplicationID: a.ID, Page: users.Page{After: want[20]}})), want[21:])
}

func rolesBelongToOneApplication(p *probe) {
	a, b := p.app(), p.app()
	r := p.role(a, "editor")
	twin := users.RoleRecord{Role: r, NameKey: r.Name}
	twin.Description = "of another application"
	if err := p.CreateRole(p.ctx, b.ID, twin); err != nil {
		p.fatalf("CreateRole with id and name of another application's role: got error %v, want none", err)
	}
	c := p.app()
	for _, q := range []users.RoleQuery{{}, {IDs: []string{r.ID}}, {NameKeys: []string{r.Name}}} {
		for app, want := range map[string][]users.RoleRecord{a.ID: {{Role: r, NameKey: r.Name}}, b.ID: {twin}, c.ID: {}} {
			q.ApplicationID = app
			p.same("roles", want, p.roles(q))
		}
	}
}

func roleNamesAreBytes(p *probe) {
	a := p.app()
	for _, name := range lookalikes() {
		r := users.Role{ID: p.id(), Name: name, DateCreated: base, DateUpdated: base}
		if err := p.CreateRole(p.ctx, a.ID, users.RoleRecord{Role: r, NameKey: name}); err != nil {
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
