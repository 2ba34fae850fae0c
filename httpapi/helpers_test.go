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
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

const (
	adminToken   = "admin-token-0123456789"
	limitedToken = "limited-token-0123456789"
	nobodyToken  = "nobody-token-0123456789"
	otherToken   = "other-token-0123456789"
	goodPassword = "correct horse battery staple 42"
)

// api is a handler on a memstore with the applications demo and other, and the
// roles editor and viewer in demo.
type api struct {
	http.Handler
	svc            *users.Service
	store          *memstore.Store
	editor, viewer *users.Role
	t              testing.TB
}

type setup struct {
	service users.Options
	http    httpapi.Options
	store   func(*memstore.Store) users.Store
}

func newAPI(t testing.TB, change func(*setup)) *api {
	t.Helper()
	s := setup{
		service: users.Options{Hasher: password.InsecureForTests()},
		http: httpapi.Options{Prefix: "/v1", Authenticate: httpapi.BearerTokens(
			httpapi.Token{Token: adminToken, Caller: users.Caller{ID: "admin", APIKey: "demo", Allow: users.All}},
			httpapi.Token{Token: limitedToken, Caller: users.Caller{ID: "limited", APIKey: "demo", Allow: users.CreateUsers}},
			httpapi.Token{Token: nobodyToken, Caller: users.Caller{ID: "nobody", APIKey: "demo"}},
			httpapi.Token{Token: otherToken, Caller: users.Caller{ID: "other", APIKey: "other", Allow: users.All}},
			httpapi.Token{Token: adminToken, Caller: users.Caller{ID: "ghost", APIKey: "ghost", Allow: users.All}},
		)},
	}
	if change != nil {
		change(&s)
	}
	a := &api{store: memstore.New(), t: t}
	plain := must(users.New(a.store, nil))(t)
	for _, key := range []string{"demo", "other"} {
		must(plain.CreateApplication(t.Context(), users.Application{APIKey: key}))(t)
	}
	a.editor = must(plain.CreateRole(t.Context(), "demo", users.Role{Name: "editor", Description: "edits"}))(t)
	a.viewer = must(plain.CreateRole(t.Context(), "demo", users.Role{Name: "viewer"}))(t)
	var store users.Store = a.store
	if s.store != nil {
		store = s.store(a.store)
	}
	a.svc = must(users.New(store, &s.service))(t)
	a.Handler = must(httpapi.New(a.svc, &s.http))(t)
	return a
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
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
	return a.do(request("POST", "/v1/demo/users", body, headers...))
}

func (a *api) get(path string, headers ...string) *httptest.ResponseRecorder {
	return a.do(request("GET", path, "", headers...))
}

// body is the four required members with more members spliced in.
func body(name, more string) string {
	if more != "" {
		more = "," + more
	}
	return `{"userName":"` + name + `","email":"` + name + `@example.com","password":"` + goodPassword + `","confirmPassword":"` + goodPassword + `"` + more + `}`
}

type fault struct{ Pointer, Code, Detail string }

type problem struct {
	Type, Title, Detail, Instance, Message, Details string
	Status, ErrorCode, StatusCode                   int
	Errors                                          []fault
}

// codes gives the problem's errors as "pointer code".
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

// faultyStore lets a test replace single steps of a store.
type faultyStore struct {
	*memstore.Store
	createUser func(ctx context.Context, n *users.NewUser) error
	findUsers  func(users.UserQuery) ([]users.UserRecord, error)

	findRoles func(found []users.RoleRecord)

	findApplication error
}

func (s *faultyStore) FindRoles(ctx context.Context, q users.RoleQuery) ([]users.RoleRecord, error) {
	found, err := s.Store.FindRoles(ctx, q)
	if s.findRoles != nil {
		s.findRoles(found)
	}
	return found, err
}

func (s *faultyStore) FindApplication(ctx context.Context, q users.ApplicationQuery) (users.Application, error) {
	if s.findApplication != nil {
		return users.Application{}, s.findApplication
	}
	return s.Store.FindApplication(ctx, q)
}

func (s *faultyStore) FindUsers(ctx context.Context, q users.UserQuery) ([]users.UserRecord, error) {
	if s.findUsers != nil {
		return s.findUsers(q)
	}
	return s.Store.FindUsers(ctx, q)
}

func (s *faultyStore) CreateUser(ctx context.Context, n *users.NewUser) error {
	if s.createUser != nil {
		return s.createUser(ctx, n)
	}
	return s.Store.CreateUser(ctx, n)
}
