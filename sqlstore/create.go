package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gousers/users"
)

var errHostTx = errors.New("sqlstore: the Service does not know that it is inside a host's transaction: use Service.InTx(store.WithTx(tx))")

// CreateUser implements [users.UserStore]. A user with nothing else to write is
// one statement; on PostgreSQL so is one with roles and notifications.
func (s *Store) CreateUser(ctx context.Context, n *users.NewUser) error {
	roles := roleIDs(n.Roles)
	alone := n.Idempotency == nil && n.OnCreate == nil &&
		(s.Dialect == Postgres || len(roles) == 0 && len(n.Notifications) == 0)
	if alone {
		return s.createAlone(ctx, n, roles)
	}
	return s.createInOwnTx(ctx, n, roles)
}

// createAlone writes n by one statement.
func (s *Store) createAlone(ctx context.Context, n *users.NewUser, roles []string) error {
	return s.retry(ctx, func(attempt int) error {
		repeated, err := s.statementOnce(ctx, attempt, func(r runner) error { return r.putUser(ctx, n, roles) })
		if !isNotWritten(err) {
			return err
		}
		return s.explainConflict(ctx, n, roles, err, repeated)
	})
}

// createInOwnTx writes n in a transaction of the store's. A try that finds a dead
// idempotency record of its key (errDeadRecord) is followed by one that begins
// with reviving it.
func (s *Store) createInOwnTx(ctx context.Context, n *users.NewUser, roles []string) error {
	reviveFirst := false
	return s.retry(ctx, func(attempt int) error {
		err := s.transaction(ctx, func(r runner) error {
			if n.OnCreate == nil {
				return r.createUser(ctx, n, roles, reviveFirst)
			}
			// Releasing the savepoint tells whether the host's code swallowed the
			// end of the transaction.
			return s.inSavepoint(ctx, r, func(r runner) error { return r.createUser(ctx, n, roles, reviveFirst) })
		})
		reviveFirst = reviveFirst || errors.Is(err, errDeadRecord)
		if !isRefused(err) {
			return err
		}

		return s.explainConflict(ctx, n, roles, err, attempt > 1)
	})
}

// CreateUser implements [users.UserStore]: it writes n in the host's
// transaction, behind a savepoint, and tries once.
//
// An n without HostTx is an error, and nothing is written: the [users.Service]
// would call [users.Options.AfterCreate] before the host has committed.
func (t *TxStore) CreateUser(ctx context.Context, n *users.NewUser) error {
	if !n.HostTx {
		return errHostTx
	}

	roles := roleIDs(n.Roles)
	return t.retry(ctx, func(int) error {
		err := t.transaction(ctx, func(r runner) error { return r.createUser(ctx, n, roles, false) })
		if !isRefused(err) {
			return err
		}

		t.conflicted.Store(true)
		return t.explainConflict(ctx, n, roles, err, false)
	})
}

// isRefused reports whether err says that another row was in the way.
func isRefused(err error) bool {
	var host *onCreateError
	return !errors.As(err, &host) && (isNotWritten(err) || errors.Is(err, users.ErrIdempotencyKeyUsed))
}

