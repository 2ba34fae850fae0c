package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
	"github.com/gousers/users/internal/leaktest"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/password"
)

const typeForm = "application/x-www-form-urlencoded"

func loginForm(name, pw string) string {
	return url.Values{"grant_type": {"password"}, "username": {name}, "password": {pw}}.Encode()
}

// login asks for a token, with what form says and whatever the client has beside it.
func (a *api) login(form string, headers ...string) *httptest.ResponseRecorder {
	return a.tell(request("POST", "/v1/demo/login", form, append([]string{"Content-Type", typeForm, "Authorization", ""}, headers...)...))
}

// RFC 6749 section 5.2, in whichever type a client wants errors.
func TestALoginIsRefusedAsOAuthHasIt(t *testing.T) {
	t.Parallel()
	a := newInterop(t, nil)
	want[any](t, a, 201, request("POST", "/v1/demo/users", body("ann", "")))
	for form, want := range map[string]string{
		loginForm("ann", "wrong"):               "invalid_grant",
		loginForm("", goodPassword):             "invalid_request",
		loginForm("ann", ""):                    "invalid_request",
		"":                                      "invalid_request",
		"grant_type=password":                   "invalid_request",
		"grant_type=password&grant_type=x":      "invalid_request",
		"grant_type=":                           "invalid_request",
		"%zz":                                   "invalid_request",
		"a;b":                                   "invalid_request",
		"grant_type=refresh_token":              "unsupported_grant_type",
		"grant_type=Password&username=ann":      "unsupported_grant_type",
		loginForm("ann\x00", goodPassword):      "invalid_grant",
		loginForm("ann", goodPassword+"\xff"):   "invalid_grant",
		loginForm(strings.Repeat("a", 999), ""): "invalid_request",
	} {
		for accept, contentType := range map[string]string{"*/*": "application/json", "application/problem+json, */*": "application/problem+json"} {
			w := a.login(form, "Accept", accept)
			got := decode[map[string]any](t, w)
			if w.Code != 400 || got["error"] != want || got["error_description"] != got["detail"] || got["message"] != got["detail"] || got["statusCode"] != 400.0 {
				t.Errorf("%q: got %d %v, want 400 %s", form, w.Code, got, want)
			}
			if w.Header().Get("Content-Type") != contentType || w.Header().Get("WWW-Authenticate") != "" || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%q: got %v, want %s", form, w.Header(), contentType)
			}
		}
	}
}

// Only the body counts: what stands in an address ends in logs.
func TestALoginIsReadFromTheBodyAlone(t *testing.T) {
	t.Parallel()
	a := newInterop(t, nil)
	want[any](t, a, 201, request("POST", "/v1/demo/users", body("ann", "")))
	w := a.tell(request("POST", "/v1/demo/login?"+loginForm("ann", goodPassword), "", "Content-Type", typeForm))
	if w.Code != 400 || decode[map[string]any](t, w)["error"] != "invalid_request" {
		t.Errorf("in the query: got %d %s", w.Code, w.Body)
	}
	for what, tt := range map[string]struct {
		form    string
		headers []string
		want    int
	}{
		"large":             {loginForm("ann", strings.Repeat("a", httpapi.MaxBody)), nil, 413},
		"as JSON":           {`{"grant_type":"password"}`, []string{"Content-Type", "application/json"}, 415},
		"without a type":    {loginForm("ann", goodPassword), []string{"Content-Type", ""}, 415},
		"as text":           {loginForm("ann", goodPassword), []string{"Content-Type", "text/plain"}, 415},
		"compressed":        {loginForm("ann", goodPassword), []string{"Content-Encoding", "gzip"}, 415},
		"unacceptable":      {loginForm("ann", goodPassword), []string{"Accept", "text/html"}, 406},
		"with a charset":    {loginForm("ann", goodPassword), []string{"Content-Type", typeForm + "; charset=UTF-8"}, 201},
		"in capitals":       {loginForm("ann", goodPassword), []string{"Content-Type", strings.ToUpper(typeForm)}, 201},
		"with a bad bearer": {loginForm("ann", goodPassword), []string{"Authorization", "Bearer stale"}, 201},
		"with basic":        {loginForm("ann", goodPassword), []string{"Authorization", "Basic eA=="}, 201},
	} {
		w := a.login(tt.form, tt.headers...)
		if w.Code != tt.want {
			t.Errorf("%s: got %d %s, want %d", what, w.Code, w.Body, tt.want)
		}
		if tt.want == 415 && what != "compressed" && w.Header().Get("Accept") != typeForm {
			t.Errorf("%s: got %v, want it said what to send", what, w.Header())
		}
	}
	for _, path := range []string{"LOGIN", "loGin", "login/x", "logins"} {
		if w := a.tell(request("POST", "/v1/demo/"+path, loginForm("ann", goodPassword), "Content-Type", typeForm)); w.Code != 404 {
			t.Errorf("%s: got %d, want 404", path, w.Code)
		}
	}
}

// Who guesses learns nothing from the answers, not even that the guesses are not judged.
func TestARefusedLoginLooksTheSameForEveryReason(t *testing.T) {
	t.Parallel()
	a := newInterop(t, func(s *setup) { s.service.Lockout = users.Lockout{Free: 2} })
	for _, name := range []string{"ann", "bob"} {
		want[any](t, a, 201, request("POST", "/v1/demo/users", body(name, "")))
	}
	a.user(t.Context(), "nopassword", "")
	for range 3 {
		a.login(loginForm("bob", "wrong"))
	}
	var want *httptest.ResponseRecorder
	for what, w := range map[string]*httptest.ResponseRecorder{
		"a wrong password":    a.login(loginForm("ann", "wrong")),
		"nobody":              a.login(loginForm("nobody", goodPassword)),
		"no password":         a.login(loginForm("nopassword", goodPassword)),
		"too many failures":   a.login(loginForm("bob", goodPassword)),
		"no such application": a.tell(request("POST", "/v1/nowhere/login", loginForm("ann", goodPassword), "Content-Type", typeForm)),
	} {
		if want == nil {
			want = w
		}
		if w.Code != 400 || w.Body.String() != want.Body.String() || fmt.Sprint(w.Header()) != fmt.Sprint(want.Header()) {
			t.Errorf("%s: got %d %s %v, want %s %v", what, w.Code, w.Body, w.Header(), want.Body, want.Header())
		}
	}
}

