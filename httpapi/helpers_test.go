package httpapi_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

const (
	adminToken   = "admin-token-0123456789"
	limitedToken = "limited-token-0123456789"
	nobodyToken  = "nobody-token-0123456789"
	otherToken   = "other-token-0123456789"
	lines        = "application/x-ndjson"
	goodPassword = "correct horse battery staple 42"
)

// api is a handler on a memstore with the applications demo and other, and the
// roles editor and viewer in demo.
type api struct {
	*httpapi.Handler
	host           *users.Service // on the same store, without the hooks and faults of a test
	store          *memstore.Store
	demo           *users.Application
	editor, viewer *users.Role
	t              testing.TB
}

// setup is what a test can change before the handler is made.
type setup struct {
	service      users.Options
	http         httpapi.Options
	authenticate httpapi.Authenticator
	store        func(users.Store) users.Store
}

func newAPI(t testing.TB, change func(*setup)) *api {
	t.Helper()
	s := setup{
		service: users.Options{Hasher: password.InsecureForTests()},
		http:    httpapi.Options{Prefix: "/v1"},
		authenticate: httpapi.BearerTokens(
			bearer(adminToken, users.Caller{ID: "admin", APIKey: "demo", Permissions: users.AllPermissions}),
			bearer(limitedToken, users.Caller{ID: "limited", APIKey: "demo", Permissions: users.CreateUsers}),
			bearer(nobodyToken, users.Caller{ID: "nobody", APIKey: "demo"}),
			bearer(otherToken, users.Caller{ID: "other", APIKey: "other", Permissions: users.AllPermissions}),
			bearer(adminToken, users.Caller{ID: "ghost", APIKey: "ghost", Permissions: users.AllPermissions}),
		),
		store: func(s users.Store) users.Store { return s },
	}
	if change != nil {
		change(&s)
	}

	a := &api{store: memstore.New(), t: t}
	a.host = newService(t, a.store, &users.Options{Hasher: password.InsecureForTests()})
	a.demo = a.application("demo")
	a.application("other")
	a.editor = a.role(users.Role{Name: "editor", Description: "edits"})
	a.viewer = a.role(users.Role{Name: "viewer"})

	var err error
	a.Handler, err = httpapi.New(newService(t, s.store(a.store), &s.service), s.authenticate, &s.http)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newService(t testing.TB, store users.Store, o *users.Options) *users.Service {
	t.Helper()
	svc, err := users.New(store, o)
	if err != nil {
		t.Fatal(err)
	}
	return svc
}

func (a *api) application(apiKey string) *users.Application {
	a.t.Helper()
	app, err := a.host.CreateApplication(context.Background(), users.Application{APIKey: apiKey})
	if err != nil {
		a.t.Fatal(err)
	}
	return app
}

func (a *api) role(r users.Role) *users.Role {
	a.t.Helper()
	made, err := a.host.CreateRole(context.Background(), "demo", r)
	if err != nil {
		a.t.Fatal(err)
	}
	return made
}

// user makes a user of demo without a password.
func (a *api) user(ctx context.Context, name, idempotencyKey string) *users.User {
	a.t.Helper()
	u, err := a.host.Create(ctx, "demo", users.CreateUserParams{
		UserName: name, Email: name + "@example.com", AutoCreatePassword: true, IdempotencyKey: idempotencyKey,
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return u
}

// token returns a set-password token of the user with this id.
func (a *api) token(id string) string {
	a.t.Helper()
	token, err := a.host.IssueSetPasswordToken(context.Background(), "demo", id)
	if err != nil {
		a.t.Fatal(err)
	}
	return token.Secret.Reveal()
}

func bearer(token string, c users.Caller) httpapi.BearerToken {
	return httpapi.BearerToken{Secret: password.New(token), Caller: c}
}

// failing makes methods of the store fail with err.
func failing(err error, ms ...storefake.Method) func(*setup) {
	return func(s *setup) {
		s.store = func(store users.Store) users.Store { return storefake.Failing(store, err, ms...) }
	}
}

// creating puts f around the store's CreateUser.
func creating(f func(ctx context.Context, n *users.NewUser, do func() error) error) func(*setup) {
	return func(s *setup) {
		s.store = func(store users.Store) users.Store {
			return storefake.Around(store, func(ctx context.Context, m storefake.Method, arg any, do func() error) error {
				if m != storefake.CreateUser {
					return do()
				}
				return f(ctx, arg.(*users.NewUser), do)
			})
		}
	}
}

// authenticating makes err the outcome of the Authenticator.
func authenticating(err error) func(*setup) {
	return func(s *setup) {
		s.authenticate = func(*http.Request, string) (users.Caller, error) {
			return users.Caller{APIKey: "demo", Permissions: users.AllPermissions}, err
		}
	}
}

// admitting makes err the outcome of Admit.
func admitting(err error) func(*setup) {
	return func(s *setup) {
		s.service.Admit = func(context.Context, users.Attempt) error { return err }
	}
}

// request is a POST of JSON by the admin unless changed.
func request(method, path, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+adminToken)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Del(headers[i])
		if headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	return r
}

// do answers r. Every answer must be one that the OpenAPI document describes.
func (a *api) do(r *http.Request) *httptest.ResponseRecorder {
	a.t.Helper()
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	if err := published().documents(r, w); err != nil {
		a.t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
	return w
}

func (a *api) post(body string, headers ...string) *httptest.ResponseRecorder {
	a.t.Helper()
	return a.do(request("POST", "/v1/demo/users", body, headers...))
}

func (a *api) get(path string, headers ...string) *httptest.ResponseRecorder {
	a.t.Helper()
	return a.do(request("GET", path, "", headers...))
}

// body is the four required members with more members spliced in.
func body(name, more string) string {
	if more != "" {
		more = "," + more
	}
	return `{"userName":"` + name + `","email":"` + name + `@example.com","password":"` + goodPassword + `","confirmPassword":"` + goodPassword + `"` + more + `}`
}

type fault struct {
	Pointer, Code, Detail string
	Limit                 int
}

type problem struct {
	Type, Title, Detail, Instance, Message, Details string
	Status, ErrorCode, StatusCode                   int
	Errors                                          []fault
}

// codes returns the problem's errors as "pointer code".
func codes(t testing.TB, w *httptest.ResponseRecorder) string {
	t.Helper()
	var list []string
	for _, f := range decode[problem](t, w).Errors {
		list = append(list, strings.TrimSpace(f.Pointer+" "+f.Code))
	}
	return strings.Join(list, ", ")
}

func decode[T any](t testing.TB, w *httptest.ResponseRecorder) (v T) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("status %d, body %q: %v", w.Code, w.Body, err)
	}
	return v
}

func logger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
