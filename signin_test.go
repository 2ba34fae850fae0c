package users_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

// judge is a Hasher that counts what it verifies and tells hashes that are out of date
// by their beginning.
type judge struct {
	password.Hasher
	outdated         bool
	during           func() // runs inside of each verification and hash
	verified, hashed atomic.Int64
	now, most        atomic.Int64
}

func (j *judge) Hash(pw []byte) (password.Hash, error) {
	j.hashed.Add(1)
	if j.during != nil {
		j.during()
	}
	return j.Hasher.Hash(pw)
}

func (j *judge) Memory(password.Hash) int64 { return 10 }

func (j *judge) Verify(h password.Hash, pw []byte) (password.Match, error) {
	j.verified.Add(1)
	raise(&j.most, j.now.Add(1))
	defer j.now.Add(-1)
	if j.during != nil {
		j.during()
	}
	m, err := j.Hasher.Verify(h, pw)
	m.Outdated = m.OK && j.outdated
	return m, err
}

func newJudge() *judge { return &judge{Hasher: password.InsecureForTests()} }

// signIn returns the class of what Authenticate answers.
func signIn(ctx context.Context, svc *users.Service, login, pw string) string {
	_, err := svc.Authenticate(ctx, apiKey, login, password.New(pw))
	return class(err)
}

func TestAuthenticateTakesTheNameOrTheAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		svc := newService(t, users.Options{})
		u := addUser(t, t.Context(), svc, "Ann")
		for _, login := range []string{"ann", "ANN", "ａｎｎ", "Ann@Example.com", "\tann@example.com "} {
			got, err := svc.Authenticate(t.Context(), apiKey, login, password.New(secret))
			if err != nil {
				t.Errorf("%s: %v", login, err)
				continue
			}
			got.LastLogin = time.Time{} // TestLastLoginIsTheOneBefore
			equal(t, login, got, u)
		}
		// Without an application, a user or a password it is always the same answer.
		invite(t, svc, "invited")
		addApplication(t, svc, users.Application{APIKey: "closed"})
		if _, err := svc.Create(t.Context(), "closed", params("ann")); err != nil {
			t.Fatal(err)
		}
		if _, err := svc.UpdateApplication(t.Context(), "closed", users.ApplicationChange{Disabled: ptr(true)}); err != nil {
			t.Fatal(err)
		}
		for _, tt := range [][3]string{
			{apiKey, "ann", newSecret}, {apiKey, "ann", ""}, {apiKey, "ann", secret + " "}, {apiKey, "ann", "\xff"},
			{apiKey, "ann", strings.Repeat("a", 100_000)},
			{apiKey, u.ID, secret}, {apiKey, "nobody", secret}, {apiKey, "no such/name", secret}, {apiKey, "", secret},
			{apiKey, "invited", ""}, {apiKey, "invited", secret},
			{"closed", "ann", secret}, {"nobody", "ann", secret}, {"no/key", "ann", secret},
		} {
			start := time.Now()
			got, err := svc.Authenticate(t.Context(), tt[0], tt[1], password.New(tt[2]))
			if err != users.ErrBadCredentials || got != nil {
				t.Errorf("%.60q: got %v, %v, want ErrBadCredentials itself", tt, got, err)
			}
			if took := time.Since(start); took != 100*time.Millisecond {
				t.Errorf("%.60q took %v, want the tick", tt, took)
			}
		}
	})
}

