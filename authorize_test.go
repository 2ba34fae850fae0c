package users_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

// The callers of the tables below, by the head of their column.
var callers = map[string]*users.Caller{
	"host":    nil, // no Caller in the context
	"zero":    {},
	"nothing": {ID: "nothing", APIKey: apiKey},
	"limited": &limited,
	"admin":   &admin,
	"manager": &manager,
	"blind":   {ID: "blind", APIKey: apiKey, Permissions: manager.Permissions &^ users.ReadUsers},
	"other":   {ID: "admin", APIKey: "other", Permissions: users.AllPermissions},
	"case":    {ID: "admin", APIKey: "ACME", Permissions: users.AllPermissions}, // apiKeys are compared byte for byte
}

// manager may do everything to users who may no more than others.
var manager = users.Caller{ID: "manager", APIKey: apiKey, Permissions: users.CreateUsers | users.ReadUsers | users.SetStatus |
	users.IssueTokens | users.EditUsers | users.DeleteUsers | users.SetPasswords}

func asCaller(ctx context.Context, name string) context.Context {
	c, ok := callers[name]
	if !ok {
		panic("no caller " + name)
	}
	if c == nil {
		return ctx
	}
	return as(ctx, *c)
}

// world is an application with a role and users made by several callers, and
// what can be done to it.
type world struct {
	svc                *users.Service
	role               users.Role
	own, hosts, admins *users.User // made by limited, the host, admin

	// named are users by name: "own", "editor" who has the role, "owner" who has access
	// to the dashboard.
	named map[string]*users.User
}

func newWorld(t *testing.T, o users.Options, a users.Application) *world {
	t.Helper()
	w := &world{svc: newService(t, o)}
	if a.APIKey != "" {
		addApplication(t, w.svc, a)
	}
	addApplication(t, w.svc, users.Application{APIKey: "other"})
	system := as(t.Context(), admin)
	role, err := w.svc.CreateRole(system, apiKey, users.Role{Name: "editor"})
	if err != nil {
		t.Fatal(err)
	}
	w.role = *role
	w.own = addUser(t, as(t.Context(), limited), w.svc, "own")
	w.admins = addUser(t, system, w.svc, "admins")
	w.named = map[string]*users.User{"own": w.own}
	for _, p := range []users.CreateUserParams{params("editor"), params("owner")} {
		if p.UserName == "editor" {
			p.Roles = roleRefs("editor")
		}
		p.AllowDashboardAccess = p.UserName == "owner"
		if w.named[p.UserName], err = w.svc.Create(system, apiKey, p); err != nil {
			t.Fatal(err)
		}
	}
	if !o.RequireCaller {
		w.hosts = addUser(t, t.Context(), w.svc, "hosts")
	}
	return w
}

const unknownID = "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"

// operations are all that a Service does for a caller.
func (w *world) operations() map[string]func(ctx context.Context) error {
	svc := w.svc
	ops := map[string]func(ctx context.Context) error{
		"Create":      func(ctx context.Context) error { _, err := svc.Create(ctx, apiKey, params("new")); return err },
		"CheckCreate": func(ctx context.Context) error { return svc.CheckCreate(ctx, apiKey, params("new")) },
		"Prepare":     func(ctx context.Context) error { _, err := svc.Prepare(ctx, apiKey, params("new")); return err },
		"User/own":    func(ctx context.Context) error { _, err := svc.User(ctx, apiKey, w.own.ID); return err },
		"User/admins": func(ctx context.Context) error { _, err := svc.User(ctx, apiKey, w.admins.ID); return err },
		"User/absent": func(ctx context.Context) error { _, err := svc.User(ctx, apiKey, unknownID); return err },
		"User/name":   func(ctx context.Context) error { _, err := svc.User(ctx, apiKey, "own"); return err },
		"User/noname": func(ctx context.Context) error { _, err := svc.User(ctx, apiKey, "nobody"); return err },
		"CreateRole": func(ctx context.Context) error {
			_, err := svc.CreateRole(ctx, apiKey, users.Role{Name: "r"})
			return err
		},
		"Role": func(ctx context.Context) error {
			_, err := svc.Role(ctx, apiKey, users.RoleRef{Name: "editor"})
			return err
		},
		"Role/id": func(ctx context.Context) error {
			_, err := svc.Role(ctx, apiKey, users.RoleRef{ID: w.role.ID})
			return err
		},
		"Role/absent": func(ctx context.Context) error { _, err := svc.Role(ctx, apiKey, users.RoleRef{Name: "x"}); return err },
		"Roles":       func(ctx context.Context) error { _, err := svc.Roles(ctx, apiKey, users.Page{}); return err },
		"Application": func(ctx context.Context) error { _, err := svc.Application(ctx, apiKey); return err },
		"CreateApplication": func(ctx context.Context) error {
			_, err := svc.CreateApplication(ctx, users.Application{APIKey: "new"})
			return err
		},
		"Notifications": func(ctx context.Context) error {
			_, err := svc.Notifications(ctx, apiKey, users.NotificationQuery{})
			return err
		},
		"RetryNotification": func(ctx context.Context) error { return svc.RetryNotification(ctx, apiKey, unknownID) },
		"Purge":             func(ctx context.Context) error { _, err := svc.Purge(ctx, 10); return err },
		"FindUsers": func(ctx context.Context) error {
			_, err := svc.FindUsers(ctx, apiKey, users.FindUsersParams{})
			return err
		},
		"EachUser": func(ctx context.Context) error {
			for _, err := range svc.EachUser(ctx, apiKey, users.UserFilter{}) {
				return err
			}
			return nil
		},
		"Exists":        func(ctx context.Context) error { return exists(svc.Exists(ctx, apiKey, "own")) },
		"Exists/absent": func(ctx context.Context) error { return exists(svc.Exists(ctx, apiKey, "nobody")) },
		"FindRoles": func(ctx context.Context) error {
			_, err := svc.FindRoles(ctx, apiKey, users.FindRolesParams{})
			return err
		},
		"UpdateRole": func(ctx context.Context) error {
			_, err := svc.UpdateRole(ctx, apiKey, w.role.ID, users.RoleChange{Name: ptr("new")})
			return err
		},
		"UpdateRole/absent": func(ctx context.Context) error {
			_, err := svc.UpdateRole(ctx, apiKey, unknownID, users.RoleChange{})
			return err
		},
		"DeleteRole":        func(ctx context.Context) error { return svc.DeleteRole(ctx, apiKey, w.role.ID) },
		"DeleteRole/absent": func(ctx context.Context) error { return svc.DeleteRole(ctx, apiKey, unknownID) },
		"Applications": func(ctx context.Context) error {
			_, err := svc.Applications(ctx, users.Page{})
			return err
		},
		"UpdateApplication": func(ctx context.Context) error {
			_, err := svc.UpdateApplication(ctx, apiKey, users.ApplicationChange{Name: ptr("new")})
			return err
		},
	}
	// What is done to a user, by id, by name and by address: to one without roles, to
	// those that may more than others, and to nobody.
	for target, name := range map[string]string{"plain": "own", "role": "editor", "dashboard": "owner", "absent": "nobody"} {
		refs := []string{name, name + "@example.com", unknownID}
		if u := w.named[name]; u != nil {
			refs[2] = u.ID
		}
		for does, do := range w.onUsers() {
			ops[does+"/"+target] = func(ctx context.Context) (err error) {
				refs := refs
				// Who may not read users names them by id alone.
				if c, ok := users.CallerFrom(ctx); ok && c.APIKey == apiKey && c.Permissions&users.ReadUsers == 0 {
					for _, ref := range refs[:2] {
						if err := do(ctx, ref); class(err) != "forbidden" {
							return fmt.Errorf("as %s: %w", ref, err)
						}
					}
					refs = refs[2:]
				}
				for i, ref := range refs {
					if i > 0 && class(err) == "ok" { // done by now
						break
					}
					if next := do(ctx, ref); i > 0 && class(next) != class(err) {
						return fmt.Errorf("%w, but as %s: %w", err, ref, next)
					} else {
						err = next
					}
				}
				return err
			}
		}
	}
	return ops
}

