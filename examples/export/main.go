// Command export writes the users of an application in the database of examples/server to
// standard output, as lines of JSON that examples/import takes back whole:
//
//	go run ./export -application KEY -hashes > users.ndjson
//	go run ./import -db DSN -application KEY -make users.ndjson
//
// A line has all members of a user that can be imported, its id among them. Roles come by
// name; what else is known of a role, and a role that nobody has, stay behind, and so do
// sign-ins, links on their way, and when things were changed. Line breaks in
// dashboardSettings become spaces. Without -hashes nobody has a password in the other
// database: each sets one by a link. Who has the hashes can try passwords at leisure: keep
// the file as you keep the database.
//
// Users are read in order of id, some at a time. One that is created meanwhile may be
// missing. The exit code is 0, or 2 if the export broke off: then the file is not whole.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/examples/internal/database"
	"github.com/gousers/users/examples/internal/secret"
)

// Exit codes.
const (
	exitOK     = 0
	exitBroken = 2 // or wrong flags
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// config is what the flags say.
type config struct {
	db          database.Database
	application string
	hashes      bool
}

func flagSet(cfg *config) *flag.FlagSet {
	fs := flag.NewFlagSet("export", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.String("db", "sqlite:users.db", database.DSN+"; @FILE reads it from a file; the environment's USERS_DB is used without this flag")
	fs.StringVar(&cfg.application, "application", "", "`KEY` of the application whose users are exported")
	fs.BoolVar(&cfg.hashes, "hashes", false, "with the hashes of passwords")
	return fs
}

// parse reads the flags. Its errors are one line and hold no password.
func parse(args []string) (*config, error) {
	cfg := new(config)
	fs := flagSet(cfg)
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, errors.New("there is an argument that belongs to no flag")
	}
	if cfg.application == "" {
		return nil, errors.New("-application is missing")
	}
	dsn, source, err := secret.Of(fs, "db", "USERS_DB")
	if err == nil {
		cfg.db, err = database.Parse(dsn)
	}
	if err == nil && cfg.db.Memory() {
		err = errors.New("memory: has nothing to export")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	return cfg, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cfg, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fs := flagSet(&config{})
		fs.SetOutput(stdout)
		fmt.Fprintln(stdout, "usage: export -application KEY [flags]")
		fs.PrintDefaults()
		return exitOK
	}
	if err == nil {
		err = export(ctx, cfg, stdout, slog.New(slog.NewTextHandler(stderr, nil)))
	}
	if err != nil {
		fmt.Fprintf(stderr, "export: %s\n", strings.Join(strings.Fields(err.Error()), " "))
		return exitBroken
	}
	return exitOK
}

func export(ctx context.Context, cfg *config, w io.Writer, log *slog.Logger) (err error) {
	store, closeStore, err := cfg.db.Open(ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	app, err := store.FindApplication(ctx, users.ApplicationQuery{APIKey: cfg.application})
	if err != nil {
		return err
	}

	out := bufio.NewWriter(w)
	for u, err := range each(ctx, store, app.ID) {
		if err != nil {
			return err
		}
		line, err := lineOf(&u, cfg.hashes)
		if err != nil {
			return err
		}
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	return out.Flush()
}

// each yields the users as they are stored, with their hashes, which Service.EachUser does
// not show.
func each(ctx context.Context, store users.Store, applicationID string) iter.Seq2[users.UserRecord, error] {
	return func(yield func(users.UserRecord, error) bool) {
		lister, ok := users.StoreAs[users.UserLister](store)
		if !ok {
			yield(users.UserRecord{}, users.ErrUnsupported)
			return
		}
		q := users.UserListing{ApplicationID: applicationID, Limit: users.MaxPage}
		for {
			page, err := lister.ListUsers(ctx, q)
			if err != nil {
				yield(users.UserRecord{}, err)
				return
			}
			for _, u := range page.Users {
				if !yield(u, nil) {
					return
				}
			}
			if len(page.Users) < q.Limit {
				return
			}
			q.After = &page.Users[len(page.Users)-1]
		}
	}
}

// members are those of a user that import takes, without dashboardSettings.
type members struct {
	ID                   string    `json:"id"`
	UserName             string    `json:"userName"`
	Email                string    `json:"email"`
	EmailVerified        bool      `json:"emailVerified"`
	Name                 string    `json:"name,omitempty"`
	IsApproved           bool      `json:"isApproved"`
	IsLockedOut          bool      `json:"isLockedOut"`
	Roles                []string  `json:"roles,omitempty"`
	CreationDate         time.Time `json:"creationDate"`
	AllowDashboardAccess bool      `json:"allowDashboardAccess,omitempty"`
	PasswordHash         string    `json:"passwordHash,omitempty"`
}

// lineOf returns the line of u.
func lineOf(u *users.UserRecord, hashes bool) ([]byte, error) {
	m := members{
		ID: u.ID, UserName: u.UserName, Email: u.Email, EmailVerified: !u.EmailVerified.IsZero(), Name: u.Name,
		IsApproved: u.IsApproved, IsLockedOut: u.IsLockedOut, CreationDate: u.CreationDate,
		AllowDashboardAccess: u.AllowDashboardAccess,
	}
	for _, r := range u.Roles {
		m.Roles = append(m.Roles, r.Name)
	}
	slices.Sort(m.Roles) // their ids are others in each database
	if hashes {
		m.PasswordHash = u.Hash.Reveal()
	}
	line, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	if u.DashboardSettings != nil {
		// json.Marshal would change bytes that the library keeps. A line break in them is
		// between members, and as good as a space.
		oneLine := strings.NewReplacer("\n", " ", "\r", " ").Replace(string(u.DashboardSettings))
		line = append(line[:len(line)-1], `,"dashboardSettings":`+oneLine+"}"...)
	}
	return append(line, '\n'), nil
}
