package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/outbox"
)

// A host's test: Drain delivers what Create left, the Recorder keeps it.
func ExampleRecorder() {
	ctx := context.Background()
	svc, err := users.New(memstore.New(), nil)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := svc.CreateApplication(ctx, users.Application{APIKey: "demo"}); err != nil {
		log.Fatal(err)
	}
	var sent outbox.Recorder
	relay, err := outbox.New(svc, &sent, &outbox.Options{
		SetPasswordURL: func(app users.Application, token string) string {
			return "https://example.com/" + app.APIKey + "/set-password#" + token
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = svc.Create(ctx, "demo", users.CreateUserParams{
		UserName: "ann", Email: "ann@example.com", AutoCreatePassword: true, SendEmailNotification: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := relay.Drain(ctx); err != nil {
		log.Fatal(err)
	}
	for _, n := range sent.All() {
		fmt.Println(n.Kind, n.User.Email, len(n.Token.Reveal()))
	}
	// Output: set_password ann@example.com 43
}

// A notifier that knows when there is no point in trying again.
func ExampleDiscard() {
	ctx := context.Background()
	svc, err := users.New(memstore.New(), nil)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := svc.CreateApplication(ctx, users.Application{APIKey: "demo"}); err != nil {
		log.Fatal(err)
	}
	_, err = svc.Create(ctx, "demo", users.CreateUserParams{
		UserName: "ann", Email: "ann@example.com", AutoCreatePassword: true, SendEmailNotification: true,
	})
	if err != nil {
		log.Fatal(err)
	}

	gone := users.NotifierFunc(func(context.Context, users.Notification) error {
		return outbox.Discard(errors.New("the mailbox does not exist"))
	})
	relay, err := outbox.New(svc, gone, &outbox.Options{
		SetPasswordURL: func(_ users.Application, token string) string { return "https://example.com/#" + token },
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := relay.Drain(ctx); err != nil {
		log.Fatal(err)
	}
	list, err := svc.Notifications(ctx, "demo", users.NotificationQuery{})
	if err != nil {
		log.Fatal(err)
	}
	for _, n := range list.Notifications {
		fmt.Println(n.State, n.Attempts, n.LastError)
	}
	// Output: discarded 1 the mailbox does not exist
}

func ExampleLog() {
	plain := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	notifier := outbox.Log(slog.New(slog.NewTextHandler(os.Stdout, plain)))
	err := notifier.Notify(context.Background(), users.Notification{
		ID: "01J8Z0", Kind: users.KindAccountCreated, Application: users.Application{APIKey: "demo"},
		User: users.User{ID: "01J8Z1", UserName: "ann", Email: "ann@example.com"},
	})
	fmt.Println(err)
	// Output:
	// level=INFO msg=notification notificationId=01J8Z0 apiKey=demo kind=account_created userId=01J8Z1 userName=ann email=ann@example.com
	// <nil>
}
