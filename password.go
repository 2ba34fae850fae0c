package users

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/gousers/users/password"
)

const (
	// DefaultTokenLifetime is how long a set-password token is good.
	DefaultTokenLifetime = 24 * time.Hour

	tokenBytes = 32 // 256 bits
)

var errNoTokens = lacks("TokenStore")

// Token is a one-time set-password token.
type Token struct {
	// Secret is 43 characters that are safe in a URL. It is stored nowhere.
	Secret password.Secret
	// Expires is when it ends, if this process and the Store have the same time.
	Expires time.Time
}

// IssueSetPasswordToken makes a token for the user whose id, user name or e-mail address
// is ref, for a host that delivers it by itself. It needs the permission IssueTokens, and
// the caller must govern the user, see UpdateUser: who has the token sets the password.
// Earlier tokens stay good until one is used, the user's address changes, or the user may
// more than it did.
func (s *Service) IssueSetPasswordToken(ctx context.Context, apiKey, ref string) (Token, error) {
	app, a, err := s.authorize(ctx, apiKey, IssueTokens)
	if err != nil {
		return Token{}, err
	}
	rec, err := s.target(ctx, app, a, ref)
	if err != nil {
		return Token{}, err
	}
	token, err := s.issueToken(ctx, TokenRecord{ApplicationID: app.ID, UserID: rec.ID, EmailKey: rec.EmailKey})
	if err != nil {
		return Token{}, err
	}
	// Whoever gave the user more before the token was there did not end it.
	if _, err := s.target(ctx, app, a, rec.ID); err != nil {
		return Token{}, err
	}
	return token, nil
}

// issueToken stores rec, which says whose token it is, with a new secret.
func (s *Service) issueToken(ctx context.Context, rec TokenRecord) (Token, error) {
	if s.tokens == nil {
		return Token{}, errNoTokens
	}

	var random [tokenBytes]byte
	rand.Read(random[:]) // never fails (crypto/rand)
	secret := base64.RawURLEncoding.EncodeToString(random[:])
	rec.Sum, rec.Purpose = sha256.Sum256([]byte(secret)), PurposeSetPassword
	rec.Lifetime = s.opts.TokenLifetime
	expires := s.now().Add(rec.Lifetime) // for people to read; the store's clock decides
	if err := s.tokens.CreateToken(ctx, rec); err != nil {
		return Token{}, fmt.Errorf("users: issue token: %w", err)
	}
	return Token{password.New(secret), expires}, nil
}

// SetPassword sets the password of the user to whom token was sent to pw and uses
// up all of that user's tokens. The token is the authorization: a Caller in ctx
// is ignored. Options.Admit limits who may try. A token that is unknown, used,
// expired or was sent to a former address, and an application that does not exist
// or is disabled, are ErrBadToken; nothing is hashed for these. A password that the
// policy refuses is a *ValidationError at "/newPassword" and leaves the token good.
// So does ErrOverloaded, which creates of users do not cause: in the queue for
// hashing each application's setting of passwords has a share of its own, and of
// concurrent calls with one token one at a time hashes.
func (s *Service) SetPassword(ctx context.Context, apiKey string, token, pw password.Secret) error {
	if err := s.admit(ctx, Attempt{Operation: OperationSetPassword, APIKey: apiKey}); err != nil {
		return err
	}

	// One at a time for each token, as it is used up after the hash is made: it must
	// not pay for more than one.
	sum := sha256.Sum256([]byte(token.Reveal()))
	return s.redemptions.alone(ctx, apiKey, string(sum[:]), func() error { return s.setPassword(ctx, apiKey, token, pw) })
}

