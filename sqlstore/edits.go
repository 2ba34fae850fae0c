package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gousers/users"
)

const (
	editUser = `UPDATE {users} SET user_name = ?, name_key = ?, email = ?, email_key = ?, key_version = ?,
		display_name = ?, display_key = ?, is_approved = ?, is_locked_out = ?, dashboard_access = ?, dashboard_settings = ?,
		date_updated = ?, email_verified = ?, version = version + 1`
	editHash = `, credential = ?, password_changed = ?, failures = 0, locked_until = ?`
	ofUser   = ` WHERE application_id = ? AND id = ? AND version = ?`
)

// EditUser implements [users.UserEditor]. The user's row comes first: it is the lock
// on which whatever else changes the user queues.
func (b *backend) EditUser(ctx context.Context, e *users.UserEdit) error {
	roles := roleIDs(e.Roles)
	edit := func(r runner) error { return r.editUser(ctx, e, roles) }
	return b.retryTx(ctx, b.transaction, edit, func(err error, repeated bool) error {
		switch {
		case isNotWritten(err):
			return b.explainTaken(ctx, e, err)
		case repeated && errors.Is(err, users.ErrStale):
			return b.explainStale(ctx, e, err)
		}
		return err
	})
}

// editUser replaces the user, inside a transaction. The error is errNotWritten if a key
// is taken.
func (r runner) editUser(ctx context.Context, e *users.UserEdit, roles []string) error {
	text, args := editUser, editArgs(e)
	if e.SetHash {
		text += editHash
		args = append(args, e.Hash, e.PasswordChanged.UnixMicro(), never)
	}
	affected, err := r.exec(ctx, r.b.text(text+ofUser), append(args, e.ApplicationID, e.ID, e.Version)...)
	switch {
	case r.b.classify(err) == duplicate:
		return fmt.Errorf("%w: %w", errNotWritten, err)
	case err != nil:
		return err
	case affected == 0:
		return r.whyUnchanged(ctx, e.ApplicationID, e.ID, e.Version)
	}

	if err := r.editRoles(ctx, e, roles); err != nil {
		return err
	}
	if e.DropTokens || e.DropIssued {
		text := deleteTokens
		if !e.DropTokens {
			text += ofNoMessage
		}
		if _, err := r.exec(ctx, r.b.text(text), e.ApplicationID, e.ID); err != nil {
			return err
		}
	}
	return r.addMissing(ctx, e.Notifications)
}

const (
	heldNotification = `SELECT id FROM {notifications}
		WHERE application_id = ? AND user_id = ? AND kind = ? AND pending = 1 AND lease_until > {now}`
	dropHeld = `DELETE FROM {notifications} WHERE application_id = ? AND id = ? AND lease_until > {now}`
)

// addMissing adds those of all of whose kind none is pending, but for one that a worker
// holds: they take the place of that. It is looked for first, because a DELETE that finds
// nothing makes MySQL lock the space where others insert theirs.
func (r runner) addMissing(ctx context.Context, all []users.NotificationRecord) error {
	for i := range all {
		n := &all[i]
		held, err := r.strings(ctx, r.b.text(heldNotification), n.ApplicationID, n.UserID, n.Kind)
		if err != nil {
			return err
		}
		for _, id := range held {
			if _, err := r.exec(ctx, r.b.text(dropHeld), n.ApplicationID, id); err != nil {
				return err
			}
		}
		err = r.insert(ctx, r.b.text(insertNotification+` {or nothing}`), notificationArgs(n)...)
		if err != nil && !isNotWritten(err) {
			return err
		}
	}
	return nil
}

// editArgs are the arguments of editUser.
func editArgs(e *users.UserEdit) []any {
	u := &e.UserRecord
	return []any{
		u.UserName, u.NameKey, u.Email, u.EmailKey, u.KeyVersion, u.Name, u.DisplayKey,
		u.IsApproved, u.IsLockedOut, u.AllowDashboardAccess, nullable(string(u.DashboardSettings)),
		u.DateUpdated.UnixMicro(), u.EmailVerified.UnixMicro(),
	}
}

const (
	keepRoles     = `SELECT id FROM {roles} WHERE application_id = ? AND id IN `
	rolesOfUser   = `SELECT role_id FROM {user_roles} WHERE application_id = ? AND user_id = ?`
	intoUserRoles = `INSERT INTO {user_roles} (application_id, user_id, role_id) VALUES `
	userRoleRow   = `(?, ?, ?)`
	unlinkRoles   = `DELETE FROM {user_roles} WHERE application_id = ? AND user_id = ? AND role_id IN `
)

