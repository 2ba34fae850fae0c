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

// FindReplay implements users.ReplayStore.
func (s *backend) FindReplay(ctx context.Context, k users.ReplayKey) (users.Replay, error) {
	text := s.text.findReplay
	if s.seen() != "" {
		text = s.text.findReplayShared
	}
	p, sum, found := users.Replay{ReplayKey: k}, "", false
	err := s.read(ctx, func(r runner) error {
		found = false
		return r.query(ctx, func(rows *sql.Rows) error {
			var expires int64
			err := rows.Scan(&sum, &p.UserID, &expires)
			p.Expires, found = micros(expires), true
			return err
		}, text, k.ApplicationID, k.Scope, k.Key)
	})
	switch {
	case err != nil:
		return users.Replay{}, err
	case !found:
		return users.Replay{}, users.ErrNotFound
	}
	if n, err := hex.Decode(p.Fingerprint[:], []byte(sum[:min(len(sum), 64)])); err != nil || n != len(p.Fingerprint) {
		return users.Replay{}, errors.New("sqlstore: the fingerprint of an idempotency record is damaged")
	}
	return p, nil
}

// Purge implements users.ReplayStore.
func (s *backend) Purge(ctx context.Context, before time.Time, limit int) (purged int, err error) {
	for _, text := range []string{s.text.purgeReplays, s.text.purgeTokens} {
		if purged >= limit {
			break
		}
		err := s.again(ctx, func(int) error {
			return s.single(ctx, func(r runner) error {
				n, err := r.exec(ctx, text, before.UnixMicro(), limit-purged)
				purged += int(n)
				return err
			})
		})
		if err != nil {
			return purged, err
		}
	}
	return purged, nil
}

// CreateToken implements users.TokenStore.
func (s *backend) CreateToken(ctx context.Context, t users.TokenRecord) error {
	return s.again(ctx, func(attempt int) error {
		affected := int64(0)
		insert := func(r runner) (err error) {
			affected, err = r.exec(ctx, s.text.insertToken, t.ApplicationID, hex.EncodeToString(t.Sum[:]), t.UserID,
				t.Created.UnixMicro(), t.Expires.UnixMicro(), t.ApplicationID, t.UserID)
			return err
		}
		var err error
		if s.tx != nil {
			err = s.single(ctx, insert)
		} else {
			err = s.once(ctx, attempt, insert)
		}
		switch {
		case err != nil && attempt > 1 && s.classify(err) == duplicate:
			return nil // an earlier attempt took effect after all: nobody else has this token
		case err == nil && affected == 0:
			return fmt.Errorf("the user of the token: %w", users.ErrNotFound)
		}
		return err
	})
}

// FindToken implements users.TokenStore.
func (s *backend) FindToken(ctx context.Context, applicationID string, sum [32]byte) (users.TokenRecord, error) {
	t, found := users.TokenRecord{ApplicationID: applicationID, Sum: sum}, false
	err := s.read(ctx, func(r runner) error {
		found = false
		return r.query(ctx, func(rows *sql.Rows) error {
			var created, expires int64
			err := rows.Scan(&t.UserID, &created, &expires)
			t.Created, t.Expires, found = micros(created), micros(expires), true
			return err
		}, s.text.findToken, applicationID, hex.EncodeToString(sum[:]))
	})
	switch {
	case err != nil:
		return users.TokenRecord{}, err
	case !found:
		return users.TokenRecord{}, users.ErrNotFound
	}
	return t, nil
}

// RedeemToken implements users.TokenStore. The user's row comes first: it is
// the lock on which calls with any of the user's tokens queue.
func (s *backend) RedeemToken(ctx context.Context, d users.Redemption) error {
	return s.again(ctx, func(int) error {
		return s.transaction(ctx, func(r runner) error {
			n, err := r.exec(ctx, s.text.setHash, nullable(string(d.Hash)), d.Now.UnixMicro(), d.ApplicationID, d.UserID)
			if err != nil {
				return err
			}
			if n == 0 {
				return users.ErrBadToken
			}
			n, err = r.exec(ctx, s.text.deleteToken, d.ApplicationID, hex.EncodeToString(d.Sum[:]), d.UserID, d.Now.UnixMicro())
			if err != nil {
				return err
			}
			if n == 0 {
				return users.ErrBadToken
			}
			_, err = r.exec(ctx, s.text.deleteTokens, d.ApplicationID, d.UserID)
			return err
		})
	})
}
