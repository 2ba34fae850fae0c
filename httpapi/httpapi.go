// Package httpapi serves a [users.Service] over HTTP: creating, finding, changing
// and deleting users, the roles of an application, and setting a password, also by a
// one-time link.
//
// [New] returns a plain [http.Handler] for any router. It strips nothing and
// needs nothing stripped: [Options.Prefix] is where it is mounted.
//
//	POST   /{apiKey}/users              create a user: 201 with Location
//	POST   /{apiKey}/users/import       create a user from each line; see Import
//	GET    /{apiKey}/users              find users; see Lists
//	GET    /{apiKey}/users/{ref}        a user by id, user name or e-mail address; ?fields=, ?embed=roles
//	PUT    /{apiKey}/users/{ref}        change it: 204; what is absent or null stays
//	DELETE /{apiKey}/users/{ref}        delete it: 204
//	GET    /{apiKey}/users/{ref}/exists            204 or 404
//	PUT    /{apiKey}/users/{ref}/lock              204; likewise unlock, approve and disapprove
//	PUT    /{apiKey}/users/{ref}/change-password   {"newPassword","oldPassword","sendEmailNotification"}: 200
//	GET    /{apiKey}/roles              find roles; see Lists
//	POST   /{apiKey}/roles              create a role: 201 with Location
//	GET    /{apiKey}/roles/{id}         a role
//	PUT    /{apiKey}/roles/{id}         change it: 204
//	DELETE /{apiKey}/roles/{id}         delete it: 204
//	POST   /{apiKey}/recover-password   {"userName"}: 201, whether the user exists or not
//	PUT    /{apiKey}/recover-password   {"passwordRecoveryToken","newPassword"}: 200
//
// A path may end in a slash. HEAD goes where GET goes, OPTIONS everywhere. Roles are
// found at lookups/roles as well. [OpenAPI] describes all of it. [Interop] changes some
// of it for published clients, and adds a login.
//
// # Callers
//
// The host identifies the caller in an [Authenticator]: by a session cookie, a
// token, a client certificate. [BearerTokens] is one for a fixed set of tokens.
// recover-password needs no caller, nor does the login of [Interop]: Admit of
// [users.Options] limits who calls them.
//
// # Requests
//
// A body is one JSON object in strict JSON (I-JSON, RFC 7493) of at most
// [MaxBody] bytes and [MaxDepth] levels, with Content-Type application/json or
// application/hal+json; parameters of the type, such as a charset, have no effect,
// and a byte order mark before the object is skipped (RFC 8259 sections 11 and
// 8.1). Members that the contract does not know are skipped, unless
// [Options.ExtraMembers] names them for the host's hooks; null is absent, and so is
// what generated clients send for none: an id of zeros alone, of any length, and
// the date 0001-01-01T00:00:00 in any zone.
//
// A date is a time of RFC 3339, or one of the forms of ISO 8601 that clients write
// beside it: without the zone (UTC), the seconds or the time, with offsets such as
// +0100 and +01, with a comma before the fraction. A leap second is the second
// after it.
//
// The header Idempotency-Key makes POST users repeatable; see
// [users.CreateUserParams].
//
// A user that was fetched, in either form, can be sent back whole to PUT
// users/{ref}: a member that is as it was asks for nothing, and what can't be changed
// is skipped. The body of lock, unlock, approve and disapprove is not looked at.
//
// change-password takes sendMailNotification as well, as some clients spell it. The
// oldPassword is for a user's own change: an administrator's is not looked at.
//
// # Lists
//
// GET users takes searchQuery, userIds, roleIds, roleNames, isApproved and isLocked,
// which must all match, embed and fields. Lists have commas or repeat the parameter.
// GET roles takes searchQuery. Both take sort, as in userName|desc,email or
// -userName,email, and page and rpp, by default 1 and 10: such a page tells how many
// there are on all pages. With limit instead, and from then on with the after of its
// link to the next page, a page costs the same at any depth and nothing is counted;
// see [users.FindUsersParams]. With after alone the limit is 10 users or 100 roles. A parameter without a value is absent, one that is
// unknown is skipped.
//
// # Import
//
// POST users/import takes application/x-ndjson, of any length, and answers with the same
// while it reads: each line is a user as [DecodeUsers] reads it, with [Options.ExtraMembers]
// as well, or nothing if it is blank. See [users.Service.Import]. With dryRun=true every row is
// judged and nothing written; skipPolicy=true takes passwords that the policy would refuse.
// The answer is 200 with a line for each row that is refused or duplicate, and with
// results=all for every row:
//
//	{"row":7,"outcome":"refused","errors":[{"pointer":"/email","code":"required","detail":"is required"}]}
//	{"row":9,"outcome":"created","id":"01ARZ3NDEKTSV4RRFFQ69G5FAV"}
//
// The last line has the counts:
//
//	{"rows":9,"created":7,"exists":0,"duplicate":1,"refused":1}
//
// or is {"error":{…}} with a problem as below, if the import ended before; one that ends
// before its first batch is settled is answered with the status of that problem. An answer
// without such a line was broken off. Whatever ended an import, the same rows sent again go
// on with it: those that were written exist. A client that writes all of its rows before it
// reads is heard as long as what it is told fits into the buffers of the connection, as
// some hundred refusals do.
//
// [Options.Timeout] and the timeouts of the server hold until the first row is read. From
// then on the client has 30 seconds for each line that it sends, and for each part of the
// answer that it takes. The import ends with the request's context. All of this needs a
// [http.ResponseWriter] with EnableFullDuplex, Flush, SetReadDeadline and SetWriteDeadline,
// or with an Unwrap; see [http.ResponseController]. Without the first the answer is held
// until the body was read; an import that has more than 1 MiB of it to tell ends there with
// an error, after what it told.
//
// # Versions
//
// An answer that shows one user, or to a PUT that changes one, has an ETag, a strong one
// for each form, that names the user's version (RFC 9110 section 8.8). Those to lock and
// the like, and to change-password, have none. A role that is renamed changes no user's
// version: the ETag stays, although roles are shown. The 204 of a PUT has that of the new
// version, which RFC 9110 section 9.3.4 keeps for what is stored as it was sent: a client
// that edits twice needs it. With it in If-Match, PUT and DELETE of that user
// and of what is below it are done only if it still has this version: otherwise they
// are 412. Of several tags, of which the 20 newest versions count, one must match;
// weak tags, unknown ones and a header that is malformed never do. Without If-Match nothing that another client changed meanwhile
// is undone either: changes are applied member by member.
//
// # Answers
//
// Answers are application/json with links as an array, or application/hal+json
// for a client that names it in Accept (RFC 9110 section 12.5.1); see
// [users.Form]. They are never cached.
//
// A body that nobody wants is still read before the answer, up to 4 MiB of it and
// for 2 seconds: a client that writes before it reads would otherwise lose the
// answer where the connection closes after it (RFC 9112 section 9.6). That needs
// a [http.ResponseWriter] with a read deadline; a middleware's has an Unwrap, see
// [http.ResponseController]. A client that waits for 100 Continue is answered at once.
//
// # Errors
//
// Errors are problem details (RFC 9457). Their member errors names every fault:
// pointer (RFC 6901), to a member of the body or a parameter of the query, code for
// programs, detail for people, and limit where the rule is one. A refusal of the
// caller comes before a 404, that before what is wrong with the members, and a
// precondition that fails comes last (RFC 9110 section 13.2.1).
//
//	400  the request is not valid
//	401  no credentials, or bad ones; with the challenge
//	403  the caller may not do this; errors names privileged members
//	404, 405, 406, 413, 415  with their usual HTTP meaning
//	409  conflict: errors names every member that is already taken
//	412  the user has no version that If-Match names
//	422  the idempotency key was used before with another request
//	429  the host wants this client to wait; with Retry-After (RFC 6585 section 4)
//	500  internal error; instance names the record in the log
//	503  too busy, the store is not available, or, in the host's own transaction,
//	     another one changed the same; with Retry-After
//
// A hook of [users.Options] refuses with a [*users.ForbiddenError] or a
// [*users.ValidationError], whose own sentences the client gets, or with a
// [*users.TooManyRequestsError]; see [users.HookError]. Handlers that a host writes
// beside the API answer with [Handler.WriteError].
package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gousers/users"
)

