package httpapi_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
	"github.com/gousers/users/internal/leaktest"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

func TestPathsAreMatchedExactlyAndNeverRedirected(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	for _, tt := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"PUT", "/v1/demo/users", 405, "GET, HEAD, POST, OPTIONS"},
		{"POST", "/v1/demo/users/x", 405, "GET, HEAD, PUT, DELETE, OPTIONS"},
		{"PUT", "/v1/demo/users/x/exists", 405, "GET, HEAD, OPTIONS"},
		{"GET", "/v1/demo/users/x/lock", 405, "PUT, OPTIONS"},
		{"POST", "/v1/demo/users/x/unlock/", 405, "PUT, OPTIONS"},
		{"DELETE", "/v1/demo/users/x/approve", 405, "PUT, OPTIONS"},
		{"HEAD", "/v1/demo/users/x/disapprove", 405, "PUT, OPTIONS"},
		{"PATCH", "/v1/demo/users/x/change-password/", 405, "PUT, OPTIONS"},
		{"POST", "/v1/demo/lookups/roles/x", 405, "GET, HEAD, PUT, DELETE, OPTIONS"},
		{"PATCH", "/v1/demo/roles/", 405, "GET, HEAD, POST, OPTIONS"},
		{"GET", "/v1/demo/recover-password", 405, "POST, PUT, OPTIONS"},
		{"OPTIONS", "/v1/demo/users/", 204, "GET, HEAD, POST, OPTIONS"},
		{"OPTIONS", "/v1/demo/roles/x", 204, "GET, HEAD, PUT, DELETE, OPTIONS"},
		{"OPTIONS", "/v1/demo/users/x/lock/", 204, "PUT, OPTIONS"},
		{"GET", "/v1/demo/users/", 200, ""},
		{"HEAD", "/v1/demo/users", 200, ""},
		{"GET", "/v1/demo/lookups/roles", 200, ""},
		{"HEAD", "/v1/demo/lookups/roles/", 200, ""},
		{"GET", "/v1/demo/lookups/roles/nothing/", 404, ""},
		{"GET", "/v1/demo/lookups", 404, ""}, {"GET", "/v1/demo/lookups/users", 404, ""}, {"GET", "/v1/demo/lookups/roles/a/b", 404, ""},
		{"GET", "/v1/demo/roles/roles/x", 404, ""}, {"PUT", "/v1/demo/users/x/Lock", 404, ""}, {"PUT", "/v1/demo/users/x/lock/y", 404, ""},
		{"GET", "/v1/demo/users/x/y", 404, ""}, {"PUT", "/v1/demo/roles/x/lock", 404, ""},
		{"GET", "/v1/demo/roles", 200, ""},
		{"GET", "/v1/demo/roles/", 200, ""},
		{"HEAD", "/v1/demo/roles", 200, ""},
		{"GET", "/v1/%64emo/roles", 200, ""},
		{"GET", "/v1/demo/users/nobody", 404, ""},
		{"GET", "/v1/demo/roles/nothing", 404, ""},
		{"GET", "/", 404, ""}, {"GET", "/v1", 404, ""}, {"GET", "/v1/", 404, ""}, {"GET", "/v1/demo", 404, ""},
		{"GET", "/v2/demo/roles", 404, ""}, {"GET", "/v1demo/roles", 404, ""}, {"GET", "/demo/roles", 404, ""},
		{"GET", "/v1/demo//roles", 404, ""}, {"GET", "//v1/demo/roles", 404, ""}, {"GET", "/v1/demo/roles//", 404, ""},
		{"GET", "/v1/demo/./roles", 404, ""}, {"GET", "/v1/x/../demo/roles", 404, ""}, {"GET", "/v1/%2e%2e/roles", 404, ""},
		{"GET", "/v1/demo%2Froles", 404, ""}, {"GET", "/v1/demo%2Fx/roles", 404, ""}, {"GET", "/v1/demo%00/roles", 404, ""},
		{"GET", "/v1/demo%0d%0ax/roles", 404, ""}, {"GET", "/v1/demo%ff/roles", 404, ""}, {"GET", "/v1/demo/roles/a/b", 404, ""},
		{"GET", "/v1/demo/Roles", 404, ""}, {"GET", "/v1/demo/users/a%2fb", 404, ""},
		{"PUT", "/v1/demo/others/x", 404, ""}, {"PUT", "/v1/demo/recover-password/x", 404, ""}, {"PUT", "/v1/demo/others", 404, ""},
	} {
		w := a.do(request(tt.method, tt.path, ""))
		if w.Code != tt.status || w.Header().Get("Allow") != tt.allow {
			t.Errorf("%s %s: got %d, Allow %q, want %d, %q", tt.method, tt.path, w.Code, w.Header().Get("Allow"), tt.status, tt.allow)
		}
		if w.Code >= 400 && w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: got Content-Type %q", tt.method, tt.path, w.Header().Get("Content-Type"))
		}
		if (tt.method == "HEAD" || w.Code == 204) && w.Body.Len() > 0 {
			t.Errorf("%s %s: got a body", tt.method, tt.path)
		}
	}
}

func TestMountedBesideOtherRoutes(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"", "/v1", "/api/v1"} {
		a := newAPI(t, func(s *setup) { s.http.Prefix = prefix })
		mux := http.NewServeMux()
		mux.Handle("/static/", http.NotFoundHandler())
		mux.Handle(prefix+"/", a)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, request("POST", prefix+"/demo/users", body("ann", "")))
		location := w.Header().Get("Location")
		if w.Code != 201 || !strings.HasPrefix(location, prefix+"/demo/users/") {
			t.Fatalf("prefix %q: got %d, Location %q", prefix, w.Code, location)
		}
		w = httptest.NewRecorder()
		mux.ServeHTTP(w, request("GET", location, ""))
		if w.Code != 200 {
			t.Errorf("prefix %q: GET %s: got %d", prefix, location, w.Code)
		}
	}
}

