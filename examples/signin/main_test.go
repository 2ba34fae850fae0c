package main

import (
	"context"
	"errors"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

const (
	first  = "violet harbour 47 crumpets"
	second = "marble kettle 7 orchards"
)

// client is a browser: it keeps cookies, and follows no redirection by itself.
type client struct {
	*http.Client
	url string
}

type answer struct {
	*http.Response
	body string
}

// message is the sentence on the page.
func (a answer) message() string {
	m := regexp.MustCompile(`<p role="alert">(.*)</p>`).FindStringSubmatch(a.body)
	if m == nil {
		return ""
	}
	return html.UnescapeString(m[1])
}

func (c client) send(t *testing.T, method, path string, form url.Values, header ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, c.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp, string(body)}
}

// want makes sure of the status, and of a redirection to the page if it is one.
func (a answer) want(t *testing.T, status int) answer {
	t.Helper()
	if a.StatusCode != status || status == http.StatusSeeOther && a.Header.Get("Location") != "/" {
		t.Fatalf("got %d to %q, want %d: %s", a.StatusCode, a.Header.Get("Location"), status, a.body)
	}
	return a
}

func (c client) login(t *testing.T, login, pw string) answer {
	t.Helper()
	return c.send(t, "POST", "/login", url.Values{"login": {login}, "password": {pw}})
}

func (c client) changePassword(t *testing.T, from, to string) answer {
	t.Helper()
	return c.send(t, "POST", "/password", url.Values{"oldPassword": {from}, "newPassword": {to}})
}

// isJane makes sure of who the page says is signed in: jane, or nobody.
func (c client) isJane(t *testing.T, want bool) {
	t.Helper()
	got := c.send(t, "GET", "/", nil).want(t, 200).body
	if strings.Contains(got, "You are jane") != want || strings.Contains(got, `action="/login"`) == want {
		t.Errorf("jane is signed in: want %t, the page says:\n%s", want, got)
	}
}

// session is the session's id; empty: there is none.
func (c client) session(t *testing.T) string {
	t.Helper()
	at, err := url.Parse(c.url)
	if err != nil {
		t.Fatal(err)
	}
	if cookies := c.Jar.Cookies(at); len(cookies) > 0 {
		return cookies[0].Value
	}
	return ""
}