// What a refusal costs says nothing: one look-up, one count, one verification.
func TestAuthenticateWorksAlikeForWhoeverIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, j := memstore.New(), newJudge()
		plain := newServiceOn(t, store, users.Options{Hasher: j, Lockout: users.Lockout{Free: 1}})
		addUser(t, t.Context(), plain, "ann")
		addUser(t, t.Context(), plain, "locked")
		invite(t, plain, "invited")
		addApplication(t, plain, users.Application{APIKey: "closed", Disabled: true})
		signIn(t.Context(), plain, "locked", newSecret)
		var seen log
		svc := plain.WithStore(seen.on(store))
		for _, tt := range [][2]string{
			{apiKey, "ann"}, {apiKey, "locked"}, {apiKey, "invited"}, {apiKey, "nobody"}, {apiKey, "no/name"}, {"closed", "ann"}, {"nobody", "ann"},
		} {
			for pw, verified := range map[string]int64{newSecret: 1, "\xff": 1, strings.Repeat("a", 100_000): 1, "in parts: u\u0308": 2} {
				j.verified.Store(0)
				j.hashed.Store(0)
				if _, err := svc.Authenticate(t.Context(), tt[0], tt[1], password.New(pw)); class(err) != "bad credentials" {
					t.Errorf("%s: got %v", tt, err)
				}
				calls, _ := seen.take()
				equal(t, fmt.Sprint(tt, ": calls"), calls, []storefake.Method{storefake.FindApplication, storefake.FindUsers, storefake.BeginLogin})
				equal(t, fmt.Sprint(tt, ": verified, hashed"), [2]int64{j.verified.Load(), j.hashed.Load()}, [2]int64{verified, 0})
			}
		}
	})
}

// Of guesses that arrive together no more are judged than are free, however the name is
// spelt, and none of a lock is.
func TestGuessesThatArriveTogetherAreCountedFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := newJudge()
		svc := newService(t, users.Options{Hasher: j, Now: time.Now, Lockout: users.Lockout{Free: 5, First: time.Minute, Max: 3 * time.Minute}})
		u := addUser(t, t.Context(), svc, "ann")
		judged := func() (n int) {
			var all sync.WaitGroup
			right := atomic.Int64{}
			for i := range 60 {
				all.Go(func() {
					login := []string{"ann", "ANN", "ａｎｎ", "ann@example.com", "Ann@EXAMPLE.com"}[i%5]
					if signIn(t.Context(), svc, login, secret) == "ok" {
						right.Add(1)
					}
				})
			}
			all.Wait()
			return int(right.Load())
		}
		// A right one that is judged ends the count, so that more may follow; wrong ones don't.
		guess := func() (n int) {
			store := svc.WithStore(countAllowed(t, svc, &n))
			var all sync.WaitGroup
			for range 60 {
				all.Go(func() { signIn(t.Context(), store, "ann", newSecret) })
			}
			all.Wait()
			return n
		}
		equal(t, "judged at once", guess(), 5)
		equal(t, "right ones during the lock", judged(), 0)
		for _, lock := range []time.Duration{time.Minute, 2 * time.Minute, 3 * time.Minute, 3 * time.Minute} {
			time.Sleep(lock - time.Second)
			equal(t, "just before the end of a lock", guess(), 0)
			time.Sleep(time.Second)
			equal(t, "after it", guess(), 1)
		}
		before := get(t, svc, u.ID)
		equal(t, "version", before.Version, 1)
		time.Sleep(time.Hour)
		equal(t, "the right one", signIn(t.Context(), svc, "ann", secret), "ok")
		equal(t, "the count begins again", guess(), 5)
	})
}

// countAllowed counts the guesses that the store of svc allows to be judged.
func countAllowed(t *testing.T, svc *users.Service, n *int) users.Store {
	t.Helper()
	box, err := svc.Outbox() // the store itself
	if err != nil {
		t.Fatal(err)
	}
	return &allowing{Store: box.(users.Store), n: n}
}

type allowing struct {
	users.Store
	mu sync.Mutex
	n  *int
}

func (a *allowing) Unwrap() users.Store { return a.Store }

func (a *allowing) BeginLogin(ctx context.Context, l users.LoginAttempt) (int, error) {
	logins, _ := users.StoreAs[users.LoginStore](a.Store)
	failures, err := logins.BeginLogin(ctx, l)
	if failures > 0 {
		a.mu.Lock()
		defer a.mu.Unlock()
		*a.n++
	}
	return failures, err
}

func (a *allowing) EndLogin(ctx context.Context, l users.LoginEnd) error {
	logins, _ := users.StoreAs[users.LoginStore](a.Store)
	return logins.EndLogin(ctx, l)
}