// What goes wrong with the host or the store is answered as everywhere else, and no
// password and no token gets out.
func TestALoginThatFails(t *testing.T) {
	t.Parallel()
	signIn := func(f func() (httpapi.AccessToken, error)) func(*setup) {
		return func(s *setup) {
			s.http.Interop.SignIn = func(context.Context, string, users.User) (httpapi.AccessToken, error) { return f() }
		}
	}
	token := httpapi.AccessToken{Secret: password.New(secretToken), ExpiresIn: time.Hour}
	for what, tt := range map[string]struct {
		change     func(*setup)
		want       int
		retryAfter string
	}{
		"SignIn fails":              {signIn(func() (httpapi.AccessToken, error) { return token, fmt.Errorf("no %v %+v", token, token) }), 500, ""},
		"SignIn finds nothing":      {signIn(func() (httpapi.AccessToken, error) { return token, users.ErrNotFound }), 500, ""},
		"SignIn refuses a password": {signIn(func() (httpapi.AccessToken, error) { return token, users.ErrBadCredentials }), 500, ""},
		"SignIn panics":             {signIn(func() (httpapi.AccessToken, error) { panic(fmt.Sprintf("no %#v", token)) }), 500, ""},
		"no token":                  {signIn(func() (httpapi.AccessToken, error) { return httpapi.AccessToken{}, nil }), 500, ""},
		"a token of the past": {signIn(func() (httpapi.AccessToken, error) {
			return httpapi.AccessToken{Secret: token.Secret, ExpiresIn: -1}, nil
		}), 500, ""},
		"SignIn forbids": {signIn(func() (httpapi.AccessToken, error) { return token, &users.ForbiddenError{} }), 403, ""},
		"SignIn limits": {signIn(func() (httpapi.AccessToken, error) {
			return token, &users.TooManyRequestsError{RetryAfter: time.Minute}
		}), 429, "60"},
		"SignIn is away":        {signIn(func() (httpapi.AccessToken, error) { return token, users.ErrUnavailable }), 503, "5"},
		"Admit limits":          {admitting(&users.TooManyRequestsError{RetryAfter: time.Minute}), 429, "60"},
		"Admit fails":           {admitting(errors.New("no")), 500, ""},
		"the store is away":     {failing(users.ErrUnavailable, storefake.FindUsers), 503, "5"},
		"the store is away too": {failing(users.ErrUnavailable, storefake.BeginLogin), 503, "5"},
		"the queue is full": {func(s *setup) {
			s.service.Hasher = overloaded{s.service.Hasher}
		}, 503, "7"},
	} {
		var log bytes.Buffer
		a := newInterop(t, func(s *setup) {
			s.http.Logger = logger(&log)
			tt.change(s)
		})
		if _, err := a.host.Create(t.Context(), "demo", users.CreateUserParams{
			UserName: "ann", Email: "ann@example.com", Password: password.New(secretPassword), ConfirmPassword: password.New(secretPassword),
		}); err != nil {
			t.Fatal(err)
		}
		w := a.login(loginForm("ann", secretPassword), "Authorization", "Bearer "+secretToken)
		if w.Code != tt.want || w.Header().Get("Retry-After") != tt.retryAfter {
			t.Errorf("%s: got %d %s %v, want %d", what, w.Code, w.Body, w.Header(), tt.want)
		}
		if logged := log.Len() > 0; logged != (tt.want >= 500) {
			t.Errorf("%s: logged is %t: %s", what, logged, &log)
		}
		for where, s := range map[string]string{"body": w.Body.String(), "headers": fmt.Sprint(w.Header()), "log": log.String()} {
			for _, secret := range []string{secretPassword, secretToken} {
				if form, found := leaktest.Find(s, secret); found {
					t.Errorf("%s: the %s hold a secret (%s): %s", what, where, form, s)
				}
			}
		}
	}
}

// overloaded is a Hasher that makes hashes and judges none.
type overloaded struct{ password.Hasher }

func (overloaded) Verify(password.Hash, []byte) (password.Match, error) {
	return password.Match{}, &password.OverloadedError{RetryAfter: 7 * time.Second}
}

// A lifetime that the host does not tell is not shown.
func TestATokenWithoutALifetime(t *testing.T) {
	t.Parallel()
	for lifetime, seconds := range map[time.Duration]any{0: nil, time.Second / 2: nil, 90 * time.Second: 90.0, 1500 * time.Millisecond: 1.0} {
		a := newInterop(t, func(s *setup) {
			s.http.Interop.SignIn = func(context.Context, string, users.User) (httpapi.AccessToken, error) {
				return httpapi.AccessToken{Secret: password.New("x"), ExpiresIn: lifetime}, nil
			}
		})
		want[any](t, a, 201, request("POST", "/v1/demo/users", body("ann", "")))
		got := decode[map[string]any](t, a.login(loginForm("ann", goodPassword)))
		if got["access_token"] != "x" || got["expires_in"] != seconds {
			t.Errorf("%s: got %v, want %v", lifetime, got, seconds)
		}
	}
}