func exists(there bool, err error) error {
	if err == nil && !there {
		return users.ErrNotFound
	}
	return err
}

// onUsers are what a Service does to a user that a caller must govern.
func (w *world) onUsers() map[string]func(ctx context.Context, ref string) error {
	svc := w.svc
	return map[string]func(ctx context.Context, ref string) error{
		"SetStatus": func(ctx context.Context, ref string) error {
			_, err := svc.SetStatus(ctx, apiKey, ref, users.Status{IsApproved: ptr(true)})
			return err
		},
		"UpdateUser": func(ctx context.Context, ref string) error {
			_, err := svc.UpdateUser(ctx, apiKey, ref, users.UserChange{Email: ptr("new@example.com")})
			return err
		},
		"UpdateUser,whole": func(ctx context.Context, ref string) error { // sent back as it is
			c := users.UserChange{UserName: &ref, IsApproved: ptr(true), Roles: ptr([]users.RoleRef{})}
			if u := w.named[ref]; u != nil {
				c.Roles = ptr(make([]users.RoleRef, len(u.Roles)))
				for i, r := range u.Roles {
					(*c.Roles)[i] = users.RoleRef{ID: r.ID, Name: r.Name}
				}
				c.AllowDashboardAccess = &u.AllowDashboardAccess
			} else {
				c.UserName, c.Roles = nil, nil
			}
			_, err := svc.UpdateUser(ctx, apiKey, ref, c)
			return err
		},
		"DeleteUser": func(ctx context.Context, ref string) error { return svc.DeleteUser(ctx, apiKey, ref, 0) },
		"ChangePassword": func(ctx context.Context, ref string) error {
			return svc.ChangePassword(ctx, apiKey, ref, users.ChangePasswordParams{NewPassword: password.New(newSecret)})
		},
		"IssueSetPasswordToken": func(ctx context.Context, ref string) error {
			_, err := svc.IssueSetPasswordToken(ctx, apiKey, ref)
			return err
		},
	}
}

var answers = map[string]string{"ok": "ok", "403": "forbidden", "401": "unauthenticated", "404": "not found"}

// checkTable runs a table of expected answers: a head of callers, then a line
// for each operation. Every operation must stand in it.
func checkTable(t *testing.T, table string, o users.Options, a users.Application) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(table), "\n")
	head := words(lines[0])
	var named []string
	for _, line := range lines[1:] {
		cells := words(line)
		named = append(named, cells[0])
		for i, who := range head {
			t.Run(cells[0]+"/as "+who, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, o, a)
				op, ok := w.operations()[cells[0]]
				if !ok {
					t.Fatal("no such operation")
				}
				if got, want := class(op(asCaller(t.Context(), who))), answers[cells[i+1]]; got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			})
		}
	}
	for op := range (&world{}).operations() {
		if !slices.Contains(named, op) {
			t.Errorf("%s is not in the table", op)
		}
	}
}

