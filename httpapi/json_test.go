package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
)

// badBodies are requests that are not one strict JSON object; want is the
// pointer and code of the one error.
var badBodies = []struct{ name, body, want string }{
	{"empty", ``, `invalid_json`},
	{"blank", " \n", `invalid_json`},
	{"null", `null`, `invalid_json`},
	{"array", `[{}]`, `invalid_json`},
	{"string", `"` + goodPassword + `"`, `invalid_json`},
	{"number", `1`, `invalid_json`},
	{"byte order mark alone", "\ufeff", `invalid_json`},
	{"byte order mark twice", "\ufeff\ufeff" + body("ann", ""), `invalid_json`},
	{"byte order mark after a blank", " \ufeff" + body("ann", ""), `invalid_json`},
	{"byte order mark at the end", body("ann", "") + "\ufeff", `invalid_json`},
	{"byte order mark and half a literal", "\ufeff" + `{"isApproved":tru}`, `/isApproved invalid_json`},
	{"half a byte order mark", "\xef\xbb" + body("ann", ""), `invalid_json`},
	{"UTF-16", "\xff\xfe{\x00}\x00", `invalid_json`},
	{"cut", `{"password":"` + goodPassword, `/password invalid_json`},
	{"trailing object", body("ann", "") + `{"x":1}`, `invalid_json`},
	{"trailing text", body("ann", "") + goodPassword, `invalid_json`},
	{"trailing comma", `{"userName":"ann",}`, `invalid_json`},
	{"comment", `{"userName":"ann"/**/}`, `invalid_json`},
	{"duplicate", `{"userName":"ann","userName":"bob"}`, `/userName duplicate_member`},
	{"duplicate by escape", `{"password":"` + goodPassword + `","p\u0061ssword":"x"}`, `/password duplicate_member`},
	{"duplicate unknown", `{"` + goodPassword + `":1,"` + goodPassword + `":2}`, `duplicate_member`},
	{"duplicate in a role", `{"roles":[{"name":"a","name":"b"}]}`, `/roles duplicate_member`},
	{"duplicate in settings", `{"dashboardSettings":{"a":1,"a":2}}`, `/dashboardSettings duplicate_member`},
	{"invalid UTF-8", "{\"password\":\"" + goodPassword + "\xff\"}", `/password invalid_json`},
	{"invalid UTF-8 in a name", "{\"" + goodPassword + "\xff\":1}", `invalid_json`},
	{"lone surrogate in a password", `{"password":"` + goodPassword + `\ud800"}`, `/password invalid_json`},
	{"lone low surrogate", `{"password":"` + goodPassword + `\udc00x"}`, `/password invalid_json`},
	{"control character", "{\"password\":\"" + goodPassword + "\x01\"}", `/password invalid_json`},
	{"single quotes", `{'password':'` + goodPassword + `'}`, `invalid_json`},
	{"depth bomb in an unknown member", `{"x":` + strings.Repeat("[", 100000), `too_deep`},
	{"depth bomb in settings", `{"dashboardSettings":` + strings.Repeat(`{"a":`, 20000), `/dashboardSettings too_deep`},
	{"depth bomb in a role", `{"roles":[` + strings.Repeat("[", 50000), `/roles too_deep`},
	{"depth bomb in a string member", `{"userName":` + strings.Repeat("[", 50000), `/userName too_deep`},
}

func TestWhatIsNotOneStrictObjectIsRefusedWithoutAnEcho(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	for _, tt := range badBodies {
		r := request("POST", "/v1/demo/users", tt.body, "Content-Type", "application/json")
		w := a.do(r)
		if got := codes(t, w); w.Code != 400 || got != tt.want {
			t.Errorf("%s: got %d %q, want 400 %q", tt.name, w.Code, got, tt.want)
		}
		if strings.Contains(w.Body.String(), goodPassword) || w.Body.Len() > 2000 {
			t.Errorf("%s: the answer quotes the request: %s", tt.name, w.Body)
		}
	}
}

func TestFaultOfTheBodyIsPlacedByItsByte(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	for _, tt := range []struct{ body, want string }{
		{`{"name":"author"} x`, "it ends at byte 17"},
		{`{"name":"author",}`, "at byte 16"},
		{`{"name":"author","name":"b"}`, "at byte 17"},
	} {
		w := a.do(request("POST", "/v1/demo/roles", tt.body))
		if errs := decode[problem](t, w).Errors; len(errs) != 1 || !strings.HasSuffix(errs[0].Detail, tt.want) {
			t.Errorf("%s: got %d %s, want a detail that ends in %q", tt.body, w.Code, w.Body, tt.want)
		}
	}
}