func TestBaseURLStandsInLinksAndHostNever(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ base, want string }{{"", "/v1/demo/users/"}, {"https://api.example.com/x", "https://api.example.com/x/v1/demo/users/"}} {
		a := newAPI(t, func(s *setup) { s.http.BaseURL = tt.base })
		r := request("POST", "/v1/demo/users", body("ann", `"roles":["editor"]`), "X-Forwarded-Host", "evil.example", "Forwarded", "host=evil.example", "X-Forwarded-Prefix", "/evil")
		r.Host = "evil.example"
		w := a.do(r)
		if got := w.Header().Get("Location"); !strings.HasPrefix(got, tt.want) || strings.Contains(w.Body.String(), "evil") {
			t.Errorf("got %q %s, want %q...", got, w.Body, tt.want)
		}
	}
}

func TestHeadersOfEveryAnswer(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	for _, r := range []*http.Request{
		request("POST", "/v1/demo/users", body("ann", "")), request("GET", "/v1/demo/users/ann", ""), request("GET", "/nowhere", ""),
		request("POST", "/v1/demo/users", "{}"), request("OPTIONS", "/v1/demo/users", ""), request("GET", "/v1/demo/users/ann", "", "Authorization", ""),
		request("HEAD", "/v1/demo/users/ann", ""),
	} {
		w := a.do(r)
		h := w.Header()
		if h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Vary") != "Accept" {
			t.Errorf("%s %s: got %v", r.Method, r.URL, h)
		}
		if r.Method != "HEAD" && w.Body.Len() > 0 && h.Get("Content-Length") != fmt.Sprint(w.Body.Len()) {
			t.Errorf("%s %s: got Content-Length %s of %d", r.Method, r.URL, h.Get("Content-Length"), w.Body.Len())
		}
	}
}

func TestHeadersOfMiddlewareStay(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	for _, path := range []string{"/v1/demo/roles", "/nowhere"} {
		w := httptest.NewRecorder()
		w.Header()["Vary"] = []string{"Origin"}
		w.Header().Set("X-Request-Id", "7")
		a.ServeHTTP(w, request("GET", path, ""))
		w.Header().Add("Cache-Control", "private") // values don't share memory
		h := w.Header()
		if got := fmt.Sprint(h["Vary"], h["X-Request-Id"], h["Cache-Control"], h["X-Content-Type-Options"]); got != "[Origin Accept] [7] [no-store private] [nosniff]" {
			t.Errorf("%s: got %s", path, got)
		}
	}
}