func TestOperationsAreAllowedAsTheTableSays(t *testing.T) {
	t.Parallel()
	checkTable(t, `
	                                host zero nothing limited manager blind admin other case
	Create                          ok   401  403     ok      ok      ok    ok    401   401
	CheckCreate                     ok   401  403     ok      ok      ok    ok    401   401
	Prepare                         ok   401  403     ok      ok      ok    ok    401   401
	User/own                        ok   401  403     ok      ok      403   ok    401   401
	User/admins                     ok   401  403     403     ok      403   ok    401   401
	User/absent                     404  401  403     403     404     403   404   401   401
	User/name                       ok   401  403     403     ok      403   ok    401   401
	User/noname                     404  401  403     403     404     403   404   401   401
	FindUsers                       ok   401  403     403     ok      403   ok    401   401
	EachUser                        ok   401  403     403     ok      403   ok    401   401
	Exists                          ok   401  403     403     ok      403   ok    401   401
	Exists/absent                   404  401  403     403     404     403   404   401   401
	SetStatus/plain                 ok   401  403     403     ok      ok    ok    401   401
	SetStatus/role                  ok   401  403     403     403     403   ok    401   401
	SetStatus/dashboard             ok   401  403     403     403     403   ok    401   401
	SetStatus/absent                404  401  403     403     404     403   404   401   401
	UpdateUser/plain                ok   401  403     403     ok      ok    ok    401   401
	UpdateUser/role                 ok   401  403     403     403     403   ok    401   401
	UpdateUser/dashboard            ok   401  403     403     403     403   ok    401   401
	UpdateUser/absent               404  401  403     403     404     403   404   401   401
	UpdateUser,whole/plain          ok   401  403     403     ok      ok    ok    401   401
	UpdateUser,whole/role           ok   401  403     403     ok      403   ok    401   401
	UpdateUser,whole/dashboard      ok   401  403     403     ok      403   ok    401   401
	UpdateUser,whole/absent         404  401  403     403     404     403   404   401   401
	DeleteUser/plain                ok   401  403     403     ok      ok    ok    401   401
	DeleteUser/role                 ok   401  403     403     403     403   ok    401   401
	DeleteUser/dashboard            ok   401  403     403     403     403   ok    401   401
	DeleteUser/absent               404  401  403     403     404     403   404   401   401
	ChangePassword/plain            ok   401  403     403     ok      ok    ok    401   401
	ChangePassword/role             ok   401  403     403     403     403   ok    401   401
	ChangePassword/dashboard        ok   401  403     403     403     403   ok    401   401
	ChangePassword/absent           404  401  403     403     404     403   404   401   401
	IssueSetPasswordToken/plain     ok   401  403     403     ok      ok    ok    401   401
	IssueSetPasswordToken/role      ok   401  403     403     403     403   ok    401   401
	IssueSetPasswordToken/dashboard ok   401  403     403     403     403   ok    401   401
	IssueSetPasswordToken/absent    404  401  403     403     404     403   404   401   401
	CreateRole                      ok   401  403     403     403     403   ok    401   401
	Role                            ok   401  403     403     ok      403   ok    401   401
	Role/id                         ok   401  403     403     ok      403   ok    401   401
	Role/absent                     404  401  403     403     404     403   404   401   401
	Roles                           ok   401  403     403     ok      403   ok    401   401
	FindRoles                       ok   401  403     403     ok      403   ok    401   401
	UpdateRole                      ok   401  403     403     403     403   ok    401   401
	UpdateRole/absent               404  401  403     403     403     403   404   401   401
	DeleteRole                      ok   401  403     403     403     403   ok    401   401
	DeleteRole/absent               404  401  403     403     403     403   404   401   401
	Application                     ok   401  ok      ok      ok      ok    ok    401   401
	CreateApplication               ok   403  403     403     403     403   403   403   403
	Applications                    ok   403  403     403     403     403   403   403   403
	UpdateApplication               ok   403  403     403     403     403   403   403   403
	Notifications                   ok   401  403     403     403     403   ok    401   401
	RetryNotification               404  401  403     403     403     403   404   401   401
	Purge                           ok   403  403     403     403     403   403   403   403
	`, users.Options{}, users.Application{})
}

// With RequireCaller a forgotten Caller is no longer the host. What
// concerns applications themselves and purging are no caller's.
func TestRequireCallerRefusesContextsWithoutCaller(t *testing.T) {
	t.Parallel()
	checkTable(t, `
	                                host admin limited
	Create                          401  ok    ok
	CheckCreate                     401  ok    ok
	Prepare                         401  ok    ok
	User/own                        401  ok    ok
	User/admins                     401  ok    403
	User/absent                     401  404   403
	User/name                       401  ok    403
	User/noname                     401  404   403
	FindUsers                       401  ok    403
	EachUser                        401  ok    403
	Exists                          401  ok    403
	Exists/absent                   401  404   403
	SetStatus/plain                 401  ok    403
	SetStatus/role                  401  ok    403
	SetStatus/dashboard             401  ok    403
	SetStatus/absent                401  404   403
	UpdateUser/plain                401  ok    403
	UpdateUser/role                 401  ok    403
	UpdateUser/dashboard            401  ok    403
	UpdateUser/absent               401  404   403
	UpdateUser,whole/plain          401  ok    403
	UpdateUser,whole/role           401  ok    403
	UpdateUser,whole/dashboard      401  ok    403
	UpdateUser,whole/absent         401  404   403
	DeleteUser/plain                401  ok    403
	DeleteUser/role                 401  ok    403
	DeleteUser/dashboard            401  ok    403
	DeleteUser/absent               401  404   403
	ChangePassword/plain            401  ok    403
	ChangePassword/role             401  ok    403
	ChangePassword/dashboard        401  ok    403
	ChangePassword/absent           401  404   403
	IssueSetPasswordToken/plain     401  ok    403
	IssueSetPasswordToken/role      401  ok    403
	IssueSetPasswordToken/dashboard 401  ok    403
	IssueSetPasswordToken/absent    401  404   403
	CreateRole                      401  ok    403
	Role                            401  ok    403
	Role/id                         401  ok    403
	Role/absent                     401  404   403
	Roles                           401  ok    403
	FindRoles                       401  ok    403
	UpdateRole                      401  ok    403
	UpdateRole/absent               401  404   403
	DeleteRole                      401  ok    403
	DeleteRole/absent               401  404   403
	Application                     401  ok    ok
	CreateApplication               ok   403   403
	Applications                    ok   403   403
	UpdateApplication               ok   403   403
	Notifications                   401  ok    403
	RetryNotification               401  404   403
	Purge                           ok   403   403
	`, users.Options{RequireCaller: true}, users.Application{})
}

