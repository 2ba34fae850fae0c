// Command server is the library as a program: the HTTP API on a database, with
// a demo application to try it with, a relay that delivers the mail, and the
// page on which a user sets a password.
//
//	go run ./server
//
// It prints where it listens, an application, a token and a curl command that
// makes a user. Run it with -h for the flags. For a database that is not up yet
// it waits up to 30 seconds. SIGTERM and SIGINT finish what has
// begun and end it with code 0: requests get 15 seconds, then notifications
// 10. A second signal ends it at once.
//
// In a container it obeys the memory limit: it tells Go of it, as GOMEMLIMIT
// would, and hashes fewer passwords at once than there are cores if that is
// needed. 96 MiB are enough on SQLite with argon2id, whatever the cores: 64
// clients that create users at once take it to 95 at most. Without a limit they take
// it to about 60 MiB and 40 for each core.
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
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	go func() {
		<-signals
		signal.Stop(signals) // first: from now on a signal has its usual effect and kills
		cancel()
	}()
	limitMemory(os.DirFS("/"))
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cfg, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		usage(stdout)
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "server: %s (-h shows the flags)\n", oneLine(err))
		return exitUsage
	}
	if err := serve(ctx, cfg, stdout, slog.New(slog.NewTextHandler(stderr, nil))); err != nil && !(ctx.Err() != nil && errors.Is(err, context.Canceled)) {
		fmt.Fprintf(stderr, "server: %s\n", oneLine(err))
		return exitFailed
	}
	return exitOK
}

// oneLine returns the text of err without the line breaks that drivers, and
// errors that are joined, put in.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
