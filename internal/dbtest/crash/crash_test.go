// Package crash kills processes and database servers under load and looks at
// what is left.
package crash

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/dbtest/servers"
	"github.com/gousers/users/sqlstore"
)

// settleDeadline bounds what takes seconds on an idle machine: settling every
// unknown outcome and delivering the mail.
const settleDeadline = 5 * time.Minute

// rounds returns how often a test kills: few in make test, many in make crash.
func rounds(t *testing.T, few, many int) int {
	if v := os.Getenv("USERS_CRASH_ROUNDS"); v != "" {
		if n, err := strconv.Atoi(v); err == nil {
			return n
		}
		if v == "many" {
			return many
		}
		t.Fatalf("USERS_CRASH_ROUNDS = %q, want a number or many", v)
	}
	return few
}

func TestCrashOfTheProcessLosesNothingAcknowledged(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		killProcess(t, backend{"sqlite", sqlstore.SQLite, sqliteDSN(t)}, rounds(t, 30, 200))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		killProcess(t, backend{"pgx", sqlstore.Postgres, servers.Postgres(t)}, rounds(t, 10, 100))
	})
	t.Run("MariaDB", func(t *testing.T) {
		killProcess(t, backend{"mysql", sqlstore.MySQL, servers.MySQL(t)}, rounds(t, 10, 100))
	})
}

func sqliteDSN(t *testing.T) string {
	return "file:" + filepath.Join(t.TempDir(), "users.db") +
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate"
}

func killProcess(t *testing.T, b backend, rounds int) {
	svc := prepare(t, b)
	mailFile := filepath.Join(t.TempDir(), "mail")
	l := newLedger()
	for round := range rounds {
		addr, kill := start(t, b, mailFile)
		select {
		case <-l.news: // of the round before
		default:
		}
		loaded := make(chan struct{})
		go func() {
			defer close(loaded)
			l.load(t.Context(), addr, 0)
		}()
		if round%2 == 1 { // else it may be killed before its first answer
			select {
			case <-l.news:
			case <-time.After(settleDeadline):
				kill()
				t.Fatal("no user was acknowledged")
			}
		}
		<-time.After(20*time.Millisecond + rand.N(180*time.Millisecond))
		kill() // while the clients go on
		<-loaded
	}
	addr, kill := start(t, b, mailFile)
	defer kill()
	ctx, cancel := context.WithTimeout(t.Context(), settleDeadline)
	defer cancel()
	l.load(ctx, addr, 1) // the keys settle what is unknown
	if !l.done(1) {
		t.Fatalf("%d of %d outcomes could not be settled with their keys", len(l.unknown), l.next)
	}
	l.verify(t, b, svc)
	l.verifyMail(ctx, t, svc, mailFile)
	t.Logf("%d kills, %d users acknowledged, answers by status (0: connection lost): %v", rounds, len(l.acked), l.statuses)
}

func prepare(t *testing.T, b backend) *users.Service {
	t.Helper()
	db, store, err := b.open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	svc, err := newService(store)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := svc.CreateApplication(t.Context(), users.Application{APIKey: apiKey}); err != nil {
		t.Fatal(err)
	}
	if _, err := svc.CreateRole(t.Context(), apiKey, users.Role{Name: role}); err != nil {
		t.Fatal(err)
	}
	return svc
}

// start starts this test binary as the server and returns its address and the
// function that kills it.
func start(t *testing.T, b backend, mailFile string) (addr string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %q %q", childVariable, b.Driver, b.Dialect, b.DSN, mailFile))
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		kill()
		t.Fatalf("the server did not start: %v\n%s", err, log.String())
	}
	return strings.TrimSpace(line), kill
}

