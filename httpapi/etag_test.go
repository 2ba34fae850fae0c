package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/storefake"
)

var (
	tagList = regexp.MustCompile(`^[ \t,]*(?:(?:W/)?"[^\x00-\x20"\x7f]*"[ \t]*(?:,[ \t,]*|$))*$`)
	oneTag  = regexp.MustCompile(`(W/)?"([^"]*)"`)
	ourTag  = regexp.MustCompile(`^([1-9][0-9]{0,18})\.[jh]$`)
)

// slowIfMatch reads an If-Match as httpapi does.
func slowIfMatch(s string) (versions []int64) {
	never := []int64{-1}
	if strings.Trim(s, " \t") == "*" {
		return nil
	}
	if !tagList.MatchString(s) {
		return never
	}
	for _, tag := range oneTag.FindAllStringSubmatch(s, -1) {
		if m := ourTag.FindStringSubmatch(tag[2]); m != nil && tag[1] == "" {
			if v, err := strconv.ParseInt(m[1], 10, 64); err == nil {
				versions = append(versions, v)
			}
		}
	}
	slices.Sort(versions)
	if versions = slices.Compact(versions); len(versions) == 0 {
		return never
	}
	return versions[max(0, len(versions)-20):]
}

func TestETagNamesTheVersionInTheFormOfTheAnswer(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	for i, tt := range []struct{ accept, form string }{{"application/json", "j"}, {"application/hal+json", "h"}, {"", "j"}, {"*/*", "j"}} {
		name := fmt.Sprint("ann", i)
		at := "/v1/demo/users/" + name
		check := func(w *httptest.ResponseRecorder, version int) {
			t.Helper()
			if got, want := w.Header().Get("Etag"), fmt.Sprintf(`"%d.%s"`, version, tt.form); got != want || w.Code >= 300 {
				t.Errorf("%q: got %d with the ETag %s, want %s", tt.accept, w.Code, got, want)
			}
		}
		check(a.do(request("POST", "/v1/demo/users", body(name, ""), "Accept", tt.accept, "Idempotency-Key", name)), 1)
		check(a.get(at, "Accept", tt.accept), 1)
		check(a.do(request("PUT", at, `{"name":"Ann"}`, "Accept", tt.accept)), 2)
		check(a.do(request("PUT", at, `{"name":"Ann"}`, "Accept", tt.accept)), 2) // changed nothing
		if w := a.do(request("PUT", at+"/lock", "", "Accept", tt.accept)); w.Code != 204 {
			t.Errorf("lock: got %d", w.Code)
		}
		check(a.do(request("HEAD", at+"?fields=id&embed=roles", "", "Accept", tt.accept)), 3)
		check(a.do(request("POST", "/v1/demo/users", body(name, ""), "Accept", tt.accept, "Idempotency-Key", name)), 3)
	}
}

