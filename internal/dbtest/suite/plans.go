package suite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/dbtest/flaky"
	"github.com/gousers/users/password"
	"github.com/gousers/users/sqlstore"
)

// statement is one that the store sent, with its arguments.
type statement struct {
	text string
	args []any
}

// Plans checks that every statement that the store sends finds its rows by a
// named index and bound columns. It runs every method, records what reaches the
// driver, and asks the database how it would do each.
func Plans(t *testing.T, g *Target) {
	g.Share(t)
	e := g.Fresh(t)
	svc := e.service(t, users.Options{})
	e.fill(t, svc)
	sent := e.record(t, svc)
	if len(sent) < 60 {
		t.Fatalf("recorded %d statements, want all of them", len(sent))
	}
	excepted := map[string]int{}
	for _, s := range sent {
		if name := exception(s.text); name != "" {
			excepted[name]++
			continue
		}
		for _, fault := range e.explain(t, s) {
			t.Errorf("%s\n%s", fault, s.text)
		}
	}
	if want := map[string]int{"first page": 1, "phrase": 1, "count": 1, "deleted roles": 1}; !maps.Equal(excepted, want) {
		t.Errorf("statements that no index serves: got %v, want %v", excepted, want)
	}
}

// workList is the statement that reads what the purge has to do.
var workList = regexp.MustCompile(`^SELECT application_id, role_id FROM \S*deleted_roles\S* ORDER BY application_id, role_id LIMIT`)

// firstPage is the one without a condition; see ListPlans.
var firstPage = regexp.MustCompile(`^SELECT id, -1 FROM \S+ WHERE application_id = \S+ ORDER BY id LIMIT`)

// exception names a statement that need not find its rows by bound columns of an index;
// "" if it must.
func exception(text string) string {
	switch {
	case phrasePass.MatchString(text):
		return "phrase"
	case countAll.MatchString(text):
		return "count"
	case firstPage.MatchString(text):
		return "first page"
	case workList.MatchString(text):
		return "deleted roles"
	}
	return ""
}

