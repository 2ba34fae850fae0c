// Package moving_test tests that the users of an application move between databases of
// different kinds, by the commands examples/export and examples/import.
package moving_test

import (
	"bufio"
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/go-sql-driver/mysql"
	_ "modernc.org/sqlite"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/dbtest/servers"
	"github.com/gousers/users/password"
	"github.com/gousers/users/sqlstore"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

const (
	app = "shop"
	// hash is of "password": github.com/P-H-C/phc-winner-argon2, src/test.c.
	hash = "$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8"
)

// TestUsersMoveFromDatabaseToDatabase in a circle and are the same in each, and can sign in
// at its end. USERS_MOVING says how many.
func TestUsersMoveFromDatabaseToDatabase(t *testing.T) {
	t.Parallel()
	n := 1100 // more than a page of export
	if text := os.Getenv("USERS_MOVING"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatalf("USERS_MOVING is no number: %v", err)
		}
	}
	dir := t.TempDir()
	command(t, "go", "build", "-C", "../../../examples", "-o", dir+"/", "./import", "./export")
	first, last := filepath.Join(dir, "first.db"), filepath.Join(dir, "last.db")

	written := filepath.Join(dir, "written.ndjson")
	write(t, written, n)
	from := "sqlite:" + first
	command(t, filepath.Join(dir, "import"), "-db", from, "-application", app, "-make", written)
	want := command(t, filepath.Join(dir, "export"), "-db", from, "-application", app, "-hashes")
	if got := bytes.Count(want, []byte("\n")); got != n {
		t.Fatalf("got %d lines, want %d", got, n)
	}
	for i, to := range []string{servers.Postgres(t), mysqlURL(t), "sqlite:" + last} {
		file := filepath.Join(dir, fmt.Sprint("moved", i))
		if err := os.WriteFile(file, want, 0o600); err != nil {
			t.Fatal(err)
		}
		told := command(t, filepath.Join(dir, "import"), "-db", to, "-application", app, "-make", file)
		if !bytes.HasPrefix(told, fmt.Appendf(nil, "%d rows: %[1]d created, ", n)) {
			t.Errorf("move %d: got %q, want %d created", i, told, n)
		}
		t.Logf("move %d: %s", i, told)
		if got := command(t, filepath.Join(dir, "export"), "-db", to, "-application", app, "-hashes"); !bytes.Equal(got, want) {
			t.Fatalf("move %d: the users are others now", i)
		}
	}
	signIn(t, last, n)
}

// write makes a file of n users.
func write(t *testing.T, name string, n int) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	for i := range n {
		fmt.Fprintf(w, `{"userName":"Jürgen%d","email":"user%[1]d@example.com","name":"J <%[1]d>","passwordHash":"%s",`+
			`"isApproved":%t,"emailVerified":%t,"roles":["role %d","every 'role'"],"allowDashboardAccess":%t,`+
			`"dashboardSettings":{ "a" : "\u0000\ud83d\ude00","b":[1.0]},"creationDate":"%04d-02-03T04:05:06.789012Z"}`+"\n",
			i, hash, i%3 != 1, i%2 == 0, i%7, i%5 == 0, 1970+i%50)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

func mysqlURL(t *testing.T) string {
	t.Helper()
	c, err := mysql.ParseDSN(servers.MySQL(t))
	if err != nil {
		t.Fatal(err)
	}
	u := url.URL{Scheme: "mysql", User: url.UserPassword(c.User, c.Passwd), Host: c.Addr, Path: "/" + c.DBName}
	return u.String()
}

// signIn signs in each user who may.
func signIn(t *testing.T, file string, n int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=synchronous(OFF)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	store, err := sqlstore.New(db, sqlstore.SQLite, nil)
	if err != nil {
		t.Fatal(err)
	}
	svc, err := users.New(store, &users.Options{Hasher: password.InsecureForTests(), Legacy: password.Legacy()})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		var want error
		if i%3 == 1 {
			want = users.ErrNotApproved
		}
		if _, err := svc.Authenticate(t.Context(), app, fmt.Sprint("jürgen", i), password.New("password")); !errors.Is(err, want) {
			t.Fatalf("user %d: got %v, want %v", i, err, want)
		}
	}
}

func command(t *testing.T, name string, args ...string) (stdout []byte) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "USERS_DB=")
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v: %s%s", filepath.Base(name), err, &out, &log)
	}
	return out.Bytes()
}
