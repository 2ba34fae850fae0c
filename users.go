package users

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gousers/users/password"
)

// User is a user of one application. Its JSON has the members that an HTTP
// response shows, without links; see [Form] for those.
type User struct {
	ID       string `json:"id"`
	UserName string `json:"userName"` // as it was given
	Email    string `json:"email"`    // as it was given; mail goes to this address only
	Name     string `json:"name,omitempty"`

	IsApproved  bool `json:"isApproved"`
	IsLockedOut bool `json:"isLockedOut"`

	// Roles are the user's roles in order of ID; never nil in what a Service returns.
	Roles []Role `json:"roles"`

	// CreationDate is when the account came to be, which may be long before
	// DateCreated if it was imported. All times are UTC to the microsecond.
	CreationDate time.Time `json:"creationDate"`
	DateCreated  time.Time `json:"dateCreated"`
	DateUpdated  time.Time `json:"dateUpdated"`

	AllowDashboardAccess bool            `json:"-"`
	DashboardSettings    json.RawMessage `json:"-"` // byte for byte as given; nil if none
	CreatedBy            string          `json:"-"` // Caller.ID; empty if the host itself
}

// CreateUserParams is what Create takes. Decoding JSON into it binds only the
// members that ask for nothing privileged; the others are set in Go.
type CreateUserParams struct {
	// UserName is the login name: at most 256 characters, unique in the
	// application after PRECIS UsernameCaseMapped (RFC 8265 section 3.3) and
	// with all its case variants, but for ß, which is not ss. One with an "@" must be the user's own e-mail address; one that reads as an
	// id is refused.
	UserName string `json:"userName"`
	// Email is unique in the application; at most 254 bytes (RFC 5321 section 4.5.3.1.3).
	Email string `json:"email"`
	// Password is judged by Options.Policy. ConfirmPassword must be equal to
	// it, byte for byte. Both are required unless AutoCreatePassword.
	Password        password.Secret `json:"password"`
	ConfirmPassword password.Secret `json:"confirmPassword"`
	// Name is the display name; at most 256 characters. A blank one is none.
	Name string `json:"name"`
	// AutoCreatePassword creates a user without a usable password. With
	// SendEmailNotification a one-time link to set one is sent; without it the
	// user has to ask for one (RecoverPassword), or the host delivers a token
	// (IssueSetPasswordToken). It excludes Password.
	AutoCreatePassword bool `json:"autoCreatePassword"`
	// SendEmailNotification tells the user that the account exists or, with
	// AutoCreatePassword, sends the link. It needs a Store with an outbox;
	// otherwise Create returns ErrUnsupported.
	SendEmailNotification bool `json:"sendEmailNotification"`

	// ID is a ULID or UUID; if it is empty or zeros of any number, Options.NewID makes one.
	// Needs ImportUsers.
	ID string `json:"-"`
	// Roles names existing roles, at most 100. Needs AssignRoles or AssignAnyRole.
	Roles []RoleRef `json:"-"`
	// IsApproved nil means true, or false where the application requires
	// approval. Another value needs SetStatus.
	IsApproved *bool `json:"-"`
	// IsLockedOut nil means false. True needs SetStatus.
	IsLockedOut *bool `json:"-"`
	// AllowDashboardAccess needs GrantDashboard, as does DashboardSettings.
	AllowDashboardAccess bool `json:"-"`
	// DashboardSettings is any JSON object of at most 64 KiB and 20 levels,
	// kept byte for byte.
	DashboardSettings json.RawMessage `json:"-"`
	// CreationDate zero means now. Needs ImportUsers. Years 1 to 9999.
	CreationDate time.Time `json:"-"`
	// IdempotencyKey makes Create repeatable: within 24 hours the same caller
	// gets the same user for the same key and parameters (the password left
	// out), and ErrIdempotencyMismatch for others. Parameters are the same if they
	// ask for the same: the order of roles and of members of JSON does not count,
	// nor does a value that stands for the default. A refused request does not
	// use the key up. 1 to 255 printing ASCII characters; empty: none. It needs the
	// host or a Caller with an ID.
	IdempotencyKey string `json:"-"`

	// Extra holds members of the request that the contract does not know, as
	// JSON, for the host's hooks: package httpapi fills it with those that its
	// Options.ExtraMembers names. The Service passes it on and never reads it,
	// but for telling whether a repeated IdempotencyKey has the same parameters. It
	// prints, and a digest of it is stored with that key: it is not for secrets.
	Extra map[string]json.RawMessage `json:"-"`
}

