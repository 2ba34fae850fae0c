package users_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

// signIns records what AfterSignIn learns.
type signIns struct {
	mu     sync.Mutex
	events []users.SignInEvent
}

func (s *signIns) note(_ context.Context, e users.SignInEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

func (s *signIns) take() (events []users.SignInEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	events, s.events = s.events, nil
	return events
}

// The host hears once of each sign-in, each failure and each lock, with the error that the
// call returns.
func TestAfterSignInLearnsWhatCameOfIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var seen signIns
		store, old := memstore.New(), &oldSystem{}
		svc := newServiceOn(t, store, users.Options{
			Now: time.Now, Legacy: old, AfterSignIn: seen.note,
			Lockout: users.Lockout{Free: 2, First: time.Minute, Max: 3 * time.Minute},
		})
		for _, name := range []string{"ann", "locked", "waiting"} {
			addUser(t, t.Context(), svc, name)
		}
		invite(t, svc, "invited")
		if _, err := svc.Create(t.Context(), apiKey, withHash("moved", oldHash(secret))); err != nil {
			t.Fatal(err)
		}
		for name, st := range map[string]users.Status{"locked": {IsLockedOut: ptr(true)}, "waiting": {IsApproved: ptr(false)}} {
			if _, err := svc.SetStatus(t.Context(), apiKey, name, st); err != nil {
				t.Fatal(err)
			}
		}
		addApplication(t, svc, users.Application{APIKey: "closed", Disabled: true})
		app, err := svc.Application(t.Context(), apiKey)
		if err != nil {
			t.Fatal(err)
		}
		without, err := users.New(store, &users.Options{ // a program that lost its Legacy
			Hasher: password.InsecureForTests(), Legacy: password.InsecureForTests(), AfterSignIn: seen.note,
		})
		if err != nil {
			t.Fatal(err)
		}

		const bad = "bad credentials"
		for i, tt := range []struct {
			svc                  *users.Service
			apiKey, login, pw    string
			heard, name, outcome string // the login and the user that the event names
			failures             int
			lock                 time.Duration
			locked, unknownHash  bool
		}{
			{svc, apiKey, " ANN ", secret, "ann", "ann", "ok", 0, 0, false, false},
			{svc, apiKey, "ann", newSecret, "ann", "ann", bad, 1, 0, false, false},
			{svc, apiKey, "ann@Example.com", newSecret, "ann@example.com", "ann", bad, 2, time.Minute, false, false},
			{svc, apiKey, "ann", secret, "ann", "ann", bad, 0, 0, true, false},
			{svc, apiKey, "bob", secret, "bob", "", bad, 0, 0, false, false},
			{svc, apiKey, "no such/name", secret, "no such/name", "", bad, 0, 0, false, false},
			{svc, "closed", "ann", secret, "ann", "", bad, 0, 0, false, false},
			{svc, "nobody", "ann", secret, "ann", "", bad, 0, 0, false, false},
			{svc, apiKey, "invited", secret, "invited", "invited", bad, 1, 0, false, false},
			{svc, apiKey, "locked", newSecret, "locked", "locked", bad, 1, 0, false, false},
			{svc, apiKey, "locked", secret, "locked", "locked", "locked out", 0, 0, false, false},
			{svc, apiKey, "waiting", secret, "waiting", "waiting", "not approved", 0, 0, false, false},
			{without, apiKey, "moved", secret, "moved", "moved", bad, 1, 0, false, true},
			{svc, apiKey, "moved", secret, "moved", "moved", "ok", 0, 0, false, false},
			{without, apiKey, "moved", secret, "moved", "moved", "ok", 0, 0, false, false},
		} {
			u, err := tt.svc.Authenticate(t.Context(), tt.apiKey, tt.login, password.New(tt.pw))
			equal(t, "answer", class(err), tt.outcome)
			events := seen.take()
			if len(events) != 1 {
				t.Fatalf("%d: got %d events, want one", i, len(events))
			}
			e := events[0]
			want := users.SignInEvent{
				Attempt: users.Attempt{Operation: users.OperationAuthenticate, APIKey: tt.apiKey, Login: tt.heard},
				Err:     err, Failures: tt.failures, Lock: tt.lock, Locked: tt.locked, UnknownHash: tt.unknownHash,
			}
			if tt.apiKey == apiKey {
				want.Application = *app
			}
			equal(t, "user", e.User.UserName, tt.name)
			if u != nil {
				equal(t, "the user that is returned", e.User.ID, u.ID)
			}
			want.User = e.User
			equal(t, tt.heard, e, want)
		}
	})
}

