package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/gousers/users/examples/internal/database"
	"github.com/gousers/users/examples/internal/secret"
)

// config is what the flags say.
type config struct {
	db                 database.Database
	application        string
	format             string
	firebase           hashConfig
	dryRun, skipPolicy bool
	make               bool
	report, file       string
}

func flagSet(cfg *config) *flag.FlagSet {
	fs := flag.NewFlagSet("import", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.String("db", "sqlite:users.db", database.DSN+"; @FILE reads it from a file; the environment's USERS_DB is used without this flag")
	fs.StringVar(&cfg.application, "application", "", "`KEY` of the application that the users are for")
	fs.StringVar(&cfg.format, "format", "ndjson", "`FORMAT` of the file: "+strings.Join(formats(), ", "))
	fs.String("hash-config", "", "`FILE` with the hash parameters of a Firebase project, as its console shows them")
	fs.BoolVar(&cfg.dryRun, "dry-run", false, "judge every row and write none; tables are made")
	fs.BoolVar(&cfg.skipPolicy, "skip-policy", false, "take clear passwords that are short or easy to guess: they are in use")
	fs.BoolVar(&cfg.make, "make", false, "make the application, and the roles that rows name, where they are missing")
	fs.StringVar(&cfg.report, "report", "", "new `FILE` for the rows that were refused, to be mended and imported; it holds the passwords and hashes of these rows")
	return fs
}

func usage(w io.Writer) {
	fs := flagSet(&config{})
	fs.SetOutput(w)
	fmt.Fprintln(w, "usage: import -application KEY [flags] [FILE]")
	fs.PrintDefaults()
}

// parse reads the flags. Its errors are one line and hold no password.
func parse(args []string) (*config, error) {
	cfg := new(config)
	fs := flagSet(cfg)
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 1 {
		return nil, errors.New("more than one FILE; flags come before it")
	}
	cfg.file = fs.Arg(0)
	if cfg.application == "" {
		return nil, errors.New("-application is missing")
	}
	if !known(cfg.format) {
		return nil, fmt.Errorf("-format: must be one of %s", strings.Join(formats(), ", "))
	}
	dsn, source, err := secret.Of(fs, "db", "USERS_DB")
	if err == nil {
		cfg.db, err = database.Parse(dsn)
	}
	if err == nil && cfg.db.Memory() {
		err = errors.New("memory: would end with this program")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	if cfg.firebase, err = readHashConfig(fs.Lookup("hash-config").Value.String(), cfg.format); err != nil {
		return nil, fmt.Errorf("-hash-config: %w", err)
	}
	return cfg, nil
}

func readHashConfig(file, format string) (c hashConfig, err error) {
	if (format == "firebase") != (file != "") {
		return c, errors.New("is for -format firebase, which needs it")
	}
	if file == "" {
		return c, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return c, err
	}
	return parseHashConfig(text)
}
