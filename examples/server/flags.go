package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/gousers/users/examples/internal/database"
	"github.com/gousers/users/examples/internal/secret"
	"github.com/gousers/users/password"
	"github.com/gousers/users/smtpnotify"
)

// config is what the flags say.
type config struct {
	addr    string
	db      database.Database
	baseURL string // without a slash at the end; empty: the listening address
	hasher  password.Hasher
	mailDir string
	smtp    *smtpnotify.Notifier // nil: none
	from    string
	admins  []grant
	limited []grant
	roles   []roleFlag
	interop bool
	origins []string // of pages that may call across origins
}

// grant is a token for an application.
type grant struct {
	apiKey string
	token  password.Secret
}

func (g grant) equal(h grant) bool { return g.apiKey == h.apiKey && g.token.Equal(h.token) }

type roleFlag struct{ apiKey, name string }

// list collects the values of a flag that may be repeated. They are judged
// after parsing: package flag quotes a value that is refused, and these hold secrets.
type list []string

func (l *list) String() string     { return "" }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

// texts are the flags as they were given, but for those that [secret.Of] reads.
type texts struct {
	addr, baseURL, hash, mailDir, from string
	admins, limited, roles             list
	interop                            bool
	origins                            list
}

func flagSet(t *texts) *flag.FlagSet {
	fs := flag.NewFlagSet("server", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&t.addr, "addr", "127.0.0.1:8080", "`host:port` to listen on; port 0 takes a free one")
	fs.String("db", "sqlite:users.db", database.DSN+" or memory:; @FILE reads it from a file; the environment's USERS_DB is used without this flag")
	fs.Var(&t.admins, "application", "`KEY=TOKEN`: an application, made if missing, and a bearer token that may do everything in it; KEY=@FILE reads the token from a file (repeatable; default: demo with a random token)")
	fs.Var(&t.limited, "limited", "`KEY=TOKEN`: a bearer token that may create users with unprivileged members and read by id what it created; KEY=@FILE reads it from a file (repeatable)")
	fs.Var(&t.roles, "role", "`KEY=NAME`: a role of an application, made if missing (repeatable)")
	fs.StringVar(&t.mailDir, "mail", "", "`DIR` for one .eml file per notification (default: a line in the log, without the link)")
	fs.String("smtp", "", "`URL` of a mail server: smtp://[user:pass@]host:port (STARTTLS is required, except on localhost) or smtps://…; @FILE reads it from a file; the environment's USERS_SMTP is used without this flag")
	fs.StringVar(&t.from, "from", "no-reply@example.com", "`address` that mail is sent from; -smtp needs it")
	fs.StringVar(&t.baseURL, "base-url", "", "`URL` under which users reach this server, for links (default: paths, and in mail the listening address); -smtp needs it")
	fs.StringVar(&t.hash, "hash", "argon2id", "`argon2id|bcrypt:COST` for new passwords")
	fs.BoolVar(&t.interop, "interop", false, "serve the published clients of this API (for JavaScript, AngularJS and .NET) unmodified, and let users sign in at login")
	fs.Var(&t.origins, "origin", "`URL` of an origin, such as https://app.example.com, whose pages may call across origins; needs -interop (repeatable)")
	return fs
}

func usage(w io.Writer) {
	fs := flagSet(&texts{})
	fs.SetOutput(w)
	fmt.Fprintln(w, "usage: server [flags]")
	fs.PrintDefaults()
	fmt.Fprintln(w, "In a container Go's memory limit comes from the cgroup, unless GOMEMLIMIT is set; 96 MiB are enough for SQLite and the default -hash.")
}

