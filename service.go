package users

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/gousers/users/password"
)

// Service creates and reads users; it holds all policy. It is safe for
// concurrent use, unless [Service.InTx] made it, and starts no goroutines but those of an
// Import, which end with a batch.
type Service struct {
	store      Store
	opts       Options
	shapes     *shapeValidator
	maxPwBytes int  // the hasher's limit, 0 if it has none
	hostTx     bool // the host ends the transaction in which the store writes
	keepsBox   bool // there is an outbox; inside the host's transaction it does not show

	recoveries  *recoveries
	redemptions *flights // calls of SetPassword, by token
	dummy       *atomic.Pointer[password.Hash]

	// What the store can do beside what every store does; nil: it can't.
	outbox       OutboxStore
	tokens       TokenStore
	lister       UserLister
	editor       UserEditor
	roleEditor   RoleEditor
	applications ApplicationEditor
	logins       LoginStore
}

// Options configures a [Service]. The zero value is ready for production, in a
// program with one Service; several share one Gate. Functions must be safe for
// concurrent use.
type Options struct {
	// Hasher hashes passwords; nil: password.Default(), argon2id. The text of its
	// errors is never shown, as it saw the password; errors.Is and errors.As find them.
	Hasher password.Hasher
	// Legacy verifies the hashes that Hasher does not: those of users who came from another
	// system, see CreateUserParams.PasswordHash. At the user's first sign-in the Hasher makes a new
	// one. It is asked too about a password that is too long for the Hasher, see
	// password.ErrTooLong. nil: password.Legacy(). To verify no others, set it to the Hasher.
	Legacy password.Verifier
	// Gate bounds hashing, and with it the memory that hashing takes; nil: a new
	// gate with the defaults. Share one among all services of a process.
	Gate *password.Gate
	// Policy judges new passwords; nil: at least 15 characters and not easily guessed.
	// It learns the name and the apiKey of the application, and the user's names
	// and address.
	Policy *password.Policy
	// RequireCaller refuses contexts without a Caller with ErrUnauthenticated.
	// By default such a call is the host's own and has every permission. It does
	// not concern methods that ignore the Caller or are the host's alone.
	RequireCaller bool
	// TokenLifetime is how long a set-password token is good; 0: 24 hours. A
	// negative one is an error of New.
	TokenLifetime time.Duration
	// Lockout bounds guessing at passwords, for each user.
	Lockout Lockout
	// Now is the clock of what is dated, such as DateCreated; nil: time.Now. What
	// ends and what is due is judged by that of the Store.
	Now func() time.Time
	// NewID makes ids: ULIDs or UUIDs, never one twice; nil: ULIDs from crypto/rand.
	NewID func() (string, error)

	// Admit limits the operations that need no caller. It runs first in each call of
	// Authenticate, RecoverPassword and SetPassword, before the store is asked: in the same way
	// whether there is such an application or user, or not. Its error, such as a
	// *TooManyRequestsError, ends the call; see [HookError]. ctx is that of the call,
	// over HTTP the request's: what Admit must know of the client, such as its
	// address, a middleware around the handler puts there with [context.WithValue].
	// Anybody can make up what an Attempt holds: bound what is kept of it. nil: every
	// call is admitted.
	Admit func(ctx context.Context, a Attempt) error
	// BeforeCreate runs after the caller was authorized and before anything
	// is checked. It may amend p, or refuse with an error; see [HookError]. What
	// it sets is privileged to the same degree as what the caller sent; the
	// IdempotencyKey was taken before. It can run more than once for one user
	// (CheckCreate, Prepare, a retry) and outside of any transaction.
	BeforeCreate func(ctx context.Context, app Application, p *CreateUserParams) error
	// OnCreate runs inside the store's transaction, after the user was
	// written (sqlstore.TxFrom returns the transaction). Its error rolls
	// everything back; see [HookError]. It can run more than once where the
	// store retries an aborted transaction, and must not use the Service.
	OnCreate func(ctx context.Context, e CreateEvent) error
	// AfterCreate runs when the user is durable, before Create returns and with
	// its context, which may be done by then. It does not run for a repeated
	// idempotency key, nor inside the host's own transaction (see [Service.InTx]).
	// If the process dies in between it never runs: what must not be lost belongs
	// in OnCreate.
	AfterCreate func(ctx context.Context, e CreateEvent)
	// AfterSignIn runs when a password was judged, or was not because of a lock: in
	// Authenticate, whoever the login names, and in ChangePassword for an old password. It
	// runs before the call returns and with its context; what it takes is part of the
	// time of the answer, so let it do the same for everybody, and what takes
	// long elsewhere. It does not run for what ends in another error.
	AfterSignIn func(ctx context.Context, e SignInEvent)
	// AfterPasswordChange runs when another password of a user is durable, as AfterCreate
	// does: after SetPassword and ChangePassword, not when a hash is made anew. Whether the
	// user did it itself says the Caller in ctx.
	AfterPasswordChange func(ctx context.Context, e PasswordChangeEvent)
	// SilentPasswordChange: no message tells users of it who replace their password
	// themselves, in SetPassword or with the old one. By default one does (OWASP Forgot Password Cheat
	// Sheet), where the Store has an outbox: it is how a user learns that it was
	// somebody else. Set it where no relay runs.
	// ChangePasswordParams.SendEmailNotification stays as it is.
	SilentPasswordChange bool
	// ValidateDashboardSettings judges the content of dashboardSettings, once
	// they are known to be a JSON object within the limits. It refuses with a
	// *ValidationError whose pointers start inside of the settings ("/theme");
	// any other error ends Create as a [HookError].
	ValidateDashboardSettings func(ctx context.Context, app Application, raw json.RawMessage) error
}

