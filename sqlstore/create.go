package sqlstore

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gousers/users"
)

// CreateUser implements users.UserStore. A user with nothing else to write is
// one statement; on PostgreSQL so is one with roles and a notification.
func (s *backend) CreateUser(ctx context.Context, n *users.NewUser) error {
	roles := roleIDs(n.Roles)
	write, alone := s.transaction, n.Replay == nil && n.InTx == nil &&
		(s.Dialect == Postgres || len(roles) == 0 && n.Notification == nil)
	revive := false // the next try begins with the dead idempotency record that this one found
	return s.again(ctx, func(attempt int) error {
		if alone && s.tx == nil {
			write = func(ctx context.Context, f func(runner) error) error { return s.once(ctx, attempt, f) }
		}
		err := write(ctx, func(r runner) error {
			if n.InTx == nil || s.tx != nil {
				return r.createUser(ctx, n, roles, revive)
			}
			return s.inSavepoint(ctx, r, func(r runner) error { return r.createUser(ctx, n, roles, revive) })
		})
		revive = errors.Is(err, errDeadReplay)
		notWritten := errors.Is(err, errNotWritten)
		if !notWritten && !errors.Is(err, users.ErrIdempotencyKeyUsed) {
			return err
		}
		if s.clashed != nil {
			s.clashed.Store(true)
		}
		found, lookup := s.clashing(ctx, n)
		if lookup != nil {
			return lookup
		}
		if (attempt > 1 || alone && s.prepared != nil) && found.own {
			// An earlier attempt took effect after all. A prepared statement may
			// have been repeated by database/sql without a word.
			return nil
		}
		if !notWritten {
			return err
		}
		return s.whyNot(ctx, n, roles, found.records, err)
	})
}