// Whoever signs in is told of the time before, so that a stranger's sign-in shows;
// refusals are none, and a sign-in is no change of the user.
func TestLastLoginIsTheOneBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		svc := newService(t, users.Options{Now: time.Now})
		u := addUser(t, t.Context(), svc, "ann")
		var before time.Time
		for range 3 {
			time.Sleep(time.Hour)
			equal(t, "a wrong password", signIn(t.Context(), svc, "ann", newSecret), "bad credentials")
			got, err := svc.Authenticate(t.Context(), apiKey, "ann", password.New(secret))
			if err != nil {
				t.Fatal(err)
			}
			want := *u
			want.LastLogin = before
			equal(t, "what Authenticate returns", *got, want)

			before = time.Now().UTC().Truncate(time.Microsecond)
			want.LastLogin = before
			equal(t, "the user behind it", *get(t, svc, u.ID), want)
		}
		time.Sleep(time.Hour)
		if _, err := svc.SetStatus(t.Context(), apiKey, "ann", users.Status{IsLockedOut: ptr(true)}); err != nil {
			t.Fatal(err)
		}
		equal(t, "a user that is locked out", signIn(t.Context(), svc, "ann", secret), "locked out")
		equal(t, "LastLogin behind refusals", get(t, svc, u.ID).LastLogin, before)
	})
}

// Nobody is kept out of an account by guesses.
func TestNewPasswordEndsALock(t *testing.T) {
	t.Parallel()
	for how, set := range map[string]func(svc *users.Service, u *users.User, pw password.Secret) error{
		"by a mailed link": func(svc *users.Service, u *users.User, pw password.Secret) error {
			return svc.SetPassword(t.Context(), apiKey, mailedToken(t, svc, u), pw)
		},
		"by an administrator": func(svc *users.Service, u *users.User, pw password.Secret) error {
			return svc.ChangePassword(t.Context(), apiKey, u.ID, users.ChangePasswordParams{NewPassword: pw})
		},
	} {
		svc := newService(t, users.Options{Lockout: users.Lockout{Free: 1}})
		u := addUser(t, t.Context(), svc, "ann")
		signIn(t.Context(), svc, "ann", newSecret)
		equal(t, how+": locked", signIn(t.Context(), svc, "ann", secret), "bad credentials")
		if err := set(svc, u, password.New(newSecret)); err != nil {
			t.Fatal(err)
		}
		equal(t, how, signIn(t.Context(), svc, "ann", newSecret), "ok")
	}
}

// A user's status is told to nobody who does not know the password.
func TestStatusIsToldAfterTheRightPassword(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	svc := newServiceOn(t, store, users.Options{})
	addUser(t, t.Context(), svc, "ann")
	for _, tt := range []struct {
		status users.Status
		want   string
	}{
		{users.Status{IsLockedOut: ptr(true)}, "locked out"},
		{users.Status{IsApproved: ptr(false)}, "locked out"},
		{users.Status{IsLockedOut: ptr(false)}, "not approved"},
		{users.Status{IsApproved: ptr(true)}, "ok"},
	} {
		if _, err := svc.SetStatus(t.Context(), apiKey, "ann", tt.status); err != nil {
			t.Fatal(err)
		}
		equal(t, "wrong", signIn(t.Context(), svc, "ann", newSecret), "bad credentials")
		equal(t, "right", signIn(t.Context(), svc, "ann", secret), tt.want)
		if u := recordOf(t, svc, store, "ann"); u.LastLogin.IsZero() != (tt.want != "ok") || u.Login.Failures != 0 {
			t.Errorf("%s: got a last sign-in at %v and %+v", tt.want, u.LastLogin, u.Login)
		}
	}
}

// recordOf returns a user as it is stored.
func recordOf(t testing.TB, svc *users.Service, store users.Store, name string) users.UserRecord {
	t.Helper()
	app, err := svc.Application(t.Context(), apiKey)
	if err != nil {
		t.Fatal(err)
	}
	found, err := store.FindUsers(t.Context(), users.UserQuery{ApplicationID: app.ID, NameKeys: []string{name}})
	if err != nil || len(found) != 1 {
		t.Fatalf("got %v, %v, want one user", found, err)
	}
	return found[0]
}

