package users

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gousers/users/password"
)

// Lockout bounds guessing at passwords. A zero member means its default.
type Lockout struct {
	// Free is how many failures in a row lock for the first time; 0: 10. At most 100
	// (NIST SP 800-63B-4 section 3.2.2).
	Free int
	// First is how long that is; each further failure locks twice as long. 0: 1 minute.
	First time.Duration
	// Max is the longest lock; 0: 1 hour, or First if that is longer.
	Max time.Duration
}

const maxFreeFailures = 100

func (l Lockout) withDefaults() (Lockout, error) {
	switch {
	case l.Free < 0 || l.Free > maxFreeFailures:
		return l, fmt.Errorf("users: New: Lockout.Free must be between 1 and %d", maxFreeFailures)
	case l.First < 0 || l.Max < 0:
		return l, errors.New("users: New: Lockout.First or Max is negative")
	}
	if l.Free == 0 {
		l.Free = 10
	}
	if l.First == 0 {
		l.First = time.Minute
	}
	if l.Max == 0 {
		l.Max = max(time.Hour, l.First)
	}
	if l.Max < l.First {
		return l, errors.New("users: New: Lockout.Max is less than First")
	}
	return l, nil
}

// refusalTick hides how long Authenticate worked to refuse: it returns on a multiple
// of it. A success returns at once.
const refusalTick = 100 * time.Millisecond

// Authenticate returns the user whose user name or e-mail address is login, with or
// without blanks around it, if pw is its password. The password is the authorization: a
// Caller in ctx is ignored. Options.Admit limits who may try.
//
// No such user, a wrong password, a user without one, too many failures and an
// application that does not exist or is disabled are one ErrBadCredentials, after the
// work of one hash. A user that is locked out or not approved is ErrLockedOut or
// ErrNotApproved, only once the password was right.
//
// Failures count for each user, in the store, however the name was spelt, and lock for
// a growing time; see Options.Lockout. Guesses during a lock are not judged. A right
// password, one that is set by a mailed link at any time, and one that ChangePassword
// sets, end the count and the lock. A right password whose hash is out of date is
// hashed anew, if that can be done within a second. Authenticate passes through
// Options.Gate, in a queue of its application's sign-ins: ErrOverloaded, and then nothing
// was counted.
func (s *Service) Authenticate(ctx context.Context, apiKey, login string, pw password.Secret) (*User, error) {
	start := time.Now()
	login = strings.TrimSpace(login)
	key, err := loginKey(login)
	if err != nil {
		key = ""
	}
	if err := s.admit(ctx, Attempt{OperationAuthenticate, apiKey, cmp.Or(key, login)}); err != nil {
		return nil, err
	}

	u, err := s.authenticate(ctx, apiKey, key, pw)
	if !errors.Is(err, ErrBadCredentials) {
		return u, err
	}
	if late := onTick(ctx, start, refusalTick); late != nil {
		return nil, fmt.Errorf("users: authenticate: %w", late)
	}
	return nil, ErrBadCredentials
}

func (s *Service) authenticate(ctx context.Context, apiKey, key string, pw password.Secret) (*User, error) {
	app, err := s.application(ctx, apiKey)
	known := !errors.Is(err, ErrUnknownApplication) && !app.Disabled
	if err != nil && known {
		return nil, err
	}

	q := UserQuery{ApplicationID: app.ID}
	if key != "" && known {
		q.NameKeys, q.EmailKeys = []string{key}, []string{key}
	}
	found, err := s.findUsers(ctx, q)
	if err != nil {
		return nil, err
	}
	rec := UserRecord{ApplicationID: app.ID} // nobody
	if len(found) > 0 {
		rec = found[0]
	}
	match, err := s.verify(ctx, apiKey, &rec, pw)
	switch {
	case err != nil:
		return nil, err
	case !match.OK:
		return nil, ErrBadCredentials
	}

	refusal := mayEnter(&rec.User)
	end := LoginEnd{ApplicationID: app.ID, UserID: rec.ID, OldHash: rec.Hash}
	if refusal == nil {
		end.Now = s.now()
	}
	if err := s.logins.EndLogin(ctx, end); err != nil {
		return nil, stored("authenticate", err)
	}
	if match.Outdated {
		s.rehash(ctx, apiKey, end, pw)
	}
	if refusal != nil {
		return nil, refusal
	}
	return answer(rec.User), nil
}

