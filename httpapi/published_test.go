package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
	"github.com/gousers/users/password"
)

const pageOrigin = "https://app.example.com:8443"

// newInterop is an api for the published clients.
func newInterop(t *testing.T, change func(*setup)) *api {
	t.Helper()
	return newAPI(t, func(s *setup) {
		s.http.Interop = &httpapi.Interop{
			Origins: []string{"http://localhost:3000", pageOrigin},
			SignIn: func(_ context.Context, apiKey string, u users.User) (httpapi.AccessToken, error) {
				return httpapi.AccessToken{Secret: password.New("token of " + u.UserName + " in " + apiKey), ExpiresIn: time.Hour}, nil
			},
		}
		if change != nil {
			change(s)
		}
	})
}

// ask answers r, which the OpenAPI document need not describe.
func (a *api) ask(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w
}

// want asks and returns the object of the answer.
func (a *api) want(status int, r *http.Request) map[string]any {
	a.t.Helper()
	w := a.ask(r)
	if w.Code != status {
		a.t.Fatalf("%s %s: got %d %s, want %d", r.Method, r.URL, w.Code, w.Body, status)
	}
	if w.Body.Len() == 0 {
		return nil
	}
	return decode[map[string]any](a.t, w)
}

// Without the option nothing of it is to be seen.
func TestInteropIsOffByDefault(t *testing.T) {
	t.Parallel()
	plain := newAPI(t, nil)
	u := plain.user(t.Context(), "ann", "")
	short := users.ShortID(u.ID)
	for what, tt := range map[string]struct {
		r    *http.Request
		want int
	}{
		"a short id":     {request("GET", "/v1/demo/users/"+short, ""), 404},
		"fields":         {request("GET", "/v1/demo/users?fields=displayName", ""), 400},
		"a login":        {request("POST", "/v1/demo/login", "grant_type=password"), 404},
		"another origin": {request("OPTIONS", "/v1/demo/users", "", "Origin", pageOrigin, "Access-Control-Request-Method", "GET"), 204},
	} {
		w := plain.ask(tt.r)
		if w.Code != tt.want {
			t.Errorf("%s: got %d, want %d", what, w.Code, tt.want)
		}
		for name := range w.Header() {
			if strings.HasPrefix(name, "Access-Control-") || slices.Contains(w.Header().Values("Vary"), "Origin") {
				t.Errorf("%s: got the header %s: %v", what, name, w.Header())
			}
		}
		if w.Code >= 400 && w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: got %s", what, w.Header().Get("Content-Type"))
		}
	}
	plain.post(body("bob", `"displayName":"Bob","name":"bob"`))
	if got := decode[map[string]any](t, plain.get("/v1/demo/users/bob")); got["name"] != "bob" || got["displayName"] != nil {
		t.Errorf("got %v, want the name as it was sent", got)
	}
}

