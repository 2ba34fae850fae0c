package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/password"
)

const appOrigin = "https://app.example.com"

// interop turns Interop on.
func interop(s *setup) {
	s.http.Interop = &httpapi.Interop{
		Origins: []string{"http://localhost:5173", appOrigin},
		SignIn: func(_ context.Context, apiKey string, u users.User) (httpapi.AccessToken, error) {
			return httpapi.AccessToken{Secret: password.New("token-of-" + u.UserName + "@" + apiKey), ExpiresIn: 20 * time.Minute}, nil
		},
	}
}

// withUUIDs makes ids UUIDs, of which a ULID can't be told.
func withUUIDs(s *setup) {
	n := 0
	s.service.NewID = func() (string, error) { n++; return uuid(n), nil }
}

// tell answers r, whatever the OpenAPI document says: it does not describe Interop.
func (a *api) tell(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w
}

// want sends a request and decodes what comes with status.
func want[T any](t *testing.T, a *api, status int, r *http.Request) (v T) {
	t.Helper()
	w := a.tell(r)
	if w.Code != status {
		t.Fatalf("%s %s: got %d %s, want %d", r.Method, r.URL, w.Code, w.Body, status)
	}
	if w.Body.Len() > 0 {
		return decode[T](t, w)
	}
	return v
}

// shown is a user in the plain form.
type shown struct {
	ID, UserName, Name, Email string
	DisplayName               *string
	Roles                     []struct{ ID, Name string }
	Links                     []struct{ Rel, Href string }
	IsApproved, IsLockedOut   bool
}

func (s shown) display() string {
	if s.DisplayName == nil {
		return "<none>"
	}
	return *s.DisplayName
}

func TestIdsAreShortAndReadInEveryForm(t *testing.T) {
	t.Parallel()
	for form, ids := range map[string]func(*setup){"ULID": func(*setup) {}, "UUID": withUUIDs} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, func(s *setup) { interop(s); ids(s) })
			made := want[shown](t, a, 201, request("POST", "/v1/demo/users", body("ann", `"name":"Ann","roles":["editor"]`)))
			stored, err := a.host.User(t.Context(), "demo", "ann")
			if err != nil {
				t.Fatal(err)
			}
			short := users.ShortID(stored.ID)
			if made.ID != short || len(short) == len(stored.ID) {
				t.Fatalf("the id is %q, want %q for %q", made.ID, short, stored.ID)
			}
			if want := users.ShortID(a.editor.ID); made.Roles[0].ID != want {
				t.Errorf("the role's id is %q, want %q", made.Roles[0].ID, want)
			}

			refs := []string{short, stored.ID, "ann", "ann@example.com"}
			for _, ref := range refs {
				at := "/v1/demo/users/" + ref
				if got := want[shown](t, a, 200, request("GET", at, "")); got.ID != short {
					t.Errorf("GET %s: the id is %q, want %q", at, got.ID, short)
				}
				want[any](t, a, 204, request("GET", at+"/exists", ""))
				want[any](t, a, 204, request("PUT", at, `{"name":"Ann `+ref+`"}`))
				for _, verb := range []string{"lock", "unlock", "disapprove", "approve"} {
					want[any](t, a, 204, request("PUT", at+"/"+verb, ""))
				}
				want[any](t, a, 200, request("PUT", at+"/change-password", `{"newPassword":"`+goodPassword+`"}`))
			}
			for _, id := range []string{short, stored.ID} {
				if got := want[page](t, a, 200, request("GET", "/v1/demo/users?userIds=x,"+id, "")); got.names("userName") != "ann" {
					t.Errorf("userIds=%s finds %q, want ann", id, got.names("userName"))
				}
			}
			for _, id := range []string{users.ShortID(a.editor.ID), a.editor.ID} {
				if got := want[page](t, a, 200, request("GET", "/v1/demo/users?roleIds="+id, "")); got.names("userName") != "ann" {
					t.Errorf("roleIds=%s finds %q, want ann", id, got.names("userName"))
				}
			}
			want[any](t, a, 204, request("DELETE", "/v1/demo/users/"+short, ""))
			want[any](t, a, 404, request("GET", "/v1/demo/users/"+short, ""))
		})
	}
}

func TestRolesHaveShortIdsToo(t *testing.T) {
	t.Parallel()
	a := newAPI(t, func(s *setup) { interop(s); withUUIDs(s) })
	w := a.tell(request("POST", "/v1/demo/roles", `{"name":"temp"}`))
	made := decode[shown](t, w)
	if got := w.Header().Get("Location"); len(made.ID) != 22 || got != "/v1/demo/roles/"+made.ID {
		t.Fatalf("got the id %q at %q, want a short one", made.ID, got)
	}
	for _, at := range []string{"/v1/demo/roles/", "/v1/demo/lookups/roles/"} {
		if got := want[shown](t, a, 200, request("GET", at+made.ID, "")); got.Name != "temp" || got.ID != made.ID {
			t.Errorf("GET %s: got %v", at, got)
		}
	}
	want[any](t, a, 204, request("PUT", "/v1/demo/roles/"+made.ID, `{"description":"x"}`))
	// By its id alone, by both, and by a short id that is another's beside a name.
	for i, ref := range []string{
		`{"id":"` + made.ID + `"}`, `{"id":"` + made.ID + `","name":"temp"}`, `{"id":"` + uuid(1) + `"}`,
		`{"id":"` + users.ShortID(a.viewer.ID) + `","name":"temp"}`,
	} {
		name := fmt.Sprint("user", i)
		u := want[shown](t, a, 201, request("POST", "/v1/demo/users", body(name, `"roles":[`+ref+`]`)))
		if len(u.Roles) != 1 || u.Roles[0].Name != "temp" || u.Roles[0].ID != made.ID {
			t.Errorf("with %s the roles are %v", ref, u.Roles)
		}
		want[any](t, a, 204, request("PUT", "/v1/demo/users/"+name, `{"roles":[`+ref+`,{"id":"`+users.ShortID(a.viewer.ID)+`"}]}`))
		if u := want[shown](t, a, 200, request("GET", "/v1/demo/users/"+name, "")); len(u.Roles) != 2 {
			t.Errorf("with %s and the viewer the roles are %v", ref, u.Roles)
		}
	}
	want[any](t, a, 400, request("POST", "/v1/demo/users", body("bob", `"roles":[{"id":"0000000000000000000001"}]`)))
	want[any](t, a, 204, request("DELETE", "/v1/demo/roles/"+made.ID, ""))
	want[any](t, a, 404, request("GET", "/v1/demo/roles/"+made.ID, ""))
}

