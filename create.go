package users

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Create creates a user of the application with this apiKey, durably and all at
// once: the user, its credential, its roles, its notification and its
// idempotency record. It needs the permission CreateUsers.
//
// When it returns nil, all of that is durable. A *ValidationError (every
// invalid member), a *ForbiddenError (every privileged member without
// permission), a *ConflictError (every member that is taken), ErrOverloaded,
// ErrIdempotencyMismatch, ErrUnauthenticated and ErrUnknownApplication mean
// that nothing was written, and so does ErrNotFound: the user that this
// IdempotencyKey created, or a role of p, was deleted meanwhile. After any other
// error the user may or may not exist: repeat the call with the same
// IdempotencyKey to find out.
//
// Create waits for the store and for the hash, never for a notification. It
// honors ctx at every step but inside a running hash. Create is safe for
// concurrent use; of concurrent calls for one name or address exactly one wins.
func (s *Service) Create(ctx context.Context, apiKey string, p CreateUserParams) (*User, error) {
	c, err := s.begin(ctx, apiKey, p) // application, caller, BeforeCreate, keys
	if err != nil {
		return nil, err
	}
	if u, err := s.repeated(ctx, c); u != nil || err != nil {
		return u, err
	}
	if err := s.check(ctx, c); err != nil { // every member, permissions, roles
		return nil, err
	}
	if err = s.checkTaken(ctx, c); err == nil {
		if err = s.hash(ctx, c); err == nil {
			err = s.insert(ctx, c)
		}
	}
	return s.finish(ctx, c, err)
}

// CheckCreate reports what Create would refuse in p before it looks at other
// users: a *ValidationError, a *ForbiddenError or what comes before them. It
// hashes nothing, writes nothing and does not say whether a name is free.
func (s *Service) CheckCreate(ctx context.Context, apiKey string, p CreateUserParams) error {
	c, err := s.begin(ctx, apiKey, p)
	if err != nil {
		return err
	}
	return s.check(ctx, c)
}

// Prepared is a user that was checked and whose password was hashed, ready to be
// created. It prints nothing of what it holds. It is immutable and shares nothing
// with the parameters: it may be used again when the host retries its transaction.
type Prepared struct {
	// A function, because fmt looks through a pointer where the verb does not
	// fit it, and would show the hash in an unexported field.
	creation func() creation
}

// Prepare does what Create does before it writes: it finds the application,
// authorizes the caller, runs BeforeCreate, checks every member and hashes the
// password, so that a transaction of the host's holds no connection meanwhile. It
// does not look whether a name is taken. [Service.CreatePrepared] then creates
// the user.
func (s *Service) Prepare(ctx context.Context, apiKey string, p CreateUserParams) (*Prepared, error) {
	c, err := s.begin(ctx, apiKey, p.clone())
	if err != nil {
		return nil, err
	}
	u, err := s.repeated(ctx, c)
	if err != nil {
		return nil, err
	}
	if c.known = u != nil; !c.known {
		if err := s.check(ctx, c); err != nil {
			return nil, err
		}
		if err := s.hash(ctx, c); err != nil {
			return nil, err
		}
	}
	return &Prepared{func() creation { return *c }}, nil
}

// CreatePrepared creates the user that [Service.Prepare] checked, with the
// promises of Create. The application and the caller are those of Prepare, as
// they were then, whatever ctx carries. It is for [Service.InTx]:
//
//	prepared, err := svc.Prepare(ctx, apiKey, p)
//	…begin…
//	u, err := svc.InTx(store.WithTx(tx)).CreatePrepared(ctx, prepared)
//	…commit…
func (s *Service) CreatePrepared(ctx context.Context, p *Prepared) (*User, error) {
	if p == nil || p.creation == nil {
		return nil, errors.New("users: CreatePrepared: nothing was prepared")
	}
	c := p.creation()
	s.date(&c)
	if u, err := s.repeated(ctx, &c); u != nil || err != nil {
		return u, err
	}
	if c.known { // its record expired since: nothing of c was checked
		return nil, fmt.Errorf("users: create user: %w", ErrIdempotencyKeyUsed)
	}
	return s.finish(ctx, &c, s.insert(ctx, &c))
}

