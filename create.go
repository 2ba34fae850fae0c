package users

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gousers/users/password"
)

// Create makes a user of the application with this apiKey, durably and all at
// once: the user, its credential, its roles, its notification and its
// idempotency record. It needs the permission CreateUsers.
//
// When it returns nil, all of that is durable. A *ValidationError (every
// invalid member), a *ForbiddenError (every privileged member without
// permission), a *ConflictError (every member that is taken), ErrOverloaded,
// ErrIdempotencyMismatch, ErrUnauthenticated and ErrUnknownApplication mean
// that nothing was written, and so does ErrNotFound: the user that this
// IdempotencyKey made, or a role of p, went away meanwhile. After any other
// error the outcome may be unknown: the same IdempotencyKey tells.
//
// Create waits for the store and for the hash, never for a notification. It
// honours ctx at every step but inside one running hash. Create is safe for
// concurrent use; of calls that race for one name or address exactly one wins.
func (s *Service) Create(ctx context.Context, apiKey string, p CreateUserParams) (*User, error) {
	c, err := s.begin(ctx, apiKey, p) // application, caller, BeforeCreate, keys
	if err != nil {
		return nil, err
	}
	if u, err := s.replay(ctx, c); u != nil || err != nil {
		return u, err
	}
	if err := s.check(ctx, c); err != nil { // every member, permissions, roles
		return nil, err
	}
	if err = s.probe(ctx, c); err == nil {
		if err = s.hash(ctx, c); err == nil {
			err = s.insert(ctx, c)
		}
	}
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrIdempotencyKeyUsed) {
		// A racing twin with the same key may be what we clashed with.
		if u, err := s.replay(ctx, c); u != nil || err != nil {
			return u, err
		}
	}
	if err != nil {
		return nil, err
	}
	if s.opts.AfterCreate != nil && !s.hostTx {
		s.opts.AfterCreate(ctx, *answer(c.user()))
	}
	return answer(c.user()), nil
}

// CheckCreate reports what Create would refuse in p before it looks at other
// users: a *ValidationError, a *ForbiddenError or what stands before them. It
// hashes nothing, writes nothing and does not say whether a name is free.
func (s *Service) CheckCreate(ctx context.Context, apiKey string, p CreateUserParams) error {
	c, err := s.begin(ctx, apiKey, p)
	if err != nil {
		return err
	}
	return s.check(ctx, c)
}

// PreHash checks p as Create does and hashes its password, so that a Create
// inside the host's transaction holds no connection for the time of the hash.
// The result is p with the hash in it, good for that password alone: if p or a
// hook changes the password afterwards, Create hashes again.
func (s *Service) PreHash(ctx context.Context, apiKey string, p CreateUserParams) (CreateUserParams, error) {
	c, err := s.begin(ctx, apiKey, p)
	if err != nil {
		return CreateUserParams{}, err
	}
	if err := s.check(ctx, c); err != nil {
		return CreateUserParams{}, err
	}
	if err := s.hash(ctx, c); err != nil {
		return CreateUserParams{}, err
	}
	if !c.params.Password.IsZero() {
		hashed, hash := c.params.Password, c.record.Hash
		p.prehash = func(t password.Text) (password.Hash, bool) { return hash, t.Equal(hashed) }
	}
	return p, nil
}

// creation is one Create on its way.
type creation struct {
	app    Application
	actor  actor
	params CreateUserParams // private copy; BeforeCreate may have amended it
	now    time.Time
	faults faults  // what normalising found
	replay *Replay // nil without an idempotency key
	record UserRecord
}

func clone(b *bool) *bool {
	if b == nil {
		return nil
	}
	return new(*b)
}

func (c *creation) user() User {
	u := c.record.User
	u.Roles = slices.Clone(u.Roles)
	u.DashboardSettings = slices.Clone(u.DashboardSettings)
	return u
}