func TestAnIdGoesBeforeANameThatLooksTheSame(t *testing.T) {
	t.Parallel()
	a := newAPI(t, interop)
	ann := a.user(t.Context(), "ann", "")
	short := users.ShortID(ann.ID)
	// Only the digits' case is not the name's: it is stored in lower case.
	a.user(t.Context(), short, "")
	if got := want[shown](t, a, 200, request("GET", "/v1/demo/users/"+short, "")); got.UserName != "ann" {
		t.Errorf("the id of ann leads to %s", got.UserName)
	}
	want[any](t, a, 204, request("DELETE", "/v1/demo/users/"+short, ""))
	if got := want[shown](t, a, 200, request("GET", "/v1/demo/users/"+short, "")); got.UserName != short {
		t.Errorf("the name leads to %s", got.UserName)
	}
}

// TestARefusalLeadsToNobodyElse: who may not change the user with an id must not change
// the one who took that id for a name.
func TestARefusalLeadsToNobodyElse(t *testing.T) {
	t.Parallel()
	a := newAPI(t, func(s *setup) {
		interop(s)
		s.authenticate = httpapi.BearerTokens(
			bearer(adminToken, users.Caller{ID: "admin", APIKey: "demo", Permissions: users.AllPermissions}),
			bearer(limitedToken, users.Caller{ID: "helper", APIKey: "demo", Permissions: users.DeleteUsers | users.EditUsers}),
		)
	})
	boss := want[shown](t, a, 201, request("POST", "/v1/demo/users", body("boss", `"roles":["editor"]`)))
	a.user(t.Context(), boss.ID, "")
	for _, method := range []string{"PUT", "DELETE"} {
		want[any](t, a, 403, request(method, "/v1/demo/users/"+boss.ID, `{"name":"x"}`, "Authorization", "Bearer "+limitedToken))
	}
	for _, name := range []string{"boss", strings.ToLower(boss.ID)} {
		if ok, err := a.host.Exists(t.Context(), "demo", name); err != nil || !ok {
			t.Errorf("%s: got %v and %v, want it to be there", name, ok, err)
		}
	}
}

func TestALimitedCallerReadsWhatItCreatedByTheShortId(t *testing.T) {
	t.Parallel()
	for form, ids := range map[string]func(*setup){"ULID": func(*setup) {}, "UUID": withUUIDs} {
		a := newAPI(t, func(s *setup) { interop(s); ids(s) })
		other := a.user(t.Context(), "other", "")
		limited := []string{"Authorization", "Bearer " + limitedToken}
		made := want[shown](t, a, 201, request("POST", "/v1/demo/users", body("ann", ""), limited...))
		if got := want[shown](t, a, 200, request("GET", "/v1/demo/users/"+made.ID, "", limited...)); got.UserName != "ann" {
			t.Errorf("%s: got %v, want ann", form, got)
		}
		for _, ref := range []string{users.ShortID(other.ID), "0000000000000000000001", "ann"} {
			want[any](t, a, 403, request("GET", "/v1/demo/users/"+ref, "", limited...))
		}
	}
}

func TestAChosenIdMayBeShort(t *testing.T) {
	t.Parallel()
	a := newAPI(t, interop)
	const ulid, id = "01ARZ3NDEKTSV4RRFFQ69G5FAV", "01234567-89ab-cdef-0123-456789abcdef"
	if got := want[shown](t, a, 201, request("POST", "/v1/demo/users", body("ann", `"id":"`+users.ShortID(ulid)+`"`))); got.ID != users.ShortID(ulid) {
		t.Errorf("got %q", got.ID)
	}
	if u, err := a.host.User(t.Context(), "demo", ulid); err != nil || u.UserName != "ann" {
		t.Errorf("got %v and %v, want ann under a ULID", u, err)
	}
	want[shown](t, a, 201, request("POST", "/v1/demo/users", body("bob", `"id":"`+id+`"`)))
	want[any](t, a, 409, request("POST", "/v1/demo/users", body("eve", `"id":"`+users.ShortID(id)+`"`)))
	want[shown](t, a, 201, request("POST", "/v1/demo/users", body("dan", `"id":"0000000000000000000000"`)))
}

