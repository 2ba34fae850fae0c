package users

import (
	"encoding/json"
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

	// EmailVerified is when it was proved that the user gets mail at Email, by the use
	// of a token that was sent there; zero: not yet.
	EmailVerified time.Time `json:"-"`
	// PasswordChanged is when the password was set; zero: never. A session that is older
	// is one of an earlier password.
	PasswordChanged time.Time `json:"-"`
	// LastLogin is when Authenticate last let the user in; zero: never. In what
	// Authenticate itself returns it is the time before.
	LastLogin time.Time `json:"-"`
	// Version counts changes, from 1; sign-ins are none. See UserChange.IfVersion.
	Version int64 `json:"-"`
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
	// it, byte for byte. Both are required unless there is AutoCreatePassword or PasswordHash.
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
	// PasswordHash is a hash of the user's password that another system made, or the
	// Hasher of this one, in place of Password and ConfirmPassword. It is what Options.Hasher or
	// Options.Legacy takes, and at most 1,024 bytes; Options.Policy can't judge it. Where it is
	// not as the Hasher would make it, the user's first sign-in replaces it. A password that
	// is not UTF-8 or longer than password.MaxTextBytes matches none. Needs ImportUsers.
	PasswordHash password.Hash `json:"-"`
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