// A lock is told as it is stored, and by one failure each, of however many at once.
func TestEachLockIsToldOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var seen signIns
		store := memstore.New()
		svc := newServiceOn(t, store, users.Options{
			Now: time.Now, AfterSignIn: seen.note,
			Lockout: users.Lockout{Free: 5, First: time.Minute, Max: 10 * time.Minute},
		})
		addUser(t, t.Context(), svc, "ann")
		for _, want := range []time.Duration{1, 2, 4, 8, 10, 10} {
			var all sync.WaitGroup
			for range 60 {
				all.Go(func() { signIn(t.Context(), svc, "ann", newSecret) })
			}
			all.Wait()
			var locks []time.Duration
			judged := 0
			for _, e := range seen.take() {
				if e.Lock > 0 {
					locks = append(locks, e.Lock)
				}
				if !e.Locked {
					judged++
				}
			}
			equal(t, "locks", locks, []time.Duration{want * time.Minute})
			if first := want == 1; judged != 5 && first || judged != 1 && !first {
				t.Errorf("%d guesses were judged", judged)
			}
			until := recordOf(t, svc, store, "ann").Login.LockedUntil
			time.Sleep(time.Until(until) - 1)
			signIn(t.Context(), svc, "ann", newSecret)
			if last := seen.take(); len(last) != 1 || !last[0].Locked {
				t.Errorf("just before the end of the lock: got %+v", last)
			}
			time.Sleep(time.Second)
		}
	})
}

// What is not a sign-in is not told as one, and what a hook changes is its own.
func TestAfterSignInIsForWhatWasJudged(t *testing.T) {
	t.Parallel()
	var seen signIns
	svc := newService(t, users.Options{
		Admit: func(_ context.Context, a users.Attempt) error {
			if a.Login == "flood" {
				return &users.TooManyRequestsError{}
			}
			return nil
		},
		AfterSignIn: func(ctx context.Context, e users.SignInEvent) {
			seen.note(ctx, e)
			if len(e.User.Roles) > 0 {
				e.User.Roles[0].Name = "changed"
			}
		},
	})
	addRole(t, svc, "editor")
	p := params("ann")
	p.Roles = roleRefs("editor")
	if _, err := svc.Create(t.Context(), apiKey, p); err != nil {
		t.Fatal(err)
	}
	equal(t, "refused by Admit", signIn(t.Context(), svc, "flood", secret), "too many requests")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	equal(t, "given up", signIn(ctx, svc, "ann", secret), "canceled")
	equal(t, "inside the host's transaction", signIn(t.Context(), svc.InTx(boxOf(t, svc)), "ann", secret), "unsupported")
	equal(t, "events", len(seen.take()), 0)

	u, err := svc.Authenticate(t.Context(), apiKey, "ann", password.New(secret))
	if err != nil || u.Roles[0].Name != "editor" {
		t.Errorf("got %+v, %v, want the role as it is", u, err)
	}
	equal(t, "events", len(seen.take()), 1)
}

// boxOf returns the store of svc.
func boxOf(t *testing.T, svc *users.Service) users.Store {
	t.Helper()
	box, err := svc.Outbox()
	if err != nil {
		t.Fatal(err)
	}
	return box.(users.Store)
}

// An old password is judged as in a sign-in, and told so.
func TestOldPasswordIsToldAsASignIn(t *testing.T) {
	t.Parallel()
	var seen signIns
	svc := newService(t, users.Options{AfterSignIn: seen.note})
	u := addUser(t, t.Context(), svc, "ann")
	own := as(t.Context(), users.Caller{ID: "s", APIKey: apiKey, UserID: u.ID})
	for _, tt := range []struct {
		old      string
		want     string
		failures int
	}{{newSecret, "bad credentials", 1}, {newSecret, "bad credentials", 2}, {secret, "ok", 0}} {
		err := svc.ChangePassword(own, apiKey, "ann", users.ChangePasswordParams{
			OldPassword: password.New(tt.old), NewPassword: password.New(newSecret),
		})
		equal(t, "answer", class(err), tt.want)
		events := seen.take()
		if len(events) != 1 {
			t.Fatalf("got %d events, want one", len(events))
		}
		e := events[0]
		equal(t, "attempt", e.Attempt, users.Attempt{Operation: users.OperationChangePassword, APIKey: apiKey})
		equal(t, "user", e.User.ID, u.ID)
		equal(t, "outcome, failures", [2]any{class(e.Err), e.Failures}, [2]any{tt.want, tt.failures})
	}
	err := svc.ChangePassword(t.Context(), apiKey, "ann", users.ChangePasswordParams{NewPassword: password.New(secret)})
	equal(t, "by the host", class(err), "ok")
	equal(t, "events", len(seen.take()), 0)
}

