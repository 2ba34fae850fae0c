package suite

import (
	"context"
	"errors"
	"testing"

	"github.com/gousers/users"
)

// HostErrors runs the promise that an error of OnCreate is the host's own,
// whatever class it matches: it is never taken for a conflict that the store met
// itself, and nothing of the user is left.
func HostErrors(t *testing.T, g *Target) {
	for name, fail := range map[string]error{
		"IdempotencyKeyUsed": users.ErrIdempotencyKeyUsed,
		"Conflict":           &users.ConflictError{Members: []string{"company"}},
		"NotFound":           users.ErrNotFound,
		"UnknownApplication": users.ErrUnknownApplication,
		"Stale":              users.ErrStale,
		"Other":              errors.New("no such company"),
	} {
		t.Run(name, func(t *testing.T) {
			e := g.Fresh(t)
			failing := true
			svc := e.service(t, users.Options{OnCreate: func(context.Context, users.CreateEvent) error {
				if failing {
					return fail
				}
				return nil
			}})
			_, err := svc.Create(t.Context(), "demo", params("ada"))
			var host *users.HookError
			if !errors.As(err, &host) || host.Hook != "OnCreate" || host.Err != fail {
				t.Errorf("got %v, want the hook's own error", err)
			}
			e.wantRows(t, 0)

			failing = false
			if _, err := svc.Create(t.Context(), "demo", params("ada")); err != nil {
				t.Errorf("afterwards: got %v, want nil", err)
			}
			e.wantRows(t, 1)
		})
	}
}
