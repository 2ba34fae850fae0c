package httpapi_test

import (
	"context"
	"errors"
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
	f.Add(body("ann", `"roles":["editor",{"name":"viewer","id":null}],"dashboardSettings":{"a":[1]},"creationDate":"2020-01-02"`))
	f.Add(body("ann", `"extra":{"a":[1]},"a\\/b~c":null`))
	f.Add(`{"creationDate":"2020-01-02T03:04:05+01:00","isApproved":null,"username":"x"}`)
	for _, value := range brokenValues {
		for _, name := range httpapi.KnownMembers()["createUser"] {
			f.Add(`{"` + name + `":` + value + `}`)
		}
	}
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
