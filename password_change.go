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
	// Store with an outbox.
	SendEmailNotification bool
	IfVersion             int64 // as of UserChange
}

// ChangePassword sets the password of the user whose id, user name or e-mail address is
// ref, and ends all its set-password tokens and a lock after failed sign-ins. It
// needs the permission SetPasswords and a caller that governs the user, see UpdateUser;
// or the caller is the user itself (Caller.UserID) and OldPassword is right: a wrong
// one is ErrBadCredentials and counts as a failed sign-in, see Authenticate, and who
// may not sign in is told so as there.
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
	notifications, err := s.passwordChanged(app, p.SendEmailNotification)
	if err != nil {
		return err
	}

	var hash, proved password.Hash
	find := func(ref string) (UserRecord, error) { return s.passwordTarget(ctx, app, a, ref) }
	_, err = s.change(ctx, ref, p.IfVersion, find, func(rec *UserRecord) error {
		own := a.is(rec.ID)
		if err := s.checkChange(p, own, app, &rec.User); err != nil || !write {
			return err
		}
		if hash.IsZero() {
			if err := wanted(p.IfVersion, rec); err != nil {
				return err
			}
			if own {
				if err := s.proveOld(ctx, app.APIKey, rec, p.OldPassword); err != nil {
					return err
				}
			}
			if hash, err = s.hashPassword(ctx, passwordShare(app), p.NewPassword); err != nil {
				return err
			}
			proved = rec.Hash
		}
		// The user that comes back after another writer may have another password by now.
		if own && !rec.Hash.Equal(proved) {
			return ErrBadCredentials
		}

		e := &UserEdit{UserRecord: *rec, SetHash: true, DropTokens: true, Notifications: notifications}
		e.Hash, e.DateUpdated = hash, s.now()
		e.PasswordChanged = e.DateUpdated
		for i := range e.Notifications {
			e.Notifications[i].UserID = rec.ID
		}
		return stored("change password", s.editor.EditUser(ctx, e))
	})
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
func (s *Service) proveOld(ctx context.Context, apiKey string, rec *UserRecord, old password.Secret) error {
	match, err := s.verify(ctx, apiKey, rec, old)
	if err != nil {
		return err
	}
	if !match.OK {
		return ErrBadCredentials
	}
	end := LoginEnd{ApplicationID: rec.ApplicationID, UserID: rec.ID}
	if err := s.logins.EndLogin(ctx, end); err != nil {
		return stored("change password", err)
	}
	return mayEnter(&rec.User)
}

// passwordChanged returns the message about it, if one is asked for, but for whom it
// is for.
func (s *Service) passwordChanged(app Application, asked bool) ([]NotificationRecord, error) {
	if !asked {
		return nil, nil
	}
	if s.outbox == nil && !s.hostTx { // inside the host's transaction only the store knows
		return nil, errNoOutbox
	}
	id, err := s.newID()
	if err != nil {
		return nil, err
	}
	return []NotificationRecord{{ID: id, ApplicationID: app.ID, Kind: KindPasswordChanged, State: StatePending}}, nil
}
