package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/gousers/users"
)

const roleColumns = `id, name, name_key, description, date_created, date_updated`

// insertRole writes nothing where the application is missing.
const insertRole = `INSERT INTO {roles} (application_id, ` + roleColumns + `)
	SELECT {t}, {t}, {t}, {t}, {t}, {i}, {i} FROM {applications} WHERE id = {t} {or nothing}`

const (
	roleWithID   = `SELECT id, name_key, date_created FROM {roles} WHERE application_id = ? AND id = ?{share}`
	roleWithName = `SELECT id, name_key, date_created FROM {roles} WHERE application_id = ? AND name_key = ?{share}`
)

const selectRoles = `SELECT ` + roleColumns + ` FROM {roles}`

const listRoles = `SELECT ` + roleColumns + ` FROM {roles} WHERE application_id = ? AND id > ? ORDER BY id LIMIT ?`

// CreateRole implements [users.RoleStore].
func (b *backend) CreateRole(ctx context.Context, applicationID string, r users.RoleRecord) error {
	created := r.DateCreated.UnixMicro()
	return b.add(ctx, addition{
		insert: b.text(insertRole),
		args: []any{
			applicationID, r.ID, r.Name, r.NameKey, r.Description, created, r.DateUpdated.UnixMicro(),
			applicationID,
		},
		applicationID: applicationID,

		lookup:     b.text(b.unionAll(roleWithID, roleWithName)),
		lookupArgs: []any{applicationID, r.ID, applicationID, r.NameKey},

		id: r.ID, key: r.NameKey, created: created, keyMember: "name",
	})
}

