package users

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/gousers/users/password"
)

const (
	// DefaultTokenLifetime is how long a set-password token is good.
	DefaultTokenLifetime = 24 * time.Hour
	// RecoveryGap is the least time between two set-password messages that
	// RecoverPassword starts for one user.
	RecoveryGap = time.Minute

	tokenBytes = 32 // 256 bits
	// recoveryTick hides how long RecoverPassword worked: it returns on a
	// multiple of it, whether the user exists or not.
	recoveryTick = 250 * time.Millisecond
)

// Token is a one-time set-password token.
type Token struct {
	// Secret is 43 characters that are safe in a URL. It is stored nowhere.
	Secret  string
	Expires time.Time
}

// Format prints nothing of the token, with any verb.
func (Token) Format(f fmt.State, _ rune) { io.WriteString(f, "[token]") }

// LogValue logs nothing of the token.
func (Token) LogValue() slog.Value { return slog.StringValue("[token]") }

// IssueSetPasswordToken makes a token for the user with this id, for a host
// that delivers it by itself. It needs the permission IssueTokens. Earlier
// tokens stay good until one is used.
func (s *Service) IssueSetPasswordToken(ctx context.Context, apiKey, userID string) (Token, error) {
	app, _, err := s.authorize(ctx, apiKey, IssueTokens)
	if err != nil {
		return Token{}, err
	}
	id, ok := parseID(userID)
	if !ok {
		return Token{}, ErrNotFound
	}
	return s.issueToken(ctx, app, id)
}

func (s *Service) issueToken(ctx context.Context, app Application, userID string) (Token, error) {
	tokens, err := s.tokens()
	if err != nil {
		return Token{}, err
	}
	var secret [tokenBytes]byte
	rand.Read(secret[:]) // never fails (crypto/rand)
	now := s.now()
	t := Token{Secret: base64.RawURLEncoding.EncodeToString(secret[:]), Expires: now.Add(s.opts.TokenLifetime)}
	err = tokens.CreateToken(ctx, TokenRecord{
		ApplicationID: app.ID, UserID: userID, Sum: sha256.Sum256([]byte(t.Secret)),
		Created: now, Expires: t.Expires,
	})
	if err != nil {
		return Token{}, fmt.Errorf("users: issue token: %w", err)
	}
	return t, nil
}

// SetPassword gives the user to whom token was sent the password pw and uses
// up all of that user's tokens. The token is the authorisation: a Caller in ctx
// is ignored. A token that is unknown, used or expired, and an application
// that does not exist or is disabled, are ErrBadToken; nothing is hashed for
// these. A password that the policy refuses is a *ValidationError at
// "/newPassword" and leaves the token good.
func (s *Service) SetPassword(ctx context.Context, apiKey, token string, pw password.Text) error {
	tokens, err := s.tokens()
	if err != nil {
		return err
	}
	if len(token) != base64.RawURLEncoding.EncodedLen(tokenBytes) {
		return ErrBadToken
	}
	app, err := s.application(ctx, apiKey)
	if errors.Is(err, ErrUnknownApplication) || err == nil && app.Disabled {
		return ErrBadToken
	} else if err != nil {
		return err
	}
	rec, err := tokens.FindToken(ctx, app.ID, sha256.Sum256([]byte(token)))
	if errors.Is(err, ErrNotFound) || err == nil && !rec.Expires.After(s.now()) {
		return ErrBadToken
	} else if err != nil {
		return fmt.Errorf("users: find token: %w", err)
	}
	found, err := s.findUsers(ctx, UserQuery{ApplicationID: app.ID, IDs: []string{rec.UserID}})
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return ErrBadToken
	}
	if err := s.checkNewPassword(pw, &found[0].User); err != nil {
		return err
	}
	hash, err := s.hashPassword(ctx, app, pw)
	if err != nil {
		return err
	}
	err = tokens.RedeemToken(ctx, Redemption{TokenRecord: rec, Hash: hash, Now: s.now()})
	if errors.Is(err, ErrBadToken) {
		return ErrBadToken
	} else if err != nil {
		return fmt.Errorf("users: set password: %w", err)
	}
	return nil
}

func (s *Service) checkNewPassword(pw password.Text, u *User) error {
	var f faults
	if pw.IsZero() {
		f.add("/newPassword", codeRequired, "is required")
	} else {
		s.checkPassword(&f, "/newPassword", pw, u.UserName, u.Email, u.Name)
	}
	return f.err()
}

// RecoverPassword starts a set-password message for the user whose name or
// address is login, at most one in RecoveryGap for each user. It returns nil
// after the same time whether there is such a user, such an application, or
// not; an error is the store's or the context's. A Caller in ctx is ignored.
func (s *Service) RecoverPassword(ctx context.Context, apiKey, login string) error {
	box, err := s.Outbox()
	if err != nil {
		return err
	}
	start := time.Now()
	err = s.recover(ctx, box, apiKey, login)
	wait := time.NewTimer(recoveryTick - time.Since(start)%recoveryTick)
	defer wait.Stop()
	select {
	case <-wait.C:
		return err
	case <-ctx.Done():
		return fmt.Errorf("users: recover password: %w", ctx.Err())
	}
}

