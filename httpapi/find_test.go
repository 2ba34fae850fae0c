package httpapi_test

import (
	"context"
	"fmt"
	"maps"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
	"github.com/gousers/users/internal/storefake"
)

var forms = []string{"application/json", "application/hal+json"}

// page is a page of a list in either form.
type page struct {
	Page, RecordsPerPage     int
	TotalRecords             *int64
	SearchQuery, Sort, Embed string
	Item                     []map[string]any
	Links                    []struct{ Rel, Href string }
	Embedded                 struct{ Item []map[string]any }  `json:"_embedded"`
	HALLinks                 map[string]struct{ Href string } `json:"_links"`
}

func (p page) items() []map[string]any { return append(p.Item, p.Embedded.Item...) }

// link returns the URL of a relation; empty if there is none.
func (p page) link(rel string) string {
	for _, l := range p.Links {
		if l.Rel == rel {
			return l.Href
		}
	}
	return p.HALLinks[rel].Href
}

// names returns a member of the items.
func (p page) names(member string) string {
	var names []string
	for _, item := range p.items() {
		names = append(names, fmt.Sprint(item[member]))
	}
	return strings.Join(names, " ")
}

func (a *api) page(at string, headers ...string) page {
	a.t.Helper()
	w := a.get(at, headers...)
	if w.Code != 200 {
		a.t.Fatalf("GET %s: got %d %s", at, w.Code, w.Body)
	}
	return decode[page](a.t, w)
}

// uuid returns ids in the order of i.
func uuid(i int) string { return fmt.Sprintf("aaaaaaaa-0000-4000-8000-%012d", i) }

// people makes the users ann (editor), bob (viewer, not approved) and cid (locked out).
func (a *api) people() map[string]*users.User {
	a.t.Helper()
	all := map[string]*users.User{}
	for i, p := range []users.CreateUserParams{
		{UserName: "ann", Email: "z@example.com", Name: "Zoe", Roles: []users.RoleRef{{Name: "editor"}}},
		{UserName: "bob", Email: "y@example.org", Name: "Émile", Roles: []users.RoleRef{{Name: "viewer"}}, IsApproved: new(false)},
		{UserName: "cid", Email: "x@example.com", IsLockedOut: new(true)},
	} {
		p.AutoCreatePassword, p.ID = true, uuid(i)
		u, err := a.host.Create(context.Background(), "demo", p)
		if err != nil {
			a.t.Fatal(err)
		}
		all[p.UserName] = u
	}
	return all
}

func TestFindUsersByWhatTheQuerySays(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	u := a.people()
	for q, want := range map[string]string{
		"":                                   "ann bob cid",
		"sort=userName|desc":                 "cid bob ann",
		"sort=-userName":                     "cid bob ann",
		"sort=USERNAME%7CDESC":               "cid bob ann",
		"sort=email":                         "cid bob ann",
		"sort=%20email%20|%20asc,":           "cid bob ann",
		"sort=isApproved,-userName":          "bob cid ann",
		"sort=isApproved&sort=userName|desc": "bob cid ann",
		"sort=-name":                         "bob ann cid",
		"searchQuery=BO":                     "bob",
		"searchQuery=%C3%A9mil":              "bob",
		"searchQuery=example.com":            "ann cid",
		"searchQuery=%25":                    "",
		"searchQuery=+":                      "ann bob cid",
		"searchQuery=":                       "ann bob cid",
		"isApproved=false":                   "bob",
		"isApproved=True&isLocked=FALSE":     "ann",
		"isLocked=true":                      "cid",
		"userIds=" + u["ann"].ID + "," + u["cid"].ID:         "ann cid",
		"userIds=" + u["ann"].ID + "&userIds=" + u["cid"].ID: "ann cid",
		"userIds=" + strings.ToLower(u["bob"].ID):            "bob",
		"userIds=nobody":             "",
		"userIds=%ff":                "",
		"userIds=":                   "ann bob cid",
		"roleNames=editor":           "ann",
		"roleNames=editor,%20viewer": "ann bob",
		"roleNames=editor&roleIds=" + a.viewer.ID: "ann bob",
		"roleIds=" + a.viewer.ID:                  "bob",
		"roleIds=0":                               "",
		"roleNames=none":                          "",
		"roleNames=%ff":                           "",
		"page=2&rpp=2":                            "cid",
		"page=3&rpp=2":                            "",
		"page=&rpp=&after=&limit=":                "ann bob cid",
		"limit=2":                                 "ann bob",
		"limit=2&sort=-email":                     "ann bob",
		"limit=2&sort=dateCreated|desc":           "cid bob",
		"unknown=1":                               "ann bob cid",
	} {
		for _, accept := range forms {
			for _, at := range []string{"/v1/demo/users?", "/v1/demo/users/?"} {
				if got := a.page(at+q, "Accept", accept).names("userName"); got != want {
					t.Errorf("%s as %s: got %q, want %q", q, accept, got, want)
				}
			}
		}
	}
}

