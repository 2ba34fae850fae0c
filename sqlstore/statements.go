package sqlstore

import "strings"

// statements are the texts that do not depend on the length of a list.
type statements struct {
	insertApplication, findApplicationByID, findApplicationByKey, clashingApplication string
	insertRole, clashingRole                                                          string
	insertUser, clashingUser, insertNotification                                      string
	insertReplay, replayExpires, reviveReplay, findReplay, findReplayShared           string
	insertToken, findToken, setHash, deleteToken, deleteTokens                        string
	lockUser, enqueue, settleDelivered, settleOther, retry                            string
	purgeReplays, purgeTokens                                                         string
}

const (
	applicationColumns  = `id, api_key, name, disabled, require_approval, date_created`
	roleColumns         = `id, name, name_key, description, date_created, date_updated`
	userColumns         = `application_id, id, user_name, name_key, email, email_key, key_version, display_name, credential, is_approved, is_locked_out, dashboard_access, dashboard_settings, created_by, creation_date, date_created, date_updated, failures, locked_until, version`
	userKeyColumns      = `application_id, id, name_key, email_key`
	notificationColumns = `application_id, id, user_id, kind, state, due_at, attempts, last_error, date_created`
)

// The rows of an INSERT … SELECT: one if what the FROM clause asks for is
// there, else none. There are no foreign keys: they would turn conflicts into
// aborted transactions.
const (
	insertUser = `INSERT INTO {users} (` + userColumns + `)
		SELECT {t}, {t}, {t}, {t}, {t}, {t}, {i}, {t}, {t}, {b}, {b}, {b}, {t}, {t}, {i}, {i}, {i}, {i}, {i}, {i}
		FROM {applications} WHERE id = {t}`
	insertNotification = `INSERT INTO {notifications} (application_id, id, user_id, kind, state, due_at, lease_until, lease_owner, attempts, last_error, date_created)
		SELECT {t}, {t}, {t}, {t}, {t}, {i}, 0, '', {i}, {t}, {i}`
)

func newStatements(d dialect) statements {
	r := d.render
	return statements{
		insertApplication:    r(`INSERT INTO {applications} (` + applicationColumns + `, version) VALUES (?, ?, ?, ?, ?, ?, 1){skipClash}`),
		findApplicationByID:  r(`SELECT ` + applicationColumns + ` FROM {applications} WHERE id = ?`),
		findApplicationByKey: r(`SELECT ` + applicationColumns + ` FROM {applications} WHERE api_key = ?`),
		clashingApplication: r(`{(}SELECT id, api_key, date_created FROM {applications} WHERE id = ?{share}{)}
			UNION ALL {(}SELECT id, api_key, date_created FROM {applications} WHERE api_key = ?{share}{)}`),
		insertRole: r(`INSERT INTO {roles} (application_id, ` + roleColumns + `)
			SELECT {t}, {t}, {t}, {t}, {t}, {i}, {i} FROM {applications} WHERE id = {t}{skipClash}`),
		clashingRole: r(`{(}SELECT id, name_key, date_created FROM {roles} WHERE application_id = ? AND id = ?{share}{)}
			UNION ALL {(}SELECT id, name_key, date_created FROM {roles} WHERE application_id = ? AND name_key = ?{share}{)}`),

		insertUser:         r(insertUser + `{skipClash}`),
		clashingUser:       r(clashingUser),
		insertNotification: r(insertNotification),

		insertReplay:  r(upsertReplay(d.Dialect)),
		replayExpires: r(`SELECT expires_at FROM {idempotency} WHERE application_id = ? AND caller = ? AND idempotency_key = ?{share}`),
		reviveReplay: r(`UPDATE {idempotency} SET fingerprint = ?, user_id = ?, expires_at = ?
			WHERE application_id = ? AND caller = ? AND idempotency_key = ? AND expires_at <= ?`),
		findReplay:       r(findReplay),
		findReplayShared: r(findReplay + `{share}`),

		insertToken: r(`INSERT INTO {password_tokens} (application_id, token_hash, user_id, date_created, expires_at)
			SELECT {t}, {t}, {t}, {i}, {i} FROM {users} WHERE application_id = {t} AND id = {t}`),
		findToken: r(`SELECT user_id, date_created, expires_at FROM {password_tokens} WHERE application_id = ? AND token_hash = ?`),
		setHash: r(`UPDATE {users} SET credential = ?, date_updated = ?, version = version + 1
			WHERE application_id = ? AND id = ?`),
		deleteToken: r(`DELETE FROM {password_tokens}
			WHERE application_id = ? AND token_hash = ? AND user_id = ? AND expires_at > ?`),
		deleteTokens: r(`DELETE FROM {password_tokens} WHERE application_id = ? AND user_id = ?`),

		lockUser: r(`SELECT 1 FROM {users} WHERE application_id = ? AND id = ?` + map[bool]string{false: ` FOR UPDATE`}[d.Dialect == SQLite]),
		enqueue: r(strings.Replace(insertNotification, "{t}, {i}, 0,", "{t}, {now}, 0,", 1) + ` FROM {users} WHERE application_id = {t} AND id = {t}
			AND NOT EXISTS (SELECT 1 FROM {notifications} WHERE application_id = {t} AND user_id = {t} AND kind = {t} AND state = {t})
			AND NOT EXISTS (SELECT 1 FROM {password_tokens} WHERE application_id = {t} AND user_id = {t} AND date_created > {i})`),
		settleDelivered: r(`DELETE FROM {notifications} WHERE application_id = ? AND id = ? AND lease_owner = ?`),
		settleOther: r(`UPDATE {notifications} SET state = ?, last_error = ?, attempts = attempts - ?, due_at = {now} + {i}, lease_until = 0, lease_owner = ''
			WHERE application_id = ? AND id = ? AND lease_owner = ?`),
		retry: r(`UPDATE {notifications} SET state = ?, attempts = 0, due_at = {now}, lease_until = 0, lease_owner = ''
			WHERE application_id = ? AND id = ? AND state = ?`),

		purgeReplays: r(purge(d.Dialect, `{idempotency}`, `application_id, caller, idempotency_key`)),
		purgeTokens:  r(purge(d.Dialect, `{password_tokens}`, `application_id, token_hash`)),
	}
}

