package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/gousers/users"
)

func roleEditCases() []testCase {
	const taken = "a NameKey that another role of the application has is a *ConflictError with the member " +
		`"name", and nothing changes`
	const gone = "DeleteRole deletes the role: from then on nobody has it"
	return []testCase{
		{"RoleUpdateChangesWhatItNames", withRoleEditor, roleUpdateChangesWhatItNames,
			"RoleUpdate changes one role; nil members stay as they are"},
		{"RoleRename", withRoleEditor, roleRename,
			"UpdateRole changes what u names"},
		{"RoleRenameTaken", withRoleEditor, roleRenameTaken, taken},
		{"RoleUpdateOfNone", withRoleEditor, roleUpdateOfNone,
			"UpdateRole changes what u names. A role that does not exist is ErrNotFound"},
		{"RacingRoleRenames", withRoleEditor, racingRoleRenames, taken},
		{"RoleDeleted", withRoleEditor, roleDeleted, gone},
		{"RoleDeletedKeepsVersions", withRoleEditor, roleDeletedKeepsVersions,
			"The versions of users do not change"},
		{"RoleDeletedOfNone", withRoleEditor, roleDeletedOfNone,
			"ids of deleted roles are not used again. A role that does not exist is ErrNotFound"},
		{"RacingRoleDeletions", withRoleEditor, racingRoleDeletions, gone},
		{"PurgeTakesWhatRolesLeft", withRoleEditor, purgeTakesWhatRolesLeft,
			"Purge deletes up to limit of what is of no more use … and in a RoleEditor what deleted roles left"},
	}
}

// updateRole changes r and returns it as it must be stored then.
func (p *probe) updateRole(app users.Application, r users.RoleRecord, u users.RoleUpdate) users.RoleRecord {
	u.ApplicationID, u.ID, u.DateUpdated = app.ID, r.ID, r.DateUpdated.Add(time.Microsecond)
	p.must("UpdateRole", p.roleEditor.UpdateRole(p.ctx, u))
	if u.Name != nil {
		r.Name, r.NameKey = u.Name.Name, u.Name.NameKey
	}
	if u.Description != nil {
		r.Description = *u.Description
	}
	r.DateUpdated = u.DateUpdated
	return r
}

func (p *probe) deleteRole(app users.Application, r users.Role) {
	p.must("DeleteRole", p.roleEditor.DeleteRole(p.ctx, app.ID, r.ID))
}

// roleUpdateChangesWhatItNames also changes nothing, and changes to what is there.
func roleUpdateChangesWhatItNames(p *probe) {
	a := p.app()
	other := users.RoleRecord{Role: p.role(a, "other"), NameKey: "other"}
	r := users.RoleRecord{Role: p.role(a, "r"), NameKey: "r"}
	long := wide(users.MaxRoleName)
	for _, u := range []users.RoleUpdate{
		{},
		{Description: new(wide(users.MaxRoleDescription))},
		{Name: &users.RoleName{Name: long, NameKey: long}},
		{Name: &users.RoleName{Name: long, NameKey: long}}, // to its own name
		{Name: &users.RoleName{Name: "R", NameKey: "r"}, Description: new("")},
		{Description: new("")},
	} {
		r = p.updateRole(a, r, u)
		p.wantEqual("roles", []users.RoleRecord{other, r}, p.listRoles(a.ID, users.Page{}))
	}
}

// roleRename is seen by who has the role, and frees the name.
func roleRename(p *probe) {
	a := p.app()
	r := p.role(a, "former")
	n := p.create(p.full(a, r))
	renamed := p.updateRole(a, users.RoleRecord{Role: r, NameKey: "former"}, users.RoleUpdate{
		Name: &users.RoleName{Name: "later", NameKey: "later"},
	})

	want := n.UserRecord
	want.Roles = []users.Role{renamed.Role}
	p.wantUser("who has the role", want)
	for name, found := range map[string][]string{"later": {r.ID}, "former": {}} {
		q := users.RoleQuery{ApplicationID: a.ID, NameKeys: []string{name}}
		p.wantStrings("FindRoles "+name, roleIDs(p.roles(q)), found)
	}
	again := p.role(a, "former")
	p.wantEqual("roles", []users.RoleRecord{renamed, {Role: again, NameKey: "former"}}, p.listRoles(a.ID, users.Page{}))
}

// roleRenameTaken leaves the description too. The name of another application's role is
// free.
func roleRenameTaken(p *probe) {
	a := p.app()
	r, other := p.role(a, "r"), p.role(a, "other")
	p.role(p.app(), "elsewhere")
	want := []users.RoleRecord{{Role: r, NameKey: "r"}, {Role: other, NameKey: "other"}}
	u := users.RoleUpdate{
		ApplicationID: a.ID, ID: r.ID, DateUpdated: base.Add(time.Hour),
		Name: &users.RoleName{Name: "Other", NameKey: "other"}, Description: new("late"),
	}
	p.wantConflict("UpdateRole", p.roleEditor.UpdateRole(p.ctx, u), "name")
	p.wantEqual("roles after the conflict", want, p.listRoles(a.ID, users.Page{}))

	want[0] = p.updateRole(a, want[0], users.RoleUpdate{Name: &users.RoleName{Name: "elsewhere", NameKey: "elsewhere"}})
	p.wantEqual("roles", want, p.listRoles(a.ID, users.Page{}))
}

