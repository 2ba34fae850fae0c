package users_test

import (
	"context"
	"encoding/base64"
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

const newSecret = "nine lime hats under 4 umbrellas"

// invite creates a user without a password, whose address is name@example.com.
func invite(t testing.TB, svc *users.Service, name string) *users.User {
	t.Helper()
	u, err := svc.Create(t.Context(), apiKey, users.CreateUserParams{UserName: name, Email: name + "@example.com", AutoCreatePassword: true})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func issue(t testing.TB, svc *users.Service, id string) users.Token {
	t.Helper()
	token, err := svc.IssueSetPasswordToken(t.Context(), apiKey, id)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// hashOf returns the credential that the store holds.
func hashOf(t testing.TB, svc *users.Service, store users.Store, id string) password.Hash {
	t.Helper()
	app, err := svc.Application(t.Context(), apiKey)
	if err != nil {
		t.Fatal(err)
	}
	found, err := store.FindUsers(t.Context(), users.UserQuery{ApplicationID: app.ID, IDs: []string{id}})
	if err != nil || len(found) != 1 {
		t.Fatalf("got %v, %v, want one user", found, err)
	}
	return found[0].Hash
}

// countingHasher counts what is hashed.
type countingHasher struct {
	password.Hasher
	hashed atomic.Int32
}

func (h *countingHasher) Hash(pw []byte) (password.Hash, error) {
	h.hashed.Add(1)
	return h.Hasher.Hash(pw)
}

func TestTokenSetsThePasswordOnceAndEndsAllOthers(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	svc := newServiceOn(t, store, users.Options{})
	u, other := invite(t, svc, "ann"), invite(t, svc, "bob")
	first, second, others := issue(t, svc, u.ID), issue(t, svc, u.ID), issue(t, svc, other.ID)
	if got := hashOf(t, svc, store, u.ID); !got.IsZero() {
		t.Fatalf("credential before: got one, want none")
	}
	if want := start.Add(users.DefaultTokenLifetime); !first.Expires.Equal(want.Truncate(time.Microsecond)) {
		t.Errorf("expires: got %v, want %v", first.Expires, want)
	}
	if b, err := base64.RawURLEncoding.DecodeString(first.Secret.Reveal()); err != nil || len(b) < 16 || first.Secret.Equal(second.Secret) {
		t.Errorf("token: got %d bytes (%v), want at least 128 bits, never the same", len(b), err)
	}
	if err := svc.SetPassword(t.Context(), apiKey, first.Secret, password.New(newSecret)); err != nil {
		t.Fatal(err)
	}
	m, err := password.InsecureForTests().Verify(hashOf(t, svc, store, u.ID), []byte(newSecret))
	if err != nil || !m.OK {
		t.Errorf("the new password: got %v, %v, want it to be verified", m, err)
	}
	for name, token := range map[string]string{"used": first.Secret.Reveal(), "of the same user": second.Secret.Reveal()} {
		if err := svc.SetPassword(t.Context(), apiKey, password.New(token), password.New(newSecret+"!")); err != users.ErrBadToken {
			t.Errorf("token %s: got %v, want ErrBadToken", name, err)
		}
	}
	if err := svc.SetPassword(t.Context(), apiKey, others.Secret, password.New(newSecret)); err != nil {
		t.Errorf("token of another user: got %v, want none", err)
	}
}

func TestOfRacingUsesOfATokenOneWins(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{})
	token := issue(t, svc, invite(t, svc, "ann").ID)
	var wins atomic.Int32
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			err := svc.SetPassword(t.Context(), apiKey, token.Secret, password.New(fmt.Sprint(newSecret, i)))
			if err == nil {
				wins.Add(1)
			} else if err != users.ErrBadToken {
				t.Errorf("got %v, want ErrBadToken", err)
			}
		})
	}
	wg.Wait()
	if got := wins.Load(); got != 1 {
		t.Errorf("got %d that succeeded, want 1", got)
	}
}

