package sqlstore

import (
	"context"
	"database/sql"

	"github.com/gousers/users"
)

const applicationColumns = `id, api_key, name, disabled, require_approval, date_created`

const insertApplication = `INSERT INTO {applications} (` + applicationColumns + `, version)
	VALUES (?, ?, ?, ?, ?, ?, 1) {or nothing}`

const (
	findApplicationByID  = `SELECT ` + applicationColumns + ` FROM {applications} WHERE id = ?`
	findApplicationByKey = `SELECT ` + applicationColumns + ` FROM {applications} WHERE api_key = ?`
)

const (
	applicationWithID  = `SELECT id, api_key, date_created FROM {applications} WHERE id = ?{share}`
	applicationWithKey = `SELECT id, api_key, date_created FROM {applications} WHERE api_key = ?{share}`
)

// CreateApplication implements [users.ApplicationStore].
func (b *backend) CreateApplication(ctx context.Context, a users.Application) error {
	created := a.DateCreated.UnixMicro()
	return b.add(ctx, addition{
		insert: b.text(insertApplication),
		args:   []any{a.ID, a.APIKey, a.Name, a.Disabled, a.RequireApproval, created},

		lookup:     b.text(b.unionAll(applicationWithID, applicationWithKey)),
		lookupArgs: []any{a.ID, a.APIKey},

		id: a.ID, key: a.APIKey, created: created, keyMember: "apiKey",
	})
}

// FindApplication implements [users.ApplicationStore].
func (b *backend) FindApplication(ctx context.Context, q users.ApplicationQuery) (a users.Application, err error) {
	err = b.read(ctx, func(r runner) error {
		a, err = r.findApplication(ctx, q)
		return err
	})
	return a, err
}

func (r runner) findApplication(ctx context.Context, q users.ApplicationQuery) (a users.Application, err error) {
	template, key := findApplicationByID, q.ID
	if key == "" {
		template, key = findApplicationByKey, q.APIKey
	}

	found := false
	err = r.query(ctx, func(rows *sql.Rows) error {
		var created int64
		err := rows.Scan(&a.ID, &a.APIKey, &a.Name, &a.Disabled, &a.RequireApproval, &created)
		a.DateCreated, found = micros(created), true
		return err
	}, r.b.text(template), key)
	if err == nil && !found {
		err = users.ErrUnknownApplication
	}
	return a, err
}

// wantApplication returns [users.ErrUnknownApplication] if there is none.
func (r runner) wantApplication(ctx context.Context, id string) error {
	_, err := r.findApplication(ctx, users.ApplicationQuery{ID: id})
	return err
}
