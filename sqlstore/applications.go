package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/gousers/users"
)

const applicationColumns = `id, api_key, name, disabled, require_approval, date_created, version`

const insertApplication = `INSERT INTO {applications} (` + applicationColumns + `)
	VALUES (?, ?, ?, ?, ?, ?, ?) {or nothing}`

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
		args:   []any{a.ID, a.APIKey, a.Name, a.Disabled, a.RequireApproval, created, a.Version},

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

	found, err := r.applications(ctx, r.b.text(template), key)
	if err == nil && len(found) == 0 {
		err = users.ErrUnknownApplication
	}
	if err != nil {
		return users.Application{}, err
	}
	return found[0], nil
}

// applications returns those that text selects.
func (r runner) applications(ctx context.Context, text string, args ...any) ([]users.Application, error) {
	found := []users.Application{}
	err := r.query(ctx, func(rows *sql.Rows) error {
		var a users.Application
		var created int64
		err := rows.Scan(&a.ID, &a.APIKey, &a.Name, &a.Disabled, &a.RequireApproval, &created, &a.Version)
		a.DateCreated = micros(created)
		found = append(found, a)
		return err
	}, text, args...)
	return found, err
}

// wantApplication returns [users.ErrUnknownApplication] if there is none.
func (r runner) wantApplication(ctx context.Context, id string) error {
	_, err := r.findApplication(ctx, users.ApplicationQuery{ID: id})
	return err
}

const listApplications = `SELECT ` + applicationColumns + ` FROM {applications} WHERE id > ? ORDER BY id LIMIT ?`

// ListApplications implements [users.ApplicationEditor].
func (b *backend) ListApplications(ctx context.Context, p users.Page) (found []users.Application, err error) {
	err = b.read(ctx, func(r runner) error {
		found, err = r.applications(ctx, b.text(listApplications), p.After, limit(p.Limit))
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

const (
	updateApplication = `UPDATE {applications} SET name = ?, disabled = ?, require_approval = ?, version = version + 1
		WHERE id = ? AND version = ?`
	applicationAsItIs = findApplicationByID + `{share}`
)

// UpdateApplication implements [users.ApplicationEditor].
func (b *backend) UpdateApplication(ctx context.Context, a users.Application) error {
	return b.retry(ctx, func(attempt int) error {
		var affected int64
		repeated, err := b.statementOnce(ctx, attempt, func(r runner) (err error) {
			affected, err = r.exec(ctx, b.text(updateApplication), a.Name, a.Disabled, a.RequireApproval, a.ID, a.Version)
			return err
		})
		if err != nil || affected > 0 {
			return err
		}

		var found []users.Application
		err = b.look(ctx, func(r runner) error {
			found, err = r.applications(ctx, b.text(applicationAsItIs), a.ID)
			return err
		})
		switch {
		case err != nil:
			return err
		case len(found) == 0:
			return users.ErrUnknownApplication
		case repeated && isUpdated(found[0], a):
			return nil // by an earlier attempt
		}
		return errVersion(a.Version)
	})
}

// isUpdated reports whether now is what an update by a makes.
func isUpdated(now, a users.Application) bool {
	return now.Version == a.Version+1 &&
		now.Name == a.Name && now.Disabled == a.Disabled && now.RequireApproval == a.RequireApproval
}

// errVersion is [users.ErrStale] for a row that has not the version that was wanted.
func errVersion(wanted int64) error {
	return fmt.Errorf("the version is not %d: %w", wanted, users.ErrStale)
}