// User returns the user whose id or, failing that, user name is ref. A caller
// without ReadUsers may read by id the users that it created; anything else is
// ErrForbidden to it, whether it exists or not.
func (s *Service) User(ctx context.Context, apiKey, ref string) (*User, error) {
	app, c, err := s.authorize(ctx, apiKey, 0)
	if err != nil {
		return nil, err
	}
	q := UserQuery{ApplicationID: app.ID}
	id, isID := parseID(ref)
	ownOnly := !c.may(ReadUsers)
	if ownOnly && (!isID || !c.may(CreateUsers) || c.ID == "") {
		return nil, &ForbiddenError{}
	}
	if isID {
		q.IDs = []string{id}
	} else {
		key, err := loginKey(ref)
		if err != nil {
			return nil, ErrNotFound
		}
		q.NameKeys = []string{key}
	}
	recs, err := s.findUsers(ctx, q)
	if err != nil {
		return nil, err
	}
	if ownOnly && (len(recs) == 0 || recs[0].CreatedBy != c.ID) {
		return nil, &ForbiddenError{}
	}
	if len(recs) == 0 {
		return nil, ErrNotFound
	}
	return answer(recs[0].User), nil
}

// Status is what SetStatus changes; nil members stay as they are. An empty one
// changes nothing but the user's version.
type Status struct{ IsApproved, IsLockedOut *bool }

// SetStatus approves, disapproves, locks or unlocks the user with this id and
// returns the user as it then is. It needs the permission SetStatus. Inside the
// host's own transaction it can be ErrStale: another writer's change is not
// visible there; roll back and retry.
func (s *Service) SetStatus(ctx context.Context, apiKey, id string, st Status) (*User, error) {
	app, _, err := s.authorize(ctx, apiKey, SetStatus)
	if err != nil {
		return nil, err
	}
	key, ok := parseID(id)
	if !ok {
		return nil, ErrNotFound
	}
	for tried := int64(0); ; {
		recs, err := s.findUsers(ctx, UserQuery{ApplicationID: app.ID, IDs: []string{key}})
		if err != nil {
			return nil, err
		}
		if len(recs) == 0 {
			return nil, ErrNotFound
		}
		u, version := recs[0].User, recs[0].Version
		// A snapshot of the host's transaction shows one version forever.
		if version == tried {
			return nil, fmt.Errorf("users: set status: %w", ErrStale)
		}
		tried = version
		if st.IsApproved != nil {
			u.IsApproved = *st.IsApproved
		}
		if st.IsLockedOut != nil {
			u.IsLockedOut = *st.IsLockedOut
		}
		u.DateUpdated = s.now()
		err = s.store.SetUserStatus(ctx, StatusUpdate{
			ApplicationID: app.ID, ID: u.ID, IfVersion: version,
			IsApproved: st.IsApproved, IsLockedOut: st.IsLockedOut, DateUpdated: u.DateUpdated,
		})
		switch {
		case err == nil:
			return answer(u), nil
		case !errors.Is(err, ErrStale):
			return nil, fmt.Errorf("users: set status: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("users: set status: %w", err)
		}
	}
}

func (s *Service) findUsers(ctx context.Context, q UserQuery) ([]UserRecord, error) {
	recs, err := s.store.FindUsers(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("users: find user: %w", err)
	}
	return recs, nil
}

// loginKey is the key under which a name or an address is found. Not every
// address can be a name.
func loginKey(login string) (string, error) {
	if key, err := userNameKey(login); err == nil {
		return key, nil
	}
	return emailKey(login)
}

// answer returns u in the form that callers get: roles never nil.
func answer(u User) *User {
	if u.Roles == nil {
		u.Roles = []Role{}
	}
	return &u
}