func TestDisabledApplicationRefusesEverythingButReadingIt(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{})
	addApplication(t, svc, users.Application{APIKey: "closed", Disabled: true})
	for who, ctx := range map[string]context.Context{
		"host":  t.Context(),
		"admin": as(t.Context(), users.Caller{ID: "admin", APIKey: "closed", Permissions: users.AllPermissions}),
	} {
		_, create := svc.Create(ctx, "closed", params("new"))
		_, prepare := svc.Prepare(ctx, "closed", params("new"))
		_, user := svc.User(ctx, "closed", unknownID)
		_, status := svc.SetStatus(ctx, "closed", unknownID, users.Status{IsApproved: ptr(true)})
		_, createRole := svc.CreateRole(ctx, "closed", users.Role{Name: "r"})
		_, role := svc.Role(ctx, "closed", users.RoleRef{Name: "r"})
		_, roles := svc.Roles(ctx, "closed", users.Page{})
		_, token := svc.IssueSetPasswordToken(ctx, "closed", unknownID)
		_, find := svc.FindUsers(ctx, "closed", users.FindUsersParams{})
		_, exists := svc.Exists(ctx, "closed", "nobody")
		_, update := svc.UpdateUser(ctx, "closed", "nobody", users.UserChange{})
		_, findRoles := svc.FindRoles(ctx, "closed", users.FindRolesParams{})
		_, updateRole := svc.UpdateRole(ctx, "closed", unknownID, users.RoleChange{})
		_, waiting := svc.Notifications(ctx, "closed", users.NotificationQuery{})
		for op, err := range map[string]error{
			"Create": create, "CheckCreate": svc.CheckCreate(ctx, "closed", params("new")), "Prepare": prepare,
			"User": user, "SetStatus": status, "CreateRole": createRole, "Role": role, "Roles": roles,
			"IssueSetPasswordToken": token, "Notifications": waiting,
			"RetryNotification": svc.RetryNotification(ctx, "closed", unknownID),
			"FindUsers":         find, "Exists": exists, "UpdateUser": update, "FindRoles": findRoles, "UpdateRole": updateRole,
			"DeleteUser": svc.DeleteUser(ctx, "closed", "nobody", 0), "DeleteRole": svc.DeleteRole(ctx, "closed", unknownID),
			"ChangePassword": svc.ChangePassword(ctx, "closed", "nobody", users.ChangePasswordParams{}),
		} {
			equal(t, op+" as "+who, class(err), "forbidden")
		}
		app, err := svc.Application(ctx, "closed")
		if err != nil || !app.Disabled {
			t.Errorf("Application as %s: got %v, %v, want it and Disabled", who, app, err)
		}
	}
}

// Each permission opens the operations that its comment names, and no others.
func TestEachPermissionOpensWhatItNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		allow users.Permissions
		grant []string
		opens string
	}{
		{users.CreateUsers, nil, "Create CheckCreate Prepare"},
		{users.ReadUsers, nil, `User/own User/admins User/absent User/name User/noname FindUsers EachUser Exists Exists/absent
			UpdateUser,whole/plain UpdateUser,whole/role UpdateUser,whole/dashboard UpdateUser,whole/absent UpdateUser/absent
			Role Role/id Role/absent Roles FindRoles`},
		{users.ManageRoles, nil, `CreateRole Role Role/id Role/absent Roles FindRoles
			UpdateRole UpdateRole/absent DeleteRole DeleteRole/absent`},
		{users.AssignRoles, nil, "UpdateUser,whole/plain Role/absent Roles FindRoles"},
		{users.AssignRoles, []string{"editor"}, "UpdateUser,whole/plain UpdateUser,whole/role Role Role/id Role/absent Roles FindRoles"},
		{users.AssignAnyRole, nil, "UpdateUser,whole/plain UpdateUser,whole/role Role Role/id Role/absent Roles FindRoles"},
		{users.AssignAnyRole, []string{"viewer"}, "UpdateUser,whole/plain UpdateUser,whole/role Role Role/id Role/absent Roles FindRoles"},
		{users.SetStatus, nil, "SetStatus/plain UpdateUser,whole/plain"},
		{users.GrantDashboard, nil, "UpdateUser,whole/plain UpdateUser,whole/dashboard"},
		{users.ImportUsers, nil, ""},
		{users.IssueTokens, nil, "IssueSetPasswordToken/plain"},
		{users.ManageNotifications, nil, "Notifications RetryNotification"},
		{users.EditUsers, nil, "UpdateUser/plain UpdateUser,whole/plain"},
		{users.DeleteUsers, nil, "DeleteUser/plain"},
		{users.SetPasswords, nil, "ChangePassword/plain"},
	} {
		ctx := as(t.Context(), users.Caller{ID: "x", APIKey: apiKey, Permissions: c.allow, AssignableRoles: roleRefs(c.grant...)})
		opened := []string{}
		for name := range (&world{}).operations() {
			if name == "Application" { // open to all of the application
				continue
			}
			op := newWorld(t, users.Options{}, users.Application{}).operations()[name]
			if got := class(op(ctx)); got == "ok" || strings.HasSuffix(name, "absent") && got == "not found" ||
				(name == "User/noname" || name == "RetryNotification") && got == "not found" {
				opened = append(opened, name)
			} else if got != "forbidden" && got != "not found" {
				t.Errorf("%b, %s: got %s", c.allow, name, got)
			}
		}
		equal(t, "what "+strings.Join(c.grant, ",")+" opens", sorted(opened), append([]string{}, sorted(words(c.opens))...))
	}
}

func ptr[T any](v T) *T { return &v }

