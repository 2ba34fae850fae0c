// Command quickstart creates a user in memory, renames, finds and deletes it.
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

	u, err = svc.UpdateUser(ctx, "demo", "jane", users.UserChange{UserName: new("janet")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("renamed to %s\n", u.UserName)
	for u, err := range svc.EachUser(ctx, "demo", users.UserFilter{Phrase: "@example.com"}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("found %s <%s>\n", u.UserName, u.Email)
	}
	if err := svc.DeleteUser(ctx, "demo", "jane@example.com", 0); err != nil {
		log.Fatal(err)
	}
	fmt.Println("deleted")
}
