package users

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"
)

// Limits of an application's members.
const (
	MaxAPIKey          = 64  // bytes; letters, digits and "-._~" (RFC 3986 section 2.3)
	MaxApplicationName = 256 // characters
)

// Application is one tenant: users, roles and keys of one are never seen by another.
type Application struct {
	// ID is made by the Service.
	ID string
	// APIKey names the application in paths. It identifies, it authenticates
	// nobody: it appears in URLs and logs. 1 to 64 unreserved characters of RFC
	// 3986, compared byte for byte.
	APIKey string
	// Name is shown to people; at most 256 characters, may be empty, and is if it
	// is blank.
	Name string
	// Disabled makes every method but Service.Application return ErrForbidden
	// for this application; SetPassword returns ErrBadToken, RecoverPassword nil.
	Disabled bool
	// RequireApproval makes new users unapproved unless a privileged caller says otherwise.
	RequireApproval bool
	// DateCreated is set by the Service.
	DateCreated time.Time
}

// CreateApplication adds an application and returns it with ID and DateCreated
// set. An empty APIKey is replaced by a random one of 130 bits. Only the host
// makes applications: with a Caller in ctx the answer is ErrForbidden (and
// Options.RequireCaller does not apply). A taken APIKey is a *ConflictError.
func (s *Service) CreateApplication(ctx context.Context, a Application) (*Application, error) {
	if _, ok := CallerFrom(ctx); ok {
		return nil, &ForbiddenError{}
	}
	if a.APIKey == "" {
		a.APIKey = rand.Text()
	}

	a.Name = blankAsNone(a.Name)
	var f faults
	if !validAPIKey(a.APIKey) {
		f.add(FieldError{
			Pointer: "/apiKey", Code: "invalid_characters",
			Detail: fmt.Sprintf("must be 1 to %d letters, digits, '-', '.', '_' or '~', and not '.' or '..'", MaxAPIKey),
			Limit:  MaxAPIKey,
		})
	}
	if err := checkDisplayName(a.Name); err != nil {
		f.addErr("/name", err)
	}
	err := f.err()
	if err != nil {
		return nil, err
	}

	if a.ID, err = s.newID(); err != nil {
		return nil, err
	}
	a.DateCreated = s.now()
	if err := s.store.CreateApplication(ctx, a); err != nil {
		return nil, fmt.Errorf("users: create application: %w", err)
	}
	return &a, nil
}

// Application returns the application with this apiKey, even if it is disabled. A
// Caller may read its own application only.
func (s *Service) Application(ctx context.Context, apiKey string) (*Application, error) {
	app, err := s.application(ctx, apiKey)
	if err != nil {
		return nil, err
	}
	if _, err := s.caller(ctx, app); err != nil {
		return nil, err
	}
	return &app, nil
}

func (s *Service) application(ctx context.Context, apiKey string) (Application, error) {
	// What no application can be called never reaches a database: it may hold
	// bytes that some of them answer with an error of their own.
	if !validAPIKey(apiKey) {
		return Application{}, ErrUnknownApplication
	}
	app, err := s.store.FindApplication(ctx, ApplicationQuery{APIKey: apiKey})
	if err != nil {
		return Application{}, fmt.Errorf("users: find application: %w", err)
	}
	s.recoveries.lines.saw(app.APIKey)
	return app, nil
}

func validAPIKey(k string) bool {
	if k == "" || len(k) > MaxAPIKey || k == "." || k == ".." {
		return false
	}
	for i := range len(k) {
		switch c := k[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '_', c == '~':
		default:
			return false
		}
	}
	return true
}
