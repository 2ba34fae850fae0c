package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
	"github.com/gousers/users/internal/leaktest"
	"github.com/gousers/users/password"
)

// Secrets that JSON, Go and URLs have to escape. NFC changes the password.
const (
	secretPassword = "pl\"um O\u0308tter <sings> 7 t\u00fcnes"
	secretToken    = "S3cret/T0ken+of~the=Caller=="
)

// tells is host code's error, or panic, that quotes what host code was given.
type tells struct{ text string }

func (e tells) Error() string { return e.text }

func quotes(v any) error {
	return fmt.Errorf("quoted: %w", tells{fmt.Sprintf("%v %s %q %x %#v", v, v, v, v, v)})
}

func TestNoSecretComesOutOfAnyFailure(t *testing.T) {
	t.Parallel()
	quoted, _ := json.Marshal(secretPassword)
	member := strings.Trim(string(quoted), `"`)
	good := `{"userName":"ann","email":"ann@example.com","password":"` + member + `","confirmPassword":"` + member + `"}`
	with := func(more string) string { return strings.TrimSuffix(good, "}") + "," + more + "}" }
	hashes := func(f func(pw []byte) (password.Hash, error)) func(*setup) {
		return func(s *setup) { s.service.Hasher = hasherFunc(f) }
	}
	panics := func(v func(pw []byte) any) func(*setup) {
		return hashes(func(pw []byte) (password.Hash, error) { panic(v(pw)) })
	}
	stores := func(f func(*users.NewUser) error) func(*setup) {
		return creating(func(_ context.Context, n *users.NewUser, _ func() error) error { return f(n) })
	}
	authenticates := func(f func(r *http.Request) error) func(*setup) {
		return func(s *setup) {
			s.authenticate = func(r *http.Request, _ string) (users.Caller, error) { return users.Caller{}, f(r) }
		}
	}
	type change = func(*setup)
	for _, tt := range []struct {
		name    string
		status  int
		body    string   // "": good
		request []string // method and path; nil: POST of a user
		headers []string
		setup   change
	}{
		{name: "created", status: 201},
		{name: "lone surrogate", status: 400, body: strings.Replace(good, member, member+`\ud800`, 1)},
		{name: "lone surrogate before", status: 400, body: strings.Replace(good, member, `\udfff`+member, 1)},
		{name: "not UTF-8", status: 400, body: strings.Replace(good, member, member+"\xff", 1)},
		{name: "control character", status: 400, body: strings.Replace(good, member, member+"\x01", 1)},
		{name: "cut off", status: 400, body: good[:strings.Index(good, member)+len(member)]},
		{name: "trailing text", status: 400, body: good + `"` + member + `"`},
		{name: "not an object", status: 400, body: `"` + member + `"`},
		{name: "as a name", status: 400, body: `{"` + member + `":1,"` + member + `":2}`},
		{name: "as a name, cut", status: 400, body: `{"` + member + `\ud800":1}`},
		{name: "twice", status: 400, body: with(`"password":"` + member + `"`)},
		{name: "too deep", status: 400, body: with(`"x":{"` + member + `":` + strings.Repeat("[", 100))},
		{name: "of the wrong type", status: 400, body: with(`"roles":{"` + member + `":1},"name":["` + member + `"]`)},
		{name: "mismatch", status: 400, body: strings.Replace(good, member+`"}`, member+`x"}`, 1)},
		{name: "excluded", status: 400, body: with(`"autoCreatePassword":true`)},
		{name: "refused by the policy", status: 400, setup: func(s *setup) { s.service.Policy = &password.Policy{MinLength: 100} }},
		{name: "too long", status: 400, body: strings.ReplaceAll(good, member, strings.Repeat(member, 50))},
		{name: "in every member", status: 400, body: `{"userName":"` + member + `","email":"` + member + `","password":"` + member + `","confirmPassword":"` + member + `","id":"` + member +
			`","roles":["` + member + `"],"creationDate":"` + member + `","dateCreated":"` + member + `","embed":["` + member + `"],"dashboardSettings":"` + member + `"}`},
		{name: "as idempotency key", status: 400, headers: []string{"Idempotency-Key", secretPassword}},
		{name: "in the query", status: 400, request: []string{"POST", "/v1/demo/users?embed=" + url.QueryEscape(secretPassword)}},
		{name: "no credentials", status: 401, headers: []string{"Authorization", "Basic " + secretToken}},
		{name: "bad token", status: 401, headers: []string{"Authorization", "Bearer x" + secretToken}},
		{name: "of another application", status: 401, request: []string{"POST", "/v1/other/users"}},
		{name: "unknown application", status: 401, request: []string{"POST", "/v1/none/users"}},
		{name: "caller without permission", status: 403, setup: allow(0)},
		{name: "privileged member", status: 403, setup: allow(users.CreateUsers), body: with(`"allowDashboardAccess":true,"dashboardSettings":{"a":"` + member + `"},"roles":["` + member + `"]`)},
		{name: "no such path", status: 404, request: []string{"POST", "/v1/demo/" + url.PathEscape(secretPassword)}},
		{name: "no such user", status: 404, request: []string{"GET", "/v1/demo/users/nobody"}},
		{name: "other method", status: 405, request: []string{"PATCH", "/v1/demo/users"}},
		{name: "not acceptable", status: 406, headers: []string{"Accept", "text/" + secretToken}},
		{name: "taken", status: 409, body: strings.ReplaceAll(good, "ann", "taken")},
		{name: "too large", status: 413, body: with(`"x":"` + strings.Repeat(member, httpapi.MaxBody/len(member)) + `"`)},
		{name: "other media type", status: 415, headers: []string{"Content-Type", "text/plain; x=" + secretToken}},
		{name: "content coding", status: 415, headers: []string{"Content-Encoding", secretToken}},
		{name: "used idempotency key", status: 422, headers: []string{"Idempotency-Key", "taken"}},
		{name: "used recovery token", status: 400, request: []string{"PUT", "/v1/demo/recover-password"},
			body: `{"passwordRecoveryToken":"` + strings.Repeat("A", 43) + `","newPassword":"` + member + `"}`},
		{name: "in a query", status: 400, request: []string{"GET", "/v1/demo/users?sort=" + url.QueryEscape(secretPassword) + "&fields=" + url.QueryEscape(secretPassword) +
			"&after=" + url.QueryEscape(secretPassword) + "&rpp=" + url.QueryEscape(secretPassword) + "&isLocked=" + url.QueryEscape(secretPassword)}},
		{name: "in a version", status: 412, request: []string{"DELETE", "/v1/demo/users/taken"}, headers: []string{"If-Match", `"` + secretPassword + `"`}},
		{name: "in a change", status: 400, request: []string{"PUT", "/v1/demo/users/taken"}, body: `{"userName":"` + member + `/","email":"` + member + `","roles":["` + member + `"],"password":"` + member + `"}`},
		{name: "new password", status: 200, request: []string{"PUT", "/v1/demo/users/taken/change-password"}, body: `{"newPassword":"` + member + `"}`},
		{name: "new password of the wrong type", status: 400, request: []string{"PUT", "/v1/demo/users/taken/change-password"}, body: `{"newPassword":["` + member + `"],"oldPassword":{"` + member + `":1}}`},
		{name: "new password, cut off", status: 400, request: []string{"PUT", "/v1/demo/users/taken/change-password"}, body: `{"newPassword":"` + member},
		{name: "Hasher fails with a new password", status: 500, request: []string{"PUT", "/v1/demo/users/taken/change-password"}, body: `{"newPassword":"` + member + `"}`,
			setup: hashes(func(pw []byte) (password.Hash, error) { return password.Hash{}, quotes(pw) })},
		{name: "Hasher fails", status: 500, setup: hashes(func(pw []byte) (password.Hash, error) { return password.Hash{}, quotes(pw) })},
		{name: "Hasher fails with text", status: 500, setup: hashes(func(pw []byte) (password.Hash, error) { return password.Hash{}, tells{string(pw)} })},
		{name: "Hasher is overloaded", status: 503, setup: hashes(func(pw []byte) (password.Hash, error) {
			return password.Hash{}, fmt.Errorf("%s: %w", pw, &password.OverloadedError{RetryAfter: 1})
		})},
		{name: "panic with text", status: 500, setup: panics(func(pw []byte) any { return string(pw) })},
		{name: "panic with bytes", status: 500, setup: panics(func(pw []byte) any { return pw })},
		{name: "panic with an error", status: 500, setup: panics(func(pw []byte) any { return quotes(pw) })},
		{name: "panic with a struct", status: 500, setup: panics(func(pw []byte) any { return struct{ pw []byte }{pw} })},
		{name: "panic of BeforeCreate", status: 500, setup: func(s *setup) {
			s.service.BeforeCreate = func(_ context.Context, _ users.Application, p *users.CreateUserParams) error {
				panic(p.Password.Reveal())
			}
		}},
		{name: "store fails", status: 500, setup: stores(func(n *users.NewUser) error { return quotes(n) })},
		{name: "store panics", status: 500, setup: stores(func(n *users.NewUser) error { panic(quotes(n)) })},
		{name: "store is away", status: 503, setup: stores(func(n *users.NewUser) error { return fmt.Errorf("%w: %w", users.ErrUnavailable, quotes(*n)) })},
		{name: "Authenticator fails", status: 500, setup: authenticates(func(r *http.Request) error { return tells{r.Header.Get("Authorization")} })},
		{name: "Authenticator fails without a scheme", status: 500, headers: []string{"Authorization", secretToken},
			setup: authenticates(func(r *http.Request) error { return tells{r.Header.Get("Authorization")} })},
		{name: "Authenticator fails at a URL", status: 503, setup: authenticates(func(r *http.Request) error {
			err := &url.Error{Op: "Get", URL: "https://idp.example/?token=" + url.QueryEscape(r.Header.Get("Authorization")[7:]), Err: users.ErrUnavailable}
			return fmt.Errorf("introspection: %w", err)
		})},
		{name: "Authenticator fails with a cookie", status: 500, headers: []string{"Authorization", "", "Cookie", "theme=dark; session=" + url.QueryEscape(secretToken)},
			setup: authenticates(func(r *http.Request) error {
				c, _ := r.Cookie("session")
				return tells{"no session " + c.Value}
			})},
		{name: "Authenticator panics", status: 500, setup: authenticates(func(r *http.Request) error { panic(r.Header.Get("Authorization")) })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var text, js bytes.Buffer
			a := newAPI(t, func(s *setup) {
				allow(users.AllPermissions)(s)
				s.http.Logger = slog.New(slog.NewMultiHandler(
					slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}),
					slog.NewJSONHandler(&js, &slog.HandlerOptions{Level: slog.LevelDebug})))
				if tt.setup != nil {
					tt.setup(s)
				}
			})
			a.user(users.WithCaller(t.Context(), users.Caller{ID: "c", APIKey: "demo", Permissions: users.AllPermissions}), "taken", "taken")

			to, in := tt.request, tt.body
			if to == nil {
				to = []string{"POST", "/v1/demo/users"}
			}
			if in == "" && to[0] != "GET" {
				in = good
			}
			headers := append([]string{"Authorization", "Bearer " + secretToken}, tt.headers...)
			if in != "" {
				headers = append([]string{"Content-Type", "application/json"}, headers...)
			}
			w := a.do(request(to[0], to[1], in, headers...))
			if w.Code != tt.status {
				t.Fatalf("got %d %s, want %d", w.Code, w.Body, tt.status)
			}
			if logged := text.Len() > 0 && js.Len() > 0; logged != (tt.status >= 500) {
				t.Errorf("status %d: logged is %t: %s", tt.status, logged, &text)
			}
			for where, s := range map[string]string{
				"headers": fmt.Sprint(w.Header()), "body": w.Body.String(), "text log": text.String(), "JSON log": js.String(),
			} {
				for _, secret := range []string{secretPassword, secretToken} {
					if form, found := leaktest.Find(s, secret); found {
						t.Errorf("the %s hold a secret (%s): %s", where, form, s)
					}
				}
			}
		})
	}
}

