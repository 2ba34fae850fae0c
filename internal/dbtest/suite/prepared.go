package suite

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/dbtest/flaky"
	"github.com/gousers/users/sqlstore"
)

// Prepared runs the promises of Options.PrepareStatements.
func Prepared(t *testing.T, g *Target) {
	if !g.Prepared {
		t.Skip("not a matter of the driver")
	}
	g.Share(t)
	t.Run("ListsTakeNoPlace", func(t *testing.T) { listsTakeNoPlace(t, g.Fresh(t)) })
	t.Run("CloseDuringCalls", func(t *testing.T) { closeDuringCalls(t, g.Fresh(t)) })
}

func (e *Env) preparing(t testing.TB) *sqlstore.Store {
	o := e.Options
	o.PrepareStatements = true
	return e.New(t, o)
}

// listsTakeNoPlace looks for many users at a time, in lists of every length: what
// is sent all the time is prepared nevertheless.
func listsTakeNoPlace(t *testing.T, e *Env) {
	e.addApplication(t)
	s := e.preparing(t)
	defer s.Close()
	var ids []string
	for i := range 100 {
		ids = append(ids, fmt.Sprint("u", i))
		_, err := s.FindUsers(t.Context(), users.UserQuery{ApplicationID: "app", IDs: ids})
		must(t, err)
	}

	var prepared []string
	e.Switch.Set(&flaky.Hooks{After: func(c flaky.Call) error {
		if c.Op == flaky.Prepare {
			prepared = append(prepared, c.Query)
		}
		return nil
	}})
	must(t, s.CreateUser(t.Context(), newUser("ada", time.Now().UTC())))
	_, err := s.FindApplication(t.Context(), users.ApplicationQuery{APIKey: "app"})
	must(t, err)
	_, err = s.FindUsers(t.Context(), users.UserQuery{ApplicationID: "app", NameKeys: []string{"ada"}})
	must(t, err)
	e.Switch.Set(nil)
	for _, part := range []string{"INSERT INTO", "api_key = ", "name_key IN "} {
		if !slices.ContainsFunc(prepared, func(text string) bool { return strings.Contains(text, part) }) {
			t.Errorf("%s: got prepared %q, want it among them", part, prepared)
		}
	}
}

// closeDuringCalls lets calls race with Close: they go on without prepared
// statements.
func closeDuringCalls(t *testing.T, e *Env) {
	e.addApplication(t)
	for range 100 {
		s := e.preparing(t)
		var wg sync.WaitGroup
		var begun atomic.Int64
		enough := make(chan struct{})
		for range 8 {
			wg.Go(func() {
				for range 20 {
					if begun.Add(1) == 20 {
						close(enough)
					}
					if _, err := s.FindApplication(t.Context(), users.ApplicationQuery{ID: "app"}); err != nil {
						t.Errorf("FindApplication beside Close: got %v, want nil", err)
					}
				}
			})
		}
		<-enough
		must(t, s.Close())
		wg.Wait()
	}
}