// newService makes a service with the user jane. opts may be nil.
func newService(t *testing.T, store users.Store, opts *users.Options) *users.Service {
	t.Helper()
	if opts == nil {
		opts = new(users.Options)
	}
	opts.Hasher = password.InsecureForTests()
	svc, err := users.New(store, opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := svc.CreateApplication(t.Context(), users.Application{APIKey: apiKey}); err != nil {
		t.Fatal(err)
	}
	pw := password.New(first)
	_, err = svc.Create(t.Context(), apiKey, users.CreateUserParams{
		UserName: "jane", Email: "jane@example.com", Password: pw, ConfirmPassword: pw,
	})
	if err != nil {
		t.Fatal(err)
	}
	return svc
}

// serve starts the site over HTTPS and returns what makes clients of it.
func serve(t *testing.T, h http.Handler) (newClient func() client) {
	t.Helper()
	server := httptest.NewTLSServer(h)
	t.Cleanup(server.Close)
	return func() client {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		c := *server.Client()
		c.Jar = jar
		c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		return client{&c, server.URL}
	}
}

func start(t *testing.T) (*users.Service, func() client) {
	t.Helper()
	svc := newService(t, memstore.New(), nil)
	return svc, serve(t, newSite(svc).handler())
}

func TestSignsInByNameAndByAddress(t *testing.T) {
	t.Parallel()
	_, newClient := start(t)
	for _, login := range []string{"jane", "Jane@Example.com"} {
		c := newClient()
		c.isJane(t, false)
		c.login(t, login, first).want(t, 303)
		c.isJane(t, true)
	}
}

func TestAWrongPasswordAndAnUnknownNameGetTheSameAnswer(t *testing.T) {
	t.Parallel()
	_, newClient := start(t)
	c := newClient()
	wrong := c.login(t, "jane", second).want(t, 401)
	unknown := c.login(t, "nobody", second).want(t, 401)
	if wrong.body != unknown.body || !strings.Contains(wrong.message(), "name or the password is wrong") {
		t.Errorf("got for a wrong password\n%s\nand for an unknown name\n%s", wrong.body, unknown.body)
	}
	if got := c.session(t); got != "" {
		t.Error("a failure began a session")
	}
	c.isJane(t, false)
}

func TestWhoMayNotSignInIsToldSoAfterTheRightPassword(t *testing.T) {
	t.Parallel()
	svc, newClient := start(t)
	c := newClient()
	for _, refused := range []struct {
		status users.Status
		want   string
	}{
		{users.Status{IsApproved: new(false)}, "not approved"},
		{users.Status{IsApproved: new(true), IsLockedOut: new(true)}, "locked"},
	} {
		setStatus(t, svc, refused.status)
		if got := c.login(t, "jane", first).want(t, 403).message(); !strings.Contains(got, refused.want) {
			t.Errorf("got %q, want %q in it", got, refused.want)
		}
		c.login(t, "jane", second).want(t, 401)
		c.isJane(t, false)
	}
}

func TestAnOverloadSaysWhenToComeBack(t *testing.T) {
	t.Parallel()
	gate, err := password.NewGate(&password.GateOptions{Slots: 1, MaxWait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	svc := newService(t, memstore.New(), &users.Options{Gate: gate})
	c := serve(t, newSite(svc).handler())()

	var refused answer
	err = gate.Do(t.Context(), "another application", 0, func() error {
		refused = c.login(t, "jane", first)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := refused.want(t, 503).Header.Get("Retry-After"); got == "" || got == "0" {
		t.Errorf("Retry-After: got %q, want seconds", got)
	}
	c.login(t, "jane", first).want(t, 303)
}

func TestWhatIsTooLargeOrNoFormIsRefused(t *testing.T) {
	t.Parallel()
	_, newClient := start(t)
	c := newClient()
	c.send(t, "POST", "/login", url.Values{"login": {"jane"}, "password": {first}, "x": {strings.Repeat("x", maxForm)}}).want(t, 413)
	r, err := http.NewRequestWithContext(t.Context(), "POST", c.url+"/login", strings.NewReader("login=jane&password=%zz"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 400 {
		t.Errorf("not a form: got %d, want 400", resp.StatusCode)
	}
	c.isJane(t, false)
}

func TestTheSessionsIdChangesAtEachSignIn(t *testing.T) {
	t.Parallel()
	_, newClient := start(t)
	c, other := newClient(), newClient()
	c.login(t, "jane", first).want(t, 303)
	planted := c.session(t)

	at, err := url.Parse(c.url)
	if err != nil {
		t.Fatal(err)
	}
	other.Jar.SetCookies(at, c.Jar.Cookies(at))
	if other.session(t) != planted {
		t.Fatal("the other browser does not have the session")
	}
	c.login(t, "jane", first).want(t, 303)
	if c.session(t) == planted {
		t.Error("the id is the one from before the sign-in")
	}
	c.isJane(t, true)
	other.isJane(t, false)
}

func TestASessionEndsAtTheNextRequest(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testing.T, *users.Service) error{
		"of a user who is locked out": func(t *testing.T, svc *users.Service) error {
			setStatus(t, svc, users.Status{IsLockedOut: new(true)})
			return nil
		},
		"of a user who is not approved": func(t *testing.T, svc *users.Service) error {
			setStatus(t, svc, users.Status{IsApproved: new(false)})
			return nil
		},
		"of a user who is deleted": func(t *testing.T, svc *users.Service) error {
			return svc.DeleteUser(t.Context(), apiKey, "jane", 0)
		},
		"of an application that is disabled": func(t *testing.T, svc *users.Service) error {
			_, err := svc.UpdateApplication(t.Context(), apiKey, users.ApplicationChange{Disabled: new(true)})
			return err
		},
		"after a new password by an administrator": func(t *testing.T, svc *users.Service) error {
			return svc.ChangePassword(t.Context(), apiKey, "jane", users.ChangePasswordParams{NewPassword: password.New(second)})
		},
		"after the same password by an administrator": func(t *testing.T, svc *users.Service) error {
			return svc.ChangePassword(t.Context(), apiKey, "jane", users.ChangePasswordParams{NewPassword: password.New(first)})
		},
		"after a new password by a mailed link": func(t *testing.T, svc *users.Service) error {
			token, err := svc.IssueSetPasswordToken(t.Context(), apiKey, "jane")
			if err != nil {
				return err
			}
			return svc.SetPassword(t.Context(), apiKey, token.Secret, password.New(second))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			svc, newClient := start(t)
			c := newClient()
			c.login(t, "jane", first).want(t, 303)
			c.isJane(t, true)
			if err := end(t, svc); err != nil {
				t.Fatal(err)
			}
			c.isJane(t, false)
			if c.session(t) != "" {
				t.Error("the browser still has the cookie")
			}
		})
	}
}

// TestOtherChangesKeepASession: a sign-in elsewhere, or another name, is no reason.
func TestOtherChangesKeepASession(t *testing.T) {
	t.Parallel()
	svc, newClient := start(t)
	c := newClient()
	c.login(t, "jane", first).want(t, 303)
	newClient().login(t, "jane", first).want(t, 303)
	if _, err := svc.UpdateUser(t.Context(), apiKey, "jane", users.UserChange{Name: new("Jane Doe")}); err != nil {
		t.Fatal(err)
	}
	c.isJane(t, true)
}

func TestAnOwnNewPasswordKeepsTheSessionAndEndsTheOthers(t *testing.T) {
	t.Parallel()
	_, newClient := start(t)
	c, other := newClient(), newClient()
	c.login(t, "jane", first).want(t, 303)
	other.login(t, "jane", first).want(t, 303)
	before := c.session(t)

	c.changePassword(t, second, second).want(t, 401)
	if got := c.changePassword(t, first, "too short").want(t, 400).message(); got != "The new password must have at least 15 characters." {
		t.Errorf("a password that the policy refuses: got %q", got)
	}
	c.isJane(t, true)
	other.isJane(t, true)

	c.changePassword(t, first, second).want(t, 303)
	if c.session(t) == before {
		t.Error("the session has its id from before")
	}
	c.isJane(t, true)
	other.isJane(t, false)
	other.login(t, "jane", first).want(t, 401)
	other.login(t, "jane", second).want(t, 303)
}

// TestAnAdministratorsPasswordEndsAlsoTheSessionThatSetsOneItself sets both at the same
// time.
func TestAnAdministratorsPasswordEndsAlsoTheSessionThatSetsOneItself(t *testing.T) {
	t.Parallel()
	var svc *users.Service
	var meanwhile atomic.Bool
	svc = newService(t, memstore.New(), &users.Options{Admit: func(ctx context.Context, _ users.Attempt) error {
		if !meanwhile.Load() {
			return nil
		}
		// The user's own password is set, and the session does not know yet.
		host := context.WithoutCancel(t.Context())
		return svc.ChangePassword(host, apiKey, "jane", users.ChangePasswordParams{NewPassword: password.New("granite walnut 9 lanterns")})
	}})
	c := serve(t, newSite(svc).handler())()
	c.login(t, "jane", first).want(t, 303)
	meanwhile.Store(true)
	c.changePassword(t, first, second).want(t, 303)
	c.isJane(t, false)
}

func TestOnlyWhoIsSignedInChangesAPassword(t *testing.T) {
	t.Parallel()
	_, newClient := start(t)
	c := newClient()
	c.changePassword(t, first, second).want(t, 303)
	c.login(t, "jane", first).want(t, 303)
}

func TestACrossOriginPOSTIsRefused(t *testing.T) {
	t.Parallel()
	_, newClient := start(t)
	c := newClient()
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}} {
		c.send(t, "POST", "/login", url.Values{"login": {"jane"}, "password": {first}}, header...).want(t, 403)
	}
	c.isJane(t, false)
	c.login(t, "jane", first).want(t, 303)
	c.send(t, "POST", "/logout", nil, "Sec-Fetch-Site", "cross-site").want(t, 403)
	c.send(t, "GET", "/logout", nil).want(t, 405)
	c.isJane(t, true)
}

func TestSigningOutEndsTheSessionOnTheServer(t *testing.T) {
	t.Parallel()
	_, newClient := start(t)
	c := newClient()
	c.login(t, "jane", first).want(t, 303)
	at, err := url.Parse(c.url)
	if err != nil {
		t.Fatal(err)
	}
	old := c.Jar.Cookies(at)
	c.send(t, "POST", "/logout", nil).want(t, 303)
	if c.session(t) != "" {
		t.Error("the browser still has the cookie")
	}
	c.Jar.SetCookies(at, old)
	c.isJane(t, false)
}

func TestARequestUnderWayDoesNotBringBackASession(t *testing.T) {
	t.Parallel()
	s := newSite(newService(t, memstore.New(), nil))
	under, signedOut := make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.Handle("/", s.handler())
	mux.Handle("/slow", s.sessions.LoadAndSave(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(under)
		<-signedOut
	})))
	newClient := serve(t, mux)
	c, slow := newClient(), newClient()
	c.login(t, "jane", first).want(t, 303)
	at, err := url.Parse(c.url)
	if err != nil {
		t.Fatal(err)
	}
	slow.Jar.SetCookies(at, c.Jar.Cookies(at))
	done := make(chan struct{})
	go func() {
		defer close(done)
		slow.send(t, "GET", "/slow", nil)
	}()
	<-under
	c.send(t, "POST", "/logout", nil).want(t, 303)
	close(signedOut)
	<-done
	slow.isJane(t, false)
}

func TestTheCookieIsForHTTPSAndThisSiteAndEnds(t *testing.T) {
	t.Parallel()
	s := newSite(newService(t, memstore.New(), nil))
	c := serve(t, s.handler())()
	if s.sessions.Lifetime > 24*time.Hour || s.sessions.IdleTimeout <= 0 || s.sessions.IdleTimeout > time.Hour {
		t.Errorf("a session ends after %v, or %v unused", s.sessions.Lifetime, s.sessions.IdleTimeout)
	}
	cookies := c.login(t, "jane", first).want(t, 303).Cookies()
	if len(cookies) != 1 {
		t.Fatalf("got %d cookies, want one", len(cookies))
	}
	got := cookies[0]
	if got.Name != "__Host-session" || !got.HttpOnly || !got.Secure || got.SameSite != http.SameSiteLaxMode || got.Path != "/" || got.Domain != "" {
		t.Errorf("got %v", got)
	}
	if life := time.Duration(got.MaxAge) * time.Second; life <= 0 || life > s.sessions.IdleTimeout+time.Second {
		t.Errorf("the cookie is for %v, want the idle time", life)
	}
}

func TestWhoReadsTheStoreOfSessionsCanUseNone(t *testing.T) {
	t.Parallel()
	s := newSite(newService(t, memstore.New(), nil))
	c := serve(t, s.handler())()
	c.login(t, "jane", first).want(t, 303)
	if _, found, err := s.sessions.Store.Find(c.session(t)); found || err != nil {
		t.Errorf("the store has the session under its id, or fails: %v", err)
	}
}

func TestNothingIsKeptByCaches(t *testing.T) {
	t.Parallel()
	_, newClient := start(t)
	c := newClient()
	for name, a := range map[string]answer{
		"the form":          c.send(t, "GET", "/", nil),
		"a failure":         c.login(t, "jane", second),
		"a sign-in":         c.login(t, "jane", first),
		"the user":          c.send(t, "GET", "/", nil),
		"a refused origin":  c.send(t, "POST", "/logout", nil, "Sec-Fetch-Site", "cross-site"),
		"what is not there": c.send(t, "GET", "/nothing", nil),
	} {
		if a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: Cache-Control: got %q, want no-store", name, a.Header.Values("Cache-Control"))
		}
	}
}

// failing is a store that fails when it is told to.
type failing struct {
	*memstore.Store
	fails atomic.Bool
}

func (s *failing) FindUsers(ctx context.Context, q users.UserQuery) ([]users.UserRecord, error) {
	if s.fails.Load() {
		return nil, errors.New("the store fails")
	}
	return s.Store.FindUsers(ctx, q)
}

func TestAFailureOfTheStoreSignsNobodyOut(t *testing.T) {
	t.Parallel()
	store := &failing{Store: memstore.New()}
	c := serve(t, newSite(newService(t, store, nil)).handler())()
	c.login(t, "jane", first).want(t, 303)
	store.fails.Store(true)
	if got := c.send(t, "GET", "/", nil).want(t, 500); strings.Contains(got.body, "the store fails") {
		t.Errorf("the page tells of the store: %s", got.body)
	}
	store.fails.Store(false)
	c.isJane(t, true)
}

func setStatus(t *testing.T, svc *users.Service, s users.Status) {
	t.Helper()
	if _, err := svc.SetStatus(t.Context(), apiKey, "jane", s); err != nil {
		t.Fatal(err)
	}
}
