package httpapi_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
)

// newInterop is an api with Interop, and what a test changes of it.
func newInterop(t *testing.T, change func(*setup)) *api {
	t.Helper()
	return newAPI(t, func(s *setup) {
		interop(s)
		if change != nil {
			change(s)
		}
	})
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
			fetched := want[map[string]any](t, a, 200, request("GET", "/v1/demo/users/ann?embed=roles", "", "Accept", accept))
			whole, err := json.Marshal(fetched)
			if err != nil {
				t.Fatal(err)
			}
			before, err := a.host.User(t.Context(), "demo", u.ID)
			if err != nil {
				t.Fatal(err)
			}
			want[any](t, a, 204, request("PUT", "/v1/demo/users/"+fmt.Sprint(fetched["id"]), string(whole)))
			if after, err := a.host.User(t.Context(), "demo", u.ID); err != nil || !reflect.DeepEqual(after, before) {
				t.Errorf("sent back: got %+v, %v, want %+v", after, err, before)
			}
		}
		want[any](t, a, 204, request("PUT", "/v1/demo/users/"+users.ShortID(u.ID), tt.change))
		got, err := a.host.User(t.Context(), "demo", u.ID)
		if err != nil || got.UserName != tt.userName || got.Name != tt.name || len(got.Roles) != 1 {
			t.Errorf("%s: got %+v, %v", tt.change, got, err)
		}
	}
}

// Lists know the name that these clients have for the display name. Short ids are two
// ids each, of which the limit is that of all others.
func TestInteropListsByDisplayNameAndByManyShortIDs(t *testing.T) {
	t.Parallel()
	a := newInterop(t, nil)
	want[any](t, a, 201, request("POST", "/v1/demo/users", body("ann", `"name":"Zoe"`)))
	want[any](t, a, 201, request("POST", "/v1/demo/users", body("bob", `"name":"Abe"`)))
	for query, order := range map[string]string{
		"sort=displayName": "bob ann", "sort=-displayname": "ann bob", "sort=displayName%7Cdesc,email": "ann bob", "sort=userName": "ann bob",
	} {
		page := want[map[string]any](t, a, 200, request("GET", "/v1/demo/users?"+query, ""))
		var names []string
		for _, u := range page["item"].([]any) {
			names = append(names, u.(map[string]any)["userName"].(string))
		}
		if got := strings.Join(names, " "); got != order {
			t.Errorf("%s: got %s, want %s", query, got, order)
		}
	}

	var ids []string
	for i := range 501 {
		ids = append(ids, users.ShortID(fmt.Sprintf("0190a3f0-0000-7000-8000-%012d", i)))
	}
	want[any](t, a, 200, request("GET", "/v1/demo/users?userIds="+strings.Join(ids[:500], ","), ""))
	w := a.tell(request("GET", "/v1/demo/users?userIds="+strings.Join(ids, ","), ""))
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
	want[any](t, a, 403, request("GET", "/v1/demo/users/ann", ""))
	want[any](t, a, 204, request("PUT", "/v1/demo/users/"+users.ShortID(u.ID), `{"name":"ann","email":"new@example.com"}`))
	if got, err := a.host.User(t.Context(), "demo", u.ID); err != nil || got.Name != "Ann A." || got.Email != "new@example.com" {
		t.Errorf("got %+v, %v", got, err)
	}
}