func TestNameIsTheUserNameAndDisplayNameTheOther(t *testing.T) {
	t.Parallel()
	a := newAPI(t, interop)
	for i, c := range []struct{ members, display string }{
		{``, ""},
		{`"name":"user1"`, ""},
		{`"name":"Ann"`, "Ann"},
		{`"displayName":"Ann"`, "Ann"},
		{`"name":"user4","displayName":"Ann"`, "Ann"},
		{`"name":"Bob","displayName":"Ann"`, "Ann"},
		{`"name":"Bob","displayName":""`, "Bob"},
		{`"name":null,"displayName":null`, ""},
	} {
		name := fmt.Sprint("user", i)
		got := want[shown](t, a, 201, request("POST", "/v1/demo/users", body(name, c.members)))
		if got.Name != name || got.display() != c.display {
			t.Errorf("created with %s: the name is %q and displayName %q, want %q and %q", c.members, got.Name, got.display(), name, c.display)
		}
	}
	want[any](t, a, 400, request("POST", "/v1/demo/users", body("eve", `"displayName":7`)))

	for i, c := range []struct{ change, userName, display string }{
		{`{}`, "", "Ann"},
		{`{"name":"ann"}`, "", "Ann"}, // as it is shown
		{`{"name":"ann","displayName":"Ann"}`, "", "Ann"},
		{`{"name":"ann","userName":"anna"}`, "anna", "Ann"}, // the .NET client's, whose userName was changed
		{`{"name":"anna","userName":"anna"}`, "anna", "Ann"},
		{`{"name":"anna","userName":"anna","displayName":"Anna"}`, "anna", "Anna"},
		{`{"name":"Anna"}`, "", "Anna"},
		{`{"name":"Anna","displayName":"Ann"}`, "", "Anna"}, // of what was fetched the name was changed
		{`{"name":"ann","displayName":"Anna"}`, "", "Anna"},
		{`{"name":"Bob","displayName":"Anna"}`, "", "Anna"},
		{`{"displayName":"Anna"}`, "", "Anna"},
		{`{"displayName":""}`, "", ""},
		{`{"name":"","displayName":"Ann"}`, "", ""},
		{`{"name":null,"displayName":null}`, "", "Ann"},
	} {
		name := "ann"
		u := want[shown](t, a, 201, request("POST", "/v1/demo/users", body(name, `"displayName":"Ann"`)))
		want[any](t, a, 204, request("PUT", "/v1/demo/users/"+u.ID, c.change))
		if c.userName != "" {
			name = c.userName
		}
		got := want[shown](t, a, 200, request("GET", "/v1/demo/users/"+u.ID, ""))
		if got.Name != name || got.UserName != name || got.display() != c.display {
			t.Errorf("%d %s: got %q, %q, %q, want %q twice and %q", i, c.change, got.UserName, got.Name, got.display(), name, c.display)
		}
		want[any](t, a, 204, request("DELETE", "/v1/demo/users/"+u.ID, ""))
	}
	want[any](t, a, 404, request("PUT", "/v1/demo/users/nobody", `{"name":"x"}`))

	got := want[map[string]any](t, a, 200, request("GET", "/v1/demo/users/user2?fields=displayName", ""))
	if got["displayName"] != "Ann" || got["name"] != nil || got["id"] == nil {
		t.Errorf("fields=displayName: got %v", got)
	}
}

func TestADotNetClientSendsAndKeepsWhatItKnows(t *testing.T) {
	t.Parallel()
	a := newAPI(t, func(s *setup) { interop(s); withUUIDs(s) })
	const zero = `"id":"0000000000000000000000","dateCreated":"0001-01-01T00:00:00","dateUpdated":"0001-01-01T00:00:00","creationDate":"0001-01-01T00:00:00"`
	made := want[shown](t, a, 201, request("POST", "/v1/demo/users", body("ann", zero+`,"roles":null,"displayName":"Ann","isApproved":true`)))
	if len(made.ID) != 22 || made.display() != "Ann" || len(made.Roles) != 0 {
		t.Fatalf("got %+v", made)
	}
	want[any](t, a, 204, request("PUT", "/v1/demo/users/"+made.ID, `{"roles":["editor"]}`))
	// It takes name for the userName, knows no displayName, and sends roles as null.
	want[any](t, a, 204, request("PUT", "/v1/demo/users/"+made.ID,
		`{"id":"`+made.ID+`","userName":"ann","name":"ann","email":"ann@new.example.com","roles":null,"dateUpdated":"2026-01-01T00:00:00","links":null}`))
	got := want[shown](t, a, 200, request("GET", "/v1/demo/users/"+made.ID, ""))
	if got.Email != "ann@new.example.com" || got.display() != "Ann" || len(got.Roles) != 1 {
		t.Errorf("got %+v, want a new address and the rest as it was", got)
	}
}

func TestLinksAreRelativeToTheApplicationOrAbsolute(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ baseURL, links, location string }{
		{"", "", "/v1/demo/"},
		{"https://api.example.com", "https://api.example.com/v1/demo/", "https://api.example.com/v1/demo/"},
	} {
		a := newAPI(t, func(s *setup) { interop(s); s.http.BaseURL = c.baseURL })
		for _, form := range forms {
			w := a.tell(request("POST", "/v1/demo/users?embed=roles", body("ann"+fmt.Sprint(len(form)), `"roles":["editor","viewer"]`), "Accept", form))
			id := decode[shown](t, w).ID
			if got := w.Header().Get("Location"); got != c.location+"users/"+id {
				t.Errorf("%s: Location is %q", form, got)
			}
			w2 := a.tell(request("GET", "/v1/demo/users?rpp=1&page=2&userIds="+id+"&embed=roles", "", "Accept", form))
			w3 := a.tell(request("GET", "/v1/demo/roles?rpp=1", "", "Accept", form))
			n := 0
			for _, w := range []*httptest.ResponseRecorder{w, w2, w3} {
				for _, href := range hrefs(decode[any](t, w)) {
					n++
					rest, ok := strings.CutPrefix(href, c.links)
					if !ok || !strings.HasPrefix(rest, "users") && !strings.HasPrefix(rest, "lookups/roles") {
						t.Errorf("%s: a link leads to %q, want it below %q", form, href, c.links)
					}
					if got := a.tell(request("OPTIONS", "/v1/demo/"+rest, "")).Code; got != 204 {
						t.Errorf("%s: OPTIONS %s: %d", form, rest, got)
					}
				}
			}
			if n < 20 {
				t.Errorf("%s: only %d links", form, n)
			}
		}
	}
}

// hrefs returns the href of every link in v.
func hrefs(v any) (all []string) {
	switch v := v.(type) {
	case map[string]any:
		for name, m := range v {
			if s, ok := m.(string); ok && name == "href" {
				all = append(all, s)
			}
			all = append(all, hrefs(m)...)
		}
	case []any:
		for _, m := range v {
			all = append(all, hrefs(m)...)
		}
	}
	return all
}

