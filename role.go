package users

import (
	"context"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"
)

// Limits of roles.
const (
	MaxRoleName        = 128  // characters
	MaxRoleDescription = 1024 // characters
	MaxRoles           = 100  // roles of one user
)

// Role is a named set of rights whose meaning is the host's.
type Role struct {
	ID string `json:"id"`
	// Name is unique in the application; NFC, 1 to 128 characters, compared exactly.
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"` // at most 1,024 characters
	DateCreated time.Time `json:"dateCreated,omitzero"`
	DateUpdated time.Time `json:"dateUpdated,omitzero"`
}

// RoleRef names an existing role by ID, by Name, or by both, which must then agree.
type RoleRef struct{ ID, Name string }

// CreateRole adds a role; r's Name and Description count. It needs the
// permission ManageRoles. A taken name is a *ConflictError.
func (s *Service) CreateRole(ctx context.Context, apiKey string, r Role) (*Role, error) {
	app, _, err := s.authorize(ctx, apiKey, ManageRoles)
	if err != nil {
		return nil, err
	}
	var fields []FieldError
	key, err := roleNameKey(r.Name)
	switch {
	case r.Name == "":
		fields = append(fields, FieldError{"/name", codeRequired, "is required"})
	case err != nil:
		fields = append(fields, fieldError("/name", err))
	}
	if err := checkDescription(r.Description); err != nil {
		fields = append(fields, fieldError("/description", err))
	}
	if len(fields) > 0 {
		return nil, &ValidationError{fields}
	}
	id, err := s.newID()
	if err != nil {
		return nil, err
	}
	now := s.now()
	r = Role{ID: id, Name: key, Description: r.Description, DateCreated: now, DateUpdated: now}
	if err := s.store.CreateRole(ctx, app.ID, RoleRecord{Role: r, NameKey: key}); err != nil {
		return nil, fmt.Errorf("users: create role: %w", err)
	}
	return &r, nil
}

// Role gives one role. A caller who may only grant certain roles sees those;
// any other is ErrNotFound to it.
func (s *Service) Role(ctx context.Context, apiKey string, ref RoleRef) (*Role, error) {
	app, c, err := s.authorize(ctx, apiKey, 0)
	if err != nil {
		return nil, err
	}
	visible, err := c.visibleRoles()
	if err != nil {
		return nil, err
	}
	id, isID := parseID(ref.ID)
	name, err := roleNameKey(ref.Name)
	if ref.ID != "" && !isID || ref.Name != "" && err != nil || ref == (RoleRef{}) {
		return nil, ErrNotFound
	}
	q := RoleQuery{ApplicationID: app.ID}
	if isID {
		q.IDs = []string{id}
	} else {
		q.NameKeys = []string{name}
	}
	found, err := s.findRoles(ctx, q)
	if err != nil {
		return nil, err
	}
	for _, r := range found {
		if visible(r) && (ref.Name == "" || name == r.Name) {
			return &r, nil
		}
	}
	return nil, ErrNotFound
}

// Roles lists the application's roles in order of ID, a page at a time (see
// [Page]). A caller with AssignRoles alone sees the roles it may grant.
func (s *Service) Roles(ctx context.Context, apiKey string, p Page) ([]Role, error) {
	app, c, err := s.authorize(ctx, apiKey, 0)
	if err != nil {
		return nil, err
	}
	visible, err := c.visibleRoles()
	if err != nil {
		return nil, err
	}
	p, err = p.checked()
	if err != nil {
		return nil, err
	}
	q := RoleQuery{ApplicationID: app.ID, Page: p}
	if !c.seesAllRoles() {
		// The few it may grant, looked up by name, then cut to the page.
		q.Page, q.NameKeys = Page{}, roleKeys(c.Grant)
		if len(q.NameKeys) == 0 {
			return []Role{}, nil
		}
	}
	found, err := s.findRoles(ctx, q)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(r Role) bool { return !visible(r) || r.ID <= p.After })
	return found[:min(len(found), p.Limit)], nil
}

func (s *Service) findRoles(ctx context.Context, q RoleQuery) ([]Role, error) {
	recs, err := s.store.FindRoles(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("users: find roles: %w", err)
	}
	roles := make([]Role, len(recs))
	for i, r := range recs {
		roles[i] = r.Role
	}
	return roles, nil
}

// roleKeys gives the keys of those names that can be role names.
func roleKeys(names []string) []string {
	keys := make([]string, 0, len(names))
	for _, n := range names {
		if k, err := roleNameKey(n); err == nil {
			keys = append(keys, k)
		}
	}
	return keys
}

func checkDescription(s string) error {
	switch {
	case !utf8.ValidString(s):
		return &ruleError{"invalid_utf8", "must be valid UTF-8"}
	case utf8.RuneCountInString(s) > MaxRoleDescription:
		return &ruleError{codeTooLong, fmt.Sprintf("must be at most %d characters", MaxRoleDescription)}
	case slices.Contains([]byte(s), 0):
		return &ruleError{"invalid_characters", "must not hold a NUL character"}
	}
	return nil
}