// strangers are roles that do not exist, each with its application.
func (p *probe) strangers(a users.Application, r users.Role) map[string]users.RoleUpdate {
	return map[string]users.RoleUpdate{
		"no role":                         {ApplicationID: a.ID, ID: p.id()},
		"a role of another application":   {ApplicationID: p.app().ID, ID: r.ID},
		"a role of no application at all": {ApplicationID: p.id(), ID: r.ID},
	}
}

// roleUpdateOfNone makes no role either.
func roleUpdateOfNone(p *probe) {
	a := p.app()
	r := p.role(a, "r")
	for what, u := range p.strangers(a, r) {
		u.Name, u.DateUpdated = &users.RoleName{Name: "late", NameKey: "late"}, base
		p.wantErr("UpdateRole of "+what, p.roleEditor.UpdateRole(p.ctx, u), users.ErrNotFound)
		u.Name = &users.RoleName{Name: "r", NameKey: "r"} // which is taken
		p.wantErr("UpdateRole of "+what, p.roleEditor.UpdateRole(p.ctx, u), users.ErrNotFound)
	}
	p.wantEqual("roles", []users.RoleRecord{{Role: r, NameKey: "r"}}, p.listRoles(a.ID, users.Page{}))
}

// racingRoleRenames: names that are given later are as unique as those of new roles.
func racingRoleRenames(p *probe) {
	for range 5 {
		a := p.app()
		racing := make([]users.Role, racers)
		for i := range racing {
			racing[i] = p.role(a, fmt.Sprint("role ", i))
		}
		errs := p.race(func(i int) error {
			return p.roleEditor.UpdateRole(p.ctx, users.RoleUpdate{
				ApplicationID: a.ID, ID: racing[i].ID, DateUpdated: base,
				Name: &users.RoleName{Name: "the name", NameKey: "the name"},
			})
		})
		winner := p.wantOneWinner("UpdateRole", errs, isConflict("name"))
		named := p.roles(users.RoleQuery{ApplicationID: a.ID, NameKeys: []string{"the name"}})
		p.wantStrings("FindRoles after the race", roleIDs(named), []string{racing[winner].ID})
	}
}

// roleDeleted takes the role from everybody and leaves them the others. Its name is
// free, and whoever had the former role does not have the new one.
func roleDeleted(p *probe) {
	a, b := p.app(), p.app()
	r, kept := p.role(a, "r"), p.role(a, "kept")
	p.must("CreateRole", p.CreateRole(p.ctx, b.ID, users.RoleRecord{Role: r, NameKey: "r"}))
	one, both := p.user(a), p.full(a, r, kept)
	one.Roles = []users.Role{r}
	p.create(one)
	p.create(both)
	foreign := p.user(b)
	foreign.Roles = []users.Role{r}
	p.create(foreign)

	p.deleteRole(a, r)
	wantOne, wantBoth := one.UserRecord, both.UserRecord
	wantOne.Roles, wantBoth.Roles = nil, []users.Role{kept}
	want := func(when string) {
		p.wantUser("who had the role alone, "+when, wantOne)
		p.wantUser("who had another too, "+when, wantBoth)
		p.wantStored(foreign)
	}
	want("at once")
	for what, got := range map[string][]users.RoleRecord{
		"by id":   p.roles(users.RoleQuery{ApplicationID: a.ID, IDs: []string{r.ID}}),
		"by name": p.roles(users.RoleQuery{ApplicationID: a.ID, NameKeys: []string{"r"}}),
	} {
		if len(got) != 0 {
			p.errorf("FindRoles of the deleted role %s: got %d", what, len(got))
		}
	}
	p.wantEqual("roles", []users.RoleRecord{{Role: kept, NameKey: "kept"}}, p.listRoles(a.ID, users.Page{}))

	again := p.role(a, "r")
	want("after another has its name")
	late := p.create(p.full(a, again, kept))
	late.Roles = []users.Role{kept, again}
	p.wantStored(late)
	nobody := p.user(a)
	nobody.Roles = []users.Role{r}
	p.wantErr("CreateUser with the deleted role", p.CreateUser(p.ctx, nobody), users.ErrNotFound)
}

