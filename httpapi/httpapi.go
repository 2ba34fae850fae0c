// Package httpapi serves a users.Service over HTTP: creating a user, reading it
// back, the roles of an application, and setting a password by a one-time link.
//
// [New] gives a plain http.Handler for any router. It strips nothing and needs
// nothing stripped: [Options.Prefix] is where it is mounted.
//
//	POST /{apiKey}/users              create a user: 201 with Location
//	GET  /{apiKey}/users/{ref}        a user by id or user name
//	GET  /{apiKey}/roles              the roles; ?after=ID&limit=N
//	POST /{apiKey}/roles              create a role: 201 with Location
//	GET  /{apiKey}/roles/{id}         a role
//	POST /{apiKey}/recover-password   {"userName"}: 201, whether the user exists or not
//	PUT  /{apiKey}/recover-password   {"passwordRecoveryToken","newPassword"}: 200
//
// A path may end in a slash. HEAD goes where GET goes, OPTIONS everywhere.
// Answers are application/json with links as an array, or application/hal+json
// for a client that names it in Accept. Errors are problem details (RFC 9457).
// [OpenAPI] describes all of it.
package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gousers/users"
)

// DefaultTimeout is the deadline of a request where Options.Timeout is 0.
const DefaultTimeout = 30 * time.Second

// Options configures the handler.
type Options struct {
	// Authenticate says who sent r to the application named by apiKey, which is
	// not known to exist. It is required, so that no handler is open by mistake;
	// see [BearerTokens]. It must not read the body.
	//
	// A Caller whose APIKey is not apiKey is refused like a bad token. Errors:
	// ErrNoCredentials and ErrInvalidToken (or users.ErrUnauthenticated) are
	// 401, users.ErrUnavailable is 503, any other is 500.
	Authenticate func(r *http.Request, apiKey string) (users.Caller, error)
	// Prefix is the path under which the handler is mounted, unstripped, such
	// as "/v1"; empty: the root. A request outside of it is 404. Links begin with it.
	Prefix string
	// BaseURL, such as "https://api.example.com", stands before Prefix in links.
	// Empty: links are paths. The request's Host is never used.
	BaseURL string
	// Logger gets one record for each 500 and 503, with the cause. nil: silent.
	// What may hold a secret is left out: of a panic it gets the type and the
	// place, of a Hasher's error the type, and no token of the request.
	Logger *slog.Logger
	// Timeout is the deadline of each request's context; 0: DefaultTimeout. It does
	// not interrupt a client that sends its body slowly: that is http.Server.ReadTimeout.
	Timeout time.Duration
	// Challenge is the WWW-Authenticate of a 401 (RFC 9110 section 11.6.1);
	// empty: "Bearer". Where its scheme is Bearer, a bad token adds
	// error="invalid_token" (RFC 6750 section 3).
	Challenge string
}

type handler struct {
	svc    *users.Service
	opts   Options
	prefix string
	base   string // what stands before "/{apiKey}" in links

	decoders, buffers sync.Pool // reused between requests
}

// New makes the handler that serves svc. It is safe for concurrent use and
// starts no goroutines. o is copied.
func New(svc *users.Service, o *Options) (http.Handler, error) {
	if svc == nil {
		return nil, errors.New("httpapi: New: service is nil")
	}
	if o == nil || o.Authenticate == nil {
		return nil, errors.New("httpapi: New: Authenticate is required")
	}
	h := &handler{svc: svc, opts: *o, prefix: o.Prefix, base: o.BaseURL + o.Prefix}
	if err := checkPrefix(o.Prefix); err != nil {
		return nil, fmt.Errorf("httpapi: New: Prefix %w", err)
	}
	if err := checkBaseURL(o.BaseURL); err != nil {
		return nil, fmt.Errorf("httpapi: New: BaseURL %w", err)
	}
	if o.Timeout < 0 {
		return nil, errors.New("httpapi: New: Timeout is negative")
	}
	if o.Timeout == 0 {
		h.opts.Timeout = DefaultTimeout
	}
	if o.Challenge == "" {
		h.opts.Challenge = "Bearer"
	}
	for _, c := range []byte(o.Challenge) {
		if c < ' ' || c > '~' {
			return nil, errors.New("httpapi: New: Challenge must be printing ASCII")
		}
	}
	if o.Logger == nil {
		h.opts.Logger = slog.New(slog.DiscardHandler)
	}
	return h, nil
}

func checkPrefix(p string) error {
	if p == "" {
		return nil
	}
	if p[0] != '/' {
		return errors.New("must begin with a slash")
	}
	for seg := range strings.SplitSeq(p[1:], "/") {
		if !validSegment(seg) {
			return errors.New(`must be segments like "/v1", without a slash at the end`)
		}
		for _, c := range []byte(seg) {
			if !unreserved(c) {
				return errors.New("must hold letters, digits, '-', '.', '_' and '~' only")
			}
		}
	}
	return nil
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

func checkBaseURL(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	switch {
	case err != nil: // its text quotes the URL, which may hold credentials
		return errors.New("is not a URL")
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return errors.New("must be an absolute http or https URL")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(s, "#"):
		return errors.New("must have no credentials, query or fragment")
	case strings.HasSuffix(s, "/"):
		return errors.New("must not end in a slash")
	}
	return nil
}

// ServeHTTP routes the request and writes what its action answers.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), h.opts.Timeout)
	defer cancel()
	x := &exchange{h: h, w: w, r: r.WithContext(ctx), ctx: ctx}
	x.values = x.room[:0]
	defer x.recoverPanic()
	x.format, x.acceptable, x.problemType = negotiate(r.Header["Accept"])
	a, err := x.serve()
	if err != nil {
		x.writeProblem(h.problem(x, err))
		return
	}
	x.write(a)
}

// exchange is one request and its answer.
type exchange struct {
	h           *handler
	w           http.ResponseWriter
	r           *http.Request
	ctx         context.Context // with the deadline and, once known, the caller
	apiKey, ref string          // path parameters, decoded
	pattern     string          // of the route, for the log
	base        string          // of links into the application
	format      format
	acceptable  bool
	problemType string
	written     bool
	values      []string  // of the headers of the answer, each its own slice
	room        [6]string // for them: one allocation instead of one for each
}

// answer is a success.
type answer struct {
	status   int
	location string
	body     any // nil: no content
}

func (x *exchange) serve() (answer, error) {
	res, apiKey, ref := x.h.route(x.r.URL.EscapedPath())
	if res == nil {
		return answer{}, errNoRoute
	}
	x.apiKey, x.ref, x.pattern = apiKey, ref, res.pattern
	act := res.action(x.r.Method)
	if act == nil {
		x.w.Header().Set("Allow", res.allow)
		if x.r.Method == http.MethodOptions {
			return answer{status: http.StatusNoContent}, nil
		}
		return answer{}, errMethod
	}
	if !res.open {
		if err := x.authenticate(); err != nil {
			return answer{}, err
		}
	}
	x.base = x.h.base + "/" + apiKey
	return act(x)
}
