package users

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// UserChange changes a user; nil members stay as they are. A member that is given
// as it already is asks for nothing and needs no permission, so that a whole user can
// be sent back with one member changed.
type UserChange struct {
	// IfVersion makes the change conditional on User.Version; 0: whatever it is.
	IfVersion int64

	// UserName, Email and Name follow the rules of CreateUserParams and need EditUsers.
	// A user whose UserName is its Email gets both changed together, or the name first.
	UserName, Email, Name *string
	// IsApproved and IsLockedOut need SetStatus.
	IsApproved, IsLockedOut *bool
	// Roles replaces all roles; a pointer to an empty slice takes them all. It needs
	// AssignRoles or AssignAnyRole: each role that is added or taken away must be one
	// that the caller may give.
	Roles *[]RoleRef
	// AllowDashboardAccess needs GrantDashboard, as does DashboardSettings. Settings of
	// {} replace others; JSON null is nil.
	AllowDashboardAccess *bool
	DashboardSettings    json.RawMessage
}

// editing is the permissions of which one at least is needed to change a user.
const editing = EditUsers | SetStatus | AssignRoles | AssignAnyRole | GrantDashboard

// UpdateUser changes the user whose id, user name or e-mail address is ref and
// returns it as it then is, durably. Without a change it writes nothing, and the
// version stays.
//
// The caller must govern the user: it must be able to give every role that the user
// has, and have GrantDashboard if the user may use the dashboard. Otherwise whoever may
// edit addresses could take over an administrator's account by a recovery message. A
// caller without ReadUsers names users by id alone; it gets ErrForbidden for another
// reference, for a user that it does not govern, and for one that does not exist.
//
// A new address is not verified, and ends the user's set-password tokens: they went to
// the old one. A user who may more than before loses those of IssueSetPasswordToken: who
// has one need not govern it any more.
//
// Errors are a *ValidationError, a *ForbiddenError, ErrNotFound, ErrStale where the
// version is not IfVersion, and a *ConflictError; nothing was written then. Without
// IfVersion changes that race are applied one after the other, member by member.
// Inside the host's own transaction it can be ErrStale all the same: another writer's
// change is not visible there; roll back and retry.
func (s *Service) UpdateUser(ctx context.Context, apiKey, ref string, c UserChange) (*User, error) {
	return s.updateUser(ctx, apiKey, ref, c, true)
}

// CheckUpdateUser reports what UpdateUser would refuse in c before it writes: a
// *ValidationError or what comes before it. It does not look at IfVersion, and does
// not say whether names and addresses are free.
func (s *Service) CheckUpdateUser(ctx context.Context, apiKey, ref string, c UserChange) error {
	_, err := s.updateUser(ctx, apiKey, ref, c, false)
	return err
}