// FindRoles implements [users.RoleStore].
func (b *backend) FindRoles(ctx context.Context, q users.RoleQuery) (found []users.RoleRecord, err error) {
	batches := b.byKeys(selectRoles, q.ApplicationID, keys{"id", q.IDs}, keys{"name_key", q.NameKeys})
	err = b.read(ctx, func(r runner) error {
		found = []users.RoleRecord{}
		for _, batch := range batches {
			if err := r.roles(ctx, &found, batch.text, batch.args...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}

	slices.SortFunc(found, func(x, y users.RoleRecord) int { return strings.Compare(x.ID, y.ID) })
	return slices.CompactFunc(found, func(x, y users.RoleRecord) bool { return x.ID == y.ID }), nil
}

// ListRoles implements [users.RoleStore].
func (b *backend) ListRoles(ctx context.Context, applicationID string, p users.Page) (found []users.RoleRecord, err error) {
	err = b.read(ctx, func(r runner) error {
		found = []users.RoleRecord{}
		return r.roles(ctx, &found, b.text(listRoles), applicationID, p.After, limit(p.Limit))
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// roles appends the roles that text selects to found.
func (r runner) roles(ctx context.Context, found *[]users.RoleRecord, text string, args ...any) error {
	return r.query(ctx, func(rows *sql.Rows) error {
		var rec users.RoleRecord
		var created, updated int64
		err := rows.Scan(&rec.ID, &rec.Name, &rec.NameKey, &rec.Description, &created, &updated)
		rec.DateCreated, rec.DateUpdated = micros(created), micros(updated)
		*found = append(*found, rec)
		return err
	}, text, args...)
}

// updateRole leaves what is null as it is.
const (
	updateRole = `UPDATE {roles} SET name = COALESCE({t}, name), name_key = COALESCE({t}, name_key),
		description = COALESCE({t}, description), date_updated = ? WHERE application_id = ? AND id = ?`
	countRole = `SELECT count(*) FROM {roles} WHERE application_id = ? AND id = ?{share}`
)

// UpdateRole implements [users.RoleEditor].
func (b *backend) UpdateRole(ctx context.Context, u users.RoleUpdate) error {
	var name, key *string
	if u.Name != nil {
		name, key = &u.Name.Name, &u.Name.NameKey
	}
	return b.retry(ctx, func(int) error {
		err := b.statement(ctx, func(r runner) error {
			return r.changeOne(ctx, users.ErrNotFound, b.text(updateRole),
				name, key, u.Description, u.DateUpdated.UnixMicro(), u.ApplicationID, u.ID)
		})
		switch {
		case b.classify(err) == duplicate:
			return &users.ConflictError{Members: []string{"name"}}
		case b.Dialect != MySQL || !errors.Is(err, users.ErrNotFound):
			return err
		}

		// MySQL counts no row that is as it was.
		return b.look(ctx, func(r runner) error {
			found, err := r.number(ctx, b.text(countRole), u.ApplicationID, u.ID)
			if err == nil && found == 0 {
				err = users.ErrNotFound
			}
			return err
		})
	})
}

const (
	deleteRole     = `DELETE FROM {roles} WHERE application_id = ? AND id = ?`
	addDeletedRole = `INSERT INTO {deleted_roles} (application_id, role_id) VALUES (?, ?)`
)

// DeleteRole implements [users.RoleEditor]. What reads the links of users joins the
// roles, and what adds links locks them: from the commit on there are no more, and
// nobody sees those that there are. The table deleted_roles tells Purge of them.
func (b *backend) DeleteRole(ctx context.Context, applicationID, id string) error {
	return b.deleteOnce(ctx, b.transaction, func(r runner) error {
		if err := r.changeOne(ctx, users.ErrNotFound, b.text(deleteRole), applicationID, id); err != nil {
			return err
		}
		_, err := r.exec(ctx, b.text(addDeletedRole), applicationID, id)
		return err
	})
}

const (
	listDeletedRoles = `SELECT application_id, role_id FROM {deleted_roles} ORDER BY application_id, role_id LIMIT ?`
	usersWithRole    = `SELECT user_id FROM {user_roles}{using user_roles_role} WHERE application_id = ? AND role_id = ? ORDER BY user_id LIMIT ?`
	unlinkRole       = `DELETE FROM {user_roles} WHERE application_id = ? AND role_id = ? AND user_id IN `
	forgetRole       = `DELETE FROM {deleted_roles} WHERE application_id = ? AND role_id = ?`
)

// deletedRole is an entry of the table deleted_roles.
type deletedRole struct{ applicationID, id string }

// purgeRoles deletes up to limit rows of what deleted roles left: links, and the
// entries of roles that have none.
func (b *backend) purgeRoles(ctx context.Context, limit int) (purged int, err error) {
	for purged < limit {
		before := purged
		roles, err := b.deletedRoles(ctx, min(limit-purged, maxList))
		if err != nil {
			return purged, err
		}
		for _, role := range roles {
			n, err := b.purgeRole(ctx, role, limit-purged)
			purged += n
			if err != nil || purged >= limit {
				return purged, err
			}
		}
		if purged == before { // no more, or a snapshot shows what another call deleted
			break
		}
	}
	return purged, nil
}

func (b *backend) deletedRoles(ctx context.Context, limit int) (found []deletedRole, err error) {
	err = b.read(ctx, func(r runner) error {
		found = nil
		return r.query(ctx, func(rows *sql.Rows) error {
			var role deletedRole
			err := rows.Scan(&role.applicationID, &role.id)
			found = append(found, role)
			return err
		}, b.text(listDeletedRoles), limit)
	})
	return found, err
}

// purgeRole deletes links of a role, and its entry where there are no more. The links
// are found without locks, so that the longest list is what one statement locks.
func (b *backend) purgeRole(ctx context.Context, role deletedRole, limit int) (purged int, err error) {
	for purged < limit {
		page := min(limit-purged, maxList)
		var userIDs []string
		err := b.read(ctx, func(r runner) (err error) {
			userIDs, err = r.strings(ctx, b.text(usersWithRole), role.applicationID, role.id, page)
			return err
		})
		if err != nil {
			return purged, err
		}

		text, list := b.text(forgetRole), 1
		if len(userIDs) > 0 {
			list = len(userIDs)
			text = b.listText(unlinkRole+`(`+params(list)+`)`, list)
		}
		n, err := b.delete(ctx, text, appendStrings([]any{role.applicationID, role.id}, userIDs)...)
		purged += int(n)
		if err != nil || len(userIDs) == 0 || n == 0 {
			return purged, err
		}
	}
	return purged, nil
}

// delete runs one statement that deletes.
func (b *backend) delete(ctx context.Context, text string, args ...any) (affected int64, err error) {
	err = b.retry(ctx, func(int) error {
		return b.statement(ctx, func(r runner) (err error) {
			affected, err = r.exec(ctx, text, args...)
			return err
		})
	})
	return affected, err
}