// A hash that is out of date is replaced, but never a password that was changed
// meanwhile, and not where that would cost the sign-in.
func TestOutdatedHashIsReplaced(t *testing.T) {
	t.Parallel()
	store, j := memstore.New(), newJudge()
	svc := newServiceOn(t, store, users.Options{Hasher: j})
	u := addUser(t, t.Context(), svc, "ann")
	first := hashOf(t, svc, store, u.ID)
	equal(t, "as it is", signIn(t.Context(), svc, "ann", secret), "ok")
	if !hashOf(t, svc, store, u.ID).Equal(first) {
		t.Error("a good hash was replaced")
	}

	j.outdated = true
	equal(t, "out of date", signIn(t.Context(), svc, "ann", secret), "ok")
	second := hashOf(t, svc, store, u.ID)
	equal(t, "afterwards", signIn(t.Context(), svc, "ann", secret), "ok")
	equal(t, "version", get(t, svc, u.ID).Version, 1)
	if second.Equal(first) {
		t.Error("an outdated hash was kept")
	}

	racing := svc.WithStore(storefake.Around(store, func(_ context.Context, m storefake.Method, _ any, do func() error) error {
		if m == storefake.EndLogin {
			if err := svc.ChangePassword(context.WithoutCancel(t.Context()), apiKey, u.ID, users.ChangePasswordParams{NewPassword: password.New(newSecret)}); err != nil {
				t.Error(err)
			}
		}
		return do()
	}))
	equal(t, "while it is changed", signIn(t.Context(), racing, "ann", secret), "ok")
	equal(t, "the new one", signIn(t.Context(), svc, "ann", newSecret), "ok")
	equal(t, "the old one", signIn(t.Context(), svc, "ann", secret), "bad credentials")
}

// A hash that nobody can verify any more is a password that nobody has, after the work
// of any other.
func TestUnknownHashIsNoPassword(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	other, err := password.Bcrypt(password.MinBcryptCost)
	if err != nil {
		t.Fatal(err)
	}
	addUser(t, t.Context(), newServiceOn(t, store, users.Options{Hasher: other}), "ann")
	j := newJudge()
	svc, err := users.New(store, &users.Options{Hasher: j, Legacy: password.InsecureForTests()})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the answer", signIn(t.Context(), svc, "ann", secret), "bad credentials")
	equal(t, "verified", j.verified.Load(), 3) // it, and for nobody in both forms of the password
}

func TestLockoutThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	for _, l := range []users.Lockout{{Free: -1}, {Free: 101}, {First: -1}, {Max: -1}, {First: time.Hour, Max: time.Minute}} {
		if _, err := users.New(memstore.New(), &users.Options{Lockout: l}); err == nil || !strings.Contains(err.Error(), "Lockout") {
			t.Errorf("%+v: got %v, want an error that names it", l, err)
		}
	}
}

// Sign-ins take their turn in a line of their own, and the memory that they need.
func TestSignInsWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate, err := password.NewGate(&password.GateOptions{Slots: 8, Bytes: 25, Queue: 4})
		if err != nil {
			t.Fatal(err)
		}
		j := newJudge()
		svc := newService(t, users.Options{Hasher: j, Gate: gate})
		addUser(t, t.Context(), svc, "ann")
		signIn(t.Context(), svc, "ann", secret) // the hash that stands for nobody's is made
		j.during = func() { time.Sleep(time.Second) }
		var all sync.WaitGroup
		var ok, overloaded atomic.Int64
		for range 20 {
			all.Go(func() {
				switch got := signIn(t.Context(), svc, "nobody", secret); got {
				case "bad credentials":
					ok.Add(1)
				case "overloaded":
					overloaded.Add(1)
				default:
					t.Errorf("got %s", got)
				}
			})
		}
		synctest.Wait()
		if _, full := svc.Overloaded(apiKey); full {
			t.Error("a new user would be refused")
		}
		all.Wait()
		equal(t, "at once", j.most.Load(), 2)
		equal(t, "answered, refused", [2]int64{ok.Load(), overloaded.Load()}, [2]int64{6, 14})
	})
}