func TestListsSayWhichPageTheyAre(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	a.people()
	about := []string{"embed", "item", "links", "page", "recordsPerPage", "searchQuery", "sort", "totalRecords"}
	for q, want := range map[string]struct {
		page, limit    int
		total          int64 // -1: not told
		previous, next string
	}{
		"users?":                         {1, 10, 3, "", ""},
		"users?rpp=2":                    {1, 2, 3, "", "users?page=2&rpp=2"},
		"users?rpp=2&page=2":             {2, 2, 3, "users?page=1&rpp=2", ""},
		"users?rpp=1&page=2":             {2, 1, 3, "users?page=1&rpp=1", "users?page=3&rpp=1"},
		"users?rpp=2&page=9":             {9, 2, 3, "users?page=2&rpp=2", ""},
		"users?searchQuery=none&page=7":  {7, 10, 0, "users?page=1&searchQuery=none", ""},
		"users?searchQuery=none":         {1, 10, 0, "", ""},
		"users?limit=3":                  {0, 3, -1, "", ""},
		"users?limit=1000&sort=-email":   {0, 1000, -1, "", ""},
		"roles?":                         {1, 10, 2, "", ""},
		"roles?rpp=1":                    {1, 1, 2, "", "roles?page=2&rpp=1"},
		"roles?rpp=1&page=2&sort=-name":  {2, 1, 2, "roles?page=1&rpp=1&sort=-name", ""},
		"roles?searchQuery=none&x=1":     {1, 10, 0, "", ""},
		"roles?limit=2":                  {0, 2, -1, "", ""},
		"lookups/roles?limit=7":          {0, 7, -1, "", ""},
		"lookups/roles/?page=1&rpp=1000": {1, 1000, 2, "", ""},
	} {
		for _, accept := range forms {
			w := a.get("/v1/demo/"+q, "Accept", accept)
			got := decode[page](t, w)
			total := int64(-1)
			if got.TotalRecords != nil {
				total = *got.TotalRecords
			}
			below := func(href string) string { return strings.TrimPrefix(href, "/v1/demo/") }
			if got.Page != want.page || got.RecordsPerPage != want.limit || total != want.total ||
				below(got.link("previous")) != want.previous || below(got.link("next")) != want.next {
				t.Errorf("%s as %s: got %s, want %+v", q, accept, w.Body, want)
			}
			if self := a.page(got.link("self"), "Accept", accept); fmt.Sprint(self.items(), self.Page, self.RecordsPerPage) != fmt.Sprint(got.items(), got.Page, got.RecordsPerPage) {
				t.Errorf("%s as %s: self is another page: %v", q, accept, self)
			}

			members := slices.Sorted(maps.Keys(decode[map[string]any](t, w)))
			names := slices.Clone(about)
			if want.total < 0 {
				names = slices.DeleteFunc(names, func(n string) bool { return n == "page" || n == "totalRecords" })
			}
			if accept != "application/json" {
				names = append(slices.DeleteFunc(names, func(n string) bool { return n == "item" || n == "links" }), "_embedded", "_links")
				slices.Sort(names)
			}
			if !slices.Equal(members, names) {
				t.Errorf("%s as %s: got the members %q, want %q", q, accept, members, names)
			}
		}
	}
	got := a.page("/v1/demo/users?searchQuery=EXAMPLE&sort=-email,%20id&embed=roles,roles")
	if got.SearchQuery != "EXAMPLE" || got.Sort != "-email, id" || got.Embed != "roles" {
		t.Errorf("got %+v, want what was asked for", got)
	}
	if got := a.page("/v1/demo/roles?searchQuery=E&sort=name|desc"); got.SearchQuery != "E" || got.Sort != "name|desc" || got.Embed != "" {
		t.Errorf("roles: got %+v, want what was asked for", got)
	}
}

