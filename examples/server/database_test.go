package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// TestTheDatabaseFileIsItsOwnersAlone whatever the umask and the way to the file.
func TestTheDatabaseFileIsItsOwnersAlone(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("sh is not installed")
	}
	for _, umask := range []string{"000", "022", "077"} {
		for _, name := range []string{"users.db", "link.db"} {
			t.Run(umask+" "+name, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				if err := os.Symlink("users.db", filepath.Join(dir, "link.db")); err != nil {
					t.Fatal(err)
				}
				cmd := command(dir)
				cmd.Path = "/bin/sh"
				cmd.Args = slices.Concat([]string{"sh", "-c", "umask " + umask + `; exec "$0" "$@"`, os.Args[0]}, []string{"-addr", "127.0.0.1:0", "-db", "sqlite:" + name})
				p := startCommand(t, cmd)
				p.admin().send(t, "POST", "/v1/demo/users", user("jane", "")).want(t, 201)
				for _, file := range []string{"users.db", "users.db-wal", "users.db-shm"} {
					wantMode(t, filepath.Join(dir, file), 0o600)
				}
				p.stop(t, syscall.SIGTERM)
			})
		}
	}
}

func TestADatabaseFileThatIsThereKeepsItsMode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, dir).stop(t, syscall.SIGTERM)
	path := filepath.Join(dir, "users.db")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	p := start(t, dir)
	wantMode(t, path, 0o640)
	wantMode(t, path+"-wal", 0o640)
	p.stop(t, syscall.SIGTERM)
}

func wantMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Error(err)
	} else if got := info.Mode().Perm(); got != want {
		t.Errorf("%s: got mode %o, want %o", filepath.Base(path), got, want)
	}
}