func (s *Service) setPassword(ctx context.Context, apiKey string, token, pw password.Secret) error {
	app, rec, err := s.findToken(ctx, apiKey, token)
	if err != nil {
		return err
	}
	found, err := s.findUsers(ctx, UserQuery{ApplicationID: app.ID, IDs: []string{rec.UserID}})
	if err != nil {
		return err
	}
	if len(found) == 0 || rec.EmailKey != "" && rec.EmailKey != found[0].EmailKey {
		return ErrBadToken
	}

	var f faults
	s.checkNewPassword(&f, pw, app, &found[0].User)
	if err := f.err(); err != nil {
		return err
	}
	hash, err := s.hashPassword(ctx, passwordShare(app), pw)
	if err != nil {
		return err
	}

	r := Redemption{ApplicationID: app.ID, UserID: rec.UserID, Sum: rec.Sum, Hash: hash, Now: s.now()}
	if u := &found[0]; !u.Hash.IsZero() && s.tellsOwnChange() {
		if r.Notifications, err = s.passwordChanged(u); err != nil {
			return err
		}
	}
	err = s.tokens.RedeemToken(ctx, r)
	if errors.Is(err, ErrBadToken) {
		return ErrBadToken
	} else if err != nil {
		return fmt.Errorf("users: set password: %w", err)
	}
	u := found[0].User
	u.PasswordChanged, u.DateUpdated = r.Now, r.Now
	if rec.NotificationID != "" {
		u.EmailVerified = r.Now
	}
	s.afterPasswordChange(ctx, PasswordChangeEvent{OperationSetPassword, app, u})
	return nil
}

// findToken returns a token that is good now; ErrBadToken if it is not.
func (s *Service) findToken(ctx context.Context, apiKey string, secret password.Secret) (Application, TokenRecord, error) {
	none := func(err error) (Application, TokenRecord, error) { return Application{}, TokenRecord{}, err }
	if s.tokens == nil {
		return none(errNoTokens)
	}
	token := secret.Reveal()
	if len(token) != base64.RawURLEncoding.EncodedLen(tokenBytes) {
		return none(ErrBadToken)
	}

	app, err := s.application(ctx, apiKey)
	if errors.Is(err, ErrUnknownApplication) || err == nil && app.Disabled {
		return none(ErrBadToken)
	} else if err != nil {
		return none(err)
	}

	rec, err := s.tokens.FindToken(ctx, app.ID, sha256.Sum256([]byte(token)))
	switch {
	case errors.Is(err, ErrNotFound), err == nil && (rec.Purpose != PurposeSetPassword || rec.Lifetime <= 0):
		return none(ErrBadToken)
	case err != nil:
		return none(fmt.Errorf("users: find token: %w", err))
	}
	return app, rec, nil
}

func (s *Service) checkNewPassword(f *faults, pw password.Secret, app Application, u *User) {
	const at = "/newPassword"
	if pw.IsZero() {
		f.add(required(at))
	} else {
		s.checkPassword(f, at, pw, app, u.UserName, u.Email, u.Name)
	}
}

// validatePassword judges the three ways to a password: one that is given, one that the
// user will set, and a hash that others made.
func (s *Service) validatePassword(c *creation) {
	p, f := &c.params, &c.faults
	exclude := func(pointer string, given bool, because string) {
		if given {
			f.add(FieldError{Pointer: pointer, Code: "excluded", Detail: "must be absent when " + because})
		}
	}
	switch hashed := !p.PasswordHash.IsZero(); {
	case p.AutoCreatePassword:
		const because = "autoCreatePassword is true"
		exclude("/password", !p.Password.IsZero(), because)
		exclude("/confirmPassword", !p.ConfirmPassword.IsZero(), because)
		exclude("/passwordHash", hashed, because)
	case hashed:
		const because = "there is a passwordHash"
		exclude("/password", !p.Password.IsZero(), because)
		exclude("/confirmPassword", !p.ConfirmPassword.IsZero(), because)
		s.validateHash(f, p.PasswordHash)
	default:
		s.validateConfirmed(c)
	}
}

func (s *Service) validateConfirmed(c *creation) {
	p, f := &c.params, &c.faults
	const needed = "is required unless autoCreatePassword is true"
	if p.Password.IsZero() {
		f.add(FieldError{Pointer: "/password", Code: codeRequired, Detail: needed})
	} else {
		s.checkCreatedPassword(c)
	}
	switch {
	case p.ConfirmPassword.IsZero():
		f.add(FieldError{Pointer: "/confirmPassword", Code: codeRequired, Detail: needed})
	case !p.Password.IsZero() && !p.ConfirmPassword.Equal(p.Password):
		f.add(FieldError{Pointer: "/confirmPassword", Code: "mismatch", Detail: "must be equal to password"})
	}
}