// begin does what needs no judgement of the members: it finds the application
// and the caller, runs BeforeCreate, and computes the canonical keys.
func (s *Service) begin(ctx context.Context, apiKey string, p CreateUserParams) (*creation, error) {
	app, actor, err := s.authorize(ctx, apiKey, CreateUsers)
	if err != nil {
		return nil, err
	}
	c := &creation{app: app, actor: actor, now: s.now()}
	if p.IdempotencyKey != "" {
		if validIdempotencyKey(p.IdempotencyKey) {
			c.replay = &Replay{
				ReplayKey:   ReplayKey{app.ID, actor.scope(), p.IdempotencyKey},
				Fingerprint: fingerprint(&p),
				Expires:     c.now.Add(IdempotencyLifetime),
			}
		} else {
			c.faults.add("", "invalid_idempotency_key", fmt.Sprintf("the idempotency key must be 1 to %d printing ASCII characters", MaxIdempotencyKey))
		}
	}
	if s.opts.BeforeCreate != nil {
		// The hook gets copies: what it changes in place stays out of the caller's values.
		p.Roles, p.DashboardSettings = slices.Clone(p.Roles), slices.Clone(p.DashboardSettings)
		p.IsApproved, p.IsLockedOut = clone(p.IsApproved), clone(p.IsLockedOut)
		if err := s.opts.BeforeCreate(ctx, app, &p); err != nil {
			return nil, fmt.Errorf("users: BeforeCreate: %w", err)
		}
	}
	c.params = p
	c.normalize()
	return c, nil
}

// check judges every member at once, then what the caller may ask for. Roles
// are looked up only for a caller who may grant them.
func (s *Service) check(ctx context.Context, c *creation) error {
	if err := s.validate(ctx, c); err != nil {
		return err
	}
	granted := c.actor.canGrant(c.params.Roles)
	if granted {
		var err error
		if granted, err = s.resolveRoles(ctx, c); err != nil {
			return err
		}
	}
	if len(c.faults.fields) > 0 {
		return c.faults.err()
	}
	if members := c.actor.forbidden(c.app, &c.params, granted); len(members) > 0 {
		return &ForbiddenError{Members: members}
	}
	return c.fill(s)
}

// fill makes the record that the store gets.
func (c *creation) fill(s *Service) (err error) {
	p, u := &c.params, &c.record.User
	if u.ID = p.ID; u.ID == "" {
		if u.ID, err = s.newID(); err != nil {
			return err
		}
	}
	c.record.ApplicationID, c.record.KeyVersion, c.record.Version = c.app.ID, keyVersion, 1
	u.UserName, u.Email, u.Name = p.UserName, p.Email, p.Name
	u.IsApproved = !c.app.RequireApproval
	if p.IsApproved != nil {
		u.IsApproved = *p.IsApproved
	}
	u.IsLockedOut = p.IsLockedOut != nil && *p.IsLockedOut
	u.AllowDashboardAccess = p.AllowDashboardAccess
	u.DashboardSettings = p.DashboardSettings
	u.CreatedBy = c.actor.ID
	u.DateCreated, u.DateUpdated = c.now, c.now
	if u.CreationDate = microseconds(p.CreationDate); p.CreationDate.IsZero() {
		u.CreationDate = c.now
	}
	if c.replay != nil {
		c.replay.UserID = u.ID
	}
	return nil
}