// privileged are the members that need a permission, at their three values. In
// an application that requires approval the default of isApproved is false.
var privileged = []struct {
	member   string
	approval bool
	need     users.Permissions
	grant    []string
	defaults []func(*users.CreateUserParams) // ask for what the caller would get anyway
	set      []func(*users.CreateUserParams)
}{
	{
		"allowDashboardAccess", false, users.GrantDashboard, nil,
		[]func(*users.CreateUserParams){func(p *users.CreateUserParams) { p.AllowDashboardAccess = false }},
		[]func(*users.CreateUserParams){func(p *users.CreateUserParams) { p.AllowDashboardAccess = true }},
	}, {
		"dashboardSettings", false, users.GrantDashboard, nil,
		[]func(*users.CreateUserParams){settings(``), settings(`null`), settings(`{}`), settings(" {\r\n\t} ")},
		[]func(*users.CreateUserParams){settings(`{"a":1}`), settings(`{"":{}}`)},
	}, {
		"creationDate", false, users.ImportUsers, nil,
		[]func(*users.CreateUserParams){func(p *users.CreateUserParams) { p.CreationDate = time.Time{} }},
		[]func(*users.CreateUserParams){
			func(p *users.CreateUserParams) { p.CreationDate = start },
			func(p *users.CreateUserParams) { p.CreationDate = time.Time{}.Add(time.Nanosecond) },
		},
	}, {
		"isApproved", false, users.SetStatus, nil,
		[]func(*users.CreateUserParams){func(p *users.CreateUserParams) { p.IsApproved = ptr(true) }},
		[]func(*users.CreateUserParams){func(p *users.CreateUserParams) { p.IsApproved = ptr(false) }},
	}, {
		"isApproved", true, users.SetStatus, nil,
		[]func(*users.CreateUserParams){func(p *users.CreateUserParams) { p.IsApproved = ptr(false) }},
		[]func(*users.CreateUserParams){func(p *users.CreateUserParams) { p.IsApproved = ptr(true) }},
	}, {
		"isLockedOut", false, users.SetStatus, nil,
		[]func(*users.CreateUserParams){func(p *users.CreateUserParams) { p.IsLockedOut = ptr(false) }},
		[]func(*users.CreateUserParams){func(p *users.CreateUserParams) { p.IsLockedOut = ptr(true) }},
	}, {
		"roles", false, users.AssignAnyRole, nil,
		[]func(*users.CreateUserParams){func(p *users.CreateUserParams) { p.Roles = []users.RoleRef{} }},
		[]func(*users.CreateUserParams){func(p *users.CreateUserParams) { p.Roles = []users.RoleRef{{Name: "editor"}} }},
	}, {
		"roles", false, users.AssignRoles, []string{"editor"},
		[]func(*users.CreateUserParams){func(p *users.CreateUserParams) { p.Roles = []users.RoleRef{} }},
		[]func(*users.CreateUserParams){func(p *users.CreateUserParams) { p.Roles = []users.RoleRef{{Name: "editor"}} }},
	}, {
		"id", false, users.ImportUsers, nil,
		[]func(*users.CreateUserParams){
			func(p *users.CreateUserParams) { p.ID = "00000000-0000-0000-0000-000000000000" },
			func(p *users.CreateUserParams) { p.ID = "00000000000000000000000000" },
		},
		[]func(*users.CreateUserParams){func(p *users.CreateUserParams) { p.ID = uuid(900) }},
	},
}

func settings(raw string) func(*users.CreateUserParams) {
	return func(p *users.CreateUserParams) { p.DashboardSettings = json.RawMessage(raw) }
}

func TestPrivilegedMembersNeedTheirPermission(t *testing.T) {
	t.Parallel()
	const everyRole = users.AssignRoles | users.AssignAnyRole
	for _, m := range privileged {
		key := apiKey
		if m.approval {
			key = "strict"
		}
		without := m.need
		if m.member == "roles" {
			without = everyRole
		}
		who := func(id string, allow users.Permissions) *users.Caller {
			return &users.Caller{ID: id, APIKey: key, Permissions: allow, AssignableRoles: roleRefs(m.grant...)}
		}
		for _, c := range []struct {
			name                 string
			caller               *users.Caller
			absent, deflt, asked string // the answers
		}{
			{"host", nil, "ok", "ok", "ok"},
			{"zero", &users.Caller{}, "unauthenticated", "unauthenticated", "unauthenticated"},
			{"nothing", who("n", 0), "forbidden", "forbidden", "forbidden"},
			{"the member alone", who("m", m.need), "forbidden", "forbidden", "forbidden"},
			{"limited", who("l", users.CreateUsers), "ok", "ok", "member"},
			{"all but the member", who("b", users.AllPermissions&^without), "ok", "ok", "member"},
			{"the member", who("m", users.CreateUsers|m.need), "ok", "ok", "ok"},
			{"admin", who("a", users.AllPermissions), "ok", "ok", "ok"},
			{"other", &users.Caller{ID: "o", APIKey: "other", Permissions: users.AllPermissions}, "unauthenticated", "unauthenticated", "unauthenticated"},
		} {
			ctx := t.Context()
			if c.caller != nil {
				ctx = as(ctx, *c.caller)
			}
			ask := func(value string, amend func(*users.CreateUserParams), want string) {
				svc := newService(t, users.Options{})
				addApplication(t, svc, users.Application{APIKey: "strict", RequireApproval: true})
				addRole(t, svc, "editor")
				p := params("new")
				amend(&p)
				_, prepared := svc.Prepare(ctx, key, p)
				checked := svc.CheckCreate(ctx, key, p)
				_, created := svc.Create(ctx, key, p)
				for op, err := range map[string]error{"Create": created, "CheckCreate": checked, "Prepare": prepared} {
					got := class(err)
					var forbidden *users.ForbiddenError
					if errors.As(err, &forbidden) && len(forbidden.Members) > 0 {
						got = "member"
						equal(t, m.member+" "+value+" as "+c.name, forbidden.Members, []string{m.member})
					}
					if got != want {
						t.Errorf("%s, %s %s, as %s: got %s (%v), want %s", op, m.member, value, c.name, got, err, want)
					}
				}
			}
			ask("absent", func(*users.CreateUserParams) {}, c.absent)
			for _, amend := range m.defaults {
				ask("default", amend, c.deflt)
			}
			for _, amend := range m.set {
				ask("set", amend, c.asked)
			}
		}
	}
}