// roleDeletedKeepsVersions: who has read a user can still change it, and gives it the
// roles that it has by now.
func roleDeletedKeepsVersions(p *probe) {
	a := p.app()
	r := p.role(a, "r")
	n := p.create(p.full(a, r))
	p.deleteRole(a, r)
	u := n.UserRecord
	u.Roles = nil
	p.wantUser("user", u)
	if p.editor != nil {
		u = p.edit(u, func(e *users.UserEdit) { e.Name = "another" })
		p.wantUser("user after an edit", u)
	}
	err := p.SetUserStatus(p.ctx, users.StatusUpdate{
		ApplicationID: a.ID, ID: n.ID, IfVersion: u.Version, IsLockedOut: new(true), DateUpdated: u.DateUpdated,
	})
	p.must("SetUserStatus from the version before", err)
}

// roleDeletedOfNone deletes nothing else, and nothing twice.
func roleDeletedOfNone(p *probe) {
	a := p.app()
	r := p.role(a, "r")
	for what, u := range p.strangers(a, r) {
		p.wantErr("DeleteRole of "+what, p.roleEditor.DeleteRole(p.ctx, u.ApplicationID, u.ID), users.ErrNotFound)
	}
	p.wantEqual("roles", []users.RoleRecord{{Role: r, NameKey: "r"}}, p.listRoles(a.ID, users.Page{}))
	p.deleteRole(a, r)
	p.wantErr("DeleteRole once more", p.roleEditor.DeleteRole(p.ctx, a.ID, r.ID), users.ErrNotFound)
}

// racingRoleDeletions deletes a role while users are created with it and others get it.
// Each of them is there as a whole, without the role, or not at all.
func racingRoleDeletions(p *probe) {
	a := p.app()
	kept := p.role(a, "kept")
	for range 10 {
		r := p.role(a, "r")
		fresh, old := make([]*users.NewUser, racers), make([]*users.NewUser, racers)
		for i := range racers {
			fresh[i], old[i] = p.full(a, kept, r), p.create(p.user(a))
		}
		errs := p.race(func(i int) error {
			switch {
			case i == 0:
				return p.roleEditor.DeleteRole(p.ctx, a.ID, r.ID)
			case i%2 == 0 && p.editor != nil:
				return p.editor.EditUser(p.ctx, editOf(old[i].UserRecord, func(e *users.UserEdit) { e.Roles = []users.Role{kept, r} }))
			}
			return p.CreateUser(p.ctx, fresh[i])
		})
		p.must("DeleteRole", errs[0])

		for i, err := range errs[1:] {
			edited, created := old[i+1], fresh[i+1]
			if (i+1)%2 == 0 && p.editor != nil {
				if err != nil {
					p.wantErr("EditUser", err, users.ErrUnknownRole)
				} else {
					edited.Roles, edited.Version = []users.Role{kept}, 2
				}
				p.wantUser("a user who got the role", edited.UserRecord)
			} else if err != nil {
				p.wantErr("CreateUser", err, users.ErrNotFound)
				p.wantAbsent(created)
			} else {
				created.Roles = []users.Role{kept}
				p.wantUser("a new user", created.UserRecord)
			}
		}
	}
}

// purgeTakesWhatRolesLeft: a store that leaves nothing behind has nothing to purge, and
// what counts as one is the store's own affair. It stays within the limit, comes to an
// end, tells the truth when it does nothing, and takes nobody another role.
func purgeTakesWhatRolesLeft(p *probe) {
	a := p.app()
	r, kept := p.role(a, "r"), p.role(a, "kept")
	var all []users.UserRecord
	for range 9 {
		all = append(all, p.create(p.full(a, r, kept)).UserRecord)
	}
	if n, err := p.Purge(p.ctx, 100); n != 0 || err != nil {
		p.errorf("Purge while the role is there: got %d deleted and error %v, want none", n, err)
	}
	p.deleteRole(a, r)
	for _, none := range []int{0, -1} {
		if n, err := p.Purge(p.ctx, none); n != 0 || err != nil {
			p.errorf("Purge with limit %d: got %d deleted and error %v, want none", none, n, err)
		}
	}

	const limit, calls = 4, 100
	for call := 0; ; call++ {
		n, err := p.Purge(p.ctx, limit)
		p.must("Purge", err)
		if n < 0 || n > limit {
			p.errorf("Purge with limit %d: got %d deleted", limit, n)
		}
		for _, u := range all {
			u.Roles = []users.Role{kept}
			p.wantUser("who had the role", u)
		}
		if n == 0 {
			break
		}
		if call == calls {
			p.fatalf("Purge: still not done after %d calls for one role that nine users had", calls)
		}
	}
	p.wantStrings("roles", roleIDs(p.listRoles(a.ID, users.Page{})), []string{kept.ID})

	dead := p.user(a)
	dead.Idempotency = p.record(dead, "dead")
	dead.Idempotency.Lifetime = 0
	dead.Roles = []users.Role{kept}
	p.create(dead)
	p.wantPurged([]purge{{100, 1}, {100, 0}})
	if slices.Contains(roleIDs(p.roles(users.RoleQuery{ApplicationID: a.ID, IDs: []string{r.ID}})), r.ID) {
		p.errorf("the deleted role is there after Purge")
	}
}