// The host hears of each new password that is durable, and of no other.
func TestAfterPasswordChangeLearnsOfEachNewPassword(t *testing.T) {
	t.Parallel()
	var c clock
	var seen []users.PasswordChangeEvent
	j := newJudge()
	svc := newService(t, users.Options{
		Hasher: j, Now: c.Now,
		AfterPasswordChange: func(_ context.Context, e users.PasswordChangeEvent) { seen = append(seen, e) },
	})
	app, err := svc.Application(t.Context(), apiKey)
	if err != nil {
		t.Fatal(err)
	}
	u := addUser(t, t.Context(), svc, "ann")
	own := as(t.Context(), users.Caller{ID: "s", APIKey: apiKey, UserID: u.ID})
	params := users.ChangePasswordParams{NewPassword: password.New(newSecret), OldPassword: password.New(secret)}
	wrong := params
	wrong.OldPassword = password.New(newSecret)
	short := users.ChangePasswordParams{NewPassword: password.New("short")}
	again := params
	again.OldPassword, again.IfVersion = params.NewPassword, 1
	inTx := svc.InTx(boxOf(t, svc))
	for _, tt := range []struct {
		what, want string
		do         func() error
		told       string
	}{
		{"a wrong old one", "bad credentials", func() error { return svc.ChangePassword(own, apiKey, "ann", wrong) }, ""},
		{"a new one that is refused", "invalid", func() error { return svc.ChangePassword(t.Context(), apiKey, "ann", short) }, ""},
		{"a check", "ok", func() error { return svc.CheckChangePassword(own, apiKey, "ann", params) }, ""},
		{"its own", "ok", func() error { return svc.ChangePassword(own, apiKey, "ann", params) }, users.OperationChangePassword},
		{"of another version", "stale", func() error { return svc.ChangePassword(own, apiKey, "ann", again) }, ""},
		{"by the host", "ok", func() error { return svc.ChangePassword(t.Context(), apiKey, "ann", params) }, users.OperationChangePassword},
		{"in the host's transaction", "ok", func() error { return inTx.ChangePassword(t.Context(), apiKey, "ann", params) }, ""},
		{"a bad token", "bad token", func() error {
			return svc.SetPassword(t.Context(), apiKey, password.New("x"), password.New(newSecret))
		}, ""},
		{"a mailed link", "ok", func() error {
			return svc.SetPassword(t.Context(), apiKey, mailedToken(t, svc, u), password.New(newSecret))
		}, users.OperationSetPassword},
		{"a link in the host's transaction", "ok", func() error {
			return inTx.SetPassword(t.Context(), apiKey, mailedToken(t, svc, u), password.New(newSecret))
		}, ""},
		{"a hash that is made anew", "ok", func() error {
			j.outdated = true
			_, err := svc.Authenticate(t.Context(), apiKey, "ann", password.New(newSecret))
			return err
		}, ""},
	} {
		c.add(time.Minute)
		seen = nil
		equal(t, tt.what, class(tt.do()), tt.want)
		if tt.told == "" {
			equal(t, tt.what+": events", len(seen), 0)
			continue
		}
		now := get(t, svc, u.ID)
		if len(seen) != 1 {
			t.Fatalf("%s: got %d events, want one", tt.what, len(seen))
		}
		e := seen[0]
		equal(t, tt.what+": operation, application", [2]any{e.Operation, e.Application}, [2]any{tt.told, *app})
		equal(t, tt.what+": user, PasswordChanged", [2]any{e.User.ID, e.User.PasswordChanged}, [2]any{u.ID, c.Now()})
		equal(t, tt.what+": as it is stored", now.PasswordChanged, c.Now())
		equal(t, tt.what+": the version before", e.User.Version, now.Version-1)
		e.User.Version = now.Version
		equal(t, tt.what+": the user as it is now", e.User, *now)
	}
}

