// Command import brings users from a file into the database of examples/server: lines of
// JSON, CSV, or what another system exports.
//
//	go run ./import -application KEY [-format FORMAT] [FILE]
//
// Without FILE it reads standard input. Run it with -h for the flags. No row harms
// another, and every run may be repeated, also after a crash: users who are there already
// are told, and left as they are.
//
// The formats:
//
//   - ndjson, which examples/export writes: a line for each user, a JSON object with the
//     members of POST users, passwordHash and emailVerified.
//   - csv: the first line names members. Roles are separated by |, booleans are true or
//     false, dashboardSettings are JSON, and an empty field is absent.
//   - auth0, firebase, keycloak, supabase, aspnet, django, wordpress: see systems.go. JSON
//     and CSV are told apart by how the file begins. Roles don't come along: a role
//     of the same name may allow something else here. A hash that can't be read
//     refuses its row.
//
// What is refused is described on standard error or, with -report, in a file that is itself
// ndjson: its lines begin with why a row was refused, go on with the members of the row, and
// can be mended and imported again. It holds what the file held, clear passwords and hashes
// too, and so only its owner can read it.
//
// -make makes the application, and the roles that rows name, where they are missing. Roles
// made so have a name and nothing else.
//
// The file of -report must be new: each run has one of its own.
//
// The exit code is 0 if every row is a user now, 1 if rows were refused or duplicates, and 2 if the
// import broke off: of the rows it tells of, it is known what became of them, and of the
// others the next run tells. (go run itself ends with 1 for both: scripts want go build.)
// The first SIGTERM or SIGINT breaks it off after a batch.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/gousers/users"
)

// Exit codes.
const (
	exitOK      = 0
	exitRefused = 1
	exitBroken  = 2 // or wrong flags
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	go func() {
		<-signals
		signal.Stop(signals) // the next one kills, also where standard input is silent
		cancel()
	}()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdin *os.File, stdout, stderr io.Writer) int {
	cfg, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		usage(stdout)
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "import: %s (-h shows the flags)\n", oneLine(err))
		return exitBroken
	}
	refused, err := importFile(ctx, cfg, stdin, stdout, stderr)
	switch {
	case err != nil:
		fmt.Fprintf(stderr, "import: %s\n", oneLine(err))
		return exitBroken
	case refused > 0:
		return exitRefused
	}
	return exitOK
}

// oneLine returns the text of err without the line breaks that drivers, and
// errors that are joined, put in.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// importFile imports what cfg says and returns how many rows are no users.
func importFile(ctx context.Context, cfg *config, stdin *os.File, stdout, stderr io.Writer) (refused int64, err error) {
	in, size, err := open(cfg.file, stdin)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	read := &counter{r: in}
	f, err := newFeed(cfg, read)
	if err != nil {
		return 0, err
	}
	defer f.close()

	store, closeStore, err := cfg.db.Open(ctx, slog.New(slog.NewTextHandler(stderr, nil)))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	svc, err := users.New(store, nil)
	if err != nil {
		return 0, err
	}
	m, err := newMaker(ctx, svc, cfg)
	if err != nil {
		return 0, err
	}
	t := newTally(stderr, read, size)
	rep, err := newReport(cfg.report, t)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, rep.close()) }()

	rows := m.make(ctx, f.users())
	for r, failure := range svc.Import(ctx, cfg.application, rows, &users.ImportOptions{DryRun: cfg.dryRun, SkipPolicy: cfg.skipPolicy}) {
		if failure != nil {
			err = failure
			break
		}
		t.add(r)
		if err = rep.add(r, f.take(r.Row)); err != nil {
			break
		}
	}
	t.end(stdout, cfg.dryRun)
	if err = errors.Join(err, m.err, f.err); err != nil {
		return 0, fmt.Errorf("broken off after %d rows: %w", t.rows, err)
	}
	return t.refused(), nil
}

// open returns the file, and its size if that is known.
func open(name string, stdin *os.File) (f *os.File, size int64, err error) {
	if f = stdin; name != "" && name != "-" {
		if f, err = os.Open(name); err != nil {
			return nil, 0, err
		}
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		size = info.Size()
	}
	return f, size, nil
}
