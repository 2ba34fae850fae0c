package users_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

const (
	apiKey = "acme"
	// secret is a good password. It holds a quote and decomposed letters so
	// that each way of writing it down can be told apart.
	secret = "pl\"um O\u0308tter sings 7 tu\u0308nes"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)

// newService returns a Service with the application "acme" on a new memstore. It
// hashes insecurely and its clock shows start, unless o says otherwise: then the
// store has the same.
func newService(t testing.TB, o users.Options) *users.Service {
	t.Helper()
	store := memstore.New()
	if o.Now != nil {
		store = memstore.NewWithClock(o.Now)
	}
	return newServiceOn(t, store, o)
}

func newServiceOn(t testing.TB, store users.Store, o users.Options) *users.Service {
	t.Helper()
	if o.Hasher == nil {
		o.Hasher = password.InsecureForTests()
	}
	if o.Now == nil {
		o.Now = func() time.Time { return start }
	}
	svc, err := users.New(store, &o)
	if err != nil {
		t.Fatal(err)
	}
	addApplication(t, svc, users.Application{APIKey: apiKey})
	return svc
}

func addApplication(t testing.TB, svc *users.Service, a users.Application) {
	t.Helper()
	if _, err := svc.CreateApplication(t.Context(), a); err != nil {
		t.Fatal(err)
	}
}

func addRole(t testing.TB, svc *users.Service, name string) users.Role {
	t.Helper()
	r, err := svc.CreateRole(t.Context(), apiKey, users.Role{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return *r
}

// addUser creates the user with this name as ctx says.
func addUser(t testing.TB, ctx context.Context, svc *users.Service, name string) *users.User {
	t.Helper()
	u, err := svc.Create(ctx, apiKey, params(name))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// params asks for a user with this name and the four required members.
func params(name string) users.CreateUserParams {
	return users.CreateUserParams{
		UserName: name, Email: name + "@example.com",
		Password: password.New(secret), ConfirmPassword: password.New(secret),
	}
}

func as(ctx context.Context, c users.Caller) context.Context { return users.WithCaller(ctx, c) }

// limited may create users and no more.
var limited = users.Caller{ID: "limited", APIKey: apiKey, Permissions: users.CreateUsers}

// admin may do everything.
var admin = users.Caller{ID: "admin", APIKey: apiKey, Permissions: users.AllPermissions}

// class puts an error into one word: the first class that it matches.
func class(err error) string {
	for _, c := range []struct {
		word   string
		target error
	}{
		{"invalid", users.ErrValidation}, {"unauthenticated", users.ErrUnauthenticated},
		{"unknown application", users.ErrUnknownApplication}, {"forbidden", users.ErrForbidden},
		{"conflict", users.ErrConflict}, {"not found", users.ErrNotFound}, {"mismatch", users.ErrIdempotencyMismatch},
		{"overloaded", users.ErrOverloaded}, {"too many requests", users.ErrTooManyRequests}, {"stale", users.ErrStale}, {"bad credentials", users.ErrBadCredentials}, {"locked out", users.ErrLockedOut},
		{"not approved", users.ErrNotApproved}, {"bad token", users.ErrBadToken}, {"unsupported", users.ErrUnsupported},
		{"canceled", context.Canceled},
	} {
		if errors.Is(err, c.target) {
			return c.word
		}
	}
	if err == nil {
		return "ok"
	}
	return err.Error()
}

// findings writes the fields of a *ValidationError as "pointer code", in order.
func findings(t testing.TB, err error) []string {
	t.Helper()
	var invalid *users.ValidationError
	if !errors.As(err, &invalid) {
		t.Fatalf("got %v, want a *ValidationError", err)
	}
	var out []string
	for _, f := range invalid.Fields {
		out = append(out, f.Pointer+" "+f.Code)
		if f.Code == "" || f.Detail == "" {
			t.Errorf("%+v lacks a code or a message", f)
		}
	}
	return out
}

func equal[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// count returns how many users hold one of these names or their addresses.
func count(t testing.TB, store users.Store, names ...string) int {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	app, err := store.FindApplication(ctx, users.ApplicationQuery{APIKey: apiKey})
	if err != nil {
		t.Fatal(err)
	}
	q := users.UserQuery{ApplicationID: app.ID, NameKeys: names}
	for _, n := range names {
		q.EmailKeys = append(q.EmailKeys, n+"@example.com")
	}
	found, err := store.FindUsers(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

// ids returns UUIDs that count from 1.
func ids() func() (string, error) {
	var n atomic.Int64
	return func() (string, error) { return uuid(n.Add(1)), nil }
}

func uuid(n int64) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// clock is a clock that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return cmp.Or(c.now, start)
}

func (c *clock) add(d time.Duration) {
	now := c.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now.Add(d)
}

// log records the methods of a store that were called.
type log struct {
	mu    sync.Mutex
	calls []storefake.Method
	args  []any
}

func (l *log) on(store users.Store) users.Store {
	return storefake.Around(store, func(_ context.Context, m storefake.Method, arg any, do func() error) error {
		l.mu.Lock()
		l.calls, l.args = append(l.calls, m), append(l.args, arg)
		l.mu.Unlock()
		return do()
	})
}

// take returns what was called since the last take.
func (l *log) take() (calls []storefake.Method, args []any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	calls, args = l.calls, l.args
	l.calls, l.args = nil, nil
	return calls, args
}

// hasher counts the hashes that are made, and how many at once.
type hasher struct {
	password.Hasher
	during    func() // runs inside of each hash
	memory    int64
	made      atomic.Int64
	now, most atomic.Int64
}

func newHasher() *hasher { return &hasher{Hasher: password.InsecureForTests()} }

func (h *hasher) Memory(password.Hash) int64 { return h.memory }

func (h *hasher) Hash(pw []byte) (password.Hash, error) {
	h.made.Add(1)
	raise(&h.most, h.now.Add(1))
	defer h.now.Add(-1)
	if h.during != nil {
		h.during()
	}
	return h.Hasher.Hash(pw)
}

func raise(top *atomic.Int64, n int64) {
	for {
		old := top.Load()
		if n <= old || top.CompareAndSwap(old, n) {
			return
		}
	}
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}

func words(s string) []string { return strings.Fields(s) }

// roleRefs names roles by their names.
func roleRefs(names ...string) []users.RoleRef {
	refs := make([]users.RoleRef, len(names))
	for i, n := range names {
		refs[i].Name = n
	}
	return refs
}
