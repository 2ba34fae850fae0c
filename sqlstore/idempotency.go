package sqlstore

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"time"

	"github.com/gousers/users"
)

// putIdempotency adds a record or replaces a dead one. It writes nothing where a
// live one exists.
const putIdempotency = `INSERT INTO {idempotency} AS r (application_id, caller, idempotency_key, fingerprint, user_id, expires_at)
	VALUES (?, ?, ?, ?, ?, {now} + {i})
	ON CONFLICT (application_id, caller, idempotency_key)
	DO UPDATE SET fingerprint = excluded.fingerprint, user_id = excluded.user_id, expires_at = excluded.expires_at
	WHERE r.expires_at <= {now}
	RETURNING 1`

// MySQL does that in two statements.
const (
	insertIdempotencyMySQL = `INSERT INTO {idempotency} (application_id, caller, idempotency_key, fingerprint, user_id, expires_at)
		VALUES (?, ?, ?, ?, ?, {now} + ?)`
	reviveIdempotencyMySQL = `UPDATE {idempotency} SET fingerprint = ?, user_id = ?, expires_at = {now} + ?
		WHERE application_id = ? AND caller = ? AND idempotency_key = ? AND expires_at <= {now}`
	idempotencyLeft = `SELECT expires_at - {now} FROM {idempotency}
		WHERE application_id = ? AND caller = ? AND idempotency_key = ?{share}`
)

// putIdempotency writes the record of n, or returns ErrIdempotencyKeyUsed.
// reviveFirst is for MySQL; see putIdempotencyMySQL.
func (r runner) putIdempotency(ctx context.Context, n *users.NewUser, reviveFirst bool) error {
	if r.b.Dialect == MySQL {
		return r.putIdempotencyMySQL(ctx, n, reviveFirst)
	}

	rec := n.Idempotency
	written, err := r.number(ctx, r.b.text(putIdempotency),
		rec.ApplicationID, rec.Caller, rec.Key, fingerprint(rec), rec.UserID, rec.Lifetime.Microseconds())
	if err == nil && written == 0 {
		return users.ErrIdempotencyKeyUsed
	}
	return err
}

// putIdempotencyMySQL inserts first, as most keys are new. Where that finds a
// dead record, a transaction of the store's own ends with errDeadRecord and is
// tried again with reviveFirst.
func (r runner) putIdempotencyMySQL(ctx context.Context, n *users.NewUser, reviveFirst bool) error {
	rec := n.Idempotency
	revive := func() (affected int64, err error) {
		return r.exec(ctx, r.b.text(reviveIdempotencyMySQL),
			fingerprint(rec), rec.UserID, rec.Lifetime.Microseconds(), rec.ApplicationID, rec.Caller, rec.Key)
	}
	if reviveFirst {
		if affected, err := revive(); err != nil || affected > 0 {
			return err
		}
	}

	_, err := r.exec(ctx, r.b.text(insertIdempotencyMySQL),
		rec.ApplicationID, rec.Caller, rec.Key, fingerprint(rec), rec.UserID, rec.Lifetime.Microseconds())
	if r.b.classify(err) != duplicate {
		return err
	}

	// The lock that the failed INSERT left suffices to read, and others have it
	// too: asking for the one to write would be a deadlock between any two of
	// them. The next try asks for that one first.
	left, err := r.number(ctx, r.b.text(idempotencyLeft), rec.ApplicationID, rec.Caller, rec.Key)
	switch {
	case err != nil:
		return err
	case left > 0:
		return users.ErrIdempotencyKeyUsed
	case r.b.tx == nil && !reviveFirst:
		return errDeadRecord
	}
	affected, err := revive()
	if err == nil && affected == 0 {
		return users.ErrIdempotencyKeyUsed
	}
	return err
}

func fingerprint(rec *users.IdempotencyRecord) string { return hex.EncodeToString(rec.Fingerprint[:]) }

const findIdempotency = `SELECT fingerprint, user_id, expires_at - {now} FROM {idempotency}
	WHERE application_id = ? AND caller = ? AND idempotency_key = ?`

// FindIdempotencyRecord implements [users.IdempotencyStore].
func (b *backend) FindIdempotencyRecord(ctx context.Context, k users.IdempotencyKey) (users.IdempotencyRecord, error) {
	rec, sum, found := users.IdempotencyRecord{IdempotencyKey: k}, "", false
	err := b.read(ctx, func(r runner) error {
		found = false
		return r.query(ctx, func(rows *sql.Rows) error {
			var left int64
			err := rows.Scan(&sum, &rec.UserID, &left)
			rec.Lifetime, found = time.Duration(left)*time.Microsecond, true
			return err
		}, b.text(findIdempotency+b.lockClause()), k.ApplicationID, k.Caller, k.Key)
	})
	switch {
	case err != nil:
		return users.IdempotencyRecord{}, err
	case !found:
		return users.IdempotencyRecord{}, users.ErrNotFound
	}

	n, err := hex.Decode(rec.Fingerprint[:], []byte(sum[:min(len(sum), 2*len(rec.Fingerprint))]))
	if err != nil || n != len(rec.Fingerprint) {
		return users.IdempotencyRecord{}, errors.New("sqlstore: the fingerprint of an idempotency record is damaged")
	}
	return rec, nil
}

// Purge implements [users.IdempotencyStore]. What has ended the longest ago goes
// first; on PostgreSQL rows that another call holds are left to that.
func (b *backend) Purge(ctx context.Context, limit int) (purged int, err error) {
	for _, of := range []struct {
		table, key string
		kept       time.Duration // after the end
	}{
		{`{idempotency}`, `application_id, caller, idempotency_key`, 0},
		{`{password_tokens}`, `application_id, token_hash`, users.RecoveryWindow},
	} {
		if purged >= limit {
			break
		}
		n, err := b.delete(ctx, b.text(b.purge(of.table, of.key)), of.kept.Microseconds(), limit-purged)
		if err != nil {
			return purged, err
		}
		purged += int(n)
	}
	if purged >= limit {
		return purged, nil
	}
	n, err := b.purgeRoles(ctx, limit-purged)
	return purged + n, err
}

// purge deletes the longest expired rows of all applications: with the relay's
// claim the only statement that belongs to no application.
func (d dialect) purge(table, key string) string {
	switch d.Dialect {
	case Postgres:
		// By ctid, as a join by the key may scan the table; and by tableoid, as a
		// ctid is unique within one partition only.
		return `WITH expired AS (
				SELECT tableoid AS part, ctid AS row_at FROM ` + table + ` WHERE expires_at <= {now} - ?
				ORDER BY expires_at LIMIT {i} FOR UPDATE SKIP LOCKED)
			DELETE FROM ` + table + ` WHERE ctid = ANY(ARRAY(SELECT row_at FROM expired))
				AND (tableoid, ctid) IN (SELECT part, row_at FROM expired)`
	case MySQL:
		return `DELETE FROM ` + table + ` WHERE expires_at <= {now} - ? ORDER BY expires_at LIMIT ?`
	}
	return `DELETE FROM ` + table + ` WHERE (` + key + `) IN (
		SELECT ` + key + ` FROM ` + table + ` WHERE expires_at <= {now} - ? ORDER BY expires_at LIMIT ?)`
}
