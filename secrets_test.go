package users_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/leaktest"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

// exposed is every text that comes out of v when it is printed, logged or marshaled,
// also from unexported fields, where fmt asks no method.
func exposed(v any) map[string]string {
	out := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
		out[verb] = fmt.Sprintf(verb, v)
		out["nested "+verb] = fmt.Sprintf(verb, struct{ V, W any }{v, []any{v}})
		out["hidden "+verb] = fmt.Sprintf(verb, struct{ v, w any }{v, []any{v}})
	}
	var text, js bytes.Buffer
	for _, h := range []slog.Handler{
		slog.NewTextHandler(&text, &slog.HandlerOptions{AddSource: true}), slog.NewJSONHandler(&js, nil),
	} {
		l := slog.New(h)
		l.Error("failed", "v", v, slog.Group("g", "v", v), "list", []any{v})
		l.With("v", v).Error(fmt.Sprint(v))
	}
	out["slog text"], out["slog JSON"] = text.String(), js.String()
	if b, err := json.Marshal(v); err != nil {
		out["JSON error"] = err.Error()
	} else {
		out["JSON"] = string(b)
	}
	if err, ok := v.(error); ok {
		for ; err != nil; err = errors.Unwrap(err) {
			out[fmt.Sprintf("%T", err)] = fmt.Sprintf("%+v %#v", err, err)
		}
	}
	return out
}

func searchFor(t *testing.T, what string, v any, secrets ...string) {
	t.Helper()
	search(t, what, exposed(v), secrets...)
}

func search(t *testing.T, what string, texts map[string]string, secrets ...string) {
	t.Helper()
	for how, text := range texts {
		for _, s := range secrets {
			if form, found := leaktest.Find(text, s); found {
				t.Errorf("%s holds a secret (%s) under %s: %s", what, form, how, text)
			}
		}
	}
}

// Every failure that Create has, with everything that a host could log of it.
func TestNoSecretComesOutOfAnyFailure(t *testing.T) {
	t.Parallel()
	const other = "an entirely different lantern"
	bcrypt, err := password.Bcrypt(password.MinBcryptCost)
	if err != nil {
		t.Fatal(err)
	}
	full, err := password.NewGate(&password.GateOptions{Slots: 1, Queue: 1, MaxWait: 1})
	if err != nil {
		t.Fatal(err)
	}
	inHash, endHash := make(chan struct{}), make(chan struct{})
	go func() {
		_ = full.Do(context.Background(), "x", 0, func() error { close(inHash); <-endHash; return nil })
	}()
	<-inHash
	t.Cleanup(func() { close(endHash) })
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	breaks := func(method storefake.Method, fail func() error) func(users.Store) users.Store {
		return func(s users.Store) users.Store {
			return storefake.Around(s, func(_ context.Context, m storefake.Method, _ any, do func() error) error {
				if m == method {
					return fail()
				}
				return do()
			})
		}
	}
	fails := func() error { return errStore }
	for _, c := range []struct {
		name    string
		ctx     context.Context
		key     string
		amend   amend
		options users.Options
		store   func(users.Store) users.Store
		want    string
	}{
		{name: "success", want: "ok"},
		{name: "unknown application", key: "nobody", want: "unknown application"},
		{name: "unauthenticated", ctx: as(t.Context(), users.Caller{}), want: "unauthenticated"},
		{name: "forbidden", ctx: as(t.Context(), users.Caller{APIKey: apiKey}), want: "forbidden"},
		{name: "forbidden member", ctx: as(t.Context(), limited), amend: func(p *users.CreateUserParams) { p.AllowDashboardAccess = true }, want: "forbidden"},
		{name: "mismatch", amend: passwords(secret, other), want: "invalid"},
		{name: "everything invalid", amend: func(p *users.CreateUserParams) { *p = users.CreateUserParams{Password: p.Password, Name: "\xff"} }, want: "invalid"},
		{name: "personal", amend: name(strings.ToUpper(secret)), want: "invalid"},
		{name: "excluded", amend: auto(secret, secret), want: "invalid"},
		{name: "too short", amend: passwords(secret, secret), options: users.Options{Policy: &password.Policy{MinLength: 200}}, want: "invalid"},
		{name: "control", amend: both(secret + "\x00"), want: "invalid"},
		{name: "not text", amend: both(secret + "\xff"), want: "invalid"},
		{name: "too long", amend: both(strings.Repeat(secret, 50)), want: "invalid"},
		{name: "too long for bcrypt", amend: both(secret + tones(72)), options: users.Options{Hasher: bcrypt}, want: "invalid"},
		{name: "conflict", amend: userName("taken"), want: "conflict"},
		{name: "overloaded", options: users.Options{Gate: full}, want: "overloaded"},
		{name: "canceled", ctx: canceled, want: "canceled"},
		{name: "hasher fails", options: users.Options{Hasher: brokenHasher{password.InsecureForTests(), false}}, want: "error"},
		{name: "hasher tells", options: users.Options{Hasher: tellingHasher{password.InsecureForTests()}}, want: "error"},
		{name: "hasher panics", options: users.Options{Hasher: brokenHasher{password.InsecureForTests(), true}}, want: "error"},
		{name: "store fails to look", store: breaks(storefake.FindUsers, fails), want: "error"},
		{name: "store fails to write", store: breaks(storefake.CreateUser, fails), want: "error"},
		{name: "store panics", store: breaks(storefake.CreateUser, func() error { panic(errStore) }), want: "error"},
		{name: "BeforeCreate fails", options: users.Options{BeforeCreate: func(_ context.Context, _ users.Application, p *users.CreateUserParams) error {
			return fmt.Errorf("refused: %v %+v %#v %s: %w", p, *p, p.Password, p.ConfirmPassword, errHost)
		}}, want: "error"},
		{name: "OnCreate fails", options: users.Options{OnCreate: func(_ context.Context, e users.CreateEvent) error { return fmt.Errorf("%+v: %w", e, errHost) }}, want: "error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var seen log
			store := memstore.New()
			svc := newServiceOn(t, store, c.options)
			if c.name == "conflict" {
				addUser(t, t.Context(), svc, "taken")
			}
			s := users.Store(seen.on(store))
			if c.store != nil {
				s = c.store(s)
			}
			svc = svc.WithStore(s)
			p := params("alice")
			p.IdempotencyKey = "k"
			if c.amend != nil {
				c.amend(&p)
			}
			ctx, key := c.ctx, c.key
			if ctx == nil {
				ctx = t.Context()
			}
			if key == "" {
				key = apiKey
			}
			var user *users.User
			err := recovered(func() (err error) { user, err = svc.Create(ctx, key, p); return err })
			if got := class(err); got != c.want && (c.want != "error" || err == nil) {
				t.Errorf("got %s, want %s", got, c.want)
			}
			secrets := []string{secret, other}
			_, args := seen.take()
			for _, arg := range args {
				searchFor(t, "what the store got", arg, secrets...)
				if n, ok := arg.(*users.NewUser); ok && !n.Hash.IsZero() {
					secrets = append(secrets, n.Hash.Reveal())
					searchFor(t, "NewUser", n, secrets...)
				}
			}
			searchFor(t, "the error", err, secrets...)
			searchFor(t, "the user", user, secrets...)
			searchFor(t, "the parameters", p, secrets...)
			searchFor(t, "the parameters behind a pointer", &p, secrets...)
			searchFor(t, "the service", svc, secrets...)
		})
	}
}

