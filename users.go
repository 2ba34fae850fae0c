package users

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gousers/users/password"
)

// User is a user of one application. Members that are not part of an answer
// are not part of its JSON.
type User struct {
	ID       string `json:"id"`
	UserName string `json:"userName"` // as it was given
	Email    string `json:"email"`    // as it was given; mail goes to this address only
	Name     string `json:"name,omitempty"`

	IsApproved  bool `json:"isApproved"`
	IsLockedOut bool `json:"isLockedOut"`

	// Roles are the user's roles in order of ID; never nil in an answer.
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
	// application after PRECIS UsernameCaseMapped (RFC 8265 section 3.3). One
	// with an "@" must be the user's own e-mail address; one that reads as an
	// id is refused.
	UserName string `json:"userName"`
	// Email is unique in the application; at most 254 bytes (RFC 5321 section 4.5.3.1.3).
	Email string `json:"email"`
	// Password is judged by Options.Policy. ConfirmPassword must be equal to
	// it, byte for byte. Both are required unless AutoCreatePassword.
	Password        password.Text `json:"password"`
	ConfirmPassword password.Text `json:"confirmPassword"`
	// Name is the display name; at most 256 characters.
	Name string `json:"name"`
	// AutoCreatePassword makes a user without a usable password, who sets one
	// by a one-time link. It excludes Password.
	AutoCreatePassword bool `json:"autoCreatePassword"`
	// SendEmailNotification tells the user that the account exists or, with
	// AutoCreatePassword, sends the link.
	SendEmailNotification bool `json:"sendEmailNotification"`

	// ID is a ULID or UUID; empty or all zeros: one is made. Needs ImportUsers.
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
	// out), and ErrIdempotencyMismatch for others. A refused request does not
	// use the key up. 1 to 255 printing ASCII characters; empty: none.
	IdempotencyKey string `json:"-"`

	// prehash gives the hash that PreHash made, good for that password alone.
	// It is a function because fmt looks through a pointer where the verb does
	// not fit it, and shows the hash in an unexported field.
	prehash func(password.Text) (password.Hash, bool)
}

// Service creates and reads users; it holds all policy. It is safe for
// concurrent use and starts no goroutines.
type Service struct {
	store      Store
	opts       Options
	shapes     *shapeValidator
	maxPwBytes int  // the hasher's limit, 0 if it has none
	hostTx     bool // the store writes inside a transaction that the host ends
}

// Options configures a Service. The zero value is ready for production.
type Options struct {
	// Hasher hashes passwords; nil: password.Default(), argon2id. The text of its
	// errors is never shown, as it saw the password; errors.Is and errors.As find them.
	Hasher password.Hasher
	// Gate bounds hashing; nil: one gate with the defaults. Share one gate
	// among all services of a process.
	Gate *password.Gate
	// Policy judges new passwords; nil: at least 15 characters and not easily guessed.
	Policy *password.Policy
	// RequireCaller refuses contexts without a Caller with ErrUnauthenticated.
	// By default they are the host itself, which may do everything.
	RequireCaller bool
	// TokenLifetime is how long a set-password token is good; 0: 24 hours.
	TokenLifetime time.Duration
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// NewID makes ids: ULIDs or UUIDs, never one twice; nil: ULIDs from crypto/rand.
	NewID func() (string, error)

	// BeforeCreate runs after the caller was authorised and before anything
	// is checked. It may amend p, or veto with an error, which Create returns
	// wrapped. What it sets is privileged to the same degree as what the
	// caller sent; the IdempotencyKey was taken before. It can run more than
	// once for one user (CheckCreate, PreHash, a retry) and outside of any
	// transaction.
	BeforeCreate func(ctx context.Context, app Application, p *CreateUserParams) error
	// OnCreate runs inside the store's transaction, after the user was
	// written (sqlstore.TxFrom gives the transaction). Its error undoes
	// everything and is returned wrapped. It can run more than once where the
	// store repeats an aborted transaction, and must not use the Service.
	OnCreate func(ctx context.Context, u User) error
	// AfterCreate runs when the user is durable, not for a replay, and not
	// inside the host's own transaction (see HostTx). If the process dies in
	// between it is never run: what must not be lost belongs in OnCreate.
	AfterCreate func(ctx context.Context, u User)
	// ValidateDashboardSettings judges the content of dashboardSettings, once
	// they are known to be a JSON object within the limits. It refuses with a
	// *ValidationError whose pointers start inside of the settings ("/theme");
	// any other error ends Create and is returned wrapped.
	ValidateDashboardSettings func(ctx context.Context, app Application, raw json.RawMessage) error
}