func TestAHALListHasItsItemsTwice(t *testing.T) {
	t.Parallel()
	a := newAPI(t, interop)
	a.user(t.Context(), "ann", "")
	for _, at := range []string{"users", "roles", "lookups/roles", "users?limit=1", "users?userIds=x"} {
		got := want[map[string]json.RawMessage](t, a, 200, request("GET", "/v1/demo/"+at, "", "Accept", "application/hal+json"))
		var embedded map[string]json.RawMessage
		if err := json.Unmarshal(got["_embedded"], &embedded); err != nil {
			t.Fatal(err)
		}
		if got["item"] == nil || string(got["item"]) != string(embedded["item"]) {
			t.Errorf("%s: item is %s, want %s", at, got["item"], embedded["item"])
		}
	}
}

func TestErrorsAreJSONUnlessProblemsAreNamed(t *testing.T) {
	t.Parallel()
	a := newAPI(t, interop)
	for accept, want := range map[string]string{
		"":                                 "application/json",
		"*/*":                              "application/json",
		"application/*":                    "application/json",
		"application/json":                 "application/json",
		"application/hal+json":             "application/json",
		"application/problem+json":         "application/problem+json",
		"*/*, application/problem+json":    "application/problem+json",
		"application/problem+json;q=0,*/*": "application/json",
		"text/html":                        "application/json",
	} {
		for _, r := range []*http.Request{
			request("GET", "/v1/demo/users/nobody", "", "Accept", accept),
			request("POST", "/v1/demo/users", "{}", "Accept", accept),
			request("GET", "/elsewhere", "", "Accept", accept),
			request("GET", "/v1/demo/users", "", "Accept", accept, "Authorization", ""),
		} {
			w := a.tell(r)
			p := decode[problem](t, w)
			if got := w.Header().Get("Content-Type"); got != want {
				t.Errorf("Accept %q, %s %s: the type of a %d is %q, want %q", accept, r.Method, r.URL, w.Code, got, want)
			}
			if p.Status != w.Code || p.ErrorCode != w.Code || p.Type != "about:blank" || p.Message == "" {
				t.Errorf("the members are %+v", p)
			}
		}
	}
	w := httptest.NewRecorder()
	a.WriteError(w, request("GET", "/mine", "", "Origin", appOrigin), users.ErrNotFound)
	if got := w.Header(); got.Get("Content-Type") != "application/json" || got.Get("Access-Control-Allow-Origin") != appOrigin {
		t.Errorf("WriteError answers with %v", got)
	}
}

func TestNamedOriginsMayCall(t *testing.T) {
	t.Parallel()
	a := newAPI(t, interop)
	a.user(t.Context(), "ann", "")
	panicking := newAPI(t, func(s *setup) {
		interop(s)
		s.authenticate = func(*http.Request, string) (users.Caller, error) { panic("x") }
	})
	for why, w := range map[string]*httptest.ResponseRecorder{
		"an answer":       a.tell(request("GET", "/v1/demo/users/ann", "", "Origin", appOrigin)),
		"no content":      a.tell(request("DELETE", "/v1/demo/users/ann", "", "Origin", appOrigin)),
		"a 400":           a.tell(request("POST", "/v1/demo/users", "{}", "Origin", appOrigin)),
		"a 401":           a.tell(request("GET", "/v1/demo/users", "", "Origin", appOrigin, "Authorization", "")),
		"a 404":           a.tell(request("GET", "/elsewhere", "", "Origin", appOrigin)),
		"a 405":           a.tell(request("PATCH", "/v1/demo/users", "", "Origin", appOrigin)),
		"a plain OPTIONS": a.tell(request("OPTIONS", "/v1/demo/users", "", "Origin", appOrigin)),
		"a 500":           panicking.tell(request("GET", "/v1/demo/users", "", "Origin", appOrigin)),
	} {
		h := w.Header()
		got := fmt.Sprint(h["Access-Control-Allow-Origin"], h["Access-Control-Allow-Credentials"], h["Access-Control-Expose-Headers"], h["Vary"])
		if got != "["+appOrigin+"] [true] [WWW-Authenticate, Location, ETag, Retry-After] [Origin Accept]" {
			t.Errorf("%s (%d): got %s", why, w.Code, got)
		}
		if h["Access-Control-Allow-Methods"] != nil {
			t.Errorf("%s: it is answered as a preflight", why)
		}
	}

	for _, path := range []string{"/v1/demo/users", "/v1/demo/users/ann/lock", "/v1/ghost/users", "/v1/demo/nothing"} {
		w := a.tell(request("OPTIONS", path, "", "Authorization", "", "Origin", appOrigin, "Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "authorization,content-type"))
		h := w.Header()
		if w.Code != 204 || h.Get("Access-Control-Allow-Origin") != appOrigin || h.Get("Access-Control-Allow-Credentials") != "true" {
			t.Errorf("the preflight of %s: got %d and %v", path, w.Code, h)
		}
		for _, m := range []string{"GET", "HEAD", "POST", "PUT", "DELETE"} {
			if !slices.Contains(strings.Split(h.Get("Access-Control-Allow-Methods"), ", "), m) {
				t.Errorf("the preflight of %s does not allow %s: %v", path, m, h)
			}
		}
		for _, name := range []string{"Authorization", "Content-Type", "Accept", "Idempotency-Key", "If-Match"} {
			if !slices.Contains(strings.Split(h.Get("Access-Control-Allow-Headers"), ", "), name) {
				t.Errorf("the preflight of %s does not allow %s: %v", path, name, h)
			}
		}
	}
}

func TestOtherOriginsMayNot(t *testing.T) {
	t.Parallel()
	a := newAPI(t, interop)
	for _, origin := range []string{"", "null", "*", "https://evil.example.com", "http://app.example.com", appOrigin + ":8443", appOrigin + "/", appOrigin + ".evil.example.com", "https://APP.example.com", "http://localhost"} {
		for _, method := range []string{"GET", "OPTIONS"} {
			w := a.tell(request(method, "/v1/demo/users", "", "Origin", origin, "Access-Control-Request-Method", "PUT"))
			wantNoCORS(t, "origin "+origin, w)
			if got := w.Header()["Vary"]; !slices.Contains(got, "Origin") {
				t.Errorf("origin %q: Vary is %v, want Origin among it", origin, got)
			}
		}
	}
	two := request("GET", "/v1/demo/users", "", "Origin", appOrigin)
	two.Header.Add("Origin", "https://evil.example.com")
	wantNoCORS(t, "two origins", a.tell(two))

	closed := newAPI(t, func(s *setup) { interop(s); s.http.Interop.Origins = nil })
	w := closed.tell(request("GET", "/v1/demo/users", "", "Origin", appOrigin))
	wantNoCORS(t, "without Origins", w)
	if got := fmt.Sprint(w.Header()["Vary"]); got != "[Accept]" {
		t.Errorf("without Origins Vary is %s", got)
	}
}

func wantNoCORS(t *testing.T, why string, w *httptest.ResponseRecorder) {
	t.Helper()
	for name := range w.Header() {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("%s: got %s: %v", why, name, w.Header()[name])
		}
	}
}

func TestInteropOriginsThatAreNoneAreRefused(t *testing.T) {
	t.Parallel()
	svc := newService(t, newAPI(t, nil).store, &users.Options{Hasher: password.InsecureForTests()})
	none := func(*http.Request, string) (users.Caller, error) { return users.Caller{}, httpapi.ErrNoCredentials }
	for origin, ok := range map[string]bool{
		"https://app.example.com": true, "http://localhost:5173": true, "http://[::1]:8080": true, "http://127.0.0.1": true,
		"capacitor://localhost": true, "https://xn--bcher-kva.example": true,
		"": false, "*": false, "null": false, "app.example.com": false, "https://": false, "https://app.example.com/": false,
		"https://app.example.com/x": false, "https://*.example.com": false, "https://App.example.com": false, "HTTPS://app.example.com": false,
		"https://app.example.com:443": false, "http://app.example.com:80": false, "https://u:p@app.example.com": false, "https://app.example.com?": false,
		"https://app.example.com#": false, "https://app.example.com:": false, "https://bücher.example": false, "https://a b": false, " https://app.example.com": false,
	} {
		_, err := httpapi.New(svc, none, &httpapi.Options{Interop: &httpapi.Interop{Origins: []string{appOrigin, origin}}})
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "httpapi: New: Interop.Origins[1] ") {
			t.Errorf("origin %q: got %v, want it to be taken: %v", origin, err, ok)
		}
	}
	if _, err := httpapi.New(svc, none, &httpapi.Options{Interop: &httpapi.Interop{}, ExtraMembers: []string{"displayName"}}); err == nil {
		t.Error("displayName as an additional member is taken")
	}
}

