package smtpnotify_test

import (
	"context"
	"fmt"
	"log"
	"net/mail"
	"os"
	"path/filepath"
	"testing/fstest"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/outbox"
	"github.com/gousers/users/password"
	"github.com/gousers/users/smtpnotify"
)

// A relay that sends mail. Nothing is connected before there is something to send.
func ExampleNew() {
	svc, err := users.New(memstore.New(), nil)
	if err != nil {
		log.Fatal(err)
	}
	mailer, err := smtpnotify.New("smtp://user:password@mail.example.com:587", "Example <no-reply@example.com>", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer mailer.Close()
	relay, err := outbox.New(svc, mailer, &outbox.Options{
		SetPasswordURL: func(app users.Application, token string) string {
			return "https://example.com/set-password#" + token
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(relay.Drain(context.Background())) // a server calls Run
	// Output: <nil>
}

// A text of the host's own, here from memory, usually from an embed.FS. The other
// texts stay those of the package.
func ExampleOptions_templates() {
	templates := fstest.MapFS{"set_password.txt": {Data: []byte(
		`{{define "subject"}}{{.Application.Name}}: choose a password{{end -}}
Welcome, {{.User.UserName}}!
Choose your password until {{.Expires.Format "15:04 MST"}}: {{.URL}}
`)}}
	dir, err := os.MkdirTemp("", "mail")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	notifier, err := smtpnotify.Dir(dir, "no-reply@example.com", &smtpnotify.Options{Templates: templates})
	if err != nil {
		log.Fatal(err)
	}

	// A relay (package outbox) makes this call.
	err = notifier.Notify(context.Background(), users.Notification{
		ID: "01JZ8Y", Kind: users.KindSetPassword,
		Application: users.Application{APIKey: "acme", Name: "Acme"},
		User:        users.User{UserName: "ann", Email: "ann@example.org"},
		URL:         password.New("https://example.com/set-password#secret"),
		Expires:     time.Date(2026, 3, 4, 17, 30, 0, 0, time.UTC),
	})
	if err != nil {
		log.Fatal(err)
	}

	file, err := os.Open(filepath.Join(dir, "01JZ8Y.eml"))
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	message, err := mail.ReadMessage(file)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(message.Header.Get("Subject"))
	// Output: Acme: choose a password
}