// An id has one short form, on the way out everywhere, and is read in each of its forms.
func TestInteropShowsAndReadsShortIDs(t *testing.T) {
	t.Parallel()
	for name, newID := range map[string]func() (string, error){
		"ULIDs": nil,
		"UUIDs": func() func() (string, error) {
			n := 0
			return func() (string, error) { n++; return fmt.Sprintf("0190a3f0-0000-7000-8000-%012d", n), nil }
		}(),
	} {
		for _, accept := range []string{"application/json", "application/hal+json"} {
			a := newInterop(t, func(s *setup) { s.service.NewID = newID })
			role := a.want(201, request("POST", "/v1/demo/lookups/roles", `{"name":"chief"}`, "Accept", accept))
			w := a.ask(request("POST", "/v1/demo/users?embed=roles", body("ann", `"roles":["chief"]`), "Accept", accept))
			made := decode[map[string]any](t, w)
			id, roleID := fmt.Sprint(made["id"]), fmt.Sprint(role["id"])
			if len(id) < 22 || len(id) > 25 || w.Header().Get("Location") != "/v1/demo/users/"+id {
				t.Errorf("%s: got id %s, Location %s", name, id, w.Header().Get("Location"))
			}
			if strings.Contains(w.Body.String(), "0190a3f0") || !strings.Contains(w.Body.String(), roleID) {
				t.Errorf("%s: a long id, or not the role's short one, in %s", name, w.Body)
			}

			forms := append(users.LongIDs(id), id)
			stored := forms[0]
			if newID != nil {
				stored = forms[1]
			}
			for _, form := range []string{id, stored, "ann", "ann@example.com"} {
				if got := a.want(200, request("GET", "/v1/demo/users/"+form, "", "Accept", accept)); got["id"] != id {
					t.Errorf("%s: %s: got %v", name, form, got["id"])
				}
				a.want(204, request("GET", "/v1/demo/users/"+form+"/exists", ""))
				a.want(204, request("PUT", "/v1/demo/users/"+form+"/lock", ""))
				a.want(204, request("PUT", "/v1/demo/users/"+form, `{"isLockedOut":false}`))
			}
			if got := a.want(200, request("GET", "/v1/demo/lookups/roles/"+roleID, "")); got["name"] != "chief" {
				t.Errorf("%s: role: got %v", name, got)
			}
			for _, query := range []string{"userIds=" + id, "roleIds=" + roleID, "roleNames=chief", "userIds=" + stored} {
				page := a.want(200, request("GET", "/v1/demo/users?"+query, "", "Accept", accept))
				items, _ := page["item"].([]any)
				if page["totalRecords"] != 1.0 || len(items) != 1 || items[0].(map[string]any)["id"] != id {
					t.Errorf("%s: %s: got %v", name, query, page)
				}
				if embedded, ok := page["_embedded"].(map[string]any); ok && !reflect.DeepEqual(embedded["item"], page["item"]) {
					t.Errorf("%s: %s: items differ: %v", name, query, page)
				}
			}
			// A role by its short id alone, and as it was fetched.
			for _, ref := range []string{`{"id":"` + roleID + `"}`, `{"id":"` + roleID + `","name":"chief"}`} {
				a.want(204, request("PUT", "/v1/demo/users/ann", `{"roles":[]}`))
				a.want(204, request("PUT", "/v1/demo/users/ann", `{"roles":[`+ref+`]}`))
				if got := a.want(200, request("GET", "/v1/demo/users/ann", "")); len(got["roles"].([]any)) != 1 {
					t.Errorf("%s: role as %s: got %v", name, ref, got["roles"])
				}
			}
			a.want(400, request("PUT", "/v1/demo/users/ann", `{"roles":[{"id":"`+id+`"}]}`))
			a.want(204, request("PUT", "/v1/demo/lookups/roles/"+roleID, `{"description":"x"}`))
			a.want(204, request("DELETE", "/v1/demo/lookups/roles/"+roleID, ""))
			a.want(404, request("DELETE", "/v1/demo/lookups/roles/"+roleID, ""))
			a.want(204, request("DELETE", "/v1/demo/users/"+id, ""))
			a.want(404, request("GET", "/v1/demo/users/"+id, ""))
		}
	}
}

// A user name may look like a short id; the id goes first, and a limited caller learns
// nothing from either.
func TestInteropFindsANameThatLooksLikeAShortID(t *testing.T) {
	t.Parallel()
	a := newInterop(t, nil)
	u := a.user(t.Context(), "ann", "")
	const name = "kZyiWLUzz8dqAjHiO1gxXK"
	a.user(t.Context(), name, "")
	a.user(t.Context(), users.ShortID(u.ID), "")
	if got := a.want(200, request("GET", "/v1/demo/users/"+name, "")); got["userName"] != name {
		t.Errorf("got %v, want the name", got)
	}
	if got := a.want(200, request("GET", "/v1/demo/users/"+users.ShortID(u.ID), "")); got["userName"] != "ann" {
		t.Errorf("got %v, want the id first", got)
	}
	for _, ref := range []string{name, users.ShortID(u.ID), "AAAAAAAAAAAAAAAAAAAAAA"} {
		a.want(403, request("GET", "/v1/demo/users/"+ref, "", "Authorization", "Bearer "+limitedToken))
		a.want(403, request("DELETE", "/v1/demo/users/"+ref, "", "Authorization", "Bearer "+limitedToken))
	}
	// What it created it reads by its short id.
	made := a.want(201, request("POST", "/v1/demo/users", body("own", ""), "Authorization", "Bearer "+limitedToken))
	a.want(200, request("GET", "/v1/demo/users/"+fmt.Sprint(made["id"]), "", "Authorization", "Bearer "+limitedToken))
}

