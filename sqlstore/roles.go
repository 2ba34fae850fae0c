package sqlstore

import (
	"context"
	"database/sql"
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
