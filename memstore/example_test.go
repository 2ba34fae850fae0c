package memstore_test

import (
	"context"
	"fmt"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
)

// A unit test's Service, which needs no database.
func ExampleNew() {
	ctx := context.Background()
	svc, err := users.New(memstore.New(), nil)
	if err != nil {
		panic(err)
	}

	_, err = svc.CreateApplication(ctx, users.Application{APIKey: "acme", Name: "Acme"})
	if err != nil {
		panic(err)
	}
	u, err := svc.Create(ctx, "acme", users.CreateUserParams{
		UserName: "Ada", Email: "ada@example.com", AutoCreatePassword: true,
	})
	fmt.Println(u.UserName, err)
	// Output: Ada <nil>
}
