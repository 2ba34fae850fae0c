package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gousers/users"
)

func TestCreatedUserIsFoundAtItsLocation(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	for _, accept := range []string{"application/json", "application/hal+json"} {
		for _, slash := range []string{"", "/"} {
			name := "ann" + strconv.Itoa(len(accept)) + strconv.Itoa(len(slash))
			w := a.do(request("POST", "/v1/demo/users"+slash, body(name, `"roles":["editor",{"name":"viewer"}]`), "Accept", accept))
			if w.Code != 201 || w.Header().Get("Content-Type") != accept {
				t.Fatalf("got %d %q: %s", w.Code, w.Header(), w.Body)
			}
			u := decode[map[string]any](t, w)
			location := w.Header().Get("Location")
			if want := "/v1/demo/users/" + u["id"].(string); location != want {
				t.Errorf("Location: got %q, want %q", location, want)
			}
			for _, at := range []string{location, location + "/", "/v1/demo/users/" + name} {
				r := a.get(at, "Accept", accept)
				if r.Code != 200 || r.Body.String() != w.Body.String() {
					t.Errorf("GET %s: got %d %s, want %s", at, r.Code, r.Body, w.Body)
				}
			}
		}
	}
}

func TestAnswerShowsTheContractsMembersAndNoOthers(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	w := a.post(body("ann", `"name":"Ann","allowDashboardAccess":true,"dashboardSettings":{"a":1},"x":"y"`))
	want := []string{"creationDate", "dateCreated", "dateUpdated", "email", "id", "isApproved", "isLockedOut", "links", "name", "roles", "userName"}
	if got := slices.Sorted(maps.Keys(decode[map[string]any](t, w))); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEveryMemberIsJudged(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	deep := func(n int) string { return strings.Repeat(`{"a":`, n-1) + "{}" + strings.Repeat("}", n-1) }
	size := func(n int) string { return `{"a":"` + strings.Repeat("x", n-8) + `"}` }
	for i, tt := range []struct{ members, want string }{ // want "": 201
		{``, ``},
		{`"name":null,"roles":null,"id":null,"embed":null,"isApproved":null,"dashboardSettings":null,"creationDate":null,"dateCreated":null,"autoCreatePassword":null`, ``},
		{`"name":1`, `/name invalid_type`},
		{`"name":"` + strings.Repeat("n", 256) + `"`, ``},
		{`"name":"` + strings.Repeat("n", 257) + `"`, `/name too_long`},
		{`"isApproved":"true"`, `/isApproved invalid_type`},
		{`"isApproved":1`, `/isApproved invalid_type`},
		{`"isLockedOut":[]`, `/isLockedOut invalid_type`},
		{`"isApproved":false,"isLockedOut":true,"sendEmailNotification":false,"allowDashboardAccess":true`, ``},
		{`"sendEmailNotification":"yes"`, `/sendEmailNotification invalid_type`},
		{`"autoCreatePassword":0`, `/autoCreatePassword invalid_type`},
		{`"autoCreatePassword":true`, `/password excluded, /confirmPassword excluded`},
		{`"allowDashboardAccess":{}`, `/allowDashboardAccess invalid_type`},
		{`"dashboardSettings":[]`, `/dashboardSettings invalid_type`},
		{`"dashboardSettings":"{}"`, `/dashboardSettings invalid_type`},
		{`"dashboardSettings":` + deep(20), ``},
		{`"dashboardSettings":` + deep(21), `/dashboardSettings too_deep`},
		{`"dashboardSettings":` + deep(64), `/dashboardSettings too_deep`},
		{`"dashboardSettings":` + size(64<<10), ``},
		{`"dashboardSettings":` + size(64<<10+1), `/dashboardSettings too_long`},
		{`"creationDate":"2020-01-02T03:04:05Z"`, ``},
		{`"creationDate":"2020-01-02T03:04:05.123456789012+01:00"`, ``},
		{`"creationDate":"2020-01-02T03:04:05"`, ``},
		{`"creationDate":"2020-01-02T03:04"`, ``},
		{`"creationDate":"2020-01-02T03:04Z"`, ``},
		{`"creationDate":"2020-01-02T03:04+01:00"`, ``},
		{`"creationDate":"2020-01-02T03:4Z"`, `/creationDate invalid_date`},
		{`"creationDate":"2020-01-02T03:04+"`, `/creationDate invalid_date`},
		{`"creationDate":"2020-01-02"`, ``},
		{`"creationDate":"0001-01-01T00:00:00"`, ``},
		{`"creationDate":"9999-12-31T23:59:59.9999999Z"`, ``},
		{`"creationDate":"9999-12-31T23:59:59-01:00"`, `/creationDate out_of_range`},
		{`"creationDate":"0000-12-31T23:59:59Z"`, `/creationDate out_of_range`},
		{`"creationDate":"2020-02-30"`, `/creationDate invalid_date`},
		{`"creationDate":"2020-01-02T3:04:05Z"`, `/creationDate invalid_date`},
		{`"creationDate":"2020-01-02T03:04:05+24:00"`, `/creationDate invalid_date`},
		{`"creationDate":"2020-01-02T03:04:05+01:60"`, `/creationDate invalid_date`},
		{`"creationDate":"2020-01-02t03:04:05z"`, ``},
		{`"creationDate":"2020-01-02 03:04:05Z"`, `/creationDate invalid_date`},
		{`"creationDate":"2020-01-02T03:04:05+25:00"`, `/creationDate invalid_date`},
		{`"creationDate":""`, `/creationDate invalid_date`},
		{`"creationDate":1577934245`, `/creationDate invalid_type`},
		{`"dateCreated":"2020-01-02T03:04:05Z","dateUpdated":"0001-01-01T00:00:00"`, ``},
		{`"dateCreated":"soon","dateUpdated":[]`, `/dateCreated invalid_date, /dateUpdated invalid_type`},
		{`"dateCreated":"0000-12-31T23:59:59Z","dateUpdated":"9999-12-31T23:59:59-01:00"`, `/dateCreated out_of_range, /dateUpdated out_of_range`},
		{`"id":"00000000-0000-0000-0000-000000000000"`, ``},
		{`"id":"6ba7b810-9dad-11d1-80b4-00c04fd430c8"`, ``},
		{`"id":"0"`, ``},
		{`"id":"0000000000000000000000"`, ``},
		{`"id":"` + strings.Repeat("0", 1000) + `"`, ``},
		{`"id":""`, ``},
		{`"id":"-"`, `/id invalid_id`},
		{`"id":"0000000000000000000001"`, `/id invalid_id`},
		{`"id":"12"`, `/id invalid_id`},
		{`"id":12`, `/id invalid_type`},
		{`"roles":[]`, ``},
		{`"roles":["editor","editor"]`, ``},
		{`"roles":[{"name":"editor","id":"00000000000000000000000000","description":7,"dateCreated":"?","embed":1}]`, ``},
		{`"roles":[{"name":"editor","id":"0"},{"id":"0000000000000000000000","name":"viewer"}]`, ``},
		{`"roles":[{"id":"000000000000000000000000"}]`, `/roles/0 required`},
		{`"roles":[{"name":"editor","id":"1"}]`, `/roles/0 invalid_id`},
		{`"roles":[{"id":"` + a.editor.ID + `","name":null}]`, ``},
		{`"roles":["Editor"]`, `/roles/0 unknown_role`},
		{`"roles":["editor",{"name":1},{"id":[]},{},7,null]`, `/roles/1/name invalid_type, /roles/2/id invalid_type, /roles/3 required, /roles/4 invalid_type, /roles/5 invalid_type`},
		{`"roles":"editor"`, `/roles invalid_type`},
		{`"roles":[` + strings.Repeat(`"editor",`, 99) + `"editor"]`, ``},
		{`"roles":[` + strings.Repeat(`"editor",`, 100) + `"editor"]`, `/roles too_many`},
		{`"embed":[]`, ``},
		{`"embed":["roles","roles"]`, ``},
		{`"embed":"roles"`, `/embed invalid_type`},
		{`"embed":["roles","users",3]`, `/embed/1 unknown_embed`},
		{`"username":"bob"`, `/userName duplicate_member`},
		{`"username":null`, ``},
		{`"USERNAME":"x","uſerName":"y","unknown":{"a":[1,{"b":null}]}`, ``},
		{`"name":1,"isApproved":2,"id":3,"email2":4,"roles":5`, `/isApproved invalid_type, /name invalid_type, /roles invalid_type, /id invalid_type`},
	} {
		name := "u" + strconv.Itoa(len(tt.members)) + "x" + strconv.Itoa(i)
		w := a.post(body(name, tt.members))
		label := tt.members[:min(80, len(tt.members))]
		if tt.want == "" {
			if w.Code != 201 {
				t.Errorf("%s: got %d %s, want 201", label, w.Code, w.Body)
			}
		} else if got := codes(t, w); w.Code != 400 || got != tt.want {
			t.Errorf("%s: got %d %s, want 400 %s", label, w.Code, got, tt.want)
		}
	}
}

func TestCreationDateComesBackAsTheInstantThatWasSent(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	const invalid, absent = "invalid_date", ""
	for i, tt := range []struct{ in, want string }{
		{"2020-01-02T03:04:05Z", "2020-01-02T03:04:05Z"},
		{"2020-01-02t03:04:05z", "2020-01-02T03:04:05Z"},
		{"2020-01-02T03:04:05", "2020-01-02T03:04:05Z"},
		{"2020-01-02T03:04", "2020-01-02T03:04:00Z"},
		{"2020-01-02", "2020-01-02T00:00:00Z"},
		{"2020-02-29T23:30:00-01:30", "2020-03-01T01:00:00Z"},
		{"2020-03-01T00:30:00+01:30", "2020-02-29T23:00:00Z"},
		{"2020-01-02T03:04:05+0000", "2020-01-02T03:04:05Z"},
		{"2020-01-02T03:04:05-0000", "2020-01-02T03:04:05Z"},
		{"2020-01-02T03:04:05+01", "2020-01-02T02:04:05Z"},
		{"2020-01-02T03:04:05-0130", "2020-01-02T04:34:05Z"},
		{"2020-01-02T03:04+0530", "2020-01-01T21:34:00Z"},
		{"2020-01-02T03:04-08", "2020-01-02T11:04:00Z"},
		{"2020-01-02T03:04:05+23:59", "2020-01-01T03:05:05Z"},
		{"2020-01-02T03:04:05.123456+0100", "2020-01-02T02:04:05.123456Z"},
		{"2020-01-02T03:04:05.1234569999999Z", "2020-01-02T03:04:05.123456Z"},
		{"2020-01-02T03:04:05.5Z", "2020-01-02T03:04:05.5Z"},
		{"2020-01-02T03:04:05,5Z", "2020-01-02T03:04:05.5Z"},
		{"0001-01-01T00:00:00.000001Z", "0001-01-01T00:00:00.000001Z"},
		{"0001-01-02T00:00:00+02:00", "0001-01-01T22:00:00Z"},
		{"9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.999999Z"},

		// A leap second (RFC 3339 section 5.7) is the next one.
		{"2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"},
		{"2016-12-31T23:59:60.25Z", "2017-01-01T00:00:00.25Z"},
		{"1990-12-31T15:59:60-08:00", "1991-01-01T00:00:00Z"},
		{"2015-07-01T01:59:60+0200", "2015-07-01T00:00:00Z"},
		{"2016-12-31T23:59:61Z", invalid},
		{"2016-12-31T23:59:60+01:00", invalid},
		{"2016-12-30T23:59:60Z", invalid},
		{"2017-01-01T00:00:60Z", invalid},
		{"2017-01-01T03:04:60Z", invalid},
		{"9999-12-31T23:59:60Z", "out_of_range"},

		// The zero date of generated clients, in their own zones, of which those of
		// the time before standard time had seconds.
		{"0001-01-01T00:00:00", absent},
		{"0001-01-01T00:00:00Z", absent},
		{"0001-01-01", absent},
		{"0001-01-01T00:00", absent},
		{"0001-01-01T00:00:00.0000000", absent},
		{"0001-01-01T00:00:00+02:00", absent},
		{"0001-01-01T00:00:00-08:00", absent},
		{"0001-01-01T00:00:00+1400", absent},
		{"0001-01-01T00:00:00-12", absent},
		{"0001-01-01T02:00:00+02:00", absent},
		{"0000-12-31T16:00:00-08:00", absent},
		{"0001-01-01T00:53:28+00:53", absent},
		{"0000-12-31T19:03:58-04:56", absent},

		{"0000-12-31T23:59:59Z", "out_of_range"},
		{"0001-01-01T00:00:01+01:00", "out_of_range"},
		{"9999-12-31T23:59:59-01:00", "out_of_range"},
		{"2020-13-01", invalid}, {"2020-00-01", invalid}, {"2020-01-00", invalid}, {"2021-02-29", invalid}, {"2020-1-02", invalid},
		{"2020-01-02T24:00:00Z", invalid}, {"2020-01-02T23:60:00Z", invalid}, {"2020-01-02T", invalid}, {"2020-01-02T03", invalid},
		{"2020-01-02T03Z", invalid}, {"2020-01-02T03:04:5Z", invalid}, {"2020-01-02T03:04:05.Z", invalid}, {"2020-01-02T03:04:05.", invalid},
		{"2020-01-02T03:04:05+1", invalid}, {"2020-01-02T03:04:05+010", invalid}, {"2020-01-02T03:04:05+01:0", invalid}, {"2020-01-02T03:04:05+01:", invalid},
		{"2020-01-02T03:04:05+01000", invalid}, {"2020-01-02T03:04:05+0160", invalid}, {"2020-01-02T03:04:05+24", invalid}, {"2020-01-02T03:04:05+", invalid},
		{"2020-01-02T03:04:05 Z", invalid}, {"2020-01-02T03:04:05ZZ", invalid}, {"2020-01-02T03:04:05Z+01", invalid}, {"2020-01-02Z", invalid},
		{"20200102T030405Z", invalid}, {" 2020-01-02", invalid}, {"-020-01-02", invalid}, {"+2020-01-02", invalid}, {"２020-01-02", invalid},
		{"2020-01-02T03:04:05." + strings.Repeat("0", 43) + "Z", "2020-01-02T03:04:05Z"},
		{"2020-01-02T03:04:05." + strings.Repeat("0", 44) + "Z", invalid},
	} {
		for _, accept := range []string{"application/json", "application/hal+json"} {
			before := time.Now().Truncate(time.Microsecond)
			w := a.post(body(fmt.Sprint("u", i, "x", len(accept)), `"creationDate":"`+tt.in+`"`), "Accept", accept)
			if w.Code == 400 {
				if got := codes(t, w); got != "/creationDate "+tt.want {
					t.Errorf("%s: got %s, want %s", tt.in, got, tt.want)
				}
				continue
			}
			r := a.get(w.Header().Get("Location"), "Accept", accept)
			made, read := decode[struct{ CreationDate string }](t, w), decode[struct{ CreationDate string }](t, r)
			if made != read {
				t.Errorf("%s: got %s, then %s", tt.in, made, read)
			}
			if got, err := time.Parse(time.RFC3339, read.CreationDate); tt.want == absent && err == nil && !got.Before(before) {
				continue // now
			}
			if read.CreationDate != tt.want {
				t.Errorf("%s: got %s, want %q", tt.in, read.CreationDate, tt.want)
			}
		}
	}
}

func TestRequiredMembers(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	long := strings.Repeat("n", 257)
	for in, want := range map[string]string{
		`{}`: `/userName required, /email required, /password required, /confirmPassword required`,
		`{"userName":null,"email":"","password":null,"confirmPassword":""}`:                                                               `/userName required, /email required, /password required, /confirmPassword required`,
		`{"userName":1,"email":{},"password":[],"confirmPassword":true}`:                                                                  `/userName invalid_type, /email invalid_type, /password invalid_type, /confirmPassword invalid_type`,
		`{"userName":"` + long + `","email":"a@example.com","password":"` + goodPassword + `","confirmPassword":"` + goodPassword + `x"}`: `/userName too_long, /confirmPassword mismatch`,
		`{"userName":"a/b","email":"a","password":"short","confirmPassword":"short"}`:                                                     `/userName invalid_characters, /email invalid_email, /password too_short`,
	} {
		w := a.post(in)
		if got := codes(t, w); w.Code != 400 || got != want {
			t.Errorf("%s: got %d %s, want 400 %s", in, w.Code, got, want)
		}
	}
	w := a.post(`{"username":"ann","email":"ann@example.com","autoCreatePassword":true}`)
	if w.Code != 201 || decode[map[string]any](t, w)["userName"] != "ann" {
		t.Errorf("username: got %d %s", w.Code, w.Body)
	}
}

func TestDashboardSettingsAreKeptByteForByte(t *testing.T) {
	t.Parallel()
	var kept []byte
	a := newAPI(t, creating(func(_ context.Context, n *users.NewUser, do func() error) error {
		kept = n.DashboardSettings // a careless Store must not see the next request's bytes
		return do()
	}))
	const raw = `{ "b" : 1e400000, "a":"\u0041 é",  "n":1.0 }`
	w := a.post(body("ann", `"dashboardSettings" : `+raw+`  , "name":"A"`))
	if w.Code != 201 {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	u, err := a.host.User(t.Context(), "demo", "ann")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(u.DashboardSettings); got != raw || string(kept) != raw {
		t.Errorf("got %q, kept by the Store %q, want %q", got, kept, raw)
	}
}

func TestNoTrickBindsAMember(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	w := a.post(body("ann", `"NAME":"x","Name":"y","isapproved":false,"\u006eame":"Ann"`))
	got := decode[struct {
		Name       string
		IsApproved bool
	}](t, w)
	if w.Code != 201 || got.Name != "Ann" || !got.IsApproved {
		t.Errorf("got %d %+v", w.Code, got)
	}
}

func TestEmbedByBodyAndQuery(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	w := a.post(body("ann", `"roles":["editor"],"embed":["roles"]`))
	if !strings.Contains(w.Body.String(), `"edits"`) || !strings.Contains(w.Body.String(), `"embed":["roles"]`) {
		t.Errorf("body: got %s", w.Body)
	}
	w = a.do(request("POST", "/v1/demo/users?embed=roles", body("bob", `"roles":["editor"]`)))
	if !strings.Contains(w.Body.String(), `"edits"`) {
		t.Errorf("query of a POST: got %s", w.Body)
	}
	for _, q := range []string{"embed=", "embed=roles,", "embed=,&embed=roles"} {
		if w = a.get("/v1/demo/users/ann?" + q); w.Code != 200 {
			t.Errorf("%s: got %d, want 200", q, w.Code)
		}
	}
	if w = a.get("/v1/demo/users/ann?embed=roles"); w.Code != 200 || !strings.Contains(w.Body.String(), `"edits"`) {
		t.Errorf("query: got %d %s", w.Code, w.Body)
	}
	if w = a.get("/v1/demo/users/ann"); strings.Contains(w.Body.String(), `"edits"`) || !strings.Contains(w.Body.String(), `"editor"`) {
		t.Errorf("without: got %s", w.Body)
	}
	w = a.get("/v1/demo/users/ann?embed=roles", "Accept", "application/hal+json")
	var h struct {
		Embedded struct {
			Roles []struct {
				Name  string
				Links struct{ Self struct{ Href string } } `json:"_links"`
			}
		} `json:"_embedded"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &h); err != nil || len(h.Embedded.Roles) != 1 || h.Embedded.Roles[0].Links.Self.Href != "/v1/demo/roles/"+a.editor.ID {
		t.Errorf("HAL: got %s", w.Body)
	}
	for _, q := range []string{"embed=users", "embed=roles,x", "embed=%zz"} {
		if w = a.get("/v1/demo/users/ann?" + q); w.Code != 400 {
			t.Errorf("%s: got %d, want 400", q, w.Code)
		}
	}
}

func TestIdempotencyKeyRepeatsTheAnswer(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	first := a.post(body("ann", ""), "Idempotency-Key", "k1")
	again := a.post(body("ann", ""), "Idempotency-Key", "k1")
	if first.Code != 201 || again.Code != 201 || first.Body.String() != again.Body.String() {
		t.Errorf("got %d %s and %d %s", first.Code, first.Body, again.Code, again.Body)
	}
	if w := a.post(body("bob", ""), "Idempotency-Key", "k1"); w.Code != 422 || codes(t, w) != "idempotency_mismatch" {
		t.Errorf("other body: got %d %s, want 422", w.Code, w.Body)
	}
	for _, values := range [][]string{{""}, {"a", "b"}, {"é"}, {strings.Repeat("k", 256)}} {
		r := request("POST", "/v1/demo/users", body("eve", ""))
		r.Header[http.CanonicalHeaderKey("Idempotency-Key")] = values
		if w := a.do(r); w.Code != 400 || codes(t, w) != "invalid_idempotency_key" {
			t.Errorf("%q: got %d %s, want 400", values, w.Code, w.Body)
		}
	}
}