// roleIDs gives each role once.
func roleIDs(roles []users.Role) []string {
	ids := make([]string, len(roles))
	for i, r := range roles {
		ids[i] = r.ID
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// createUser writes everything that is in n. errNotWritten says that there is
// no such application or that a unique key is taken.
func (r runner) createUser(ctx context.Context, n *users.NewUser, roles []string, revive bool) error {
	if n.Replay != nil {
		if err := r.putReplay(ctx, n, revive); err != nil {
			return err
		}
	}
	if err := r.putUser(ctx, n, roles); err != nil {
		return err
	}
	if n.InTx == nil {
		return nil
	}
	if err := n.InTx(context.WithValue(ctx, txKey{}, openTx{r.tx, depth(ctx) + 1})); err != nil {
		return fmt.Errorf("OnCreate: %w", err)
	}
	return nil
}

func (r runner) putReplay(ctx context.Context, n *users.NewUser, revive bool) error {
	p, sum, now := n.Replay, hex.EncodeToString(n.Replay.Fingerprint[:]), n.DateCreated.UnixMicro()
	replace := func() (affected int64, err error) {
		return r.exec(ctx, r.b.text.reviveReplay, sum, p.UserID, p.Expires.UnixMicro(), p.ApplicationID, p.Scope, p.Key, now)
	}
	if revive {
		if affected, err := replace(); err != nil || affected > 0 {
			return err
		}
	}
	args := []any{p.ApplicationID, p.Scope, p.Key, sum, p.UserID, p.Expires.UnixMicro()}
	if r.b.Dialect != MySQL {
		args = append(args, now)
	}
	affected, err := r.exec(ctx, r.b.text.insertReplay, args...)
	if err != nil && r.b.classify(err) == duplicate {
		// The lock that the failed INSERT left suffices to read, and others
		// have it too: asking for the one to write would be a deadlock between
		// any two of them. The next try asks for that one first.
		var expires int64
		expires, err = r.number(ctx, r.b.text.replayExpires, p.ApplicationID, p.Scope, p.Key)
		if err == nil && expires <= now {
			if r.b.tx == nil && !revive {
				return errDeadReplay
			}
			affected, err = replace()
		}
	}
	if err == nil && affected == 0 {
		return users.ErrIdempotencyKeyUsed
	}
	return err
}

func (r runner) putUser(ctx context.Context, n *users.NewUser, roles []string) error {
	if r.b.Dialect == Postgres && (len(roles) > 0 || n.Notification != nil) {
		return r.putUserAtOnce(ctx, n, roles)
	}
	affected, err := r.exec(ctx, r.b.text.insertUser, userArgs(n)...)
	if err != nil && r.b.classify(err) == duplicate {
		return fmt.Errorf("%w: %w", errNotWritten, err)
	}
	if err != nil {
		return err
	}
	if affected == 0 {
		return errNotWritten
	}
	if len(roles) > 0 {
		args := appendStrings([]any{n.ApplicationID, n.ID, n.ApplicationID}, roles)
		affected, err := r.exec(ctx, r.b.render(`INSERT INTO {user_roles} (application_id, user_id, role_id)
			SELECT {t}, {t}, id FROM {roles} WHERE application_id = ? AND id IN (`+list(len(roles))+`)`), args...)
		if err != nil {
			return err
		}
		if affected != int64(len(roles)) {
			return errUnknownRole()
		}
	}
	if n.Notification != nil {
		if _, err := r.exec(ctx, r.b.text.insertNotification, notificationArgs(n.Notification)...); err != nil {
			return err
		}
	}
	return nil
}

// putUserAtOnce writes the user, its roles and its notification in one
// statement of PostgreSQL: all of them, or none where the application or one of
// the roles is missing or a key is taken.
func (r runner) putUserAtOnce(ctx context.Context, n *users.NewUser, roles []string) error {
	var b strings.Builder
	args := userArgs(n)
	b.WriteString(`WITH u AS (` + insertUser)
	if len(roles) > 0 {
		b.WriteString(` AND (SELECT count(*) FROM {roles} WHERE application_id = ? AND id IN (` + list(len(roles)) + `)) = {i}`)
		args = append(appendStrings(append(args, n.ApplicationID), roles), len(roles))
	}
	b.WriteString(`{skipClash} RETURNING 1)`)
	if len(roles) > 0 {
		b.WriteString(`, r AS (INSERT INTO {user_roles} (application_id, user_id, role_id)
			SELECT {t}, {t}, id FROM u, {roles} WHERE application_id = ? AND id IN (` + list(len(roles)) + `))`)
		args = appendStrings(append(args, n.ApplicationID, n.ID, n.ApplicationID), roles)
	}
	if n.Notification != nil {
		b.WriteString(`, n AS (` + insertNotification + ` FROM u)`)
		args = append(args, notificationArgs(n.Notification)...)
	}
	b.WriteString(` SELECT count(*) FROM u`)
	written, err := r.number(ctx, r.b.render(b.String()), args...)
	if err == nil && written == 0 {
		return errNotWritten
	}
	return err
}

func userArgs(n *users.NewUser) []any {
	u := &n.UserRecord
	return []any{
		u.ApplicationID, u.ID, u.UserName, u.NameKey, u.Email, u.EmailKey, u.KeyVersion, u.Name, nullable(string(u.Hash)),
		u.IsApproved, u.IsLockedOut, u.AllowDashboardAccess, nullable(string(u.DashboardSettings)), u.CreatedBy,
		u.CreationDate.UnixMicro(), u.DateCreated.UnixMicro(), u.DateUpdated.UnixMicro(),
		u.Login.Failures, u.Login.LockedUntil.UnixMicro(), u.Version,
		u.ApplicationID,
	}
}

func notificationArgs(o *users.OutboxRow) []any {
	return []any{
		o.ApplicationID, o.ID, o.UserID, o.Kind, o.State, o.Due.UnixMicro(),
		o.Attempts, o.LastError, o.Created.UnixMicro(),
	}
}

// nullable gives NULL for an empty s.
func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func errUnknownRole() error { return fmt.Errorf("a role of the user: %w", users.ErrNotFound) }

// clash is what stands in the way of a new user.
type clash struct {
	records []users.UserRecord
	own     bool // one of them is the new user itself
}

func (s *backend) clashing(ctx context.Context, n *users.NewUser) (c clash, err error) {
	err = s.runner().query(ctx, func(rows *sql.Rows) error {
		var u users.UserRecord
		var hash sql.NullString
		var created int64
		if err := rows.Scan(&u.ID, &u.NameKey, &u.EmailKey, &hash, &created); err != nil {
			return err
		}
		c.records = append(c.records, u)
		c.own = c.own || u.ID == n.ID && u.NameKey == n.NameKey && u.EmailKey == n.EmailKey &&
			hash.String == string(n.Hash) && created == n.DateCreated.UnixMicro()
		return nil
	}, s.text.clashingUser, n.ApplicationID, n.ID, n.ApplicationID, n.NameKey, n.ApplicationID, n.EmailKey)
	return c, err
}

// whyNot says what errNotWritten stands for.
func (s *backend) whyNot(ctx context.Context, n *users.NewUser, roles []string, found []users.UserRecord, cause error) error {
	if err := users.Clash(&n.UserRecord, found); err != nil {
		return err
	}
	if _, err := s.findApplication(ctx, users.ApplicationQuery{ID: n.ApplicationID}); err != nil {
		return err
	}
	if len(roles) > 0 {
		args := appendStrings([]any{n.ApplicationID}, roles)
		known, err := s.runner().number(ctx, s.render(`SELECT count(*) FROM {roles} WHERE application_id = ? AND id IN (`+list(len(roles))+`)`), args...)
		if err != nil {
			return err
		}
		if known != int64(len(roles)) {
			return errUnknownRole()
		}
	}
	return fmt.Errorf("%w: %w", errVanished, cause)
}