// finish answers for a creation that was written, or failed with err.
func (s *Service) finish(ctx context.Context, c *creation, err error) (*User, error) {
	var hook *HookError
	if (errors.Is(err, ErrConflict) || errors.Is(err, ErrIdempotencyKeyUsed)) && !errors.As(err, &hook) {
		// A concurrent request with the same key may have caused the conflict.
		if u, err := s.repeated(ctx, c); u != nil || err != nil {
			return u, err
		}
	}
	if err != nil {
		return nil, err
	}

	if s.opts.AfterCreate != nil && !s.hostTx {
		s.opts.AfterCreate(ctx, c.created())
	}
	return answer(c.user()), nil
}

// creation is the state of one call to Create.
type creation struct {
	app         Application
	actor       actor
	params      CreateUserParams                                 // private copy; BeforeCreate may have amended it
	faults      faults                                           // what normalizing found
	idempotency *IdempotencyRecord                               // nil without an idempotency key
	otherPrint  [sha256.Size]byte                                // see fingerprints
	known       bool                                             // Prepare found a user with this idempotency key
	anyPassword bool                                             // the policy does not judge the password
	findRoles   func(context.Context, RoleQuery) ([]Role, error) // nil: the Service's
	record      UserRecord
}

// date makes c happen now.
func (s *Service) date(c *creation) {
	now, r := s.now(), &c.record
	r.DateCreated, r.DateUpdated = now, now
	if r.CreationDate = microseconds(c.params.CreationDate); c.params.CreationDate.IsZero() {
		r.CreationDate = now
	}
	if !c.params.Password.IsZero() || !c.params.PasswordHash.IsZero() {
		r.PasswordChanged = now
	}
}

// begin authorizes the call and starts the creation.
func (s *Service) begin(ctx context.Context, apiKey string, p CreateUserParams) (*creation, error) {
	app, actor, err := s.authorize(ctx, apiKey, CreateUsers)
	if err != nil {
		return nil, err
	}
	c := &creation{app: app, actor: actor}
	c.recognize(&p)
	return c, s.start(ctx, c, p)
}

// start runs BeforeCreate and computes the canonical keys.
func (s *Service) start(ctx context.Context, c *creation, p CreateUserParams) error {
	if s.opts.BeforeCreate != nil {
		p = p.clone() // what the hook changes in place stays out of the caller's values
		if err := s.opts.BeforeCreate(ctx, c.app, &p); err != nil {
			return hookError("BeforeCreate", err)
		}
	}

	c.params = p
	s.date(c)
	c.normalize()
	return nil
}

// check judges every member at once, then what the caller may ask for. Roles
// are looked up only for a caller who may grant them.
func (s *Service) check(ctx context.Context, c *creation) error {
	if err := s.validate(ctx, c); err != nil {
		return err
	}
	granted, err := s.resolveRoles(ctx, c)
	if err != nil {
		return err
	}
	c.faults.sort()
	if err := c.faults.err(); err != nil {
		return err
	}
	if members := c.actor.forbidden(c.app, &c.params, granted); len(members) > 0 {
		return &ForbiddenError{Members: members}
	}
	// Whether a store inside the host's transaction keeps an outbox, only it knows.
	if c.params.SendEmailNotification && s.outbox == nil && !s.hostTx {
		return fmt.Errorf("%w; inside a transaction of your own, use Service.InTx", errNoOutbox)
	}
	if c.params.SendEmailNotification && c.params.AutoCreatePassword && s.tokens == nil && !s.hostTx {
		return errNoTokens // the message is a link with a token
	}
	return c.fill(s)
}