// probe refuses what is taken before a hash is spent on it. Only the store's
// write decides.
func (s *Service) probe(ctx context.Context, c *creation) error {
	if _, ok := c.prehashed(); ok || c.params.Password.IsZero() {
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
	if len(found) == 0 {
		return nil
	}
	return Clash(r, found)
}

// Clash gives the *ConflictError for adding r beside found, rows of the same
// application with its keys, and nil if none clashes. It is for stores, so
// that all name the same members in the same order.
func Clash(r *UserRecord, found []UserRecord) error {
	var name, email, id bool
	for i := range found {
		name = name || found[i].NameKey == r.NameKey
		email = email || found[i].EmailKey == r.EmailKey
		id = id || found[i].ID == r.ID
	}
	var members []string
	if name {
		members = append(members, "userName")
	}
	if email {
		members = append(members, "email")
	}
	if id {
		members = append(members, "id")
	}
	if members == nil {
		return nil
	}
	return &ConflictError{Members: members}
}

func (c *creation) prehashed() (password.Hash, bool) {
	if c.params.prehash == nil {
		return "", false
	}
	return c.params.prehash(c.params.Password)
}

// hash fills the credential; a user who will set a password later has none.
func (s *Service) hash(ctx context.Context, c *creation) (err error) {
	if c.params.Password.IsZero() {
		return nil
	}
	if h, ok := c.prehashed(); ok {
		c.record.Hash = h
		return nil
	}
	c.record.Hash, err = s.hashPassword(ctx, c.app, c.params.Password)
	return err
}

func (s *Service) hashPassword(ctx context.Context, app Application, t password.Text) (h password.Hash, err error) {
	pw, err := password.Normalize(t)
	if err != nil {
		return "", fmt.Errorf("users: hash: %w", err)
	}
	err = s.opts.Gate.Do(ctx, app.APIKey, s.opts.Hasher.Memory(""), func() (err error) {
		if h, err = s.opts.Hasher.Hash(pw); err != nil {
			return &hasherError{err}
		}
		return nil
	})
	if overloaded := (*password.OverloadedError)(nil); errors.As(err, &overloaded) {
		return "", fmt.Errorf("%w: %w", ErrOverloaded, err)
	}
	if err != nil {
		return "", fmt.Errorf("users: hash: %w", err)
	}
	return h, nil
}

// hasherError keeps the text of a Hasher's error closed: code that saw the
// password made it. errors.Is and errors.As look through it; there is no Unwrap,
// because loggers print every error of a chain, and it is a pointer, because %#v
// prints values.
type hasherError struct{ cause error }

func (e *hasherError) Error() string { return fmt.Sprintf("the Hasher failed with a %T", e.cause) }

func (e *hasherError) Is(target error) bool { return errors.Is(e.cause, target) }

func (e *hasherError) As(target any) bool { return errors.As(e.cause, target) }

// clockSkew is how far ahead of the store's clock this process's may be without
// delaying a notification: the store judges by its own when a row is due.
const clockSkew = 10 * time.Minute

// insert hands everything that must be atomic to the store in one call.
func (s *Service) insert(ctx context.Context, c *creation) error {
	n := &NewUser{UserRecord: c.record, Replay: c.replay}
	if c.params.SendEmailNotification {
		id, err := s.newID()
		if err != nil {
			return err
		}
		n.Notification = &OutboxRow{
			ID: id, ApplicationID: c.app.ID, UserID: c.record.ID, Kind: KindAccountCreated,
			State: StatePending, Created: c.now, Due: c.now.Add(-clockSkew),
		}
		if c.params.AutoCreatePassword {
			n.Notification.Kind = KindSetPassword
		}
	}
	if s.opts.OnCreate != nil {
		n.InTx = func(ctx context.Context) error { return s.opts.OnCreate(ctx, *answer(c.user())) }
	}
	if err := s.store.CreateUser(ctx, n); err != nil {
		return fmt.Errorf("users: create user: %w", err)
	}
	return nil
}

// resolveRoles turns references into roles, each once, in order of ID. It
// reports false where one lies outside of what the caller may grant, without a
// look at whether that one exists.
func (s *Service) resolveRoles(ctx context.Context, c *creation) (granted bool, err error) {
	refs := c.params.Roles
	if len(refs) == 0 || len(refs) > MaxRoles {
		return true, nil
	}
	q := RoleQuery{ApplicationID: c.app.ID}
	limited := !c.actor.grantsAny()
	if limited {
		q.NameKeys = roleKeys(c.actor.Grant)
	}
	for i, r := range refs {
		switch {
		case c.faults.has(rolePointer(i)):
		case r.ID != "" && !limited:
			q.IDs = append(q.IDs, r.ID)
		case r.Name != "":
			q.NameKeys = append(q.NameKeys, r.Name)
		}
	}
	if len(q.IDs)+len(q.NameKeys) == 0 { // a query without keys would list every role
		return !limited, nil
	}
	known, err := s.findRoles(ctx, q)
	if err != nil {
		return false, err
	}
	for i, ref := range refs {
		if c.faults.has(rolePointer(i)) {
			continue
		}
		at := slices.IndexFunc(known, func(r Role) bool {
			return (ref.ID == "" || ref.ID == r.ID) && (ref.Name == "" || ref.Name == r.Name)
		})
		switch {
		case at >= 0:
			c.record.Roles = append(c.record.Roles, known[at])
		case limited && ref.Name == "":
			return false, nil
		default:
			c.faults.add(rolePointer(i), "unknown_role", "no such role in this application")
		}
	}
	slices.SortFunc(c.record.Roles, func(a, b Role) int { return strings.Compare(a.ID, b.ID) })
	c.record.Roles = slices.CompactFunc(c.record.Roles, func(a, b Role) bool { return a.ID == b.ID })
	return true, nil
}
