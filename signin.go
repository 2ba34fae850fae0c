package users

import (
	"bytes"
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
// was counted. Inside the host's transaction (InTx) it is ErrUnsupported.
func (s *Service) Authenticate(ctx context.Context, apiKey, login string, pw password.Secret) (*User, error) {
	start := time.Now()
	login = strings.TrimSpace(login)
	key, err := loginKey(login)
	if err != nil {
		key = ""
	}
	e := SignInEvent{Attempt: Attempt{OperationAuthenticate, apiKey, cmp.Or(key, login)}}
	if err := s.admit(ctx, e.Attempt); err != nil {
		return nil, err
	}
	if s.hostTx {
		return nil, errUncounted
	}

	if err := s.authenticate(ctx, &e, key, pw); err != nil {
		return nil, err
	}
	s.afterSignIn(ctx, e)
	if e.Err == ErrBadCredentials {
		if late := onTick(ctx, start, refusalTick); late != nil {
			return nil, fmt.Errorf("users: authenticate: %w", late)
		}
	}
	if e.Err != nil {
		return nil, e.Err
	}
	return answer(e.User), nil
}

// authenticate fills e, whose Err is the refusal; the error it returns is another.
func (s *Service) authenticate(ctx context.Context, e *SignInEvent, key string, pw password.Secret) error {
	app, err := s.application(ctx, e.APIKey)
	known := !errors.Is(err, ErrUnknownApplication) && !app.Disabled
	if err != nil && known {
		return err
	}

	q := UserQuery{ApplicationID: app.ID}
	if known {
		e.Application = app
	}
	if key != "" && known {
		q.NameKeys, q.EmailKeys = []string{key}, []string{key}
	}
	found, err := s.findUsers(ctx, q)
	if err != nil {
		return err
	}
	rec := UserRecord{ApplicationID: app.ID} // nobody
	if len(found) > 0 {
		rec = found[0]
		e.User = *answer(rec.User)
	}
	match, err := s.verify(ctx, e, &rec, pw)
	if err != nil || !match.OK {
		return err
	}

	e.Err = mayEnter(&rec.User)
	end := LoginEnd{ApplicationID: app.ID, UserID: rec.ID, OldHash: rec.Hash}
	if e.Err == nil {
		end.Now = s.now()
	}
	if err := s.logins.EndLogin(ctx, end); err != nil {
		return stored("authenticate", err)
	}
	if match.Outdated {
		s.rehash(ctx, app, end, pw)
	}
	return nil
}

// afterSignIn tells the host.
func (s *Service) afterSignIn(ctx context.Context, e SignInEvent) {
	if s.opts.AfterSignIn != nil {
		e.User = e.User.clone()
		s.opts.AfterSignIn(ctx, e)
	}
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
func (s *Service) rehash(ctx context.Context, app Application, end LoginEnd, pw password.Secret) {
	if s.tooLong(pw) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, rehashPatience)
	defer cancel()
	fresh, err := s.hashPassword(ctx, loginShare(app), pw)
	if err != nil {
		return
	}
	end.Hash = fresh
	_ = s.logins.EndLogin(ctx, end)
}

// verify judges pw against rec, which may be nobody, through the gate, and notes in e what
// came of it. The failure is counted before it is known: guesses that arrive together
// would all be judged otherwise, before the first of them counts. And it is counted once
// the gate admits it: what is not judged is no failure. Where pw is right the caller ends
// the count.
func (s *Service) verify(ctx context.Context, e *SignInEvent, rec *UserRecord, pw password.Secret) (m password.Match, err error) {
	if s.logins == nil {
		return m, lacks("LoginStore")
	}
	share := loginShare(e.Application)
	dummy, err := s.dummyHash(ctx, share)
	if err != nil {
		return m, err
	}
	memory := max(s.opts.Hasher.Memory(rec.Hash), s.opts.Legacy.Memory(rec.Hash), s.opts.Hasher.Memory(dummy))
	err = pass(ctx, s.opts.Gate, share, memory, func() error {
		failures, lock, err := s.countFailure(ctx, rec)
		if err != nil {
			return err
		}
		hash := rec.Hash
		if failures == 0 {
			hash = password.Hash{}
		}
		m, e.UnknownHash, err = s.match(hash, dummy, pw)
		if err == nil && !m.OK {
			e.Err, e.Failures, e.Lock = ErrBadCredentials, failures, lock
			e.Locked = failures == 0 && rec.ID != ""
		}
		return err
	})
	if err != nil && !errors.Is(err, ErrOverloaded) {
		err = stored("authenticate", err)
	}
	return m, err
}

// errUncounted: a failure that is counted inside of the host's transaction is forgotten
// when that is rolled back, and whoever guesses wrong makes the host roll back.
var errUncounted = fmt.Errorf("%w: a password is not judged inside of a transaction, whose end may undo the count of failures", ErrUnsupported)

// countPatience is how long a permit of the gate waits for the store. Who locks a user's
// row, or a store that hangs, must not keep everybody from hashing.
const countPatience = 3 * time.Second

// countFailure returns how many failures of rec there are in a row with this one, and how
// long it locks; 0 is a lock that lasts, or nobody.
func (s *Service) countFailure(ctx context.Context, rec *UserRecord) (failures int, lock time.Duration, err error) {
	l := s.opts.Lockout
	a := LoginAttempt{ApplicationID: rec.ApplicationID, UserID: rec.ID, Free: l.Free, First: l.First, Max: l.Max}
	err = inTime(ctx, countPatience, func(ctx context.Context) (err error) {
		failures, err = s.logins.BeginLogin(ctx, a)
		return err
	})
	return failures, a.Lock(failures), err
}

// loginShare is the share of the gate in which sign-ins of app wait; see passwordShare. Those
// for no application have one together: whoever makes up keys would have as many turns as
// they like.
func loginShare(app Application) string { return app.APIKey + "\x00login" }

// match compares pw with h. A zero hash, and one that nobody can verify, take the work
// of dummy, and match nothing.
func (s *Service) match(h, dummy password.Hash, pw password.Secret) (m password.Match, unknown bool, err error) {
	text, invalid := password.Normalize(pw)
	typed := []byte(pw.Reveal())
	if invalid != nil { // what can't be a password matches nothing, after the same work
		h, typed = password.Hash{}, nil
	}
	if !h.IsZero() {
		m, err := s.judge(h, text, typed)
		if !unverifiable(err) {
			return m, false, err
		}
		unknown = !errors.Is(err, password.ErrTooLong)
	}
	if _, err := s.judge(dummy, text, typed); err != nil && !unverifiable(err) {
		return m, false, err
	}
	return m, unknown, nil
}

// judge asks the Hasher, and Options.Legacy for what that does not take. Other systems
// hashed what was typed, and cut what was too long for their scheme. So what is typed in
// another form than NFC takes twice the work where it is wrong, whoever's the hash is.
func (s *Service) judge(h password.Hash, text, typed []byte) (password.Match, error) {
	m, err := verifyEither(s.opts.Hasher, h, text, typed)
	if errors.Is(err, password.ErrUnknownHash) || errors.Is(err, password.ErrTooLong) {
		m, err = verifyEither(s.opts.Legacy, h, typed, text)
		m.Outdated = m.OK
	}
	if err != nil && !unverifiable(err) {
		err = &hasherError{err}
	}
	return m, err
}

// verifyEither compares h with pw and, if that is wrong and another form, with form. What
// matches there is to be hashed in the first form.
func verifyEither(v password.Verifier, h password.Hash, pw, form []byte) (password.Match, error) {
	m, err := v.Verify(h, pw)
	if err == nil && !m.OK && !bytes.Equal(pw, form) {
		m, err = v.Verify(h, form)
		m.Outdated = m.OK
	}
	return m, err
}

func unverifiable(err error) bool {
	return errors.Is(err, password.ErrUnknownHash) || errors.Is(err, password.ErrTooCostly) || errors.Is(err, password.ErrTooLong)
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
