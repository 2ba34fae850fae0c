package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

// maxList is the most values in one statement.
const maxList = 500

// lookup is a column and the values wanted in it.
type lookup struct {
	column string
	values []string
}

// lookups gives the texts and arguments that find rows of an application by
// lists of keys: one look-up by index for each list, joined by UNION ALL, no
// more than maxList values at a time.
func (s *backend) lookups(columns, table, applicationID string, wanted ...lookup) (texts []string, args [][]any) {
	for _, w := range wanted {
		for values := range slices.Chunk(w.values, maxList) {
			last := len(texts) - 1
			part := `{(}SELECT ` + columns + ` FROM ` + table + ` WHERE application_id = ? AND ` + w.column + ` IN (` + list(len(values)) + `)` + s.seen() + `{)}`
			if last >= 0 && len(args[last])+len(values) < maxList {
				texts[last] += ` UNION ALL ` + part
				args[last] = appendStrings(append(args[last], applicationID), values)
			} else {
				texts = append(texts, part)
				args = append(args, appendStrings([]any{applicationID}, values))
			}
		}
	}
	for i := range texts {
		texts[i] = s.render(texts[i])
	}
	return texts, args
}

// seen is the lock by which a reader in the host's transaction sees the row
// that was in its way; a plain read of MySQL's keeps to its snapshot.
func (s *backend) seen() string {
	if s.clashed != nil && s.clashed.Load() {
		return "{share}"
	}
	return ""
}

// FindUsers implements users.UserStore.
func (s *backend) FindUsers(ctx context.Context, q users.UserQuery) (found []users.UserRecord, err error) {
	columns, scan := userColumns, scanUser
	if q.KeysOnly {
		columns, scan = userKeyColumns, scanUserKeys
	}
	texts, args := s.lookups(columns, `{users}`, q.ApplicationID,
		lookup{"id", q.IDs}, lookup{"name_key", q.NameKeys}, lookup{"email_key", q.EmailKeys})
	err = s.read(ctx, func(r runner) error {
		found = []users.UserRecord{}
		for i := range texts {
			err := r.query(ctx, func(rows *sql.Rows) error {
				u, err := scan(rows)
				found = append(found, u)
				return err
			}, texts[i], args[i]...)
			if err != nil {
				return err
			}
		}
		slices.SortFunc(found, func(a, b users.UserRecord) int { return strings.Compare(a.ID, b.ID) })
		found = slices.CompactFunc(found, func(a, b users.UserRecord) bool { return a.ID == b.ID })
		if q.KeysOnly || len(found) == 0 {
			return nil
		}
		return s.addRoles(ctx, r, q.ApplicationID, found)
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

func scanUserKeys(rows *sql.Rows) (u users.UserRecord, err error) {
	err = rows.Scan(&u.ApplicationID, &u.ID, &u.NameKey, &u.EmailKey)
	return u, err
}

func scanUser(rows *sql.Rows) (u users.UserRecord, err error) {
	var hash, settings sql.NullString
	var creation, created, updated, locked int64
	err = rows.Scan(&u.ApplicationID, &u.ID, &u.UserName, &u.NameKey, &u.Email, &u.EmailKey, &u.KeyVersion, &u.Name, &hash,
		&u.IsApproved, &u.IsLockedOut, &u.AllowDashboardAccess, &settings, &u.CreatedBy,
		&creation, &created, &updated, &u.Login.Failures, &locked, &u.Version)
	u.Hash = password.Hash(hash.String)
	if settings.Valid {
		u.DashboardSettings = json.RawMessage(settings.String)
	}
	u.CreationDate, u.DateCreated, u.DateUpdated = micros(creation), micros(created), micros(updated)
	u.Login.LockedUntil = micros(locked)
	return u, err
}

func micros(n int64) time.Time { return time.UnixMicro(n).UTC() }

// addRoles fills the roles of found, which is in order of ID.
func (s *backend) addRoles(ctx context.Context, r runner, applicationID string, found []users.UserRecord) error {
	for part := range slices.Chunk(found, maxList) {
		args := []any{applicationID}
		for i := range part {
			args = append(args, part[i].ID)
		}
		join := `{roles} r ON r.application_id = ur.application_id AND r.id = ur.role_id`
		if s.Dialect == Postgres {
			// OFFSET 0 keeps the planner from hashing all roles of the application.
			join = `LATERAL (SELECT * FROM {roles} WHERE application_id = ur.application_id AND id = ur.role_id OFFSET 0) r ON true`
		}
		text := s.render(`SELECT ur.user_id, r.id, r.name, r.description, r.date_created, r.date_updated
			FROM {user_roles} ur JOIN ` + join + `
			WHERE ur.application_id = ? AND ur.user_id IN (` + list(len(part)) + `)` + s.seen())
		err := r.query(ctx, func(rows *sql.Rows) error {
			var user string
			var role users.Role
			var created, updated int64
			if err := rows.Scan(&user, &role.ID, &role.Name, &role.Description, &created, &updated); err != nil {
				return err
			}
			role.DateCreated, role.DateUpdated = micros(created), micros(updated)
			at, ok := slices.BinarySearchFunc(part, user, func(u users.UserRecord, id string) int { return cmp.Compare(u.ID, id) })
			if ok {
				part[at].Roles = append(part[at].Roles, role)
			}
			return nil
		}, text, args...)
		if err != nil {
			return err
		}
		for i := range part {
			slices.SortFunc(part[i].Roles, func(a, b users.Role) int { return strings.Compare(a.ID, b.ID) })
		}
	}
	return nil
}

// UpdateUser implements users.UserStore.
func (s *backend) UpdateUser(ctx context.Context, u users.UserUpdate) error {
	set, args := []string{"version = version + 1", "date_updated = ?"}, []any{u.DateUpdated.UnixMicro()}
	change := func(column string, value any) {
		set, args = append(set, column+" = ?"), append(args, value)
	}
	if u.Hash != nil {
		change("credential", nullable(string(*u.Hash)))
	}
	if u.IsApproved != nil {
		change("is_approved", *u.IsApproved)
	}
	if u.IsLockedOut != nil {
		change("is_locked_out", *u.IsLockedOut)
	}
	if u.Login != nil {
		change("failures", u.Login.Failures)
		change("locked_until", u.Login.LockedUntil.UnixMicro())
	}
	text := s.render(`UPDATE {users} SET ` + strings.Join(set, ", ") + ` WHERE application_id = ? AND id = ? AND version = ?`)
	args = append(args, u.ApplicationID, u.ID, u.IfVersion)
	return s.again(ctx, func(int) error {
		var affected int64
		err := s.single(ctx, func(r runner) (err error) {
			affected, err = r.exec(ctx, text, args...)
			return err
		})
		if err != nil || affected > 0 {
			return err
		}
		found, err := s.runner().number(ctx, s.render(`SELECT count(*) FROM {users} WHERE application_id = ? AND id = ?`), u.ApplicationID, u.ID)
		switch {
		case err != nil:
			return err
		case found == 0:
			return users.ErrNotFound
		}
		return fmt.Errorf("the version is not %d: %w", u.IfVersion, users.ErrStale)
	})
}
