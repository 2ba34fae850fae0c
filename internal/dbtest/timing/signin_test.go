package timing_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/dbtest/servers"
	"github.com/gousers/users/internal/dbtest/timing"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
	"github.com/gousers/users/sqlstore"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

// atOnce is how many sign-ins wait for an answer at any moment of a run at once.
const atOnce = 64

// limits are what a run must keep to.
type limits struct {
	hasher           password.Hasher
	oneByOne, atOnce int     // sign-ins of each kind
	p                float64 // no rank test may find less
	// long also judges how much longer an answer takes than another. One store runs
	// after the other, and each write is on the disk when the store answers.
	long bool
}

// The bounded run must not fail however busy the machine is: it judges ranks alone, and
// finds what answers at another moment or without the work. Its hash takes a twentieth of
// the work of the default. USERS_TIMING=long (make timing) measures what is promised; of
// its rank tests one in a thousand fails by chance.
var (
	bounded = limits{hasher: password.Argon2id{MemoryKiB: 1 << 10}, oneByOne: 25, atOnce: 100, p: 1e-6}
	long    = limits{hasher: password.Default(), oneByOne: 1000, atOnce: 1000, p: 1e-3, long: true}
)

// tolerance is by what part of it an answer may take longer than another, in the median.
const tolerance = 0.05

// backend is a kind of store.
type backend struct {
	name string
	open func(t *testing.T, durable bool) users.Store
	// bare says that the store takes no time of its own. Others write for a user who
	// exists: that is what the tick hides.
	bare bool
	// slow says that a write always waits for the disk, for as long as that takes.
	slow bool
}

var backends = []backend{
	{name: "memstore", open: func(*testing.T, bool) users.Store { return memstore.New() }, bare: true},
	{name: "SQLite", open: func(t *testing.T, durable bool) users.Store {
		dsn := "file:" + filepath.Join(t.TempDir(), "users.db") + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)"
		if durable {
			return open(t, "sqlite", sqlstore.SQLite, dsn+"&_pragma=synchronous(full)")
		}
		return open(t, "sqlite", sqlstore.SQLite, dsn+"&_pragma=synchronous(off)")
	}},
	{name: "PostgreSQL", open: func(t *testing.T, durable bool) users.Store {
		if durable {
			return open(t, "pgx", sqlstore.Postgres, servers.Postgres(t))
		}
		return open(t, "pgx", sqlstore.Postgres, servers.Postgres(t)+"&synchronous_commit=off")
	}},
	{name: "MariaDB", open: func(t *testing.T, _ bool) users.Store {
		return open(t, "mysql", sqlstore.MySQL, servers.MySQL(t))
	}, slow: true},
}

