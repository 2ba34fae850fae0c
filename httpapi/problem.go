package httpapi

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

// problem is the body of an error (RFC 9457). Its type is always "about:blank":
// the status tells the class and errors[].code the detail. message, errorCode,
// statusCode and details are what public clients of this API read.
type problem struct {
	Type       string       `json:"type"`
	Title      string       `json:"title"`
	Status     int          `json:"status"`
	Detail     string       `json:"detail"`
	Instance   string       `json:"instance,omitempty"`
	Errors     []fieldError `json:"errors,omitempty"`
	Message    string       `json:"message"`
	ErrorCode  int          `json:"errorCode"`
	StatusCode int          `json:"statusCode"`
	Details    string       `json:"details,omitempty"`

	// Of a login (RFC 6749 section 5.2).
	GrantError       string `json:"error,omitempty"`
	ErrorDescription string `json:"error_description,omitempty"`
}

type fieldError struct {
	Pointer string `json:"pointer,omitempty"`
	Code    string `json:"code"`
	Detail  string `json:"detail"`
	Limit   int    `json:"limit,omitzero"`
}

// What the handler itself refuses.
var (
	errNoRoute       = errors.New("httpapi: no such resource")
	errMethod        = errors.New("httpapi: method not allowed")
	errMediaType     = errors.New("httpapi: media type")
	errFormType      = errors.New("httpapi: media type of a form")
	errLinesType     = errors.New("httpapi: media type of lines")
	errCoding        = errors.New("httpapi: content coding")
	errNotAcceptable = errors.New("httpapi: not acceptable")
	errTooLarge      = errors.New("httpapi: body too large")
	errNil           = errors.New("httpapi: WriteError was called without an error")
)

// defaultRetryAfter is the Retry-After where nothing better is known.
const defaultRetryAfter = 5 * time.Second

// class maps a class of errors to its answer.
type class struct {
	err    error
	status int
	detail string
	unsure bool // what was asked for may have been done
}

// classes are looked through in order: the first match counts. Never written to.
var classes = []class{
	{err: errNoRoute, status: 404, detail: "there is nothing at this path"},
	{err: errMethod, status: 405, detail: "this resource does not support the method; see the header Allow"},
	{err: errNotAcceptable, status: 406, detail: "answers are application/json or application/hal+json"},
	{err: errPrecondition, status: 412, detail: "the user has no version that If-Match names; nothing was changed"},
	{err: errTooLarge, status: 413, detail: "the body must be at most " + strconv.Itoa(MaxBody) + " bytes"},
	{err: errMediaType, status: 415, detail: "send the body as JSON with the header Content-Type: application/json"},
	{err: errFormType, status: 415, detail: "send the body as a form, with the header Content-Type: " + typeForm},
	{err: errLinesType, status: 415, detail: "send a JSON object on each line, with the header Content-Type: " + typeLines},
	{err: errCoding, status: 415, detail: "send the body without a content coding"},
	{err: errGrant, status: 400, detail: "the login is refused"},
	{err: ErrNoCredentials, status: 401, detail: "this request needs credentials"},
	{err: ErrInvalidToken, status: 401, detail: badCredentials},
	{err: users.ErrUnauthenticated, status: 401, detail: badCredentials},
	{err: users.ErrUnknownApplication, status: 401, detail: badCredentials},
	{err: users.ErrForbidden, status: 403, detail: "the caller may not do this"},
	{err: users.ErrValidation, status: 400, detail: notValid},
	{err: users.ErrBadToken, status: 400, detail: notValid},
	{err: users.ErrBadCredentials, status: 400, detail: "the user name or the password is wrong"},
	{err: users.ErrLockedOut, status: 403, detail: "the user is locked out"},
	{err: users.ErrNotApproved, status: 403, detail: "the user is not approved"},
	{err: users.ErrConflict, status: 409, detail: "a unique member is already taken"},
	{err: users.ErrIdempotencyMismatch, status: 422, detail: "the idempotency key was used before with another request"},
	{err: users.ErrNotFound, status: 404, detail: "there is nothing at this path"},
	{err: users.ErrUnsupported, status: 404, detail: "this server does not offer that"},
	{err: users.ErrTooManyRequests, status: 429, detail: "too many requests of this kind" + nothingWritten},
	{err: users.ErrOverloaded, status: 503, detail: "too many requests at once" + nothingWritten},
	{err: users.ErrIdempotencyKeyUsed, status: 503, detail: "another request with this idempotency key is in progress"},
	{err: users.ErrRetryTx, status: 503, detail: "the store is busy" + nothingWritten},
	{err: users.ErrStale, status: 503, detail: "another request changed the same at the same time" + nothingWritten},
	{err: users.ErrUnavailable, status: 503, detail: "the store is not available", unsure: true},
	{err: context.DeadlineExceeded, status: 503, detail: "the request took too long", unsure: true},
	{err: context.Canceled, status: 503, detail: "the request was canceled", unsure: true},
}

