package storefake_test

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/memstore"
)

func has[T any](s users.Store) (any, bool) { return users.StoreAs[T](s) }

// capabilities looks for each interface that a store may have.
func capabilities() map[reflect.Type]func(users.Store) (any, bool) {
	return map[reflect.Type]func(users.Store) (any, bool){
		reflect.TypeFor[users.Store]():             has[users.Store],
		reflect.TypeFor[users.OutboxStore]():       has[users.OutboxStore],
		reflect.TypeFor[users.TokenStore]():        has[users.TokenStore],
		reflect.TypeFor[users.UserLister]():        has[users.UserLister],
		reflect.TypeFor[users.UserEditor]():        has[users.UserEditor],
		reflect.TypeFor[users.RoleEditor]():        has[users.RoleEditor],
		reflect.TypeFor[users.ApplicationEditor](): has[users.ApplicationEditor],
		reflect.TypeFor[users.LoginStore]():        has[users.LoginStore],
		reflect.TypeFor[users.BatchStore]():        has[users.BatchStore],
	}
}

// Each method of each capability goes through the interceptor, under its own name.
func TestAroundIsAroundEveryMethod(t *testing.T) {
	t.Parallel()
	intercepted := errors.New("intercepted")
	var seen storefake.Method
	s := storefake.Around(memstore.New(), func(_ context.Context, m storefake.Method, _ any, _ func() error) error {
		seen = m
		return intercepted
	})
	for capability, find := range capabilities() {
		found, ok := find(s)
		if !ok {
			t.Errorf("it is no %v", capability)
			continue
		}
		for m := range capability.Methods() {
			method := reflect.ValueOf(found).MethodByName(m.Name)
			args := []reflect.Value{reflect.ValueOf(t.Context())}
			for i := 1; i < method.Type().NumIn(); i++ {
				args = append(args, reflect.Zero(method.Type().In(i)))
			}
			seen = ""
			results := method.Call(args)
			if err, _ := results[len(results)-1].Interface().(error); seen != storefake.Method(m.Name) || !errors.Is(err, intercepted) {
				t.Errorf("%s: got error %v after the interceptor saw %q", m.Name, err, seen)
			}
		}
	}
}

// partial has two capabilities.
type partial struct {
	users.Store
	users.UserLister
	users.LoginStore
}

func TestAroundHasWhatTheStoreHas(t *testing.T) {
	t.Parallel()
	full := memstore.New()
	for name, s := range map[string]users.Store{
		"all":     full,
		"none":    storefake.Without(full),
		"two":     partial{storefake.Without(full), full, full},
		"wrapped": storefake.Wrapped(partial{storefake.Without(full), full, full}),
	} {
		around := storefake.Around(s, func(_ context.Context, _ storefake.Method, _ any, do func() error) error { return do() })
		for capability, find := range capabilities() {
			_, want := find(s)
			if _, got := find(around); got != want {
				t.Errorf("%s: got %v %t, want %t", name, capability, got, want)
			}
		}
		if _, ok := users.StoreAs[*memstore.Store](around); ok {
			t.Errorf("%s: it leads around the interceptor to the store", name)
		}
	}
}
