package users_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

// openOperations are those that Admit judges, by name, as calls for a login.
var openOperations = map[string]func(ctx context.Context, svc *users.Service, apiKey, login string) error{
	users.OperationRecoverPassword: func(ctx context.Context, svc *users.Service, apiKey, login string) error {
		return svc.RecoverPassword(ctx, apiKey, login)
	},
	users.OperationAuthenticate: func(ctx context.Context, svc *users.Service, apiKey, login string) error {
		_, err := svc.Authenticate(ctx, apiKey, login, password.New(newSecret))
		return err
	},
	users.OperationSetPassword: func(ctx context.Context, svc *users.Service, apiKey, _ string) error {
		return svc.SetPassword(ctx, apiKey, password.New(strings.Repeat("A", 43)), password.New(newSecret))
	},
}

// A refusal costs the host nothing, and comes at once whatever was asked for.
func TestAdmitRefusesBeforeTheStoreIsAsked(t *testing.T) {
	t.Parallel()
	limit := &users.TooManyRequestsError{RetryAfter: time.Minute}
	for operation, call := range openOperations {
		synctest.Test(t, func(t *testing.T) {
			var seen log
			var attempts []users.Attempt
			others := func() error { t.Errorf("%s: another hook ran", operation); return nil }
			store, h := memstore.New(), newHasher()
			invite(t, newServiceOn(t, store, users.Options{}), "ann")
			svc, err := users.New(seen.on(store), &users.Options{
				Hasher: h,
				Admit: func(ctx context.Context, a users.Attempt) error {
					if c, ok := users.CallerFrom(ctx); !ok || c.ID != limited.ID {
						t.Errorf("%s: the context is not that of the call", operation)
					}
					attempts = append(attempts, a)
					return limit
				},
				BeforeCreate: func(context.Context, users.Application, *users.CreateUserParams) error { return others() },
				OnCreate:     func(context.Context, users.CreateEvent) error { return others() },
				AfterCreate:  func(context.Context, users.CreateEvent) { _ = others() },
			})
			if err != nil {
				t.Fatal(err)
			}

			var want []users.Attempt
			start := time.Now()
			for _, key := range []string{apiKey, "nobody", "no/key", ""} {
				for _, login := range []string{"ann", "\t Ann@Example.com \n", "nobody", " "} {
					err := call(as(t.Context(), limited), svc, key, login)
					var marked *users.HookError
					if !errors.As(err, &marked) || marked.Hook != "Admit" || !errors.Is(err, users.ErrTooManyRequests) {
						t.Errorf("%s: got %v, want a *HookError with ErrTooManyRequests", operation, err)
					}
					if found := (*users.TooManyRequestsError)(nil); !errors.As(err, &found) || found.RetryAfter != time.Minute {
						t.Errorf("%s: got %v, want %v", operation, err, limit)
					}
					a := users.Attempt{Operation: operation, APIKey: key, Login: strings.ToLower(strings.TrimSpace(login))}
					if operation == users.OperationSetPassword {
						a.Login = ""
					}
					want = append(want, a)
				}
			}
			equal(t, operation+": attempts", attempts, want)
			equal(t, operation+": time", time.Since(start), 0)
			calls, _ := seen.take()
			equal(t, operation+": calls of the store", len(calls), 0)
			equal(t, operation+": hashes", h.made.Load(), 0)
		})
	}
}

// Also where calls for one login ask the store once.
func TestAdmitRunsOnceForEachCall(t *testing.T) {
	t.Parallel()
	for operation, call := range openOperations {
		synctest.Test(t, func(t *testing.T) {
			ran := make(chan users.Attempt, 100)
			svc := newService(t, users.Options{Admit: func(_ context.Context, a users.Attempt) error { ran <- a; return nil }})
			for range 10 {
				go func() {
					if err := call(t.Context(), svc, apiKey, "ann"); err != nil && !errors.Is(err, users.ErrBadToken) && !errors.Is(err, users.ErrBadCredentials) {
						t.Errorf("%s: got %v", operation, err)
					}
				}()
			}
			synctest.Wait()
			equal(t, operation+": runs", len(ran), 10)
			time.Sleep(time.Second) // for the answers
		})
	}
}

// A hook that panics holds nothing of what other calls need.
func TestPanicOfAdmitIsTheCallsOwn(t *testing.T) {
	t.Parallel()
	for operation, call := range openOperations {
		panics := true
		svc := newService(t, users.Options{Admit: func(context.Context, users.Attempt) error {
			if panics {
				panic(errHost)
			}
			return nil
		}})
		for range 10 {
			if err := recovered(func() error { return call(t.Context(), svc, apiKey, "ann") }); !errors.Is(err, errHost) {
				t.Errorf("%s: got %v, want the panic", operation, err)
			}
		}
		panics = false
		if err := call(t.Context(), svc, apiKey, "ann"); err != nil && !errors.Is(err, users.ErrBadToken) && !errors.Is(err, users.ErrBadCredentials) {
			t.Errorf("%s: afterwards: got %v", operation, err)
		}
	}
}

// Who was told to wait can repeat with the same key: nothing was written, and what
// was written before is found again.
func TestHookThatMakesAClientWaitDisturbsNoIdempotencyKey(t *testing.T) {
	t.Parallel()
	var limit error
	refuse := func() error { return limit }
	for hook, o := range map[string]users.Options{
		"BeforeCreate": {BeforeCreate: func(context.Context, users.Application, *users.CreateUserParams) error { return refuse() }},
		"OnCreate":     {OnCreate: func(context.Context, users.CreateEvent) error { return refuse() }},
	} {
		store := memstore.New()
		svc := newServiceOn(t, store, o)
		limit = fmt.Errorf("host: %w", &users.TooManyRequestsError{RetryAfter: time.Second})
		if _, err := svc.Create(t.Context(), apiKey, keyed("alice", "k")); !errors.Is(err, users.ErrTooManyRequests) {
			t.Errorf("%s: got %v, want ErrTooManyRequests", hook, err)
		}
		equal(t, hook+": users", count(t, store, "alice"), 0)

		limit = nil
		first, err := svc.Create(t.Context(), apiKey, keyed("alice", "k"))
		if err != nil {
			t.Fatalf("%s: the repeat: %v", hook, err)
		}
		again, err := svc.Create(t.Context(), apiKey, keyed("alice", "k"))
		if err != nil || again.ID != first.ID {
			t.Errorf("%s: the second repeat: got %v, %v, want the same user", hook, again, err)
		}
	}
}