func TestWhatTheStoreMadeUpIsA500AndNothingElse(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	a := newAPI(t, func(s *setup) { s.http.Logger = logger(&log) })
	made := &users.NewUser{UserRecord: users.UserRecord{ApplicationID: a.demo.ID, NameKey: "ann", EmailKey: "e", User: users.User{ID: "x", UserName: "\xff"}}}
	if err := a.store.CreateUser(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	w := a.get("/v1/demo/users/ann")
	p := decode[problem](t, w)
	if w.Code != 500 || p.Instance == "" || !strings.Contains(log.String(), p.Instance) || strings.Contains(w.Body.String(), "userName") {
		t.Errorf("got %d %s, log %s", w.Code, w.Body, &log)
	}
	if h := w.Header(); len(h["Vary"]) != 1 || h.Get("Content-Type") != "application/problem+json" || h.Get("Content-Length") != fmt.Sprint(w.Body.Len()) {
		t.Errorf("got %v", h)
	}
}

func TestCreatedThatCannotBeShownHasNoLocation(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	made := users.RoleRecord{Role: users.Role{ID: "x", Name: "made up", Description: "\xff"}, NameKey: "made up"}
	if err := a.store.CreateRole(t.Context(), a.demo.ID, made); err != nil {
		t.Fatal(err)
	}
	w := a.post(body("ann", `"roles":["made up"],"embed":["roles"]`))
	if location, ok := w.Header()["Location"]; w.Code != 500 || ok {
		t.Errorf("got %d, Location %q, want 500 without", w.Code, location)
	}
}

func TestMediaTypes(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	for i, tt := range []struct {
		header, value string
		status        int
	}{
		{"Content-Type", "application/json", 201},
		{"Content-Type", "Application/JSON; charset=UTF-8", 201},
		{"Content-Type", "application/hal+json", 201},
		{"Content-Type", "application/json;charset=utf8", 201},
		{"Content-Type", "application/json; charset=\"utf8\"", 201},
		{"Content-Type", "application/hal+json ; Charset=latin1; version=1", 201},
		{"Content-Type", "application/json; charset", 201},
		{"Content-Type", "application/json;", 201},
		{"Content-Type", "application/json5", 415},
		{"Content-Type", "text/plain; application/json", 415},
		{"Content-Type", "text/plain, application/json", 415},
		{"Content-Type", ";application/json", 415},
		{"Content-Type", "application/x-www-form-urlencoded", 415},
		{"Content-Type", "text/json", 415},
		{"Content-Type", "application/json, text/plain", 415},
		{"Content-Type", "", 415},
		{"Content-Encoding", "identity", 201},
		{"Content-Encoding", "gzip", 415},
		{"Accept", "text/html", 406},
		{"Accept", "application/json;q=0", 406},
		{"Accept", "application/xml, */*;q=0.1", 201},
		{"Accept", "garbage", 201},
		{"Accept", "application/json;q=2, text/html", 406},
	} {
		w := a.post(body(fmt.Sprint("u", i), ""), tt.header, tt.value)
		if w.Code != tt.status {
			t.Errorf("%s: %s: got %d, want %d", tt.header, tt.value, w.Code, tt.status)
		}
		if accept := w.Header().Get("Accept-Encoding"); (accept == "identity") != (tt.value == "gzip") {
			t.Errorf("%s: %s: got Accept-Encoding %q", tt.header, tt.value, accept)
		}
	}
}

func TestAnswersComeInTheFormThatIsAskedFor(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	const hal, plain, problem = "application/hal+json", "application/json", "application/problem+json"
	for _, tt := range []struct{ accept, ok, bad string }{
		{"", plain, problem}, {"*/*", plain, problem}, {"application/*", plain, problem},
		{plain, plain, plain}, {hal, hal, problem}, {plain + ", " + problem, plain, problem},
		{hal + ", " + plain, hal, plain}, {hal + ", */*", hal, problem}, {hal + ";q=0.5, " + plain, plain, plain},
		{"*/*;q=0.9, " + hal, hal, problem}, {plain + ";q=0, */*", hal, problem}, {plain + ", */*;q=0", plain, plain},
		{plain + ";q=0.1, " + hal + ";q=0.5, " + plain, plain, plain},
		{hal + `;charset=utf-8;q=0.5, ` + plain, plain, plain}, // q need not come first
	} {
		if w := a.get("/v1/demo/roles", "Accept", tt.accept); w.Header().Get("Content-Type") != tt.ok {
			t.Errorf("%q: got %d %q, want %q", tt.accept, w.Code, w.Header().Get("Content-Type"), tt.ok)
		}
		if w := a.get("/v1/demo/users/none", "Accept", tt.accept); w.Header().Get("Content-Type") != tt.bad || w.Code != 404 {
			t.Errorf("%q: got %d %q, want 404 %q", tt.accept, w.Code, w.Header().Get("Content-Type"), tt.bad)
		}
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	const plain, bad = `Bearer`, `Bearer error="invalid_token"`
	var badBody string
	for _, tt := range []struct{ path, authorization, want string }{
		{"demo", "", plain}, {"demo", "Basic YTpi", plain},
		{"demo", "Bearer wrong", bad}, {"demo", "Bearer", bad}, {"demo", "Bearer " + otherToken, bad},
		{"unknown", "Bearer " + adminToken, bad}, {"ghost", "Bearer " + adminToken, bad},
	} {
		w := a.do(request("POST", "/v1/"+tt.path+"/users", body("ann", ""), "Authorization", tt.authorization))
		if got := w.Header().Get("WWW-Authenticate"); w.Code != 401 || got != tt.want {
			t.Errorf("%s %q: got %d %q, want 401 %q", tt.path, tt.authorization, w.Code, got, tt.want)
		}
		p := decode[problem](t, w)
		if (p.Details == "invalid_token") != (tt.want == bad) || p.ErrorCode != 401 || p.StatusCode != 401 || p.Message == "" {
			t.Errorf("%s %q: got %+v", tt.path, tt.authorization, p)
		}
		if tt.want == bad {
			if badBody == "" {
				badBody = w.Body.String()
			}
			if w.Body.String() != badBody {
				t.Errorf("%s %q: got %s, want %s", tt.path, tt.authorization, w.Body, badBody)
			}
		}
	}
	r := request("GET", "/v1/demo/roles", "")
	r.Header.Add("Authorization", "Bearer "+limitedToken)
	if w := a.do(r); w.Code != 401 {
		t.Errorf("two tokens: got %d, want 401", w.Code)
	}
	if w := a.get("/v1/demo/roles", "Authorization", "bearer "+adminToken); w.Code != 200 {
		t.Errorf("scheme in lower case: got %d", w.Code)
	}
}

func TestChallengeIsTheHosts(t *testing.T) {
	t.Parallel()
	for challenge, want := range map[string]string{
		`Bearer realm="x"`: `Bearer realm="x", error="invalid_token"`,
		`Basic realm="x"`:  `Basic realm="x"`,
	} {
		a := newAPI(t, func(s *setup) { s.http.Challenge = challenge })
		if got := a.get("/v1/demo/roles", "Authorization", "Bearer x").Header().Get("WWW-Authenticate"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestForbiddenAndConflictNameTheMembers(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	w := a.post(body("ann", `"roles":["editor"],"isLockedOut":true,"allowDashboardAccess":true`), "Authorization", "Bearer "+limitedToken)
	if got, want := codes(t, w), "/allowDashboardAccess forbidden, /isLockedOut forbidden, /roles forbidden"; w.Code != 403 || got != want {
		t.Errorf("got %d %s, want 403 %s", w.Code, got, want)
	}
	if w = a.post(body("ann", `"roles":[],"isLockedOut":false`), "Authorization", "Bearer "+limitedToken); w.Code != 201 {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	location := w.Header().Get("Location")
	if w = a.get(location, "Authorization", "Bearer "+limitedToken); w.Code != 200 {
		t.Errorf("own user: got %d", w.Code)
	}
	if w = a.get("/v1/demo/users/ann", "Authorization", "Bearer "+limitedToken); w.Code != 403 {
		t.Errorf("by name: got %d, want 403", w.Code)
	}
	w = a.post(body("ANN", ""))
	if got, want := codes(t, w), "/userName taken, /email taken"; w.Code != 409 || got != want {
		t.Errorf("got %d %s, want 409 %s", w.Code, got, want)
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	w := a.do(request("POST", "/v1/demo/roles", `{"name":"author","description":"writes","id":"x"}`))
	if w.Code != 201 {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	if r := a.get(w.Header().Get("Location")); r.Code != 200 || r.Body.String() != w.Body.String() {
		t.Errorf("got %d %s, want %s", r.Code, r.Body, w.Body)
	}
	for in, want := range map[string]string{
		`{}`:                           "/name required",
		`{"name":1,"description":2}`:   "/name invalid_type, /description invalid_type",
		`{"name":"x","description":2}`: "/description invalid_type",
		`{"name":[],"description":"` + strings.Repeat("d", 1025) + `"}`: "/name invalid_type, /description too_long",
		`{"name":"a","name":"b"}`:            "/name duplicate_member",
		`{"description":2}`:                  "/name required, /description invalid_type",
		`{"name":null,"description":2}`:      "/name required, /description invalid_type",
		`{"name":" x","description":2}`:      "/name surrounding_space, /description invalid_type",
		`{"name":2,"description":"\u0000"}`:  "/name invalid_type, /description invalid_characters",
		`{"name":"x","description":"d"}junk`: "invalid_json",
	} {
		if w := a.do(request("POST", "/v1/demo/roles", in)); w.Code != 400 || codes(t, w) != want {
			t.Errorf("%.40s: got %d %s, want 400 %s", in, w.Code, w.Body, want)
		}
	}
	if r := decode[struct{ Item []struct{} }](t, a.get("/v1/demo/roles")); len(r.Item) != 3 {
		t.Errorf("%d roles after refused requests, want 3", len(r.Item))
	}
	if w := a.do(request("POST", "/v1/demo/roles", `{"name":"author"}`)); w.Code != 409 || codes(t, w) != "/name taken" {
		t.Errorf("taken: got %d %s", w.Code, w.Body)
	}
	if w := a.do(request("POST", "/v1/demo/roles", `{"name":1}`, "Authorization", "Bearer "+limitedToken)); w.Code != 403 {
		t.Errorf("limited: got %d, want 403", w.Code)
	}
	for _, q := range []string{"limit=0", "limit=x", "limit=1001", "after=x"} {
		if w := a.get("/v1/demo/roles?" + q); w.Code != 400 {
			t.Errorf("%s: got %d, want 400", q, w.Code)
		}
	}
}

func TestNextLeadsThroughAllRolesAndToNoEmptyPage(t *testing.T) {
	t.Parallel()
	type link struct{ Rel, Href string }
	next := map[string]func(*httptest.ResponseRecorder) (roles int, next string){
		"application/json": func(w *httptest.ResponseRecorder) (roles int, next string) {
			p := decode[struct {
				Item  []struct{}
				Links []link
			}](t, w)
			for _, l := range p.Links {
				if l.Rel == "next" {
					next = l.Href
				}
			}
			return len(p.Item), next
		},
		"application/hal+json": func(w *httptest.ResponseRecorder) (roles int, next string) {
			p := decode[struct {
				Links struct{ Next link }       `json:"_links"`
				In    struct{ Item []struct{} } `json:"_embedded"`
			}](t, w)
			return len(p.In.Item), p.Links.Next.Href
		},
	}
	for _, tt := range []struct {
		roles int
		query string
		want  []int // roles on each page
	}{
		{4, "?limit=1", []int{1, 1, 1, 1}},
		{4, "?limit=2", []int{2, 2}},
		{4, "?limit=3", []int{3, 1}},
		{4, "?limit=4", []int{4}},
		{4, "?limit=5", []int{4}},
		{4, "", []int{4}},
		{11, "", []int{10, 1}},
		{11, "?rpp=4", []int{4, 4, 3}},
		{11, "?rpp=11&sort=-name", []int{11}},
		{11, "?page=2&rpp=5&searchQuery=role", []int{4}},
	} {
		a := newAPI(t, nil)
		for i := range tt.roles - 2 { // editor and viewer are there
			a.role(users.Role{Name: fmt.Sprint("role", i)})
		}
		for accept, read := range next {
			var got []int
			for at := "/v1/demo/roles" + tt.query; at != "" && len(got) <= len(tt.want); {
				var n int
				n, at = read(a.get(at, "Accept", accept))
				got = append(got, n)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%d roles, %q, %s: got pages of %v, want %v", tt.roles, tt.query, accept, got, tt.want)
			}
		}
	}
}

func TestRequestOfARoleWithFaultsNeverReachesTheStoresWrite(t *testing.T) {
	t.Parallel()
	wrote := 0
	a := newAPI(t, func(s *setup) {
		s.store = func(store users.Store) users.Store {
			return storefake.Around(store, func(_ context.Context, m storefake.Method, _ any, do func() error) error {
				if m == storefake.CreateRole {
					wrote++
				}
				return do()
			})
		}
	})
	for _, in := range []string{
		`{"name":1}`, `{"name":"x","description":1}`, `{"name":1,"description":1}`, `{"name":"x"}junk`, `{"name":"x","name":"y"}`, `{"name":"x",`,
		`{}`, `{"name":"x","description":"\u0000"}`,
	} {
		if w := a.do(request("POST", "/v1/demo/roles", in)); w.Code != 400 {
			t.Errorf("%s: got %d %s, want 400", in, w.Code, w.Body)
		}
	}
	if wrote != 0 {
		t.Errorf("the store was asked to write %d roles, want none", wrote)
	}
	if w := a.do(request("POST", "/v1/demo/roles", `{"name":"x"}`)); w.Code != 201 || wrote != 1 {
		t.Errorf("without faults: got %d and %d writes, want 201 and 1", w.Code, wrote)
	}
}

// forbiddenBody fails the test when it is read.
type forbiddenBody struct{ t *testing.T }

func (b forbiddenBody) Read([]byte) (int, error) { b.t.Error("the body was read"); return 0, io.EOF }
func (forbiddenBody) Close() error               { return nil }

func TestBodyIsNotReadForARefusalThatIsKnownBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testBodyIsNotRead)
}

func testBodyIsNotRead(t *testing.T) {
	gate, err := password.NewGate(&password.GateOptions{Slots: 1, Queue: 1})
	if err != nil {
		t.Fatal(err)
	}
	a := newAPI(t, func(s *setup) {
		s.service.Gate = gate
		tokens := s.authenticate
		s.authenticate = func(r *http.Request, apiKey string) (users.Caller, error) {
			if r.Header.Get("Authorization") == "Host" {
				return users.Caller{ID: "x", APIKey: "other", Permissions: users.AllPermissions}, nil
			}
			return tokens(r, apiKey)
		}
	})
	check := func(status int, r *http.Request) {
		t.Helper()
		r.Body = forbiddenBody{t}
		if w := a.do(r); w.Code != status {
			t.Errorf("%s %s: got %d, want %d", r.Method, r.URL, w.Code, status)
		} else if status == 503 && w.Header().Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	check(401, request("POST", "/v1/demo/users", "x", "Authorization", ""))
	check(401, request("POST", "/v1/demo/users", "x", "Authorization", "Host"))
	check(415, request("POST", "/v1/demo/users", "x", "Content-Type", "text/plain"))
	check(406, request("POST", "/v1/demo/users", "x", "Accept", "text/plain"))
	check(413, request("POST", "/v1/demo/users", strings.Repeat("x", httpapi.MaxBody+1)))

	defer fill(t, gate, "demo")()
	check(503, request("POST", "/v1/demo/users", "x"))
}

// fill makes the gate, of one slot and a queue of one, full until the function
// that it returns is called. It is for a synctest bubble.
func fill(t *testing.T, gate *password.Gate, share string) (empty func()) {
	t.Helper()
	hold, done := make(chan struct{}), make(chan error, 2)
	for range 2 {
		go func() {
			done <- gate.Do(t.Context(), share, 0, func() error { <-hold; return nil })
		}()
	}
	synctest.Wait() // one holds the slot, one waits
	return func() {
		close(hold)
		if err := errors.Join(<-done, <-done); err != nil {
			t.Error(err)
		}
	}
}

func TestFullHashingQueueShowsOnlyBehindAGoodToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testFullHashingQueue)
}

func testFullHashingQueue(t *testing.T) {
	gate, err := password.NewGate(&password.GateOptions{Slots: 1, Queue: 1})
	if err != nil {
		t.Fatal(err)
	}
	a := newAPI(t, func(s *setup) { s.service.Gate = gate })
	token := a.token(a.user(t.Context(), "ann", "").ID)
	good := `{"passwordRecoveryToken":"` + token + `","newPassword":"` + goodPassword + `"}`
	put := func(apiKey, body string, headers ...string) *httptest.ResponseRecorder {
		return a.do(request("PUT", "/v1/"+apiKey+"/recover-password", body, append(headers, "Authorization", "")...))
	}
	without := func() (answers []string) {
		for _, w := range []*httptest.ResponseRecorder{
			put("demo", strings.Replace(good, token, strings.Repeat("x", len(token)), 1)),
			put("demo", strings.Replace(good, token, "junk", 1)),
			put("other", good),
			put("unknown", good),
			put("demo", `{}`),
			put("demo", `{`),
			put("demo", ``),
			put("demo", good, "Content-Type", "text/plain"),
			put("demo", good, "Accept", "text/plain"),
			put("demo", strings.Repeat(" ", httpapi.MaxBody+1)),
			a.do(request("POST", "/v1/demo/recover-password", `{"userName":"ann"}`, "Authorization", "")),
			a.post(body("bob", ""), "Authorization", ""),
			a.post(body("bob", ""), "Authorization", "Bearer "+otherToken),
		} {
			answers = append(answers, fmt.Sprint(w.Code, w.Header(), w.Body))
		}
		return answers
	}

	idle := without()
	empty := fill(t, gate, "demo\x00password")
	for i, got := range without() {
		if got != idle[i] {
			t.Errorf("request %d: got %s while the queue is full, want %s", i, got, idle[i])
		}
	}
	if w := put("demo", good); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("good token: got %d %s, want 503 with Retry-After", w.Code, w.Body)
	}
	empty()
	if w := put("demo", good); w.Code != 200 {
		t.Errorf("the same token again: got %d %s, want 200", w.Code, w.Body)
	}
}

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	fits := body("ann", "")
	fits += strings.Repeat(" ", httpapi.MaxBody-len(fits))
	named := body("bob", "")
	named += strings.Repeat(" ", httpapi.MaxBody-len(named))
	for in, want := range map[string]int{fits: 201, fits + " ": 413, named: 201, named + " ": 413} {
		r := request("POST", "/v1/demo/users", in)
		if strings.HasPrefix(in, fits) {
			r.ContentLength = -1 // chunked
		}
		if w := a.do(r); w.Code != want {
			t.Errorf("%d bytes, Content-Length %d: got %d, want %d", len(in), r.ContentLength, w.Code, want)
		}
	}
}

// cutBody is a client that hangs up, which ends the request's context as well.
type cutBody struct{ hangUp func() }

func (b cutBody) Read([]byte) (int, error) { b.hangUp(); return 0, io.ErrUnexpectedEOF }
func (cutBody) Close() error               { return nil }

func TestBodyThatEndsTooSoonIsTheClientsFault(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	a := newAPI(t, func(s *setup) { s.http.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	for _, target := range []string{
		"PUT /v1/demo/users/ann", "PUT /v1/demo/users/ann/change-password", "PUT /v1/demo/roles/x",
		"POST /v1/demo/users", "POST /v1/demo/roles", "POST /v1/demo/recover-password", "PUT /v1/demo/recover-password",
	} {
		method, path, _ := strings.Cut(target, " ")
		ctx, cancel := context.WithCancel(t.Context())
		r := request(method, path, "x").WithContext(ctx)
		r.Body = cutBody{cancel}
		if w := a.do(r); w.Code != 400 || codes(t, w) != "unreadable_body" {
			t.Errorf("%s: got %d %s, want 400 unreadable_body", target, w.Code, w.Body)
		}
	}
	if log.Len() > 0 {
		t.Errorf("in the log: %s", log.String())
	}
}

func TestFailuresAreClassified(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err    error
		status int
		retry  string
	}{
		{fmt.Errorf("db: %w", users.ErrUnavailable), 503, "5"},
		{users.ErrIdempotencyKeyUsed, 503, "1"},
		{users.ErrRetryTx, 503, "1"},
		{users.ErrStale, 503, "1"},
		{fmt.Errorf("%w: %w", users.ErrOverloaded, &password.OverloadedError{RetryAfter: 1500 * time.Millisecond}), 503, "2"},
		{context.DeadlineExceeded, 503, "5"},
		{errors.New("secret cause"), 500, ""},
	} {
		var log bytes.Buffer
		a := newAPI(t, func(s *setup) {
			s.http.Logger = logger(&log)
			failing(tt.err, storefake.CreateUser)(s)
		})
		w := a.post(body("ann", ""))
		if w.Code != tt.status || w.Header().Get("Retry-After") != tt.retry {
			t.Errorf("%v: got %d, Retry-After %q, want %d, %q", tt.err, w.Code, w.Header().Get("Retry-After"), tt.status, tt.retry)
		}
		if where := `"method":"POST","route":"/{apiKey}/users","apiKey":"demo"`; !strings.Contains(log.String(), where) {
			t.Errorf("%v: %s is missing in the log: %s", tt.err, where, &log)
		}
		if !strings.Contains(log.String(), tt.err.Error()) || strings.Contains(w.Body.String(), "secret cause") || strings.Contains(log.String(), goodPassword) {
			t.Errorf("%v: got %s, log %s", tt.err, w.Body, log.String())
		}
		if p := decode[problem](t, w); (p.Instance != "") != (tt.status == 500) || !strings.Contains(log.String(), p.Instance) {
			t.Errorf("%v: instance %q, log %s", tt.err, p.Instance, log.String())
		}
	}
}

func TestAuthenticatorFailures(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]int{
		httpapi.ErrNoCredentials: 401, httpapi.ErrInvalidToken: 401, users.ErrUnauthenticated: 401, users.ErrUnknownApplication: 401,
		users.ErrUnavailable: 503, context.DeadlineExceeded: 503, context.Canceled: 503,
		users.ErrNotFound: 500, users.ErrForbidden: 500, users.ErrValidation: 500, users.ErrConflict: 500, users.ErrBadToken: 500,
		users.ErrUnsupported: 500, users.ErrOverloaded: 500, users.ErrIdempotencyMismatch: 500, errors.New("x"): 500,
		users.ErrTooManyRequests: 500, &users.TooManyRequestsError{}: 429,
		&users.ForbiddenError{Detail: "not from there"}: 403, &users.ValidationError{Fields: []users.FieldError{{Code: "x", Detail: "not from there"}}}: 400,
	} {
		a := newAPI(t, authenticating(fmt.Errorf("host: %w", err)))
		w := a.get("/v1/demo/roles")
		if w.Code != want {
			t.Errorf("%v: got %d, want %d", err, w.Code, want)
		}
		if says := strings.Contains(w.Body.String(), "not from there"); says != (want == 400 || want == 403) {
			t.Errorf("%v: got %s", err, w.Body)
		}
	}
}

// A host that forgets the APIKey learns it from its log; one that returns nobody
// refuses.
func TestCallerWithoutAnAPIKeyIsTheHostsMistake(t *testing.T) {
	t.Parallel()
	for want, c := range map[int]users.Caller{
		500: {ID: "ann", Permissions: users.AllPermissions},
		401: {},
	} {
		var log bytes.Buffer
		a := newAPI(t, func(s *setup) {
			s.authenticate = func(*http.Request, string) (users.Caller, error) { return c, nil }
			s.http.Logger = logger(&log)
		})
		w := a.get("/v1/demo/roles")
		if w.Code != want || strings.Contains(log.String(), "APIKey") != (want == 500) {
			t.Errorf("%+v: got %d, log %s, want %d", c, w.Code, log.String(), want)
		}
	}
}

type hasherFunc func(pw []byte) (password.Hash, error)

func (f hasherFunc) Hash(pw []byte) (password.Hash, error)              { return f(pw) }
func (hasherFunc) Verify(password.Hash, []byte) (password.Match, error) { return password.Match{}, nil }
func (hasherFunc) Memory(password.Hash) int64                           { return 0 }
func (hasherFunc) Check(password.Hash) error                            { return nil }

func TestPanicsOfHostCodeAreA500(t *testing.T) {
	t.Parallel()
	var nilMap map[string]int
	boom := func() { nilMap["x"]++ }
	for name, change := range map[string]func(*setup){
		"Authenticator": func(s *setup) {
			s.authenticate = func(*http.Request, string) (users.Caller, error) { boom(); return users.Caller{}, nil }
		},
		"Hasher": func(s *setup) {
			s.service.Hasher = hasherFunc(func([]byte) (password.Hash, error) { boom(); return password.Hash{}, nil })
		},
		"Now":   func(s *setup) { s.service.Now = func() time.Time { boom(); return time.Time{} } },
		"NewID": func(s *setup) { s.service.NewID = func() (string, error) { boom(); return "", nil } },
		"Store": creating(func(context.Context, *users.NewUser, func() error) error { boom(); return nil }),
	} {
		var log bytes.Buffer
		a := newAPI(t, func(s *setup) { change(s); s.http.Logger = logger(&log) })
		w := a.post(body("ann", ""))
		p := decode[problem](t, w)
		if w.Code != 500 || p.Instance == "" || !strings.Contains(log.String(), p.Instance) || !strings.Contains(log.String(), "nil map") {
			t.Errorf("%s: got %d %s, log %s", name, w.Code, w.Body, log.String())
		}
		if all := w.Body.String() + log.String(); strings.Contains(all, goodPassword) || strings.Contains(all, adminToken) {
			t.Errorf("%s: a secret came out: %s", name, all)
		}
	}
}

func TestAbortedHandlerStaysAborted(t *testing.T) {
	t.Parallel()
	a := newAPI(t, func(s *setup) {
		s.authenticate = func(*http.Request, string) (users.Caller, error) { panic(http.ErrAbortHandler) }
	})
	defer func() {
		if got := recover(); got != http.ErrAbortHandler {
			t.Errorf("got %v, want http.ErrAbortHandler", got)
		}
	}()
	a.get("/v1/demo/roles")
}

// living loses every record whose context has ended.
type living struct{ slog.Handler }

func (l living) Handle(ctx context.Context, r slog.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return l.Handler.Handle(ctx, r)
}

func TestRequestEndsAtItsDeadlineOrWithItsClient(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ timeout, client, want time.Duration }{
		{0, time.Hour, 30 * time.Second},
		{3 * time.Second, time.Hour, 3 * time.Second},
		{3 * time.Second, 2 * time.Second, 2 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			a := newAPI(t, func(s *setup) {
				s.http.Timeout = tt.timeout
				s.http.Logger = slog.New(living{slog.NewTextHandler(&log, nil)})
				tokens := s.authenticate
				s.authenticate = func(r *http.Request, apiKey string) (users.Caller, error) {
					if end, ok := r.Context().Deadline(); !ok || time.Until(end) != min(tt.client, cmp.Or(tt.timeout, httpapi.DefaultTimeout)) {
						t.Errorf("the Authenticator got the deadline %v", end)
					}
					return tokens(r, apiKey)
				}
				creating(func(ctx context.Context, _ *users.NewUser, _ func() error) error {
					<-ctx.Done()
					return ctx.Err()
				})(s)
			})
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), tt.client)
			defer cancel()
			w := a.do(request("POST", "/v1/demo/users", body("ann", "")).WithContext(ctx))
			if took := time.Since(start); w.Code != 503 || took != tt.want {
				t.Errorf("got %d after %v, want 503 after %v", w.Code, took, tt.want)
			}
			if log.Len() == 0 {
				t.Error("nothing is in the log")
			}
		})
	}
}