// All of these are one same answer, and none costs a hash.
func TestBadTokensAreOneAnswerAndHashNothing(t *testing.T) {
	t.Parallel()
	now := start
	h := &countingHasher{Hasher: password.InsecureForTests()}
	svc := newService(t, users.Options{Hasher: h, TokenLifetime: time.Hour, Now: func() time.Time { return now }})
	addApplication(t, svc, users.Application{APIKey: "other"})
	addApplication(t, svc, users.Application{APIKey: "off", Disabled: true})
	expired := issue(t, svc, invite(t, svc, "ann").ID).Secret.Reveal()
	now = now.Add(time.Hour) // an expiry is the first moment at which it is bad
	good := issue(t, svc, invite(t, svc, "bob").ID).Secret.Reveal()
	for name, tt := range map[string]struct{ apiKey, token string }{
		"expired":               {apiKey, expired},
		"empty":                 {apiKey, ""},
		"never issued":          {apiKey, strings.Repeat("A", 43)},
		"short":                 {apiKey, good[:42]},
		"long":                  {apiKey, good + "A"},
		"huge":                  {apiKey, strings.Repeat("A", 1<<20)},
		"line break":            {apiKey, good + "\n"},
		"other letters":         {apiKey, strings.Repeat("%", 43)},
		"NUL and invalid UTF-8": {apiKey, strings.Repeat("\x00", 42) + "\xff"},
		"other application":     {"other", good},
		"disabled application":  {"off", good},
		"unknown application":   {"nobody", good},
		"impossible key":        {"a/b", good},
	} {
		for _, pw := range []string{newSecret, "", "short"} {
			if err := svc.SetPassword(t.Context(), tt.apiKey, password.New(tt.token), password.New(pw)); err != users.ErrBadToken {
				t.Errorf("%s, password of %d bytes: got %v, want ErrBadToken itself", name, len(pw), err)
			}
		}
	}
	if got := h.hashed.Load(); got != 0 {
		t.Errorf("hashed: got %d, want 0", got)
	}
	if err := svc.SetPassword(t.Context(), apiKey, password.New(good), password.New(newSecret)); err != nil {
		t.Errorf("the good one: got %v, want none", err)
	}
}

func TestPolicyRefusalLeavesTheTokenGood(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{})
	token := issue(t, svc, invite(t, svc, "annabella.montgomery").ID)
	for _, pw := range []string{"", "lime hats 4", "annabella.montgomery", "annabella.montgomery@example.com", strings.Repeat("a", 20)} {
		err := svc.SetPassword(t.Context(), apiKey, token.Secret, password.New(pw))
		var v *users.ValidationError
		if !errors.As(err, &v) || len(v.Fields) != 1 || v.Fields[0].Pointer != "/newPassword" {
			t.Errorf("a password of %d bytes: got %v, want a finding at /newPassword", len(pw), err)
		}
		if pw != "" && strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), pw) {
			t.Errorf("the error tells the password: %v", err)
		}
	}
	if err := svc.SetPassword(t.Context(), apiKey, token.Secret, password.New(newSecret)); err != nil {
		t.Errorf("got %v, want none", err)
	}
}

func TestPasswordsAreNotMadeOfTheNamesOfUserAndApplication(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{})
	const key = "zyxophon-inc"
	addApplication(t, svc, users.Application{APIKey: key, Name: "Brütküper Wohnstätten"})
	p := params("hollerbusch")
	p.Name, p.Email = "Ottokar Zwiebel", "quendel@example.com"
	pw, confirm := p.Password, p.ConfirmPassword
	u, err := svc.Create(t.Context(), key, p)
	if err != nil {
		t.Fatal(err)
	}
	token, err := svc.IssueSetPasswordToken(t.Context(), key, u.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, guess := range []string{
		"Hollerbusch2026!", "ottokarzwiebel1", "quendelquendel99", "zyxophon-inc1234", "Zyxophon2026!!!!", "BrütküperWohnstätten", "brutkuper-2026-x", "zyxophon.brutkuper",
	} {
		p.Password, p.ConfirmPassword = password.New(guess), password.New(guess)
		err := svc.CheckCreate(t.Context(), key, p)
		equal(t, guess+" of a new user", findings(t, err), []string{"/password personal"})
		err = svc.SetPassword(t.Context(), key, token.Secret, password.New(guess))
		equal(t, guess+" of a known user", findings(t, err), []string{"/newPassword personal"})
	}
	p.Password, p.ConfirmPassword = pw, confirm
	p.UserName, p.Email = "other", "other@example.com"
	if err := svc.CheckCreate(t.Context(), key, p); err != nil {
		t.Errorf("a good password: %v", err)
	}
}