const (
	badCredentials = "the credentials are not valid here"
	notValid       = "the request is not valid"
	nothingWritten = "; nothing was written"
)

// classify returns the class of err; a 500 if it has none.
func classify(err error) class {
	var hook *users.HookError
	fromHost := errors.As(err, &hook)
	for _, c := range classes {
		if errors.Is(err, c.err) && (!fromHost || hookMay(c, hook.Err)) {
			return c
		}
	}
	return class{status: 500, detail: "internal error; quote the instance when reporting it"}
}

// hookMay reports whether an error of the host's own code, a hook or the
// Authenticator, can be of class c. Of all other classes, such as the ErrNotFound
// of something that the hook looked for, it is a failure of the host.
func hookMay(c class, err error) bool {
	switch c.err {
	case users.ErrForbidden:
		_, ok := errors.AsType[*users.ForbiddenError](err)
		return ok
	case users.ErrValidation:
		_, ok := errors.AsType[*users.ValidationError](err)
		return ok
	case users.ErrTooManyRequests:
		_, ok := errors.AsType[*users.TooManyRequestsError](err)
		return ok
	}
	return c.unsure // what the host relies on is away, or the time is up
}

// WriteError answers r with err as the API itself would, for handlers that a host
// writes beside it: the same problem details in the media type that r accepts,
// with the status of err, Retry-After and the challenge of [Options.Challenge];
// a 500 or 503 is logged and a 500 has an instance. err is an error of a
// [users.Service] or the handler's own; what matches no class is a 500, of whose
// text the client learns nothing. A nil err is a mistake
// of the handler's: it is a 500 as well.
//
// r need not be one that h routes. Where it is not, the log names the pattern
// and the path value "apiKey" that an [http.ServeMux] found. Nothing must have
// been written to w before. Headers that are set there stay, but for those that
// described another answer.
func (h *Handler) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	x := h.exchange(w, r)
	if res, apiKey, _ := h.route(r.URL.EscapedPath()); res != nil {
		x.pattern, x.apiKey = res.pattern, apiKey
	} else {
		x.pattern, x.apiKey = r.Pattern, r.PathValue("apiKey")
	}

	for _, name := range []string{
		"Location", "Etag", "Last-Modified", "Accept-Ranges", "Retry-After", "Trailer",
		"Content-Encoding", "Content-Disposition", "Content-Language", "Content-Location", "Content-Range",
	} {
		w.Header().Del(name)
	}
	if err == nil {
		err = errNil
	}
	x.fail(err)
}

// fail answers with the problem of err.
func (x *exchange) fail(err error) {
	p := x.problem(err)
	x.send(p.Status, x.problemType, p)
}

// problem returns the problem of err and sets its headers, and logs what is not the client's
// fault.
func (x *exchange) problem(err error) *problem {
	c := classify(err)
	p := &problem{
		Type: "about:blank", Title: http.StatusText(c.status), Status: c.status, Detail: x.detail(c, err),
		ErrorCode: c.status, StatusCode: c.status, Errors: errorList(c, err),
	}
	p.Message = p.Detail
	if refused, ok := errors.AsType[*grantError](err); ok {
		p.GrantError, p.ErrorDescription = refused.code, refused.description
	}

	switch c.status {
	case http.StatusUnauthorized:
		challenge := x.h.opts.Challenge
		if c.err != ErrNoCredentials {
			p.Details = "invalid_token"
			challenge = invalidToken(challenge)
		}
		x.w.Header().Set("WWW-Authenticate", challenge)
	case http.StatusTooManyRequests:
		x.w.Header().Set("Retry-After", retryAfter(err))
	case http.StatusServiceUnavailable:
		x.w.Header().Set("Retry-After", retryAfter(err))
		x.log(slog.LevelWarn, "request refused", err, slog.Int("status", c.status))
	case http.StatusInternalServerError:
		p.Instance = newInstance()
		x.log(slog.LevelError, "request failed", err, slog.Int("status", c.status), slog.String("instance", p.Instance))
	}
	return p
}

