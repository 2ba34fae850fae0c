package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"
)

// childVariable makes this test binary the server, with the arguments it has.
const childVariable = "USERS_EXAMPLE_SERVER"

func TestMain(m *testing.M) {
	if limit := os.Getenv(printsLimits); limit != "" {
		limitMemory(fstest.MapFS{"proc/self/cgroup": {Data: []byte("0::/\n")}, "sys/fs/cgroup/memory.max": {Data: []byte(limit + "\n")}})
		fmt.Println(debug.SetMemoryLimit(-1))
		return
	}
	if os.Getenv(childVariable) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

const deadline = 60 * time.Second // for anything that takes milliseconds on an idle machine

// process is a server that runs.
type process struct {
	cmd                      *exec.Cmd
	url, apiKey, token, curl string
	stdout, stderr           *output
	ended                    chan error
}

// output collects what a process writes and tells of every change.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func newOutput() *output { return &output{changed: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p)
	close(o.changed)
	o.changed = make(chan struct{})
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// await waits until the output matches.
func (o *output) await(t *testing.T, pattern string) {
	t.Helper()
	re := regexp.MustCompile(pattern)
	late := time.After(deadline)
	for {
		o.mu.Lock()
		text, changed := o.text.String(), o.changed
		o.mu.Unlock()
		if re.MatchString(text) {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("no %q in the output:\n%s", pattern, text)
		}
	}
}

func command(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Dir = dir
	// The race detector lets a process wait for a second at its end, which would be measured here.
	cmd.Env = append(os.Environ(), "USERS_DB=", "USERS_SMTP=", "GOMEMLIMIT=", childVariable+"=1", "GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0")
	return cmd
}

// start starts the server in dir on a free port and reads what it prints.
func start(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	p := startCommand(t, command(dir, append([]string{"-addr", "127.0.0.1:0"}, args...)...))
	if i := slices.Index(args, "-application"); i >= 0 { // which the server does not print
		_, p.token, _ = strings.Cut(args[i+1], "=")
	}
	return p
}

// startCommand starts a server that may have an environment of its own.
func startCommand(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{
		cmd:    cmd,
		stdout: newOutput(),
		stderr: newOutput(),
		ended:  make(chan error, 1),
	}
	p.cmd.Stderr = p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill() })
	lines := bufio.NewScanner(io.TeeReader(stdout, p.stdout))
	for p.curl == "" && lines.Scan() {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "listening on "):
			p.url = strings.TrimPrefix(line, "listening on ")
		case strings.HasPrefix(line, "application "):
			p.apiKey = strings.Fields(line)[1]
		case strings.HasPrefix(line, "token "):
			p.token = strings.Fields(line)[1]
		case strings.HasPrefix(line, "curl "):
			p.curl = line
		}
	}
	if p.curl == "" {
		err := p.cmd.Wait()
		t.Fatalf("the server ended (%v) before it printed a curl command: %s", err, p.stderr)
	}
	go func() {
		io.Copy(p.stdout, stdout)
		p.ended <- p.cmd.Wait()
	}()
	return p
}

// stop sends sig and wants the server to end with code 0.
func (p *process) stop(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	p.wantEnd(t)
}

func (p *process) wantEnd(t *testing.T) {
	t.Helper()
	select {
	case err := <-p.ended:
		if err != nil {
			t.Fatalf("the server ended with %v, want exit code 0: %s", err, p.stderr)
		}
	case <-time.After(deadline):
		t.Fatalf("the server did not end: %s", p.stderr)
	}
}

// fail runs the server with arguments that it can't start with.
func fail(t *testing.T, args ...string) (code int, stderr string) {
	t.Helper()
	return failCommand(t, command(t.TempDir(), args...))
}

func failCommand(t *testing.T, cmd *exec.Cmd) (code int, stderr string) {
	t.Helper()
	var text bytes.Buffer
	cmd.Stderr = &text
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(deadline, func() { cmd.Process.Kill() })
	defer late.Stop()
	err := cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("got %v, want an exit code", err)
	}
	return exit.ExitCode(), text.String()
}