// One client that creates users without end keeps nobody from setting a password.
func TestCreatesDoNotCrowdOutSettingAPassword(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHasher()
		gate, err := password.NewGate(&password.GateOptions{Slots: 1, Queue: 4})
		if err != nil {
			t.Fatal(err)
		}
		svc := newService(t, users.Options{Hasher: h, Gate: gate})
		token := issue(t, svc, invite(t, svc, "ann").ID)
		h.during = func() { time.Sleep(time.Second) }

		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() { svc.Create(t.Context(), apiKey, params(fmt.Sprintf("user%d", i))) })
		}
		synctest.Wait()
		if _, full := svc.Overloaded(apiKey); !full {
			t.Fatal("the queue is not full")
		}
		before := time.Now()
		if err := svc.SetPassword(t.Context(), apiKey, token.Secret, password.New(newSecret)); err != nil {
			t.Errorf("got %v, want the password set", err)
		}
		// Behind the running hash and the one whose turn it is.
		equal(t, "time", time.Since(before), 3*time.Second)
		all.Wait()
	})
}

// One token, which anybody with an account can have, fills no queue.
func TestConcurrentCallsWithOneTokenMakeOneHash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHasher()
		svc := newService(t, users.Options{Hasher: h})
		token := issue(t, svc, invite(t, svc, "ann").ID)
		var hashed, set, refused atomic.Int32
		h.during = func() { hashed.Add(1); time.Sleep(time.Second) }

		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				switch err := svc.SetPassword(t.Context(), apiKey, token.Secret, password.New(fmt.Sprint(newSecret, i))); {
				case err == nil:
					set.Add(1)
				case errors.Is(err, users.ErrBadToken):
					refused.Add(1)
				default:
					t.Errorf("got %v, want none or ErrBadToken", err)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := svc.SetPassword(ctx, apiKey, token.Secret, password.New(newSecret)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a call that can't wait: got %v, want its context's error", err)
		}
		all.Wait()
		equal(t, "hashes", hashed.Load(), 1)
		equal(t, "set", set.Load(), 1)
		equal(t, "refused", refused.Load(), 49)
	})
}

func TestSetPasswordNeedsNoCaller(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{RequireCaller: false})
	token := issue(t, svc, invite(t, svc, "ann").ID)
	ctx := users.WithCaller(t.Context(), users.Caller{APIKey: "other"})
	if err := svc.RecoverPassword(ctx, apiKey, "ann"); err != nil {
		t.Errorf("RecoverPassword: got %v, want none", err)
	}
	if err := svc.SetPassword(ctx, apiKey, token.Secret, password.New(newSecret)); err != nil {
		t.Errorf("SetPassword: got %v, want none", err)
	}
}

func TestIssueSetPasswordTokenOfNobodyIsNotFound(t *testing.T) {
	t.Parallel()
	svc := newService(t, users.Options{})
	for _, id := range []string{"", "ann", "01JZZZZZZZZZZZZZZZZZZZZZZZ"} {
		if _, err := svc.IssueSetPasswordToken(t.Context(), apiKey, id); !errors.Is(err, users.ErrNotFound) {
			t.Errorf("id %q: got %v, want ErrNotFound", id, err)
		}
	}
}

func TestRecoverPasswordTakesTheSameTimeWhetherTheUserExistsOrNot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		svc := newServiceOn(t, slowLookups{store, 30 * time.Millisecond}, users.Options{Now: time.Now})
		addApplication(t, svc, users.Application{APIKey: "off", Disabled: true})
		invite(t, svc, "ann")
		for name, tt := range map[string]struct {
			apiKey, login string
			rows          int
		}{
			"by name":              {apiKey, "ann", 1},
			"again":                {apiKey, "ann", 1},
			"by address":           {apiKey, "Ann@Example.com", 1},
			"nobody's name":        {apiKey, "eve", -1},
			"nobody's address":     {apiKey, "eve@example.com", -1},
			"what can't be a name": {apiKey, "a/b\x00", -1},
			"nothing":              {apiKey, "", -1},
			"unknown application":  {"nobody", "ann", -1},
			"disabled application": {"off", "ann", -1},
		} {
			began := time.Now()
			if err := svc.RecoverPassword(t.Context(), tt.apiKey, tt.login); err != nil {
				t.Errorf("%s: got %v, want none", name, err)
			}
			if got, want := time.Since(began), 250*time.Millisecond; got != want {
				t.Errorf("%s: took %v, want %v", name, got, want)
			}
			if rows := notifications(t, svc); tt.rows >= 0 && len(rows) != tt.rows {
				t.Errorf("%s: got %d rows, want %d", name, len(rows), tt.rows)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := svc.RecoverPassword(ctx, apiKey, "ann"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
	})
}

