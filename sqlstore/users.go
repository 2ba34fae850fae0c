package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/gousers/users"
)

const (
	userColumns = `application_id, id, user_name, name_key, email, email_key, key_version, display_name, display_key,
		credential, is_approved, is_locked_out, dashboard_access, dashboard_settings, created_by,
		creation_date, date_created, date_updated, failures, locked_until, last_login,
		email_verified, password_changed, version`
	userKeyColumns = `application_id, id, name_key, email_key`
)

const (
	selectUsers    = `SELECT ` + userColumns + ` FROM {users}`
	selectUserKeys = `SELECT ` + userKeyColumns + ` FROM {users}`
)

// FindUsers implements [users.UserStore].
func (b *backend) FindUsers(ctx context.Context, q users.UserQuery) (found []users.UserRecord, err error) {
	selectFrom, scan := selectUsers, scanUser
	if q.KeysOnly {
		selectFrom, scan = selectUserKeys, scanUserKeys
	}
	batches := b.byKeys(selectFrom, q.ApplicationID,
		keys{"id", q.IDs}, keys{"name_key", q.NameKeys}, keys{"email_key", q.EmailKeys})

	err = b.read(ctx, func(r runner) error {
		found, err = r.users(ctx, batches, scan)
		if err != nil || q.KeysOnly {
			return err
		}
		return r.addRoles(ctx, q.ApplicationID, found)
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// users returns those that batches select, without roles, each once, in order of ID.
func (r runner) users(ctx context.Context, batches []batch, scan func(*sql.Rows) (users.UserRecord, error)) ([]users.UserRecord, error) {
	found := []users.UserRecord{}
	for _, batch := range batches {
		err := r.query(ctx, func(rows *sql.Rows) error {
			u, err := scan(rows)
			found = append(found, u)
			return err
		}, batch.text, batch.args...)
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(found, func(x, y users.UserRecord) int { return strings.Compare(x.ID, y.ID) })
	return slices.CompactFunc(found, func(x, y users.UserRecord) bool { return x.ID == y.ID }), nil
}

func scanUserKeys(rows *sql.Rows) (u users.UserRecord, err error) {
	err = rows.Scan(&u.ApplicationID, &u.ID, &u.NameKey, &u.EmailKey)
	return u, err
}

func scanUser(rows *sql.Rows) (u users.UserRecord, err error) {
	var settings sql.NullString
	var creation, created, updated, locked, login, verified, changed int64
	err = rows.Scan(
		&u.ApplicationID, &u.ID, &u.UserName, &u.NameKey, &u.Email, &u.EmailKey, &u.KeyVersion, &u.Name, &u.DisplayKey,
		&u.Hash, &u.IsApproved, &u.IsLockedOut, &u.AllowDashboardAccess, &settings, &u.CreatedBy,
		&creation, &created, &updated, &u.Login.Failures, &locked, &login,
		&verified, &changed, &u.Version,
	)

	if settings.Valid {
		u.DashboardSettings = json.RawMessage(settings.String)
	}
	u.CreationDate, u.DateCreated, u.DateUpdated = micros(creation), micros(created), micros(updated)
	u.Login.LockedUntil, u.LastLogin = micros(locked), micros(login)
	u.EmailVerified, u.PasswordChanged = micros(verified), micros(changed)
	return u, err
}

// never is the zero time as its UnixMicro.
const never = -62_135_596_800_000_000

// micros is the time that was stored as its UnixMicro; the zero time comes back
// as the zero time.
func micros(n int64) time.Time { return time.UnixMicro(n).UTC() }

const rolesOfUsers = `SELECT ur.user_id, r.id, r.name, r.description, r.date_created, r.date_updated
	FROM {user_roles} ur JOIN {roles} r ON r.application_id = ur.application_id AND r.id = ur.role_id
	WHERE ur.application_id = ? AND ur.user_id IN `

// rolesOfUsersPostgres: OFFSET 0 keeps the planner from hashing all roles of the
// application.
const rolesOfUsersPostgres = `SELECT ur.user_id, r.id, r.name, r.description, r.date_created, r.date_updated
	FROM {user_roles} ur JOIN LATERAL (
		SELECT * FROM {roles} WHERE application_id = ur.application_id AND id = ur.role_id OFFSET 0) r ON true
	WHERE ur.application_id = ? AND ur.user_id IN `

// addRoles fills the roles of found, which is in order of ID.
func (r runner) addRoles(ctx context.Context, applicationID string, found []users.UserRecord) error {
	for part := range slices.Chunk(found, maxList) {
		if err := r.addRolesOfPart(ctx, applicationID, part); err != nil {
			return err
		}
	}
	return nil
}

func (r runner) addRolesOfPart(ctx context.Context, applicationID string, found []users.UserRecord) error {
	template := rolesOfUsers
	if r.b.Dialect == Postgres {
		template = rolesOfUsersPostgres
	}
	args := []any{applicationID}
	for i := range found {
		args = append(args, found[i].ID)
	}

	err := r.query(ctx, func(rows *sql.Rows) error {
		var userID string
		var role users.Role
		var created, updated int64
		if err := rows.Scan(&userID, &role.ID, &role.Name, &role.Description, &created, &updated); err != nil {
			return err
		}
		role.DateCreated, role.DateUpdated = micros(created), micros(updated)

		i, ok := slices.BinarySearchFunc(found, userID, func(u users.UserRecord, id string) int { return strings.Compare(u.ID, id) })
		if ok {
			found[i].Roles = append(found[i].Roles, role)
		}
		return nil
	}, r.b.listText(template+`(`+params(len(found))+`)`+r.b.lockClause(), len(found)), args...)
	if err != nil {
		return err
	}

	for i := range found {
		slices.SortFunc(found[i].Roles, func(x, y users.Role) int { return strings.Compare(x.ID, y.ID) })
	}
	return nil
}

// setUserStatus changes the row even where both values stay, so that MySQL
// counts it as affected.
const setUserStatus = `UPDATE {users}
	SET is_approved = COALESCE({b}, is_approved), is_locked_out = COALESCE({b}, is_locked_out),
		date_updated = ?, version = version + 1
	WHERE application_id = ? AND id = ? AND version = ?`

const countUser = `SELECT count(*) FROM {users} WHERE application_id = ? AND id = ?{share}`

// SetUserStatus implements [users.UserStore].
func (b *backend) SetUserStatus(ctx context.Context, u users.StatusUpdate) error {
	return b.retry(ctx, func(attempt int) error {
		var affected int64
		repeated, err := b.statementOnce(ctx, attempt, func(r runner) (err error) {
			affected, err = r.exec(ctx, b.text(setUserStatus),
				optional(u.IsApproved), optional(u.IsLockedOut), u.DateUpdated.UnixMicro(), u.ApplicationID, u.ID, u.IfVersion)
			return err
		})
		if err != nil || affected > 0 {
			return err
		}

		return b.look(ctx, func(r runner) error {
			if repeated {
				if done, err := r.hasStatus(ctx, u); done || err != nil {
					return err
				}
			}
			return r.whyUnchanged(ctx, u.ApplicationID, u.ID, u.IfVersion)
		})
	})
}

// optional returns NULL for nil, for a COALESCE.
func optional(b *bool) any {
	if b == nil {
		return nil
	}
	return *b
}

// hasStatus reports whether the user is as u wants it, by an earlier attempt whose
// answer was lost.
func (r runner) hasStatus(ctx context.Context, u users.StatusUpdate) (bool, error) {
	found, err := r.users(ctx, r.b.byKeys(selectUsers, u.ApplicationID, keys{"id", []string{u.ID}}), scanUser)
	if err != nil || len(found) == 0 {
		return false, err
	}
	is := found[0]
	return is.Version == u.IfVersion+1 && is.DateUpdated.Equal(u.DateUpdated) &&
		(u.IsApproved == nil || is.IsApproved == *u.IsApproved) && (u.IsLockedOut == nil || is.IsLockedOut == *u.IsLockedOut), nil
}

// whyUnchanged returns why a user of that version could not be changed:
// [users.ErrNotFound] or [users.ErrStale].
func (r runner) whyUnchanged(ctx context.Context, applicationID, id string, version int64) error {
	found, err := r.number(ctx, r.b.text(countUser), applicationID, id)
	switch {
	case err != nil:
		return err
	case found == 0:
		return users.ErrNotFound
	}
	return errVersion(version)
}