func TestByteOrderMarkBeforeABodyIsSkipped(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	const settings = `{"theme": "dark"}`
	w := a.post("\ufeff" + body("ann", `"dashboardSettings": `+settings))
	if w.Code != 201 {
		t.Fatalf("got %d %s, want 201", w.Code, w.Body)
	}
	u, err := a.host.User(t.Context(), "demo", "ann")
	if err != nil || string(u.DashboardSettings) != settings {
		t.Errorf("got settings %s, %v, want %s", u.DashboardSettings, err, settings)
	}
	if w := a.do(request("POST", "/v1/demo/roles", "\ufeff"+`{"name":"author"}`)); w.Code != 201 {
		t.Errorf("a role: got %d %s, want 201", w.Code, w.Body)
	}
	if w := a.post("\ufeff"); !strings.Contains(w.Body.String(), "the body is empty") {
		t.Errorf("nothing else: got %s", w.Body)
	}
}

func TestCallerWithoutPermissionIsRefusedBeforeFaults(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	for _, tt := range badBodies {
		w := a.do(request("POST", "/v1/demo/users", tt.body, "Content-Type", "application/json", "Authorization", "Bearer "+nobodyToken))
		if w.Code != 403 {
			t.Errorf("%s: got %d, want 403", tt.name, w.Code)
		}
	}
	// A member that is forbidden does not hide a fault.
	w := a.post(body("ann", `"isLockedOut":true,"name":1`), "Authorization", "Bearer "+limitedToken)
	if got := codes(t, w); w.Code != 400 || got != "/name invalid_type" {
		t.Errorf("got %d %s, want 400 /name invalid_type", w.Code, got)
	}
}

func TestHookThatNeedsTheMembersDoesNotHideBrokenJSON(t *testing.T) {
	t.Parallel()
	a := newAPI(t, func(s *setup) {
		s.service.BeforeCreate = func(_ context.Context, _ users.Application, p *users.CreateUserParams) error {
			if p.UserName == "" {
				return errors.New("who?")
			}
			return nil
		}
	})
	for in, want := range map[string]int{`{"userName":`: 400, `{"userName":1}`: 500, `{}`: 500} {
		if w := a.post(in); w.Code != want {
			t.Errorf("%s: got %d %s, want %d", in, w.Code, w.Body, want)
		}
	}
}

