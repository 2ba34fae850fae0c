//go:build !race

package httpapi_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
	"github.com/gousers/users/internal/worktime"
)

// Eight times as much of anything is about eight times the work; squared it
// would be 64 times as much. Both are measured in the same run.
func TestWorkGrowsInProportionToTheRequest(t *testing.T) {
	const most = 24
	numbered := func(from, to string) func(int) string {
		return func(i int) string { return from + strconv.Itoa(i) + to }
	}
	list := func(bytes int, element func(int) string) string {
		var b strings.Builder
		for i := 0; b.Len() < bytes; i++ {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(element(i))
		}
		return b.String()
	}
	same := func(s string) func(int) string { return func(int) string { return s } }
	inBody := func(method, path, from string, element func(int) string, to string) func(int) *http.Request {
		return func(bytes int) *http.Request { return request(method, path, from+list(bytes, element)+to) }
	}
	post := func(from string, element func(int) string, to string) func(int) *http.Request {
		return inBody("POST", "/v1/demo/users", from, element, to)
	}
	header := func(name string, element func(int) string, to string) func(int) *http.Request {
		return func(bytes int) *http.Request {
			return request("GET", "/v1/demo/users/ann", "", name, strings.ReplaceAll(list(bytes, element), ",", to))
		}
	}

	a := newAPI(t, func(s *setup) { s.http.ExtraMembers = []string{"extra"} })
	failing := newAPI(t, func(s *setup) {
		s.http.Logger = logger(io.Discard)
		s.authenticate = func(r *http.Request, _ string) (users.Caller, error) {
			return users.Caller{}, errors.New(r.URL.RawQuery) // what the client sent
		}
	})
	for _, tt := range []struct {
		name    string
		api     *api
		request func(bytes int) *http.Request
	}{
		{"embed of unknown names", a, post(`{"embed":[`, same(`"x"`), `]}`)},
		{"embed of names", a, post(`{"embed":[`, same(`"roles"`), `]}`)},
		{"embed of numbers", a, post(`{"embed":[`, same(`1`), `]}`)},
		{"embed of nulls", a, post(`{"embed":[`, same(`null`), `]}`)},
		{"roles by name", a, post(`{"roles":[`, numbered(`"r`, `"`), `]}`)},
		{"roles of numbers", a, post(`{"roles":[`, same(`1`), `]}`)},
		{"roles of faulty objects", a, post(`{"roles":[`, same(`{"name":1,"id":2}`), `]}`)},
		{"members of a role", a, post(`{"roles":[{`, numbered(`"m`, `":1`), `}]}`)},
		{"unknown members", a, post(`{`, numbered(`"m`, `":1`), `}`)},
		{"members of settings", a, post(`{"dashboardSettings":{`, numbered(`"m`, `":1`), `}}`)},
		{"extra member", a, post(`{"extra":[`, same(`1`), `]}`)},
		{"user name", a, post(`{"userName":"`, same(`a\u0301`), `"}`)},
		{"email", a, post(`{"email":"`, same(`a.`), `@example.com"}`)},
		{"password", a, post(`{"password":"`, same(`a\u0301`), `"}`)},
		{"display name", a, post(`{"name":"`, same(`a\u0301`), `"}`)},
		{"date", a, post(`{"creationDate":"`, same(`0`), `"}`)},
		{"id", a, post(`{"id":"`, same(`0`), `"}`)},
		{"number", a, post(`{"x":`, same(`1`), `1]}`)},
		{"broken", a, post(`{"x":[`, same(`"\u00e9"`), `x`)},
		{"description of a role", a, inBody("POST", "/v1/demo/roles", `{"description":"`, same(`a\u0301`), `"}`)},
		{"login", a, inBody("PUT", "/v1/demo/recover-password", `{"newPassword":"`, same(`a\u0301`), `"}`)},
		{"token", a, inBody("PUT", "/v1/demo/recover-password", `{"passwordRecoveryToken":"`, same(`a`), `"}`)},
		{"query of one parameter", a, func(n int) *http.Request {
			return request("GET", "/v1/demo/users/ann?embed="+list(n, same(`x`)), "")
		}},
		{"query of many parameters", a, func(n int) *http.Request {
			return request("GET", "/v1/demo/roles?"+strings.ReplaceAll(list(n, numbered("embed", "=x")), ",", "&"), "")
		}},
		{"sort", a, func(n int) *http.Request {
			return request("GET", "/v1/demo/users?sort="+list(n, same("email|desc")), "")
		}},
		{"sort of many", a, func(n int) *http.Request {
			return request("GET", "/v1/demo/users?sort="+strings.ReplaceAll(list(n, same("email")), ",", "&sort="), "")
		}},
		{"userIds", a, func(n int) *http.Request {
			return request("GET", "/v1/demo/users?userIds="+list(n, numbered("", "")), "")
		}},
		{"roleNames of one page", a, func(n int) *http.Request {
			return request("GET", "/v1/demo/users?roleNames="+strings.Repeat("x", n), "")
		}},
		{"searchQuery", a, func(n int) *http.Request {
			return request("GET", "/v1/demo/users?searchQuery="+strings.Repeat("a", n), "")
		}},
		{"fields", a, func(n int) *http.Request { return request("GET", "/v1/demo/users?fields="+list(n, same("email")), "") }},
		{"after", a, func(n int) *http.Request {
			return request("GET", "/v1/demo/users?after="+strings.Repeat("eyJi", n/4), "")
		}},
		{"If-Match", a, func(n int) *http.Request {
			return request("DELETE", "/v1/demo/users/ann", "", "If-Match", list(n, numbered(`"`, `.j"`)))
		}},
		{"roles of a change", a, inBody("PUT", "/v1/demo/users/ann", `{"roles":[`, numbered(`"r`, `"`), `]}`)},
		{"new password", a, inBody("PUT", "/v1/demo/users/ann/change-password", `{"newPassword":"`, same(`a\u0301`), `"}`)},
		{"path of many segments", a, func(n int) *http.Request { return request("GET", "/v1/demo"+strings.Repeat("/%41", n/4), "") }},
		{"path of one segment", a, func(n int) *http.Request { return request("GET", "/v1/demo/users/"+strings.Repeat("%41", n/3), "") }},
		{"Accept of many types", a, header("Accept", numbered("application/x", ""), ",")},
		{"Accept with many parameters", a, header("Accept", numbered("application/json;q", "=1"), ";")},
		{"Content-Encoding", a, func(n int) *http.Request {
			return request("POST", "/v1/demo/users", "x", "Content-Encoding", list(n, same("identity")))
		}},
		{"Content-Type", a, func(n int) *http.Request {
			return request("POST", "/v1/demo/users", "x", "Content-Type", "application/json;"+strings.ReplaceAll(list(n, numbered("a", "=b")), ",", ";"))
		}},
		{"Authorization", a, header("Authorization", same("Bearer x"), " ")},
		{"Idempotency-Key", a, func(n int) *http.Request {
			return request("POST", "/v1/demo/users", "{}", "Idempotency-Key", strings.Repeat("k", n))
		}},
		{"cookies beside a failure", failing, func(n int) *http.Request {
			many := strings.ReplaceAll(list(n/6, numbered("c=abcdefgh", "")), ",", "; ") // fewer than net/http reads
			return request("GET", "/v1/demo/roles?"+list(n, same("abcdefg")), "", "Cookie", many)
		}},
		{"tokens beside a failure", failing, func(n int) *http.Request {
			r := request("GET", "/v1/demo/roles?"+list(n, same("abcdefg")), "")
			r.Header["Authorization"] = strings.Split(list(n, numbered("Bearer abcdefgh", "")), ",")
			return r
		}},
	} {
		small := func() *http.Request { return tt.request(httpapi.MaxBody / 9) }
		large := func() *http.Request { return tt.request(httpapi.MaxBody / 9 * 8) }
		if ratio := tt.api.times(large, small, most); ratio >= most {
			t.Errorf("%s: eight times as much takes %.0f times as long, want less than %d", tt.name, ratio, most)
		}
	}

	// What was found before does not count for each element.
	embed := `"embed":[` + list(httpapi.MaxBody*3/4, same(`"x"`)) + `]}`
	after := func() *http.Request {
		faulty := list(users.MaxRoles*len(`{"name":1,"id":1},`), same(`{"name":1,"id":1}`))
		return request("POST", "/v1/demo/users", `{"roles":[`+faulty+`],`+embed)
	}
	alone := func() *http.Request { return request("POST", "/v1/demo/users", `{`+embed) }
	if ratio := a.times(after, alone, 4); ratio >= 4 {
		t.Errorf("embed after many faults: takes %.0f times as long as without them, want less than 4", ratio)
	}
}

// times returns how many times as long as another request a request works, by
// the fastest of several runs of each. Where that is most or more it goes on: a
// neighbor may take the caches, and the collector the processor.
func (a *api) times(one, other func() *http.Request, most float64) (ratio float64) {
	fastest := func(request func() *http.Request, so time.Duration) time.Duration {
		for range 5 {
			r, w := request(), httptest.NewRecorder()
			so = min(so, worktime.Of(func() { a.ServeHTTP(w, r) }))
		}
		return so
	}
	slow, fast := time.Hour, time.Hour
	for range 10 {
		slow, fast = fastest(one, slow), fastest(other, fast)
		if ratio = float64(slow) / float64(fast); ratio < most {
			break
		}
	}
	return ratio
}