// roleIDs returns the id of each role once.
func roleIDs(roles []users.Role) []string {
	ids := make([]string, len(roles))
	for i, r := range roles {
		ids[i] = r.ID
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// createUser writes everything that is in n, inside a transaction. The error is
// errNotWritten as for putUser, ErrIdempotencyKeyUsed or errDeadRecord as for
// putIdempotency.
func (r runner) createUser(ctx context.Context, n *users.NewUser, roles []string, reviveFirst bool) error {
	if n.Idempotency != nil {
		if err := r.putIdempotency(ctx, n, reviveFirst); err != nil {
			return err
		}
	}
	if err := r.putUser(ctx, n, roles); err != nil {
		return err
	}

	if n.OnCreate == nil {
		return nil
	}
	if err := n.OnCreate(context.WithValue(ctx, txKey{}, openTx{r.tx, depth(ctx) + 1})); err != nil {
		return &onCreateError{err: err}
	}
	return nil
}

// onCreateError is an error of the host's code. Whatever class it matches, it
// says nothing of the rows of n.
type onCreateError struct {
	err error
	// txAlive says that the database had not ended the transaction: then the
	// error says nothing of the database either. inSavepoint finds out.
	txAlive bool
}

func (e *onCreateError) Error() string { return "OnCreate: " + e.err.Error() }
func (e *onCreateError) Unwrap() error { return e.err }

// There are no foreign keys: they would turn conflicts into aborted
// transactions. An INSERT selects from the tables where what it refers to must
// be, and writes nothing if it is not. It locks a role or a user that it refers to,
// so that whoever deletes that waits, and deletes what was added too. On a cluster a
// lock holds on one node only: what is added on another at the same time is left over,
// and seen by nobody.
const (
	insertUserFrom = `INSERT INTO {users} (` + userColumns + `)
		SELECT {t}, {t}, {t}, {t}, {t}, {t}, {i}, {t}, {t}, {t}, {b}, {b}, {b}, {t}, {t},
			{i}, {i}, {i}, {i}, {i}, {i}, {i}, {i}, {i}
		FROM {applications} WHERE id = {t}`
	insertUser = insertUserFrom + ` {or nothing}`

	insertRoleLinks = `INSERT INTO {user_roles} (application_id, user_id, role_id)
		SELECT {t}, {t}, id FROM {roles} WHERE application_id = ? AND id IN `

	intoNotifications = `INSERT INTO {notifications} (application_id, id, user_id, kind, state, pending, urgent, due_at,
		lease_until, lease_owner, attempts, last_error, date_created)`
	notificationRow    = `(?, ?, ?, ?, ?, ?, ?, COALESCE({i}, {now}), 0, '', ?, ?, COALESCE({i}, {now}))`
	insertNotification = intoNotifications + ` VALUES ` + notificationRow
)

// putUser writes the user, its role links and its notifications. The error is
// errNotWritten if the application is missing or a key is taken; on PostgreSQL
// also if a role is missing.
func (r runner) putUser(ctx context.Context, n *users.NewUser, roles []string) error {
	if r.b.Dialect == Postgres && (len(roles) > 0 || len(n.Notifications) > 0) {
		return r.putUserPostgres(ctx, n, roles)
	}

	if err := r.insert(ctx, r.b.text(insertUser), userArgs(n)...); err != nil {
		return err
	}

	if len(roles) > 0 {
		args := appendStrings([]any{n.ApplicationID, n.ID, n.ApplicationID}, roles)
		affected, err := r.exec(ctx, r.b.listText(insertRoleLinks+`(`+params(len(roles))+`){keep}`, len(roles)), args...)
		if err != nil {
			return err
		}
		if affected != int64(len(roles)) {
			return errUnknownRole()
		}
	}

	for i := range n.Notifications {
		if _, err := r.exec(ctx, r.b.text(insertNotification), notificationArgs(&n.Notifications[i])...); err != nil {
			return err
		}
	}
	return nil
}

// putUserPostgres is putUser in one statement:
//
//	WITH u AS (INSERT INTO users … RETURNING 1),
//		r AS (INSERT INTO user_roles … FROM u, roles …),
//		n0 AS (INSERT INTO notifications … FROM u), …
//	SELECT count(*) FROM u
func (r runner) putUserPostgres(ctx context.Context, n *users.NewUser, roles []string) error {
	list := `(` + params(len(roles)) + `)`
	var b strings.Builder
	b.WriteString(`WITH u AS (` + insertUserFrom)
	args := userArgs(n)
	if len(roles) > 0 {
		b.WriteString(` AND (SELECT count(*) FROM {roles} WHERE application_id = ? AND id IN ` + list + `) = {i}`)
		args = append(appendStrings(append(args, n.ApplicationID), roles), len(roles))
	}
	b.WriteString(` {or nothing})`)

	if len(roles) > 0 {
		b.WriteString(`, r AS (INSERT INTO {user_roles} (application_id, user_id, role_id)
			SELECT {t}, {t}, id FROM u, {roles} WHERE application_id = ? AND id IN ` + list + `{keep})`)
		args = appendStrings(append(args, n.ApplicationID, n.ID, n.ApplicationID), roles)
	}

	for i := range n.Notifications {
		b.WriteString(`, n` + strconv.Itoa(i) + ` AS (` + intoNotifications + `
			SELECT {t}, {t}, {t}, {t}, {t}, {i}, {b}, COALESCE({i}, {now}), 0, '', {i}, {t}, COALESCE({i}, {now}) FROM u)`)
		args = append(args, notificationArgs(&n.Notifications[i])...)
	}

	b.WriteString(` SELECT count(*) FROM u`)
	written, err := r.number(ctx, r.b.listText(b.String(), max(len(roles), len(n.Notifications))), args...)
	if err == nil && written == 0 {
		return errNotWritten
	}
	return err
}

// userArgs are the arguments of insertUser.
func userArgs(n *users.NewUser) []any { return append(userValues(n), n.ApplicationID) }

// userValues are the values of userColumns.
func userValues(n *users.NewUser) []any {
	u := &n.UserRecord
	return []any{
		u.ApplicationID, u.ID, u.UserName, u.NameKey, u.Email, u.EmailKey, u.KeyVersion, u.Name, u.DisplayKey,
		u.Hash, u.IsApproved, u.IsLockedOut, u.AllowDashboardAccess,
		nullable(string(u.DashboardSettings)), u.CreatedBy,
		u.CreationDate.UnixMicro(), u.DateCreated.UnixMicro(), u.DateUpdated.UnixMicro(),
		u.Login.Failures, u.Login.LockedUntil.UnixMicro(), u.LastLogin.UnixMicro(),
		u.EmailVerified.UnixMicro(), u.PasswordChanged.UnixMicro(), u.Version,
	}
}

// notificationArgs are the arguments of insertNotification.
func notificationArgs(n *users.NotificationRecord) []any {
	var pending any // NULL
	if n.State == users.StatePending {
		pending = 1
	}
	return []any{
		n.ApplicationID, n.ID, n.UserID, n.Kind, n.State, pending, n.Urgent, orNow(n.Due),
		n.Attempts, n.LastError, orNow(n.Created),
	}
}

// orNow returns NULL for the zero time, which a COALESCE makes {now}.
func orNow(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

func errUnknownRole() error { return fmt.Errorf("a role of the user: %w", users.ErrNotFound) }

// explainConflict returns what the refusal of n by cause means to the caller.
// repeated says that an earlier attempt may have taken effect, whatever became of
// its answer, as with a commit whose outcome was unknown: if the row in the way is
// that very row, the user is created and explainConflict returns nil.
func (b *backend) explainConflict(ctx context.Context, n *users.NewUser, roles []string, cause error, repeated bool) error {
	if !isNotWritten(cause) && !repeated {
		return cause
	}

	return b.look(ctx, func(r runner) error {
		found, own, err := r.conflicting(ctx, n)
		switch {
		case err != nil:
			return err
		case own && repeated:
			return nil
		case !isNotWritten(cause):
			return cause
		}
		if err := users.CheckConflict(&n.UserRecord, found); err != nil {
			return err
		}

		if err := r.wantApplication(ctx, n.ApplicationID); err != nil {
			return err
		}
		if err := r.wantRoles(ctx, n.ApplicationID, roles); err != nil {
			return err
		}
		return fmt.Errorf("%w: %w", errVanished, cause)
	})
}

const (
	selectHolders = `SELECT id, name_key, email_key, credential, date_created FROM {users}`
	userWithID    = selectHolders + ` WHERE application_id = ? AND id = ?{share}`
	userWithName  = selectHolders + ` WHERE application_id = ? AND name_key = ?{share}`
	userWithEmail = selectHolders + ` WHERE application_id = ? AND email_key = ?{share}`
)

// conflicting finds the rows that n is in conflict with, and reports whether one
// of them is n itself.
func (r runner) conflicting(ctx context.Context, n *users.NewUser) (found []users.UserRecord, own bool, err error) {
	found, err = r.holders(ctx, r.b.text(r.b.unionAll(userWithID, userWithName, userWithEmail)),
		n.ApplicationID, n.ID, n.ApplicationID, n.NameKey, n.ApplicationID, n.EmailKey)
	return found, hasOwn(n, found), err
}

// hasOwn reports whether one of found is n itself.
func hasOwn(n *users.NewUser, found []users.UserRecord) bool {
	return slices.ContainsFunc(found, func(u users.UserRecord) bool {
		return u.ID == n.ID && u.NameKey == n.NameKey && u.EmailKey == n.EmailKey &&
			u.Hash.Equal(n.Hash) && u.DateCreated.UnixMicro() == n.DateCreated.UnixMicro()
	})
}

// holders returns the users that have a key; of each what tells one from another.
func (r runner) holders(ctx context.Context, text string, args ...any) (found []users.UserRecord, err error) {
	err = r.query(ctx, func(rows *sql.Rows) error {
		var u users.UserRecord
		var created int64
		err := rows.Scan(&u.ID, &u.NameKey, &u.EmailKey, &u.Hash, &created)
		u.DateCreated = micros(created)
		found = append(found, u)
		return err
	}, text, args...)
	return found, err
}

const countRoles = `SELECT count(*) FROM {roles} WHERE application_id = ? AND id IN `

// wantRoles returns errUnknownRole unless all roles exist.
func (r runner) wantRoles(ctx context.Context, applicationID string, roles []string) error {
	if len(roles) == 0 {
		return nil
	}
	args := appendStrings([]any{applicationID}, roles)
	known, err := r.number(ctx, r.b.listText(countRoles+`(`+params(len(roles))+`)`, len(roles)), args...)
	if err == nil && known != int64(len(roles)) {
		err = errUnknownRole()
	}
	return err
}