// slowLookups takes its time to find a user, and to find none no time at all.
type slowLookups struct {
	*memstore.Store
	time.Duration
}

func (s slowLookups) FindUsers(ctx context.Context, q users.UserQuery) ([]users.UserRecord, error) {
	found, err := s.Store.FindUsers(ctx, q)
	if len(found) > 0 {
		time.Sleep(s.Duration)
	}
	return found, err
}

// slowWrites takes its time to write, or fails to.
type slowWrites struct {
	*memstore.Store
	err error
}

func (s slowWrites) Enqueue(ctx context.Context, r users.NotificationRecord, gap time.Duration) error {
	time.Sleep(time.Second)
	if s.err != nil {
		return s.err
	}
	return s.Store.Enqueue(ctx, r, gap)
}

func TestRecoverPasswordTellsNobodyApartWhenWritesAreSlowOrFail(t *testing.T) {
	t.Parallel()
	for _, fails := range []error{nil, users.ErrUnavailable} {
		synctest.Test(t, func(t *testing.T) {
			svc := newServiceOn(t, slowWrites{memstore.New(), fails}, users.Options{Now: time.Now})
			invite(t, svc, "ann")
			for _, login := range []string{"ann", "nobody", "nobody@example.com"} {
				start := time.Now()
				if err := svc.RecoverPassword(t.Context(), apiKey, login); !errors.Is(err, fails) {
					t.Errorf("%s: got %v, want %v", login, err, fails)
				}
				if took := time.Since(start); took != 1250*time.Millisecond {
					t.Errorf("%s: took %v, want 1.25 s", login, took)
				}
			}
		})
	}
}

func notifications(t testing.TB, svc *users.Service) []users.NotificationRecord {
	t.Helper()
	rows, err := svc.Notifications(t.Context(), apiKey, users.NotificationQuery{})
	if err != nil {
		t.Fatal(err)
	}
	return rows.Notifications
}

func TestRecoverPasswordFindsAUserByNameAndByAddressAlone(t *testing.T) {
	t.Parallel()
	for _, login := range []string{
		"ann", "ANN", "bell/work@example.org", "Bell/Work@Example.org",
		" ann", "ann ", "\tann\r\n", "\u00a0ann\u3000", " bell/work@example.org\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			svc := newService(t, users.Options{})
			u, err := svc.Create(t.Context(), apiKey, users.CreateUserParams{UserName: "ann", Email: "bell/work@example.org", AutoCreatePassword: true})
			if err != nil {
				t.Fatal(err)
			}
			if err := svc.RecoverPassword(t.Context(), apiKey, login); err != nil {
				t.Fatal(err)
			}
			if rows := notifications(t, svc); len(rows) != 1 || rows[0].UserID != u.ID {
				t.Errorf("%q: got %+v, want one message to %s", login, rows, u.ID)
			}
		})
	}
}

func TestRecoverPasswordIsLimitedPerUser(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		svc := newServiceOn(t, store, users.Options{Now: time.Now})
		invite(t, svc, "ann")
		invite(t, svc, "bob")
		sent := 0
		ask := func(login string) {
			if err := svc.RecoverPassword(t.Context(), apiKey, login); err != nil {
				t.Fatal(err)
			}
			rows, err := store.Claim(t.Context(), users.Claim{Worker: "w", Lease: time.Minute, Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				if n, err := svc.PrepareNotification(t.Context(), r); err != nil || n.Token.IsZero() || n.Kind != users.KindSetPassword {
					t.Fatalf("got %+v, %v, want a message with a token", n, err)
				}
				if err := store.Settle(t.Context(), users.Settlement{
					ApplicationID: r.ApplicationID, ID: r.ID, Worker: "w", Outcome: users.OutcomeDelivered,
				}); err != nil {
					t.Fatal(err)
				}
				sent++
			}
		}
		for range 20 {
			ask("ann")
			ask("ann@example.com")
		}
		if sent != 1 {
			t.Errorf("within 10 s: got %d messages to one user, want 1", sent)
		}
		ask("bob")
		if sent != 2 {
			t.Errorf("another user: got %d messages, want 2", sent)
		}
		time.Sleep(users.RecoveryGap)
		ask("ann")
		if sent != 3 {
			t.Errorf("after the gap: got %d messages, want 3", sent)
		}
	})
}

