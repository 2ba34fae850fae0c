package suite

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/sqlstore"
)

// Indexes checks that the indexes which no statement of the store uses yet serve
// the lists that they are made for: a page of an application's users by age, of
// those who can't sign in, and of those who have a role.
func Indexes(t *testing.T, g *Target) {
	g.Share(t)
	e := g.Fresh(t)
	e.fill(t, e.service(t, users.Options{}))
	var app, role string
	row := e.DB.QueryRow("SELECT application_id, id FROM " + e.table("roles") + " WHERE name_key = 'admin'")
	if err := row.Scan(&app, &role); err != nil {
		t.Fatal(err)
	}

	standing := "SELECT id FROM %s WHERE application_id = '%s' AND (NOT is_approved OR is_locked_out) AND id > '' ORDER BY id LIMIT 5"
	if g.Dialect == sqlstore.MySQL { // which has no partial indexes: one look-up for each
		standing = "SELECT id FROM %s WHERE application_id = '%s' AND is_approved = false AND is_locked_out = false AND id > '' ORDER BY id LIMIT 5"
	}
	for index, query := range map[string]string{
		"users_created":   fmt.Sprintf("SELECT id FROM %s WHERE application_id = '%s' ORDER BY date_created, id LIMIT 5", e.table("users"), app),
		"users_standing":  fmt.Sprintf(standing, e.table("users"), app),
		"user_roles_role": fmt.Sprintf("SELECT user_id FROM %s WHERE application_id = '%s' AND role_id = '%s' ORDER BY user_id LIMIT 5", e.table("user_roles"), app, role),
	} {
		plan := e.plan(t, query)
		if !strings.Contains(plan, index) {
			t.Errorf("%s is not used for\n%s\n%s", index, query, plan)
		}
		for _, sort := range []string{"Sort", "filesort", "TEMP B-TREE"} {
			if strings.Contains(plan, sort) {
				t.Errorf("%s does not have the order of\n%s\n%s", index, query, plan)
			}
		}
	}
}

// plan returns what the database would do.
func (e *Env) plan(t *testing.T, query string) string {
	t.Helper()
	return e.planOf(t, statement{text: query})
}

func (e *Env) planOf(t *testing.T, s statement) string {
	t.Helper()
	explain := "EXPLAIN "
	if e.Dialect == sqlstore.SQLite {
		explain = "EXPLAIN QUERY PLAN "
	}
	rows, err := e.DB.Query(explain+s.text, s.args...)
	if err != nil {
		t.Fatalf("%s: %v", s.text, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}

	var plan strings.Builder
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		dest := make([]any, len(columns))
		for i := range values {
			dest[i] = &values[i]
		}
		if err := rows.Scan(dest...); err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			plan.WriteString(v.String + " ")
		}
		plan.WriteString("\n")
	}
	return plan.String()
}