func (s *Service) recover(ctx context.Context, box OutboxStore, apiKey, login string) error {
	app, err := s.application(ctx, apiKey)
	if errors.Is(err, ErrUnknownApplication) || err == nil && app.Disabled {
		return nil
	} else if err != nil {
		return err
	}
	key, err := loginKey(login)
	if err != nil {
		return nil
	}
	found, err := s.findUsers(ctx, UserQuery{ApplicationID: app.ID, NameKeys: []string{key}, EmailKeys: []string{key}, KeysOnly: true})
	if err != nil {
		return err
	}
	id, err := s.newID()
	if err != nil {
		return err
	}
	// For nobody the store is asked to write all the same: a write that waits or
	// fails must not tell that there is a user.
	userID := id
	if len(found) > 0 {
		userID = found[0].ID
	}
	now := s.now()
	err = box.Enqueue(ctx, OutboxRow{
		ID: id, ApplicationID: app.ID, UserID: userID, Kind: KindSetPassword,
		State: StatePending, Created: now, Due: now,
	}, RecoveryGap)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("users: recover password: %w", err)
	}
	return nil
}

// loginKey is the key under which a name or an address is found. Not every
// address can be a name.
func loginKey(login string) (string, error) {
	if key, err := userNameKey(login); err == nil {
		return key, nil
	}
	return emailKey(login)
}

// Notifications lists the application's notifications that wait or were given
// up, in order of ID, a page at a time. It needs the permission ReadNotifications.
func (s *Service) Notifications(ctx context.Context, apiKey string, q NotificationQuery) ([]OutboxRow, error) {
	app, _, err := s.authorize(ctx, apiKey, ReadNotifications)
	if err != nil {
		return nil, err
	}
	box, err := s.Outbox()
	if err != nil {
		return nil, err
	}
	if q.Page, err = q.Page.checked(); err != nil {
		return nil, err
	}
	q.ApplicationID = app.ID
	rows, err := box.FindNotifications(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("users: notifications: %w", err)
	}
	return rows, nil
}

// RetryNotification makes an abandoned notification due again, with all its
// tries. It needs the permission ReadNotifications; ErrNotFound if there is no
// such abandoned notification.
func (s *Service) RetryNotification(ctx context.Context, apiKey, id string) error {
	app, _, err := s.authorize(ctx, apiKey, ReadNotifications)
	if err != nil {
		return err
	}
	box, err := s.Outbox()
	if err != nil {
		return err
	}
	key, ok := parseID(id)
	if !ok {
		return ErrNotFound
	}
	if err := box.Retry(ctx, app.ID, key); err != nil {
		return fmt.Errorf("users: retry notification: %w", err)
	}
	return nil
}

// Outbox gives the store's outbox, for a relay; ErrUnsupported if it has none.
func (s *Service) Outbox() (OutboxStore, error) {
	if box, ok := s.store.(OutboxStore); ok {
		return box, nil
	}
	return nil, fmt.Errorf("%w: it is not an OutboxStore", ErrUnsupported)
}

func (s *Service) tokens() (TokenStore, error) {
	if t, ok := s.store.(TokenStore); ok {
		return t, nil
	}
	return nil, fmt.Errorf("%w: it is not a TokenStore", ErrUnsupported)
}

// Notification makes the message of an outbox row, with the application and the
// user as they are now and, for KindSetPassword, a fresh token. It is for
// relays, which are the host's own: a Caller in ctx is ignored. A user that no
// longer exists is ErrNotFound, a disabled application ErrForbidden. A kind
// that this version does not know is an error: a newer process knows it.
func (s *Service) Notification(ctx context.Context, row OutboxRow) (Notification, error) {
	if row.Kind != KindAccountCreated && row.Kind != KindSetPassword {
		return Notification{}, errors.New("users: notification: unknown kind")
	}
	app, err := s.store.FindApplication(ctx, ApplicationQuery{ID: row.ApplicationID})
	if err != nil {
		return Notification{}, fmt.Errorf("users: notification: %w", err)
	}
	if app.Disabled {
		return Notification{}, &ForbiddenError{}
	}
	found, err := s.findUsers(ctx, UserQuery{ApplicationID: app.ID, IDs: []string{row.UserID}})
	if err != nil {
		return Notification{}, err
	}
	if len(found) == 0 {
		return Notification{}, ErrNotFound
	}
	n := Notification{ID: row.ID, Kind: row.Kind, Application: app, User: *answer(found[0].User)}
	if row.Kind == KindSetPassword {
		t, err := s.issueToken(ctx, app, row.UserID)
		if err != nil {
			return Notification{}, err
		}
		n.Token, n.Expires = t.Secret, t.Expires
	}
	return n, nil
}

// Purge deletes up to limit idempotency records and tokens that have expired,
// of all applications, and reports how many. A relay calls it; a host without
// one calls it now and then. A Caller in ctx is ErrForbidden.
func (s *Service) Purge(ctx context.Context, limit int) (int, error) {
	if _, ok := CallerFrom(ctx); ok {
		return 0, &ForbiddenError{}
	}
	n, err := s.store.Purge(ctx, s.now(), limit)
	if err != nil {
		return n, fmt.Errorf("users: purge: %w", err)
	}
	return n, nil
}
