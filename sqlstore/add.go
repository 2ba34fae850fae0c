package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/gousers/users"
)

// addition is a row with two unique keys, its id and another, that has nothing
// to be written beside it.
type addition struct {
	insert        string
	args          []any
	applicationID string // which must exist; empty: none

	// lookup selects id, key and date_created of the rows that have the id or the key.
	lookup     string
	lookupArgs []any

	id, key   string
	created   int64
	keyMember string // the name of key in a *users.ConflictError
}

// add inserts one row, or explains why it can't.
func (b *backend) add(ctx context.Context, a addition) error {
	return b.retry(ctx, func(attempt int) error {
		repeated, err := b.statementOnce(ctx, attempt, func(r runner) error { return r.insert(ctx, a.insert, a.args...) })
		if !isNotWritten(err) {
			return err
		}

		var id, key, own bool
		lookup := b.look(ctx, func(r runner) error {
			return r.query(ctx, func(rows *sql.Rows) error {
				var foundID, foundKey string
				var created int64
				err := rows.Scan(&foundID, &foundKey, &created)
				id = id || foundID == a.id
				key = key || foundKey == a.key
				own = own || foundID == a.id && foundKey == a.key && created == a.created
				return err
			}, a.lookup, a.lookupArgs...)
		})
		if lookup != nil {
			return lookup
		}
		if own && repeated { // an earlier attempt took effect after all
			return nil
		}
		if conflict := conflictOf(id, key, a.keyMember); conflict != nil {
			return conflict
		}

		if a.applicationID != "" {
			if err := b.look(ctx, func(r runner) error { return r.wantApplication(ctx, a.applicationID) }); err != nil {
				return err
			}
		}
		return fmt.Errorf("%w: %w", errVanished, err)
	})
}

func conflictOf(id, key bool, keyMember string) error {
	var members []string
	if id {
		members = append(members, "id")
	}
	if key {
		members = append(members, keyMember)
	}
	if members == nil {
		return nil
	}
	return &users.ConflictError{Members: members}
}
