package routers_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/examples/routers"
	"github.com/gousers/users/httpapi"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

const token = "router-test-token"

// newAPI makes the handler that every router gets, over a store of its own.
func newAPI(t *testing.T) http.Handler {
	t.Helper()
	svc, err := users.New(memstore.New(), &users.Options{Hasher: password.InsecureForTests()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := svc.CreateApplication(t.Context(), users.Application{APIKey: "demo"}); err != nil {
		t.Fatal(err)
	}
	authenticate := httpapi.BearerTokens(httpapi.BearerToken{
		Secret: password.New(token),
		Caller: users.Caller{ID: "admin", APIKey: "demo", Permissions: users.AllPermissions},
	})
	api, err := httpapi.New(svc, authenticate, &httpapi.Options{Prefix: routers.Prefix})
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// serveFiber serves the API by fiber, which is not built on net/http.
func serveFiber(t *testing.T, api http.Handler) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	app := routers.Fiber(api)
	served := make(chan error, 1)
	go func() { served <- app.Listener(ln) }()
	t.Cleanup(func() {
		// Not app.Shutdown: in fasthttp it races with its own requests' contexts.
		ln.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return "http://" + ln.Addr().String()
}

func TestEveryRouterGivesTheSameAnswers(t *testing.T) {
	t.Parallel()
	for name, mount := range map[string]func(http.Handler) http.Handler{
		"net/http": routers.NetHTTP,
		"chi":      routers.Chi,
		"gorilla":  routers.Gorilla,
		"gin":      routers.Gin,
		"echo":     routers.Echo,
		"fiber":    nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := newAPI(t)
			var url string
			if mount == nil {
				url = serveFiber(t, api)
			} else {
				server := httptest.NewServer(mount(api))
				t.Cleanup(server.Close)
				url = server.URL
			}
			checkAnswers(t, url)
		})
	}
}

func checkAnswers(t *testing.T, url string) {
	created := send(t, "POST", url+"/v1/demo/users", token, body("jane"))
	created.want(t, 201)
	location := created.header.Get("Location")
	id := created.member(t, "id")
	if want := "/v1/demo/users/" + id; location != want {
		t.Fatalf("Location: got %q, want %q", location, want)
	}
	for _, c := range []struct {
		name, method, path, token, body string
		status                          int
		allow                           string // a method that the Allow header must name
	}{
		{name: "location", method: "GET", path: location, token: token, status: 200},
		{name: "location with a slash at the end", method: "GET", path: location + "/", token: token, status: 200},
		{name: "by name", method: "GET", path: "/v1/demo/users/jane", token: token, status: 200},
		{name: "by address, with an escaped @", method: "GET", path: "/v1/demo/users/jane%40example.com", token: token, status: 200},
		{name: "users", method: "GET", path: "/v1/demo/users?searchQuery=jan&sort=-userName", token: token, status: 200},
		{name: "exists", method: "HEAD", path: "/v1/demo/users/jane/exists", token: token, status: 204},
		{name: "exists not", method: "GET", path: "/v1/demo/users/nobody/exists", token: token, status: 404},
		{name: "update", method: "PUT", path: location, token: token, body: `{"name":"Jane"}`, status: 204},
		{name: "lock", method: "PUT", path: location + "/lock", token: token, status: 204},
		{name: "unlock with a slash at the end", method: "PUT", path: location + "/unlock/", token: token, status: 204},
		{name: "change password", method: "PUT", path: location + "/change-password", token: token, body: `{"newPassword":"another 73 teapots on a hill"}`, status: 200},
		{name: "roles of a look-up", method: "GET", path: "/v1/demo/lookups/roles/", token: token, status: 200},
		{name: "create with a slash at the end", method: "POST", path: "/v1/demo/users/", token: token, body: body("john"), status: 201},
		{name: "roles", method: "GET", path: "/v1/demo/roles", token: token, status: 200},
		{name: "roles with a slash at the end", method: "GET", path: "/v1/demo/roles/", token: token, status: 200},
		{name: "taken", method: "POST", path: "/v1/demo/users", token: token, body: body("jane"), status: 409},
		{name: "not understood", method: "POST", path: "/v1/demo/users", token: token, body: `{`, status: 400},
		{name: "no token", method: "POST", path: "/v1/demo/users", body: body("joan"), status: 401},
		{name: "another application", method: "POST", path: "/v1/other/users", token: token, body: body("joan"), status: 401},
		{name: "no such user", method: "GET", path: "/v1/demo/users/nobody", token: token, status: 404},
		{name: "no such resource", method: "GET", path: "/v1/demo/nothing", token: token, status: 404},
		{name: "method", method: "DELETE", path: "/v1/demo/users", token: token, status: 405, allow: "POST"},
		{name: "method with a slash at the end", method: "DELETE", path: "/v1/demo/users/", token: token, status: 405, allow: "POST"},
		{name: "method on a user", method: "POST", path: location, token: token, status: 405, allow: "GET"},
		{name: "delete", method: "DELETE", path: location, token: token, status: 204},
		{name: "delete again", method: "DELETE", path: location, token: token, status: 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := send(t, c.method, url+c.path, c.token, c.body)
			got.want(t, c.status)
			if c.allow != "" && !strings.Contains(got.header.Get("Allow"), c.allow) {
				t.Errorf("Allow: got %q, want one with %s", got.header.Get("Allow"), c.allow)
			}
			want := "application/json"
			switch {
			case c.status >= 400:
				want = "application/problem+json"
			case c.status == 204:
				return
			}
			if got := got.header.Get("Content-Type"); !strings.HasPrefix(got, want) {
				t.Errorf("Content-Type: got %q, want %q", got, want)
			}
		})
	}
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) want(t *testing.T, status int) {
	t.Helper()
	if a.status != status {
		t.Fatalf("got %d, want %d: %s", a.status, status, a.body)
	}
}

func (a answer) member(t *testing.T, name string) string {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal(a.body, &members); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(members[name])
}

func send(t *testing.T, method, url, token, body string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	// A redirect is an answer of its own here.
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, text}
}

func body(name string) string {
	return fmt.Sprintf(`{"userName":%q,"email":%q,"password":%q,"confirmPassword":%[3]q}`,
		name, name+"@example.com", "violet harbour 47 crumpets")
}