const findReplay = `SELECT fingerprint, user_id, expires_at FROM {idempotency} WHERE application_id = ? AND caller = ? AND idempotency_key = ?`

// clashingUser finds what a new user clashes with by one look-up for each key:
// an OR would scan the application's users on every engine.
const clashingUser = `{(}SELECT id, name_key, email_key, credential, date_created FROM {users} WHERE application_id = ? AND id = ?{share}{)}
	UNION ALL {(}SELECT id, name_key, email_key, credential, date_created FROM {users} WHERE application_id = ? AND name_key = ?{share}{)}
	UNION ALL {(}SELECT id, name_key, email_key, credential, date_created FROM {users} WHERE application_id = ? AND email_key = ?{share}{)}`

// upsertReplay adds an idempotency record or replaces a dead one; it affects no
// row where a live one stands. MySQL does the second half by reviveReplay.
func upsertReplay(d Dialect) string {
	s := `INSERT INTO {idempotency}{alias} (application_id, caller, idempotency_key, fingerprint, user_id, expires_at) VALUES (?, ?, ?, ?, ?, ?)`
	if d == MySQL {
		return strings.Replace(s, "{alias}", "", 1)
	}
	return strings.Replace(s, "{alias}", " AS r", 1) + ` ON CONFLICT (application_id, caller, idempotency_key)
		DO UPDATE SET fingerprint = excluded.fingerprint, user_id = excluded.user_id, expires_at = excluded.expires_at
		WHERE r.expires_at <= ?`
}

// purge deletes the longest expired rows of all applications: with the relay's
// claim the only statement that belongs to no application.
func purge(d Dialect, table, key string) string {
	switch d {
	case MySQL:
		return `DELETE FROM ` + table + ` WHERE expires_at <= ? ORDER BY expires_at LIMIT ?`
	case Postgres:
		// By ctid: a join by the key may scan the table. The rows are locked.
		return `DELETE FROM ` + table + ` WHERE ctid = ANY(ARRAY(
			SELECT ctid FROM ` + table + ` WHERE expires_at <= ? ORDER BY expires_at LIMIT {i} FOR UPDATE SKIP LOCKED))`
	}
	return `DELETE FROM ` + table + ` WHERE (` + key + `) IN (
		SELECT ` + key + ` FROM ` + table + ` WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`
}

// list gives n parameters with commas between them.
func list(n int) string {
	return strings.TrimSuffix(strings.Repeat("?, ", n), ", ")
}

// appendStrings adds values to the arguments of a statement.
func appendStrings(args []any, values []string) []any {
	for _, v := range values {
		args = append(args, v)
	}
	return args
}
