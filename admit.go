package users

import "context"

// The operations that [Options.Admit] judges.
const (
	OperationAuthenticate    = "Authenticate"
	OperationRecoverPassword = "RecoverPassword"
	OperationSetPassword     = "SetPassword"
)

// OperationChangePassword is an operation that an event names and Options.Admit does not
// judge.
const OperationChangePassword = "ChangePassword"

// Attempt is a call of an operation that needs no caller, as it was made: nothing
// in it was checked, and there may be no such application or user.
type Attempt struct {
	// Operation is the name of the Service's method, such as OperationSetPassword.
	Operation string
	// APIKey names the application.
	APIKey string
	// Login is the name or address in the one form that all its spellings have, or as
	// it was sent where it has none; empty where the operation takes none.
	Login string
}

func (s *Service) admit(ctx context.Context, a Attempt) error {
	if s.opts.Admit == nil {
		return nil
	}
	return hookError("Admit", s.opts.Admit(ctx, a))
}