func TestInteropIsCopied(t *testing.T) {
	t.Parallel()
	var given *httpapi.Interop
	a := newAPI(t, func(s *setup) { interop(s); given = s.http.Interop })
	given.Origins[1], given.SignIn = "https://evil.example.com", nil
	wantNoCORS(t, "an origin that was written later", a.tell(request("GET", "/v1/demo/users", "", "Origin", "https://evil.example.com")))
	want[any](t, a, 405, request("GET", "/v1/demo/login", ""))
}

// TestWithoutInteropNothingChanges: what each part of Interop would change is as the
// rest of the API has it.
func TestWithoutInteropNothingChanges(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	u := a.user(t.Context(), "ann", "")
	short := users.ShortID(u.ID)

	w := a.post(body("bob", `"name":"Bob","displayName":7`), "Origin", appOrigin)
	made := decode[shown](t, w)
	if w.Code != 201 || made.Name != "Bob" || made.DisplayName != nil || len(made.ID) != 26 || w.Header().Get("Location") != "/v1/demo/users/"+made.ID {
		t.Errorf("got %d %s %v", w.Code, w.Body, w.Header())
	}
	if got := fmt.Sprint(w.Header()["Vary"]); got != "[Accept]" {
		t.Errorf("Vary is %s", got)
	}
	wantNoCORS(t, "an answer", w)
	for _, l := range made.Links {
		if !strings.HasPrefix(l.Href, "/v1/demo/") {
			t.Errorf("a link leads to %q", l.Href)
		}
	}
	if got := a.get("/v1/demo/users?fields=displayName").Code; got != 400 {
		t.Errorf("fields=displayName: got %d, want 400", got)
	}

	for _, r := range []*http.Request{
		request("GET", "/v1/demo/users/"+short, ""),
		request("POST", "/v1/demo/login", "grant_type=password", "Content-Type", "application/x-www-form-urlencoded"),
		request("POST", "/v1/demo/Login", "grant_type=password", "Content-Type", "application/x-www-form-urlencoded"),
		request("OPTIONS", "/v1/demo/login", "", "Origin", appOrigin, "Access-Control-Request-Method", "POST"),
	} {
		w := a.tell(r)
		if w.Code != 404 || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: got %d %v, want 404 as a problem", r.Method, r.URL, w.Code, w.Header())
		}
		wantNoCORS(t, r.URL.Path, w)
	}
	w = a.do(request("OPTIONS", "/v1/demo/users", "", "Origin", appOrigin, "Access-Control-Request-Method", "POST"))
	if wantNoCORS(t, "a preflight", w); w.Code != 204 || w.Header().Get("Allow") == "" {
		t.Errorf("a preflight: got %d %v", w.Code, w.Header())
	}
	if got := a.page("/v1/demo/users?userIds=" + short).names("id"); got != "" {
		t.Errorf("userIds finds %q by a short id", got)
	}
	list := decode[map[string]any](t, a.get("/v1/demo/users", "Accept", "application/hal+json"))
	if list["item"] != nil {
		t.Errorf("a HAL list has item: %v", list)
	}
}