// CreateEvent is what OnCreate and AfterCreate learn. It is the hook's own copy.
type CreateEvent struct {
	Application Application
	User        User
	Extra       map[string]json.RawMessage // see CreateUserParams.Extra
}

// SignInEvent is what AfterSignIn learns. It is the hook's own copy.
type SignInEvent struct {
	// Attempt is the call; Operation is OperationAuthenticate or
	// OperationChangePassword, which has no Login.
	Attempt
	Application Application // zero: none that takes sign-ins has this apiKey
	User        User        // as it was before; zero: nobody has this login
	// Err is the outcome: nil, ErrBadCredentials, ErrLockedOut or ErrNotApproved. The
	// call returns it, unless ctx ends before that.
	Err error
	// Failures is how many there are in a row now; 0 where the password was right, where
	// it was not judged, and for nobody.
	Failures int
	// Lock is how long the user is locked now because of this failure, by
	// Options.Lockout; 0: it is not.
	Lock time.Duration
	// Locked: because of a lock the password was not judged.
	Locked bool
	// UnknownHash: neither Options.Hasher nor Options.Legacy verifies the user's hash, so
	// that no password is right.
	UnknownHash bool
}

// PasswordChangeEvent is what AfterPasswordChange learns. It is the hook's own copy.
type PasswordChangeEvent struct {
	Operation   string // OperationSetPassword or OperationChangePassword
	Application Application
	User        User // as it is now, but for Version, which is that before
}

// HookError is an error that a hook of [Options] returned.
//
// A *ForbiddenError, a *ValidationError or a *TooManyRequestsError inside is the
// hook's refusal: over HTTP it is a 403 or a 400, whose sentences reach the client,
// or a 429 with its Retry-After. ErrUnavailable and the errors of a context become
// a 503. Any other error is a failure of the host, whatever class it matches: a 500,
// and the client learns nothing of it.
type HookError struct {
	Hook string // the field of Options, for example "OnCreate"; "Authenticator" is httpapi's
	Err  error
}

func (e *HookError) Error() string { return "users: " + e.Hook + ": " + e.Err.Error() }

// Unwrap returns the hook's own error.
func (e *HookError) Unwrap() error { return e.Err }

func hookError(hook string, err error) error {
	if err == nil {
		return nil
	}
	return &HookError{hook, err}
}

// New returns a Service on store. opts may be nil; it is copied. A nil store and
// an option that makes no sense are errors.
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
	if o.Legacy == nil {
		o.Legacy = password.Legacy()
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
	var err error
	if o.Lockout, err = o.Lockout.withDefaults(); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = newULID
	}

	s := &Service{opts: o, shapes: newShapeValidator(), redemptions: new(flights), dummy: new(atomic.Pointer[password.Hash]), recoveries: &recoveries{lines: newLines()}}
	if h, ok := o.Hasher.(interface{ MaxBytes() int }); ok {
		s.maxPwBytes = h.MaxBytes()
	}
	return s.WithStore(store), nil
}