// breaking is a ResponseWriter that panics once the answer has begun.
type breaking struct{ *httptest.ResponseRecorder }

func (breaking) Write([]byte) (int, error) { panic("gone") }

func TestPanicAfterTheAnswerBeganCutsTheConnection(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	a := newAPI(t, func(s *setup) { s.http.Logger = logger(&log) })
	defer func() {
		if got := recover(); got != http.ErrAbortHandler || !strings.Contains(log.String(), "breaking.Write") {
			t.Errorf("got %v, log %s, want http.ErrAbortHandler and the place of the panic", got, &log)
		}
	}()
	a.ServeHTTP(breaking{httptest.NewRecorder()}, request("GET", "/v1/demo/roles", ""))
}

func TestInstancesAreUnguessableAndDiffer(t *testing.T) {
	t.Parallel()
	a := newAPI(t, authenticating(io.EOF))
	form := regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	for range 10 {
		id := decode[problem](t, a.get("/v1/demo/roles")).Instance
		if !form.MatchString(id) || seen[id] {
			t.Errorf("got %q, want a new random UUID", id)
		}
		seen[id] = true
	}
}

func TestPasswordRecovery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testPasswordRecovery)
}

func testPasswordRecovery(t *testing.T) {
	a := newAPI(t, nil)
	w := a.post(body("ann", ""))
	id := decode[struct{ ID string }](t, w).ID
	put := func(key, token, pw string) *httptest.ResponseRecorder {
		return a.do(request("PUT", "/v1/"+key+"/recover-password", `{"passwordRecoveryToken":"`+token+`","newPassword":"`+pw+`"}`, "Authorization", ""))
	}
	token := a.token(id)
	bad := put("demo", "junk", goodPassword).Body.String()
	if w := put("demo", token, "short"); w.Code != 400 || codes(t, w) != "/newPassword too_short" {
		t.Errorf("policy: got %d %s", w.Code, w.Body)
	}
	if w := put("other", token, goodPassword); w.Code != 400 || w.Body.String() != bad {
		t.Errorf("other application: got %d %s, want %s", w.Code, w.Body, bad)
	}
	if w := put("demo", token, goodPassword+"1"); w.Code != 200 || w.Body.String() != "{}" {
		t.Errorf("good: got %d %s", w.Code, w.Body)
	}
	for _, key := range []string{"demo", "unknown"} {
		if w := put(key, token, goodPassword); w.Code != 400 || w.Body.String() != bad {
			t.Errorf("used, in %s: got %d %s, want %s", key, w.Code, w.Body, bad)
		}
	}
	if w := put("demo", "", ""); codes(t, w) != "/passwordRecoveryToken required, /newPassword required" {
		t.Errorf("empty: got %d %s", w.Code, w.Body)
	}
	for _, login := range []string{"ann", "ann@example.com", "nobody", "\\u0001"} {
		start := time.Now()
		w := a.do(request("POST", "/v1/demo/recover-password", `{"userName":"`+login+`"}`, "Authorization", ""))
		if took := time.Since(start); w.Code != 201 || w.Body.String() != "{}" || took != 250*time.Millisecond {
			t.Errorf("%s: got %d %s after %v, want 201 {} after 250ms", login, w.Code, w.Body, took)
		}
	}
	if w := a.do(request("POST", "/v1/demo/recover-password", `{"userName":1}`)); w.Code != 400 || codes(t, w) != "/userName invalid_type" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w := a.do(request("POST", "/v1/demo/recover-password", `{"userName":"ann","username":"bob"}`)); w.Code != 400 || codes(t, w) != "/userName duplicate_member" {
		t.Errorf("both spellings: got %d %s", w.Code, w.Body)
	}
	if w := a.do(request("POST", "/v1/demo/recover-password", `{"username":"ann"}`)); w.Code != 201 {
		t.Errorf("username: got %d %s", w.Code, w.Body)
	}
}

