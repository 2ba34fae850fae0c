package httpapi_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the corpus below is answered without Interop: it was written by the handler
// before there was that option. Where a change of the API is wanted, delete the file,
// and the test writes it anew.
var defaultAnswers = filepath.Join("testdata", "default.txt")

// Without the option not a byte of an answer is another than before there was one.
func TestWithoutInteropNotAByteChanges(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	var got []string
	ids := newNames()
	for _, r := range corpus() {
		got = append(got, ids.in(transcript(a, r)))
	}

	written, err := os.ReadFile(defaultAnswers)
	if errors.Is(err, fs.ErrNotExist) {
		err = os.WriteFile(defaultAnswers, []byte(strings.Join(got, between)), 0o666)
		t.Fatalf("%s was written anew: look at what changed (%v)", defaultAnswers, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(string(written), between)
	if len(got) != len(want) {
		t.Fatalf("got %d answers, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("got\n%s\nwant\n%s", got[i], want[i])
		}
	}
}

const between = "\n----\n"

// corpus is every route in both forms, and all that Interop answers in another way.
func corpus() (all []*http.Request) {
	const (
		id    = "01HZ0000000000000000000009"
		short = "0OzW000000000000000011" // of id
		form  = "application/x-www-form-urlencoded"
	)
	add := func(method, path, body string, headers ...string) {
		all = append(all, request(method, "/v1/demo/"+path, body, headers...))
	}
	for _, accept := range []string{"*/*", "application/hal+json", "application/json, application/problem+json"} {
		ask := func(method, path, body string, headers ...string) {
			add(method, path, body, append([]string{"Accept", accept}, headers...)...)
		}
		ask("POST", "users?embed=roles", body("ann", `"id":"`+id+`","name":"Ann A.","displayName":"Other","roles":["editor"]`))
		ask("POST", "users", body("bob", `"id":"`+strings.Repeat("0", 22)+`","roles":null,"name":"bob"`))
		ask("POST", "users", body("cay", `"id":"`+short+`"`))
		ask("POST", "users", body("dee", `"roles":[{"id":"`+short+`"}]`))
		ask("POST", "users", `{"userName":`)
		ask("POST", "users", "userName=x", "Content-Type", form)
		ask("GET", "users", "")
		ask("GET", "users?page=1&rpp=1&sort=userName&embed=roles&fields=name", "")
		ask("GET", "users?limit=1&sort=userName", "")
		for _, query := range []string{"sort=displayName", "fields=displayName", "userIds=" + id, "userIds=" + short, "roleIds=" + short} {
			ask("GET", "users?"+query, "")
		}
		for _, ref := range []string{id, short, "ann"} {
			for _, path := range []string{"", "?embed=roles", "?fields=name", "/exists"} {
				ask("GET", "users/"+ref+path, "")
			}
			ask("PUT", "users/"+ref+"/lock", "")
			ask("PUT", "users/"+ref, `{"name":"ann","displayName":"Other"}`)
			ask("PUT", "users/"+ref, `{"name":"Ann A.","roles":[{"id":"`+short+`"}]}`)
		}
		ask("PUT", "users/ann/change-password", `{"newPassword":"`+goodPassword+`!"}`)
		ask("PUT", "users/ann", `{"isApproved":false}`, "If-Match", `"99.j"`)
		ask("GET", "roles?sort=-name", "")
		ask("GET", "lookups/roles?rpp=1&sort=name", "")
		ask("POST", "lookups/roles", `{"name":"chief"}`)
		ask("GET", "roles/"+short, "")
		ask("POST", "recover-password", `{"userName":"ann"}`)
		ask("POST", "login", "grant_type=password&username=ann&password=x", "Content-Type", form, "Authorization", "")
		ask("POST", "Login", "{}")
		ask("GET", "users", "", "Authorization", "")
		ask("GET", "users", "", "Authorization", "Bearer stale")
		ask("GET", "users/ann", "", "Authorization", "Bearer "+limitedToken)
		ask("PATCH", "users/ann", "")
		ask("DELETE", "users/"+short, "")
		ask("DELETE", "users/"+id, "")
		ask("GET", "nowhere", "")
		for _, method := range []string{"OPTIONS", "GET", "POST"} {
			ask(method, "users", "", "Origin", "https://app.example.com", "Access-Control-Request-Method", "PUT",
				"Access-Control-Request-Headers", "authorization,x-requested-with")
		}
	}
	return all
}

// transcript is a request and its answer.
func transcript(a *api, r *http.Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s Accept=%q Origin=%q\n", r.Method, r.URL, r.Header.Get("Accept"), r.Header.Get("Origin"))
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	fmt.Fprintln(&b, w.Code)
	for _, name := range slices.Sorted(maps.Keys(w.Header())) {
		if name != "Content-Length" { // times are of different lengths
			fmt.Fprintf(&b, "%s: %q\n", name, w.Header()[name])
		}
	}
	b.WriteString(w.Body.String())
	return b.String()
}

var (
	madeID     = regexp.MustCompile(`01[0-9A-HJKMNP-TV-Z]{24}`)
	madeTime   = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`)
	madeCursor = regexp.MustCompile(`after=[\w%-]+`)
)

// names replaces what is another in each run.
type names struct{ ids map[string]string }

func newNames() names { return names{make(map[string]string)} }

func (n names) in(s string) string {
	s = madeTime.ReplaceAllString(s, "{time}")
	s = madeCursor.ReplaceAllString(s, "after={cursor}")
	return madeID.ReplaceAllStringFunc(s, func(id string) string {
		if n.ids[id] == "" {
			n.ids[id] = fmt.Sprintf("{id %d}", len(n.ids)+1)
		}
		return n.ids[id]
	})
}