// What the .NET client sends: an id of 22 zeros, roles of null, name as the user name.
func TestInteropCreatesWhatClientsSend(t *testing.T) {
	t.Parallel()
	a := newInterop(t, nil)
	made := a.want(201, request("POST", "/v1/demo/users", body("ann", `"id":"`+strings.Repeat("0", 22)+`","roles":null,"name":"ann"`)))
	if made["name"] != "ann" || made["displayName"] != "" || made["userName"] != "ann" {
		t.Errorf("got %v, want no display name", made)
	}
	made = a.want(201, request("POST", "/v1/demo/users", body("bob", `"name":"Bob B."`)))
	if made["name"] != "bob" || made["displayName"] != "Bob B." {
		t.Errorf("got %v, want the display name apart", made)
	}
	made = a.want(201, request("POST", "/v1/demo/users", body("cay", `"name":"cay","displayName":"Cay C."`)))
	if made["name"] != "cay" || made["displayName"] != "Cay C." {
		t.Errorf("got %v, want the display name apart", made)
	}
	long := "01HZ0000000000000000000009"
	made = a.want(201, request("POST", "/v1/demo/users", body("dee", `"id":"`+users.ShortID(long)+`"`)))
	if u, err := a.host.User(t.Context(), "demo", long); err != nil || made["id"] != users.ShortID(long) || u.UserName != "dee" {
		t.Errorf("a chosen id: got %v, %v, %v", made["id"], u, err)
	}
}

// A fetched user that is sent back loses nothing, whatever is changed of it.
func TestInteropKeepsDisplayNames(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ change, userName, name string }{
		{`{}`, "ann", "Ann A."},
		{`{"name":"ann"}`, "ann", "Ann A."},
		{`{"name":"ann","userName":"ann"}`, "ann", "Ann A."},
		{`{"name":"ann","userName":"bea"}`, "bea", "Ann A."}, // renamed, and its name is the old one
		{`{"name":"bea","userName":"bea"}`, "bea", "Ann A."},
		{`{"name":"bea","userName":"bea","displayName":"Ann A."}`, "bea", "Ann A."},
		{`{"name":"ann","displayName":"Bea B."}`, "ann", "Bea B."},
		{`{"displayName":""}`, "ann", ""},
		{`{"name":"Bea B."}`, "ann", "Bea B."},
		{`{"name":null,"displayName":null}`, "ann", "Ann A."},
	} {
		a := newInterop(t, nil)
		u := a.user(t.Context(), "ann", "")
		if _, err := a.host.UpdateUser(t.Context(), "demo", "ann", users.UserChange{Name: new("Ann A."), Roles: new([]users.RoleRef{{Name: "editor"}})}); err != nil {
			t.Fatal(err)
		}
		for _, accept := range []string{"application/json", "application/hal+json"} {
			fetched := a.want(200, request("GET", "/v1/demo/users/ann?embed=roles", "", "Accept", accept))
			whole, err := json.Marshal(fetched)
			if err != nil {
				t.Fatal(err)
			}
			before, err := a.host.User(t.Context(), "demo", u.ID)
			if err != nil {
				t.Fatal(err)
			}
			a.want(204, request("PUT", "/v1/demo/users/"+fmt.Sprint(fetched["id"]), string(whole)))
			if after, err := a.host.User(t.Context(), "demo", u.ID); err != nil || !reflect.DeepEqual(after, before) {
				t.Errorf("sent back: got %+v, %v, want %+v", after, err, before)
			}
		}
		a.want(204, request("PUT", "/v1/demo/users/"+users.ShortID(u.ID), tt.change))
		got, err := a.host.User(t.Context(), "demo", u.ID)
		if err != nil || got.UserName != tt.userName || got.Name != tt.name || len(got.Roles) != 1 {
			t.Errorf("%s: got %+v, %v", tt.change, got, err)
		}
	}
}

func TestInteropLinksAreRelativeOrAbsolute(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{"": "", "https://api.example.com": "https://api.example.com/v1/demo/"} {
		a := newInterop(t, func(s *setup) { s.http.BaseURL = base })
		u := a.user(t.Context(), "ann", "")
		id := users.ShortID(u.ID)
		got := a.want(200, request("GET", "/v1/demo/users/ann", "", "Accept", "application/hal+json"))
		links := got["_links"].(map[string]any)
		for rel, path := range map[string]string{
			"self": "users/" + id, "put": "users/" + id, "delete": "users/" + id, "lock": "users/" + id + "/lock",
			"unlock": "users/" + id + "/unlock", "approve": "users/" + id + "/approve", "disapprove": "users/" + id + "/disapprove",
			"roles": "lookups/roles",
		} {
			if href := links[rel].(map[string]any)["href"]; href != want+path {
				t.Errorf("%q: %s: got %v, want %s", base, rel, href, want+path)
			}
		}
		page := a.want(200, request("GET", "/v1/demo/lookups/roles?rpp=1&sort=name", "", "Accept", "application/json"))
		list := page["links"].([]any)
		if got := list[len(list)-1].(map[string]any)["href"]; got != want+"lookups/roles?page=2&rpp=1&sort=name" {
			t.Errorf("%q: next: got %v", base, got)
		}
	}
}

