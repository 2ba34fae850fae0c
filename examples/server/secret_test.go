package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gousers/users/examples/internal/secret"
)

// file writes a file for a secret and returns its name.
func file(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSecretsComeFromFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file(t, dir, "boss", "bosses-token==\n")
	file(t, dir, "till", "tills-token\r\n")
	file(t, dir, "dsn", "sqlite:from-a-file.db\n")
	file(t, dir, "smtp", "smtp://127.0.0.1:1")
	p := start(t, dir, "-db", "@dsn", "-application", "shop=@boss", "-limited", "shop=@"+filepath.Join(dir, "till"),
		"-smtp", "@smtp", "-from", "shop@example.com", "-base-url", "https://shop.example.com")
	p.as("bosses-token==").send(t, "POST", "/v1/shop/users", user("jane", "")).want(t, 201)
	p.as("tills-token").send(t, "POST", "/v1/shop/users", user("john", "")).want(t, 201)
	p.as("tills-token").send(t, "POST", "/v1/shop/users", user("joan", `,"isLockedOut":true`)).want(t, 403)
	if _, err := os.Stat(filepath.Join(dir, "from-a-file.db")); err != nil {
		t.Error(err)
	}
	p.stop(t, syscall.SIGTERM)
}

func TestSecretsComeFromTheEnvironmentUnlessAFlagIsGiven(t *testing.T) {
	t.Parallel()
	smtp := []string{"-from", "shop@example.com", "-base-url", "https://shop.example.com"}
	for name, tt := range map[string]struct {
		args, env []string
		want      string // the file of the database
	}{
		"the environment":            {nil, []string{"USERS_DB=sqlite:environment.db"}, "environment.db"},
		"a file of the environment":  {nil, []string{"USERS_DB=@dsn"}, "from-a-file.db"},
		"an empty variable":          {nil, []string{"USERS_DB="}, "users.db"},
		"a flag":                     {[]string{"-db", "sqlite:flag.db"}, []string{"USERS_DB=sqlite:environment.db"}, "flag.db"},
		"a flag with the default":    {[]string{"-db", "sqlite:users.db"}, []string{"USERS_DB=sqlite:environment.db"}, "users.db"},
		"a mail server":              {smtp, []string{"USERS_SMTP=smtp://127.0.0.1:1"}, "users.db"},
		"a flag for the mail server": {append(smtp, "-smtp", "smtp://127.0.0.1:1"), []string{"USERS_SMTP=nonsense"}, "users.db"},
		"a flag for none":            {[]string{"-smtp", ""}, []string{"USERS_SMTP=nonsense"}, "users.db"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file(t, dir, "dsn", "sqlite:from-a-file.db\n")
			cmd := command(dir, append([]string{"-addr", "127.0.0.1:0"}, tt.args...)...)
			cmd.Env = append(cmd.Env, tt.env...)
			startCommand(t, cmd).stop(t, syscall.SIGTERM)
			found, err := filepath.Glob(filepath.Join(dir, "*.db"))
			if err != nil || len(found) != 1 || filepath.Base(found[0]) != tt.want {
				t.Errorf("got %v (%v), want %s", found, err, tt.want)
			}
		})
	}
}

// TestAFileThatHoldsNoSecretIsNamed and is not quoted.
func TestAFileThatHoldsNoSecretIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file(t, dir, "empty", "")
	file(t, dir, "newline", "\n")
	file(t, dir, "spaces", "s3cret with spaces\n")
	file(t, dir, "lines", "s3cret\ns3cret\n")
	file(t, dir, "large", strings.Repeat("s3cret", secret.Max))
	for _, path := range []string{"missing", ".", "empty", "newline", "spaces", "lines", "large", "/dev/zero"} {
		for _, args := range [][]string{
			{"-application", "shop=@" + path},
			{"-limited", "shop=@" + path},
			{"-db", "@" + path},
			{"-smtp", "@" + path, "-from", "shop@example.com", "-base-url", "https://shop.example.com"},
			{"USERS_DB=@" + path},
			{"USERS_SMTP=@" + path, "-from", "shop@example.com", "-base-url", "https://shop.example.com"},
		} {
			t.Run(strings.Join(args, " "), func(t *testing.T) {
				t.Parallel()
				env := args[:0:0]
				flags, source := args, args[0]
				if variable, _, ok := strings.Cut(args[0], "="); ok {
					env, flags, source = args[:1], args[1:], variable
				}
				cmd := command(dir, flags...)
				cmd.Env = append(cmd.Env, env...)
				code, stderr := failCommand(t, cmd)
				if code != exitUsage || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, source) {
					t.Errorf("got code %d and %q, want code %d and one line with %s", code, stderr, exitUsage, source)
				}
				judged := path == "spaces" || path == "lines" // as the flag's own value would be
				if !judged && !strings.Contains(stderr, path) {
					t.Errorf("got %q, want an error that names %s", stderr, path)
				}
				if strings.Contains(stderr, "s3cret") {
					t.Errorf("a secret is in %q", stderr)
				}
			})
		}
	}
}