func TestNotificationShowsTheUserAsItIsNowAndRefusesWhatCannotBeTold(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	svc := newServiceOn(t, store, users.Options{})
	u := invite(t, svc, "ann")
	app, err := svc.Application(t.Context(), apiKey)
	if err != nil {
		t.Fatal(err)
	}
	row := users.NotificationRecord{ID: u.ID, ApplicationID: app.ID, UserID: u.ID, Kind: users.KindAccountCreated}
	locked := true
	if _, err := svc.SetStatus(t.Context(), apiKey, u.ID, users.Status{IsLockedOut: &locked}); err != nil {
		t.Fatal(err)
	}
	n, err := svc.PrepareNotification(t.Context(), row)
	if err != nil || n.ID != row.ID || !n.Token.IsZero() || !n.User.IsLockedOut || n.Application != *app {
		t.Errorf("got %+v, %v, want the user locked out and no token", n, err)
	}
	for name, tt := range map[string]struct {
		change func(*users.NotificationRecord)
		want   error
	}{
		"user gone":          {func(r *users.NotificationRecord) { r.UserID = "01JZZZZZZZZZZZZZZZZZZZZZZZ" }, users.ErrNotFound},
		"application gone":   {func(r *users.NotificationRecord) { r.ApplicationID = "01JZZZZZZZZZZZZZZZZZZZZZZZ" }, users.ErrUnknownApplication},
		"kind of the future": {func(r *users.NotificationRecord) { r.Kind = "birthday" }, nil},
	} {
		other := row
		tt.change(&other)
		if _, err := svc.PrepareNotification(t.Context(), other); err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
	}
}

func TestPurgeDeletesExpiredTokensOnly(t *testing.T) {
	t.Parallel()
	now := start
	svc := newService(t, users.Options{Now: func() time.Time { return now }})
	u := invite(t, svc, "ann")
	issue(t, svc, u.ID)
	now = now.Add(36 * time.Hour)
	live := issue(t, svc, u.ID)
	now = now.Add(12 * time.Hour) // a day after the first one's end: until then it counts for RecoveryGap
	if n, err := svc.Purge(t.Context(), 10); err != nil || n != 1 {
		t.Errorf("got %d, %v, want 1", n, err)
	}
	if _, err := svc.Purge(users.WithCaller(t.Context(), users.Caller{APIKey: apiKey, Permissions: users.AllPermissions}), 10); !errors.Is(err, users.ErrForbidden) {
		t.Errorf("a caller: got %v, want ErrForbidden", err)
	}
	if err := svc.SetPassword(t.Context(), apiKey, live.Secret, password.New(newSecret)); err != nil {
		t.Errorf("the live token: got %v, want none", err)
	}
}

func TestNotificationsAndTokensNeedAStoreThatCan(t *testing.T) {
	t.Parallel()
	svc := newServiceOn(t, storefake.Without(memstore.New()), users.Options{})
	u := invite(t, svc, "ann")
	for name, call := range map[string]func() error{
		"Notifications":         func() error { _, err := svc.Notifications(t.Context(), apiKey, users.NotificationQuery{}); return err },
		"RetryNotification":     func() error { return svc.RetryNotification(t.Context(), apiKey, u.ID) },
		"RecoverPassword":       func() error { return svc.RecoverPassword(t.Context(), apiKey, "ann") },
		"IssueSetPasswordToken": func() error { _, err := svc.IssueSetPasswordToken(t.Context(), apiKey, u.ID); return err },
		"SetPassword":           func() error { return svc.SetPassword(t.Context(), apiKey, password.New("x"), password.New(newSecret)) },
		"Outbox":                func() error { _, err := svc.Outbox(); return err },
	} {
		if err := call(); !errors.Is(err, users.ErrUnsupported) {
			t.Errorf("%s: got %v, want ErrUnsupported", name, err)
		}
	}
}