// detail is the sentence for the client: the class's own, but for a refusal that
// brings one.
func (x *exchange) detail(c class, err error) string {
	if refused, ok := errors.AsType[*grantError](err); ok {
		return refused.description
	}
	if c.err == users.ErrForbidden {
		if forbidden, ok := errors.AsType[*users.ForbiddenError](err); ok && forbidden.Detail != "" {
			return forbidden.Detail
		}
	}

	var hook *users.HookError
	switch {
	case c.unsure && errors.As(err, &hook): // what is away is the host's
		return "the server can't do this now; try again later"
	case x.importing && c.status == http.StatusServiceUnavailable:
		return strings.TrimSuffix(c.detail, nothingWritten) + "; send all rows again: those that were written are known to exist"
	case !c.unsure, x.r.Method == http.MethodGet, x.r.Method == http.MethodHead:
		return c.detail
	case len(x.r.Header[headerIdempotencyKey]) > 0:
		return c.detail + "; retry with the same Idempotency-Key to learn whether the user was created"
	}
	return c.detail + "; it is not known whether anything was written"
}

// newInstance returns a URI (RFC 9562 section 4) that nobody can guess.
func newInstance() string {
	var b [16]byte
	rand.Read(b[:])            // never fails (crypto/rand)
	b[6] = b[6]&0x0f | 4<<4    // version 4
	b[8] = b[8]&0x3f | 0b10<<6 // variant
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// invalidToken adds the error of RFC 6750 section 3.1 to a Bearer challenge.
func invalidToken(challenge string) string {
	scheme, params, _ := strings.Cut(challenge, " ")
	switch {
	case !strings.EqualFold(scheme, "Bearer"):
		return challenge
	case strings.TrimSpace(params) == "":
		return scheme + ` error="invalid_token"`
	}
	return challenge + `, error="invalid_token"`
}

// retryAfter returns the header: whole seconds (RFC 9110 section 10.2.3), rounded
// up, at least 1.
func retryAfter(err error) string {
	seconds := math.Ceil(untilRetry(err).Seconds())
	return strconv.FormatInt(int64(max(seconds, 1)), 10)
}

func untilRetry(err error) time.Duration {
	if limited, ok := errors.AsType[*users.TooManyRequestsError](err); ok {
		return limited.RetryAfter
	}
	if overloaded, ok := errors.AsType[*password.OverloadedError](err); ok {
		return overloaded.RetryAfter
	}
	for _, soon := range []error{users.ErrIdempotencyKeyUsed, users.ErrRetryTx, users.ErrStale} {
		if errors.Is(err, soon) {
			return time.Second
		}
	}
	return defaultRetryAfter
}

// errorList names what was wrong, member by member; in no member where the
// request as a whole was.
func errorList(c class, err error) (list []fieldError) {
	switch c.err {
	case users.ErrValidation:
		if invalid, ok := errors.AsType[*users.ValidationError](err); ok {
			for _, f := range invalid.Fields {
				list = append(list, fieldError(f))
			}
		}
	case users.ErrBadToken:
		list = []fieldError{{Pointer: "/passwordRecoveryToken", Code: "bad_token", Detail: "is unknown, used or expired"}}
	case users.ErrBadCredentials:
		list = []fieldError{{Code: "bad_credentials", Detail: c.detail}}
	case users.ErrLockedOut:
		list = []fieldError{{Code: "locked_out", Detail: c.detail}}
	case users.ErrNotApproved:
		list = []fieldError{{Code: "not_approved", Detail: c.detail}}
	case users.ErrForbidden:
		if forbidden, ok := errors.AsType[*users.ForbiddenError](err); ok {
			for _, m := range forbidden.Members {
				list = append(list, fieldError{Pointer: pointer(m), Code: "forbidden", Detail: "the caller may not ask for this"})
			}
		}
	case users.ErrConflict:
		if conflict, ok := errors.AsType[*users.ConflictError](err); ok {
			for _, m := range conflict.Members {
				list = append(list, fieldError{Pointer: pointer(m), Code: "taken", Detail: "is already taken"})
			}
		}
	case users.ErrIdempotencyMismatch:
		list = []fieldError{{Code: "idempotency_mismatch", Detail: c.detail}}
	case errTooLarge:
		list = []fieldError{{Code: "too_large", Detail: c.detail, Limit: MaxBody}}
	}
	return list
}