// fill makes one application big enough for a plan to matter, and lets the
// servers count; SQLite plans without statistics, as it does for most hosts.
func (e *Env) fill(t *testing.T, svc *users.Service) {
	t.Helper()
	ctx := context.Background()
	tx, err := e.DB.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	in := svc.InTx(e.Store.WithTx(tx))
	for i := range 300 {
		if _, err := in.CreateRole(ctx, "demo", users.Role{Name: fmt.Sprint("role", i)}); err != nil {
			t.Fatal(err)
		}
		p := params(fmt.Sprint("filler", i))
		u, err := in.Create(ctx, "demo", p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.IssueSetPasswordToken(ctx, "demo", u.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if e.Dialect != sqlstore.SQLite {
		e.analyze(t)
	}
}

// analyze lets the database count.
func (e *Env) analyze(t *testing.T) {
	t.Helper()
	for _, table := range tables {
		switch e.Dialect {
		case sqlstore.Postgres, sqlstore.SQLite:
			e.exec(t, "ANALYZE "+e.table(table))
		case sqlstore.MySQL:
			e.exec(t, "ANALYZE TABLE "+e.table(table))
		}
	}
}

// record runs every method of the store and returns the statements that it sent.
func (e *Env) record(t *testing.T, svc *users.Service) []statement {
	t.Helper()
	app, err := svc.Application(t.Context(), "demo")
	if err != nil {
		t.Fatal(err)
	}
	c := caller{e, svc, app.ID}
	return e.sentBy(func() {
		c.createUsers(t)
		ada := c.findAndChange(t)
		c.useTokens(t, ada)
		c.useOutbox(t, ada)
		c.list(t, ada)
		c.edit(t, ada)
		if _, err := e.Store.Purge(t.Context(), 10); err != nil {
			t.Fatal(err)
		}
	})
}

// sentBy returns the statements that reach the driver while f runs, each once.
func (e *Env) sentBy(f func()) []statement {
	var mu sync.Mutex
	seen := map[string]statement{}
	e.Switch.Set(&flaky.Hooks{Before: func(c flaky.Call) error {
		if c.Op != flaky.Exec && c.Op != flaky.Query {
			return nil
		}
		args := make([]any, len(c.Args))
		for i, a := range c.Args {
			args[i] = a.Value
		}
		mu.Lock()
		defer mu.Unlock()
		seen[c.Query] = statement{c.Query, args}
		return nil
	}})
	defer e.Switch.Set(nil)

	f()

	var sent []statement
	for _, s := range seen {
		if dml.MatchString(s.text) {
			sent = append(sent, s)
		}
	}
	slices.SortFunc(sent, func(a, b statement) int { return strings.Compare(a.text, b.text) })
	return sent
}

var dml = regexp.MustCompile(`^\(?(SELECT|INSERT|UPDATE|DELETE|WITH)\b`)

// caller calls the methods of a store, so that their statements can be recorded.
type caller struct {
	*Env
	svc           *users.Service
	applicationID string
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// createUsers creates users of every shape, and repeats and conflicts of them.
func (c caller) createUsers(t *testing.T) {
	ctx := t.Context()
	for name, params := range shapes() {
		_, err := c.svc.Create(ctx, "demo", params(strings.ToLower(name)))
		must(t, err)
	}
	for range 2 { // the second one is the first again
		_, err := c.svc.Create(ctx, "demo", params("ada"))
		must(t, err)
	}

	n := &users.NewUser{UserRecord: users.UserRecord{ApplicationID: c.applicationID, NameKey: "ada", EmailKey: "other@example.com"}}
	n.ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	if err := c.Store.CreateUser(ctx, n); !errors.Is(err, users.ErrConflict) {
		t.Fatalf("got %v, want a conflict", err)
	}
	if _, err := c.svc.CreateRole(ctx, "demo", users.Role{Name: "admin"}); !errors.Is(err, users.ErrConflict) {
		t.Fatalf("got %v, want a conflict", err)
	}
}

// findAndChange looks for what is there and changes a user, whose id it returns.
func (c caller) findAndChange(t *testing.T) string {
	ctx := t.Context()
	_, err := c.Store.FindApplication(ctx, users.ApplicationQuery{ID: c.applicationID})
	must(t, err)
	_, err = c.svc.Roles(ctx, "demo", users.Page{})
	must(t, err)
	u, err := c.svc.User(ctx, "demo", "ada")
	must(t, err)
	_, err = c.svc.SetStatus(ctx, "demo", u.ID, users.Status{IsLockedOut: new(true)})
	must(t, err)
	err = c.Store.SetUserStatus(ctx, users.StatusUpdate{ApplicationID: c.applicationID, ID: u.ID})
	if !errors.Is(err, users.ErrStale) {
		t.Fatalf("got %v, want ErrStale", err)
	}
	return u.ID
}

// list asks for lists of users, by index: ListPlans looks at first pages, which have an
// order and nothing else, more closely.
func (c caller) list(t *testing.T, userID string) {
	ctx := t.Context()
	find := func(q users.UserListing) users.UserList {
		q.ApplicationID, q.Limit = c.applicationID, 5
		list, err := c.Store.ListUsers(ctx, q)
		must(t, err)
		return list
	}
	role, err := c.svc.Roles(ctx, "demo", users.Page{Limit: 1})
	must(t, err)
	ada := find(users.UserListing{UserMatch: users.UserMatch{IDs: []string{userID}}}).Users[0]
	for _, by := range flat {
		for _, desc := range []bool{false, true} {
			find(users.UserListing{Order: []users.Order{{By: by, Desc: desc}}, After: &ada})
		}
	}
	find(users.UserListing{UserMatch: users.UserMatch{RoleIDs: []string{role.Roles[0].ID}}, After: &ada})
	find(users.UserListing{UserMatch: users.UserMatch{Phrase: "ada"}})
	find(users.UserListing{UserMatch: users.UserMatch{IDs: []string{userID}}, Count: true})
	find(users.UserListing{Count: true})
}

// edit changes and deletes a user, roles and the application, and signs the user in.
func (c caller) edit(t *testing.T, userID string) {
	ctx, app := t.Context(), c.applicationID
	_, err := c.Store.BeginLogin(ctx, users.LoginAttempt{ApplicationID: app, UserID: userID, Free: 5, First: time.Hour, Max: time.Hour})
	must(t, err)
	must(t, c.Store.EndLogin(ctx, users.LoginEnd{ApplicationID: app, UserID: userID, Now: time.Now(), Hash: password.NewHash("h")}))

	found, err := c.Store.FindUsers(ctx, users.UserQuery{ApplicationID: app, IDs: []string{userID}})
	must(t, err)
	other, err := c.svc.User(ctx, "demo", "filler1")
	must(t, err)
	role, err := c.svc.CreateRole(ctx, "demo", users.Role{Name: "of ada"})
	must(t, err)
	e := &users.UserEdit{UserRecord: found[0], SetHash: true, DropTokens: true}
	e.Notifications = []users.NotificationRecord{{
		ID: "n", ApplicationID: app, UserID: userID, Kind: users.KindSetPassword, State: users.StatePending,
	}}
	e.Roles = []users.Role{*role}
	must(t, c.Store.EditUser(ctx, e))
	if err := c.Store.EditUser(ctx, e); !errors.Is(err, users.ErrStale) {
		t.Fatalf("got %v, want ErrStale", err)
	}
	e.Version++
	e.NameKey = other.UserName
	if err := c.Store.EditUser(ctx, e); !errors.Is(err, users.ErrConflict) {
		t.Fatalf("got %v, want a conflict", err)
	}

	must(t, c.Store.UpdateRole(ctx, users.RoleUpdate{ApplicationID: app, ID: role.ID, Description: new("hers")}))
	must(t, c.Store.DeleteRole(ctx, app, role.ID))
	must(t, c.Store.DeleteUser(ctx, users.UserDeletion{ApplicationID: app, ID: other.ID, IfVersion: other.Version}))

	a, err := c.Store.FindApplication(ctx, users.ApplicationQuery{ID: app})
	must(t, err)
	must(t, c.Store.UpdateApplication(ctx, a))
	if err := c.Store.UpdateApplication(ctx, a); !errors.Is(err, users.ErrStale) {
		t.Fatalf("got %v, want ErrStale", err)
	}
	_, err = c.Store.ListApplications(ctx, users.Page{Limit: 5})
	must(t, err)
}

func (c caller) useTokens(t *testing.T, userID string) {
	token, err := c.svc.IssueSetPasswordToken(t.Context(), "demo", userID)
	must(t, err)
	must(t, c.svc.SetPassword(t.Context(), "demo", token.Secret, password.New("nineteen yellow umbrellas")))
}

func (c caller) useOutbox(t *testing.T, userID string) {
	ctx, box := t.Context(), c.Store
	must(t, box.Enqueue(ctx, users.NotificationRecord{
		ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", ApplicationID: c.applicationID, UserID: userID,
		Kind: users.KindSetPassword, State: users.StatePending, Urgent: true, Created: time.Now(),
	}, time.Minute))
	_, err := box.Claim(ctx, users.Claim{Worker: "other", Lease: time.Minute, Limit: 1})
	must(t, err)
	rows, err := box.Claim(ctx, users.Claim{Worker: "w", Lease: time.Minute, Limit: 4})
	must(t, err)
	for i, outcome := range []users.Outcome{users.OutcomeDelivered, users.OutcomeRetry, users.OutcomeDiscarded} {
		must(t, box.Settle(ctx, users.Settlement{ApplicationID: c.applicationID, ID: rows[i].ID, Worker: "w", Outcome: outcome}))
	}
	must(t, box.Retry(ctx, c.applicationID, rows[2].ID))
	must(t, box.Settle(ctx, users.Settlement{ApplicationID: c.applicationID, ID: rows[3].ID, Worker: "w", Outcome: users.OutcomeDiscarded}))
	purged, err := box.PurgeDiscarded(ctx, 0, 10)
	if err != nil || purged != 1 {
		t.Fatalf("PurgeDiscarded: got %d and error %v, want 1", purged, err)
	}
	for _, states := range [][]string{nil, {users.StateDiscarded}} {
		_, err = box.ListNotifications(ctx, users.NotificationQuery{ApplicationID: c.applicationID, States: states, Page: users.Page{Limit: 5}})
		must(t, err)
	}
}

// explain returns what is wrong with the plan of s.
func (e *Env) explain(t *testing.T, s statement) []string {
	t.Helper()
	switch e.Dialect {
	case sqlstore.Postgres:
		return e.explainPostgres(t, s)
	case sqlstore.MySQL:
		return e.explainMySQL(t, s)
	}
	return e.explainSQLite(t, s)
}

// pairs of columns of which one must be bound, beside the application.
var bound = regexp.MustCompile(`application_id.*\b(id|name_key|email_key|user_id|role_id|token_hash|caller|state|date_created)\b`)

// walk is the way of the relay from one application to the next.
var walk = regexp.MustCompile(`\bstate\b.*\bapplication_id\b`)

// global are the look-ups that belong to no application: by an application's
// own keys, the relay's claim, the purge.
var global = regexp.MustCompile(`\b(api_key|due_at|expires_at|rowid)\b`)

func wellBound(table, condition string) bool {
	if strings.HasSuffix(table, "applications") {
		return condition != ""
	}
	return bound.MatchString(condition) || walk.MatchString(condition) || global.MatchString(condition)
}

func (e *Env) explainSQLite(t *testing.T, s statement) (faults []string) {
	rows, err := e.DB.Query("EXPLAIN QUERY PLAN "+s.text, s.args...)
	if err != nil {
		t.Fatalf("%s: %v", s.text, err)
	}
	defer rows.Close()
	// "SEARCH users USING INDEX … (application_id=? AND id=?)"
	search := regexp.MustCompile(`^SEARCH (\S+) .*\((.*)\)$`)
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		m := search.FindStringSubmatch(detail)
		switch {
		case strings.HasPrefix(detail, "SCAN") && !strings.Contains(detail, "CONSTANT") && detail != "SCAN turns":
			faults = append(faults, detail)
		case strings.HasPrefix(detail, "SEARCH") && (m == nil || !wellBound(m[1], m[2])) && !strings.Contains(detail, "AUTOMATIC"):
			if m != nil && (m[1] == "r" || len(m[1]) <= 2) && strings.Contains(m[2], "application_id=? AND") {
				continue
			}
			faults = append(faults, detail)
		case strings.Contains(detail, "AUTOMATIC"):
			faults = append(faults, detail)
		}
	}
	return faults
}

func (e *Env) explainPostgres(t *testing.T, s statement) (faults []string) {
	t.Helper()
	scan := regexp.MustCompile(`(Seq Scan|Index Scan|Index Only Scan|Bitmap Index Scan|Bitmap Heap Scan)(?: Backward)?(?: using \S+)? on (\S+)`)
	table, awaiting := "", false
	flush := func() {
		if awaiting {
			faults = append(faults, "a scan of "+table+" without a condition")
		}
		awaiting = false
	}
	for _, line := range e.genericPlan(t, s) {
		if m := scan.FindStringSubmatch(line); m != nil {
			flush()
			if m[1] == "Seq Scan" {
				faults = append(faults, line)
			}
			if table = m[2]; m[1] != "Bitmap Heap Scan" && m[1] != "Seq Scan" {
				awaiting = true
			}
			continue
		}
		if cond, ok := strings.CutPrefix(strings.TrimSpace(line), "Index Cond: "); ok {
			awaiting = false
			if !wellBound(table, cond) {
				faults = append(faults, fmt.Sprintf("%s: %s", table, cond))
			}
		}
	}
	flush()
	return faults
}

// genericPlan returns the lines of PostgreSQL's plan of s for any arguments.
func (e *Env) genericPlan(t *testing.T, s statement) (lines []string) {
	t.Helper()
	ctx := context.Background()
	conn, err := e.DB.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	exec := func(q string) {
		t.Helper()
		if _, err := conn.ExecContext(ctx, q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	exec("SET enable_seqscan = off")
	exec("SET plan_cache_mode = force_generic_plan")
	exec("PREPARE plan_of AS " + s.text)
	defer exec("DEALLOCATE plan_of")
	defer exec("RESET ALL")

	query := "EXPLAIN EXECUTE plan_of"
	if n := len(s.args); n > 0 {
		query += "(NULL" + strings.Repeat(", NULL", n-1) + ")"
	}
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		t.Fatalf("%s: %v", s.text, err)
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	return lines
}

func (e *Env) explainMySQL(t *testing.T, s statement) (faults []string) {
	rows, err := e.DB.Query("EXPLAIN "+s.text, s.args...)
	if err != nil {
		t.Fatalf("%s: %v", s.text, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		dest := make([]any, len(columns))
		for i := range values {
			dest[i] = &values[i]
		}
		if err := rows.Scan(dest...); err != nil {
			t.Fatal(err)
		}
		row := map[string]string{}
		for i, c := range columns {
			row[c] = values[i].String
		}
		kind, table := row["type"], row["table"]
		switch {
		case table == "" || strings.HasPrefix(table, "<"), kind == "":
			continue // the result of a UNION; a row that is not there
		case kind == "ALL" && strings.HasPrefix(s.text, "INSERT") && table != "roles" && table != "users":
			continue // the table that is inserted into
		case kind == "ALL", kind == "index":
			faults = append(faults, fmt.Sprintf("%s of %s", kind, table))
		case kind != "range" && strings.Contains(s.text, "FOR UPDATE"):
			faults = append(faults, fmt.Sprintf("%s of %s, and a lock on all that it reads", kind, table))
		case kind == "ref" && len(strings.Split(row["ref"], ",")) < 2:
			faults = append(faults, fmt.Sprintf("ref of %s by %s (%s)", table, row["key"], row["ref"]))
		}
	}
	return faults
}