func TestForbiddenNamesEveryMemberInContractOrder(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	svc := newServiceOn(t, store, users.Options{})
	p := params("new")
	for _, m := range privileged {
		if !m.approval {
			m.set[0](&p)
		}
	}
	_, err := svc.Create(as(t.Context(), limited), apiKey, p)
	var forbidden *users.ForbiddenError
	if !errors.As(err, &forbidden) {
		t.Fatalf("got %v, want a *ForbiddenError", err)
	}
	equal(t, "members", forbidden.Members, words("allowDashboardAccess dashboardSettings creationDate isApproved isLockedOut roles id"))
	equal(t, "text", err.Error(), "users: forbidden: no permission for: allowDashboardAccess, dashboardSettings, creationDate, isApproved, isLockedOut, roles, id")
	equal(t, "users written", count(t, store, "new"), 0)
}

// A caller whose grant is limited learns nothing of the roles outside of it:
// what exists there and what does not get the same answer, and without a look.
func TestGrantsAreJudgedWithoutTellingWhichRolesExist(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		allow users.Permissions
		grant []string
		table string
	}{
		{"any role", users.AssignAnyRole, nil, `
			name=editor ok      name=chief ok        name=ghost unknown   name=nowhere unknown
			id=editor   ok      id=chief   ok        id=nowhere unknown
			id=editor,name=editor ok   id=editor,name=chief unknown   id=chief,name=editor unknown   id=nowhere,name=editor unknown`},
		{"named roles", users.AssignRoles, []string{"editor", "ghost"}, `
			name=editor ok      name=chief forbidden name=ghost unknown   name=nowhere forbidden
			id=editor   ok      id=chief forbidden   id=nowhere forbidden
			id=editor,name=editor ok   id=editor,name=chief forbidden   id=chief,name=editor unknown   id=nowhere,name=editor unknown`},
		{"any role, and named ones", users.AssignRoles | users.AssignAnyRole, []string{"editor", "ghost"}, `
			name=editor ok      name=chief ok        name=ghost unknown   name=nowhere unknown
			id=editor   ok      id=chief   ok        id=nowhere unknown`},
		{"any role, named ones without their permission", users.AssignAnyRole, []string{"editor"}, `
			name=editor ok      name=chief ok        id=chief   ok        id=nowhere unknown`},
		{"named roles, none named", users.AssignRoles, nil, `
			name=editor forbidden  name=chief forbidden  name=ghost forbidden  name=nowhere forbidden
			id=editor forbidden    id=chief forbidden    id=nowhere forbidden  id=editor,name=editor forbidden`},
		{"names that no role can have", users.AssignRoles, []string{"", "\xff"}, `
			name=editor forbidden  id=editor forbidden    id=nowhere forbidden  id=editor,name=editor forbidden`},
		{"names without the permission", 0, []string{"editor"}, `
			name=editor forbidden  name=chief forbidden  id=editor forbidden   id=nowhere forbidden`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var seen log
			svc := newServiceOn(t, seen.on(memstore.New()), users.Options{})
			id := map[string]string{"nowhere": unknownID}
			for _, name := range []string{"editor", "chief"} {
				id[name] = addRole(t, svc, name).ID
			}
			ctx := as(t.Context(), users.Caller{ID: "x", APIKey: apiKey, Permissions: users.CreateUsers | c.allow, AssignableRoles: roleRefs(c.grant...)})
			cells := words(c.table)
			for i := 0; i < len(cells); i += 2 {
				var ref users.RoleRef
				for part := range strings.SplitSeq(cells[i], ",") {
					if name, ok := strings.CutPrefix(part, "id="); ok {
						ref.ID = id[name]
					} else {
						ref.Name = strings.TrimPrefix(part, "name=")
					}
				}
				p := params("new")
				p.Roles = []users.RoleRef{ref}
				seen.take()
				err := svc.CheckCreate(ctx, apiKey, p)
				got := class(err)
				if got == "invalid" {
					equal(t, cells[i], findings(t, err), []string{"/roles/0 unknown_role"})
					got = "unknown"
				}
				if got != cells[i+1] {
					t.Errorf("%s: got %s, want %s", cells[i], got, cells[i+1])
				}
				if got == "forbidden" {
					equal(t, cells[i]+": error", err.Error(), "users: forbidden: no permission for: roles")
				}
				// The store is asked for granted names alone.
				_, args := seen.take()
				for _, arg := range args {
					q, ok := arg.(users.RoleQuery)
					if !ok || c.allow&users.AssignAnyRole != 0 {
						continue
					}
					for _, key := range q.NameKeys {
						if !slices.Contains(c.grant, key) {
							t.Errorf("%s: the store was asked for the role %q outside of the grant", cells[i], key)
						}
					}
					if len(q.IDs) > 0 {
						t.Errorf("%s: the store was asked for ids", cells[i])
					}
				}
			}
		})
	}
}

