package users

import (
	"context"
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"
)

// Permission is a set of things that a Caller may do in its application.
type Permission uint32

// The permissions. A privileged member that asks for what the caller would get
// anyway needs none.
const (
	// CreateUsers: create users with unprivileged members, and read by id what it created.
	CreateUsers Permission = 1 << iota
	// ReadUsers: read every user, and the list of roles.
	ReadUsers
	// ManageRoles: create and read roles.
	ManageRoles
	// AssignRoles: give new users the roles that Caller.Grant names, and no others.
	AssignRoles
	// AssignAnyRole: give new users every role, unless Caller.Grant names some.
	AssignAnyRole
	// SetStatus: isApproved and isLockedOut, on creation and later.
	SetStatus
	// GrantDashboard: allowDashboardAccess and dashboardSettings.
	GrantDashboard
	// ImportUsers: choose the id and the creationDate.
	ImportUsers
	// IssueTokens: make set-password tokens.
	IssueTokens
	// ReadNotifications: list notifications that wait or were given up, and retry them.
	ReadNotifications
	// All is every permission.
	All Permission = 1<<iota - 1
)

// MaxCallerID is the longest Caller.ID in bytes.
const MaxCallerID = 255

// Caller is who asks, as the host authenticated it. It travels in the context.
// A context without a Caller is the host itself and may do everything, unless
// Options.RequireCaller is set. The zero Caller may do nothing.
type Caller struct {
	// ID names the caller within its application: it scopes idempotency keys
	// and is remembered as User.CreatedBy. Callers that share an ID share
	// these; a caller with an empty ID can't read back what it created. At
	// most 255 bytes of UTF-8 without control characters.
	ID string
	// APIKey is the application to which the caller belongs. In any other it
	// is not authenticated.
	APIKey string
	// Allow is what it may do.
	Allow Permission
	// Grant names the roles it may give to new users, with AssignRoles or
	// AssignAnyRole. Empty: none with AssignRoles, all with AssignAnyRole.
	Grant []string
}

type callerKey struct{}

// WithCaller returns a context that carries c.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerFrom gives the Caller that ctx carries, if any.
func CallerFrom(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	return c, ok
}

// actor is a Caller that was found to belong to the application, or the host.
type actor struct {
	Caller
	host bool
}

// caller gives who acts on app: ErrUnauthenticated if it is of another application.
func (s *Service) caller(ctx context.Context, app Application) (actor, error) {
	c, ok := CallerFrom(ctx)
	switch {
	case !ok && s.opts.RequireCaller:
		return actor{}, ErrUnauthenticated
	case !ok:
		return actor{Caller: Caller{APIKey: app.APIKey, Allow: All}, host: true}, nil
	case c.APIKey != app.APIKey:
		return actor{}, ErrUnauthenticated
	case len(c.ID) > MaxCallerID || !printable(c.ID):
		return actor{}, fmt.Errorf("users: Caller.ID must be at most %d bytes of UTF-8 without control characters", MaxCallerID)
	}
	return actor{Caller: c}, nil
}

// authorize finds the application and who acts on it, and refuses an operation
// that needs more than the caller has. need 0 leaves the decision to the caller
// of authorize.
func (s *Service) authorize(ctx context.Context, apiKey string, need Permission) (Application, actor, error) {
	app, err := s.application(ctx, apiKey)
	if err != nil {
		return Application{}, actor{}, err
	}
	c, err := s.caller(ctx, app)
	if err != nil {
		return Application{}, actor{}, err
	}
	if app.Disabled || c.Allow&need != need {
		return Application{}, actor{}, &ForbiddenError{}
	}
	return app, c, nil
}

func (a actor) may(p Permission) bool { return a.Allow&p == p }

// scope names the owner of idempotency keys. The host's is no caller's.
func (a actor) scope() string {
	if a.host {
		return ""
	}
	return "caller:" + a.ID
}

// forbidden names the privileged members of p that ask for more than a may give,
// in the order of the contract's table. granted is what canGrant and
// resolveRoles said of its roles.
func (a actor) forbidden(app Application, p *CreateUserParams, granted bool) []string {
	var members []string
	refuse := func(member string, asked bool, need Permission) {
		if asked && !a.may(need) {
			members = append(members, member)
		}
	}
	refuse("allowDashboardAccess", p.AllowDashboardAccess, GrantDashboard)
	refuse("dashboardSettings", p.DashboardSettings != nil, GrantDashboard)
	refuse("creationDate", !p.CreationDate.IsZero(), ImportUsers)
	refuse("isApproved", p.IsApproved != nil && *p.IsApproved == app.RequireApproval, SetStatus)
	refuse("isLockedOut", p.IsLockedOut != nil && *p.IsLockedOut, SetStatus)
	if !granted {
		members = append(members, "roles")
	}
	refuse("id", p.ID != "", ImportUsers)
	return members
}

// grantsAny reports whether a may give every role.
func (a actor) grantsAny() bool { return len(a.Grant) == 0 && a.may(AssignAnyRole) }

// canGrant decides by names alone, before any role is looked up: a caller with
// a limited grant learns nothing about which other roles exist. References by
// id alone can be judged only among the granted roles; resolveRoles does.
func (a actor) canGrant(refs []RoleRef) bool {
	if len(refs) == 0 || a.grantsAny() {
		return true
	}
	if a.Allow&(AssignRoles|AssignAnyRole) == 0 || len(a.Grant) == 0 {
		return false
	}
	granted := roleKeys(a.Grant)
	for _, r := range refs {
		if r.Name == "" {
			continue
		}
		if key, err := roleNameKey(r.Name); err != nil || !slices.Contains(granted, key) {
			return false
		}
	}
	return true
}

func (a actor) seesAllRoles() bool {
	return a.Allow&(ManageRoles|ReadUsers) != 0 || a.grantsAny()
}

// visibleRoles gives the test for the roles that a may see.
func (a actor) visibleRoles() (func(Role) bool, error) {
	if a.seesAllRoles() {
		return func(Role) bool { return true }, nil
	}
	if a.Allow&(AssignRoles|AssignAnyRole) == 0 {
		return nil, &ForbiddenError{}
	}
	granted := roleKeys(a.Grant)
	return func(r Role) bool { return slices.Contains(granted, r.Name) }, nil
}

func printable(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}