// parse reads the flags. Its errors are one line and hold no token and no password.
func parse(args []string) (*config, error) {
	var t texts
	fs := flagSet(&t)
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		// Not quoted: it may be a secret that slipped out of its flag.
		return nil, fmt.Errorf("argument %d belongs to no flag", len(args)-fs.NArg()+1)
	}
	cfg := &config{addr: t.addr, mailDir: t.mailDir, from: t.from}
	var err error
	if _, _, err = net.SplitHostPort(t.addr); err != nil {
		return nil, fmt.Errorf("-addr must be host:port: %w", err)
	}
	dsn, source, err := secret.Of(fs, "db", "USERS_DB")
	if err == nil {
		cfg.db, err = database.Parse(dsn)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	if cfg.hasher, err = parseHash(t.hash); err != nil {
		return nil, fmt.Errorf("-hash: %w", err)
	}
	if cfg.baseURL, err = parseBaseURL(t.baseURL); err != nil {
		return nil, fmt.Errorf("-base-url: %w", err)
	}
	if _, err := mail.ParseAddress(t.from); err != nil {
		return nil, errors.New("-from: must be a mail address")
	}
	if err := cfg.parseSMTP(fs); err != nil {
		return nil, err
	}
	if cfg.interop, cfg.origins = t.interop, t.origins; len(cfg.origins) > 0 && !cfg.interop {
		return nil, errors.New("-origin needs -interop")
	}
	if slices.ContainsFunc(cfg.origins, func(o string) bool { return !isOrigin(o) }) {
		return nil, errors.New("-origin: must be what browsers send: scheme://host or scheme://host:port in lower case, without a path or the usual port")
	}
	return cfg, cfg.parseGrants(t)
}

// isOrigin reports whether a browser sends s as the origin of a page; httpapi.New
// refuses everything else.
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || s != strings.ToLower(u.Scheme+"://"+u.Host) || strings.HasSuffix(s, ":") {
		return false
	}
	usual := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	odd := strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '*' })
	return !odd && (usual == "" || u.Port() != usual)
}

func (cfg *config) parseSMTP(fs *flag.FlagSet) error {
	server, source, err := secret.Of(fs, "smtp", "USERS_SMTP")
	if err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	if server == "" {
		return nil
	}
	if cfg.mailDir != "" {
		return fmt.Errorf("-mail and %s exclude each other", source)
	}
	if cfg.smtp, err = newSMTP(server, cfg.from); err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	if !secret.Given(fs, "from") || cfg.baseURL == "" {
		return fmt.Errorf("%s needs -from and -base-url: the mail is for other machines, which take none from the default sender and can't follow a link to the listening address", source)
	}
	return nil
}

func (cfg *config) parseGrants(t texts) (err error) {
	if cfg.admins, err = parseGrants(t.admins); err != nil {
		return fmt.Errorf("-application: %w", err)
	}
	if cfg.limited, err = parseGrants(t.limited); err != nil {
		return fmt.Errorf("-limited: %w", err)
	}
	all := slices.Concat(cfg.admins, cfg.limited)
	for i, g := range all {
		if slices.ContainsFunc(all[:i], g.equal) {
			return fmt.Errorf("-application, -limited: the same token twice for %q", g.apiKey)
		}
	}
	for _, v := range t.roles {
		key, name, ok := strings.Cut(v, "=")
		if !ok || key == "" || name == "" {
			return errors.New("-role: must be KEY=NAME")
		}
		cfg.roles = append(cfg.roles, roleFlag{key, name})
	}
	return nil
}

// bearer is what the Authorization header can carry (RFC 6750 section 2.1).
var bearer = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

func parseGrants(values []string) ([]grant, error) {
	var grants []grant
	for _, v := range values {
		key, token, ok := strings.Cut(v, "=")
		// Of equal signs alone: a token that ends with them, and no KEY, which the
		// errors below would tell.
		if !ok || key == "" || strings.Trim(token, "=") == "" {
			return nil, errors.New("must be KEY=TOKEN")
		}
		token, err := secret.Read(token)
		switch {
		case err != nil:
			return nil, fmt.Errorf("the token for %q: %w", key, err)
		case !bearer.MatchString(token):
			return nil, fmt.Errorf("the token for %q must be letters, digits and any of -._~+/ (RFC 6750)", key)
		}
		grants = append(grants, grant{key, password.New(token)})
	}
	return grants, nil
}

func parseHash(s string) (password.Hasher, error) {
	if s == "argon2id" {
		return password.Default(), nil
	}
	if text, ok := strings.CutPrefix(s, "bcrypt:"); ok {
		cost, err := strconv.Atoi(text)
		if err != nil {
			return nil, errors.New("the cost of bcrypt must be a number")
		}
		return password.Bcrypt(cost)
	}
	return nil, errors.New("must be argon2id or bcrypt:COST")
}

func parseBaseURL(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("must be http://host or https://host, with a path or without")
	}
	return strings.TrimRight(s, "/"), nil
}
