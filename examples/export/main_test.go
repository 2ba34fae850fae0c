package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/examples/internal/database"
)

const app = "shop"

// newDatabase has one user, whose settings have line breaks.
func newDatabase(t *testing.T) (dsn string) {
	t.Helper()
	dsn = "sqlite:" + filepath.Join(t.TempDir(), "users.db")
	db, err := database.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	store, closeStore, err := db.Open(t.Context(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore()
	svc, err := users.New(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := svc.CreateApplication(t.Context(), users.Application{APIKey: app}); err != nil {
		t.Fatal(err)
	}
	_, err = svc.Create(t.Context(), app, users.CreateUserParams{
		UserName: "jane", Email: "jane@example.com", AutoCreatePassword: true, DashboardSettings: []byte("{\r\n  \"a\": \"\\n\"\n}"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

func TestAUserIsOneLineWhateverItsSettings(t *testing.T) {
	t.Parallel()
	var out, log bytes.Buffer
	if code := run(t.Context(), []string{"-db", newDatabase(t), "-application", app}, &out, &log); code != exitOK {
		t.Fatalf("got code %d: %s", code, &log)
	}
	if strings.Count(out.String(), "\n") != 1 || !json.Valid(out.Bytes()) || !strings.Contains(out.String(), `"dashboardSettings":{    "a": "\n" }}`) {
		t.Errorf("got %q, want one line", &out)
	}
}

func TestWhatIsNoWholeExportIsCode2(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	for name, args := range map[string][]string{
		"no application":         {"-db", dsn},
		"an unknown application": {"-db", dsn, "-application", "none"},
		"an argument":            {"-db", dsn, "-application", app, "users.ndjson"},
		"memory":                 {"-db", "memory:", "-application", app},
		"no database":            {"-db", "sqlite:/none/there/users.db", "-application", app},
		"no such flag":           {"-nothing"},
	} {
		var out, log bytes.Buffer
		if code := run(t.Context(), args, &out, &log); code != exitBroken || out.Len() > 0 || strings.Count(log.String(), "\n") != 1 {
			t.Errorf("%s: got code %d, %q and %q, want code %d and one line that says why", name, code, &out, &log, exitBroken)
		}
	}

	good := []string{"-db", dsn, "-application", app}
	var log bytes.Buffer
	if code := run(t.Context(), good, full{}, &log); code != exitBroken || !strings.Contains(log.String(), errFull.Error()) {
		t.Errorf("a full disk: got code %d and %q", code, &log)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code := run(ctx, good, new(bytes.Buffer), &log); code != exitBroken {
		t.Errorf("a signal: got code %d, want %d", code, exitBroken)
	}
}

var errFull = errors.New("no space left")

// full is a disk.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