// DefaultTimeout is the deadline of a request where Options.Timeout is 0.
const DefaultTimeout = 30 * time.Second

// Options configures a [Handler]. The zero value serves at the root, with links
// that are paths, and logs nothing.
type Options struct {
	// Prefix is the path under which the handler is mounted, unstripped, such
	// as "/v1"; empty: the root. A request outside of it is 404. Links begin with it.
	Prefix string
	// BaseURL, such as "https://api.example.com", precedes Prefix in links.
	// Empty: links are paths. The request's Host is never used.
	BaseURL string
	// Logger gets one record for each 500 and 503, with the cause; nil: silent.
	// What may hold a secret is left out: of a panic it gets the type and the
	// place, of a Hasher's error the type, and of no error the credentials in
	// the request's headers Authorization and Cookie; of an error beside more
	// than 200 of those, nothing.
	Logger *slog.Logger
	// Timeout is the deadline of each request's context; 0: DefaultTimeout. It does
	// not interrupt a client that sends its body slowly: that is http.Server.ReadTimeout.
	// An import goes on after it.
	Timeout time.Duration
	// Challenge is the WWW-Authenticate of a 401 (RFC 9110 section 11.6.1);
	// empty: "Bearer". Where its scheme is Bearer, a bad token adds
	// error="invalid_token" (RFC 6750 section 3).
	Challenge string
	// Interop serves the published clients of this API as well, as they are; nil: off.
	Interop *Interop
	// ExtraMembers names members of POST users that the contract does not know
	// and the host's hooks want: their values reach CreateUserParams.Extra as
	// JSON, byte for byte, and nothing else. At most MaxExtraMembers names; the
	// values of a request at most MaxExtra bytes together, beyond that it is a 400
	// with the code "too_long". What they must be like is for BeforeCreate to
	// check. They are never part of an answer. Empty: none.
	ExtraMembers []string
}