// A grant by ids tells as little of other roles as one by names.
func TestRolesAssignableByIDAreLimitedToThatRole(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{})
	editor, chief := addRole(t, svc, "editor"), addRole(t, svc, "chief")
	for grant, refs := range map[string][]users.RoleRef{
		"id":          {{ID: editor.ID}},
		"id in lower": {{ID: strings.ToLower(editor.ID)}},
		"id and name": {{ID: editor.ID, Name: "editor"}},
		"with others": {{ID: unknownID}, {Name: "ghost"}, {ID: editor.ID}, {}, {ID: "no id"}},
	} {
		ctx := as(t.Context(), users.Caller{ID: "x", APIKey: apiKey, Permissions: users.CreateUsers | users.AssignRoles, AssignableRoles: refs})
		for _, c := range []struct {
			ref  users.RoleRef
			want string
		}{
			{users.RoleRef{ID: editor.ID}, "ok"},
			{users.RoleRef{Name: "editor"}, "ok"},
			{users.RoleRef{ID: editor.ID, Name: "editor"}, "ok"},
			{users.RoleRef{ID: chief.ID}, "forbidden"},
			{users.RoleRef{Name: "chief"}, "forbidden"},
			{users.RoleRef{Name: "nowhere"}, "forbidden"},
			{users.RoleRef{ID: editor.ID, Name: "chief"}, "invalid"}, // whether there is a chief or not
			{users.RoleRef{ID: editor.ID, Name: "nowhere"}, "invalid"},
			{users.RoleRef{ID: chief.ID, Name: "chief"}, "forbidden"},
		} {
			if grant == "id and name" && c.want == "invalid" {
				c.want = "forbidden" // the name is not of the grant
			}
			p := params("new")
			p.Roles = []users.RoleRef{c.ref}
			equal(t, fmt.Sprintf("%s: %+v", grant, c.ref), class(svc.CheckCreate(ctx, apiKey, p)), c.want)
		}
		list, err := svc.Roles(ctx, apiKey, users.Page{})
		if err != nil || len(list.Roles) != 1 || list.Roles[0] != editor {
			t.Errorf("%s: got the roles %v, %v, want the editor alone", grant, list, err)
		}
		equal(t, grant+": the role by id", class(ignore(svc.Role(ctx, apiKey, users.RoleRef{ID: chief.ID}))), "not found")
	}

	// Both must agree: a name that another role bears by now assigns nothing.
	ctx := as(t.Context(), users.Caller{ID: "x", APIKey: apiKey, Permissions: users.CreateUsers | users.AssignRoles,
		AssignableRoles: []users.RoleRef{{ID: editor.ID, Name: "chief"}}})
	for ref, want := range map[users.RoleRef]string{{ID: editor.ID}: "invalid", {ID: chief.ID}: "forbidden", {Name: "editor"}: "forbidden"} {
		p := params("new")
		p.Roles = []users.RoleRef{ref}
		equal(t, fmt.Sprintf("%+v", ref), class(svc.CheckCreate(ctx, apiKey, p)), want)
	}

	// What is assignable and does not exist is unknown, by its id as by its name.
	ctx = as(t.Context(), users.Caller{ID: "x", APIKey: apiKey, Permissions: users.CreateUsers | users.AssignRoles,
		AssignableRoles: []users.RoleRef{{ID: unknownID}, {Name: "ghost"}}})
	for _, ref := range []users.RoleRef{{ID: unknownID}, {Name: "ghost"}} {
		p := params("new")
		p.Roles = []users.RoleRef{ref}
		equal(t, fmt.Sprintf("%+v", ref), findings(t, svc.CheckCreate(ctx, apiKey, p)), []string{"/roles/0 unknown_role"})
	}
}

// renaming is a store whose roles have been renamed.
type renaming struct{ users.Store }

func (s renaming) FindRoles(ctx context.Context, q users.RoleQuery) ([]users.RoleRecord, error) {
	found := []users.RoleRecord{}
	all, err := s.ListRoles(ctx, q.ApplicationID, users.Page{})
	for _, r := range all {
		r.Name, r.NameKey = "new-"+r.Name, "new-"+r.NameKey
		if slices.Contains(q.IDs, r.ID) || slices.Contains(q.NameKeys, r.NameKey) {
			found = append(found, r)
		}
	}
	return found, err
}

func TestRoleAssignableByItsIDStaysSoWhenItIsRenamed(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	before := newServiceOn(t, store, users.Options{})
	editor := addRole(t, before, "editor")
	for name, c := range map[string]struct {
		grant users.RoleRef
		want  string
	}{
		"by id":   {users.RoleRef{ID: editor.ID}, "ok"},
		"by name": {users.RoleRef{Name: "editor"}, "forbidden"},
		"by both": {users.RoleRef{ID: editor.ID, Name: "editor"}, "invalid"},
	} {
		ctx := as(t.Context(), users.Caller{ID: "x", APIKey: apiKey, Permissions: users.CreateUsers | users.AssignRoles,
			AssignableRoles: []users.RoleRef{c.grant}})
		p := params("new")
		p.Roles = []users.RoleRef{{ID: editor.ID}}
		equal(t, name, class(before.CheckCreate(ctx, apiKey, p)), "ok")
		equal(t, name+", renamed", class(before.WithStore(renaming{store}).CheckCreate(ctx, apiKey, p)), c.want)
	}
}

func TestPermissionsReadBackWhatTheyPrint(t *testing.T) {
	t.Parallel()
	for p := range users.AllPermissions + 1 {
		text, err := p.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var got users.Permissions
		if err := got.UnmarshalText(text); err != nil || got != p {
			t.Fatalf("%q: got %v, %v, want %v", text, got, err, p)
		}
	}
	equal(t, "text", (users.CreateUsers | users.AssignRoles).String(), "CreateUsers AssignRoles")
	equal(t, "none", users.Permissions(0).String(), "")
	equal(t, "a bit of a later version", (users.ReadUsers | 1<<31).String(), "ReadUsers 0x80000000")
	if text, err := (users.ReadUsers | 1<<31).MarshalText(); err == nil {
		t.Errorf("a bit of a later version: got %q, want an error: it could not be read back", text)
	}
	for _, text := range []string{"createUsers", "CreateUsers,ReadUsers", "All", "0x1"} {
		got := users.ReadUsers
		if err := got.UnmarshalText([]byte(text)); err == nil || got != users.ReadUsers {
			t.Errorf("%q: got %v, %v, want an error and no change", text, got, err)
		}
	}
	if got, err := users.ParsePermissions(" ReadUsers\n CreateUsers ReadUsers "); err != nil || got != users.ReadUsers|users.CreateUsers {
		t.Errorf("got %v, %v, want both", got, err)
	}
}

