package servers

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Server is a throw-away server on a free port of 127.0.0.1, with its data in
// a temporary directory. A test may kill and restart it.
type Server struct {
	DSN string

	driver  string
	dir     string // everything of the server; removed by Stop
	owned   bool   // dir was made here
	command func() *exec.Cmd
	process *exec.Cmd
	died    chan struct{}
}

// StartPostgres makes a data directory in dir (empty: a temporary one) and
// starts a PostgreSQL on it; its DSN is a URL.
func StartPostgres(dir string) (*Server, error) {
	initdb, err := binary("initdb", "/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin")
	if err != nil {
		return nil, err
	}
	s, port, err := prepare("pgx", dir)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(s.dir, "data")
	s.DSN = fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", port)
	if out, err := s.asUser(initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C").CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("initdb: %w: %s", err, firstLine(out)), s.Stop())
	}
	s.command = func() *exec.Cmd {
		return s.asUser(filepath.Join(filepath.Dir(initdb), "postgres"), "-D", data, "-h", "127.0.0.1", "-p", strconv.Itoa(port), "-k", s.dir)
	}
	return s.started()
}

// StartMariaDB makes a data directory in dir (empty: a temporary one) and
// starts a MariaDB on it; its DSN is one of go-sql-driver's.
func StartMariaDB(dir string) (*Server, error) {
	return startMariaDB(dir, false, "--innodb-flush-log-at-trx-commit=1")
}

// startMariaDB is StartMariaDB with more arguments. If given, the server gets its
// data from elsewhere.
func startMariaDB(dir string, given bool, args ...string) (*Server, error) {
	install, err := binary("mariadb-install-db", "/usr/bin", "/usr/local/bin")
	if err != nil {
		return nil, err
	}
	mariadbd, err := binary("mariadbd", "/usr/sbin", "/usr/libexec", "/usr/local/bin")
	if err != nil {
		return nil, err
	}
	s, port, err := prepare("mysql", dir)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(s.dir, "data")
	s.DSN = fmt.Sprintf("root@tcp(127.0.0.1:%d)/", port)
	make := s.asUser(install, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db")
	if given {
		make = s.asUser("mkdir", data)
	}
	if out, err := make.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w: %s", make.Path, err, firstLine(out)), s.Stop())
	}
	s.command = func() *exec.Cmd {
		return s.asUser(mariadbd, append([]string{"--no-defaults", "--datadir=" + data, "--bind-address=127.0.0.1", "--port=" + strconv.Itoa(port),
			"--socket=" + filepath.Join(s.dir, "s"), "--pid-file=" + filepath.Join(s.dir, "pid")}, args...)...)
	}
	return s.started()
}

// Kill ends the server as a power failure would, and waits until it is gone.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	if err := s.kill(); err != nil {
		t.Fatal(err)
	}
}

// Start starts a killed server on the same data and port, and waits until it answers.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if s.process != nil {
		t.Fatal("servers: it is running")
	}
	if _, err := s.started(); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) kill() error {
	if s.process == nil {
		return nil
	}
	// PostgreSQL's backends have sessions of their own and would live on for a
	// moment, with its shared memory. A server that is stopped starts no other.
	server := s.process.Process.Pid
	syscall.Kill(server, syscall.SIGSTOP)
	for running(server) {
		if _, state := stat(fmt.Sprintf("/proc/%d/stat", server)); state == "T" {
			break
		}
		time.Sleep(time.Millisecond)
	}
	descendants := descendantsOf(server)
	err := s.process.Process.Kill()
	<-s.died
	for _, pid := range descendants {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	for _, pid := range descendants {
		for syscall.Kill(pid, 0) == nil && running(pid) {
			time.Sleep(time.Millisecond)
		}
	}
	s.process = nil
	return err
}

// descendantsOf reads /proc; where there is none, they end by themselves. They are
// more than children: a node of Galera starts a script, and that one rsync.
func descendantsOf(parent int) (pids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		if ppid, _ := stat(file); ppid == parent {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
				pids = append(append(pids, pid), descendantsOf(pid)...)
			}
		}
	}
	return pids
}

func running(pid int) bool {
	_, state := stat(fmt.Sprintf("/proc/%d/stat", pid))
	return state != "" && state != "Z"
}

// stat returns the parent and the state of a process (proc(5)).
func stat(file string) (ppid int, state string) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, ""
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 2 {
		return 0, ""
	}
	ppid, _ = strconv.Atoi(fields[1])
	return ppid, fields[0]
}

// Stop ends the server and removes its data.
func (s *Server) Stop() error {
	err := s.kill()
	if s.owned {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

func prepare(driver, dir string) (*Server, int, error) {
	s := &Server{driver: driver, dir: dir}
	if dir == "" {
		var err error
		// Not under t.TempDir: a user other than root must reach it, and a
		// socket's path is short.
		if s.dir, err = os.MkdirTemp("/tmp", "usersdb"); err != nil {
			return nil, 0, err
		}
		s.owned = true
	}
	if id, ok := nobody(); ok {
		if err := os.Chown(s.dir, int(id.Uid), int(id.Gid)); err != nil {
			return nil, 0, err
		}
	}
	port, err := freePort()
	return s, port, err
}

func (s *Server) started() (*Server, error) {
	c := s.command()
	if err := c.Start(); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	died := make(chan struct{})
	go func() { c.Wait(); close(died) }()
	s.process, s.died = c, died
	if err := await(s.driver, s.DSN, died); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// asUser runs a command in its own process group and, as root, as another
// user: PostgreSQL refuses root.
func (s *Server) asUser(name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...)
	c.Dir = s.dir
	c.Env = append(os.Environ(), "HOME="+s.dir)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if id, ok := nobody(); ok {
		c.SysProcAttr.Credential = &id
	}
	return c
}

// nobody is a user without rights to become, for a test that runs as root.
func nobody() (syscall.Credential, bool) {
	if os.Getuid() != 0 {
		return syscall.Credential{}, false
	}
	for _, name := range []string{"postgres", "mysql", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, _ := strconv.Atoi(u.Uid)
			gid, _ := strconv.Atoi(u.Gid)
			return syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, true
		}
	}
	return syscall.Credential{}, false
}

func binary(name string, dirs ...string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return real, nil
		}
	}
	for _, dir := range dirs {
		if found, _ := filepath.Glob(filepath.Join(dir, name)); len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	return "", fmt.Errorf("%s is not installed", name)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
