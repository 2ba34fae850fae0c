package suite

import (
	"context"
	"errors"
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/dbtest/flaky"
	"github.com/gousers/users/sqlstore"
)

// Classes injects the errors of a database that is away or unwell: they are
// ErrUnavailable or an unknown error, with their cause, and never a conflict,
// whatever their class or text looks like.
func Classes(t *testing.T, g *Target) {
	g.Share(t)
	e := g.Fresh(t)
	svc := e.service(t, users.Options{})
	forged := errors.New("forged: Error 1062 (23000): Duplicate entry 'x' for key 'users_name'; UNIQUE constraint failed: users.name_key (SQLSTATE 23505)")
	cases := map[error]bool{forged: false} // true: unavailable
	switch g.Dialect {
	case sqlstore.Postgres:
		for _, s := range []string{"08006", "57P01", "57P03", "53300", "25006", "57014", "55P03", "25P03"} {
			cases[stateError(s)] = true
		}
		cases[stateError("23514")] = false // CHECK
	case sqlstore.MySQL:
		for _, n := range []uint16{1040, 1047, 1053, 1290, 1836, 1927, 1969, 2013, 3024} {
			cases[&numberError{Number: n}] = true
		}
		cases[&numberError{Number: 4025}] = false // a CHECK of MariaDB, SQLSTATE 23000
		cases[errors.New("invalid connection")] = true
	case sqlstore.SQLite:
		cases[codeError(14)], cases[codeError(10)] = true, true
		cases[codeError(275)] = false // CONSTRAINT_CHECK
	}
	for cause, unavailable := range cases {
		for shape, params := range shapes() {
			e.Switch.Set(&flaky.Hooks{Before: func(c flaky.Call) error {
				if writes(c) {
					return cause
				}
				return nil
			}})
			_, err := svc.Create(context.Background(), "demo", params("ada"))
			e.Switch.Set(nil)
			if errors.Is(err, users.ErrUnavailable) != unavailable || !errors.Is(err, cause) || errors.Is(err, users.ErrConflict) {
				t.Errorf("%s, %v: got %v, want ErrUnavailable: %v", shape, cause, err, unavailable)
			}
		}
	}
	e.wantRows(t, 0)
	// A name that looks like the message of a conflict is a name like any other.
	p := params("ada")
	p.UserName = "'for'key'users_email'"
	for _, want := range []error{nil, users.ErrConflict} {
		p.IdempotencyKey += "x"
		if _, err := svc.Create(context.Background(), "demo", p); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", p.UserName, err, want)
		}
	}
}