// checkCreatedPassword judges a password that is given.
func (s *Service) checkCreatedPassword(c *creation) {
	p, f := &c.params, &c.faults
	if !c.anyPassword {
		s.checkPassword(f, "/password", p.Password, c.app, p.UserName, p.Email, p.Name)
		return
	}
	if _, err := password.Normalize(p.Password); err != nil {
		f.addErr("/password", err)
	} else if s.tooLong(p.Password) {
		f.addErr("/password", tooLong(s.maxPwBytes, "bytes"))
	}
}

// maxHashBytes is what a Store must hold of a hash.
const maxHashBytes = 1024

// validateHash judges a hash that others made before anybody waits for it.
func (s *Service) validateHash(f *faults, h password.Hash) {
	const at = "/passwordHash"
	err := s.opts.Hasher.Check(h)
	if errors.Is(err, password.ErrUnknownHash) {
		err = s.opts.Legacy.Check(h)
	}
	switch {
	case errors.Is(err, password.ErrTooCostly):
		f.add(FieldError{Pointer: at, Code: "too_costly", Detail: "must not be so costly to verify"})
	case err != nil:
		f.add(FieldError{Pointer: at, Code: "unknown_hash", Detail: "must be a hash of a known form"})
	case len(h.Reveal()) > maxHashBytes:
		f.addErr(at, tooLong(maxHashBytes, "bytes"))
	}
}

// checkPassword applies the policy and the hasher's own limit. The password must
// not be made of what names the application or the user.
func (s *Service) checkPassword(f *faults, pointer string, t password.Secret, app Application, userName, email, name string) {
	if err := s.opts.Policy.Check(t, userName, email, name, app.Name, app.APIKey); err != nil {
		f.addErr(pointer, err)
		return
	}
	if s.tooLong(t) {
		f.addErr(pointer, tooLong(s.maxPwBytes, "bytes"))
	}
}

// tooLong reports whether the Hasher can't take t whole.
func (s *Service) tooLong(t password.Secret) bool {
	if s.maxPwBytes == 0 {
		return false
	}
	pw, err := password.Normalize(t)
	return err == nil && len(pw) > s.maxPwBytes
}

// passwordShare is the share of the gate in which the users of app wait who set a
// password. In that of the creates one client of app could keep them out. No
// apiKey holds a NUL.
func passwordShare(app Application) string { return app.APIKey + "\x00password" }

func (s *Service) hashPassword(ctx context.Context, share string, t password.Secret) (h password.Hash, err error) {
	pw, err := password.Normalize(t)
	if err != nil {
		return password.Hash{}, fmt.Errorf("users: hash: %w", err)
	}
	err = pass(ctx, s.opts.Gate, share, s.opts.Hasher.Memory(password.Hash{}), func() (err error) {
		if h, err = s.opts.Hasher.Hash(pw); err != nil {
			return &hasherError{err}
		}
		return nil
	})
	switch {
	case errors.Is(err, ErrOverloaded):
		return password.Hash{}, err
	case err != nil:
		return password.Hash{}, fmt.Errorf("users: hash: %w", err)
	}
	return h, nil
}

// pass runs fn once g admits it. A refusal of g is ErrOverloaded.
func pass(ctx context.Context, g *password.Gate, share string, bytes int64, fn func() error) error {
	err := g.Do(ctx, share, bytes, fn)
	if refused := (*password.OverloadedError)(nil); errors.As(err, &refused) {
		return fmt.Errorf("%w: %w", ErrOverloaded, err)
	}
	return err
}

// hasherError keeps the text of a Hasher's error closed: code that saw the
// password made it. errors.Is and errors.As look through it; there is no Unwrap,
// because loggers print every error of a chain, and it is a pointer, because %#v
// prints values.
type hasherError struct{ cause error }

func (e *hasherError) Error() string { return fmt.Sprintf("the Hasher failed with a %T", e.cause) }

func (e *hasherError) Is(target error) bool { return errors.Is(e.cause, target) }

func (e *hasherError) As(target any) bool { return errors.As(e.cause, target) }
