package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/gousers/users"
)

// CreateApplication implements users.ApplicationStore.
func (s *backend) CreateApplication(ctx context.Context, a users.Application) error {
	created := a.DateCreated.UnixMicro()
	return s.add(ctx, s.text.insertApplication, []any{a.ID, a.APIKey, a.Name, a.Disabled, a.RequireApproval, created}, taken{
		text: s.text.clashingApplication, args: []any{a.ID, a.APIKey},
		id: a.ID, key: a.APIKey, member: "apiKey", created: created,
	})
}

// FindApplication implements users.ApplicationStore.
func (s *backend) FindApplication(ctx context.Context, q users.ApplicationQuery) (a users.Application, err error) {
	err = s.again(ctx, func(int) error {
		a, err = s.findApplication(ctx, q)
		return err
	})
	return a, err
}

func (s *backend) findApplication(ctx context.Context, q users.ApplicationQuery) (a users.Application, err error) {
	text, key := s.text.findApplicationByID, q.ID
	if key == "" {
		text, key = s.text.findApplicationByKey, q.APIKey
	}
	found := false
	err = s.runner().query(ctx, func(rows *sql.Rows) error {
		var created int64
		err := rows.Scan(&a.ID, &a.APIKey, &a.Name, &a.Disabled, &a.RequireApproval, &created)
		a.DateCreated, found = micros(created), true
		return err
	}, text, key)
	if err == nil && !found {
		err = users.ErrUnknownApplication
	}
	return a, err
}

// CreateRole implements users.RoleStore.
func (s *backend) CreateRole(ctx context.Context, applicationID string, r users.RoleRecord) error {
	created := r.DateCreated.UnixMicro()
	err := s.add(ctx, s.text.insertRole,
		[]any{applicationID, r.ID, r.Name, r.NameKey, r.Description, created, r.DateUpdated.UnixMicro(), applicationID}, taken{
			text: s.text.clashingRole, args: []any{applicationID, r.ID, applicationID, r.NameKey},
			id: r.ID, key: r.NameKey, member: "name", created: created, applicationID: applicationID,
		})
	return err
}

// taken says how to find out what an INSERT clashed with.
type taken struct {
	text          string // selects id, key and date_created
	args          []any
	id, key       string
	member        string // the name of the key in a *users.ConflictError
	created       int64
	applicationID string // which must exist; empty: none
}

// add inserts one row and explains why there is none.
func (s *backend) add(ctx context.Context, text string, args []any, t taken) error {
	return s.again(ctx, func(attempt int) error {
		affected := int64(0)
		insert := func(r runner) (err error) {
			affected, err = r.exec(ctx, text, args...)
			return err
		}
		var err error
		if s.tx != nil {
			err = s.single(ctx, insert)
		} else {
			err = s.once(ctx, attempt, insert)
		}
		if err == nil && affected > 0 || err != nil && s.classify(err) != duplicate {
			return err
		}
		var members []string
		own := false
		lookup := s.runner().query(ctx, func(rows *sql.Rows) error {
			var id, key string
			var created int64
			err := rows.Scan(&id, &key, &created)
			if id == t.id {
				members = append(members, "id")
			}
			if key == t.key {
				members = append(members, t.member)
			}
			own = own || id == t.id && key == t.key && created == t.created
			return err
		}, t.text, t.args...)
		switch {
		case lookup != nil:
			return lookup
		case own && attempt > 1:
			return nil
		case members != nil:
			slices.SortFunc(members, func(a, b string) int { return order(a) - order(b) })
			return &users.ConflictError{Members: slices.Compact(members)}
		}
		if t.applicationID != "" {
			if _, err := s.findApplication(ctx, users.ApplicationQuery{ID: t.applicationID}); err != nil {
				return err
			}
		}
		return fmt.Errorf("%w: %w", errVanished, errNotWritten)
	})
}

// order puts the member "id" first.
func order(member string) int {
	if member == "id" {
		return 0
	}
	return 1
}

// FindRoles implements users.RoleStore.
func (s *backend) FindRoles(ctx context.Context, q users.RoleQuery) (found []users.RoleRecord, err error) {
	var texts []string
	var args [][]any
	if len(q.IDs) == 0 && len(q.NameKeys) == 0 {
		text, arg := `SELECT `+roleColumns+` FROM {roles} WHERE application_id = ? AND id > ? ORDER BY id`, []any{q.ApplicationID, q.Page.After}
		if q.Page.Limit > 0 {
			text, arg = text+` LIMIT ?`, append(arg, q.Page.Limit)
		}
		texts, args = []string{s.render(text)}, [][]any{arg}
	} else {
		texts, args = s.lookups(roleColumns, `{roles}`, q.ApplicationID, lookup{"id", q.IDs}, lookup{"name_key", q.NameKeys})
	}
	err = s.read(ctx, func(r runner) error {
		found = []users.RoleRecord{}
		for i := range texts {
			err := r.query(ctx, func(rows *sql.Rows) error {
				var rec users.RoleRecord
				var created, updated int64
				err := rows.Scan(&rec.ID, &rec.Name, &rec.NameKey, &rec.Description, &created, &updated)
				rec.DateCreated, rec.DateUpdated = micros(created), micros(updated)
				found = append(found, rec)
				return err
			}, texts[i], args[i]...)
			if err != nil {
				return err
			}
		}
		slices.SortFunc(found, func(a, b users.RoleRecord) int { return strings.Compare(a.ID, b.ID) })
		found = slices.CompactFunc(found, func(a, b users.RoleRecord) bool { return a.ID == b.ID })
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}