// Errors are of the one type that these clients take apart, unless they name the other.
func TestInteropErrorsArePlainJSON(t *testing.T) {
	t.Parallel()
	a := newInterop(t, nil)
	for accept, want := range map[string]string{
		"": "application/json", "*/*": "application/json", "application/json": "application/json", "application/hal+json": "application/json",
		"application/*": "application/json",
		"application/json, Application/Problem+JSON": "application/problem+json",
	} {
		w := a.ask(request("GET", "/v1/demo/users/nobody", "", "Accept", accept))
		if w.Header().Get("Content-Type") != want || decode[problem](t, w).Status != 404 {
			t.Errorf("Accept %q: got %s %s, want %s", accept, w.Header().Get("Content-Type"), w.Body, want)
		}
	}
}

func TestInteropLetsNamedOriginsIn(t *testing.T) {
	t.Parallel()
	a := newInterop(t, nil)
	for _, tt := range []struct {
		origins []string
		let     bool
	}{
		{[]string{pageOrigin}, true}, {[]string{"http://localhost:3000"}, true},
		{nil, false}, {[]string{"null"}, false}, {[]string{"*"}, false}, {[]string{"https://app.example.com"}, false},
		{[]string{strings.ToUpper(pageOrigin)}, false}, {[]string{pageOrigin + "/"}, false}, {[]string{pageOrigin, pageOrigin}, false},
		{[]string{pageOrigin + ".evil.example"}, false},
	} {
		for _, r := range []*http.Request{
			request("OPTIONS", "/v1/demo/users/ann", "", "Authorization", "", "Access-Control-Request-Method", "PUT"),
			request("GET", "/v1/demo/users", ""), request("GET", "/v1/demo/users/nobody", ""), request("GET", "/v1/x/y/z", ""),
			request("GET", "/v1/demo/users", "", "Authorization", ""), request("POST", "/v1/demo/users", "{"),
			request("POST", "/v1/demo/login", ""),
		} {
			for _, o := range tt.origins {
				r.Header.Add("Origin", o)
			}
			w := a.ask(r)
			h := w.Header()
			what := fmt.Sprintf("%s %s from %q", r.Method, r.URL, tt.origins)
			if !slices.Contains(h.Values("Vary"), "Origin") || slices.Contains(h["Access-Control-Allow-Origin"], "*") {
				t.Errorf("%s: got %v, want Vary: Origin and never *", what, h)
			}
			if got := h.Get("Access-Control-Allow-Origin"); (got != "") != tt.let || tt.let && got != tt.origins[0] {
				t.Errorf("%s: let in as %q, want %t", what, got, tt.let)
			}
			if !tt.let {
				continue
			}
			if h.Get("Access-Control-Allow-Credentials") != "true" || !strings.Contains(h.Get("Access-Control-Expose-Headers"), "ETag") {
				t.Errorf("%s: got %v", what, h)
			}
			if r.Method == "OPTIONS" && (w.Code != 204 || !strings.Contains(h.Get("Access-Control-Allow-Methods"), "DELETE") ||
				!strings.Contains(h.Get("Access-Control-Allow-Headers"), "If-Match")) {
				t.Errorf("%s: got %d %v", what, w.Code, h)
			}
		}
	}
	none := newInterop(t, func(s *setup) { s.http.Interop.Origins = nil })
	if h := none.ask(request("GET", "/v1/demo/users", "", "Origin", pageOrigin)).Header(); h.Get("Access-Control-Allow-Origin") != "" || slices.Contains(h.Values("Vary"), "Origin") {
		t.Errorf("without origins: got %v", h)
	}
}