func TestIfMatch(t *testing.T) {
	t.Parallel()
	long := make([]string, 22) // the versions 22 to 1
	for i := range long {
		long[i] = fmt.Sprintf(`"%d.j"`, len(long)-i)
	}
	for _, tt := range []struct {
		values []string // the version is 3
		match  bool
	}{
		{nil, true},
		{[]string{`*`}, true},
		{[]string{` * `}, true},
		{[]string{`"3.j"`}, true},
		{[]string{`"3.h"`}, true},
		{[]string{`"1.j", "3.j"`}, true},
		{[]string{`"3.j","1.j" , "2.h"`}, true},
		{[]string{`"1.j"`, `"3.h"`}, true},
		{[]string{`"a,b", "3.j"`}, true},
		{[]string{`,"3.j",,`}, true},
		{[]string{`W/"3.h", "3.j"`}, true},
		{[]string{`"4.j","5.j","6.j","3.j"`}, true},
		{[]string{strings.Join(long, ",")}, true}, // of the newest 20
		{[]string{strings.Join(long, ",") + `,"23.j"`}, false},
		{[]string{`"2.j"`}, false},
		{[]string{`"4.j"`}, false},
		{[]string{`"1.j", "2.j", "4.h"`}, false},
		{[]string{`W/"3.j"`}, false},
		{[]string{`"3"`}, false},
		{[]string{`"3.x"`}, false},
		{[]string{`"3.j.j"`}, false},
		{[]string{`"03.j"`}, false},
		{[]string{`"+3.j"`}, false},
		{[]string{`"0.j"`}, false},
		{[]string{`"-1.j"`}, false},
		{[]string{`"9223372036854775808.j"`}, false},
		{[]string{`3.j`}, false},
		{[]string{`"3.j`}, false},
		{[]string{`"3.j" x`}, false},
		{[]string{`"3.j""3.j"`}, false},
		{[]string{`"3.j", junk`}, false},
		{[]string{`*, "3.j"`}, false},
		{[]string{`*`, `*`}, false},
		{[]string{`w/"3.j"`}, false},
		{[]string{``}, false},
		{[]string{`,`}, false},
		{[]string{"\"\x00\", \"3.j\""}, false},
		{[]string{strings.Repeat(`"3.x",`, 10000) + `"4.j"`}, false},
	} {
		for _, op := range []struct{ method, path, body string }{
			{"PUT", "", `{"name":"x"}`}, {"PUT", "", `{}`}, {"PUT", "/lock", ""}, {"PUT", "/unlock", ""}, {"PUT", "/approve", ""}, {"PUT", "/disapprove", ""},
			{"PUT", "/change-password", `{"newPassword":"` + goodPassword + `x"}`}, {"DELETE", "", ""},
		} {
			a := newAPI(t, nil)
			u := a.user(t.Context(), "ann", "")
			for _, approved := range []bool{false, true} {
				if _, err := a.host.SetStatus(t.Context(), "demo", "ann", users.Status{IsApproved: &approved}); err != nil {
					t.Fatal(err)
				}
			}
			before := a.get("/v1/demo/users/ann").Body.String()
			r := request(op.method, "/v1/demo/users/"+u.ID+op.path, op.body)
			if tt.values != nil {
				r.Header["If-Match"] = tt.values
			}
			w := a.do(r)
			if got := w.Code; (got < 300) != tt.match || got >= 300 && got != 412 {
				t.Errorf("If-Match: %.60q: %s %s: got %d %s, want a match: %t", tt.values, op.method, op.path, got, w.Body, tt.match)
			}
			if after := a.get("/v1/demo/users/ann").Body.String(); !tt.match && after != before {
				t.Errorf("If-Match: %.60q: %s %s: the user is %s, was %s", tt.values, op.method, op.path, after, before)
			}
		}
	}
}

func TestOtherRefusalsComeBeforeAPreconditionThatFails(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	u := a.user(t.Context(), "ann", "")
	a.user(t.Context(), "bob", "")
	for _, tt := range []struct {
		method, path, body, token string
		want                      int
	}{
		{"PUT", "ann", `{"name":"x"}`, adminToken, 412},
		{"PUT", "ann", `{"name":1}`, adminToken, 400},
		{"PUT", "ann", `{"email":"x"}`, adminToken, 400},
		{"PUT", "ann", `{`, adminToken, 400},
		{"PUT", "ann", `{"name":"x"}`, limitedToken, 403},
		{"PUT", "ann", `{"name":"x"}`, "", 401},
		{"PUT", "nobody", `{"name":"x"}`, adminToken, 404},
		{"PUT", "ann", ``, adminToken, 415},
		{"DELETE", "ann", "", nobodyToken, 403},
		{"DELETE", "nobody", "", adminToken, 404},
		{"PUT", "ann/lock", "", limitedToken, 403},
		{"PUT", "nobody/lock", "", adminToken, 404},
		{"PUT", "ann/change-password", `{"newPassword":"short"}`, adminToken, 400},
		{"PUT", "ann/change-password", `{"newPassword":"` + goodPassword + `"}`, limitedToken, 403},
		{"PUT", "nobody/change-password", `{"newPassword":"` + goodPassword + `"}`, adminToken, 404},
	} {
		w := a.do(request(tt.method, "/v1/demo/users/"+tt.path, tt.body, "If-Match", `"9.j"`, "Authorization", "Bearer "+tt.token))
		if w.Code != tt.want {
			t.Errorf("%s %s %s: got %d %s, want %d", tt.method, tt.path, tt.body, w.Code, w.Body, tt.want)
		}
	}
	if got, err := a.host.User(t.Context(), "demo", u.ID); err != nil || got.Version != 1 {
		t.Errorf("got %+v, %v, want version 1", got, err)
	}
}