func TestNewRefusesBadOptionsByName(t *testing.T) {
	t.Parallel()
	svc, auth := newService(t, memstore.New(), nil), httpapi.BearerTokens()
	many := make([]string, httpapi.MaxExtraMembers+1)
	for i := range many {
		many[i] = fmt.Sprint("m", i)
	}
	for _, tt := range []struct {
		want string
		o    httpapi.Options
	}{
		{"", httpapi.Options{}},
		{"", httpapi.Options{Prefix: "/api/v1.0", BaseURL: "https://x:8443/y", ExtraMembers: many[1:]}},
		{"", httpapi.Options{ExtraMembers: []string{"USERNAME", "a/b~c", "é", "description", " "}}},
		{"Timeout", httpapi.Options{Timeout: -1}},
		{"", httpapi.Options{Challenge: " ~"}}, // the ends of printing ASCII
		{"Challenge", httpapi.Options{Challenge: "a\nb"}},
		{"Challenge", httpapi.Options{Challenge: "a\x7f"}},
		{"ExtraMembers", httpapi.Options{ExtraMembers: many}},
		{"ExtraMembers", httpapi.Options{ExtraMembers: []string{"a", ""}}},
		{"ExtraMembers", httpapi.Options{ExtraMembers: []string{"a", "b", "a"}}},
		{"ExtraMembers", httpapi.Options{ExtraMembers: []string{"\xff"}}},
		{"ExtraMembers", httpapi.Options{ExtraMembers: []string{"username"}}},
	} {
		_, err := httpapi.New(svc, auth, &tt.o)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: got %v, want an error that names %q", tt.o, err, tt.want)
		}
	}
	for _, m := range users.CreateMembers() {
		if _, err := httpapi.New(svc, auth, &httpapi.Options{ExtraMembers: []string{m}}); err == nil {
			t.Errorf("ExtraMembers %q: got no error", m)
		}
	}
	for _, p := range []string{"v1", "/", "/v1/", "//v1", "/..", "/a b", "/{x}", "/%41"} {
		if _, err := httpapi.New(svc, auth, &httpapi.Options{Prefix: p}); err == nil || !strings.Contains(err.Error(), "Prefix") {
			t.Errorf("Prefix %q: got %v", p, err)
		}
	}
	for _, u := range []string{"example.com", "ftp://x", "http://", "https://u:p@x", "https://x?", "https://x#", "https://x/", "https://x?a=b", ":"} {
		if _, err := httpapi.New(svc, auth, &httpapi.Options{BaseURL: u}); err == nil || !strings.Contains(err.Error(), "BaseURL") {
			t.Errorf("BaseURL %q: got %v", u, err)
		}
	}
}