// Where more of one application want to sign in and to create users than the gate lets
// wait, each kind has half of the queue, whichever came first, and half of the hashes
// while both wait.
func TestSignInsAndCreatesLeaveEachOtherHalf(t *testing.T) {
	t.Parallel()
	const crowd, queue, hashing = 100, 20, time.Second
	for _, first := range []string{"create", "sign-in"} {
		synctest.Test(t, func(t *testing.T) {
			gate, err := password.NewGate(&password.GateOptions{Slots: 1, Queue: queue, MaxWait: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			j := newJudge()
			svc := newService(t, users.Options{Hasher: j, Gate: gate, Now: time.Now})
			for i := range crowd {
				addUser(t, t.Context(), svc, fmt.Sprint("member", i))
			}
			signIn(t.Context(), svc, "member0", secret) // the hash that stands for nobody's is made
			j.during = func() { time.Sleep(hashing) }

			var mu sync.Mutex
			var served []string // in order
			answers := map[string]int{}
			var all sync.WaitGroup
			begin := time.Now()
			arrive := func(kind string) {
				for i := range crowd {
					all.Go(func() {
						var err error
						if kind == "create" {
							_, err = svc.Create(t.Context(), apiKey, params(fmt.Sprint("user", i)))
						} else {
							_, err = svc.Authenticate(t.Context(), apiKey, fmt.Sprint("member", i), password.New(secret))
						}
						mu.Lock()
						defer mu.Unlock()
						answers[kind+": "+class(err)]++
						if err == nil {
							served = append(served, kind)
						}
					})
				}
				synctest.Wait()
			}
			second := map[string]string{"create": "sign-in", "sign-in": "create"}[first]
			arrive(first)
			equal(t, "refused of the first: "+first, answers, map[string]int{first + ": overloaded": crowd - queue - 1})
			arrive(second)
			all.Wait()

			// One of those who came first hashed when the queue filled.
			equal(t, "answers where the first are "+first, answers, map[string]int{
				first + ": ok": queue/2 + 1, first + ": overloaded": crowd - queue/2 - 1,
				second + ": ok": queue / 2, second + ": overloaded": crowd - queue/2,
			})
			want := []string{first}
			for range queue / 2 {
				want = append(want, first, second)
			}
			equal(t, "served in turn", served, want)
			equal(t, "time", time.Since(begin), (queue+1)*hashing)
		})
	}
}

// What the gate does not admit is not judged, and so is no failure: the right password is
// not locked out by a crowd.
func TestWhatIsNotJudgedIsNoFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate, err := password.NewGate(&password.GateOptions{Slots: 1, Queue: 1})
		if err != nil {
			t.Fatal(err)
		}
		store, j := memstore.New(), newJudge()
		svc := newServiceOn(t, store, users.Options{Hasher: j, Gate: gate, Lockout: users.Lockout{Free: 2}})
		addUser(t, t.Context(), svc, "ann")
		signIn(t.Context(), svc, "nobody", secret) // the hash that stands for nobody's is made
		j.during = func() { time.Sleep(time.Second) }
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() { signIn(t.Context(), svc, "nobody", secret) })
		}
		synctest.Wait()
		for range 5 {
			equal(t, "while the queue is full", signIn(t.Context(), svc, "ann", secret), "overloaded")
		}
		all.Wait()
		busy := make(chan bool)
		j.during = func() { <-busy }
		all.Go(func() { signIn(t.Context(), svc, "nobody", secret) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = svc.Authenticate(ctx, apiKey, "ann", password.New(secret))
		if err == nil || !strings.Contains(err.Error(), context.DeadlineExceeded.Error()) {
			t.Errorf("who gives up in the queue: got %v", err)
		}
		close(busy)
		all.Wait()
		equal(t, "failures", recordOf(t, svc, store, "ann").Login.Failures, 0)
		equal(t, "afterwards", signIn(t.Context(), svc, "ann", secret), "ok")
	})
}