func open(t *testing.T, driver string, dialect sqlstore.Dialect, dsn string) users.Store {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	s, err := sqlstore.New(db, dialect, nil)
	if err == nil {
		err = s.Migrate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Who is refused can't tell by the time whether there is such a user, or whether it is
// locked.
func TestTimingTellsNothingOfWhoIsRefused(t *testing.T) {
	l := bounded
	if os.Getenv("USERS_TIMING") == "long" {
		l = long
	}
	var all sync.WaitGroup
	defer all.Wait()
	for _, b := range backends {
		run := func() { t.Run(b.name, func(t *testing.T) { l.run(t, b) }) }
		if l.long {
			run()
		} else {
			all.Go(run) // side by side: they wait for the ticks
		}
	}
}

func (l limits) run(t *testing.T, b backend) {
	h := newHouse(t, b.open(t, l.long), l.hasher, max(l.oneByOne, l.atOnce))
	t.Run("OneByOne", func(t *testing.T) { l.judge(t, b, h.signIn(t, l.oneByOne, 1)) })
	t.Run("AtOnce", func(t *testing.T) { l.judge(t, b, h.signIn(t, l.atOnce, atOnce)) })
}

// kind is of whom a guess is.
type kind int

const (
	existing kind = iota
	locked
	unknown
	kinds
)

func (k kind) String() string { return [...]string{"existing", "locked", "unknown"}[k] }

// name returns a login that says nothing of the kind by its form.
func (k kind) name(n int) string { return fmt.Sprintf("user%06d", int(kinds)*n+int(k)) }

// house is an application with users of each kind that exists.
type house struct {
	svc    *users.Service
	hasher *stopwatch
	next   atomic.Int64 // to tell passwords apart
}

const apiKey = "house"

func newHouse(t *testing.T, store users.Store, hasher password.Hasher, each int) *house {
	t.Helper()
	gate, err := password.NewGate(&password.GateOptions{MaxWait: time.Hour}) // for a busy machine
	if err != nil {
		t.Fatal(err)
	}
	h := &house{hasher: &stopwatch{Hasher: hasher, of: map[string]verification{}}}
	if h.hasher.real, err = h.hasher.Hash([]byte("the right password")); err != nil {
		t.Fatal(err)
	}
	h.svc, err = users.New(store, &users.Options{Hasher: h.hasher, Gate: gate, Lockout: users.Lockout{Free: 100}})
	if err != nil {
		t.Fatal(err)
	}
	app, err := h.svc.CreateApplication(t.Context(), users.Application{APIKey: apiKey})
	if err != nil {
		t.Fatal(err)
	}
	for n := range each {
		for _, k := range []kind{existing, locked} {
			if err := store.CreateUser(t.Context(), h.record(app.ID, k, n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.guess(t, "the hash that stands for nobody's is made")
	return h
}

func (h *house) record(applicationID string, k kind, n int) *users.NewUser {
	now := time.Now().UTC().Truncate(time.Microsecond)
	u := &users.NewUser{}
	u.ApplicationID, u.ID, u.UserName, u.NameKey = applicationID, k.name(n), k.name(n), k.name(n)
	u.Email, u.EmailKey = u.NameKey+"@example.com", u.NameKey+"@example.com"
	u.KeyVersion, u.Version, u.IsApproved, u.Hash = 1, 1, true, h.hasher.real
	u.CreationDate, u.DateCreated, u.DateUpdated = now, now, now
	if k == locked {
		u.Login.LockedUntil = now.Add(24 * time.Hour)
	}
	return u
}

// times of the guesses of one kind, in seconds.
type times struct {
	response []float64 // until the answer
	work     []float64 // until the last verification ended, after which the answer waits for a tick
	verified []float64 // all verifications
	judged   int       // how many verifications were of a user's own hash
	others   int       // how many were not
}

// signIn guesses at as many of each kind, in random order, so that whatever else the
// machine does falls on all alike.
func (h *house) signIn(t *testing.T, each, concurrent int) (of [kinds]times) {
	t.Helper()
	var order []kind
	for k := range kinds {
		for range each {
			order = append(order, k)
		}
	}
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })

	var mu sync.Mutex
	var n [kinds]int
	take := func() (k kind, name string, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if len(order) == 0 {
			return 0, "", false
		}
		k, order = order[0], order[1:]
		n[k]++
		return k, k.name(n[k] - 1), true
	}
	var all sync.WaitGroup
	for range concurrent {
		all.Go(func() {
			for k, name, ok := take(); ok && !t.Failed(); k, name, ok = take() {
				response, work, v := h.guess(t, name)
				mu.Lock()
				s := &of[k]
				s.response, s.work = append(s.response, response.Seconds()), append(s.work, work.Seconds())
				s.verified = append(s.verified, v.took.Seconds())
				s.judged, s.others = s.judged+v.judged, s.others+v.others
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return of
}

// guess tries a wrong password.
func (h *house) guess(t *testing.T, login string) (response, work time.Duration, v verification) {
	guess := fmt.Sprintf("a wrong password %09d", h.next.Add(1))
	begin := time.Now()
	_, err := h.svc.Authenticate(context.WithoutCancel(t.Context()), apiKey, login, password.New(guess))
	response = time.Since(begin)
	if !errors.Is(err, users.ErrBadCredentials) {
		t.Errorf("%s: got %v, want ErrBadCredentials", login, err)
	}
	if v = h.hasher.take(guess); v.took > 0 {
		work = v.end.Sub(begin)
	}
	return response, work, v
}

// judge compares the kinds with each other.
func (l limits) judge(t *testing.T, b backend, of [kinds]times) {
	t.Helper()
	for k, x := range of {
		want := [2]int{0, len(x.response)} // one verification each
		if kind(k) == existing {
			want = [2]int{len(x.response), 0}
		}
		if got := [2]int{x.judged, x.others}; got != want {
			t.Errorf("%v: got %v verifications of a user's own hash and of others, want %v", kind(k), got, want)
		}
	}
	for _, k := range []kind{existing, locked} {
		what := k.String() + " beside unknown, "
		x, y := of[k], of[unknown]
		// A failure is counted for a user who may guess, and for nobody else: where that
		// waits for the disk a slow one might take longer than the tick leaves.
		diskDecides := k == existing && b.slow && !l.long
		l.compare(t, what+"response", x.response, y.response, !diskDecides)
		if got := timing.Shift(x.response, y.response) / timing.Median(y.response); l.long && max(got, -got) > tolerance {
			t.Errorf("%sresponse: longer by %.1f %%, want at most %.0f", what, 100*got, 100*tolerance)
		}
		l.compare(t, what+"verification", x.verified, y.verified, !diskDecides)
		l.compare(t, what+"all work", x.work, y.work, b.bare)
	}
}

// compare fails, if judged, where x and y can be told apart.
func (l limits) compare(t *testing.T, what string, x, y []float64, judged bool) {
	t.Helper()
	_, p := timing.MannWhitney(x, y)
	medians := [2]float64{timing.Median(x), timing.Median(y)}
	shift := timing.Shift(x, y)
	report := fmt.Sprintf("%s: medians %.2f and %.2f ms (ratio %.4f), shift %+.3f ms, p %.2g, %d and %d",
		what, 1e3*medians[0], 1e3*medians[1], medians[0]/medians[1], 1e3*shift, p, len(x), len(y))
	switch {
	case !judged:
		t.Log(report, "(not judged)")
	case p < l.p:
		t.Errorf("%s: they can be told apart", report)
	default:
		t.Log(report)
	}
}

// stopwatch measures the verifications of each password.
type stopwatch struct {
	password.Hasher
	real password.Hash // of every user

	mu sync.Mutex
	of map[string]verification
}

type verification struct {
	took   time.Duration
	end    time.Time
	judged int // how many were of real
	others int
}

func (s *stopwatch) Verify(h password.Hash, pw []byte) (password.Match, error) {
	begin := time.Now()
	m, err := s.Hasher.Verify(h, pw)
	end := time.Now()

	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.of[string(pw)]
	v.took += end.Sub(begin)
	v.end = end
	if h.Equal(s.real) {
		v.judged++
	} else {
		v.others++
	}
	s.of[string(pw)] = v
	return m, err
}

// take returns what was measured of a password, and forgets it.
func (s *stopwatch) take(pw string) verification {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.of[pw]
	delete(s.of, pw)
	return v
}