func FuzzCreateUser(f *testing.F) {
	for _, tt := range badBodies {
		if len(tt.body) < 1000 {
			f.Add(tt.body)
		}
	}
	for _, value := range brokenValues {
		f.Add(`{"isApproved":` + value + `}`)
	}
	f.Add(body("ann", `"roles":["editor",{"name":"viewer","id":null}],"dashboardSettings":{"a":[1]},"creationDate":"2020-01-02"`))
	f.Add(body("ann", `"extra":{"a":[1]},"a\\/b~c":null`))
	f.Add(`{"creationDate":"2020-01-02T03:04:05+01:00","isApproved":null,"username":"x"}`)
	f.Fuzz(func(t *testing.T, in string) {
		a := newAPI(t, func(s *setup) { s.http.ExtraMembers = []string{"extra", "a/b~c"} })
		w := a.do(request("POST", "/v1/demo/users", in, "Content-Type", "application/json"))
		switch w.Code {
		case 201:
			location := w.Header().Get("Location")
			if r := a.get(location); r.Code != 200 || r.Body.String() != w.Body.String() {
				t.Errorf("GET %s: got %d %s, want %s", location, r.Code, r.Body, w.Body)
			}
		case 400:
			if codes(t, w) == "" {
				t.Errorf("no reason: %s", w.Body)
			}
		case 413:
		default:
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	})
}

// everyBody is every literal in every member of every request.
func everyBody(add func(body string)) {
	names := map[string]bool{"extra": true, "x": true}
	for _, members := range httpapi.KnownMembers() {
		for _, name := range members {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		for _, value := range slices.Concat(brokenValues, wholeValues) {
			add(`{"` + name + `":` + value + `}`)
		}
	}
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, n := range []int{httpapi.MaxDepth - 2, httpapi.MaxDepth - 1, httpapi.MaxDepth, httpapi.MaxDepth + 1} {
		for _, name := range []string{"x", "dashboardSettings", "roles", "embed", "name", "isApproved", "extra"} {
			add(`{"` + name + `":` + deep(n) + `}`)
			add(`{"` + name + `":[` + deep(n-1) + `]}`)
			add(`{"` + name + `":{"a":` + deep(n-1) + `}}`)
			add(`{"` + name + `":[{"name":` + deep(n-2) + `}]}`)
		}
	}
}

var wholeValues = []string{
	"null", "true", "false", "0", "-0", "1.5e-400", "1e999", `""`, `"a"`, `"\u00e9\ud83d\ude00"`, `"\u0000"`, `"\"\\\/\b\f\n\r\t"`, `"roles"`, `"0"`,
	`"0000-0000"`, `"-"`, `"0001-01-01T00:00:00+02:00"`, `"2016-12-31T23:59:60Z"`, `"2020-01-02T03:04:05,5+01"`, `"9999-12-31T23:59:59-0100"`,
	"[]", "{}", `["roles",1,null,["x"],{"name":1,"id":null},{"id":"00"},{"name":"a"},"b"]`, `{"a":[1,{"b":"c"}]}`, "[{\"name\":\"\u00e9\"} ]", ` { } `,
	`["roles","roles"]`, `[{"name":"a","na\u006de":"b"}]`, `{"a":1,"\u0061":2}`, "\t[\r\n1 , 2 ]",
}

// Both readers accept the same bodies, read the same of them and find the same
// wrong with the others.
func FuzzReading(f *testing.F) {
	for _, tt := range badBodies {
		f.Add(tt.body[:min(len(tt.body), 2000)])
	}
	everyBody(func(body string) { f.Add(body) })
	f.Add(`{"userName":"a","username":"b"}`)
	f.Add(`{"userName":1,"username":"b"}`)
	f.Add(`{"userName":"","username":"b"}`)
	f.Add(`{"roles":["a","b"],"embed":["x","roles",2],"extra":[ 1 ]}`)
	f.Fuzz(func(t *testing.T, in string) {
		for operation := range httpapi.KnownMembers() {
			got, found := httpapi.ReadBody(operation, in, "extra")
			want, faults, broken := strictly(operation, in, "extra")
			if broken != nil {
				if len(found) != 1 || !slices.Contains([]string{"invalid_json", "duplicate_member", "too_deep"}, found[0].Code) {
					t.Errorf("%s: %q: got %v, want broken for its %v", operation, in, found, broken)
				}
				continue
			}

			var codes []string
			for _, fault := range found {
				codes = append(codes, fault.Pointer+" "+fault.Code)
			}
			if slices.Sort(codes); !slices.Equal(codes, faults) {
				t.Errorf("%s: %q: got %q, want %q", operation, in, codes, faults)
			}
			if diff := differs(got, want); diff != "" && len(faults) == 0 {
				t.Errorf("%s: %q: %s", operation, in, diff)
			}
		}
	})
}

func FuzzDate(f *testing.F) {
	for _, in := range []string{
		"2020-01-02T03:04:05.123456789+01:00", "2020-01-02t03:04z", "2020-02-29", "2016-12-31T23:59:60Z", "2016-12-31T15:59:60,5-0800", "0001-01-01T00:00:00-12",
		"0001-01-01T00:53:28+00:53", "0000-12-31T19:03:58-04:56", "9999-12-31T23:59:60", "2021-02-29T00:00:00+24:00", "2020-01-02T03:04+1", "",
	} {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		quoted, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		got, found := httpapi.ReadBody("createUser", `{"creationDate":`+string(quoted)+`}`)
		want, code := strictDate(strings.ToValidUTF8(in, "\ufffd"))
		switch {
		case code == "" && (len(found) > 0 || got.User.CreationDate != want):
			t.Errorf("%q: got %v, %v, want %v", in, got.User.CreationDate, found, want)
		case code != "" && (len(found) != 1 || found[0].Code != code):
			t.Errorf("%q: got %v, %v, want %s", in, got.User.CreationDate, found, code)
		}
	})
}

// The bytes of an object that a client sends are the bytes that the store gets.
func FuzzDashboardSettings(f *testing.F) {
	for _, in := range append(wholeValues, `{"a":1e400,"b":"\u0041","c":" "}`, `{},"x":{}`, `{"a":{"b":[{},[]]}}`, "{}\n", "{\"\u2028\":\"\\ud83d\\ude00\"}") {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, settings string) {
		var kept []byte
		a := newAPI(t, creating(func(_ context.Context, n *users.NewUser, do func() error) error {
			kept = n.DashboardSettings
			return do()
		}))
		in := body("ann", `"dashboardSettings":`+settings)
		w := a.post(in)
		all, err := strictObject(in)
		switch {
		case w.Code == 400:
		case w.Code != 201 || err != nil:
			t.Errorf("%q: got %d %s; strictly: %v", settings, w.Code, w.Body, err)
		case string(all["dashboardSettings"]) == "null":
			if kept != nil {
				t.Errorf("%q: the store got %q, want none", settings, kept)
			}
		case string(kept) != string(all["dashboardSettings"]):
			t.Errorf("%q: the store got %q", settings, kept)
		}
	})
}

// No path, query or header makes the server fail.
func FuzzRequest(f *testing.F) {
	f.Add("/v1/demo/roles?limit=1&after=00000000000000000000000000", "*/*;q=0.1, application/hal+json", "Bearer "+adminToken, "application/json;charset=utf8", "k")
	f.Add("/v1/demo/users/%41nn?embed=roles,x&embed=%zz;", "application/json;q=NaN", "Bearer", "", "")
	f.Add("/v1/demo/users/\u202e%c3%28/../%2e%2e", ",;=/", "Basic x, Bearer y", ";", "\x7f")
	f.Add("/v1/%64emo/recover-password/", "application/*", "", "application/json", "é")
	f.Fuzz(func(t *testing.T, target, accept, authorization, contentType, key string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		a := newAPI(t, nil)
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "OPTIONS"} {
			r := request(method, "/", "{}")
			r.URL = u
			r.Header = http.Header{"Accept": {accept}, "Authorization": {authorization}, "Content-Type": {contentType}, "Idempotency-Key": {key}}
			w := httptest.NewRecorder()
			if a.ServeHTTP(w, r); w.Code >= 500 {
				t.Errorf("%s %q: got %d %s", method, target, w.Code, w.Body)
			}
		}
	})
}
