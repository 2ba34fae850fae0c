package users_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

// leaks tells in which form a text holds a secret, if it does.
func leaks(text, secret string) (form string, found bool) {
	normal, _ := password.Normalize(password.New(secret))
	for _, s := range []string{secret, string(normal)} {
		b := []byte(s)
		quoted, _ := json.Marshal(s)
		for form, leak := range map[string]string{
			"plain":            s,
			"JSON":             strings.Trim(string(quoted), `"`),
			"Go":               strings.Trim(fmt.Sprintf("%q", s), `"`),
			"ASCII":            strings.Trim(fmt.Sprintf("%+q", s), `"`),
			"URL":              url.QueryEscape(s),
			"hex":              hex.EncodeToString(b),
			"HEX":              strings.ToUpper(hex.EncodeToString(b)),
			"base64":           base64.RawStdEncoding.EncodeToString(b),
			"base64 for URLs":  base64.RawURLEncoding.EncodeToString(b),
			"bytes":            strings.Trim(fmt.Sprint(b), "[]"),
			"bytes in Go":      strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", b), "[]byte{"), "}"),
			"first characters": s[:8],
			"last characters":  s[len(s)-8:],
		} {
			if strings.Contains(text, leak) {
				return form, true
			}
		}
	}
	return "", false
}

func TestLeaksAreFound(t *testing.T) {
	t.Parallel()
	quoted, _ := json.Marshal(secret)
	for _, text := range []string{
		"x" + secret + "x", fmt.Sprintf("%q", secret), fmt.Sprintf("%+q", secret), fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret),
		fmt.Sprint([]byte(secret)), fmt.Sprintf("%#v", []byte(secret)), string(quoted), base64.StdEncoding.EncodeToString([]byte(secret)),
	} {
		if _, found := leaks(text, secret); !found {
			t.Errorf("the secret is not found in %s", text)
		}
	}
}

// exposed is every text that comes out of v when it is printed, logged or marshalled.
// hidden puts it into unexported fields as well, where fmt asks no method.
func exposed(v any, hidden bool) map[string]string {
	out := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
		out[verb] = fmt.Sprintf(verb, v)
		out["nested "+verb] = fmt.Sprintf(verb, struct{ V, W any }{v, []any{v}})
		if hidden {
			out["hidden "+verb] = fmt.Sprintf(verb, struct{ v, w any }{v, []any{v}})
		}
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
	search(t, what, exposed(v, true), secrets...)
}

func search(t *testing.T, what string, texts map[string]string, secrets ...string) {
	t.Helper()
	for how, text := range texts {
		for _, s := range secrets {
			if form, found := leaks(text, s); found {
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
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	breaks := func(method string, fail func() error) func(users.Store) users.Store {
		return func(s users.Store) users.Store {
			return around{s, func(_ context.Context, m string, _ any, do func() error) error {
				if m == method {
					return fail()
				}
				return do()
			}}
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
		{name: "cancelled", ctx: cancelled, want: "canceled"},
		{name: "hasher fails", options: users.Options{Hasher: brokenHasher{password.InsecureForTests(), false}}, want: "error"},
		{name: "hasher tells", options: users.Options{Hasher: tellingHasher{password.InsecureForTests()}}, want: "error"},
		{name: "hasher panics", options: users.Options{Hasher: brokenHasher{password.InsecureForTests(), true}}, want: "error"},
		{name: "store fails to look", store: breaks("FindUsers", fails), want: "error"},
		{name: "store fails to write", store: breaks("CreateUser", fails), want: "error"},
		{name: "store panics", store: breaks("CreateUser", func() error { panic(errStore) }), want: "error"},
		{name: "BeforeCreate fails", options: users.Options{BeforeCreate: func(_ context.Context, _ users.Application, p *users.CreateUserParams) error {
			return fmt.Errorf("refused: %v %+v %#v %s: %w", p, *p, p.Password, p.ConfirmPassword, errHost)
		}}, want: "error"},
		{name: "OnCreate fails", options: users.Options{OnCreate: func(_ context.Context, u users.User) error { return fmt.Errorf("%+v: %w", u, errHost) }}, want: "error"},
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
				if n, ok := arg.(*users.NewUser); ok && n.Hash != "" {
					hash := string(n.Hash)
					// Hidden in a field, or behind a pointer under a verb that does
					// not fit it, a hash can be seen: it is a string to fmt then.
					search(t, "NewUser", exposed(*n, false), hash)
					for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
						search(t, "a pointer to NewUser", map[string]string{verb: fmt.Sprintf(verb, n)}, hash)
					}
					secrets = append(secrets, hash)
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
	return "", fmt.Errorf("hash %q: %w", pw, told(pw))
}

func TestPreHashedParametersDoNotShowTheHash(t *testing.T) {
	t.Parallel()
	h := &keepingHasher{Hasher: password.InsecureForTests()}
	svc := newService(t, users.Options{Hasher: h})
	p, err := svc.PreHash(t.Context(), apiKey, params("alice"))
	if err != nil || h.last == "" {
		t.Fatal(h.last == "", err)
	}
	searchFor(t, "PreHash", p, secret, h.last)
	searchFor(t, "PreHash behind a pointer", &p, secret, h.last)
	searchFor(t, "PreHash in a list", []users.CreateUserParams{p}, secret, h.last)
}

type keepingHasher struct {
	password.Hasher
	last string
}

func (h *keepingHasher) Hash(pw []byte) (password.Hash, error) {
	made, err := h.Hasher.Hash(pw)
	h.last = string(made)
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
	if !slices.Contains(calls, "CreateUser") {
		t.Fatal("nothing was written")
	}
	for i, arg := range args {
		searchFor(t, calls[i], arg, secret)
	}
}
