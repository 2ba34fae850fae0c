package users

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Limits of roles.
const (
	MaxRoleName        = 128  // characters
	MaxRoleDescription = 1024 // characters
	MaxRoles           = 100  // roles of one user
)

// Role is a named set of rights whose meaning is the host's. Its JSON has the
// members of an answer, without links; see [Form] for those.
type Role struct {
	ID string `json:"id"`
	// Name is unique in the application; NFC, 1 to 128 characters that show,
	// compared exactly.
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"` // at most 1,024 characters; a blank one is none
	DateCreated time.Time `json:"dateCreated,omitzero"`
	DateUpdated time.Time `json:"dateUpdated,omitzero"`
}

// RoleRef names an existing role by ID, by Name, or by both, which must then agree.
type RoleRef struct{ ID, Name string }

// names reports whether ref names r.
func (ref RoleRef) names(r Role) bool {
	return (ref.ID == "" || ref.ID == r.ID) && (ref.Name == "" || ref.Name == r.Name)
}

// RoleList is a page of roles.
type RoleList struct {
	Roles []Role // in order of ID; never nil
	Next  string // Page.After of the next page; empty: this is the last
}

// CreateRole adds a role; only Name and Description of r are used. It needs the
// permission ManageRoles. A taken name is a *ConflictError.
func (s *Service) CreateRole(ctx context.Context, apiKey string, r Role) (*Role, error) {
	app, rec, err := s.newRole(ctx, apiKey, r)
	if err != nil {
		return nil, err
	}

	if rec.ID, err = s.newID(); err != nil {
		return nil, err
	}
	rec.DateCreated = s.now()
	rec.DateUpdated = rec.DateCreated
	if err := s.store.CreateRole(ctx, app.ID, rec); err != nil {
		return nil, fmt.Errorf("users: create role: %w", err)
	}
	return &rec.Role, nil
}

// CheckCreateRole reports what CreateRole would refuse in r before it looks at
// other roles: a *ValidationError or what comes before it. It writes nothing and
// does not say whether the name is free.
func (s *Service) CheckCreateRole(ctx context.Context, apiKey string, r Role) error {
	_, _, err := s.newRole(ctx, apiKey, r)
	return err
}

// newRole authorizes the creation of r and checks its members.
func (s *Service) newRole(ctx context.Context, apiKey string, r Role) (Application, RoleRecord, error) {
	app, _, err := s.authorize(ctx, apiKey, ManageRoles)
	if err != nil {
		return Application{}, RoleRecord{}, err
	}

	var f faults
	r.Description = blankAsNone(r.Description)
	key, err := requiredRoleName(r.Name)
	if err != nil {
		f.addErr("/name", err)
	}
	if err := checkDescription(r.Description); err != nil {
		f.addErr("/description", err)
	}
	if err := f.err(); err != nil {
		return Application{}, RoleRecord{}, err
	}
	return app, RoleRecord{Role: Role{Name: key, Description: r.Description}, NameKey: key}, nil
}

// requiredRoleName is roleNameKey of a name that must be there.
func requiredRoleName(name string) (string, error) {
	if name == "" {
		return "", rule(codeRequired, "is required")
	}
	return roleNameKey(name)
}

// Role returns one role. It needs ReadUsers, ManageRoles, AssignAnyRole or
// AssignRoles; with the last alone, roles that are not assignable are ErrNotFound.
func (s *Service) Role(ctx context.Context, apiKey string, ref RoleRef) (*Role, error) {
	app, c, err := s.authorize(ctx, apiKey, 0)
	if err != nil {
		return nil, err
	}
	visible, err := c.visibleRoles()
	if err != nil {
		return nil, err
	}

	return s.role(ctx, app, visible, ref)
}

// role returns the role that ref names, if it is one of visible.
func (s *Service) role(ctx context.Context, app Application, visible grant, ref RoleRef) (*Role, error) {
	ref, err := canonicalRef(ref)
	if err != nil || ref == (RoleRef{}) {
		return nil, ErrNotFound
	}
	q := RoleQuery{ApplicationID: app.ID}
	if ref.ID != "" {
		q.IDs = []string{ref.ID}
	} else {
		q.NameKeys = []string{ref.Name}
	}
	found, err := s.findRoles(ctx, q)
	if err != nil {
		return nil, err
	}
	for _, r := range found {
		if visible.covers(r) && ref.names(r) {
			return &r, nil
		}
	}
	return nil, ErrNotFound
}

