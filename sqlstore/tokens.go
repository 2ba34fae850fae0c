package sqlstore

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/gousers/users"
)

// insertToken writes nothing where the user is missing. A token that is there
// already is an error, not a conflict: no two are made alike.
const insertToken = `INSERT INTO {password_tokens} (
		application_id, token_hash, user_id, purpose, email_key, notification_id, date_created, expires_at)
	SELECT {t}, {t}, {t}, {t}, {t}, {t}, COALESCE({i}, {now}), {now} + {i} FROM {users} WHERE application_id = {t} AND id = {t}{keep}`

// CreateToken implements [users.TokenStore].
func (b *backend) CreateToken(ctx context.Context, t users.TokenRecord) error {
	return b.retry(ctx, func(attempt int) error {
		var affected int64
		repeated, err := b.statementOnce(ctx, attempt, func(r runner) (err error) {
			affected, err = r.exec(ctx, b.text(insertToken),
				t.ApplicationID, hex.EncodeToString(t.Sum[:]), t.UserID, t.Purpose, t.EmailKey, t.NotificationID,
				orNow(t.Created), t.Lifetime.Microseconds(),
				t.ApplicationID, t.UserID)
			return err
		})
		switch {
		case repeated && b.classify(err) == duplicate:
			return nil // an earlier attempt took effect after all: nobody else has this token
		case err == nil && affected == 0:
			return fmt.Errorf("the user of the token: %w", users.ErrNotFound)
		}
		return err
	})
}

const findToken = `SELECT user_id, purpose, email_key, notification_id, date_created, expires_at - {now} FROM {password_tokens}
	WHERE application_id = ? AND token_hash = ?`

// FindToken implements [users.TokenStore].
func (b *backend) FindToken(ctx context.Context, applicationID string, sum [32]byte) (users.TokenRecord, error) {
	t, found := users.TokenRecord{ApplicationID: applicationID, Sum: sum}, false
	err := b.read(ctx, func(r runner) error {
		found = false
		return r.query(ctx, func(rows *sql.Rows) error {
			var created, left int64
			err := rows.Scan(&t.UserID, &t.Purpose, &t.EmailKey, &t.NotificationID, &created, &left)
			t.Created, t.Lifetime, found = micros(created), time.Duration(left)*time.Microsecond, true
			return err
		}, b.text(findToken), applicationID, hex.EncodeToString(sum[:]))
	})
	switch {
	case err != nil:
		return users.TokenRecord{}, err
	case !found:
		return users.TokenRecord{}, users.ErrNotFound
	}
	return t, nil
}

const (
	setHash = `UPDATE {users} SET credential = ?, password_changed = ?, failures = 0, locked_until = ?,
		email_verified = CASE WHEN EXISTS (SELECT 1 FROM {password_tokens}
			WHERE application_id = ? AND token_hash = ? AND notification_id <> '') THEN {i} ELSE email_verified END,
		date_updated = ?, version = version + 1
		WHERE application_id = ? AND id = ?`
	deleteToken = `DELETE FROM {password_tokens}
		WHERE application_id = ? AND token_hash = ? AND user_id = ? AND expires_at > {now}
		AND email_key IN ('', (SELECT email_key FROM {users} WHERE application_id = ? AND id = ?))`
	deleteTokens = `DELETE FROM {password_tokens} WHERE application_id = ? AND user_id = ?`
	ofNoMessage  = ` AND notification_id = ''`
)

// RedeemToken implements [users.TokenStore]. The user's row comes first: it is
// the lock on which calls with any of the user's tokens queue, and it holds the
// address that the token is compared with.
func (b *backend) RedeemToken(ctx context.Context, d users.Redemption) error {
	now, sum := d.Now.UnixMicro(), hex.EncodeToString(d.Sum[:])
	return b.retry(ctx, func(int) error {
		return b.transaction(ctx, func(r runner) error {
			err := r.changeOne(ctx, users.ErrBadToken, b.text(setHash),
				d.Hash, now, never, d.ApplicationID, sum, now, now, d.ApplicationID, d.UserID)
			if err != nil {
				return err
			}

			err = r.changeOne(ctx, users.ErrBadToken, b.text(deleteToken),
				d.ApplicationID, sum, d.UserID, d.ApplicationID, d.UserID)
			if err != nil {
				return err
			}

			_, err = r.exec(ctx, b.text(deleteTokens), d.ApplicationID, d.UserID)
			return err
		})
	})
}
