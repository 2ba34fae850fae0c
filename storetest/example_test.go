package storetest_test

import (
	"errors"
	"fmt"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/storetest"
)

// A store whose roles cannot be read: the first of its failures.
func ExampleCheck() {
	err := storetest.Check(func() (users.Store, func(), error) {
		s := storefake.Failing(memstore.New(), errors.New("no such table"), storefake.ListRoles)
		return s, nil, nil
	})

	var b *storetest.Breach
	if errors.As(err, &b) {
		fmt.Println(b)
	}
	// Output:
	// storetest: RoleTaken: "A taken ID or NameKey is a *ConflictError with the members \"id\" and \"name\""
	// 	ListRoles: got error no such table, want none
}