// Roles lists the application's roles in order of ID, a page at a time. It needs
// ReadUsers, ManageRoles, AssignAnyRole or AssignRoles; with the last alone, it
// lists the roles that are assignable.
func (s *Service) Roles(ctx context.Context, apiKey string, p Page) (*RoleList, error) {
	app, c, err := s.authorize(ctx, apiKey, 0)
	if err != nil {
		return nil, err
	}
	visible, err := c.visibleRoles()
	if err != nil {
		return nil, err
	}
	if p, err = p.checked(); err != nil {
		return nil, err
	}

	var found []Role
	if visible.any {
		recs, err := s.store.ListRoles(ctx, app.ID, p.more())
		if err != nil {
			return nil, fmt.Errorf("users: list roles: %w", err)
		}
		found = plain(recs)
	} else { // the few that it may assign, then cut to the page
		found, err = s.findRoles(ctx, visible.query(app))
		if err != nil {
			return nil, err
		}
		found = slices.DeleteFunc(found, func(r Role) bool { return !visible.covers(r) || r.ID <= p.After })
	}
	roles, next := cut(found, p, func(r Role) string { return r.ID })
	return &RoleList{roles, next}, nil
}

// FindRolesParams asks for one numbered page of roles.
type FindRolesParams struct {
	Phrase string  // in the name or the description, without regard to case; at most MaxPhrase characters
	Order  []Order // ByName, ByDateCreated, ByDateUpdated, ByID; empty: by ID
	Page   int     // from 1; 0: 1
	Limit  int     // up to MaxPage; 0: DefaultFoundPage
}

// RolePage is a numbered page of roles.
type RolePage struct {
	Roles       []Role // never nil
	Page, Limit int    // as they were asked for
	Total       int64  // roles on all pages
}

// FindRoles returns the roles that match, a page at a time. Who may see which is as of
// Roles. It reads all of them, since an application has few. What makes no sense is a
// *ValidationError as of FindUsers.
func (s *Service) FindRoles(ctx context.Context, apiKey string, p FindRolesParams) (*RolePage, error) {
	page := &RolePage{Page: cmp.Or(p.Page, 1), Limit: cmp.Or(p.Limit, DefaultFoundPage)}
	var f faults
	phrase := phraseKey(&f, p.Phrase)
	checkOrder(&f, p.Order, roleOrders)
	offset := checkPage(&f, page.Page, page.Limit)

	matching := []Role{}
	for part := (Page{Limit: MaxPage}); ; {
		list, err := s.Roles(ctx, apiKey, part)
		if err != nil {
			return nil, err
		}
		if err := f.err(); err != nil { // the caller is known
			return nil, err
		}
		for _, r := range list.Roles {
			if strings.Contains(displayKey(r.Name), phrase) || strings.Contains(displayKey(r.Description), phrase) {
				matching = append(matching, r)
			}
		}
		if part.After = list.Next; part.After == "" {
			break
		}
	}
	slices.SortFunc(matching, func(a, b Role) int { return compareRoles(p.Order, a, b) })

	page.Total = int64(len(matching))
	from := min(offset, len(matching))
	page.Roles = matching[from:min(from+page.Limit, len(matching))]
	return page, nil
}

// roleOrders are the members that roles can be ordered by. Never written to.
var roleOrders = []Member{ByID, ByName, ByDateCreated, ByDateUpdated}

// compareRoles compares by order and then by id, in the direction of the first member.
func compareRoles(order []Order, a, b Role) int {
	id := Order{By: ByID, Desc: len(order) > 0 && order[0].Desc}
	for _, o := range append(slices.Clone(order), id) {
		c := 0
		switch o.By {
		case ByName:
			c = strings.Compare(a.Name, b.Name)
		case ByDateCreated:
			c = a.DateCreated.Compare(b.DateCreated)
		case ByDateUpdated:
			c = a.DateUpdated.Compare(b.DateUpdated)
		case ByID:
			c = strings.Compare(a.ID, b.ID)
		}
		switch {
		case c != 0 && o.Desc:
			return -c
		case c != 0:
			return c
		}
	}
	return 0
}