func TestPagesLeadThroughAllUsersOnce(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	var want []string
	for i := range 11 {
		name := fmt.Sprintf("user%02d", i)
		p := users.CreateUserParams{ID: uuid(i), UserName: name, Email: name + "@example.com", Name: name, AutoCreatePassword: true}
		if _, err := a.host.Create(t.Context(), "demo", p); err != nil {
			t.Fatal(err)
		}
		want = append(want, name)
	}
	for _, q := range []string{"limit=1", "limit=3", "limit=11", "limit=4&sort=userName&fields=userName", "limit=4&sort=email|asc", "limit=5&sort=dateCreated", "rpp=3", "rpp=11", "", "rpp=4&sort=name,userName&embed=roles"} {
		for _, accept := range forms {
			var got []string
			var back []string
			for at := "/v1/demo/users?" + q; at != "" && len(got) <= len(want); {
				p := a.page(at, "Accept", accept)
				got = append(got, strings.Fields(p.names("userName"))...)
				at = p.link("next")
				if previous := p.link("previous"); previous != "" {
					back = append(back, a.page(previous, "Accept", accept).link("next"))
				}
				if at == "" && len(back) > 0 && p.link("self") != back[len(back)-1] {
					t.Errorf("%s as %s: behind the page before comes %s, want %s", q, accept, back[len(back)-1], p.link("self"))
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s as %s: got %q, want %q", q, accept, got, want)
			}
		}
	}
}

// endless is a store with so many users that not all have a page with a number.
type endless struct{ users.Store }

func (e endless) Unwrap() users.Store { return e.Store }

func (endless) ListUsers(context.Context, users.UserListing) (users.UserList, error) {
	return users.UserList{Total: 1e9}, nil
}

func TestNoLinkLeadsToAPageThatIsRefused(t *testing.T) {
	t.Parallel()
	a := newAPI(t, func(s *setup) { s.store = func(s users.Store) users.Store { return endless{s} } })
	for q, next := range map[string]bool{
		"page=101&rpp=1000": false, "page=100&rpp=1000": true, "page=100001&rpp=1": false, "page=100000&rpp=1": true, "page=334&rpp=300": false, "page=333&rpp=300": true,
	} {
		at := a.page("/v1/demo/users?" + q).link("next")
		if (at != "") != next {
			t.Errorf("%s: got next %q, want one: %t", q, at, next)
		} else if next {
			a.page(at)
		}
	}
}

func TestFaultsOfAQueryAreAllNamed(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	ann := a.people()["ann"].ID
	many := strings.Repeat("x,", users.MaxPage+1)
	after := "after=" + url.QueryEscape(strings.Split(a.page("/v1/demo/users?limit=1").link("next"), "after=")[1])
	for _, tt := range []struct{ at, want string }{
		{"users?page=0", "/page invalid_page"},
		{"users?page=-1&rpp=x", "/page invalid_page, /rpp invalid_limit"},
		{"users?page=1.5", "/page invalid_page"},
		{"users?page=99999999999999999999", "/page invalid_page"},
		{"users?page=100002&rpp=1", "/page too_deep"},
		{"users?page=9223372036854775807&rpp=1000", "/page too_deep"},
		{"users?page=1&page=2", "/page duplicate_member"},
		{"users?rpp=0", "/rpp invalid_limit"},
		{"users?rpp=1001", "/rpp invalid_limit"},
		{"users?limit=0", "/limit invalid_limit"},
		{"users?limit=1001&page=1&rpp=7", "/page excluded, /rpp excluded, /limit invalid_limit"},
		{"users?limit=1&limit=2", "/limit duplicate_member"},
		{"users?after=x", "/after invalid_after"},
		{"users?after=%ff&page=1", "/page excluded, /after invalid_after"},
		{"users?" + after + "&sort=email", "/after invalid_after"},
		{"users?limit=1&sort=name", "/sort not_flat"},
		{"users?limit=1&sort=email,id", "/sort not_flat"},
		{"users?sort=password", "/sort unknown_member"},
		{"users?sort=userName,username", "/sort unknown_member"},
		{"users?sort=userName|down", "/sort invalid_sort"},
		{"users?sort=userName|", "/sort invalid_sort"},
		{"users?sort=-userName|desc", "/sort invalid_sort"},
		{"users?sort=userName|desc|asc", "/sort invalid_sort"},
		{"users?sort=--userName", "/sort unknown_member"},
		{"users?sort=|", "/sort invalid_sort"},
		{"users?sort=%ff", "/sort unknown_member"},
		{"users?sort=id,name,email,userName,dateCreated", "/sort too_many"},
		{"users?sort=" + strings.Repeat(",", 257), "/sort too_long"},
		{"users?sort=" + strings.Repeat("userName,", 100000), "/sort too_long"},
		{"users?searchQuery=" + strings.Repeat("x", 257), "/searchQuery too_long"},
		{"users?searchQuery=a%00b", "/searchQuery invalid_characters"},
		{"users?searchQuery=%ff", "/searchQuery invalid_characters"},
		{"users?searchQuery=a&searchQuery=b", "/searchQuery duplicate_member"},
		{"users?userIds=" + many, "/userIds too_many"},
		{"users?roleIds=" + many, "/roleIds too_many"},
		{"users?roleNames=" + strings.Repeat("x&roleNames=", users.MaxPage+1) + "x", "/roleIds too_many"},
		{"users?isApproved=1", "/isApproved invalid_type"},
		{"users?isApproved=yes&isLocked=no", "/isApproved invalid_type, /isLocked invalid_type"},
		{"users?isLocked=true&isLocked=true", "/isLocked duplicate_member"},
		{"users?embed=users", "/embed unknown_embed"},
		{"users?fields=password", "/fields unknown_member"},
		{"users?fields=id,%ff,hash", "/fields unknown_member"},
		{"users?x=%zz", "invalid_query"},
		{"users?page=0;rpp=0", "invalid_query"},
		{"users?page=0&%&sort=x&fields=y&isLocked=z&embed=w&searchQuery=%00",
			"invalid_query, /isLocked invalid_type, /page invalid_page, /embed unknown_embed, /fields unknown_member, /searchQuery invalid_characters, /sort unknown_member"},
		{"users/" + ann + "?fields=x&embed=y", "/embed unknown_embed, /fields unknown_member"},
		{"users/" + ann + "?%zz", "invalid_query"},
		{"roles?page=0&rpp=0&sort=email&searchQuery=%00", "/page invalid_page, /rpp invalid_limit, /searchQuery invalid_characters, /sort unknown_member"},
		{"roles?limit=0&after=x&page=1", "/page excluded, /limit invalid_limit, /after invalid_after"},
		{"roles?limit=1&sort=name&searchQuery=x", "/searchQuery excluded, /sort excluded"},
		{"roles?page=101&rpp=1001", "/rpp invalid_limit"},
		{"lookups/roles?page=100002&rpp=1", "/page too_deep"},
	} {
		w := a.get("/v1/demo/" + tt.at)
		if got := sorted(codes(t, w)); w.Code != 400 || got != sorted(tt.want) {
			t.Errorf("%.80s: got %d %s, want 400 %s", tt.at, w.Code, got, tt.want)
		}
		if w.Body.Len() > 4000 || strings.Contains(w.Body.String(), "password") {
			t.Errorf("%.80s: the answer quotes the request: %s", tt.at, w.Body)
		}
		if w := a.get("/v1/demo/"+tt.at, "Authorization", "Bearer "+nobodyToken); w.Code != 403 {
			t.Errorf("%.80s: got %d for nobody, want 403", tt.at, w.Code)
		}
	}
}

func sorted(list string) string {
	parts := strings.Split(list, ", ")
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

func TestQueryWithFaultsLooksForNobody(t *testing.T) {
	t.Parallel()
	a := newAPI(t, failing(users.ErrUnavailable, storefake.ListUsers, storefake.FindRoles))
	for q, want := range map[string]int{"page=0&roleNames=editor": 400, "sort=x&roleNames=editor": 400, "roleNames=editor": 503, "": 503} {
		if w := a.get("/v1/demo/users?" + q); w.Code != want {
			t.Errorf("%q: got %d %s, want %d", q, w.Code, w.Body, want)
		}
	}
}

func TestFieldsLeaveOutTheOthersButTheIdAndTheLinks(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	a.people()
	for _, accept := range forms {
		links := map[string]string{"application/json": "links"}[accept]
		if links == "" {
			links = "_links"
		}
		for q, want := range map[string]string{
			"fields=email":                     "email id " + links,
			"fields=email,username&fields=ID":  "email id userName " + links,
			"fields=%20roles%20,":              "id roles " + links,
			"fields=id":                        "id " + links,
			"fields=isApproved,isLockedOut":    "id isApproved isLockedOut " + links,
			"fields=name,creationDate":         "creationDate id name " + links,
			"fields=dateCreated,dateUpdated":   "dateCreated dateUpdated id " + links,
			"fields=email&embed=roles":         "email embed id links roles",
			"fields=email,roles&embed=roles":   "email embed id links roles",
			"fields=":                          "creationDate dateCreated dateUpdated email id isApproved isLockedOut name roles userName " + links,
			"fields=,&unknown=x&sort=userName": "creationDate dateCreated dateUpdated email id isApproved isLockedOut name roles userName " + links,
		} {
			if strings.Contains(q, "embed") && links == "_links" {
				want = strings.Replace(strings.Replace(want, "links", "_embedded _links", 1), "roles", "", 1)
				if strings.Contains(q, "roles&") {
					want += " roles"
				}
			}
			wanted := strings.Fields(want)
			slices.Sort(wanted)
			answer := a.get("/v1/demo/users/ann?"+q, "Accept", accept)
			one := decode[map[string]any](t, answer)
			for range 5 {
				if again := a.get("/v1/demo/users/ann?"+q, "Accept", accept); again.Body.String() != answer.Body.String() {
					t.Errorf("%s as %s: got %s, then %s", q, accept, answer.Body, again.Body)
				}
			}
			for what, u := range map[string]map[string]any{"user": one, "list": a.page("/v1/demo/users?"+q, "Accept", accept).items()[0]} {
				if got := slices.Sorted(maps.Keys(u)); !slices.Equal(got, wanted) {
					t.Errorf("%s of %s as %s: got %q, want %q", what, q, accept, got, wanted)
				}
			}
			whole := decode[map[string]any](t, a.get("/v1/demo/users/ann?embed="+map[bool]string{true: "roles"}[strings.Contains(q, "embed")], "Accept", accept))
			for name := range one {
				if fmt.Sprint(one[name]) != fmt.Sprint(whole[name]) {
					t.Errorf("%s as %s: %s is %v, want %v", q, accept, name, one[name], whole[name])
				}
			}
		}
	}
}

func TestEmbeddedRolesOfAListAreWhole(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	a.people()
	for _, accept := range forms {
		body := a.get("/v1/demo/users?embed=roles&userIds=&searchQuery=ann", "Accept", accept).Body.String()
		if !strings.Contains(body, `"description":"edits"`) || !strings.Contains(body, `"/v1/demo/roles/`+a.editor.ID+`"`) {
			t.Errorf("%s: got %s", accept, body)
		}
	}
}

func TestRolesAreFoundUnderBothPaths(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	first, second := "editor", "viewer" // in order of id
	if a.viewer.ID < a.editor.ID {
		first, second = second, first
	}
	for _, accept := range forms {
		for q, want := range map[string]string{
			"": first + " " + second, "?sort=name|desc": "viewer editor", "?searchQuery=EDITS": "editor", "?searchQuery=view": "viewer", "?searchQuery=none": "", "?rpp=1&page=2": second, "?limit=1": first,
		} {
			for _, at := range []string{"/v1/demo/roles", "/v1/demo/roles/", "/v1/demo/lookups/roles", "/v1/demo/lookups/roles/"} {
				if got := a.page(at+q, "Accept", accept).names("name"); got != want {
					t.Errorf("%s%s as %s: got %q, want %q", at, q, accept, got, want)
				}
			}
		}
		for _, id := range []string{a.editor.ID, a.editor.ID + "/"} {
			one, other := a.get("/v1/demo/roles/"+id, "Accept", accept), a.get("/v1/demo/lookups/roles/"+id, "Accept", accept)
			if one.Code != 200 || one.Body.String() != other.Body.String() {
				t.Errorf("%s: got %d %s and %d %s", id, one.Code, one.Body, other.Code, other.Body)
			}
		}
	}
	w := a.do(request("POST", "/v1/demo/lookups/roles/", `{"name":"author"}`))
	if w.Code != 201 || a.get(w.Header().Get("Location")).Code != 200 {
		t.Errorf("got %d %s at %q", w.Code, w.Body, w.Header().Get("Location"))
	}
}

func TestUserIsReachedByIdNameAndAddress(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	for _, name := range []string{"exists", "lock", "unlock", "approve", "import", "change-password", "roles", "lookups", "users", "a+b", "ünï"} {
		given, err := url.PathUnescape(name)
		if err != nil {
			t.Fatal(err)
		}
		u, err := a.host.Create(t.Context(), "demo", users.CreateUserParams{UserName: given, Email: fmt.Sprintf("u%x@example.com", given), AutoCreatePassword: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, ref := range []string{url.PathEscape(given), strings.ToLower(u.ID), u.ID, u.Email, strings.ToUpper(u.Email), strings.Replace(u.Email, "@", "%40", 1), escaped(given)} {
			for _, slash := range []string{"", "/"} {
				at := "/v1/demo/users/" + ref
				for _, r := range []struct {
					method, path string
					status       int
				}{
					{"GET", at, 200}, {"HEAD", at, 200}, {"GET", at + "/exists", 204}, {"HEAD", at + "/exists", 204}, {"PUT", at + "/lock", 204}, {"PUT", at + "/unlock", 204}, {"PUT", at + "/approve", 204},
				} {
					w := a.do(request(r.method, r.path+slash, ""))
					if w.Code != r.status {
						t.Errorf("%s %s: got %d %s, want %d", r.method, r.path+slash, w.Code, w.Body, r.status)
					}
					if r.status == 200 && r.method == "GET" && decode[struct{ ID string }](t, w).ID != u.ID {
						t.Errorf("%s: got another user: %s", r.path, w.Body)
					}
				}
			}
		}
		if w := a.do(request("DELETE", "/v1/demo/users/"+escaped(given), "")); w.Code != 204 {
			t.Errorf("DELETE %s: got %d %s", name, w.Code, w.Body)
		}
		for _, method := range []string{"GET", "HEAD"} {
			if w := a.do(request(method, "/v1/demo/users/"+url.PathEscape(given)+"/exists", "")); w.Code != 404 {
				t.Errorf("%s is gone: got %d", name, w.Code)
			}
		}
	}
}

// escaped escapes every byte.
func escaped(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, "%%%02x", c)
	}
	return b.String()
}

// What can be done to a user or a role is linked, in both forms; each link is
// answered under the method that its relation means.
func TestLinksAreAnsweredUnderTheirMethod(t *testing.T) {
	t.Parallel()
	methods := map[string]string{"self": "GET", "roles": "GET", "put": "PUT", "lock": "PUT", "unlock": "PUT", "approve": "PUT", "disapprove": "PUT", "delete": "DELETE"}
	for _, base := range []string{"", "https://api.example.com"} {
		for _, accept := range forms {
			a := newAPI(t, func(s *setup) { s.http.BaseURL = base })
			follow := func(w *httptest.ResponseRecorder, rels ...string) {
				t.Helper()
				links := decode[page](t, w)
				if got := len(links.Links) + len(links.HALLinks); got != len(rels) {
					t.Errorf("%s: got %d links in %s, want %q", accept, got, w.Body, rels)
				}
				for _, rel := range rels {
					href, ok := strings.CutPrefix(links.link(rel), base)
					r := request(methods[rel], href, map[string]string{"put": "{}"}[rel], "Accept", accept)
					want := 204
					if r.Method == "GET" {
						want = 200
					}
					if w := a.do(r); w.Code != want || !ok {
						t.Errorf("%s as %s: %s %s: got %d %s, want %d", rel, accept, r.Method, links.link(rel), w.Code, w.Body, want)
					}
				}
			}
			user := []string{"self", "put", "lock", "unlock", "disapprove", "approve", "roles", "delete"}
			follow(a.do(request("POST", "/v1/demo/users", body("ann", `"roles":["editor"]`), "Accept", accept)), user...)
			a.user(t.Context(), "bob", "")
			follow(a.get("/v1/demo/users/bob", "Accept", accept), user...)
			follow(a.do(request("POST", "/v1/demo/roles", `{"name":"author"}`, "Accept", accept)), "self", "put", "delete")
			follow(a.get("/v1/demo/roles/"+a.editor.ID, "Accept", accept), "self", "put", "delete")
		}
	}
}

// What is parsed is parsed as another reader of the same grammar does.
func FuzzQueryAndIfMatch(f *testing.F) {
	for _, s := range []string{
		"", ",", "userName|desc, email", "-userName,email", "username|ASC", "a|b", "|", "-", "--x", "x|desc|asc", "\xff", strings.Repeat("id,", 50),
		"*", `"1.j"`, `W/"1.j"`, `"1.j", "2.h"`, `"1.j""2.j"`, `"01.j"`, `"9223372036854775808.j"`, `"1.j`, `1.j`, `"a,b", "3.h"`, `,, "1.j",`, ` * `, `*, "1.j"`, `"é.j"`, "\"\t\"",
		"id,email", "USERNAME", "password", " roles ,, name",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if order, ok := httpapi.ParseSort(s); ok {
			checkSort(t, s, order)
		}
		if got, want := httpapi.IfMatch(s), slowIfMatch(s); !slices.Equal(got, want) || (got == nil) != (want == nil) {
			t.Errorf("If-Match: %q: got %v, want %v", s, got, want)
		}
		fields, ok := httpapi.Fields(s)
		if ok && len(fields) > strings.Count(s, ",")+1 || !ok && fields != nil {
			t.Errorf("fields=%q: got %q, %t", s, fields, ok)
		}
		for _, name := range fields {
			if !strings.Contains(strings.ToLower(s), strings.ToLower(name)) {
				t.Errorf("fields=%q: got %q", s, fields)
			}
		}
	})
}

// checkSort writes an order in the other spelling and reads that.
func checkSort(t *testing.T, s string, order []users.Order) {
	var parts []string
	for _, o := range order {
		direction := "asc"
		if o.Desc {
			direction = "desc"
		}
		if name := string(o.By); name == "" || strings.ContainsAny(name, "|,") || strings.HasPrefix(name, "-") || strings.TrimSpace(name) != name {
			return // unknown: the Service refuses it
		}
		parts = append(parts, string(o.By)+" | "+direction)
	}
	if again, ok := httpapi.ParseSort(strings.Join(parts, " , ")); !ok || !slices.Equal(again, order) {
		t.Errorf("sort=%q: got %v, then %v, %t", s, order, again, ok)
	}
}