// verify compares what the clients know with what the database holds.
func (l *ledger) verify(t *testing.T, b backend, svc *users.Service) {
	t.Helper()
	for _, f := range l.faults {
		t.Error(f)
	}
	if len(l.acked) == 0 {
		t.Fatal("no user was acknowledged: the test has tested nothing")
	}
	for name, id := range l.acked {
		u, err := svc.User(t.Context(), apiKey, name)
		switch {
		case errors.Is(err, users.ErrNotFound):
			t.Errorf("%s was acknowledged as %s and is lost", name, id)
		case err != nil:
			t.Fatal(err)
		case u.ID != id:
			t.Errorf("%s was acknowledged as %s and is %s", name, id, u.ID)
		case l.requests[name].roles != (len(u.Roles) == 1 && u.Roles[0].Name == role):
			t.Errorf("%s has roles %v, want a role: %t", name, u.Roles, l.requests[name].roles)
		}
	}
	db, _, err := b.open()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n, names, links int
	if err := db.QueryRowContext(t.Context(), `SELECT COUNT(*), COUNT(DISTINCT name_key), (SELECT COUNT(*) FROM user_roles) FROM users`).Scan(&n, &names, &links); err != nil {
		t.Fatal(err)
	}
	withRole := 0
	for name := range l.acked {
		if l.requests[name].roles {
			withRole++
		}
	}
	if n != len(l.acked) || names != n || links != withRole {
		t.Errorf("the database holds %d users with %d names and %d role links, want %d, %d and %d",
			n, names, links, len(l.acked), len(l.acked), withRole)
	}
}

// verifyMail waits until no notification waits, then compares: every
// acknowledged user who asked for mail has it, under one id, and nobody else.
func (l *ledger) verifyMail(ctx context.Context, t *testing.T, svc *users.Service, mailFile string) {
	t.Helper()
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		waiting, err := svc.Notifications(ctx, apiKey, users.NotificationQuery{})
		if err != nil {
			t.Fatalf("waiting for the mail: %v", err)
		}
		if len(waiting.Notifications) == 0 {
			break
		}
		<-tick.C
	}
	raw, err := os.ReadFile(mailFile)
	if err != nil {
		t.Fatal(err)
	}
	mailOf := map[string]string{} // user id to notification id
	for line := range strings.Lines(string(raw)) {
		id, user, _ := strings.Cut(strings.TrimSpace(line), " ")
		if mailOf[user] != "" && mailOf[user] != id {
			t.Errorf("user %s was notified as %s and as %s", user, mailOf[user], id)
		}
		mailOf[user] = id
	}
	asked := 0
	for name, id := range l.acked {
		if !l.requests[name].mail {
			continue
		}
		asked++
		if mailOf[id] == "" {
			t.Errorf("%s was acknowledged and its notification is lost", name)
		}
	}
	if asked == 0 || len(mailOf) != asked {
		t.Errorf("%d users were notified, want the %d who were created and asked for it", len(mailOf), asked)
	}
}

func TestCrashOfTheDatabaseServerLosesNothingAcknowledged(t *testing.T) {
	t.Run("PostgreSQL", func(t *testing.T) { killDatabase(t, "pgx", sqlstore.Postgres, servers.PrivatePostgres(t)) })
	t.Run("MariaDB", func(t *testing.T) { killDatabase(t, "mysql", sqlstore.MySQL, servers.PrivateMySQL(t)) })
}

// killDatabase kills the database server under load and starts it again. Every
// name is new, so a 409 would be a lie; while the server is away the answer is 503.
func killDatabase(t *testing.T, driver string, dialect sqlstore.Dialect, server *servers.Server) {
	b := backend{driver, dialect, server.DSN}
	svc := prepare(t, b)
	// A 500 is a fault of ours: its cause is in the log.
	var log strings.Builder
	defer func() {
		if t.Failed() {
			t.Log(log.String())
		}
	}()
	handler, err := newHandler(svc, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError})))
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(handler)
	defer web.Close()
	addr := web.Listener.Addr().String()
	l := newLedger()
	n := rounds(t, 5, 5)
	for range n {
		ctx, cancel := context.WithCancel(t.Context())
		loaded := make(chan struct{})
		go func() {
			defer close(loaded)
			l.load(ctx, addr, 0)
		}()
		<-time.After(100*time.Millisecond + rand.N(300*time.Millisecond))
		server.Kill(t)
		server.Start(t)
		<-time.After(100 * time.Millisecond)
		cancel()
		<-loaded
	}
	ctx, cancel := context.WithTimeout(t.Context(), settleDeadline)
	defer cancel()
	l.load(ctx, addr, 1)
	if !l.done(1) {
		t.Fatalf("%d of %d outcomes could not be settled with their keys", len(l.unknown), l.next)
	}
	l.verify(t, b, svc)
	t.Logf("%d kills of the server, %d users acknowledged, answers by status (0: given up): %v", n, len(l.acked), l.statuses)
}
