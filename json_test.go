package users_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gousers/users"
)

// A host that decodes a request straight into the parameters returns nothing
// away: no spelling of a privileged member binds.
func TestDecodingBindsNoPrivilegedMember(t *testing.T) {
	t.Parallel()
	open := words("UserName Email Password ConfirmPassword Name AutoCreatePassword SendEmailNotification")
	typ := reflect.TypeFor[users.CreateUserParams]()
	values := []string{`true`, `"2001-01-01T00:00:00Z"`, `"` + unknownID + `"`, `[{"name":"chief"}]`, `[{"ID":"x","Name":"chief"}]`, `{"a":1}`, `["chief"]`, `1`}
	for f := range typ.Fields() {
		lower := strings.ToLower(f.Name[:1]) + f.Name[1:]
		for _, spelling := range []string{f.Name, lower, strings.ToUpper(f.Name), strings.ToLower(f.Name), "-", strings.ReplaceAll(lower, "s", "ſ")} {
			for _, value := range values {
				var p users.CreateUserParams
				// An error is a refusal as well.
				_ = json.Unmarshal(fmt.Appendf(nil, `{%q:%s}`, spelling, value), &p)
				got := reflect.ValueOf(p).FieldByIndex(f.Index)
				if !slices.Contains(open, f.Name) && !got.IsZero() {
					t.Errorf("{%q: %s} sets %s", spelling, value, f.Name)
				}
			}
		}
	}
	var p users.CreateUserParams
	err := json.Unmarshal([]byte(`{"userName":"alice","email":"a@b.co","password":"x","confirmPassword":"y","name":"A","autoCreatePassword":true,"sendEmailNotification":true}`), &p)
	if err != nil {
		t.Fatal(err)
	}
	v := reflect.ValueOf(p)
	for f := range typ.Fields() {
		if want := slices.Contains(open, f.Name); want == v.FieldByIndex(f.Index).IsZero() {
			t.Errorf("%s: bound %v, want %v", f.Name, !want, want)
		}
	}
}

func TestAnswersShowNoPrivilegedMember(t *testing.T) {
	t.Parallel()
	u := goldenUser()
	for _, v := range []any{u, users.HAL.User(&u, "/x", true), users.Plain.User(&u, "/x", true)} {
		got, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"dashboard", "Dashboard", "private", "createdBy", "creator", "assword", "erified", "ersion", "Login"} {
			if strings.Contains(string(got), secret) {
				t.Errorf("%s in %s", secret, got)
			}
		}
	}
}

func goldenUser() users.User {
	return users.User{
		ID: uuid(1), UserName: "Alice", Email: "Alice@Example.com", Name: "Alice A.", IsApproved: true,
		Roles:        []users.Role{{ID: uuid(2), Name: "editor", Description: "edits", DateCreated: start, DateUpdated: start}, {ID: uuid(3), Name: "chief", DateCreated: start, DateUpdated: start}},
		CreationDate: time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC), DateCreated: start, DateUpdated: start,
		AllowDashboardAccess: true, DashboardSettings: json.RawMessage(`{"private":1}`), CreatedBy: "creator",
		EmailVerified: start, PasswordChanged: start, LastLogin: start, Version: 7,
	}
}