// mayEnter says why a user whose password was right may not sign in all the same.
func mayEnter(u *User) error {
	switch {
	case u.IsLockedOut:
		return ErrLockedOut
	case !u.IsApproved:
		return ErrNotApproved
	}
	return nil
}

// rehashPatience is how long a sign-in waits for its turn to hash anew.
const rehashPatience = time.Second

// rehash replaces a hash that is out of date. It is not worth failing a sign-in for, or
// holding it up: what fails is tried again at the next one.
func (s *Service) rehash(ctx context.Context, apiKey string, end LoginEnd, pw password.Secret) {
	ctx, cancel := context.WithTimeout(ctx, rehashPatience)
	defer cancel()
	fresh, err := s.hashPassword(ctx, loginShare(apiKey), pw)
	if err != nil {
		return
	}
	end.Hash = fresh
	_ = s.logins.EndLogin(ctx, end)
}

// verify judges pw against rec, which may be nobody, through the gate. The failure is
// counted before it is known: guesses that arrive together would all be judged
// otherwise, before the first of them counts. And it is counted once the gate admits it:
// what is not judged is no failure. Where pw is right the caller ends the count.
func (s *Service) verify(ctx context.Context, apiKey string, rec *UserRecord, pw password.Secret) (m password.Match, err error) {
	if s.logins == nil {
		return m, lacks("LoginStore")
	}
	share := loginShare(apiKey)
	dummy, err := s.dummyHash(ctx, share)
	if err != nil {
		return m, err
	}
	err = pass(ctx, s.opts.Gate, share, max(s.opts.Hasher.Memory(rec.Hash), s.opts.Hasher.Memory(dummy)), func() error {
		failures, err := s.logins.BeginLogin(ctx, LoginAttempt{
			ApplicationID: rec.ApplicationID, UserID: rec.ID,
			Free: s.opts.Lockout.Free, First: s.opts.Lockout.First, Max: s.opts.Lockout.Max,
		})
		if err != nil {
			return err
		}
		hash := rec.Hash
		if failures == 0 {
			hash = password.Hash{}
		}
		m, err = s.match(hash, dummy, pw)
		return err
	})
	if err != nil && !errors.Is(err, ErrOverloaded) {
		err = stored("authenticate", err)
	}
	return m, err
}

// loginShare is the share of the gate in which sign-ins of an application wait; see
// passwordShare.
func loginShare(apiKey string) string { return apiKey + "\x00login" }

// match compares pw with h. A zero hash, and one that the Hasher can't verify, take the
// work of dummy, and match nothing.
func (s *Service) match(h, dummy password.Hash, pw password.Secret) (password.Match, error) {
	text, err := password.Normalize(pw)
	if err == nil && !h.IsZero() { // what can't be a password matches nothing, after the same work
		m, err := s.opts.Hasher.Verify(h, text)
		if err == nil {
			return m, nil
		} else if !errors.Is(err, password.ErrUnknownHash) && !errors.Is(err, password.ErrTooLong) {
			return password.Match{}, &hasherError{err}
		}
	}
	if _, err := s.opts.Hasher.Verify(dummy, text); err != nil && !errors.Is(err, password.ErrTooLong) {
		return password.Match{}, &hasherError{err}
	}
	return password.Match{}, nil
}

// dummyHash returns a hash of a password that nobody has. Once it is made it is kept.
func (s *Service) dummyHash(ctx context.Context, share string) (password.Hash, error) {
	if h := s.dummy.Load(); h != nil {
		return *h, nil
	}
	h, err := s.hashPassword(ctx, share, password.New(rand.Text()))
	if err != nil {
		return password.Hash{}, err
	}
	s.dummy.Store(&h)
	return h, nil
}

// onTick waits until a multiple of tick has passed since start, or for the end of ctx.
func onTick(ctx context.Context, start time.Time, tick time.Duration) error {
	wait := time.NewTimer(tick - time.Since(start)%tick)
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