// editRoles makes wanted the roles of the user, whose row the transaction has changed:
// nobody else changes its links, but for those of deleted roles. It writes what is new
// or gone and no more: deleting all would make MySQL lock the space between users.
func (r runner) editRoles(ctx context.Context, e *users.UserEdit, wanted []string) error {
	for part := range slices.Chunk(wanted, maxList) {
		found, err := r.strings(ctx, r.b.listText(keepRoles+`(`+params(len(part))+`){keep}`, len(part)),
			appendStrings([]any{e.ApplicationID}, part)...)
		switch {
		case err != nil:
			return err
		case len(found) < len(part):
			return fmt.Errorf("a role of the edit: %w", users.ErrUnknownRole)
		}
	}

	had, err := r.strings(ctx, r.b.text(rolesOfUser), e.ApplicationID, e.ID)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(without(had, wanted), maxList) {
		_, err := r.exec(ctx, r.b.listText(unlinkRoles+`(`+params(len(part))+`)`, len(part)),
			appendStrings([]any{e.ApplicationID, e.ID}, part)...)
		if err != nil {
			return err
		}
	}
	for part := range slices.Chunk(without(wanted, had), maxList) {
		var args []any
		for _, id := range part {
			args = append(args, e.ApplicationID, e.ID, id)
		}
		if _, err := r.exec(ctx, r.b.listText(intoUserRoles+listOf(userRoleRow, len(part)), len(part)), args...); err != nil {
			return err
		}
	}
	return nil
}

// without returns the elements of all that are not in some.
func without(all, some []string) (left []string) {
	for _, s := range all {
		if !slices.Contains(some, s) {
			left = append(left, s)
		}
	}
	return left
}

// explainTaken returns the conflict of e, which could not be written by cause.
func (b *backend) explainTaken(ctx context.Context, e *users.UserEdit, cause error) error {
	if b.conflicted != nil {
		b.conflicted.Store(true)
	}
	return b.look(ctx, func(r runner) error {
		found, err := r.holders(ctx, b.text(b.unionAll(userWithName, userWithEmail)),
			e.ApplicationID, e.NameKey, e.ApplicationID, e.EmailKey)
		if err != nil {
			return err
		}
		others := slices.DeleteFunc(found, func(u users.UserRecord) bool { return u.ID == e.ID })
		if err := users.CheckConflict(&e.UserRecord, others); err != nil {
			return err
		}
		return fmt.Errorf("%w: %w", errVanished, cause)
	})
}

// explainStale returns nil if the user is as e wants it, by an earlier attempt whose
// commit was answered by an error, and cause otherwise.
func (b *backend) explainStale(ctx context.Context, e *users.UserEdit, cause error) error {
	batches := b.byKeys(selectUsers, e.ApplicationID, keys{"id", []string{e.ID}})
	return b.look(ctx, func(r runner) error {
		found, err := r.users(ctx, batches, scanUser)
		if err != nil {
			return err
		}
		if len(found) == 1 && isEdited(&found[0], e) {
			return nil
		}
		return cause
	})
}

// isEdited reports whether u is what e makes of its user.
func isEdited(u *users.UserRecord, e *users.UserEdit) bool {
	now := users.UserEdit{UserRecord: *u}
	return u.Version == e.Version+1 && slices.Equal(editArgs(&now), editArgs(e)) &&
		(!e.SetHash || u.Hash.Equal(e.Hash))
}

const (
	deleteUser      = `DELETE FROM {users}` + ofUser
	deleteUserRoles = `DELETE FROM {user_roles} WHERE application_id = ? AND user_id = ?`
	deleteMessages  = `DELETE FROM {notifications} WHERE application_id = ? AND user_id = ?`
	// deleteMessagesMySQL locks the place of further ones in this index; see DeleteUser.
	deleteMessagesMySQL = `DELETE n FROM {notifications} AS n FORCE INDEX ({#notifications_pending}) WHERE application_id = ? AND user_id = ?`
)

// DeleteUser implements [users.UserEditor]. The user's row comes first: it is the lock
// on which whatever adds something for the user queues, and then finds no user. Enqueue
// must not wait for it on MySQL: at Repeatable Read the place of its row is locked as
// well, and behind that it looks for the user again.
//
// In the host's transaction, at a level that sees only what there was at its beginning
// (PostgreSQL), or that locks no places (MySQL, Read Committed), what others added
// meanwhile can be left: a token that nobody can redeem, a notification that the relay
// drops.
func (b *backend) DeleteUser(ctx context.Context, d users.UserDeletion) error {
	run, messages := b.transaction, deleteMessages
	if b.Dialect == MySQL {
		run = func(ctx context.Context, f func(r runner) error) error {
			level, err := b.repeatable(ctx)
			if err != nil {
				return err
			}
			return b.transactionAt(ctx, level, f)
		}
		messages = deleteMessagesMySQL
	}
	return b.deleteOnce(ctx, run, func(r runner) error {
		affected, err := r.exec(ctx, b.text(deleteUser), d.ApplicationID, d.ID, d.IfVersion)
		switch {
		case err != nil:
			return err
		case affected == 0:
			return r.whyUnchanged(ctx, d.ApplicationID, d.ID, d.IfVersion)
		}

		for _, text := range []string{deleteUserRoles, deleteTokens, messages} {
			if _, err := r.exec(ctx, b.text(text), d.ApplicationID, d.ID); err != nil {
				return err
			}
		}
		return nil
	})
}
