package users

import (
	"context"
	"errors"

	"github.com/gousers/users/password"
)

// ChangePasswordParams is what ChangePassword takes.
type ChangePasswordParams struct {
	// NewPassword is judged by Options.Policy.
	NewPassword password.Secret
	// OldPassword is required where the caller is the user itself, and not looked at
	// otherwise.
	OldPassword password.Secret
	// SendEmailNotification tells the user that the password was changed. It needs a
	// Store with an outbox. Where the caller is the user itself it is told anyway, see
	// Options.SilentPasswordChange.
	SendEmailNotification bool
	IfVersion             int64 // as of UserChange
}

// ChangePassword sets the password of the user whose id, user name or e-mail address is
// ref, and ends all its set-password tokens and a lock after failed sign-ins. It
// needs the permission SetPasswords and a caller that governs the user, see UpdateUser;
// or the caller is the user itself (Caller.UserID) and OldPassword is right: a wrong
// one is ErrBadCredentials and counts as a failed sign-in, see Authenticate, and who
// may not sign in is told so as there. Inside the host's transaction an own password is
// ErrUnsupported: there the host calls Authenticate first, and then changes it itself.
//
// A password that the policy refuses is a *ValidationError at "/newPassword", a missing
// old one at "/oldPassword". Other errors are those of UpdateUser and ErrOverloaded.
func (s *Service) ChangePassword(ctx context.Context, apiKey, ref string, p ChangePasswordParams) error {
	return s.changePassword(ctx, apiKey, ref, p, true)
}

// CheckChangePassword reports what ChangePassword would refuse in p before it looks at
// the old password: a *ValidationError or what comes before it. It hashes and writes
// nothing, and does not look at IfVersion.
func (s *Service) CheckChangePassword(ctx context.Context, apiKey, ref string, p ChangePasswordParams) error {
	return s.changePassword(ctx, apiKey, ref, p, false)
}

func (s *Service) changePassword(ctx context.Context, apiKey, ref string, p ChangePasswordParams, write bool) error {
	app, a, err := s.authorize(ctx, apiKey, 0)
	if err != nil {
		return err
	}
	if !a.may(SetPasswords) && a.UserID == "" {
		return &ForbiddenError{}
	}
	if s.editor == nil {
		return lacks("UserEditor")
	}
	// Inside the host's transaction only the store knows whether it keeps an outbox.
	if p.SendEmailNotification && s.outbox == nil && !s.hostTx {
		return errNoOutbox
	}

	var hash, proved password.Hash
	find := func(ref string) (UserRecord, error) { return s.passwordTarget(ctx, app, a, ref) }
	changed, err := s.change(ctx, ref, p.IfVersion, find, func(rec *UserRecord) error {
		own := a.is(rec.ID)
		if own && s.hostTx {
			return errUncounted
		}
		if err := s.checkChange(p, own, app, &rec.User); err != nil || !write {
			return err
		}
		if err := wanted(p.IfVersion, rec); err != nil {
			return err
		}
		// The user that comes back after another writer may have another password by now.
		if own && (hash.IsZero() || !rec.Hash.Equal(proved)) {
			if err := s.proveOld(ctx, app, rec, p.OldPassword); err != nil {
				return err
			}
			proved = rec.Hash
		}
		if hash.IsZero() {
			if hash, err = s.hashPassword(ctx, passwordShare(app), p.NewPassword); err != nil {
				return err
			}
		}

		rec.Hash, rec.DateUpdated = hash, s.now()
		rec.PasswordChanged = rec.DateUpdated
		e := &UserEdit{UserRecord: *rec, SetHash: true, DropTokens: true}
		if p.SendEmailNotification || own && s.tellsOwnChange() {
			if e.Notifications, err = s.passwordChanged(rec); err != nil {
				return err
			}
		}
		return stored("change password", s.editor.EditUser(ctx, e))
	})
	if err == nil && write {
		s.afterPasswordChange(ctx, PasswordChangeEvent{OperationChangePassword, app, changed.User})
	}
	return err
}

// passwordTarget returns the user whose password a may change: itself, or one that it
// governs.
func (s *Service) passwordTarget(ctx context.Context, app Application, a actor, ref string) (UserRecord, error) {
	if a.UserID != "" {
		rec, err := s.resolve(ctx, app, ref)
		if err == nil && a.is(rec.ID) || err != nil && !errors.Is(err, ErrNotFound) {
			return rec, err
		}
	}
	if !a.may(SetPasswords) {
		return UserRecord{}, &ForbiddenError{}
	}
	return s.target(ctx, app, a, ref)
}

// checkChange judges the parameters before anything is hashed.
func (s *Service) checkChange(p ChangePasswordParams, own bool, app Application, u *User) error {
	var f faults
	if own && p.OldPassword.IsZero() {
		f.add(required("/oldPassword"))
	}
	s.checkNewPassword(&f, p.NewPassword, app, u)
	return f.err()
}

// proveOld makes sure that old is the password of rec. Right or wrong, it counts as a
// sign-in does, but is none.
func (s *Service) proveOld(ctx context.Context, app Application, rec *UserRecord, old password.Secret) error {
	e := SignInEvent{Attempt: Attempt{Operation: OperationChangePassword, APIKey: app.APIKey}, Application: app, User: *answer(rec.User)}
	match, err := s.verify(ctx, &e, rec, old)
	if err != nil {
		return err
	}
	if match.OK {
		end := LoginEnd{ApplicationID: rec.ApplicationID, UserID: rec.ID}
		if err := s.logins.EndLogin(ctx, end); err != nil {
			return stored("change password", err)
		}
		e.Err = mayEnter(&rec.User)
	}
	s.afterSignIn(ctx, e)
	return e.Err
}

// tellsOwnChange reports whether users are told that they replaced their password.
func (s *Service) tellsOwnChange() bool { return s.keepsBox && !s.opts.SilentPasswordChange }

// passwordChanged returns the message that tells rec of it.
func (s *Service) passwordChanged(rec *UserRecord) ([]NotificationRecord, error) {
	id, err := s.newID()
	if err != nil {
		return nil, err
	}
	return []NotificationRecord{{
		ID: id, ApplicationID: rec.ApplicationID, UserID: rec.ID, Kind: KindPasswordChanged, State: StatePending,
	}}, nil
}

// afterPasswordChange tells the host.
func (s *Service) afterPasswordChange(ctx context.Context, e PasswordChangeEvent) {
	if s.opts.AfterPasswordChange != nil && !s.hostTx {
		e.User = *answer(e.User.clone())
		s.opts.AfterPasswordChange(ctx, e)
	}
}
