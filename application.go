package users

import (
	"context"
	"crypto/rand"
	"errors"
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
	// Disabled makes every method but Application and UpdateApplication return ErrForbidden
	// for this application; Authenticate returns ErrBadCredentials, SetPassword ErrBadToken,
	// RecoverPassword nil.
	Disabled bool
	// RequireApproval makes new users unapproved unless a privileged caller says otherwise.
	RequireApproval bool
	// DateCreated is set by the Service.
	DateCreated time.Time
	// Version counts changes, from 1. It is set by the Service.
	Version int64
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
	a.DateCreated, a.Version = s.now(), 1
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

// ApplicationList is a page of applications.
type ApplicationList struct {
	Applications []Application // in order of ID; never nil
	Next         string        // Page.After of the next page; empty: this is the last
}

// Applications lists all applications in order of ID, a page at a time, also those that
// are disabled. It is for the host: a Caller in ctx is ErrForbidden.
func (s *Service) Applications(ctx context.Context, p Page) (*ApplicationList, error) {
	if _, ok := CallerFrom(ctx); ok {
		return nil, &ForbiddenError{}
	}
	if s.applications == nil {
		return nil, lacks("ApplicationEditor")
	}
	p, err := p.checked()
	if err != nil {
		return nil, err
	}
	apps, err := s.applications.ListApplications(ctx, p.more())
	if err != nil {
		return nil, stored("list applications", err)
	}
	apps, next := cut(apps, p, func(a Application) string { return a.ID })
	return &ApplicationList{append([]Application{}, apps...), next}, nil
}

// ApplicationChange changes an application; nil members stay as they are.
type ApplicationChange struct {
	// IfVersion makes the change conditional on Application.Version; 0: whatever it is.
	IfVersion int64

	Name                      *string
	Disabled, RequireApproval *bool
}

// UpdateApplication changes the application with this apiKey and returns it as it then
// is. Without a change it writes nothing. It is for the host: a Caller in ctx is
// ErrForbidden. Another version than IfVersion is ErrStale; without IfVersion changes
// that race are applied one after the other, member by member.
func (s *Service) UpdateApplication(ctx context.Context, apiKey string, c ApplicationChange) (*Application, error) {
	if _, ok := CallerFrom(ctx); ok {
		return nil, &ForbiddenError{}
	}
	if s.applications == nil {
		return nil, lacks("ApplicationEditor")
	}

	for tried := int64(0); ; {
		was, err := s.application(ctx, apiKey)
		if err != nil {
			return nil, err
		}
		a := was
		if c.Name != nil {
			a.Name = blankAsNone(*c.Name)
			if err := checkDisplayName(a.Name); err != nil {
				return nil, &ValidationError{[]FieldError{fieldError("/name", err)}}
			}
		}
		a.Disabled, a.RequireApproval = given(c.Disabled, a.Disabled), given(c.RequireApproval, a.RequireApproval)

		switch {
		case c.IfVersion != 0 && c.IfVersion != a.Version, a.Version == tried:
			return nil, stored("update application", ErrStale)
		case a == was:
			return &a, nil
		}
		tried = a.Version
		err = s.applications.UpdateApplication(ctx, a)
		switch {
		case err == nil:
			a.Version++
			return &a, nil
		case !errors.Is(err, ErrStale):
			return nil, stored("update application", err)
		}
		if err := ctx.Err(); err != nil {
			return nil, stored("update application", err)
		}
	}
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
