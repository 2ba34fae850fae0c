// Package fill makes tables as big as a test or a benchmark wants them, by statements
// of the database's own.
package fill

import (
	"database/sql"
	"fmt"
	"strings"

	"github.com/gousers/users/sqlstore"
)

// step is how many users one statement adds.
const step = 10_000

// Users adds the users number from to to-1 to an application. Of its keys, n being the
// number: the id is n with 12 digits, ID(n); the name and the address begin with n
// backwards, so that they come in another order; see Name. A user in a hundred is not
// approved, one in two hundred is locked, and all are of Ann's name but one in a
// thousand.
func Users(db *sql.DB, d sqlstore.Dialect, table, application string, from, to int) error {
	for ; from < to; from += step {
		count := min(step, to-from)
		if _, err := db.Exec(insert(d, table, application, from, count)); err != nil {
			return fmt.Errorf("adding users from %d: %w", from, err)
		}
	}
	return nil
}

// ID is the id of user n.
func ID(n int) string { return fmt.Sprintf("%012d", n) }

// Name is the key of the name of user n, and of the local part of its address.
func Name(n int) string {
	digits := []byte(ID(n))
	for i, j := 0, len(digits)-1; i < j; i, j = i+1, j-1 {
		digits[i], digits[j] = digits[j], digits[i]
	}
	return "u" + string(digits)
}

func insert(d sqlstore.Dialect, table, application string, from, count int) string {
	id, name := "lpad(CAST(n AS CHAR(12)), 12, '0')", "CONCAT('u', reverse(lpad(CAST(n AS CHAR(12)), 12, '0')))"
	concat := func(a, b string) string { return "CONCAT(" + a + ", " + b + ")" }
	if d == sqlstore.Postgres {
		id = "lpad(CAST(n AS text), 12, '0')"
		name = "'u' || reverse(" + id + ")"
	}
	if d != sqlstore.MySQL {
		concat = func(a, b string) string { return "(" + a + ") || " + b }
	}
	if d == sqlstore.SQLite { // which has no reverse
		id = "printf('%012d', n)"
		var backwards []string
		for i := 12; i > 0; i-- {
			backwards = append(backwards, fmt.Sprintf("substr(printf('%%012d', n), %d, 1)", i))
		}
		name = "'u' || " + strings.Join(backwards, " || ")
	}

	email := concat(name, "'@example.com'")
	display := "CASE WHEN n % 1000 = 7 THEN 'zoe' ELSE 'ann' END"
	return fmt.Sprintf(`INSERT INTO %s (application_id, id, user_name, name_key, email, email_key, key_version,
			display_name, display_key, credential, is_approved, is_locked_out, dashboard_access, dashboard_settings, created_by,
			creation_date, date_created, date_updated, failures, locked_until, last_login, email_verified, password_changed, version)
		SELECT '%s', %s, %s, %s, %s, %s, 1, %s, %s,
			'$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZWhhc2hzb21laGFzaHNvbWVoYXNoc29tZWhhc2g',
			n %% 100 <> 1, n %% 200 = 2, n < 0, NULL, '', n, n / 3, n, 0, 0, 0, 0, 0, 1
		FROM (%s) numbers WHERE n < %d`, table, application, id, name, name, email, email, display, display, numbers(from, count), from+count)
}

// numbers selects count numbers or more, as n.
func numbers(from, count int) string {
	const digits = "(SELECT 0 d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4" +
		" UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)"
	sum, tables := fmt.Sprint(from), []string{}
	for i, place := 0, 1; place < count || i == 0; i, place = i+1, 10*place {
		sum += fmt.Sprintf(" + %d * d%d.d", place, i)
		tables = append(tables, fmt.Sprintf("%s d%d", digits, i))
	}
	return "SELECT " + sum + " AS n FROM " + strings.Join(tables, ", ")
}

// Role assigns a role to every user of an application whose number is divisible.
func Role(db *sql.DB, links, users, application, role string, divisor int) error {
	_, err := db.Exec(fmt.Sprintf(`INSERT INTO %s (application_id, user_id, role_id)
		SELECT application_id, id, '%s' FROM %s WHERE application_id = '%s' AND creation_date %% %d = 0`,
		links, role, users, application, divisor))
	return err
}