func allow(p users.Permissions) func(*setup) {
	return func(s *setup) {
		s.authenticate = httpapi.BearerTokens(bearer(secretToken, users.Caller{ID: "c", APIKey: "demo", Permissions: p}))
	}
}

func TestPanicIsLoggedWithItsPlaceAndWithoutArguments(t *testing.T) {
	t.Parallel()
	for want, at := range map[string]int{"index out of range [7]": 7, "a value of type httpapi_test.tells": 0} {
		var log bytes.Buffer
		a := newAPI(t, func(s *setup) {
			s.http.Logger = logger(&log)
			s.service.Hasher = hasherFunc(func(pw []byte) (password.Hash, error) { return onStack([4]byte(pw), at), nil })
		})
		a.post(body("ann", ""))
		for _, want := range []string{want, "httpapi_test.onStack", "httpapi/secrets_test.go:"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%q is missing in %s", want, &log)
			}
		}
		if strings.Contains(log.String(), "0x") {
			t.Errorf("arguments are logged: %s", &log)
		}
	}
}

// onStack panics with a piece of a password among its arguments, which
// debug.Stack shows.
//
//go:noinline
func onStack(pw [4]byte, at int) password.Hash {
	if list := pw[:1]; list[at] == pw[0] {
		panic(tells{string(pw[:])})
	}
	return password.Hash{}
}

// net/http reads no cookies at all of a request that has thousands.
func TestTextOfTheHostIsLeftOutWhereTheCredentialsAreTooMany(t *testing.T) {
	t.Parallel()
	const secret = "session-0123456789"
	var log strings.Builder
	a := newAPI(t, func(s *setup) {
		s.http.Logger = logger(&log)
		s.authenticate = func(r *http.Request, _ string) (users.Caller, error) {
			return users.Caller{}, errors.New("no session " + secret)
		}
	})
	for _, n := range []int{1, 150, 250, 5000} {
		w := a.get("/v1/demo/roles", "Cookie", strings.Repeat("a=b; ", n-1)+"session="+secret)
		if w.Code != 500 {
			t.Errorf("%d cookies: got %d, want 500", n, w.Code)
		}
		if text := log.String(); strings.Contains(text, secret) || strings.Contains(text, "no session") != (n <= 200) {
			t.Errorf("%d cookies: in the log: %s", n, text)
		}
		log.Reset()
	}
}