func TestNewNeedsAServiceAndAnAuthenticatorAndNoOptions(t *testing.T) {
	t.Parallel()
	svc := newService(t, memstore.New(), nil)
	if _, err := httpapi.New(nil, httpapi.BearerTokens(), nil); err == nil {
		t.Error("without a Service: got no error")
	}
	if _, err := httpapi.New(svc, nil, nil); err == nil {
		t.Error("without an Authenticator: got no error")
	}
	h, err := httpapi.New(svc, httpapi.BearerTokens(), nil)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/demo/roles", nil))
	if w.Code != 401 || w.Header().Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("with the defaults: got %d %v, want 401 with the challenge Bearer", w.Code, w.Header())
	}
}

func TestBearerTokensPrintNoSecret(t *testing.T) {
	t.Parallel()
	token := bearer(secretToken, users.Caller{ID: "c"})
	var log bytes.Buffer
	logger(&log).Info("config", "token", token, "tokens", []httpapi.BearerToken{token})
	for _, text := range []string{fmt.Sprintf("%v %+v %#v", token, &token, []any{token}), log.String()} {
		if form, found := leaktest.Find(text, secretToken); found {
			t.Errorf("the token is found (%s) in %s", form, text)
		}
	}
}

func TestEmptyBearerTokenMatchesNothing(t *testing.T) {
	t.Parallel()
	a := newAPI(t, func(s *setup) {
		s.authenticate = httpapi.BearerTokens(httpapi.BearerToken{Caller: users.Caller{APIKey: "demo", Permissions: users.AllPermissions}})
	})
	for _, v := range []string{"Bearer ", "Bearer", "Bearer  ", ""} {
		r := request("GET", "/v1/demo/roles", "")
		r.Header["Authorization"] = []string{v}
		if w := a.do(r); w.Code != 401 {
			t.Errorf("%q: got %d, want 401", v, w.Code)
		}
	}
}
