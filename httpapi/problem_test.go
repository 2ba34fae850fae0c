package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/password"
)

func TestLimitStandsBesideTheRule(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	limits := func(w *httptest.ResponseRecorder) map[string]int {
		m := map[string]int{}
		for _, f := range decode[problem](t, w).Errors {
			m[strings.TrimSpace(f.Pointer+" "+f.Code)] = f.Limit
		}
		return m
	}
	for _, tt := range []struct {
		w    *httptest.ResponseRecorder
		want map[string]int
	}{
		{a.post(`{"userName":"` + strings.Repeat("n", 257) + `","email":1,"password":"short","confirmPassword":"short"}`),
			map[string]int{"/userName too_long": 256, "/email invalid_type": 0, "/password too_short": 15}},
		{a.post(`{"x":` + strings.Repeat("[", 100)), map[string]int{"too_deep": httpapi.MaxDepth}},
		{a.post(strings.Repeat(" ", httpapi.MaxBody+1)), map[string]int{"too_large": httpapi.MaxBody}},
		{a.post(body("ann", ""), "Idempotency-Key", strings.Repeat("k", 256)), map[string]int{"invalid_idempotency_key": users.MaxIdempotencyKey}},
		{a.get("/v1/demo/roles?limit=0"), map[string]int{"/limit invalid_limit": users.MaxPage}},
		{a.get("/v1/demo/roles?limit=1001"), map[string]int{"/limit invalid_limit": users.MaxPage}},
	} {
		if got := limits(tt.w); fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("got %v, want %v", got, tt.want)
		}
	}
	if w := a.post(`{}`); strings.Contains(w.Body.String(), `"limit"`) {
		t.Errorf("a rule without a limit has one: %s", w.Body)
	}
}

func TestUnavailableSaysHowToLearnTheOutcome(t *testing.T) {
	t.Parallel()
	a := newAPI(t, failing(users.ErrUnavailable, storefake.CreateUser, storefake.FindUsers))
	const away = "the store is not available"
	for _, tt := range []struct {
		r    *http.Request
		want string
	}{
		{request("POST", "/v1/demo/users", body("ann", ""), "Idempotency-Key", "k"),
			away + "; retry with the same Idempotency-Key to learn whether the user was created"},
		{request("POST", "/v1/demo/users", body("ann", "")), away + "; it is not known whether anything was written"},
		{request("GET", "/v1/demo/users/ann", ""), away},
	} {
		if got := decode[problem](t, a.do(tt.r)).Detail; got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.r.Method, got, tt.want)
		}
	}
}

func TestWriteErrorAnswersAsTheAPIDoes(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		users.ErrNotFound, users.ErrUnauthenticated, httpapi.ErrNoCredentials, &users.ConflictError{Members: []string{"email"}},
		&users.ValidationError{Fields: []users.FieldError{{Pointer: "/email", Code: "too_long", Detail: "is too long", Limit: 254}}},
		&users.ForbiddenError{Members: []string{"roles"}}, &users.ForbiddenError{Detail: "not today"},
		users.ErrIdempotencyMismatch, &users.TooManyRequestsError{RetryAfter: time.Minute}, users.ErrUnavailable, &users.HookError{Hook: "OnCreate", Err: users.ErrNotFound}, errors.New("secret cause"),
		fmt.Errorf("%w: %w", users.ErrOverloaded, &password.OverloadedError{RetryAfter: 90 * time.Second}),
	} {
		for _, accept := range []string{"", "application/json", "text/html"} {
			for _, method := range []string{"POST", "HEAD"} {
				var log bytes.Buffer
				a := newAPI(t, func(s *setup) {
					s.http.Logger = logger(&log)
					s.http.Challenge = `Bearer realm="x"`
					s.authenticate = func(*http.Request, string) (users.Caller, error) {
						return users.Caller{ID: "admin", APIKey: "demo", Permissions: users.AllPermissions}, nil
					}
					failing(err, storefake.CreateUser, storefake.FindUsers)(s)
				})
				r := request(method, "/v1/demo/users", body("ann", ""), "Accept", "")
				if method == "HEAD" {
					r = request(method, "/v1/demo/users/ann", "", "Accept", "")
				}
				want := httptest.NewRecorder()
				a.ServeHTTP(want, r)
				wantLog := log.String()
				log.Reset()

				if accept != "" {
					r.Header.Set("Accept", accept)
				}
				got := httptest.NewRecorder()
				got.Header().Set("Location", "/somewhere")
				got.Header().Set("Content-Encoding", "gzip")
				a.WriteError(got, r, err)

				if accept == "application/json" {
					want.Header().Set("Content-Type", accept)
				}
				p, q := masked(want), masked(got)
				if p != q {
					t.Errorf("%v, %s, %q: got\n%s, want\n%s", err, method, accept, q, p)
				}
				if (log.Len() > 0) != (wantLog != "") || log.Len() > 0 && !strings.Contains(log.String(), `"route":"/{apiKey}/users`) {
					t.Errorf("%v, %s: got the log %s, want as %s", err, method, &log, wantLog)
				}
			}
		}
	}
}

// masked returns a response as text, without what is random.
func masked(w *httptest.ResponseRecorder) string {
	text := w.Body.String()
	if i := strings.Index(text, "urn:uuid:"); i >= 0 {
		text = text[:i] + text[i+len("urn:uuid:")+36:]
	}
	return fmt.Sprintln(w.Code, w.Header(), text)
}

func TestWriteErrorServesHandlersThatTheAPIDoesNotRoute(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	a := newAPI(t, func(s *setup) { s.http.Logger = logger(&log) })
	var fails error
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /v1/{apiKey}/users/{id}/status", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "7")
		a.WriteError(w, r, fails)
	})
	for err, status := range map[error]int{
		users.ErrNotFound: 404, &users.ForbiddenError{}: 403, users.ErrStale: 503, context.Canceled: 503, errors.New("x"): 500, nil: 500,
	} {
		log.Reset()
		fails = err
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("PUT", "/v1/demo/users/7/status", nil))
		p := decode[problem](t, w)
		if w.Code != status || p.Status != status || w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("X-Request-Id") != "7" {
			t.Errorf("%v: got %d %v %s, want %d", err, w.Code, w.Header(), w.Body, status)
		}
		if status == 503 && w.Header().Get("Retry-After") == "" {
			t.Errorf("%v: no Retry-After", err)
		}
		if status < 500 {
			if log.Len() > 0 {
				t.Errorf("%v: in the log: %s", err, &log)
			}
			continue
		}
		for _, want := range []string{`"method":"PUT"`, `"route":"PUT /v1/{apiKey}/users/{id}/status"`, `"apiKey":"demo"`, p.Instance} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%v: %s is missing in the log: %s", err, want, &log)
			}
		}
		if (p.Instance != "") != (status == 500) {
			t.Errorf("%v: instance %q", err, p.Instance)
		}
	}
}

func TestWriteErrorWithoutAnErrorIsLoggedAsAMistake(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	a := newAPI(t, func(s *setup) { s.http.Logger = logger(&log) })
	w := httptest.NewRecorder()
	a.WriteError(w, httptest.NewRequest("GET", "/elsewhere", nil), nil)
	if w.Code != 500 || !strings.Contains(log.String(), "without an error") {
		t.Errorf("got %d, log %s", w.Code, &log)
	}
}