func login(form string, headers ...string) *http.Request {
	return request("POST", "/v1/demo/login", form, append([]string{"Authorization", "", "Content-Type", "application/x-www-form-urlencoded; charset=UTF-8"}, headers...)...)
}

// form is a login of ann.
func form(name, pw string) string {
	return "grant_type=password&username=" + name + "&password=" + strings.ReplaceAll(pw, " ", "+")
}

func TestLoginAnswersWithAToken(t *testing.T) {
	t.Parallel()
	a := newAPI(t, interop)
	want[any](t, a, 201, request("POST", "/v1/demo/users", body("ann", "")))
	upper := login(form("ann", goodPassword))
	upper.URL.Path = "/v1/demo/Login/"
	for why, r := range map[string]*http.Request{
		"by name":        login(form("ann", goodPassword)),
		"by address":     login(form("ann%40example.com", goodPassword)),
		"HAL":            login(form("ANN", goodPassword), "Accept", "application/hal+json; charset=UTF-8"),
		"a stale bearer": login(form("ann", goodPassword), "Authorization", "Bearer stale"),
		"two of them":    login(form("ann", goodPassword), "Authorization", "Bearer a, Bearer b"),
		"Login":          upper,
		"more members":   login(form("ann", goodPassword) + "&client_id=x&scope=a&scope=b"),
	} {
		w := a.tell(r)
		if got, want := w.Body.String(), `{"access_token":"token-of-ann@demo","token_type":"bearer","expires_in":1200}`; w.Code != 201 || got != want {
			t.Errorf("%s: got %d %s, want 201 %s", why, w.Code, got, want)
		}
		if got := w.Header(); got.Get("Content-Type") != "application/json" || got.Get("Cache-Control") != "no-store" || got.Get("Pragma") != "no-cache" || got.Get("Location") != "" {
			t.Errorf("%s: got %v", why, got)
		}
	}
}

type refusal struct {
	Error, Message   string
	ErrorDescription string `json:"error_description"`
	Status           int
}

func TestLoginTellsNothingToWhoHasNotThePassword(t *testing.T) {
	t.Parallel()
	a := newAPI(t, interop)
	for name, more := range map[string]string{"ann": "", "locked": `"isLockedOut":true`, "waiting": `"isApproved":false`} {
		want[any](t, a, 201, request("POST", "/v1/demo/users", body(name, more)))
	}
	const wrong = "the user name or the password is wrong"
	for _, c := range []struct{ name, pw, description string }{
		{"ann", "wrong", wrong},
		{"nobody", goodPassword, wrong},
		{"locked", "wrong", wrong},
		{"waiting", "wrong", wrong},
		{"locked", goodPassword, "the user is locked out"},
		{"waiting", goodPassword, "the user is not approved"},
	} {
		w := a.tell(login(form(c.name, c.pw)))
		got := decode[refusal](t, w)
		if w.Code != 400 || got != (refusal{"invalid_grant", c.description, c.description, 400}) {
			t.Errorf("%s with %s: got %d %s, want 400 with %q", c.name, c.pw, w.Code, w.Body, c.description)
		}
		if h := w.Header(); h.Get("WWW-Authenticate") != "" || h.Get("Content-Type") != "application/json" {
			t.Errorf("%s with %s: got %v", c.name, c.pw, h)
		}
	}
	ghost := login(form("ann", goodPassword))
	ghost.URL.Path = "/v1/ghost/login"
	if got := want[refusal](t, a, 400, ghost); got.Error != "invalid_grant" || got.ErrorDescription != wrong {
		t.Errorf("an application that does not exist: got %+v", got)
	}
}

func TestLoginTakesOneFormAlone(t *testing.T) {
	t.Parallel()
	a := newAPI(t, interop)
	for f, code := range map[string]string{
		"":                                 "invalid_request",
		"username=ann&password=x":          "invalid_request",
		"grant_type=password&username=ann": "invalid_request",
		"grant_type=password&password=x":   "invalid_request",
		form("ann", "x") + "&username=bob": "invalid_request",
		form("ann", "x") + "&grant_type=x": "invalid_request",
		form("ann", ""):                    "invalid_request",
		"%zz":                              "invalid_request",
		"grant_type=refresh_token&username=a&password=b": "unsupported_grant_type",
	} {
		if got := want[refusal](t, a, 400, login(f)); got.Error != code {
			t.Errorf("%q: got %+v, want %s", f, got, code)
		}
	}
	// What can't be a name or a password is a wrong one.
	for _, f := range []string{form("%ff", "x"), form("ann", "%ff"), form("ann", strings.Repeat("x", 100_000)), form("%00", "%00")} {
		if got := want[refusal](t, a, 400, login(f)); got.Error != "invalid_grant" {
			t.Errorf("%.60q: got %+v, want invalid_grant", f, got)
		}
	}
	for _, r := range []*http.Request{login(`{"username":"ann"}`, "Content-Type", "application/json"), login(form("ann", "x"), "Content-Type", "")} {
		if w := a.tell(r); w.Code != 415 || w.Header().Get("Accept") != "application/x-www-form-urlencoded" {
			t.Errorf("got %d %v, want 415 that names the type", w.Code, w.Header())
		}
	}
	want[any](t, a, 415, login(form("ann", "x"), "Content-Encoding", "gzip"))
	want[any](t, a, 406, login(form("ann", "x"), "Accept", "text/html"))
	want[any](t, a, 413, login(form("ann", strings.Repeat("x", httpapi.MaxBody))))
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		if w := a.tell(request(method, "/v1/demo/login", "")); w.Code != 405 || w.Header().Get("Allow") != "POST, OPTIONS" {
			t.Errorf("%s login: got %d %v, want 405", method, w.Code, w.Header())
		}
	}
}