// WithStore returns a Service that shares everything with s but uses store, such
// as a wrapper around the store of s. For a store inside a transaction of the
// host's own use [Service.InTx]. It panics if store is nil.
func (s *Service) WithStore(store Store) *Service {
	if store == nil {
		panic("users: WithStore: store is nil")
	}
	t := *s
	t.store, t.hostTx, t.recoveries = store, false, &recoveries{lines: s.recoveries.lines}
	t.outbox, t.keepsBox = StoreAs[OutboxStore](store)
	t.tokens, _ = StoreAs[TokenStore](store)
	t.lister, _ = StoreAs[UserLister](store)
	t.editor, _ = StoreAs[UserEditor](store)
	t.roleEditor, _ = StoreAs[RoleEditor](store)
	t.applications, _ = StoreAs[ApplicationEditor](store)
	t.logins, _ = StoreAs[LoginStore](store)
	return &t
}

// InTx returns a Service that shares everything with s but uses store, which
// writes inside a transaction of the host's own, as the one that sqlstore's
// WithTx returns does. What it writes becomes durable when the host commits; so
// it does not run AfterCreate and AfterPasswordChange, also where store commits by
// itself after all, as memstore does, and it judges no password: see Authenticate. Like
// the transaction it is for one goroutine. It panics if store is nil.
func (s *Service) InTx(store Store) *Service {
	t := s.WithStore(store)
	t.hostTx, t.keepsBox = true, s.keepsBox
	return t
}

// Overloaded reports whether a new user of this application would be refused now
// because the hashing queue is full, and when to retry. It is cheap: ask it before
// reading a request. Setting a password has a share of the queue of its own and is
// judged after its token, by SetPassword alone.
func (s *Service) Overloaded(apiKey string) (retryAfter time.Duration, overloaded bool) {
	return s.opts.Gate.Overloaded(apiKey)
}

// Purge deletes up to limit idempotency records and tokens that have expired,
// of all applications, and returns how many. A relay calls it; without a relay,
// call it periodically. A Caller in ctx is ErrForbidden.
func (s *Service) Purge(ctx context.Context, limit int) (int, error) {
	if _, ok := CallerFrom(ctx); ok {
		return 0, &ForbiddenError{}
	}
	n, err := s.store.Purge(ctx, limit)
	if err != nil {
		return n, fmt.Errorf("users: purge: %w", err)
	}
	return n, nil
}

// Page asks for a part of a list.
type Page struct {
	// After is the Next of the page before; empty: from the start. Callers of a
	// Service treat it as opaque; for a Store it is the last ID of that page.
	After string
	// Limit is the most elements wanted. For a Service it is at most MaxPage
	// (more is a *ValidationError) and 0 means DefaultPage; for a Store 0 means all.
	Limit int
}

// Limits of a list.
const (
	DefaultPage = 100
	MaxPage     = 1000
)

func (p Page) checked() (Page, error) {
	var f faults
	if p.Limit < 0 || p.Limit > MaxPage {
		f.add(FieldError{Pointer: "/limit", Code: "invalid_limit", Detail: fmt.Sprintf("must be between 1 and %d", MaxPage), Limit: MaxPage})
	}
	if p.Limit == 0 {
		p.Limit = DefaultPage
	}
	if p.After != "" {
		id, ok := parseID(p.After)
		if !ok {
			f.add(FieldError{Pointer: "/after", Code: "invalid_after", Detail: "must be taken from the page before"})
		}
		p.After = id
	}
	return p, f.err()
}

// cut returns the page's elements of rows, which were asked for with one more
// than p.Limit, and the cursor of the next page; empty if this is the last.
func cut[T any](rows []T, p Page, id func(T) string) (page []T, next string) {
	if len(rows) <= p.Limit {
		return rows, ""
	}
	return rows[:p.Limit], id(rows[p.Limit-1])
}

// more asks for one element beyond the page, to learn whether there is a next.
func (p Page) more() Page { return Page{p.After, p.Limit + 1} }

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
		return "", errors.New("users: Options.NewID returned neither a ULID nor a UUID")
	}
	return canonical, nil
}
