package smtpnotify_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/outbox"
	"github.com/gousers/users/password"
	"github.com/gousers/users/smtpnotify"
)

func readFile(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestDirWritesOneWholeFileForEachNotification(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "mail")
	n, err := smtpnotify.Dir(dir, sender, nil)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 { // repeats of one notification race
		wg.Go(func() {
			if err := n.Notify(t.Context(), note()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 || files[0].Name() != id+".eml" {
		t.Fatalf("got %v, %v, want only %s.eml", files, err, id)
	}
	if got, want := parse(t, readFile(t, dir, id+".eml")).Get("Message-ID"), "<"+id+"@example.com>"; got != want {
		t.Errorf("Message-ID: got %q, want %q", got, want)
	}
	for path, want := range map[string]fs.FileMode{dir: 0o700, filepath.Join(dir, id+".eml"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("mode of %s: got %v, %v, want %v", path, info.Mode().Perm(), err, want)
		}
	}
}

func TestDirStaysInItsDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n, err := smtpnotify.Dir(filepath.Join(dir, "mail"), sender, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "../x", "a/b", "a\r\nb", "..", "a@b"} {
		hostile := note()
		hostile.ID = bad
		var e *smtpnotify.Error
		if err := n.Notify(t.Context(), hostile); !errors.As(err, &e) || !e.Permanent {
			t.Errorf("id %q: got %v, want a permanent *Error", bad, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.Notify(ctx, note()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if files, err := os.ReadDir(filepath.Join(dir, "mail")); err != nil || len(files) != 0 {
		t.Errorf("got %v, %v, want no files", files, err)
	}
}

func TestDirRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	if _, err := smtpnotify.Dir("", sender, nil); err == nil {
		t.Error("no directory: got no error")
	}
	if _, err := smtpnotify.Dir(t.TempDir(), "nobody", nil); err == nil {
		t.Error("no sender: got no error")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := smtpnotify.Dir(file, sender, nil); err == nil {
		t.Error("a file in the place of the directory: got no error")
	}
}

func TestMessageThatCannotBeWrittenIsDiscardedAtOnce(t *testing.T) {
	t.Parallel()
	svc, err := users.New(memstore.New(), &users.Options{Hasher: password.InsecureForTests()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := svc.CreateApplication(t.Context(), users.Application{APIKey: "acme"}); err != nil {
		t.Fatal(err)
	}
	p := users.CreateUserParams{UserName: "ann", Email: "ann@example.org", AutoCreatePassword: true, SendEmailNotification: true}
	if _, err := svc.Create(t.Context(), "acme", p); err != nil {
		t.Fatal(err)
	}
	n, err := smtpnotify.Dir(t.TempDir(), sender, nil)
	if err != nil {
		t.Fatal(err)
	}
	relay, err := outbox.New(svc, n, &outbox.Options{
		SetPasswordURL: func(_ users.Application, token string) string { return "myapp://set#" + token },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := relay.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := svc.Notifications(t.Context(), "acme", users.NotificationQuery{})
	if err != nil {
		t.Fatal(err)
	}
	if rows := list.Notifications; len(rows) != 1 || rows[0].State != users.StateDiscarded || !strings.Contains(rows[0].LastError, "http or https") {
		t.Errorf("got %+v, want one row, discarded, with the reason", rows)
	}
}

func TestLinkThatHTMLRefusesIsNotDelivered(t *testing.T) {
	t.Parallel()
	n, err := smtpnotify.Dir(t.TempDir(), sender, nil)
	if err != nil {
		t.Fatal(err)
	}
	bad := note()
	bad.URL = password.New("myapp://set#" + token)
	var e *smtpnotify.Error
	if err := n.Notify(t.Context(), bad); !errors.As(err, &e) || !strings.Contains(err.Error(), "http") {
		t.Errorf("got %v, want an *Error that says which links are taken", err)
	}
}
