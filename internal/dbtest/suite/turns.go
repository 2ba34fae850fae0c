package suite

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/dbtest/flaky"
	"github.com/gousers/users/sqlstore"
)

// later is when what backs off is due.
var later = time.Now().Add(24 * time.Hour)

// Turns checks that a claim costs no more when tens of thousands of notifications
// wait for their next attempt, and no more for each application that has some.
func Turns(t *testing.T, g *Target) {
	g.Share(t)
	for name, c := range map[string]struct {
		fill func(t *testing.T, e *Env)
		most int // rows that a statement may read
	}{
		"NoRows": {func(*testing.T, *Env) {}, 50},
		"OneApplicationBacksOff": {func(t *testing.T, e *Env) {
			e.notify(t, "app", 30_000, later)
			e.notify(t, "big", 30_000, later)
			e.exec(t, "UPDATE "+e.table("notifications")+" SET due_at = 1 WHERE id IN ('n7', 'n8', 'n9')")
			e.notify(t, "bob", 3, time.Now().Add(-time.Hour))
		}, 300},
		"ManyApplications": {func(t *testing.T, e *Env) {
			e.notify(t, "app", 2_000, time.Now().Add(-time.Hour))
			e.exec(t, "UPDATE "+e.table("notifications")+" SET application_id = id")
		}, 1200},
		"ManyDiscarded": {func(t *testing.T, e *Env) {
			e.notify(t, "app", 20_000, later)
			e.exec(t, "UPDATE "+e.table("notifications")+" SET state = 'discarded', pending = NULL")
			e.notify(t, "bob", 3, time.Now().Add(-time.Hour))
		}, 300},
	} {
		t.Run(name, func(t *testing.T) {
			e := g.Open(t) // without statistics of what another test deleted
			must(t, e.Store.Migrate(t.Context()))
			c.fill(t, e)
			e.claimsCheaply(t, "without statistics", c.most)
			e.analyze(t)
			e.claimsCheaply(t, "with statistics", c.most)
		})
	}
}

// claimGoesOnBehindAFasterWorker, which took what it had found, with the application
// that comes next.
func claimGoesOnBehindAFasterWorker(t *testing.T, e *Env) {
	e.notify(t, "a", 1, time.Now().Add(-time.Hour))
	e.notify(t, "b", 1, time.Now().Add(-time.Hour))
	faster := e.New(t, e.Options)
	claim := func(s *sqlstore.Store, worker string) (application string) {
		rows, err := s.Claim(t.Context(), users.Claim{Worker: worker, Lease: time.Hour, Limit: 10})
		if err != nil || len(rows) != 1 {
			t.Errorf("Claim of %s: got %d rows, %v, want 1", worker, len(rows), err)
			return ""
		}
		return rows[0].ApplicationID
	}
	taken := ""
	e.Switch.Set(&flaky.Hooks{Before: func(c flaky.Call) error {
		leases := strings.Contains(c.Query, "lease_owner =") || strings.Contains(c.Query, "FOR UPDATE")
		if taken == "" && leases {
			taken = "by now"
			taken = claim(faster, "the faster one")
		}
		return nil
	}})
	defer e.Switch.Set(nil)
	if got := claim(e.Store, "the slower one"); got != "b" || taken != "a" {
		t.Errorf("got a row of %q after another worker took that of %q, want b and a", got, taken)
	}
}

// claimsCheaply checks each statement of a claim and of a purge.
func (e *Env) claimsCheaply(t *testing.T, what string, most int) {
	t.Helper()
	sent := e.sentBy(func() {
		for range 3 { // more than the rows of one
			_, err := e.Store.Claim(t.Context(), users.Claim{Worker: "w", Lease: time.Microsecond, Limit: 2, After: "app"})
			must(t, err)
		}
		_, err := e.Store.PurgeDiscarded(t.Context(), 0, 2)
		must(t, err)
	})
	for _, s := range sent {
		for _, fault := range e.explain(t, s) {
			t.Errorf("%s: %s\n%s", what, fault, s.text)
		}
		if read := e.rowsRead(t, s); read > most {
			t.Errorf("%s: reads %d rows, want at most %d\n%s", what, read, most, s.text)
		}
	}
}

// notify adds notifications of an application, which are due at a time.
func (e *Env) notify(t *testing.T, application string, n int, due time.Time) {
	t.Helper()
	for from := 0; from < n; from += 1000 {
		var rows []string
		for i := from; i < min(n, from+1000); i++ {
			rows = append(rows, fmt.Sprintf("('%s', 'n%d', 'u%d', 'k', 'pending', 1, false, %d, 0, '', 1, '', 0)",
				application, i, i, due.UnixMicro()+int64(i)))
		}
		e.exec(t, "INSERT INTO "+e.table("notifications")+` (application_id, id, user_id, kind, state, pending, urgent, due_at,
			lease_until, lease_owner, attempts, last_error, date_created) VALUES `+strings.Join(rows, ", "))
	}
}

// rowsRead runs s, undoes it, and returns how many rows or entries of indexes the
// database read; 0 where it doesn't say.
func (e *Env) rowsRead(t *testing.T, s statement) int {
	t.Helper()
	if e.Dialect == sqlstore.SQLite {
		return 0
	}
	tx, err := e.DB.BeginTx(context.Background(), nil)
	must(t, err)
	defer tx.Rollback()
	if e.Dialect == sqlstore.Postgres {
		return rowsReadPostgres(t, tx, s)
	}

	before := handlerReads(t, tx)
	rows, err := tx.Query(s.text, s.args...)
	must(t, err)
	for rows.Next() {
	}
	must(t, rows.Close())
	return handlerReads(t, tx) - before
}

// handlerReads returns what MySQL has counted for the connection.
func handlerReads(t *testing.T, tx *sql.Tx) (sum int) {
	t.Helper()
	rows, err := tx.Query("SHOW SESSION STATUS LIKE 'Handler_read%'")
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		var name string
		var n int
		must(t, rows.Scan(&name, &n))
		if !strings.Contains(name, "rnd") { // of tables in memory: the SHOW's own
			sum += n
		}
	}
	return sum
}

var (
	actual  = regexp.MustCompile(`(?:Index|Seq|Bitmap Heap|Tid).* Scan.*actual time=\S+ rows=(\d+) loops=(\d+)`)
	removed = regexp.MustCompile(`Rows Removed by (?:Filter|Index Recheck): (\d+)`)
)

func rowsReadPostgres(t *testing.T, tx *sql.Tx, s statement) (sum int) {
	t.Helper()
	rows, err := tx.Query("EXPLAIN ANALYZE "+s.text, s.args...)
	must(t, err)
	defer rows.Close()
	loops := 0
	for rows.Next() {
		var line string
		must(t, rows.Scan(&line))
		if m := actual.FindStringSubmatch(line); m != nil {
			loops = number(m[2])
			sum += number(m[1]) * loops
		} else if m := removed.FindStringSubmatch(line); m != nil {
			sum += number(m[1]) * loops
		}
	}
	return sum
}

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}
