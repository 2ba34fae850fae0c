package main

import (
	"database/sql"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gousers/users/examples/internal/database"
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

// engine is enough of a database to say no: answer writes the refusal of a
// connection, with a code of its own or that of a database that is starting.
type engine struct {
	dsn               string
	starting, unknown string
	answer            func(conn net.Conn, code string)
}

var engines = map[string]engine{
	"postgres": {"postgres://u:s3cret@%s/db?sslmode=disable", "57P03", "3D000", func(conn net.Conn, code string) {
		var length [4]byte
		io.ReadFull(conn, length[:])
		io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(length[:]))-4)
		fields := "SFATAL\x00VFATAL\x00C" + code + "\x00Mno\x00\x00"
		conn.Write(append(binary.BigEndian.AppendUint32([]byte("E"), uint32(len(fields)+4)), fields...))
	}},
	"mysql": {"mysql://u:s3cret@%s/db", "1053", "1049", func(conn net.Conn, code string) {
		var number uint16
		fmt.Sscan(code, &number)
		packet := append(binary.LittleEndian.AppendUint16([]byte{0xff}, number), "#HY000no"...)
		conn.Write(append([]byte{byte(len(packet)), 0, 0, 0}, packet...))
	}},
}

// launch starts a server on a database that may be down.
func launch(t *testing.T, dsn string) (*exec.Cmd, *output) {
	t.Helper()
	cmd := command(t.TempDir(), "-addr", "127.0.0.1:0", "-db", dsn)
	stderr := newOutput()
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	return cmd, stderr
}

// closedPort returns an address on which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// TestADatabaseThatIsNotUpYetIsWaitedFor through all stages of its start: nobody
// listens, connections are closed at once, it says that it is starting. What it
// says when it is up, that the database is unknown, ends the server at once.
func TestADatabaseThatIsNotUpYetIsWaitedFor(t *testing.T) {
	t.Parallel()
	for name, e := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := closedPort(t)
			cmd, stderr := launch(t, fmt.Sprintf(e.dsn, addr))
			stderr.await(t, "not up yet")

			ln, err := net.Listen("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			go func() {
				for n := 0; ; n++ {
					conn, err := ln.Accept()
					if err != nil {
						return
					}
					switch { // a driver may try more than once before it gives up
					case n < 4:
					case n < 6:
						e.answer(conn, e.starting)
					default:
						e.answer(conn, e.unknown)
					}
					conn.Close()
				}
			}()
			wantFailure(t, cmd, stderr, e.unknown, 2)
		})
	}
}

func TestWhatADatabaseRefusesEndsTheServerAtOnce(t *testing.T) {
	t.Parallel()
	for name, codes := range map[string][]string{
		"postgres": {"28P01", "28000", "3D000", "42501", "53300"},
		"mysql":    {"1045", "1049", "1044", "1040"},
	} {
		for _, code := range codes {
			t.Run(name+" "+code, func(t *testing.T) {
				t.Parallel()
				ln, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer ln.Close()
				go func() {
					for {
						conn, err := ln.Accept()
						if err != nil {
							return
						}
						engines[name].answer(conn, code)
						conn.Close()
					}
				}()
				cmd, stderr := launch(t, fmt.Sprintf(engines[name].dsn, ln.Addr()))
				wantFailure(t, cmd, stderr, code, 1)
			})
		}
	}
}

func TestADatabaseThatStaysDownIsGivenUp(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for as long as the server does")
	}
	t.Parallel()
	for name, e := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			// Two addresses, as localhost may have: each is an error of its own.
			cmd, stderr := launch(t, fmt.Sprintf(e.dsn, strings.Replace(closedPort(t), "127.0.0.1", "localhost", 1)))
			wantFailure(t, cmd, stderr, "not up after 30s", 2)
			if took := time.Since(begun); took < database.UpDeadline || took > database.UpDeadline+10*time.Second {
				t.Errorf("gave up after %v, want about %v", took, database.UpDeadline)
			}
		})
	}
}

func TestATableThatLacksAColumnEndsTheServerAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, dir).stop(t, syscall.SIGTERM)
	path := filepath.Join(dir, "users.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("ALTER TABLE password_tokens DROP COLUMN notification_id"); err != nil {
		t.Fatal(err)
	}
	cmd, stderr := launch(t, "sqlite:"+path)
	wantFailure(t, cmd, stderr, "table password_tokens", 1)
}

func TestASignalEndsTheWaitForADatabase(t *testing.T) {
	t.Parallel()
	for name, e := range engines {
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
			t.Run(name+" "+sig.String(), func(t *testing.T) {
				t.Parallel()
				cmd, stderr := launch(t, fmt.Sprintf(e.dsn, closedPort(t)))
				stderr.await(t, "not up yet")
				begun := time.Now()
				cmd.Process.Signal(sig)
				if err := cmd.Wait(); err != nil {
					t.Errorf("got %v, want exit code 0: %s", err, stderr)
				}
				if took := time.Since(begun); took > database.UpDeadline/2 {
					t.Errorf("the end took %v", took)
				}
			})
		}
	}
}

// wantFailure waits for the end of a server that has a reason to fail, and for
// lines on standard error: one that says that it waits, if it does, and one that
// says why it ends, without the password of the DSN.
func wantFailure(t *testing.T, cmd *exec.Cmd, stderr *output, reason string, lines int) {
	t.Helper()
	late := time.AfterFunc(deadline, func() { cmd.Process.Kill() })
	defer late.Stop()
	cmd.Wait()
	text := stderr.String()
	if code := cmd.ProcessState.ExitCode(); code != exitFailed || !strings.Contains(text, reason) {
		t.Errorf("got code %d and %q, want code %d and %q", code, text, exitFailed, reason)
	}
	if strings.Count(text, "\n") != lines || strings.Contains(text, "s3cret") {
		t.Errorf("got %q, want %d lines and no password", text, lines)
	}
}
