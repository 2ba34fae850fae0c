package sqlstore

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
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
	// setHash looks for the token of the row's own application: MariaDB would lock one that
	// it finds without the row before the row itself, as would each call that waits for that.
	setHash = `UPDATE {users} SET credential = ?, password_changed = ?, failures = 0, locked_until = ?,
		email_verified = CASE WHEN EXISTS (SELECT 1 FROM {password_tokens}
			WHERE application_id = {users}.application_id AND token_hash = ? AND notification_id <> '') THEN {i} ELSE email_verified END,
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
	redeem := func(r runner) error { return r.redeem(ctx, &d) }
	return b.retryTx(ctx, b.transaction, redeem, func(err error, repeated bool) error {
		if repeated && errors.Is(err, users.ErrBadToken) {
			return b.explainBadToken(ctx, &d, err)
		}
		return err
	})
}

// redeem uses the token up, inside a transaction.
func (r runner) redeem(ctx context.Context, d *users.Redemption) error {
	now, sum := d.Now.UnixMicro(), hex.EncodeToString(d.Sum[:])
	err := r.changeOne(ctx, users.ErrBadToken, r.b.text(setHash),
		d.Hash, now, never, sum, now, now, d.ApplicationID, d.UserID)
	if err != nil {
		return err
	}

	err = r.changeOne(ctx, users.ErrBadToken, r.b.text(deleteToken),
		d.ApplicationID, sum, d.UserID, d.ApplicationID, d.UserID)
	if err != nil {
		return err
	}

	if _, err := r.exec(ctx, r.b.text(deleteTokens), d.ApplicationID, d.UserID); err != nil {
		return err
	}
	return r.addMissing(ctx, d.Notifications)
}

// explainBadToken returns nil if the user has the hash of d, by an earlier attempt whose
// commit was answered by an error, and cause otherwise. No two hashes are made alike.
func (b *backend) explainBadToken(ctx context.Context, d *users.Redemption, cause error) error {
	batches := b.byKeys(selectUsers, d.ApplicationID, keys{"id", []string{d.UserID}})
	return b.look(ctx, func(r runner) error {
		found, err := r.users(ctx, batches, scanUser)
		if err != nil {
			return err
		}
		if len(found) == 1 && found[0].Hash.Equal(d.Hash) && found[0].PasswordChanged.UnixMicro() == d.Now.UnixMicro() {
			return nil
		}
		return cause
	})
}