// Handler is the [http.Handler] that [New] returns. It is safe for concurrent
// use. It starts no goroutines, and keeps of a request nothing but empty buffers.
type Handler struct {
	svc        *users.Service
	auth       Authenticator
	opts       Options
	base       string // what precedes "/{apiKey}" in links
	relative   bool   // links are relative to the application
	createUser members[createUserRequest]
	importUser members[createUserRequest]
	updateUser members[updateUserRequest]
	userFields []string // that a client can ask for

	readers, buffers sync.Pool // reused between requests
}

// New returns a handler that serves svc to the callers that authenticate lets
// in. o may be nil; it is copied. An option that makes no sense is an error that
// names it.
func New(svc *users.Service, authenticate Authenticator, o *Options) (*Handler, error) {
	if svc == nil {
		return nil, errors.New("httpapi: New: service is nil")
	}
	if authenticate == nil {
		return nil, errors.New("httpapi: New: authenticate is nil")
	}

	var opts Options
	if o != nil {
		opts = *o
	}
	if err := checkPrefix(opts.Prefix); err != nil {
		return nil, fmt.Errorf("httpapi: New: Prefix %w", err)
	}
	if err := checkBaseURL(opts.BaseURL); err != nil {
		return nil, fmt.Errorf("httpapi: New: BaseURL %w", err)
	}
	if opts.Timeout < 0 {
		return nil, errors.New("httpapi: New: Timeout is negative")
	}
	if opts.Timeout == 0 {
		opts.Timeout = DefaultTimeout
	}
	if opts.Challenge == "" {
		opts.Challenge = "Bearer"
	}
	for _, c := range []byte(opts.Challenge) {
		if c < ' ' || c > '~' {
			return nil, errors.New("httpapi: New: Challenge must be printing ASCII")
		}
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	var err error
	if opts.Interop, err = opts.Interop.checked(); err != nil {
		return nil, err
	}
	h := &Handler{
		svc: svc, auth: authenticate, opts: opts, base: opts.BaseURL + opts.Prefix,
		createUser: createUserMembers, updateUser: updateUserMembers, userFields: userFields,
	}
	if opts.Interop != nil {
		h.relative = opts.BaseURL == ""
		h.createUser = slices.Concat(h.createUser, createUserInterop)
		h.updateUser = slices.Concat(h.updateUser, updateUserInterop)
		h.userFields = slices.Concat(h.userFields, []string{memberDisplayName})
	}
	extra, err := extraMembers(slices.Concat(h.createUser, importMembers), opts.ExtraMembers)
	if err != nil {
		return nil, fmt.Errorf("httpapi: New: ExtraMembers %w", err)
	}

	h.createUser = slices.Concat(h.createUser, extra)
	h.importUser = slices.Concat(importMembers, extra)
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

// ServeHTTP answers r. It never redirects, and answers a panic of host code with
// a 500. A panic after the answer has begun, and http.ErrAbortHandler, cut the
// connection, as net/http has it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), h.opts.Timeout)
	defer cancel()
	x := h.exchange(w, r.WithContext(ctx))
	x.client = r.Context()
	defer x.recoverPanic()

	switch a, err := x.serve(); {
	case err != nil:
		x.fail(err)
	case !x.begun:
		x.write(a)
	}
}

// exchange is one request and its answer.
type exchange struct {
	h           *Handler
	w           http.ResponseWriter
	r           *http.Request   // its context has the deadline and, once known, the caller
	client      context.Context // ends where the client goes away, without the deadline
	apiKey, ref string          // path parameters, decoded
	pattern     string          // of the route, for the log
	base        string          // of URLs in the application
	links       string          // the base of links

	form        users.Form // of the answer
	acceptable  bool       // whether the client takes that
	problemType string
	crosses     bool // from an origin of Interop

	asked     bool      // the client was asked for its body
	drained   bool      // it sends no more of it, or nobody waits for that
	importing bool      // rows of it may be users by now
	begun     bool      // the answer is being sent
	values    []string  // of the headers of the answer, each its own slice
	room      [8]string // for them: one allocation instead of one for each
}

func (h *Handler) exchange(w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{h: h, w: w, r: r}
	x.values = x.room[:0]
	x.form, x.acceptable, x.problemType = negotiate(r.Header["Accept"])
	x.interop()
	return x
}

// list is the URL of a list of the application, for links.
func (x *exchange) list(name string) string {
	if x.links == users.Relative {
		return name
	}
	return x.links + "/" + name
}

// serve finds the resource and the caller, and runs the action.
func (x *exchange) serve() (answer, error) {
	if x.preflight() {
		return answer{status: http.StatusNoContent}, nil
	}
	res, apiKey, ref := x.h.route(x.r.URL.EscapedPath())
	if res == nil {
		return answer{}, errNoRoute
	}
	x.apiKey, x.ref, x.pattern = apiKey, ref, res.pattern
	x.base = x.h.base + "/" + apiKey
	x.links = x.base
	if x.h.relative {
		x.links = users.Relative
	}

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
	if res.ref != nil {
		var err error
		if x.ref, err = x.stored(x.ref, res.ref); err != nil {
			return answer{}, err
		}
	}
	return act(x)
}
