package suite

import (
	"context"
	"database/sql"
	"fmt"
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
	if len(sent) < 25 {
		t.Fatalf("recorded %d statements, want all of them", len(sent))
	}
	for _, s := range sent {
		for _, fault := range e.explain(t, s) {
			t.Errorf("%s\n%s", fault, s.text)
		}
	}
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
	in := svc.WithStore(e.Store.WithTx(tx))
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
	for _, table := range tables {
		switch e.Dialect {
		case sqlstore.Postgres:
			e.exec(t, "ANALYZE "+e.table(table))
		case sqlstore.MySQL:
			e.exec(t, "ANALYZE TABLE "+e.table(table))
		}
	}
}

// record runs every method of the store and gives the statements that it sent.
func (e *Env) record(t *testing.T, svc *users.Service) []statement {
	t.Helper()
	var mu sync.Mutex
	seen := map[string]statement{}
	e.Switch.Set(&flaky.Hooks{Before: func(c flaky.Call) error {
		if c.Op == flaky.Exec || c.Op == flaky.Query {
			args := make([]any, len(c.Args))
			for i, a := range c.Args {
				args[i] = a.Value
			}
			mu.Lock()
			defer mu.Unlock()
			seen[c.Query] = statement{c.Query, args}
		}
		return nil
	}})
	defer e.Switch.Set(nil)

	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	u, err := svc.Create(ctx, "demo", params("ada"))
	must(err)
	for name, params := range shapes() {
		_, err := svc.Create(ctx, "demo", params(strings.ToLower(name)))
		must(err)
	}
	for _, name := range []string{"ada", "Alone"} { // a conflict
		p := shapes()["Alone"](strings.ToLower(name))
		p.Email = "other@example.com"
		n := &users.NewUser{UserRecord: users.UserRecord{NameKey: p.UserName, EmailKey: p.Email}}
		app, err := svc.Application(ctx, "demo")
		must(err)
		n.ApplicationID, n.ID = app.ID, "01ARZ3NDEKTSV4RRFFQ69G5FAV"
		if err := e.Store.CreateUser(ctx, n); err == nil {
			t.Fatal("got no conflict")
		}
	}
	app, err := svc.Application(ctx, "demo")
	must(err)
	_, err = e.Store.FindApplication(ctx, users.ApplicationQuery{ID: app.ID})
	must(err)
	_, err = svc.Roles(ctx, "demo", users.Page{})
	must(err)
	_, err = svc.CreateRole(ctx, "demo", users.Role{Name: "admin"})
	if err == nil {
		t.Fatal("got no conflict")
	}
	_, err = svc.User(ctx, "demo", "ada")
	must(err)
	locked := true
	_, err = svc.SetStatus(ctx, "demo", u.ID, users.Status{IsLockedOut: &locked})
	must(err)
	_, err = svc.Create(ctx, "demo", params("ada")) // a replay
	must(err)
	token, err := svc.IssueSetPasswordToken(ctx, "demo", u.ID)
	must(err)
	must(svc.SetPassword(ctx, "demo", token.Secret, password.New("nineteen yellow umbrellas")))
	row := users.OutboxRow{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", ApplicationID: app.ID, UserID: u.ID, Kind: users.KindSetPassword, State: users.StatePending, Created: time.Now(), Due: time.Now()}
	must(e.Store.Enqueue(ctx, row, time.Minute))
	rows, err := e.Store.Claim(ctx, users.Claim{Worker: "w", Lease: time.Minute, Limit: 2})
	must(err)
	must(e.Store.Settle(ctx, users.Settlement{ApplicationID: app.ID, ID: rows[0].ID, Worker: "w"}))
	must(e.Store.Settle(ctx, users.Settlement{ApplicationID: app.ID, ID: rows[1].ID, Worker: "w", State: users.StateAbandoned}))
	_, err = e.Store.FindNotifications(ctx, users.NotificationQuery{ApplicationID: app.ID})
	must(err)
	_, err = e.Store.FindNotifications(ctx, users.NotificationQuery{ApplicationID: app.ID, States: []string{users.StateAbandoned}, Page: users.Page{Limit: 5}})
	must(err)
	must(e.Store.Retry(ctx, app.ID, rows[1].ID))
	_, err = e.Store.Purge(ctx, time.Now().Add(-time.Hour), 10)
	must(err)

	var sent []statement
	for _, s := range seen {
		if verb := regexp.MustCompile(`^\(?(SELECT|INSERT|UPDATE|DELETE|WITH)\b`); verb.MatchString(s.text) {
			sent = append(sent, s)
		}
	}
	slices.SortFunc(sent, func(a, b statement) int { return strings.Compare(a.text, b.text) })
	return sent
}

// explain gives what is wrong with the plan of s.
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
var bound = regexp.MustCompile(`application_id.*\b(id|name_key|email_key|user_id|role_id|token_hash|caller|state)\b`)

// global are the look-ups that belong to no application: by an application's
// own keys, the relay's claim, the purge.
var global = regexp.MustCompile(`\b(api_key|due_at|expires_at)\b`)

func wellBound(table, condition string) bool {
	if strings.HasSuffix(table, "applications") {
		return condition != ""
	}
	return bound.MatchString(condition) || global.MatchString(condition)
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
		case strings.HasPrefix(detail, "SCAN") && !strings.Contains(detail, "CONSTANT"):
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
	args := make([]string, len(s.args))
	for i := range s.args {
		args[i] = "NULL"
	}
	// Parameters that are not known make a generic plan.
	query := "EXPLAIN EXECUTE plan_of"
	if len(args) > 0 {
		query += "(" + strings.Join(args, ", ") + ")"
	}
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		t.Fatalf("%s: %v", s.text, err)
	}
	defer rows.Close()
	scan := regexp.MustCompile(`(Seq Scan|Index Scan|Index Only Scan|Bitmap Index Scan|Bitmap Heap Scan)(?: using \S+)? on (\S+)`)
	table, awaiting := "", false
	flush := func() {
		if awaiting {
			faults = append(faults, "a scan of "+table+" without a condition")
		}
		awaiting = false
	}
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
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
		case kind == "ref" && len(strings.Split(row["ref"], ",")) < 2:
			faults = append(faults, fmt.Sprintf("ref of %s by %s (%s)", table, row["key"], row["ref"]))
		}
	}
	return faults
}