func TestOriginsThatBrowsersNeverSendAreRefused(t *testing.T) {
	t.Parallel()
	for _, o := range []string{"", "*", "null", "app.example.com", "https://", "https://app.example.com/", "https://App.example.com", "https://u@app.example.com", "https://app.example.com?x"} {
		_, err := httpapi.New(newAPI(t, nil).host, httpapi.BearerTokens(), &httpapi.Options{Interop: &httpapi.Interop{Origins: []string{pageOrigin, o}}})
		if err == nil || !strings.Contains(err.Error(), "Interop.Origins") {
			t.Errorf("%q: got %v, want an error that names it", o, err)
		}
	}
	_, err := httpapi.New(newAPI(t, nil).host, httpapi.BearerTokens(), &httpapi.Options{Interop: &httpapi.Interop{}, ExtraMembers: []string{"displayName"}})
	if err == nil || !strings.Contains(err.Error(), "ExtraMembers") {
		t.Errorf("got %v, want an error about ExtraMembers", err)
	}
}

func TestInteropSignsIn(t *testing.T) {
	t.Parallel()
	a := newInterop(t, nil)
	a.want(201, request("POST", "/v1/demo/users", body("ann", "")))
	a.want(201, request("POST", "/v1/demo/users", body("locked", `"isLockedOut":true`)))
	a.want(201, request("POST", "/v1/demo/users", body("new", `"isApproved":false`)))
	form := func(pairs ...string) string {
		v := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			v.Add(pairs[i], pairs[i+1])
		}
		return v.Encode()
	}
	in := func(name, pw string) string { return form("grant_type", "password", "username", name, "password", pw) }
	login := func(path, form string, headers ...string) *httptest.ResponseRecorder {
		return a.ask(request("POST", path, form, append([]string{"Content-Type", "application/x-www-form-urlencoded", "Authorization", "Bearer stale"}, headers...)...))
	}
	for _, path := range []string{"/v1/demo/login", "/v1/demo/Login", "/v1/demo/login/"} {
		for _, name := range []string{"ann", "ANN@example.com"} {
			w := login(path, in(name, goodPassword), "Accept", "application/hal+json")
			got := decode[map[string]any](t, w)
			want := map[string]any{"access_token": "token of ann in demo", "token_type": "bearer", "expires_in": 3600.0}
			if w.Code != 201 || !reflect.DeepEqual(got, want) || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%s as %s: got %d %v %v", path, name, w.Code, got, w.Header())
			}
		}
	}

	const wrong = "the user name or the password is wrong"
	for what, tt := range map[string]struct{ form, code, description string }{
		"a wrong password":        {in("ann", "wrong"), "invalid_grant", wrong},
		"nobody":                  {in("nobody", goodPassword), "invalid_grant", wrong},
		"locked out, and wrong":   {in("locked", "wrong"), "invalid_grant", wrong},
		"not approved, and wrong": {in("new", "wrong"), "invalid_grant", wrong},
		"locked out":              {in("locked", goodPassword), "invalid_grant", "the user is locked out"},
		"not approved":            {in("new", goodPassword), "invalid_grant", "the user is not approved"},
		"another grant":           {form("grant_type", "client_credentials", "username", "ann", "password", goodPassword), "unsupported_grant_type", "grant_type must be password"},
		"no password":             {form("grant_type", "password", "username", "ann"), "invalid_request", "password must be given, once"},
		"nothing":                 {"", "invalid_request", "grant_type must be given, once"},
		"two user names":          {in("ann", goodPassword) + "&username=bob", "invalid_request", "username must be given, once"},
	} {
		w := login("/v1/demo/login", tt.form)
		got := decode[map[string]any](t, w)
		if w.Code != 400 || got["error"] != tt.code || got["error_description"] != tt.description || got["message"] != tt.description {
			t.Errorf("%s: got %d %v, want %s: %s", what, w.Code, got, tt.code, tt.description)
		}
	}
	if w := login("/v1/nowhere/login", in("ann", goodPassword)); w.Code != 400 || !strings.Contains(w.Body.String(), wrong) {
		t.Errorf("no such application: got %d %s", w.Code, w.Body)
	}

	for what, tt := range map[string]struct {
		r    *http.Request
		want int
	}{
		"JSON":         {request("POST", "/v1/demo/login", `{"grant_type":"password"}`), 415},
		"a huge form":  {request("POST", "/v1/demo/login", strings.Repeat("a", 9000), "Content-Type", "application/x-www-form-urlencoded"), 400},
		"no form":      {request("POST", "/v1/demo/login", "%zz", "Content-Type", "application/x-www-form-urlencoded; charset=utf-8"), 400},
		"a GET":        {request("GET", "/v1/demo/login", ""), 405},
		"a DELETE":     {request("DELETE", "/v1/demo/login", ""), 405},
		"register":     {request("POST", "/v1/demo/register", "{}"), 404},
		"a batch":      {request("POST", "/v1/demo/lookups/roles/batch", "{}"), 405},
		"another case": {request("GET", "/v1/demo/Users", ""), 404},
	} {
		if w := a.ask(tt.r); w.Code != tt.want {
			t.Errorf("%s: got %d %s, want %d", what, w.Code, w.Body, tt.want)
		}
	}

	failing := newInterop(t, func(s *setup) {
		s.http.Interop.SignIn = func(context.Context, string, users.User) (httpapi.AccessToken, error) {
			return httpapi.AccessToken{}, errors.New("no sessions today")
		}
	})
	failing.want(201, request("POST", "/v1/demo/users", body("ann", "")))
	w := failing.ask(request("POST", "/v1/demo/login", in("ann", goodPassword), "Content-Type", "application/x-www-form-urlencoded"))
	if w.Code != 500 || strings.Contains(w.Body.String(), "sessions") {
		t.Errorf("SignIn fails: got %d %s", w.Code, w.Body)
	}
	limited := newInterop(t, func(s *setup) {
		s.service.Admit = func(context.Context, users.Attempt) error {
			return &users.TooManyRequestsError{RetryAfter: time.Minute}
		}
	})
	w = limited.ask(request("POST", "/v1/demo/login", in("ann", goodPassword), "Content-Type", "application/x-www-form-urlencoded"))
	if w.Code != 429 || w.Header().Get("Retry-After") != "60" {
		t.Errorf("limited: got %d %v", w.Code, w.Header())
	}
	without := newInterop(t, func(s *setup) { s.http.Interop.SignIn = nil })
	without.want(404, request("POST", "/v1/demo/login", ""))
}