// A hash that is out of date holds up nobody whose password is right.
func TestRehashWaitsForNoLongerThanASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate, err := password.NewGate(&password.GateOptions{Slots: 1})
		if err != nil {
			t.Fatal(err)
		}
		store, j := memstore.New(), newJudge()
		j.outdated = true
		svc := newServiceOn(t, store, users.Options{Hasher: j, Gate: gate})
		addUser(t, t.Context(), svc, "ann")
		signIn(t.Context(), svc, "nobody", secret)
		busy := make(chan bool)
		slow := svc.WithStore(storefake.Around(store, func(_ context.Context, m storefake.Method, _ any, do func() error) error {
			err := do()
			if m == storefake.EndLogin && j.during == nil { // from here on the gate is held
				j.during = func() { <-busy }
				go signIn(t.Context(), svc, "nobody", secret)
				synctest.Wait()
			}
			return err
		}))
		start := time.Now()
		equal(t, "the answer", signIn(t.Context(), slow, "ann", secret), "ok")
		equal(t, "time", time.Since(start), time.Second)
		close(busy)
		synctest.Wait()
		if u := recordOf(t, svc, store, "ann"); u.LastLogin.IsZero() || u.Login.Failures != 0 {
			t.Errorf("got a last sign-in at %v and %+v, want the sign-in noted", u.LastLogin, u.Login)
		}
	})
}

// By default ten failures lock for a minute, and each further one twice as long, up to an
// hour.
func TestLockoutDefaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		svc := newService(t, users.Options{Now: time.Now})
		addUser(t, t.Context(), svc, "ann")
		for range 10 {
			equal(t, "before the lock", signIn(t.Context(), svc, "ann", newSecret), "bad credentials")
		}
		for _, minutes := range []int{1, 2, 4, 8, 16, 32, 60, 60} {
			n := 0
			counting := svc.WithStore(countAllowed(t, svc, &n))
			time.Sleep(time.Duration(minutes)*time.Minute - time.Second)
			signIn(t.Context(), counting, "ann", secret)
			equal(t, fmt.Sprint("judged just before the end of ", minutes, " minutes"), n, 0)
			time.Sleep(time.Second)
			signIn(t.Context(), counting, "ann", newSecret)
			equal(t, fmt.Sprint("judged after ", minutes, " minutes"), n, 1)
		}
	})
}

// Whoever makes up applications has no more turns than one of them.
func TestSignInsForNoApplicationShareATurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate, err := password.NewGate(&password.GateOptions{Slots: 1, Queue: 8, MaxWait: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		j := newJudge()
		svc := newService(t, users.Options{Hasher: j, Gate: gate})
		addApplication(t, svc, users.Application{APIKey: "closed", Disabled: true})
		addUser(t, t.Context(), svc, "ann")
		signIn(t.Context(), svc, "nobody", secret) // the hash that stands for nobody's is made
		j.during = func() { time.Sleep(time.Second) }
		var all sync.WaitGroup
		for i := range 100 {
			key := fmt.Sprint("made-up", i)
			if i%2 == 0 {
				key = "closed"
			}
			all.Go(func() { _, _ = svc.Authenticate(t.Context(), key, "ann", password.New(newSecret)) })
		}
		synctest.Wait()
		start := time.Now()
		equal(t, "beside them", signIn(t.Context(), svc, "ann", newSecret), "bad credentials")
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("it took %v, want its turn after the one that runs and one of theirs", took)
		}
		all.Wait()
	})
}

// A store that hangs, or somebody who locks the user's row, keeps nobody from hashing.
func TestCountThatHangsGivesItsTurnBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate, err := password.NewGate(&password.GateOptions{Slots: 1})
		if err != nil {
			t.Fatal(err)
		}
		store := memstore.New()
		svc := newServiceOn(t, store, users.Options{Gate: gate})
		addUser(t, t.Context(), svc, "ann")
		signIn(t.Context(), svc, "nobody", secret)
		hanging := svc.WithStore(storefake.Around(store, func(ctx context.Context, m storefake.Method, _ any, do func() error) error {
			if m == storefake.BeginLogin {
				<-ctx.Done()
				return ctx.Err()
			}
			return do()
		}))
		var all sync.WaitGroup
		all.Go(func() {
			_, err := hanging.Authenticate(t.Context(), apiKey, "ann", password.New(secret))
			if !errors.Is(err, users.ErrUnavailable) {
				t.Errorf("got %v, want ErrUnavailable", err)
			}
		})
		synctest.Wait()
		start := time.Now()
		addUser(t, t.Context(), svc, "bea")
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("a new user took %v, want the 3 s that a permit waits for the store", took)
		}
		all.Wait()
	})
}

