//go:build !race && !goexperiment.jsonv2

package httpapi_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// discard is a ResponseWriter that keeps the status only.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }

const allMembers = `"autoCreatePassword":false,"sendEmailNotification":true,"allowDashboardAccess":true,"dashboardSettings":{"theme":"dark","n":[1,2]},` +
	`"creationDate":"2020-01-02T03:04:05Z","isApproved":true,"isLockedOut":false,"name":"Ann","roles":[{"name":"editor"},"viewer"],` +
	`"dateCreated":"2020-01-02T03:04:05Z","dateUpdated":"2020-01-02T03:04:05Z","id":"6ba7b810-9dad-11d1-80b4-%012x","embed":["roles"]`

func TestCreateAllocatesLittle(t *testing.T) {
	for _, tt := range []struct {
		name, more string
		most       float64
	}{{"required members", "", 90}, {"all members", allMembers, 120}} {
		a := newAPI(t, nil)
		bodies := make([]string, 2000)
		for i := range bodies {
			more := tt.more
			if more != "" {
				more = fmt.Sprintf(more, i+1)
			}
			bodies[i] = body(fmt.Sprintf("user%06d", i), more)
		}
		w, in, i := &discard{header: http.Header{}}, strings.NewReader(""), 0
		r := request("POST", "/v1/demo/users", " ")
		r.Body, r.ContentLength = io.NopCloser(in), -1
		got := testing.AllocsPerRun(len(bodies)-1, func() {
			clear(w.header)
			in.Reset(bodies[i])
			i++
			a.ServeHTTP(w, r)
			if w.status != 201 {
				t.Fatalf("%s: got %d, want 201", tt.name, w.status)
			}
		})
		t.Logf("%s: %.0f allocations", tt.name, got)
		if got > tt.most {
			t.Errorf("%s: got %.0f allocations, want at most %.0f", tt.name, got, tt.most)
		}
	}
}
