package users

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Permissions is a set of things that a [Caller] may do in its application. The
// values are stable. Its text form is the names below, separated by spaces:
// "CreateUsers AssignRoles".
type Permissions uint32

// The permissions. A privileged member that asks for what the caller would get
// anyway needs none.
const (
	// CreateUsers: create users with unprivileged members, and read by id what it created.
	CreateUsers Permissions = 1 << iota
	// ReadUsers: find and read every user, and the list of roles.
	ReadUsers
	// ManageRoles: create, read, change and delete roles. It undoes what roles protect,
	// as by another name or none: it is for those who may have any role.
	ManageRoles
	// AssignRoles: give users the roles in Caller.AssignableRoles, and no others.
	AssignRoles
	// AssignAnyRole: give users every role.
	AssignAnyRole
	// SetStatus: isApproved and isLockedOut, on creation and later of users that the
	// caller governs.
	SetStatus
	// GrantDashboard: allowDashboardAccess and dashboardSettings.
	GrantDashboard
	// ImportUsers: choose the id, the creationDate and the hash of the password, which no
	// policy has judged; import users, see Service.Import.
	ImportUsers
	// IssueTokens: make set-password tokens for users that the caller governs.
	IssueTokens
	// ManageNotifications: list notifications that are pending or discarded, and retry them.
	ManageNotifications
	// EditUsers: change userName, email and name of users that the caller governs.
	EditUsers
	// DeleteUsers: delete users that the caller governs.
	DeleteUsers
	// SetPasswords: change the passwords of users that the caller governs.
	SetPasswords
	// AllPermissions is every permission of this version; later ones have more. Store a
	// caller's permissions by name.
	AllPermissions Permissions = 1<<iota - 1
)

// permissionNames are in the order of the bits.
var permissionNames = [...]string{
	"CreateUsers", "ReadUsers", "ManageRoles", "AssignRoles", "AssignAnyRole",
	"SetStatus", "GrantDashboard", "ImportUsers", "IssueTokens", "ManageNotifications",
	"EditUsers", "DeleteUsers", "SetPasswords",
}

// ParsePermissions returns the permissions that s names, separated by white
// space, in any order. An empty s is none.
func ParsePermissions(s string) (Permissions, error) {
	var p Permissions
	for name := range strings.FieldsSeq(s) {
		at := slices.Index(permissionNames[:], name)
		if at < 0 {
			return 0, fmt.Errorf("users: unknown permission %q", name)
		}
		p |= 1 << at
	}
	return p, nil
}