// RoleChange changes a role; nil members stay as they are.
type RoleChange struct{ Name, Description *string }

// UpdateRole changes the role with this id and returns it as it then is. It needs the
// permission ManageRoles. A taken name is a *ConflictError. What callers may assign by
// name, see Caller.AssignableRoles, is then whatever bears that name.
func (s *Service) UpdateRole(ctx context.Context, apiKey, id string, c RoleChange) (*Role, error) {
	r, u, err := s.changedRole(ctx, apiKey, id, c)
	if err != nil {
		return nil, err
	}
	if u.Name == nil && u.Description == nil {
		return r, nil
	}

	if err := s.roleEditor.UpdateRole(ctx, u); err != nil {
		return nil, stored("update role", err)
	}
	r.DateUpdated = u.DateUpdated
	return r, nil
}

// CheckUpdateRole reports what UpdateRole would refuse in c before it writes: a
// *ValidationError or what comes before it. It does not say whether the name is free.
func (s *Service) CheckUpdateRole(ctx context.Context, apiKey, id string, c RoleChange) error {
	_, _, err := s.changedRole(ctx, apiKey, id, c)
	return err
}

// changedRole returns the role with this id as c wants it, and what is to be stored.
func (s *Service) changedRole(ctx context.Context, apiKey, id string, c RoleChange) (*Role, RoleUpdate, error) {
	var none RoleUpdate
	app, _, err := s.authorize(ctx, apiKey, ManageRoles)
	if err != nil {
		return nil, none, err
	}
	if s.roleEditor == nil {
		return nil, none, lacks("RoleEditor")
	}
	r, err := s.role(ctx, app, grant{any: true}, RoleRef{ID: id})
	if err != nil {
		return nil, none, err
	}

	u := RoleUpdate{ApplicationID: app.ID, ID: r.ID, DateUpdated: s.now()}
	var f faults
	if c.Name != nil {
		name, err := requiredRoleName(*c.Name)
		if err != nil {
			f.addErr("/name", err)
		}
		if name != r.Name {
			u.Name = &RoleName{Name: name, NameKey: name}
			r.Name = name
		}
	}
	if c.Description != nil {
		text := blankAsNone(*c.Description)
		if err := checkDescription(text); err != nil {
			f.addErr("/description", err)
		}
		if text != r.Description {
			u.Description, r.Description = &text, text
		}
	}
	if err := f.err(); err != nil {
		return nil, none, err
	}
	return r, u, nil
}

// DeleteRole deletes the role with this id and takes it from everybody who has it; that
// changes no user's version. It costs the same however many had it. It needs the
// permission ManageRoles.
func (s *Service) DeleteRole(ctx context.Context, apiKey, id string) error {
	app, _, err := s.authorize(ctx, apiKey, ManageRoles)
	if err != nil {
		return err
	}
	if s.roleEditor == nil {
		return lacks("RoleEditor")
	}
	key, ok := parseID(id)
	if !ok {
		return ErrNotFound
	}
	return stored("delete role", s.roleEditor.DeleteRole(ctx, app.ID, key))
}

func (s *Service) findRoles(ctx context.Context, q RoleQuery) ([]Role, error) {
	if len(q.IDs)+len(q.NameKeys) == 0 {
		return []Role{}, nil
	}
	recs, err := s.store.FindRoles(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("users: find roles: %w", err)
	}
	return plain(recs), nil
}

func plain(recs []RoleRecord) []Role {
	roles := make([]Role, len(recs))
	for i, r := range recs {
		roles[i] = r.Role
	}
	return roles
}

// canonicalRef returns ref with the id and the name in their canonical forms. An
// id of zeros is none.
func canonicalRef(ref RoleRef) (RoleRef, error) {
	id, ok := optionalID(ref.ID)
	switch {
	case !ok:
		return RoleRef{}, errRoleID
	case ref.Name == "":
		return RoleRef{ID: id}, nil
	}
	name, err := roleNameKey(ref.Name)
	return RoleRef{id, name}, err
}