// Who replaces its own password is told so by mail, unless the host turned that off; who
// sets the first one is not, and for others the caller says it.
func TestOwnNewPasswordIsToldByMail(t *testing.T) {
	t.Parallel()
	own := func(u *users.User) context.Context {
		return as(t.Context(), users.Caller{ID: "s", APIKey: apiKey, UserID: u.ID})
	}
	params := users.ChangePasswordParams{NewPassword: password.New(newSecret), OldPassword: password.New(secret)}
	asked := params
	asked.SendEmailNotification = true
	for _, tt := range []struct {
		what         string
		do           func(svc *users.Service, u *users.User) error
		loud, silent int // messages
	}{
		{"the old password", func(svc *users.Service, u *users.User) error { return svc.ChangePassword(own(u), apiKey, u.ID, params) }, 1, 0},
		{"the old password, asked", func(svc *users.Service, u *users.User) error { return svc.ChangePassword(own(u), apiKey, u.ID, asked) }, 1, 1},
		{"a mailed link, in the host's transaction", func(svc *users.Service, u *users.User) error {
			return svc.InTx(withoutBox(boxOf(t, svc))).SetPassword(t.Context(), apiKey, mailedToken(t, svc, u), password.New(newSecret))
		}, 1, 0},
		{"by the host", func(svc *users.Service, u *users.User) error {
			return svc.ChangePassword(t.Context(), apiKey, u.ID, params)
		}, 0, 0},
		{"by the host, asked", func(svc *users.Service, u *users.User) error {
			return svc.ChangePassword(t.Context(), apiKey, u.ID, asked)
		}, 1, 1},
		{"a mailed link", func(svc *users.Service, u *users.User) error {
			return svc.SetPassword(t.Context(), apiKey, mailedToken(t, svc, u), password.New(newSecret))
		}, 1, 0},
		{"a token of the host's", func(svc *users.Service, u *users.User) error {
			return svc.SetPassword(t.Context(), apiKey, issue(t, svc, u.ID).Secret, password.New(newSecret))
		}, 1, 0},
		{"the first password", func(svc *users.Service, _ *users.User) error {
			first := invite(t, svc, "invited")
			return svc.SetPassword(t.Context(), apiKey, mailedToken(t, svc, first), password.New(newSecret))
		}, 0, 0},
		{"no password after all", func(svc *users.Service, u *users.User) error {
			_ = svc.SetPassword(t.Context(), apiKey, mailedToken(t, svc, u), password.New("short"))
			return nil
		}, 0, 0},
	} {
		for silent, want := range map[bool]int{false: tt.loud, true: tt.silent} {
			svc := newService(t, users.Options{SilentPasswordChange: silent})
			u := addUser(t, t.Context(), svc, "ann")
			if err := tt.do(svc, u); err != nil {
				t.Fatalf("%s: %v", tt.what, err)
			}
			waiting, err := svc.Notifications(t.Context(), apiKey, users.NotificationQuery{})
			if err != nil {
				t.Fatal(err)
			}
			equal(t, tt.what+": messages", len(waiting.Notifications), want)
			for _, n := range waiting.Notifications {
				equal(t, tt.what, [2]string{n.Kind, n.UserID}, [2]string{users.KindPasswordChanged, u.ID})
			}
		}
	}
}

// Without an outbox there is nobody to tell it, and the password is set all the same.
func TestNewPasswordNeedsNoOutbox(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	svc := newServiceOn(t, store, users.Options{})
	u := addUser(t, t.Context(), svc, "ann")
	plain := svc.WithStore(withoutBox(store))
	own := as(t.Context(), users.Caller{ID: "s", APIKey: apiKey, UserID: u.ID})
	params := users.ChangePasswordParams{NewPassword: password.New(newSecret), OldPassword: password.New(secret)}
	equal(t, "with the old one", class(plain.ChangePassword(own, apiKey, u.ID, params)), "ok")
	for name, s := range map[string]*users.Service{"plain": plain, "in the host's transaction": plain.InTx(withoutBox(store))} {
		err := s.SetPassword(t.Context(), apiKey, mailedToken(t, svc, u), password.New(newSecret))
		equal(t, name+", by a link", class(err), "ok")
	}
	waiting, err := svc.Notifications(t.Context(), apiKey, users.NotificationQuery{})
	if err != nil || len(waiting.Notifications) != 0 {
		t.Errorf("got %+v, %v, want no message", waiting, err)
	}
}

// boxless is a store that shows no outbox, as those inside a transaction do.
type boxless struct {
	users.Store
	users.TokenStore
	users.UserEditor
	users.LoginStore
}

func withoutBox(s users.Store) boxless {
	return boxless{s, s.(users.TokenStore), s.(users.UserEditor), s.(users.LoginStore)}
}