func TestLoginIsLimitedAsEverythingElse(t *testing.T) {
	t.Parallel()
	limited := newAPI(t, func(s *setup) {
		interop(s)
		admitting(&users.TooManyRequestsError{RetryAfter: 7 * time.Second})(s)
	})
	if w := limited.tell(login(form("ann", "x"))); w.Code != 429 || w.Header().Get("Retry-After") != "7" {
		t.Errorf("Admit: got %d %v, want 429", w.Code, w.Header())
	}
	down := newAPI(t, func(s *setup) { interop(s); failing(users.ErrUnavailable, storefake.FindUsers)(s) })
	if w := down.tell(login(form("ann", "x"))); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("a store that is down: got %d %v, want 503", w.Code, w.Header())
	}
	synctest.Test(t, testLoginBehindAFullQueue)
}

func testLoginBehindAFullQueue(t *testing.T) {
	gate, err := password.NewGate(&password.GateOptions{Slots: 1, Queue: 1})
	if err != nil {
		t.Fatal(err)
	}
	a := newAPI(t, func(s *setup) { interop(s); s.service.Gate = gate })
	defer fill(t, gate, "demo\x00login")()
	if w := a.tell(login(form("ann", "x"))); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("a full queue: got %d %s, want 503", w.Code, w.Body)
	}
}

func TestWhatSignInSaysIsTheHosts(t *testing.T) {
	t.Parallel()
	for why, c := range map[string]struct {
		token  httpapi.AccessToken
		err    error
		status int
	}{
		"an error":           {err: errors.New("s3cret"), status: 500},
		"a class of its own": {err: users.ErrBadCredentials, status: 500},
		"a refusal":          {err: &users.ForbiddenError{Detail: "not from here"}, status: 403},
		"too many":           {err: &users.TooManyRequestsError{RetryAfter: time.Second}, status: 429},
		"no token":           {status: 500},
		"an end in the past": {token: httpapi.AccessToken{Secret: password.New("t"), ExpiresIn: -1}, status: 500},
		"no end":             {token: httpapi.AccessToken{Secret: password.New("t")}, status: 201},
	} {
		a := newAPI(t, func(s *setup) {
			interop(s)
			s.http.Logger = logger(io.Discard)
			s.http.Interop.SignIn = func(context.Context, string, users.User) (httpapi.AccessToken, error) { return c.token, c.err }
		})
		want[any](t, a, 201, request("POST", "/v1/demo/users", body("ann", "")))
		w := a.tell(login(form("ann", goodPassword)))
		if w.Code != c.status || strings.Contains(w.Body.String(), "s3cret") {
			t.Errorf("%s: got %d %s, want %d", why, w.Code, w.Body, c.status)
		}
		if c.status == 201 && w.Body.String() != `{"access_token":"t","token_type":"bearer"}` {
			t.Errorf("%s: got %s", why, w.Body)
		}
	}
}

func TestWithoutSignInThereIsNoLogin(t *testing.T) {
	t.Parallel()
	a := newAPI(t, func(s *setup) { interop(s); s.http.Interop.SignIn = nil })
	want[any](t, a, 404, login(form("ann", "x")))
	want[any](t, a, 404, request("OPTIONS", "/v1/demo/login", ""))
}

// TestLookingForAnIdFailsAsTheStoreDoes: what is looked for on the way is no other
// error, and learned by nobody.
func TestLookingForAnIdFailsAsTheStoreDoes(t *testing.T) {
	t.Parallel()
	const nobody = "0000000000000000000001"
	for _, m := range []storefake.Method{storefake.FindUsers, storefake.FindRoles} {
		a := newAPI(t, func(s *setup) { interop(s); failing(users.ErrUnavailable, m)(s) })
		at := "/v1/demo/users/" + nobody
		if m == storefake.FindRoles {
			at = "/v1/demo/roles/" + nobody
		}
		want[any](t, a, 503, request("GET", at, ""))
	}
	a := newAPI(t, interop)
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		want[any](t, a, 403, request(method, "/v1/demo/users/"+nobody, "{}", "Authorization", "Bearer "+nobodyToken))
		want[any](t, a, 403, request(method, "/v1/demo/roles/"+nobody, "{}", "Authorization", "Bearer "+nobodyToken))
		want[any](t, a, 404, request(method, "/v1/demo/users/"+nobody, "{}"))
		want[any](t, a, 404, request(method, "/v1/demo/roles/"+nobody, "{}"))
	}
}

// Whether there is a role is not for everybody to learn.
func TestARoleThatIsNotThereIsRefusedAsOneThatIs(t *testing.T) {
	t.Parallel()
	for form, ids := range map[string]func(*setup){"ULID": func(*setup) {}, "UUID": withUUIDs} {
		a := newAPI(t, func(s *setup) { interop(s); ids(s) })
		there := want[shown](t, a, 201, request("POST", "/v1/demo/roles", `{"name":"temp"}`)).ID
		a.user(t.Context(), "ann", "")
		for _, op := range []struct{ method, path, body string }{
			{"POST", "", body("bob", `"roles":[{"id":"%s"}]`)}, {"PUT", "/ann", `{"roles":[{"id":"%s"}]}`},
		} {
			send := func(id, token string) *httptest.ResponseRecorder {
				return a.tell(request(op.method, "/v1/demo/users"+op.path, fmt.Sprintf(op.body, id), "Authorization", "Bearer "+token))
			}
			const ghost = "0000000000000000000001"
			is, isNot := send(there, limitedToken), send(ghost, limitedToken)
			if is.Code != 403 || isNot.Code != 403 || is.Body.String() != isNot.Body.String() {
				t.Errorf("%s: %s: got %d %s and %d %s, want 403 twice, the same", form, op.method, is.Code, is.Body, isNot.Code, isNot.Body)
			}
			if w := send(ghost, adminToken); w.Code != 400 || codes(t, w) != "/roles/0/id unknown_role" && codes(t, w) != "/roles/0 unknown_role" {
				t.Errorf("%s: %s: got %d %s, want 400 unknown_role", form, op.method, w.Code, w.Body)
			}
		}
	}
}