// The two forms of the design, member for member.
func TestRepresentations(t *testing.T) {
	t.Parallel()
	u := goldenUser()
	bare := users.User{ID: uuid(1), UserName: "bob", Email: "b@x.co", IsLockedOut: true, Roles: []users.Role{}, CreationDate: start, DateCreated: start, DateUpdated: start}
	const base = "/v1/acme"
	const members = `"id":"00000000-0000-4000-8000-000000000001","userName":"Alice","email":"Alice@Example.com","name":"Alice A.",` +
		`"isApproved":true,"isLockedOut":false,"creationDate":"2001-02-03T04:05:06Z","dateCreated":"2026-01-02T03:04:05.678901Z","dateUpdated":"2026-01-02T03:04:05.678901Z",`
	const bareMembers = `"id":"00000000-0000-4000-8000-000000000001","userName":"bob","email":"b@x.co","isApproved":false,"isLockedOut":true,` +
		`"creationDate":"2026-01-02T03:04:05.678901Z","dateCreated":"2026-01-02T03:04:05.678901Z","dateUpdated":"2026-01-02T03:04:05.678901Z",`
	const short = `"roles":[{"id":"00000000-0000-4000-8000-000000000002","name":"editor"},{"id":"00000000-0000-4000-8000-000000000003","name":"chief"}],`
	const editor = `"id":"00000000-0000-4000-8000-000000000002","name":"editor","description":"edits",` +
		`"dateCreated":"2026-01-02T03:04:05.678901Z","dateUpdated":"2026-01-02T03:04:05.678901Z",`
	const chief = `"id":"00000000-0000-4000-8000-000000000003","name":"chief",` +
		`"dateCreated":"2026-01-02T03:04:05.678901Z","dateUpdated":"2026-01-02T03:04:05.678901Z",`
	self := func(path string) string { return `"self":{"href":"` + path + `","templated":false}` }
	rel := func(rel, path string) string { return `{"rel":"` + rel + `","href":"` + path + `","templated":false}` }
	const user, role2, role3 = base + "/users/00000000-0000-4000-8000-000000000001", base + "/roles/00000000-0000-4000-8000-000000000002", base + "/roles/00000000-0000-4000-8000-000000000003"
	var hals, plains []string
	for _, l := range [][2]string{
		{"self", user}, {"put", user}, {"delete", user}, {"lock", user + "/lock"}, {"unlock", user + "/unlock"},
		{"approve", user + "/approve"}, {"disapprove", user + "/disapprove"}, {"roles", base + "/roles"},
	} {
		hals = append(hals, `"`+l[0]+`":{"href":"`+l[1]+`","templated":false}`)
		plains = append(plains, rel(l[0], l[1]))
	}
	halLinks := `"_links":{` + strings.Join(hals, ",") + `}`
	plainLinks := `"links":[` + strings.Join(plains, ",") + `]`
	halRole := func(at string) string {
		return `"_links":{` + self(at) + `,"put":{"href":"` + at + `","templated":false},"delete":{"href":"` + at + `","templated":false}}`
	}
	plainRole := func(at string) string {
		return `"links":[` + rel("self", at) + `,` + rel("put", at) + `,` + rel("delete", at) + `]`
	}
	halRoles := `[{` + editor + halRole(role2) + `},{` + chief + halRole(role3) + `}]`
	plainRoles := `[{` + editor + plainRole(role2) + `},{` + chief + plainRole(role3) + `}]`
	numbered := users.List{
		Items: []any{map[string]int{"a": 1}}, Page: 2, Total: 30, Limit: 10, SearchQuery: "ann", Sort: "-email", Embed: "roles",
		Self: "/here", Previous: "/previous", Next: "/next",
	}
	none := users.List{Page: 1, Limit: 10, Self: "/here"}
	after := users.List{Limit: 10, Total: 5, Self: "/here"}
	for _, c := range []struct {
		name string
		got  any
		want string
	}{
		{"HAL", users.HAL.User(&u, base, false), `{` + members + short + halLinks + `}`},
		{"HAL, embedded", users.HAL.User(&u, base, true), `{` + members + short + `"embed":["roles"],` + halLinks + `,"_embedded":{"roles":` + halRoles + `}}`},
		{"HAL, no roles", users.HAL.User(&bare, base, false), `{` + bareMembers + `"roles":[],` + halLinks + `}`},
		{"HAL, none embedded", users.HAL.User(&bare, base, true), `{` + bareMembers + `"roles":[],"embed":["roles"],` + halLinks + `,"_embedded":{"roles":[]}}`},
		{"plain", users.Plain.User(&u, base, false), `{` + members + short + plainLinks + `}`},
		{"plain, embedded", users.Plain.User(&u, base, true), `{` + members + `"roles":` + plainRoles + `,"embed":["roles"],` + plainLinks + `}`},
		{"plain, no roles", users.Plain.User(&bare, base, false), `{` + bareMembers + `"roles":[],` + plainLinks + `}`},
		{"plain, none embedded", users.Plain.User(&bare, base, true), `{` + bareMembers + `"roles":[],"embed":["roles"],` + plainLinks + `}`},
		{"HAL role", users.HAL.Role(u.Roles[0], base), `{` + editor + halRole(role2) + `}`},
		{"plain role", users.Plain.Role(u.Roles[0], base), `{` + editor + plainRole(role2) + `}`},
		{"HAL list", users.HAL.List(numbered), `{"page":2,"recordsPerPage":10,"totalRecords":30,"searchQuery":"ann","sort":"-email","embed":"roles",` +
			`"_links":{` + self("/here") + `,"previous":{"href":"/previous","templated":false},"next":{"href":"/next","templated":false}},"_embedded":{"item":[{"a":1}]}}`},
		{"HAL list of none", users.HAL.List(none), `{"page":1,"recordsPerPage":10,"totalRecords":0,"searchQuery":"","sort":"","embed":"","_links":{` + self("/here") + `},"_embedded":{"item":[]}}`},
		{"HAL list without a number", users.HAL.List(after), `{"recordsPerPage":10,"searchQuery":"","sort":"","embed":"","_links":{` + self("/here") + `},"_embedded":{"item":[]}}`},
		{"plain list", users.Plain.List(numbered), `{"page":2,"recordsPerPage":10,"totalRecords":30,"searchQuery":"ann","sort":"-email","embed":"roles",` +
			`"item":[{"a":1}],"links":[` + rel("self", "/here") + `,` + rel("previous", "/previous") + `,` + rel("next", "/next") + `]}`},
		{"plain list of none", users.Plain.List(none), `{"page":1,"recordsPerPage":10,"totalRecords":0,"searchQuery":"","sort":"","embed":"","item":[],"links":[` + rel("self", "/here") + `]}`},
		{"plain list without a number", users.Plain.List(after), `{"recordsPerPage":10,"searchQuery":"","sort":"","embed":"","item":[],"links":[` + rel("self", "/here") + `]}`},
	} {
		got, err := json.Marshal(c.got)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if string(got) != c.want {
			t.Errorf("%s: got\n%s, want\n%s", c.name, got, c.want)
		}
	}
}