// tellingHasher fails with what it was given.
type tellingHasher struct{ password.Hasher }

type told string

func (e told) Error() string { return string(e) }

func (tellingHasher) Hash(pw []byte) (password.Hash, error) {
	return password.Hash{}, fmt.Errorf("hash %q: %w", pw, told(pw))
}

func TestPreparedDoesNotShowTheHash(t *testing.T) {
	t.Parallel()
	h := &keepingHasher{Hasher: password.InsecureForTests()}
	svc := newService(t, users.Options{Hasher: h})
	p, err := svc.Prepare(t.Context(), apiKey, params("alice"))
	if err != nil || h.last == "" {
		t.Fatal(h.last == "", err)
	}
	searchFor(t, "Prepared", p, secret, h.last)
	searchFor(t, "Prepared itself", *p, secret, h.last)
	searchFor(t, "Prepared in a list", []*users.Prepared{p}, secret, h.last)
}

type keepingHasher struct {
	password.Hasher
	last string
}

func (h *keepingHasher) Hash(pw []byte) (password.Hash, error) {
	made, err := h.Hasher.Hash(pw)
	h.last = made.Reveal()
	return made, err
}

// What a password may leak into is also what is kept: nothing that the store
// gets is made of the password but its hash.
func TestStoreGetsNoPassword(t *testing.T) {
	t.Parallel()
	var seen log
	svc := newServiceOn(t, seen.on(memstore.New()), users.Options{})
	p := keyed("alice", "k")
	p.SendEmailNotification = true
	if _, err := svc.Create(t.Context(), apiKey, p); err != nil {
		t.Fatal(err)
	}
	calls, args := seen.take()
	if !slices.Contains(calls, storefake.CreateUser) {
		t.Fatal("nothing was written")
	}
	for i, arg := range args {
		searchFor(t, string(calls[i]), arg, secret)
	}
}