// One role outside of the grant refuses all of them, whatever is beside it.
func TestGrantIsForEveryRole(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{})
	editor, chief := addRole(t, svc, "editor"), addRole(t, svc, "chief")
	ctx := as(t.Context(), users.Caller{ID: "x", APIKey: apiKey, Permissions: users.CreateUsers | users.AssignRoles, AssignableRoles: roleRefs("editor")})
	for _, refs := range [][]users.RoleRef{
		{{Name: "editor"}, {Name: "chief"}},
		{{Name: "editor"}, {ID: chief.ID}},
		{{ID: chief.ID}, {ID: editor.ID}},
		{{ID: unknownID}, {ID: editor.ID}},
	} {
		p := params("new")
		p.Roles = refs
		equal(t, "answer", class(svc.CheckCreate(ctx, apiKey, p)), "forbidden")
	}
}

func TestRolesAreListedAsFarAsTheGrantReaches(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{NewID: ids()})
	for _, name := range []string{"a", "b", "c", "d"} {
		addRole(t, svc, name)
	}
	for _, c := range []struct {
		allow users.Permissions
		grant []string
		page  users.Page
		want  string
	}{
		{users.ReadUsers, nil, users.Page{}, "a b c d"},
		{users.ReadUsers | users.AssignRoles, []string{"b"}, users.Page{}, "a b c d"},
		{users.AssignAnyRole, nil, users.Page{}, "a b c d"},
		{users.AssignAnyRole, []string{"d", "b", "ghost"}, users.Page{}, "a b c d"},
		{users.AssignRoles, []string{"d", "b", "d"}, users.Page{}, "b d"},
		{users.AssignRoles, []string{"d", "b"}, users.Page{Limit: 1}, "b"},
		{users.AssignRoles, []string{"d", "b"}, users.Page{Limit: 1, After: uuid(3)}, "d"},
		{users.AssignRoles, []string{"d", "b"}, users.Page{After: uuid(5)}, ""},
		{users.AssignRoles, nil, users.Page{}, ""},
	} {
		ctx := as(t.Context(), users.Caller{ID: "x", APIKey: apiKey, Permissions: c.allow, AssignableRoles: roleRefs(c.grant...)})
		got, err := svc.Roles(ctx, apiKey, c.page)
		if err != nil || got == nil {
			t.Fatalf("%v: got %v, %v, want a list", c, got, err)
		}
		names := []string{}
		for _, r := range got.Roles {
			names = append(names, r.Name)
		}
		equal(t, "roles", strings.Join(names, " "), c.want)
	}
}

func TestCallerReadsBackWhatItCreatedAndNothingElse(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{})
	own := addUser(t, as(t.Context(), limited), svc, "own")
	hosts := addUser(t, t.Context(), svc, "hosts")
	twin := limited // the same id, as after a restart
	nameless := users.Caller{APIKey: apiKey, Permissions: users.CreateUsers}
	anonymous := addUser(t, as(t.Context(), nameless), svc, "anonymous")
	for _, c := range []struct {
		name   string
		caller users.Caller
		ref    string
		want   string
	}{
		{"own by id", limited, own.ID, "ok"},
		{"own by id in lower case", limited, strings.ToLower(own.ID), "ok"},
		{"own as a caller with the same id", twin, own.ID, "ok"},
		{"own without the permission to create", users.Caller{ID: "limited", APIKey: apiKey}, own.ID, "forbidden"},
		{"own by name", limited, "own", "forbidden"},
		{"the host's", limited, hosts.ID, "forbidden"},
		{"nobody's", limited, unknownID, "forbidden"},
		{"the host's, as a caller without id", nameless, hosts.ID, "forbidden"},
		{"its own, as a caller without id", nameless, anonymous.ID, "forbidden"},
		{"another's", users.Caller{ID: "x", APIKey: apiKey, Permissions: users.CreateUsers}, own.ID, "forbidden"},
	} {
		u, err := svc.User(as(t.Context(), c.caller), apiKey, c.ref)
		equal(t, c.name, class(err), c.want)
		if err == nil && u.ID != own.ID {
			t.Errorf("%s: got %s, want %s", c.name, u.ID, own.ID)
		}
	}
}

func TestCallerIDIsCheckedBeforeItIsStored(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{})
	for id, want := range map[string]bool{
		"": true, "x": true, strings.Repeat("x", users.MaxCallerID): true, "Öffentlich 1": true,
		strings.Repeat("x", users.MaxCallerID+1): false, "a\x00": false, "a\nb": false, "\xff": false,
	} {
		c := users.Caller{ID: id, APIKey: apiKey, Permissions: users.CreateUsers}
		err := svc.CheckCreate(as(t.Context(), c), apiKey, params("new"))
		if (err == nil) != want {
			t.Errorf("%q: got %v, want ok %v", id, err, want)
		}
		if id != "" && err != nil && strings.Contains(err.Error(), id) {
			t.Errorf("the error quotes %q: %v", id, err)
		}
	}
}

func TestCallerTravelsInTheContext(t *testing.T) {
	t.Parallel()
	if c, ok := users.CallerFrom(t.Context()); ok {
		t.Errorf("got %v from an empty context", c)
	}
	got, ok := users.CallerFrom(as(as(t.Context(), limited), admin))
	if !ok || got.ID != admin.ID {
		t.Errorf("got %v, %v, want the innermost caller", got, ok)
	}
}
