package outbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/outbox"
)

// holdsRun reports whether text holds a run of secret that is longer than chance.
func holdsRun(text, secret string) bool {
	for i := range len(secret) - 7 {
		if strings.Contains(text, secret[i:i+8]) {
			return true
		}
	}
	return false
}

func TestNeitherTokenNorLinkGetsIntoTheLogOrTheStore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]leak{
		"quoted": {fail: func(_ users.Notification, token, url string) error {
			return fmt.Errorf("PUT %s: token %q refused\x00\r\n", url, token)
		}},
		"in a panic": {fail: func(_ users.Notification, token, _ string) error { panic("with " + token) }},
		"cut": {fail: func(_ users.Notification, token, _ string) error {
			return errors.New("cut " + token[:20] + "..." + token[25:])
		}},
		"in a long text": {fail: func(_ users.Notification, token, _ string) error {
			return errors.New(strings.Repeat("é", 250) + token + strings.Repeat("x", 1e6))
		}},
		"inside of the error": {fail: func(n users.Notification, token, _ string) error {
			return &richError{"refused " + token, n}
		}},
		"made into a link of another form": {
			fail: func(_ users.Notification, _, url string) error { return errors.New("refused " + url) },
			url:  func(_ users.Application, token string) string { return linkStart + strings.ToLower(token) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, c.check)
		})
	}
}

const linkStart = "https://example.com/#"

// richError is an error with a Notification inside, for whoever prints its fields.
type richError struct {
	text string
	n    users.Notification
}

func (e *richError) Error() string { return e.text }

// leak is a notifier that fails with an error that tells a secret.
type leak struct {
	fail func(n users.Notification, token, url string) error
	url  func(users.Application, string) string // nil: link
}

// check has a notification fail until it is discarded and looks at all that is left.
func (c leak) check(t *testing.T) {
	f := setUp(t)
	f.create(true)
	n := &attempts{err: func(n users.Notification) error { return c.fail(n, n.Token.Reveal(), n.URL.Reveal()) }}
	var log bytes.Buffer
	r := relay(t, f.svc, n, outbox.Options{
		MaxAttempts: 8, SetPasswordURL: c.url, Logger: slog.New(slog.NewJSONHandler(&log, nil)),
	})

	for range 8 {
		drain(t, r)
		text := f.rows()[0].LastError
		if len(text) > 512 || strings.ContainsAny(text, "\x00\r\n") || !strings.Contains(text, "[removed]") {
			t.Errorf("last error: got %q, want at most 512 bytes in one line, the secret removed", text)
		}
		for _, m := range n.All() {
			for _, secret := range []string{m.Token.Reveal(), strings.TrimPrefix(m.URL.Reveal(), linkStart)} {
				if holdsRun(text, secret) || holdsRun(log.String(), secret) {
					t.Fatalf("a part of a secret is in %q or in the log", text)
				}
			}
		}
		time.Sleep(2 * time.Hour)
	}
	f.onlyRow(users.StateDiscarded)
}

func TestASecretIsRemovedOnceAndTheRestStays(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	f.create(true)
	n := &attempts{err: func(n users.Notification) error {
		return fmt.Errorf("token %s and %s refused", n.Token.Reveal(), n.Token.Reveal())
	}}
	drain(t, relay(t, f.svc, n, outbox.Options{}))
	if got := f.rows()[0].LastError; got != "token [removed] and [removed] refused" {
		t.Errorf("last error: got %q", got)
	}
}

// wrapped is what a host may keep a notification in: fmt and slog do not call
// the methods of what is in an unexported field.
type wrapped struct {
	Shown  users.Notification
	hidden users.Notification
	list   []users.Notification
	any    any
}

func TestNotificationThatANotifierPrintsShowsNoSecret(t *testing.T) {
	t.Parallel()
	f := setUp(t)
	f.create(true)
	var got outbox.Recorder
	n := users.NotifierFunc(func(ctx context.Context, n users.Notification) error {
		_ = got.Notify(ctx, n)
		for name, v := range map[string]any{
			"notification": n, "pointer": &n,
			"wrapped": wrapped{n, n, []users.Notification{n}, n}, "recorder": &got,
		} {
			for how, text := range prints(v) {
				if holdsRun(text, n.Token.Reveal()) {
					t.Errorf("%s under %s shows the token: %s", name, how, text)
				}
			}
		}
		return nil
	})
	drain(t, relay(t, f.svc, n, outbox.Options{}))
	if len(got.All()) != 1 {
		t.Errorf("got %d delivered, want 1", len(got.All()))
	}
}

// prints returns every text that comes out of v, by how.
func prints(v any) map[string]string {
	out := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		out[verb] = fmt.Sprintf(verb, v)
	}
	b, err := json.Marshal(v)
	out["json"] = fmt.Sprintf("%s %v", b, err)

	var text, js bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("n", "v", v, slog.Group("g", "v", v))
	slog.New(slog.NewJSONHandler(&js, nil)).With("v", v).Info("n", "list", []any{v})
	out["slog text"] = text.String()
	out["slog JSON"] = js.String()
	return out
}