// Lists know the name that these clients have for the display name. Short ids are two
// ids each, of which the limit is that of all others.
func TestInteropListsByDisplayNameAndByManyShortIDs(t *testing.T) {
	t.Parallel()
	a := newInterop(t, nil)
	a.want(201, request("POST", "/v1/demo/users", body("ann", `"name":"Zoe"`)))
	a.want(201, request("POST", "/v1/demo/users", body("bob", `"name":"Abe"`)))
	for query, want := range map[string]string{
		"sort=displayName": "bob ann", "sort=-displayname": "ann bob", "sort=displayName%7Cdesc,email": "ann bob", "sort=userName": "ann bob",
	} {
		page := a.want(200, request("GET", "/v1/demo/users?"+query, ""))
		var names []string
		for _, u := range page["item"].([]any) {
			names = append(names, u.(map[string]any)["userName"].(string))
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}

	var ids []string
	for i := range 501 {
		ids = append(ids, users.ShortID(fmt.Sprintf("0190a3f0-0000-7000-8000-%012d", i)))
	}
	a.want(200, request("GET", "/v1/demo/users?userIds="+strings.Join(ids[:500], ","), ""))
	w := a.ask(request("GET", "/v1/demo/users?userIds="+strings.Join(ids, ","), ""))
	if w.Code != 400 || !strings.HasPrefix(codes(t, w), "/userIds ") {
		t.Errorf("501 short ids: got %d %s", w.Code, w.Body)
	}
}

// Who may change users and not read them changes them as everybody else does.
func TestInteropKeepsDisplayNamesOfEditorsWhoReadNothing(t *testing.T) {
	t.Parallel()
	a := newInterop(t, func(s *setup) {
		s.authenticate = httpapi.BearerTokens(bearer(adminToken, users.Caller{ID: "e", APIKey: "demo", Permissions: users.EditUsers}))
	})
	u := a.user(t.Context(), "ann", "")
	if _, err := a.host.UpdateUser(t.Context(), "demo", "ann", users.UserChange{Name: new("Ann A.")}); err != nil {
		t.Fatal(err)
	}
	a.want(403, request("GET", "/v1/demo/users/ann", ""))
	a.want(204, request("PUT", "/v1/demo/users/"+users.ShortID(u.ID), `{"name":"ann","email":"new@example.com"}`))
	if got, err := a.host.User(t.Context(), "demo", u.ID); err != nil || got.Name != "Ann A." || got.Email != "new@example.com" {
		t.Errorf("got %+v, %v", got, err)
	}
}