// grant is the roles that a caller may assign, or see.
type grant struct {
	any  bool
	refs []RoleRef // canonical; counts unless any
}

// assignable returns the roles that a may give to users.
func (a actor) assignable() grant {
	if a.may(AssignAnyRole) {
		return grant{any: true}
	}
	var g grant
	if a.may(AssignRoles) {
		for _, ref := range a.AssignableRoles {
			// What no role can be called assigns nothing.
			if ref, err := canonicalRef(ref); err == nil && ref != (RoleRef{}) {
				g.refs = append(g.refs, ref)
			}
		}
	}
	return g
}

// visibleRoles returns the roles that a may see.
func (a actor) visibleRoles() (grant, error) {
	if a.Permissions&(ManageRoles|ReadUsers|AssignAnyRole) != 0 {
		return grant{any: true}, nil
	}
	if !a.may(AssignRoles) {
		return grant{}, &ForbiddenError{}
	}
	return a.assignable(), nil
}

func (g grant) covers(r Role) bool {
	return g.any || slices.ContainsFunc(g.refs, func(ref RoleRef) bool { return ref.names(r) })
}

// mayCover decides before any role is looked up, so that a limited caller
// learns nothing about which other roles exist: it reports whether the role that
// ref names can be one of g's.
func (g grant) mayCover(ref RoleRef) bool {
	return g.any || slices.ContainsFunc(g.refs, func(own RoleRef) bool {
		return (own.ID == "" || ref.ID == "" || own.ID == ref.ID) && (own.Name == "" || ref.Name == "" || own.Name == ref.Name)
	})
}

// namesSame reports whether one of g's references has the id or the name of ref,
// whether such a role exists or not.
func (g grant) namesSame(ref RoleRef) bool {
	return g.any || slices.ContainsFunc(g.refs, func(own RoleRef) bool {
		return own.ID != "" && own.ID == ref.ID || own.Name != "" && own.Name == ref.Name
	})
}

// query finds the roles of a limited grant.
func (g grant) query(app Application) RoleQuery { return roleQuery(app, g.refs) }

func roleQuery(app Application, refs []RoleRef) RoleQuery {
	q := RoleQuery{ApplicationID: app.ID}
	for _, ref := range refs {
		if ref.ID != "" {
			q.IDs = append(q.IDs, ref.ID)
		} else if ref.Name != "" {
			q.NameKeys = append(q.NameKeys, ref.Name)
		}
	}
	return q
}

// resolveRoles turns the references of c into roles, each once, in order of ID.
// It reports false where one lies outside of what the caller may assign, without
// a look at whether that one exists.
func (s *Service) resolveRoles(ctx context.Context, c *creation) (granted bool, err error) {
	refs, g := c.params.Roles, c.actor.assignable()
	if len(refs) == 0 {
		return true, nil
	}
	if !g.any && len(g.refs) == 0 {
		return false, nil
	}
	if len(refs) > MaxRoles { // a fault of its own
		return true, nil
	}

	wanted := slices.Clone(refs)
	for i := range wanted {
		if c.faults.has(rolePointer(i)) {
			wanted[i] = RoleRef{}
		} else if !g.mayCover(wanted[i]) {
			return false, nil
		}
	}
	q := g.query(c.app)
	if g.any {
		q = roleQuery(c.app, wanted)
	}
	find := s.findRoles
	if c.findRoles != nil {
		find = c.findRoles
	}
	known, err := find(ctx, q)
	if err != nil {
		return false, err
	}

	for i, ref := range wanted {
		if ref == (RoleRef{}) {
			continue
		}
		at := slices.IndexFunc(known, func(r Role) bool { return ref.names(r) && g.covers(r) })
		switch {
		case at >= 0:
			c.record.Roles = append(c.record.Roles, known[at])
		case !g.namesSame(ref):
			return false, nil
		default:
			c.faults.add(FieldError{Pointer: rolePointer(i), Code: "unknown_role", Detail: "no such role in this application"})
		}
	}
	slices.SortFunc(c.record.Roles, func(a, b Role) int { return strings.Compare(a.ID, b.ID) })
	c.record.Roles = slices.CompactFunc(c.record.Roles, func(a, b Role) bool { return a.ID == b.ID })
	return true, nil
}
