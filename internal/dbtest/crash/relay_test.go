package crash

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/dbtest/servers"
	"github.com/gousers/users/outbox"
	"github.com/gousers/users/password"
	"github.com/gousers/users/sqlstore"
)

const (
	relayVariable = "USERS_CRASH_RELAY"
	relayLinks    = 50 // every so many rows hold a link to set a password
)

// relaySkews are how far the clocks of the relay processes are off.
var relaySkews = []time.Duration{-5 * time.Minute, -time.Minute, time.Minute, 5 * time.Minute}

// relaySpec tells a relay process what to do.
type relaySpec struct {
	Backend backend
	Skew    time.Duration
}

// skewedService is a Service of a process whose clock is off.
func skewedService(store users.Store, skew time.Duration) (*users.Service, error) {
	return users.New(store, &users.Options{
		Hasher: password.InsecureForTests(),
		Policy: &password.Policy{Blocked: func(string) bool { return false }},
		Now:    func() time.Time { return time.Now().Add(skew) },
	})
}

// relayUntilIdle drains the outbox once standard input ends, and writes a line
// on standard output for each delivery: notification, user and token, or "-".
func relayUntilIdle(spec string) error {
	var s relaySpec
	if err := json.Unmarshal([]byte(spec), &s); err != nil {
		return err
	}
	db, store, err := s.Backend.open()
	if err != nil {
		return err
	}
	defer db.Close()
	svc, err := skewedService(store, s.Skew)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	out := bufio.NewWriter(os.Stdout)
	relay, err := outbox.New(svc, users.NotifierFunc(func(_ context.Context, n users.Notification) error {
		mu.Lock()
		defer mu.Unlock()
		token := n.Token.Reveal()
		if token == "" {
			token = "-"
		}
		_, err := fmt.Fprintln(out, n.ID, n.User.ID, token)
		return err
	}), &outbox.Options{
		SetPasswordURL: func(_ users.Application, token string) string { return "https://example.com/#" + token },
		Logger:         slog.New(slog.NewJSONHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	if err := db.PingContext(context.Background()); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "ready")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return errors.Join(relay.Drain(context.Background()), out.Flush())
}

// TestFourRelayProcessesDeliverEachRowOnce has 10,000 rows delivered on one
// database, and on each one in make crash: SQLite is slow under the race detector.
func TestFourRelayProcessesDeliverEachRowOnce(t *testing.T) {
	few := 2_000
	if os.Getenv("USERS_CRASH_ROUNDS") == "many" {
		few = 10_000
	}
	t.Run("SQLite", func(t *testing.T) {
		b := backend{"sqlite", sqlstore.SQLite, sqliteDSN(t)}
		fast := b // creating the rows is not what is tested
		fast.DSN = strings.Replace(b.DSN, "synchronous(FULL)", "synchronous(OFF)", 1)
		relayProcesses(t, b, fast, few)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		b := backend{"pgx", sqlstore.Postgres, servers.Postgres(t)}
		relayProcesses(t, b, b, 10_000)
	})
	t.Run("MariaDB", func(t *testing.T) {
		b := backend{"mysql", sqlstore.MySQL, servers.MySQL(t)}
		relayProcesses(t, b, b, few)
	})
}

// relayProcesses has the users made through fast, and their mail sent through b.
func relayProcesses(t *testing.T, b, fast backend, want int) {
	svc := prepare(t, b)
	begun := time.Now()
	asked := createMany(t, fast, want)
	created := time.Since(begun)

	begun = time.Now()
	relays := make([]*waitingProcess, len(relaySkews))
	for i, skew := range relaySkews {
		relays[i] = startRelay(t, relaySpec{b, skew})
	}
	for _, r := range relays { // as near to one moment as can be
		r.stdin.Close()
	}
	delivered := make(map[string]int, want) // by notification
	notified := make(map[string]int, want)  // by user
	var shares []int
	tookPart, tokens := 0, 0
	for i, r := range relays {
		lines := r.wait(t)
		switch {
		case len(lines) > 0:
			tookPart++
		case b.Dialect != sqlstore.SQLite: // whose lock is not fair: on a busy machine a process may never get it
			t.Errorf("the relay with a clock off by %v delivered nothing: it took no part", relaySkews[i])
		}
		shares = append(shares, len(lines))
		for _, line := range lines {
			f := strings.Fields(line)
			if len(f) != 3 {
				t.Fatalf("got the line %q, want three words", line)
			}
			delivered[f[0]]++
			notified[f[1]]++
			if f[2] == "-" {
				continue
			}
			tokens++
			if err := svc.SetPassword(t.Context(), apiKey, password.New(f[2]), password.New("an unguessable sentence")); err != nil {
				t.Errorf("the token of a relay with a clock off by %v: %v, want it to be good", relaySkews[i], err)
			}
		}
	}
	took := time.Since(begun)

	if tookPart < 2 {
		t.Errorf("%d relays delivered something, want at least two: the test has tested nothing", tookPart)
	}
	for id, times := range delivered {
		if times != 1 {
			t.Errorf("notification %s was delivered %d times, want once", id, times)
		}
	}
	for id := range asked {
		if notified[id] != 1 {
			t.Errorf("user %s was notified %d times, want once", id, notified[id])
		}
	}
	list, err := svc.Notifications(t.Context(), apiKey, users.NotificationQuery{})
	if err != nil {
		t.Fatal(err)
	}
	left := len(list.Notifications)
	if len(asked) != want || len(delivered) != want || tokens != want/relayLinks || left != 0 {
		t.Errorf("got %d users, %d notifications delivered with %d tokens and at least %d left, want %d, %d, %d and none",
			len(asked), len(delivered), tokens, left, want, want, want/relayLinks)
	}
	t.Logf("%d rows: created in %v, delivered in %v, by process: %v", want, created.Round(time.Millisecond), took.Round(time.Millisecond), shares)
}

// createMany creates the users, in services whose clocks are off, and returns their ids.
func createMany(t *testing.T, b backend, want int) map[string]bool {
	t.Helper()
	db, store, err := b.open()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var next atomic.Int64
	var mu sync.Mutex
	ids := make(map[string]bool, want)
	var creators sync.WaitGroup
	for i := range 16 {
		svc, err := skewedService(store, relaySkews[i%len(relaySkews)])
		if err != nil {
			t.Fatal(err)
		}
		creators.Go(func() {
			for n := next.Add(1); n <= int64(want) && !t.Failed(); n = next.Add(1) {
				name := fmt.Sprintf("user-%05d", n)
				p := users.CreateUserParams{UserName: name, Email: name + "@example.com", SendEmailNotification: true}
				if n%relayLinks == 0 {
					p.AutoCreatePassword = true
				} else {
					p.Password = password.New("an unguessable sentence")
					p.ConfirmPassword = p.Password
				}
				u, err := svc.Create(t.Context(), apiKey, p)
				if err != nil {
					t.Errorf("create: %v", err)
					return
				}
				mu.Lock()
				ids[u.ID] = true
				mu.Unlock()
			}
		})
	}
	creators.Wait()
	return ids
}

// waitingProcess is this test binary as a relay or as another process that waits for its
// start.
type waitingProcess struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout strings.Builder
	log    chan string
}

// startRelay starts a relay process that waits for the end of its standard input.
func startRelay(t *testing.T, spec relaySpec) *waitingProcess {
	t.Helper()
	return startWaiting(t, relayVariable, spec)
}

// startWaiting starts this test binary with its task in a variable, as a process that
// waits for the end of its standard input.
func startWaiting(t *testing.T, variable string, spec any) *waitingProcess {
	t.Helper()
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	r := &waitingProcess{cmd: exec.Command(os.Args[0]), log: make(chan string, 1)}
	r.cmd.Env = append(os.Environ(), variable+"="+string(text))
	r.cmd.Stdout = &r.stdout
	if r.stdin, err = r.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	pipe, err := r.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.cmd.Process.Kill() })
	stderr := bufio.NewReader(pipe)
	if line, err := stderr.ReadString('\n'); line != "ready\n" {
		rest, _ := io.ReadAll(stderr)
		t.Fatalf("the process did not start: %v\n%s%s", err, line, rest)
	}
	go func() {
		rest, _ := io.ReadAll(stderr)
		r.log <- string(rest)
	}()
	return r
}

// wait waits for the end of the process, which must be in order and without a
// failure in its log, and returns the lines of its deliveries.
func (r *waitingProcess) wait(t *testing.T) []string {
	t.Helper()
	var log string
	select {
	case log = <-r.log:
	case <-time.After(10 * time.Minute):
		t.Fatal("a process did not end")
	}
	if err := r.cmd.Wait(); err != nil {
		t.Errorf("a process ended with %v, want an end in order", err)
	}
	for line := range strings.Lines(log) {
		if !isHarmless(line) {
			t.Errorf("a process said %q, want nothing but warnings without an error", line)
		}
	}
	return strings.FieldsFunc(r.stdout.String(), func(c rune) bool { return c == '\n' })
}

// isHarmless reports whether a line of a relay's log is of no failure. On a
// busy machine a lease may run short or out: a warning, after which the row is
// claimed again. A warning with an error is of an attempt that failed, and
// what is no JSON comes from the race detector or from a panic.
func isHarmless(line string) bool {
	var entry struct {
		Level slog.Level
		Error *string
	}
	return json.Unmarshal([]byte(line), &entry) == nil && entry.Level == slog.LevelWarn && entry.Error == nil
}