// Of edits that begin with the same version one is done.
func TestEditsOfOneVersionExcludeEachOther(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	a.user(t.Context(), "ann", "")
	tag := a.get("/v1/demo/users/ann").Header().Get("Etag")
	codes := make(chan int, 20)
	for i := range cap(codes) {
		go func() {
			w := httptest.NewRecorder()
			a.ServeHTTP(w, request("PUT", "/v1/demo/users/ann", fmt.Sprintf(`{"name":"Ann %d"}`, i), "If-Match", tag))
			codes <- w.Code
		}()
	}
	count := map[int]int{}
	for range cap(codes) {
		count[<-codes]++
	}
	if count[204] != 1 || count[412] != cap(codes)-1 {
		t.Errorf("got %v, want 204 once and 412 otherwise", count)
	}
}

// Without a version in If-Match a stale row is no fault of the client's: it can only
// be the host's own transaction that shows no newer one.
func TestStaleRowIsA412OnlyWhereAVersionWasAskedFor(t *testing.T) {
	t.Parallel()
	a := newAPI(t, failing(users.ErrStale, storefake.EditUser, storefake.DeleteUser, storefake.SetUserStatus))
	a.user(t.Context(), "ann", "")
	for _, op := range []struct{ method, path, body string }{{"PUT", "", `{"name":"x"}`}, {"DELETE", "", ""}, {"PUT", "/lock", ""}} {
		for match, want := range map[string]int{"": 503, "*": 503, `"1.j"`: 412} {
			w := a.do(request(op.method, "/v1/demo/users/ann"+op.path, op.body, "If-Match", match))
			if w.Code != want || (w.Header().Get("Retry-After") != "") != (want == 503) {
				t.Errorf("%s %s, If-Match: %s: got %d %s, want %d", op.method, op.path, match, w.Code, w.Body, want)
			}
		}
	}
}

func TestErrorOfAHookIsNoPreconditionThatFails(t *testing.T) {
	t.Parallel()
	a := newAPI(t, func(s *setup) { hooks["ValidateDashboardSettings"](s, errors.Join(users.ErrStale)) })
	a.user(t.Context(), "ann", "")
	w := a.do(request("PUT", "/v1/demo/users/ann", `{"dashboardSettings":{"a":1}}`, "If-Match", `"1.j"`))
	if w.Code != 500 {
		t.Errorf("got %d %s, want 500", w.Code, w.Body)
	}
}

func TestChangedThatCannotBeToldHasNoETag(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	made := users.RoleRecord{Role: users.Role{ID: "x", Name: "made up", Description: "\xff"}, NameKey: "made up"}
	if err := a.store.CreateRole(context.Background(), a.demo.ID, made); err != nil {
		t.Fatal(err)
	}
	w := a.post(body("ann", `"roles":["made up"],"embed":["roles"]`))
	if tag, ok := w.Header()["Etag"]; w.Code != http.StatusInternalServerError || ok {
		t.Errorf("got %d, ETag %q, want 500 without", w.Code, tag)
	}
}