func (s *Service) updateUser(ctx context.Context, apiKey, ref string, c UserChange, write bool) (*User, error) {
	app, a, err := s.authorize(ctx, apiKey, 0)
	if err != nil {
		return nil, err
	}
	if a.Permissions&(editing|ReadUsers) == 0 {
		return nil, &ForbiddenError{}
	}
	if s.editor == nil {
		return nil, lacks("UserEditor")
	}

	find := func(ref string) (UserRecord, error) {
		if a.may(ReadUsers) { // and may send it back unchanged, whoever it is
			return s.resolve(ctx, app, ref)
		}
		return s.target(ctx, app, a, ref)
	}
	rec, err := s.change(ctx, ref, c.IfVersion, find, func(rec *UserRecord) error {
		e, err := s.edit(ctx, app, a, rec, &c)
		if err != nil || !write {
			return err
		}
		// The last of the judgements: RFC 9110 section 13.2.1.
		if err := wanted(c.IfVersion, rec); err != nil || e == nil {
			return err
		}
		if err := s.editor.EditUser(ctx, e); err != nil {
			return stored("update user", err)
		}
		*rec = e.UserRecord
		rec.Version++
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer(rec.User), nil
}

// Status is what SetStatus changes; nil members stay as they are.
type Status struct {
	IsApproved, IsLockedOut *bool
	IfVersion               int64 // as of UserChange
}

// SetStatus approves, disapproves, locks or unlocks the user whose id, user name or
// e-mail address is ref and returns the user as it then is. Without a change it writes
// nothing, and the version stays. It needs the permission SetStatus, and the caller must
// govern the user; see UpdateUser, also for the errors.
func (s *Service) SetStatus(ctx context.Context, apiKey, ref string, st Status) (*User, error) {
	app, a, err := s.authorize(ctx, apiKey, SetStatus)
	if err != nil {
		return nil, err
	}

	find := func(ref string) (UserRecord, error) { return s.target(ctx, app, a, ref) }
	rec, err := s.change(ctx, ref, st.IfVersion, find, func(rec *UserRecord) error {
		if err := wanted(st.IfVersion, rec); err != nil {
			return err
		}
		approved, lockedOut := given(st.IsApproved, rec.IsApproved), given(st.IsLockedOut, rec.IsLockedOut)
		if approved == rec.IsApproved && lockedOut == rec.IsLockedOut {
			return nil
		}
		u := StatusUpdate{
			ApplicationID: app.ID, ID: rec.ID, IfVersion: rec.Version,
			IsApproved: st.IsApproved, IsLockedOut: st.IsLockedOut, DateUpdated: s.now(),
		}
		if err := s.store.SetUserStatus(ctx, u); err != nil {
			return stored("set status", err)
		}
		rec.IsApproved, rec.IsLockedOut, rec.DateUpdated = approved, lockedOut, u.DateUpdated
		rec.Version++
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer(rec.User), nil
}

// DeleteUser deletes the user whose id, user name or e-mail address is ref, for good,
// with its tokens and its pending notifications. Its name and its address are free from
// then on. The record of the idempotency key that created it stays: a client that
// repeats that request gets ErrNotFound and no other user. It needs the permission
// DeleteUsers, and the caller must govern the user; see UpdateUser.
//
// ifVersion makes it conditional on User.Version; 0: whatever it is. Another version
// is ErrStale.
func (s *Service) DeleteUser(ctx context.Context, apiKey, ref string, ifVersion int64) error {
	app, a, err := s.authorize(ctx, apiKey, DeleteUsers)
	if err != nil {
		return err
	}
	if s.editor == nil {
		return lacks("UserEditor")
	}

	// By the version that was judged: roles that the user got since could be such that
	// the caller does not govern it any more.
	find := func(ref string) (UserRecord, error) { return s.target(ctx, app, a, ref) }
	_, err = s.change(ctx, ref, ifVersion, find, func(rec *UserRecord) error {
		if err := wanted(ifVersion, rec); err != nil {
			return err
		}
		return stored("delete user", s.editor.DeleteUser(ctx, UserDeletion{ApplicationID: app.ID, ID: rec.ID, IfVersion: rec.Version}))
	})
	return err
}

// target returns the user on which an operation acts that a must govern. Whoever may
// not read users learns of no others: not whether there is one, nor its id.
func (s *Service) target(ctx context.Context, app Application, a actor, ref string) (UserRecord, error) {
	blind := !a.may(ReadUsers)
	if _, isID := parseID(ref); blind && !isID {
		return UserRecord{}, &ForbiddenError{}
	}
	rec, err := s.resolve(ctx, app, ref)
	if blind && errors.Is(err, ErrNotFound) || err == nil && !a.governs(&rec.User) {
		return UserRecord{}, &ForbiddenError{}
	}
	return rec, err
}

// maxVanished is how often a change begins again because a role of the user was deleted.
const maxVanished = 10

// change runs do on the user that find returns for ref. Where another writer came
// between it does so again, by the user's id, unless the caller asked for a version: a
// name can be another user's by then.
func (s *Service) change(
	ctx context.Context, ref string, ifVersion int64, find func(ref string) (UserRecord, error), do func(*UserRecord) error,
) (UserRecord, error) {
	for tried, vanished := int64(0), 0; ; {
		rec, err := find(ref)
		if err != nil {
			return UserRecord{}, err
		}
		// A snapshot of the host's transaction shows one version forever.
		if rec.Version == tried {
			return UserRecord{}, errStale
		}
		ref, tried = rec.ID, rec.Version

		err = do(&rec)
		switch {
		case errors.Is(err, ErrUnknownRole) && !s.hostTx && vanished < maxVanished:
			tried = 0 // the version stays
			vanished++
		case errors.Is(err, ErrUnknownRole):
			return UserRecord{}, errStale
		case !errors.Is(err, ErrStale) || ifVersion != 0:
			return rec, err
		}
		if err := ctx.Err(); err != nil {
			return UserRecord{}, fmt.Errorf("users: change user: %w", err)
		}
	}
}

var errStale = fmt.Errorf("users: change user: %w", ErrStale)

// wanted is errStale unless rec has the version that a caller asked for, if any.
func wanted(ifVersion int64, rec *UserRecord) error {
	if ifVersion != 0 && ifVersion != rec.Version {
		return errStale
	}
	return nil
}

// lacks says which capability the store has not.
func lacks(capability string) error { return fmt.Errorf("%w: it is no %s", ErrUnsupported, capability) }

// stored says of an error of the store what failed.
func stored(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("users: %s: %w", operation, err)
}

// edit returns rec as c wants it; nil if it is so already. What c leaves as it is is not
// judged: rules may have become stricter since.
func (s *Service) edit(ctx context.Context, app Application, a actor, rec *UserRecord, c *UserChange) (*UserEdit, error) {
	ed := &edit{
		creation: creation{app: app, actor: a, record: *rec},
		was:      rec,
	}
	ed.names(c)
	ed.status(c)
	if err := ed.dashboard(ctx, s, c); err != nil {
		return nil, err
	}
	if err := ed.roles(ctx, s, c); err != nil {
		return nil, err
	}

	ed.faults.sort()
	if err := ed.faults.err(); err != nil {
		return nil, err
	}
	switch {
	case len(ed.forbidden) > 0:
		slices.SortFunc(ed.forbidden, func(x, y string) int { return memberRank(x) - memberRank(y) })
		return nil, &ForbiddenError{Members: ed.forbidden}
	case !ed.changed:
		return nil, nil
	case !a.governs(&rec.User):
		return nil, &ForbiddenError{}
	}
	ed.record.DateUpdated = s.now()
	return &UserEdit{
		UserRecord: ed.record,
		DropTokens: ed.record.EmailKey != rec.EmailKey,
		DropIssued: mayMore(&rec.User, &ed.record.User),
	}, nil
}

// mayMore reports whether a user has a role, or the access to the dashboard, that it had
// not.
func mayMore(was, is *User) bool {
	had := func(r Role) bool { return slices.ContainsFunc(was.Roles, func(o Role) bool { return o.ID == r.ID }) }
	return is.AllowDashboardAccess && !was.AllowDashboardAccess ||
		slices.ContainsFunc(is.Roles, func(r Role) bool { return !had(r) })
}

// edit is the state of one change. It is a creation, so that a changed member meets
// the rule that a new one does, at the same pointer.
type edit struct {
	creation
	was       *UserRecord
	changed   bool
	forbidden []string // members that may not be changed
}

// wants notes that a member is to change, and reports whether the caller may.
func (ed *edit) wants(member string, need Permissions) bool {
	ed.changed = true
	if !ed.actor.may(need) {
		ed.forbidden = append(ed.forbidden, member)
		return false
	}
	return true
}

func (ed *edit) names(c *UserChange) {
	r, was := &ed.record, ed.was
	var err error
	if c.UserName != nil && *c.UserName != was.UserName {
		ed.wants("userName", EditUsers)
		r.UserName = *c.UserName
		if r.NameKey, err = userNameKey(r.UserName); r.UserName == "" {
			ed.faults.add(required("/userName"))
		} else if err != nil {
			ed.faults.addErr("/userName", err)
		}
	}
	if c.Email != nil && *c.Email != was.Email {
		ed.wants("email", EditUsers)
		r.Email = *c.Email
		if r.EmailKey, err = emailKey(r.Email); r.Email == "" {
			ed.faults.add(required("/email"))
		} else if err != nil {
			ed.faults.addErr("/email", err)
		}
	}
	if r.NameKey != was.NameKey || r.EmailKey != was.EmailKey {
		ed.checkNameAddress()
		if keysAreCurrent(r) {
			r.KeyVersion = keyVersion
		}
	}
	if r.EmailKey != was.EmailKey {
		r.EmailVerified = time.Time{}
	}

	if c.Name == nil {
		return
	}
	if name := blankAsNone(*c.Name); name != was.Name {
		ed.wants("name", EditUsers)
		r.Name, r.DisplayKey = name, displayKey(name)
		if err := checkDisplayName(name); err != nil {
			ed.faults.addErr("/name", err)
		}
	}
}

// keysAreCurrent reports whether the rules of today make both keys of r.
func keysAreCurrent(r *UserRecord) bool {
	name, err := userNameKey(r.UserName)
	if err != nil || name != r.NameKey {
		return false
	}
	address, err := emailKey(r.Email)
	return err == nil && address == r.EmailKey
}

func (ed *edit) status(c *UserChange) {
	r := &ed.record
	if r.IsApproved = given(c.IsApproved, r.IsApproved); r.IsApproved != ed.was.IsApproved {
		ed.wants("isApproved", SetStatus)
	}
	if r.IsLockedOut = given(c.IsLockedOut, r.IsLockedOut); r.IsLockedOut != ed.was.IsLockedOut {
		ed.wants("isLockedOut", SetStatus)
	}
}

func (ed *edit) dashboard(ctx context.Context, s *Service, c *UserChange) error {
	r := &ed.record
	if r.AllowDashboardAccess = given(c.AllowDashboardAccess, r.AllowDashboardAccess); r.AllowDashboardAccess != ed.was.AllowDashboardAccess {
		ed.wants("allowDashboardAccess", GrantDashboard)
	}
	if sameSettings(c.DashboardSettings, ed.was.DashboardSettings) || !ed.wants("dashboardSettings", GrantDashboard) {
		return nil
	}
	r.DashboardSettings = slices.Clone(c.DashboardSettings)
	ed.params.DashboardSettings = r.DashboardSettings
	return s.validateDashboard(ctx, &ed.creation)
}

// sameSettings reports whether given settings ask for nothing.
func sameSettings(given, have json.RawMessage) bool {
	switch {
	case len(given) == 0 || string(trimJSON(given)) == "null":
		return true
	case isNothing(given):
		return isNothing(have)
	case len(given) > MaxDashboardSettings:
		return false
	}
	return bytes.Equal(given, have) || bytes.Equal(canonicalJSON(given), canonicalJSON(have))
}

func (ed *edit) roles(ctx context.Context, s *Service, c *UserChange) error {
	if c.Roles == nil {
		return nil
	}
	if ed.params.Roles = *c.Roles; len(ed.params.Roles) > MaxRoles {
		ed.faults.add(shapeFaults[[2]string{"Roles", "max"}])
		return nil
	}
	ed.normalizeRoles()
	if sameRoles(ed.params.Roles, ed.was.Roles) {
		return nil
	}

	ed.changed, ed.record.Roles = true, nil
	granted, err := s.resolveRoles(ctx, &ed.creation)
	if err != nil {
		return err
	}
	mine := ed.actor.assignable()
	if !granted || slices.ContainsFunc(ed.was.Roles, func(r Role) bool { return !mine.covers(r) }) {
		ed.forbidden = append(ed.forbidden, "roles")
	}
	return nil
}

// sameRoles reports whether refs, which are canonical, name just the roles in have.
func sameRoles(refs []RoleRef, have []Role) bool {
	named := func(r Role) bool { return slices.ContainsFunc(refs, func(ref RoleRef) bool { return ref.names(r) }) }
	for _, r := range have {
		if !named(r) {
			return false
		}
	}
	return !slices.ContainsFunc(refs, func(ref RoleRef) bool {
		return ref == (RoleRef{}) || !slices.ContainsFunc(have, ref.names)
	})
}

// given returns *p, or what there is where p is nil.
func given[T any](p *T, there T) T {
	if p == nil {
		return there
	}
	return *p
}
