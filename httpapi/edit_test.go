package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/password"
)

// stored returns the user ann as the host sees it.
func (a *api) stored() *users.User {
	a.t.Helper()
	u, err := a.host.User(context.Background(), "demo", uuid(1))
	if err != nil {
		a.t.Fatal(err)
	}
	return u
}

// ann makes a user with a value in every member.
func (a *api) ann() *users.User {
	a.t.Helper()
	_, err := a.host.Create(context.Background(), "demo", users.CreateUserParams{
		ID: uuid(1), UserName: "Ann", Email: "Ann@Example.com", Name: "Ann A.", Password: password.New(goodPassword), ConfirmPassword: password.New(goodPassword),
		Roles: []users.RoleRef{{Name: "editor"}, {Name: "viewer"}}, DashboardSettings: json.RawMessage(`{"theme": "dark"}`),
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return a.stored()
}

func TestPutIsAMerge(t *testing.T) {
	t.Parallel()
	roles := func(names ...string) func(u *users.User) {
		return func(u *users.User) {
			u.Roles = slices.DeleteFunc(u.Roles, func(r users.Role) bool { return !slices.Contains(names, r.Name) })
		}
	}
	for in, change := range map[string]func(u *users.User){ // nil: nothing
		`{}`: nil,
		`{"userName":null,"username":null,"email":null,"name":null,"roles":null,"isApproved":null,"isLockedOut":null,"allowDashboardAccess":null,"dashboardSettings":null}`: nil,
		`{"name":"B"}`:                           func(u *users.User) { u.Name = "B" },
		`{"name":""}`:                            func(u *users.User) { u.Name = "" },
		`{"name":" "}`:                           func(u *users.User) { u.Name = "" },
		`{"name":"Ann A."}`:                      nil,
		`{"userName":"bea"}`:                     func(u *users.User) { u.UserName = "bea" },
		`{"username":"bea"}`:                     func(u *users.User) { u.UserName = "bea" },
		`{"userName":"","username":"bea"}`:       func(u *users.User) { u.UserName = "bea" },
		`{"username":"bea","userName":""}`:       func(u *users.User) { u.UserName = "bea" },
		`{"userName":"Ann"}`:                     nil,
		`{"userName":"ANN"}`:                     func(u *users.User) { u.UserName = "ANN" },
		`{"email":"b@example.com"}`:              func(u *users.User) { u.Email = "b@example.com" },
		`{"isApproved":false}`:                   func(u *users.User) { u.IsApproved = false },
		`{"isApproved":true}`:                    nil,
		`{"isLockedOut":true}`:                   func(u *users.User) { u.IsLockedOut = true },
		`{"allowDashboardAccess":true}`:          func(u *users.User) { u.AllowDashboardAccess = true },
		`{"dashboardSettings":{ "a" : 1 }}`:      func(u *users.User) { u.DashboardSettings = json.RawMessage(`{ "a" : 1 }`) },
		`{"dashboardSettings":{"theme":"dark"}}`: nil,
		`{"dashboardSettings":{}}`:               func(u *users.User) { u.DashboardSettings = json.RawMessage(`{}`) },
		`{"roles":[]}`:                           roles(),
		`{"roles":["editor"]}`:                   roles("editor"),
		`{"roles":[{"name":"viewer"}]}`:          roles("viewer"),
		`{"roles":["viewer","editor","viewer"]}`: nil,
		`{"roles":[{"name":"viewer","id":"0","description":5},"editor"]}`: nil,
		`{"id":"x","password":"","confirmPassword":"y","newPassword":"z","creationDate":"2001-01-01","dateCreated":"soon","dateUpdated":7,"autoCreatePassword":1,` +
			`"embed":5,"links":5,"_links":[],"_embedded":{"roles":[]},"sendEmailNotification":"x","Name":"y","createdBy":"z","version":9,"unknown":{"roles":[]}}`: nil,
		"\ufeff" + ` {"name":"B"} `: func(u *users.User) { u.Name = "B" },
	} {
		for _, ref := range []string{uuid(1), "ANN", "ann@example.com", uuid(1) + "/"} {
			a := newAPI(t, nil)
			want := a.ann()
			w := a.do(request("PUT", "/v1/demo/users/"+ref, in, "Accept", "text/html")) // nothing is answered
			if w.Code != 204 {
				t.Errorf("%s: got %d %s, want 204", in, w.Code, w.Body)
				continue
			}
			got := a.stored()
			if change != nil {
				change(want)
				want.Version++
				want.DateUpdated = got.DateUpdated
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got %+v, want %+v", in, got, want)
			}
		}
	}
}

// A whole user, in whatever form it was fetched, says of each member what it is
// already. That needs no permission, so that a client can change one of them.
func TestFetchedUserSentBackChangesNothing(t *testing.T) {
	t.Parallel()
	reader := func(s *setup) {
		s.authenticate = httpapi.BearerTokens(bearer(adminToken, users.Caller{ID: "reader", APIKey: "demo", Permissions: users.ReadUsers}))
	}
	for _, accept := range forms {
		for _, q := range []string{"", "?embed=roles", "?fields=userName", "?fields=email,roles&embed=roles", "?fields=id"} {
			a := newAPI(t, reader)
			want := a.ann()
			fetched := a.get("/v1/demo/users/"+uuid(1)+q, "Accept", accept)
			for _, in := range []string{fetched.Body.String(), indented(t, fetched)} {
				w := a.do(request("PUT", "/v1/demo/users/"+uuid(1), in, "Content-Type", accept, "Accept", accept, "If-Match", fetched.Header().Get("Etag")))
				if w.Code != 204 || w.Header().Get("Etag") != fetched.Header().Get("Etag") {
					t.Errorf("%s%s: got %d %s with the ETag %s", accept, q, w.Code, w.Body, w.Header().Get("Etag"))
				}
				if got := a.stored(); !reflect.DeepEqual(got, want) {
					t.Errorf("%s%s: got %+v, want %+v", accept, q, got, want)
				}
			}
			for _, item := range a.page("/v1/demo/users?embed=roles", "Accept", accept).items() {
				in, err := json.Marshal(item)
				if err != nil {
					t.Fatal(err)
				}
				if w := a.do(request("PUT", "/v1/demo/users/"+uuid(1), string(in))); w.Code != 204 || a.stored().Version != 1 {
					t.Errorf("%s: an item of a list: got %d %s", accept, w.Code, w.Body)
				}
			}
			w := a.do(request("PUT", "/v1/demo/users/"+uuid(1), strings.Replace(fetched.Body.String(), "{", `{"isLockedOut":true,"x":{"isLockedOut":false},`, 1)))
			if strings.Contains(q, "fields") && (w.Code != 403 || codes(t, w) != "/isLockedOut forbidden") {
				t.Errorf("one more member: got %d %s, want 403", w.Code, w.Body)
			}
		}
	}
}

func indented(t *testing.T, w *httptest.ResponseRecorder) string {
	var b bytes.Buffer
	if err := json.Indent(&b, w.Body.Bytes(), "", "\t"); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestFaultsOfAChangeAreAllNamedAndNothingIsWritten(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	want := a.ann()
	a.user(t.Context(), "bob", "")
	for _, tt := range []struct {
		in     string
		status int
		want   string
	}{
		{`{"userName":1,"email":2,"name":3,"isApproved":4,"isLockedOut":"x","roles":6,"allowDashboardAccess":7,"dashboardSettings":[]}`, 400,
			"/userName invalid_type, /email invalid_type, /allowDashboardAccess invalid_type, /dashboardSettings invalid_type, /isApproved invalid_type, /isLockedOut invalid_type, /name invalid_type, /roles invalid_type"},
		{`{"userName":"a/b","email":"x","name":3}`, 400, "/userName invalid_characters, /email invalid_email, /name invalid_type"},
		{`{"userName":"","email":"","roles":["none",7]}`, 400, "/userName required, /email required, /roles/0 unknown_role, /roles/1 invalid_type"},
		{`{"userName":"bea","username":"bo"}`, 400, "/userName duplicate_member"},
		{`{"username":"bea","userName":"bea"}`, 400, "/userName duplicate_member"},
		{`{"roles":["editor",{"name":"none"}],"isApproved":1}`, 400, "/isApproved invalid_type, /roles/1 unknown_role"},
		{`{"roles":[` + strings.Repeat(`"editor",`, 100) + `"editor"]}`, 400, "/roles too_many"},
		{`{"dashboardSettings":{"a":` + strings.Repeat(`[`, 20) + strings.Repeat(`]`, 20) + `}}`, 400, "/dashboardSettings too_deep"},
		{`{"name":"x","name":"y"}`, 400, "/name duplicate_member"},
		{`{"name":"x"}{}`, 400, "invalid_json"},
		{`{"name":"x",`, 400, "invalid_json"},
		{`[]`, 400, "invalid_json"},
		{`{"x":` + strings.Repeat("[", 100), 400, "too_deep"},
		{`{"userName":"BOB","email":"bob@EXAMPLE.com","name":"x"}`, 409, "/userName taken, /email taken"},
		{`{"email":"BOB@example.com"}`, 409, "/email taken"},
	} {
		w := a.do(request("PUT", "/v1/demo/users/ann", tt.in))
		if got := codes(t, w); w.Code != tt.status || got != tt.want {
			t.Errorf("%.80s: got %d %s, want %d %s", tt.in, w.Code, got, tt.status, tt.want)
		}
		if w := a.do(request("PUT", "/v1/demo/users/ann", tt.in, "Authorization", "Bearer "+limitedToken)); w.Code != 403 {
			t.Errorf("%.80s: got %d for a limited caller, want 403", tt.in, w.Code)
		}
		if w := a.do(request("PUT", "/v1/demo/users/nobody", tt.in)); w.Code != 404 {
			t.Errorf("%.80s: got %d where there is no user, want 404", tt.in, w.Code)
		}
	}
	if got := a.stored(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestDeletedUserIsGone(t *testing.T) {
	t.Parallel()
	for _, ref := range []string{uuid(1), "ann", "ann%40example.com/"} {
		a := newAPI(t, nil)
		a.ann()
		w := a.do(request("DELETE", "/v1/demo/users/"+ref, ""))
		if w.Code != 204 {
			t.Fatalf("%s: got %d %s", ref, w.Code, w.Body)
		}
		for _, r := range []*http.Request{
			request("GET", "/v1/demo/users/ann", ""), request("DELETE", "/v1/demo/users/"+ref, ""), request("PUT", "/v1/demo/users/ann", `{"name":"x"}`),
			request("PUT", "/v1/demo/users/ann/lock", ""), request("GET", "/v1/demo/users/ann/exists", ""),
			request("PUT", "/v1/demo/users/ann/change-password", `{"newPassword":"`+goodPassword+`"}`),
		} {
			if w := a.do(r); w.Code != 404 {
				t.Errorf("%s %s: got %d %s, want 404", r.Method, r.URL, w.Code, w.Body)
			}
		}
		if got := a.page("/v1/demo/users"); len(got.Item) != 0 {
			t.Errorf("%s: got %v", ref, got.Item)
		}
		if w := a.post(body("ann", "")); w.Code != 201 {
			t.Errorf("%s: the name is not free: %d %s", ref, w.Code, w.Body)
		}
	}
}

// The path says it all: whatever the body is, it is not read.
func TestStatusIsSetByThePathAlone(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	a.ann()
	for _, headers := range [][]string{nil, {"Content-Type", "text/plain"}, {"Content-Type", ""}, {"Content-Encoding", "gzip"}, {"Accept", "text/html"}, {"Accept", "application/hal+json"}} {
		for _, ref := range []string{uuid(1), "ann", "Ann@Example.com"} {
			for range 2 {
				for _, tt := range []struct {
					path             string
					approved, locked bool
				}{{"lock", true, true}, {"disapprove", false, true}, {"unlock/", false, false}, {"approve", true, false}} {
					r := request("PUT", "/v1/demo/users/"+ref+"/"+tt.path, `{"isLockedOut":"?`, headers...)
					r.Body = forbiddenBody{t}
					r.ProtoMajor, r.Proto = 2, "HTTP/2.0" // a body that nobody wants is not drained
					w := a.do(r)
					if got := a.stored(); w.Code != 204 || got.IsApproved != tt.approved || got.IsLockedOut != tt.locked {
						t.Errorf("%s with %q: got %d, approved %t, locked out %t", tt.path, headers, w.Code, got.IsApproved, got.IsLockedOut)
					}
				}
			}
		}
	}
	for _, path := range []string{"lock", "unlock", "approve", "disapprove"} {
		for _, in := range []string{"", "{}", "null", a.get("/v1/demo/users/ann").Body.String(), "\xff", strings.Repeat("x", httpapi.MaxBody+1)} {
			if w := a.do(request("PUT", "/v1/demo/users/ann/"+path, in)); w.Code != 204 {
				t.Errorf("%s with the body %.20q: got %d %s", path, in, w.Code, w.Body)
			}
		}
	}
}

// signsIn reports whether pw is the password of ann.
func (a *api) signsIn(pw string) bool {
	a.t.Helper()
	_, err := a.host.Authenticate(context.Background(), "demo", "ann", password.New(pw))
	return err == nil
}

const otherPassword = "violet harbour 47 crumpets"

func TestChangePassword(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in     string
		status int
		want   string
	}{
		{`{"newPassword":"` + otherPassword + `"}`, 200, ""},
		{`{"newPassword":"` + otherPassword + `","oldPassword":"not looked at","sendMailNotification":true}`, 200, ""},
		{`{"newPassword":"` + otherPassword + `","sendEmailNotification":true,"sendMailNotification":null,"unknown":1}`, 200, ""},
		{`{"newPassword":"` + otherPassword + `","sendEmailNotification":false,"oldPassword":null}`, 200, ""},
		{`{"newPassword":"` + otherPassword + `","sendMailNotification":true,"sendEmailNotification":false}`, 200, ""},
		{`{}`, 400, "/newPassword required"},
		{`{"newPassword":null}`, 400, "/newPassword required"},
		{`{"newPassword":""}`, 400, "/newPassword required"},
		{`{"newPassword":"short"}`, 400, "/newPassword too_short"},
		{`{"newPassword":1,"oldPassword":2,"sendMailNotification":3,"sendEmailNotification":4}`, 400,
			"/newPassword invalid_type, /oldPassword invalid_type, /sendMailNotification invalid_type, /sendEmailNotification invalid_type"},
		{`{"newPassword":"short","sendMailNotification":3}`, 400, "/sendMailNotification invalid_type, /newPassword too_short"},
		{`{"newPassword":"` + otherPassword, 400, "/newPassword invalid_json"},
		{``, 415, ""},
	} {
		for _, accept := range forms {
			a := newAPI(t, nil)
			a.ann()
			w := a.do(request("PUT", "/v1/demo/users/ann/change-password", tt.in, "Accept", accept))
			if w.Code != tt.status || w.Code == 400 && sorted(codes(t, w)) != sorted(tt.want) {
				t.Errorf("%s: got %d %s, want %d %s", tt.in, w.Code, w.Body, tt.status, tt.want)
			}
			if changed := tt.status == 200; a.signsIn(otherPassword) != changed || a.signsIn(goodPassword) == changed {
				t.Errorf("%s: changed is not %t", tt.in, changed)
			} else if changed && (w.Body.String() != "true" || w.Header().Get("Content-Type") != "application/json") {
				t.Errorf("%s as %s: got %q %s, want true", tt.in, accept, w.Header().Get("Content-Type"), w.Body)
			}
			var kinds []string
			list, err := a.host.Notifications(t.Context(), "demo", users.NotificationQuery{})
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range list.Notifications {
				kinds = append(kinds, n.Kind)
			}
			if told := strings.Contains(tt.in, "Notification\":true"); slices.Contains(kinds, users.KindPasswordChanged) != told {
				t.Errorf("%s: got notifications of %v, want one: %t", tt.in, kinds, told)
			}
		}
	}
}

func TestUserChangesItsOwnPasswordWithTheOldOne(t *testing.T) {
	t.Parallel()
	a := newAPI(t, func(s *setup) {
		s.authenticate = httpapi.BearerTokens(bearer(adminToken, users.Caller{ID: "ann", APIKey: "demo", UserID: uuid(1)}))
	})
	a.ann()
	a.user(t.Context(), "bob", "")
	for _, tt := range []struct {
		ref, in string
		status  int
		want    string
	}{
		{"ann", `{"newPassword":"` + otherPassword + `"}`, 400, "/oldPassword required"},
		{"ann", `{"newPassword":"short","oldPassword":null}`, 400, "/oldPassword required, /newPassword too_short"},
		{"ann", `{"newPassword":"` + otherPassword + `","oldPassword":"wrong"}`, 400, "/oldPassword wrong_password"},
		{"ann", `{"newPassword":"` + otherPassword + `","oldPassword":"` + goodPassword + `","sendMailNotification":0}`, 400, "/sendMailNotification invalid_type"},
		{"bob", `{"newPassword":"` + otherPassword + `","oldPassword":"` + goodPassword + `"}`, 403, ""},
		{"nobody", `{"newPassword":"` + otherPassword + `","oldPassword":"` + goodPassword + `"}`, 403, ""},
		{"bob", `{"newPassword":1}`, 403, ""},
		{uuid(1), `{"newPassword":"` + otherPassword + `","oldPassword":"` + goodPassword + `"}`, 200, ""},
	} {
		w := a.do(request("PUT", "/v1/demo/users/"+tt.ref+"/change-password", tt.in))
		if w.Code != tt.status || w.Code == 400 && sorted(codes(t, w)) != sorted(tt.want) {
			t.Errorf("%s of %s: got %d %s, want %d %s", tt.in, tt.ref, w.Code, w.Body, tt.status, tt.want)
		}
		if w.Header().Get("WWW-Authenticate") != "" || strings.Contains(w.Body.String(), goodPassword) {
			t.Errorf("%s of %s: got %v %s", tt.in, tt.ref, w.Header(), w.Body)
		}
	}
	if !a.signsIn(otherPassword) {
		t.Error("the new password is not the password")
	}
}

func TestRolesAreChangedAndDeleted(t *testing.T) {
	t.Parallel()
	for _, under := range []string{"/v1/demo/roles/", "/v1/demo/lookups/roles/"} {
		a := newAPI(t, nil)
		a.ann()
		for _, tt := range []struct {
			in     string
			status int
			want   string // the code or what the role is then
		}{
			{`{}`, 204, "editor: edits"},
			{`{"name":null,"description":null}`, 204, "editor: edits"},
			{a.get(under + a.editor.ID).Body.String(), 204, "editor: edits"},
			{a.get(under+a.editor.ID, "Accept", "application/hal+json").Body.String(), 204, "editor: edits"},
			{`{"name":"author"}`, 204, "author: edits"},
			{`{"description":"writes","id":"x","unknown":[]}`, 204, "author: writes"},
			{`{"description":""}`, 204, "author: "},
			{`{"name":"writer","description":"w"}`, 204, "writer: w"},
			{`{"name":1,"description":2}`, 400, "/name invalid_type, /description invalid_type"},
			{`{"name":"","description":2}`, 400, "/name required, /description invalid_type"},
			{`{"name":" x","description":"` + strings.Repeat("d", 1025) + `"}`, 400, "/name surrounding_space, /description too_long"},
			{`{"name":"x"`, 400, "invalid_json"},
			{`{"name":"viewer"}`, 409, "/name taken"},
			{``, 415, ""},
		} {
			before := a.get(under + a.editor.ID).Body.String()
			w := a.do(request("PUT", under+a.editor.ID, tt.in))
			r := decode[users.Role](t, a.get(under+a.editor.ID))
			got := r.Name + ": " + r.Description
			if w.Code >= 400 {
				got = codes(t, w)
			}
			if w.Code != tt.status || sorted(got) != sorted(tt.want) {
				t.Errorf("%.60s: got %d %s, want %d %s", tt.in, w.Code, got, tt.status, tt.want)
			}
			if after := a.get(under + a.editor.ID).Body.String(); w.Code >= 400 && after != before {
				t.Errorf("%.60s: the role is %s, was %s", tt.in, after, before)
			}
		}
		for _, id := range []string{"none", "editor", uuid(7), a.viewer.ID + "x"} {
			for method, in := range map[string]string{"PUT": `{"name":"x"}`, "DELETE": ""} {
				if w := a.do(request(method, under+id, in)); w.Code != 404 {
					t.Errorf("%s %s: got %d, want 404", method, id, w.Code)
				}
			}
		}
		for _, want := range []int{204, 404} {
			if w := a.do(request("DELETE", under+a.editor.ID+"/", "")); w.Code != want {
				t.Errorf("DELETE: got %d %s, want %d", w.Code, w.Body, want)
			}
		}
		if got := a.stored().Roles; len(got) != 1 || got[0].Name != "viewer" {
			t.Errorf("got the roles %v, want viewer alone", got)
		}
	}
}

// What a store can't do is not there.
func TestOperationsThatTheStoreLacksAre404(t *testing.T) {
	t.Parallel()
	a := newAPI(t, func(s *setup) { s.store = storefake.Without })
	a.ann()
	for target, in := range map[string]string{
		"GET users": "", "PUT users/ann": `{"name":"x"}`, "DELETE users/ann": "", "PUT users/ann/change-password": `{"newPassword":"` + otherPassword + `"}`,
		"PUT roles/" + a.editor.ID: `{"name":"x"}`, "DELETE roles/" + a.editor.ID: "",
	} {
		method, path, _ := strings.Cut(target, " ")
		if w := a.do(request(method, "/v1/demo/"+path, in)); w.Code != 404 {
			t.Errorf("%s: got %d %s, want 404", target, w.Code, w.Body)
		}
	}
	for _, target := range []string{"GET users/ann/exists", "PUT users/ann/lock", "GET roles"} {
		method, path, _ := strings.Cut(target, " ")
		if w := a.do(request(method, "/v1/demo/"+path, "")); w.Code >= 300 {
			t.Errorf("%s: got %d %s", target, w.Code, w.Body)
		}
	}
}

func TestSignInRefusalsOfAHostsHandlerHaveAClass(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	for err, want := range map[error]string{
		users.ErrBadCredentials: "400 bad_credentials", users.ErrLockedOut: "403 locked_out", users.ErrNotApproved: "403 not_approved",
	} {
		w := httptest.NewRecorder()
		a.WriteError(w, httptest.NewRequest("POST", "/login", nil), fmt.Errorf("login: %w", err))
		if got := fmt.Sprint(w.Code, " ", codes(t, w)); got != want {
			t.Errorf("%v: got %s, want %s", err, got, want)
		}
	}
}

// Who may do what to whom. A limited caller learns nothing of others: it is refused
// whether they exist or not, and before its request is judged.
func TestCallersDoOnlyWhatTheyMay(t *testing.T) {
	t.Parallel()
	const editorToken, readerToken = "editor-token-0123456789", "reader-token-0123456789"
	const edits = users.EditUsers | users.DeleteUsers | users.SetPasswords | users.SetStatus | users.AssignRoles
	type outcome struct{ plain, boss, nobody int }
	same := func(status int) outcome { return outcome{status, status, status} }
	pw := `{"newPassword":"` + otherPassword + `"}`
	for _, op := range []struct {
		method, path, in string
		ok               int
		reads            bool // needs ReadUsers
	}{
		{"GET", "", "", 200, true},
		{"HEAD", "?embed=roles&fields=id", "", 200, true},
		{"GET", "/exists", "", 204, true},
		{"PUT", "", `{"name":"x"}`, 204, false},
		{"PUT", "", `{"email":"new@example.com"}`, 204, false},
		{"PUT", "", `{"isLockedOut":true,"roles":[]}`, 204, false},
		{"PUT", "/lock", "", 204, false},
		{"PUT", "/unlock", "", 204, false},
		{"PUT", "/approve", "", 204, false},
		{"PUT", "/disapprove", "", 204, false},
		{"PUT", "/change-password", pw, 200, false},
		{"DELETE", "", "", 204, false},
	} {
		for who, want := range map[string]outcome{
			"":           same(401),
			"unknown":    same(401),
			otherToken:   same(401),
			nobodyToken:  same(403),
			limitedToken: same(403),
			// Both may give the role viewer only.
			editorToken: {map[bool]int{true: 403, false: op.ok}[op.reads], 403, 403},
			readerToken: {op.ok, map[bool]int{true: op.ok, false: 403}[op.reads], 404},
			adminToken:  {op.ok, op.ok, 404},
		} {
			for target, status := range map[string]int{
				"plain": want.plain, "plain by id": want.plain, "boss": want.boss, "boss by id": want.boss, "nobody": want.nobody, uuid(9): want.nobody,
			} {
				if who == editorToken && target == "plain" { // who may not read names users by id
					status = 403
				}
				a := newAPI(t, func(s *setup) {
					assignable := []users.RoleRef{{Name: "viewer"}}
					s.authenticate = httpapi.BearerTokens(
						bearer(adminToken, users.Caller{ID: "admin", APIKey: "demo", Permissions: users.AllPermissions}),
						bearer(limitedToken, users.Caller{ID: "limited", APIKey: "demo", Permissions: users.CreateUsers}),
						bearer(nobodyToken, users.Caller{ID: "nobody", APIKey: "demo"}),
						bearer(otherToken, users.Caller{ID: "other", APIKey: "other", Permissions: users.AllPermissions}),
						bearer(editorToken, users.Caller{ID: "editor", APIKey: "demo", Permissions: edits, AssignableRoles: assignable}),
						bearer(readerToken, users.Caller{ID: "reader", APIKey: "demo", Permissions: edits | users.ReadUsers, AssignableRoles: assignable}),
					)
				})
				for name, role := range map[string]string{"plain": "viewer", "boss": "editor"} {
					p := users.CreateUserParams{UserName: name, Email: name + "@example.com", AutoCreatePassword: true, Roles: []users.RoleRef{{Name: role}}}
					u, err := a.host.Create(t.Context(), "demo", p)
					if err != nil {
						t.Fatal(err)
					}
					if target == name+" by id" {
						target = u.ID
					}
				}
				path, q, _ := strings.Cut(op.path, "?")
				w := a.do(request(op.method, "/v1/demo/users/"+target+path+"?"+q, op.in, "Authorization", "Bearer "+who))
				if w.Code != status {
					t.Errorf("%s %s%s %s by %q: got %d %s, want %d", op.method, target, op.path, op.in, who, w.Code, w.Body, status)
				}
			}
		}
	}
}

func TestRefusalsTellALimitedCallerNothing(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	a.ann()
	for _, op := range []struct{ method, path, in string }{
		{"GET", "", ""}, {"GET", "/exists", ""}, {"PUT", "", `{"name":"x"}`}, {"PUT", "", `{"name":`}, {"PUT", "", `{"email":1}`}, {"PUT", "/lock", ""}, {"DELETE", "", ""},
		{"PUT", "/change-password", `{"newPassword":"` + otherPassword + `"}`}, {"PUT", "/change-password", `{"newPassword":1}`},
	} {
		var first string
		for _, ref := range []string{"ann", uuid(1), "ann@example.com", "nobody", uuid(2), "nobody@example.com"} {
			w := a.do(request(op.method, "/v1/demo/users/"+ref+op.path, op.in, "Authorization", "Bearer "+limitedToken))
			if first == "" {
				first = fmt.Sprint(w.Code, w.Header(), w.Body)
			}
			if got := fmt.Sprint(w.Code, w.Header(), w.Body); got != first || w.Code != 403 {
				t.Errorf("%s %s%s: got %s, want %s", op.method, ref, op.path, got, first)
			}
		}
	}
	for target, in := range map[string]string{"GET users": "", "PUT roles/" + a.editor.ID: `{"name":"x"}`, "PUT roles/none": `{"name":1}`, "DELETE roles/" + a.editor.ID: "", "DELETE roles/none": "", "GET roles": ""} {
		method, path, _ := strings.Cut(target, " ")
		if w := a.do(request(method, "/v1/demo/"+path, in, "Authorization", "Bearer "+limitedToken)); w.Code != 403 {
			t.Errorf("%s: got %d %s, want 403", target, w.Code, w.Body)
		}
	}
}
