// Command quickstart creates a user in memory and prints it.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

func main() {
	ctx := context.Background()
	svc, err := users.New(memstore.New(), nil)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := svc.CreateApplication(ctx, users.Application{APIKey: "demo"}); err != nil {
		log.Fatal(err)
	}
	pw := password.New("violet harbour 47 crumpets")
	u, err := svc.Create(ctx, "demo", users.CreateUserParams{
		UserName:        "jane",
		Email:           "jane@example.com",
		Password:        pw,
		ConfirmPassword: pw,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("created %s <%s>, approved: %t\n", u.UserName, u.Email, u.IsApproved)
}
