package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gousers/users"
)

// A browser asks with OPTIONS first, without credentials, whatever it will then ask for.
func TestAPreflightIsAnsweredBeforeAnythingElse(t *testing.T) {
	t.Parallel()
	a := newInterop(t, func(s *setup) {
		s.authenticate = func(*http.Request, string) (users.Caller, error) {
			t.Error("the Authenticator was asked")
			return users.Caller{}, errors.New("no")
		}
	})
	for _, path := range []string{"/v1/demo/users", "/v1/demo/users/ann/lock", "/v1/demo/login", "/v1/nobody/users", "/v1/demo/nowhere", "/elsewhere"} {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
			w := a.tell(request("OPTIONS", path, "", "Authorization", "", "Origin", appOrigin, "Access-Control-Request-Method", method))
			if w.Code != 204 || w.Body.Len() > 0 || w.Header().Get("Access-Control-Allow-Origin") != appOrigin ||
				!strings.Contains(w.Header().Get("Access-Control-Allow-Methods")+",", method+",") {
				t.Errorf("%s %s: got %d %q %v", method, path, w.Code, w.Body, w.Header())
			}
		}
	}

	// From elsewhere, and where it is no preflight, OPTIONS is what it is without Interop.
	for _, headers := range [][]string{
		{"Origin", "https://evil.example", "Access-Control-Request-Method", "PUT"},
		{"Origin", appOrigin},
		{"Access-Control-Request-Method", "PUT"},
	} {
		w := a.tell(request("OPTIONS", "/v1/demo/users", "", headers...))
		if w.Code != 204 || w.Header().Get("Allow") == "" || w.Header().Get("Access-Control-Allow-Methods") != "" {
			t.Errorf("%q: got %d %v", headers, w.Code, w.Header())
		}
		if w := a.tell(request("OPTIONS", "/v1/demo/nowhere", "", headers...)); w.Code != 404 {
			t.Errorf("%q: got %d for a path that is none", headers, w.Code)
		}
	}
}

// Pages may send the headers of this API, and those that their libraries add.
func TestAPreflightAllowsTheHeadersThatAPageAsksFor(t *testing.T) {
	t.Parallel()
	a := newInterop(t, nil)
	const own = "Authorization, Content-Type, Accept, Idempotency-Key, If-Match"
	many := strings.TrimSuffix(strings.Repeat("x-a,", 100), ",")
	for asked, want := range map[string]string{
		"":                               own,
		"authorization, content-type":    own,
		"x-requested-with":               own + ", x-requested-with",
		" ,X-A ,\tx-a,x-b,":              own + ", X-A, x-b",
		"*, x-a":                         own + ", x-a",
		"x a, x;a, x:a, x\"a, xé, x\x7f": own,
		strings.Repeat("a", 65):          own,
		strings.Repeat("a", 64):          own + ", " + strings.Repeat("a", 64),
		many:                             own + ", x-a",
	} {
		w := a.tell(request("OPTIONS", "/v1/demo/users", "", "Origin", appOrigin,
			"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", asked))
		if got := w.Header().Get("Access-Control-Allow-Headers"); got != want {
			t.Errorf("%.80q: got %q, want %q", asked, got, want)
		}
	}

	var names []string
	for i := range 100 {
		names = append(names, "x-"+strings.Repeat("a", i%50)+"-"+string(rune('a'+i%26)))
	}
	w := a.tell(request("OPTIONS", "/v1/demo/users", "", "Origin", appOrigin,
		"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", strings.Join(names, ",")))
	if got := strings.Count(w.Header().Get("Access-Control-Allow-Headers"), ",") + 1; got != 5+32 {
		t.Errorf("100 headers: %d are allowed, want 37", got)
	}
}

// A page can read what went wrong, whatever that was.
func TestErrorsAcrossOriginsCanBeRead(t *testing.T) {
	t.Parallel()
	origin := []string{"Origin", appOrigin}
	for what, tt := range map[string]struct {
		change func(*setup)
		r      *http.Request
		want   int
	}{
		"a fault":           {nil, request("POST", "/v1/demo/users", "{}", origin...), 400},
		"no credentials":    {nil, request("GET", "/v1/demo/users", "", append(origin, "Authorization", "")...), 401},
		"not allowed":       {nil, request("GET", "/v1/demo/users", "", append(origin, "Authorization", "Bearer "+nobodyToken)...), 403},
		"no such path":      {nil, request("GET", "/v1/demo/nowhere", "", origin...), 404},
		"another method":    {nil, request("PATCH", "/v1/demo/users", "", origin...), 405},
		"not acceptable":    {nil, request("GET", "/v1/demo/users", "", append(origin, "Accept", "text/html")...), 406},
		"another version":   {nil, request("PUT", "/v1/demo/users/ann", "{}", append(origin, "If-Match", `"9.j"`)...), 412},
		"a large body":      {nil, request("POST", "/v1/demo/users", strings.Repeat(" ", 300<<10), origin...), 413},
		"another type":      {nil, request("POST", "/v1/demo/users", "x", append(origin, "Content-Type", "text/plain")...), 415},
		"wait":              {admitting(&users.TooManyRequestsError{RetryAfter: time.Minute}), request("POST", "/v1/demo/recover-password", `{"userName":"ann"}`, origin...), 429},
		"the host fails":    {authenticating(errors.New("no")), request("GET", "/v1/demo/users", "", origin...), 500},
		"the host panics":   {func(s *setup) { s.service.Admit = func(context.Context, users.Attempt) error { panic("no") } }, request("POST", "/v1/demo/recover-password", `{"userName":"ann"}`, origin...), 500},
		"the store is away": {authenticating(users.ErrUnavailable), request("GET", "/v1/demo/users", "", origin...), 503},
	} {
		a := newInterop(t, tt.change)
		a.user(t.Context(), "ann", "")
		w := a.tell(tt.r)
		h := w.Header()
		if w.Code != tt.want || h.Get("Access-Control-Allow-Origin") != appOrigin || h.Get("Access-Control-Allow-Credentials") != "true" {
			t.Errorf("%s: got %d %v, want %d that the page can read", what, w.Code, h, tt.want)
		}
		for _, name := range []string{"WWW-Authenticate", "Location", "ETag", "Retry-After"} {
			if !strings.Contains(h.Get("Access-Control-Expose-Headers"), name) {
				t.Errorf("%s: %s can't be read: %v", what, name, h)
			}
		}
	}

	a := newInterop(t, nil)
	w := httptest.NewRecorder()
	a.WriteError(w, request("GET", "/own", "", origin...), users.ErrNotFound)
	if w.Code != 404 || w.Header().Get("Access-Control-Allow-Origin") != appOrigin || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("WriteError: got %d %v", w.Code, w.Header())
	}
}

// What a middleware varies by stays, and what Interop varies by is said to all.
func TestAnswersVaryByOrigin(t *testing.T) {
	t.Parallel()
	a := newInterop(t, nil)
	for _, origin := range []string{"", appOrigin, "https://evil.example"} {
		w := httptest.NewRecorder()
		w.Header().Set("Vary", "Cookie")
		a.ServeHTTP(w, request("GET", "/v1/demo/users", "", "Origin", origin))
		if got := strings.Join(w.Header().Values("Vary"), ", "); got != "Cookie, Origin, Accept" {
			t.Errorf("from %q: got Vary: %s", origin, got)
		}
	}
}