func TestARepeatStaysOneWhenItsRoleIsGone(t *testing.T) {
	t.Parallel()
	a := newAPI(t, interop)
	short := users.ShortID(a.viewer.ID)
	send := func() *http.Request {
		return request("POST", "/v1/demo/users", body("ann", `"roles":[{"id":"`+short+`"}]`), "Idempotency-Key", "k")
	}
	made := want[shown](t, a, 201, send())
	want[any](t, a, 204, request("PUT", "/v1/demo/users/ann", `{"roles":[]}`))
	want[any](t, a, 204, request("DELETE", "/v1/demo/roles/"+short, ""))
	if again := want[shown](t, a, 201, send()); again.ID != made.ID {
		t.Errorf("got %s, want %s", again.ID, made.ID)
	}
}

// A name that could be another's short id would take over what refers to that.
func TestANewNameIsNoShortId(t *testing.T) {
	t.Parallel()
	a := newAPI(t, interop)
	ann := a.user(t.Context(), "ann", "")
	short := users.ShortID(ann.ID)
	wide := strings.Map(func(r rune) rune { return r - '!' + '\uff01' }, short)
	for _, name := range []string{short, strings.ToLower(short), strings.ToUpper(short), wide, strings.Repeat("a", 22), strings.Repeat("9", 26), strings.Repeat("\u212a", 23)} {
		for _, w := range []*httptest.ResponseRecorder{
			a.tell(request("POST", "/v1/demo/users", strings.ReplaceAll(body("bob", ""), `"bob"`, `"`+name+`"`))),
			a.tell(request("PUT", "/v1/demo/users/ann", `{"userName":"`+name+`"}`)),
			a.tell(request("PUT", "/v1/demo/users/ann", `{"userName":"`+name+`","name":"`+name+`"}`)),
		} {
			if got := codes(t, w); w.Code != 400 || got != "/userName looks_like_id" {
				t.Errorf("%s: got %d %s, want 400 at /userName", name, w.Code, got)
			}
		}
	}
	if w := a.tell(request("POST", "/v1/demo/users", `{"userName":"`+ann.ID+`","email":"x","autoCreatePassword":true}`)); codes(t, w) != "/userName looks_like_id, /email invalid_email" {
		t.Errorf("a long id: got %s, want each fault once", codes(t, w))
	}
	for _, name := range []string{strings.Repeat("a", 21), strings.Repeat("a", 27), strings.Repeat("a", 22) + "-", strings.Repeat("é", 12)} {
		want[shown](t, a, 201, request("POST", "/v1/demo/users", strings.ReplaceAll(body("u"+fmt.Sprint(len(name)), ""), `"u`+fmt.Sprint(len(name))+`"`, `"`+name+`"`)))
	}
	limited := []string{"Authorization", "Bearer " + limitedToken}
	want[any](t, a, 403, request("PUT", "/v1/demo/users/ann", `{"userName":"`+short+`"}`, limited...))
	want[any](t, a, 404, request("PUT", "/v1/demo/users/nobody", `{"userName":"`+short+`"}`))

	old := strings.Repeat("x", 24) // the host's own
	a.user(t.Context(), old, "")
	want[any](t, a, 204, request("PUT", "/v1/demo/users/"+old, `{"userName":"`+old+`","name":"`+old+`","displayName":"X"}`))
	if got := want[shown](t, a, 200, request("GET", "/v1/demo/users/"+old, "")); got.display() != "X" {
		t.Errorf("got %+v, want the display name changed", got)
	}
	want[any](t, a, 400, request("PUT", "/v1/demo/users/"+old, `{"userName":"`+strings.ToUpper(old)+`"}`))
	// Without Interop it is a name like others.
	if w := newAPI(t, nil).post(body(short, "")); w.Code != 201 {
		t.Errorf("without Interop: got %d %s", w.Code, w.Body)
	}
}

// Of two users with one shown id a client could reach only one.
func TestAnIdThatIsShownAsAnothersIsTaken(t *testing.T) {
	t.Parallel()
	a := newAPI(t, interop)
	const ulid, uuid = "01ARZ3NDEKTSV4RRFFQ69G5FAV", "01234567-89ab-cdef-0123-456789abcdef"
	create := func(name, id, token string) *httptest.ResponseRecorder {
		return a.tell(request("POST", "/v1/demo/users", body(name, `"id":"`+id+`"`), "Authorization", "Bearer "+token, "Idempotency-Key", name))
	}
	for i, id := range []string{ulid, uuid} {
		name := fmt.Sprint("ann", i)
		for range 2 { // a repeat is none of another
			if w := create(name, id, adminToken); w.Code != 201 {
				t.Fatalf("%s: got %d %s", id, w.Code, w.Body)
			}
		}
		forms := users.LongIDs(users.ShortID(id))
		for j, id := range []string{forms[0], forms[1], strings.ToLower(forms[0]), strings.ToUpper(forms[1]), users.ShortID(id)} {
			other := fmt.Sprintf("bob%d-%d", i, j)
			if w := create(other, id, adminToken); w.Code != 409 || codes(t, w) != "/id taken" {
				t.Errorf("%s: got %d %s, want 409 at /id", id, w.Code, w.Body)
			}
			if w := create(other, id, limitedToken); w.Code != 403 {
				t.Errorf("%s: got %d %s, want 403 for who may not choose", id, w.Code, w.Body)
			}
		}
	}
	if w := create("eve", users.LongIDs("0000000000000000000001")[1], adminToken); w.Code != 201 {
		t.Errorf("a free UUID: got %d %s", w.Code, w.Body)
	}
	if ok, err := a.host.Exists(t.Context(), "demo", users.LongIDs("0000000000000000000001")[1]); err != nil || !ok {
		t.Errorf("got %v and %v, want eve under the UUID", ok, err)
	}
}