// String returns the names in p, separated by spaces, and what this version does
// not know as a number.
func (p Permissions) String() string {
	var names []string
	for i, name := range permissionNames {
		if p&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if unknown := p &^ AllPermissions; unknown != 0 {
		names = append(names, fmt.Sprintf("%#x", uint32(unknown)))
	}
	return strings.Join(names, " ")
}

// MarshalText returns the names in p, as ParsePermissions reads them. A bit that
// has none is an error.
func (p Permissions) MarshalText() ([]byte, error) {
	if unknown := p &^ AllPermissions; unknown != 0 {
		return nil, fmt.Errorf("users: unknown permissions %#x", uint32(unknown))
	}
	return []byte(p.String()), nil
}

// UnmarshalText sets p to what ParsePermissions returns.
func (p *Permissions) UnmarshalText(b []byte) error {
	parsed, err := ParsePermissions(string(b))
	if err == nil {
		*p = parsed
	}
	return err
}

// MaxCallerID is the longest Caller.ID in bytes.
const MaxCallerID = 255

// Caller identifies who makes a request, as the host authenticated it. It travels
// in the context. A call without a Caller is the host's own and has every
// permission, unless Options.RequireCaller is set. The zero Caller may do nothing.
type Caller struct {
	// ID names the caller within its application: it scopes idempotency keys
	// and is remembered as User.CreatedBy. Callers that share an ID share these;
	// the host shares with none. With an empty one a caller can't read back what it
	// created, and an idempotency key from it is a *ValidationError. At most 255
	// bytes of UTF-8 without control characters; otherwise every call fails.
	ID string
	// APIKey is the application to which the caller belongs. In any other, and
	// without it, the caller is ErrUnauthenticated.
	APIKey string
	// Permissions is what it may do.
	Permissions Permissions
	// AssignableRoles are the roles that it may give to users with AssignRoles;
	// AssignAnyRole does not need them. One named by ID stays assignable when it
	// is renamed, one named by Name is whatever bears the name.
	AssignableRoles []RoleRef
	// UserID is the id of the user that the caller is; empty: none. It may read
	// itself and, with its old password, change its own.
	UserID string
}

type callerKey struct{}

// WithCaller returns a context that carries c.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerFrom returns the Caller that ctx carries, if any.
func CallerFrom(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	return c, ok
}

// actor is a Caller that was found to belong to the application, or the host.
type actor struct {
	Caller
	host bool
}

// caller returns who acts on app: ErrUnauthenticated if it is of another application.
func (s *Service) caller(ctx context.Context, app Application) (actor, error) {
	c, ok := CallerFrom(ctx)
	switch {
	case !ok && s.opts.RequireCaller:
		return actor{}, ErrUnauthenticated
	case !ok:
		return actor{Caller: Caller{APIKey: app.APIKey, Permissions: AllPermissions}, host: true}, nil
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
func (s *Service) authorize(ctx context.Context, apiKey string, need Permissions) (Application, actor, error) {
	app, err := s.application(ctx, apiKey)
	if err != nil {
		return Application{}, actor{}, err
	}
	c, err := s.caller(ctx, app)
	if err != nil {
		return Application{}, actor{}, err
	}
	if app.Disabled || c.Permissions&need != need {
		return Application{}, actor{}, &ForbiddenError{}
	}
	return app, c, nil
}

// governs reports whether a may act on u: nobody acts on somebody who may more.
// Otherwise whoever may edit addresses could take over an administrator's account by
// a recovery message.
func (a actor) governs(u *User) bool {
	g := a.assignable()
	return (!u.AllowDashboardAccess || a.may(GrantDashboard)) &&
		!slices.ContainsFunc(u.Roles, func(r Role) bool { return !g.covers(r) })
}

// is reports whether the user with this id is the caller.
func (a actor) is(id string) bool {
	own, ok := parseID(a.UserID)
	return ok && own == id
}

func (a actor) may(p Permissions) bool { return a.Permissions&p == p }

// scope names the owner of idempotency keys. The host's is no caller's.
func (a actor) scope() string {
	if a.host {
		return ""
	}
	return "caller:" + a.ID
}

// createMember is a member of the request that creates a user.
type createMember struct {
	name string
	need Permissions // where asks is set
	asks func(Application, *CreateUserParams) bool
	inGo bool // no member of POST users
}

// createMembers is the contract's table, with what only Go has beside it: the members in
// order and, of the privileged ones, the permission and when it is needed. Roles are a rule of
// their own; see resolveRoles.
var createMembers = [...]createMember{
	{name: "userName"},
	{name: "email"},
	{name: "password"},
	{name: "confirmPassword"},
	{name: "passwordHash", inGo: true, need: ImportUsers, asks: func(_ Application, p *CreateUserParams) bool { return !p.PasswordHash.IsZero() }},
	{name: "autoCreatePassword"},
	{name: "sendEmailNotification"},
	{name: "allowDashboardAccess", need: GrantDashboard, asks: func(_ Application, p *CreateUserParams) bool { return p.AllowDashboardAccess }},
	{name: "dashboardSettings", need: GrantDashboard, asks: func(_ Application, p *CreateUserParams) bool { return p.DashboardSettings != nil }},
	{name: "creationDate", need: ImportUsers, asks: func(_ Application, p *CreateUserParams) bool { return !p.CreationDate.IsZero() }},
	{name: "isApproved", need: SetStatus, asks: func(app Application, p *CreateUserParams) bool {
		return p.IsApproved != nil && *p.IsApproved == app.RequireApproval
	}},
	{name: "isLockedOut", need: SetStatus, asks: func(_ Application, p *CreateUserParams) bool { return p.IsLockedOut != nil && *p.IsLockedOut }},
	{name: "name"},
	{name: "roles"},
	{name: "dateCreated"},
	{name: "dateUpdated"},
	{name: "id", need: ImportUsers, asks: func(_ Application, p *CreateUserParams) bool { return p.ID != "" }},
	{name: "embed"},
}

// CreateMembers returns the names of the members of the request to create a user
// (POST users), in the order of the API document. In this order a
// *ValidationError and a *ForbiddenError name them.
func CreateMembers() []string {
	var names []string
	for _, m := range createMembers {
		if !m.inGo {
			names = append(names, m.name)
		}
	}
	return names
}

// forbidden names the privileged members of p that ask for more than a may give,
// in the order of the contract's table. granted is what resolveRoles said of its
// roles.
func (a actor) forbidden(app Application, p *CreateUserParams, granted bool) []string {
	var members []string
	for _, m := range createMembers {
		if m.name == "roles" && !granted || m.asks != nil && m.asks(app, p) && !a.may(m.need) {
			members = append(members, m.name)
		}
	}
	return members
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
