package readme

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

// TestEveryProgramOfTheREADMECompiles finds each piece of Go of the README in a
// file of the examples, which the compiler and their own tests hold.
func TestEveryProgramOfTheREADMECompiles(t *testing.T) {
	t.Parallel()
	sources := exampleSources(t)
	blocks := goBlock.FindAllStringSubmatch(read(t, "../../README.md"), -1)
	if len(blocks) < 5 {
		t.Fatalf("got %d pieces of Go in the README, want at least 5", len(blocks))
	}
	for _, b := range blocks {
		found := false
		for _, text := range sources {
			// A whole program is a whole file; other pieces stand inside one.
			found = found || text == b[1] || !strings.HasPrefix(b[1], "package ") && strings.Contains(text, "\n"+b[1])
		}
		if !found {
			t.Errorf("this piece of the README is in no file of examples/:\n%s", b[1])
		}
	}
}

// TestTheREADMEBeginsWithTheQuickstart holds the program near the top to the
// one whose output a test knows.
func TestTheREADMEBeginsWithTheQuickstart(t *testing.T) {
	t.Parallel()
	text := read(t, "../../README.md")
	first := goBlock.FindStringSubmatch(text)
	// The file has a package comment that the README says in words.
	_, program, _ := strings.Cut(read(t, "../quickstart/main.go"), "package main\n")
	if first == nil || first[1] != "package main\n"+program {
		t.Error("the first program of the README is not examples/quickstart")
	}
	_, output, ok := strings.Cut(read(t, "../quickstart/main_test.go"), "\t// Output:\n")
	output = strings.ReplaceAll(strings.TrimSuffix(output, "}\n"), "\t// ", "    ")
	if !ok || !strings.Contains(text, "\n\n"+output+"\n") {
		t.Error("the output of examples/quickstart is not in the README")
	}
}

// TestTheREADMENamesWhatExists looks up each file that it links to.
func TestTheREADMENamesWhatExists(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"} {
		for _, link := range regexp.MustCompile(`\]\(([^):#]+)\)`).FindAllStringSubmatch(read(t, "../../"+name), -1) {
			if _, err := os.Stat(filepath.Join("../..", link[1])); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func exampleSources(t *testing.T) map[string]string {
	t.Helper()
	sources := make(map[string]string)
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(name) != ".go" {
			return err
		}
		text := read(t, name)
		// A package comment is no part of what the README shows.
		if i := strings.Index(text, "\npackage "); i >= 0 && strings.HasPrefix(text, "//") {
			text = text[i+1:]
		}
		sources[name] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sources
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestTheErrorExampleTellsEveryError calls the README's switch with each class,
// also where it has no detail.
func TestTheErrorExampleTellsEveryError(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		refuse error
		want   string
	}{
		{nil, "created"},
		{&users.ForbiddenError{Detail: "not on Sundays"}, "users: forbidden: not on Sundays"},
		{&users.ForbiddenError{}, "users: forbidden"},
		{&users.ValidationError{}, "users: invalid"},
		{&users.ConflictError{Members: []string{"userName", "email"}}, "taken: userName, email"},
		{users.ErrUnavailable, "try again later"},
		{errors.New("x"), "failed"},
	} {
		svc, err := users.New(memstore.New(), &users.Options{
			Hasher:       password.InsecureForTests(),
			BeforeCreate: func(context.Context, users.Application, *users.CreateUserParams) error { return c.refuse },
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := svc.CreateApplication(t.Context(), users.Application{APIKey: "demo"}); err != nil {
			t.Fatal(err)
		}
		pw := password.New("violet harbour 47 crumpets")
		p := users.CreateUserParams{UserName: "jane", Email: "jane@example.com", Password: pw, ConfirmPassword: pw}
		if got := CreateAndTell(t.Context(), svc, p); got != c.want {
			t.Errorf("%v: got %q, want %q", c.refuse, got, c.want)
		}
	}
}

// TestTheREADMEsUserIsFoundAndChanged runs the README's pieces on one user.
func TestTheREADMEsUserIsFoundAndChanged(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	svc, err := users.New(memstore.New(), &users.Options{Hasher: password.InsecureForTests()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := svc.CreateApplication(ctx, users.Application{APIKey: "demo", RequireApproval: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := svc.CreateRole(ctx, "demo", users.Role{Name: "editor"}); err != nil {
		t.Fatal(err)
	}
	secret := password.New("violet harbour 47 crumpets")
	jane, err := svc.Create(ctx, "demo", users.CreateUserParams{
		UserName: "jane", Email: "jane@example.com", Password: secret, ConfirmPassword: secret,
	})
	if err != nil {
		t.Fatal(err)
	}

	if page, err := find(ctx, svc); err != nil || page.Total != 1 || page.Users[0].ID != jane.ID {
		t.Errorf("find: got %+v, %v", page, err)
	}
	changed, err := change(ctx, svc, jane.Version)
	if err != nil || changed.Email != "jane@example.org" || len(changed.Roles) != 1 {
		t.Fatalf("change: got %+v, %v", changed, err)
	}
}