// A failure that the end of a transaction undoes would be none: inside of one nothing is
// judged.
func TestNoPasswordIsJudgedInsideATransaction(t *testing.T) {
	t.Parallel()
	store, j := memstore.New(), newJudge()
	svc := newServiceOn(t, store, users.Options{Hasher: j})
	u := addUser(t, t.Context(), svc, "ann")
	inTx := svc.InTx(store)
	own := as(t.Context(), users.Caller{ID: "s", APIKey: apiKey, UserID: u.ID})
	params := users.ChangePasswordParams{OldPassword: password.New(secret), NewPassword: password.New(newSecret)}
	equal(t, "sign-in", signIn(t.Context(), inTx, "ann", secret), "unsupported")
	equal(t, "own", class(inTx.ChangePassword(own, apiKey, u.ID, params)), "unsupported")
	equal(t, "own, checked", class(inTx.CheckChangePassword(own, apiKey, u.ID, params)), "unsupported")
	equal(t, "judged", j.verified.Load(), 0)
	equal(t, "by the host", class(inTx.ChangePassword(t.Context(), apiKey, u.ID, params)), "ok")
}

// A hash that can't be made anew is not tried.
func TestTooLongPasswordIsNotHashedAnew(t *testing.T) {
	t.Parallel()
	j := &limitedJudge{judge: newJudge()}
	svc := newService(t, users.Options{Hasher: j, Legacy: &oldSystem{}})
	long := strings.Repeat("a", 73)
	if _, err := svc.Create(t.Context(), apiKey, withHash("ann", oldHash(long))); err != nil {
		t.Fatal(err)
	}
	signIn(t.Context(), svc, "nobody", secret)
	made := j.hashed.Load()
	equal(t, "signed in", signIn(t.Context(), svc, "ann", long), "ok")
	equal(t, "hashed", j.hashed.Load(), made)
}

// limitedJudge takes 72 bytes.
type limitedJudge struct{ *judge }

func (limitedJudge) MaxBytes() int { return 72 }

// An old password that was right stays so when a sign-in hashes it anew meanwhile and
// somebody else changes the user.
func TestOldPasswordIsProvedAnew(t *testing.T) {
	t.Parallel()
	store, j := memstore.New(), newJudge()
	svc := newServiceOn(t, store, users.Options{Hasher: j})
	u := addUser(t, t.Context(), svc, "ann")
	for _, tt := range []struct {
		what, want string
		meanwhile  func()
	}{
		{"hashed anew", "ok", func() {
			j.outdated = true
			equal(t, "the other sign-in", signIn(t.Context(), svc, "ann", secret), "ok")
			j.outdated = false
		}},
		{"changed", "bad credentials", func() {
			err := svc.ChangePassword(t.Context(), apiKey, u.ID, users.ChangePasswordParams{NewPassword: password.New("violet harbour 47 crumpets")})
			if err != nil {
				t.Error(err)
			}
		}},
	} {
		var once sync.Once
		racing := svc.WithStore(storefake.Around(store, func(ctx context.Context, m storefake.Method, _ any, do func() error) error {
			if m == storefake.EditUser {
				once.Do(func() {
					tt.meanwhile()
					if _, err := svc.UpdateUser(t.Context(), apiKey, u.ID, users.UserChange{Name: &tt.what}); err != nil {
						t.Error(err)
					}
				})
			}
			return do()
		}))
		own := as(t.Context(), users.Caller{ID: "s", APIKey: apiKey, UserID: u.ID})
		err := racing.ChangePassword(own, apiKey, u.ID, users.ChangePasswordParams{
			OldPassword: password.New(secret), NewPassword: password.New(secret),
		})
		equal(t, tt.what, class(err), tt.want)
	}
}