// New makes a Service on store. opts may be nil; it is copied.
func New(store Store, opts *Options) (*Service, error) {
	if store == nil {
		return nil, errors.New("users: New: store is nil")
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Hasher == nil {
		o.Hasher = password.Default()
	}
	if o.Gate == nil {
		gate, err := password.NewGate(nil)
		if err != nil {
			return nil, fmt.Errorf("users: New: Gate: %w", err)
		}
		o.Gate = gate
	}
	if o.Policy == nil {
		o.Policy = &password.Policy{}
	}
	if o.TokenLifetime < 0 {
		return nil, errors.New("users: New: TokenLifetime is negative")
	}
	if o.TokenLifetime == 0 {
		o.TokenLifetime = DefaultTokenLifetime
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = newULID
	}
	s := &Service{opts: o, shapes: newShapeValidator()}
	if h, ok := o.Hasher.(interface{ MaxBytes() int }); ok {
		s.maxPwBytes = h.MaxBytes()
	}
	return s.WithStore(store), nil
}

// WithStore gives a Service that shares everything with s but writes to store:
// a transaction of the host's, for example. The rules stay the same.
func (s *Service) WithStore(store Store) *Service {
	t := *s
	t.store = store
	_, t.hostTx = store.(HostTx)
	return &t
}

// Busy reports whether a password of this application would be refused now
// because the hashing queue is full, and when to try again. It is cheap: ask
// it before reading a request.
func (s *Service) Busy(apiKey string) (retryAfter time.Duration, busy bool) {
	return s.opts.Gate.Busy(apiKey)
}

// User gives the user whose id or, failing that, user name is ref. A caller
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

// Status is a change of a user's standing; nil members stay as they are.
type Status struct{ IsApproved, IsLockedOut *bool }

// SetStatus approves, disapproves, locks or unlocks the user with this id and
// returns it as it then is. It needs the permission SetStatus. ErrStale means
// that another writer's change can't be seen from the host's own transaction,
// which must be repeated.
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
		// A snapshot of the host's transaction shows one version for ever.
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
		err = s.store.UpdateUser(ctx, UserUpdate{
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

// Page asks for a part of a listing.
type Page struct {
	// After is the ID of the last element of the page before; empty: from the start.
	After string
	// Limit is the most elements wanted, up to MaxPage; 0: DefaultPage.
	Limit int
}

// Limits of a listing.
const (
	DefaultPage = 100
	MaxPage     = 1000
)

func (p Page) checked() (Page, error) {
	var fields []FieldError
	if p.Limit < 0 || p.Limit > MaxPage {
		fields = append(fields, FieldError{"", "invalid_limit", fmt.Sprintf("limit must be between 1 and %d", MaxPage)})
	}
	if p.Limit == 0 {
		p.Limit = DefaultPage
	}
	if p.After != "" {
		id, ok := parseID(p.After)
		if !ok {
			fields = append(fields, FieldError{"", "invalid_after", "after must be an id"})
		}
		p.After = id
	}
	if len(fields) > 0 {
		return Page{}, &ValidationError{fields}
	}
	return p, nil
}

func (s *Service) findUsers(ctx context.Context, q UserQuery) ([]UserRecord, error) {
	recs, err := s.store.FindUsers(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("users: find user: %w", err)
	}
	return recs, nil
}

func (s *Service) now() time.Time { return microseconds(s.opts.Now()) }

// microseconds is the precision that every store keeps.
func microseconds(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func (s *Service) newID() (string, error) {
	id, err := s.opts.NewID()
	if err != nil {
		return "", fmt.Errorf("users: Options.NewID: %w", err)
	}
	canonical, ok := parseID(id)
	if !ok || isZeroID(canonical) {
		return "", errors.New("users: Options.NewID gave neither a ULID nor a UUID")
	}
	return canonical, nil
}

// answer gives u in the form that callers get: roles never nil.
func answer(u User) *User {
	if u.Roles == nil {
		u.Roles = []Role{}
	}
	return &u
}