// fill makes the record that the store gets.
func (c *creation) fill(s *Service) (err error) {
	p, r := &c.params, &c.record
	if r.ID = p.ID; r.ID == "" {
		if r.ID, err = s.newID(); err != nil {
			return err
		}
	}
	r.ApplicationID, r.KeyVersion, r.Version = c.app.ID, keyVersion, 1
	r.UserName, r.Email = p.UserName, p.Email
	r.Name, r.DisplayKey = p.Name, displayKey(p.Name)
	r.IsApproved = !c.app.RequireApproval
	if p.IsApproved != nil {
		r.IsApproved = *p.IsApproved
	}
	r.IsLockedOut = p.IsLockedOut != nil && *p.IsLockedOut
	r.AllowDashboardAccess, r.DashboardSettings = p.AllowDashboardAccess, p.DashboardSettings
	r.CreatedBy = c.actor.ID
	if c.idempotency != nil {
		c.idempotency.UserID = r.ID
	}
	return nil
}

// checkTaken refuses what is taken before a hash is spent on it. Only the
// store's write decides.
func (s *Service) checkTaken(ctx context.Context, c *creation) error {
	if c.params.Password.IsZero() {
		return nil
	}
	r := &c.record
	q := UserQuery{ApplicationID: c.app.ID, NameKeys: []string{r.NameKey}, EmailKeys: []string{r.EmailKey}, KeysOnly: true}
	if c.params.ID != "" {
		q.IDs = []string{r.ID}
	}
	found, err := s.findUsers(ctx, q)
	if err != nil {
		return err
	}
	return CheckConflict(r, found)
}

// hash fills the credential; a user who will set a password later has none.
func (s *Service) hash(ctx context.Context, c *creation) (err error) {
	if c.params.Password.IsZero() {
		c.record.Hash = c.params.PasswordHash
		return nil
	}
	c.record.Hash, err = s.hashPassword(ctx, c.app.APIKey, c.params.Password)
	return err
}

// newUser returns everything of c that must be atomic.
func (s *Service) newUser(c *creation) (*NewUser, error) {
	n := &NewUser{UserRecord: c.record, Idempotency: c.idempotency, HostTx: s.hostTx}
	if c.params.SendEmailNotification {
		id, err := s.newID()
		if err != nil {
			return nil, err
		}
		kind := KindAccountCreated
		if c.params.AutoCreatePassword {
			kind = KindSetPassword
		}
		n.Notifications = []NotificationRecord{{
			ID: id, ApplicationID: c.app.ID, UserID: c.record.ID, Kind: kind,
			State: StatePending,
		}}
	}
	if s.opts.OnCreate != nil {
		n.OnCreate = func(ctx context.Context) error {
			return hookError("OnCreate", s.opts.OnCreate(ctx, c.created()))
		}
	}
	return n, nil
}

// insert hands it to the store in one call.
func (s *Service) insert(ctx context.Context, c *creation) error {
	n, err := s.newUser(c)
	if err != nil {
		return err
	}
	if err := s.store.CreateUser(ctx, n); err != nil {
		return fmt.Errorf("users: create user: %w", err)
	}
	return nil
}

// created is what hooks learn: copies of their own.
func (c *creation) created() CreateEvent {
	return CreateEvent{Application: c.app, User: *answer(c.user()), Extra: cloneExtra(c.params.Extra)}
}

func (c *creation) user() User {
	return c.record.User.clone()
}

// clone returns a copy of u that shares nothing with it.
func (u User) clone() User {
	u.Roles, u.DashboardSettings = slices.Clone(u.Roles), slices.Clone(u.DashboardSettings)
	return u
}

// clone returns a copy of p that shares nothing with it.
func (p CreateUserParams) clone() CreateUserParams {
	p.Roles, p.DashboardSettings = slices.Clone(p.Roles), slices.Clone(p.DashboardSettings)
	p.IsApproved, p.IsLockedOut = clone(p.IsApproved), clone(p.IsLockedOut)
	p.Extra = cloneExtra(p.Extra)
	return p
}

func clone(b *bool) *bool {
	if b == nil {
		return nil
	}
	return new(*b)
}

func cloneExtra(m map[string]json.RawMessage) map[string]json.RawMessage {
	c := maps.Clone(m)
	for name, raw := range c {
		c[name] = slices.Clone(raw)
	}
	return c
}
