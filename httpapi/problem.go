package httpapi

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

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
}

type fieldError struct {
	Pointer string `json:"pointer,omitempty"`
	Code    string `json:"code"`
	Detail  string `json:"detail"`
}

// What the handler itself refuses.
var (
	errNoRoute       = errors.New("httpapi: no such resource")
	errMethod        = errors.New("httpapi: method not allowed")
	errMediaType     = errors.New("httpapi: media type")
	errCoding        = errors.New("httpapi: content coding")
	errNotAcceptable = errors.New("httpapi: not acceptable")
	errTooLarge      = errors.New("httpapi: body too large")
)

// busyFor is the Retry-After where nothing better is known.
const busyFor = 5 * time.Second

// class maps a class of errors to its answer. The first match counts.
type class struct {
	err    error
	status int
	code   string // of an entry in errors for the request as a whole; empty: none
	detail string
}

var classes = []class{
	{errNoRoute, 404, "", "there is nothing at this path"},
	{errMethod, 405, "", "this resource does not answer the method; see the header Allow"},
	{errNotAcceptable, 406, "", "answers are application/json or application/hal+json"},
	{errTooLarge, 413, "too_large", "the body must be at most " + strconv.Itoa(MaxBody) + " bytes"},
	{errMediaType, 415, "", "send the body as JSON with the header Content-Type: application/json"},
	{errCoding, 415, "", "send the body without a content coding"},
	{ErrNoCredentials, 401, "", "this request needs credentials"},
	{ErrInvalidToken, 401, "", "the credentials are not valid here"},
	{users.ErrUnauthenticated, 401, "", "the credentials are not valid here"},
	{users.ErrUnknownApplication, 401, "", "the credentials are not valid here"},
	{users.ErrForbidden, 403, "", "the caller may not do this"},
	{users.ErrValidation, 400, "", "the request was not understood"},
	{users.ErrBadToken, 400, "", "the request was not understood"},
	{users.ErrConflict, 409, "", "a unique member is already taken"},
	{users.ErrIdempotencyMismatch, 422, "idempotency_mismatch", "the idempotency key was used with another request"},
	{users.ErrNotFound, 404, "", "there is nothing at this path"},
	{users.ErrUnsupported, 404, "", "there is nothing at this path"},
	{users.ErrOverloaded, 503, "", "too many requests at once; nothing was written"},
	{users.ErrIdempotencyKeyUsed, 503, "", "another request with this idempotency key is under way"},
	{users.ErrRetryTx, 503, "", "the store is busy"},
	{users.ErrUnavailable, 503, "", "the store is not available; whether anything was written, the same idempotency key tells"},
	{context.DeadlineExceeded, 503, "", "this took too long; whether anything was written, the same idempotency key tells"},
	{context.Canceled, 503, "", "this was cancelled; whether anything was written, the same idempotency key tells"},
}

// hostFaults are the classes that an Authenticate can fail with; all else is 500.
var hostFaults = []error{users.ErrUnavailable, context.DeadlineExceeded, context.Canceled}

func classify(err error) class {
	var auth authError
	fromHost := errors.As(err, &auth)
	for _, c := range classes {
		if errors.Is(err, c.err) && (!fromHost || slices.Contains(hostFaults, c.err)) {
			return c
		}
	}
	return class{status: 500, detail: "this failed on our side; the instance names the record in the log"}
}

// problem makes the answer to err, sets the headers that go with it, and logs
// what is not the client's fault.
func (h *handler) problem(x *exchange, err error) *problem {
	c := classify(err)
	p := &problem{
		Type: "about:blank", Title: http.StatusText(c.status), Status: c.status, Detail: c.detail,
		Message: c.detail, ErrorCode: c.status, StatusCode: c.status, Errors: errorList(c, err),
	}
	switch c.status {
	case http.StatusUnauthorized:
		challenge := h.opts.Challenge
		if c.err != ErrNoCredentials {
			p.Details = "invalid_token"
			challenge = invalidToken(challenge)
		}
		x.w.Header().Set("WWW-Authenticate", challenge)
	case http.StatusServiceUnavailable:
		x.w.Header().Set("Retry-After", strconv.FormatInt(int64((retryAfter(err)+time.Second-1)/time.Second), 10))
		h.log(x, slog.LevelWarn, "request refused", err, slog.Int("status", c.status))
	case http.StatusInternalServerError:
		p.Instance = newInstance()
		h.log(x, slog.LevelError, "request failed", err, slog.Int("status", c.status), slog.String("instance", p.Instance))
	}
	return p
}

// newInstance makes a URI (RFC 9562 section 4) that nobody can guess.
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

func retryAfter(err error) time.Duration {
	var overloaded *password.OverloadedError
	switch {
	case errors.As(err, &overloaded):
		return max(overloaded.RetryAfter, time.Second)
	case errors.Is(err, users.ErrIdempotencyKeyUsed), errors.Is(err, users.ErrRetryTx):
		return time.Second
	}
	return busyFor
}

// errorList names what was wrong, member by member.
func errorList(c class, err error) []fieldError {
	var list []fieldError
	switch c.err {
	case users.ErrValidation:
		var invalid *users.ValidationError
		if errors.As(err, &invalid) {
			for _, f := range invalid.Fields {
				list = append(list, fieldError{f.Pointer, f.Code, f.Detail})
			}
		}
	case users.ErrBadToken:
		list = []fieldError{{"/passwordRecoveryToken", "bad_token", "is unknown, used or expired"}}
	case users.ErrForbidden:
		var forbidden *users.ForbiddenError
		if errors.As(err, &forbidden) {
			for _, m := range forbidden.Members {
				list = append(list, fieldError{"/" + m, "forbidden", "the caller may not ask for this"})
			}
		}
	case users.ErrConflict:
		var conflict *users.ConflictError
		if errors.As(err, &conflict) {
			for _, m := range conflict.Members {
				list = append(list, fieldError{"/" + m, "taken", "is already taken"})
			}
		}
	default:
		if c.code != "" {
			list = []fieldError{{"", c.code, c.detail}}
		}
	}
	return list
}

func (x *exchange) writeProblem(p *problem) {
	x.send(p.Status, x.problemType, p)
}

func (x *exchange) write(a answer) {
	if a.location != "" {
		x.set("Location", a.location)
	}
	x.send(a.status, x.format.String(), a.body)
}

// set sets a header, whose name is in the canonical form.
func (x *exchange) set(name, value string) {
	x.values = append(x.values, value)
	n := len(x.values)
	x.w.Header()[name] = x.values[n-1 : n : n]
}

// send writes the whole answer at once, so that its length is known and nothing
// half-written is ever seen.
func (x *exchange) send(status int, contentType string, body any) {
	buf, ok := x.h.buffers.Get().(*bytes.Buffer)
	if !ok {
		buf = new(bytes.Buffer)
	}
	defer x.h.buffers.Put(buf)
	buf.Reset()
	if body != nil {
		if err := json.MarshalWrite(buf, body); err != nil {
			panic(err) // only what a Store made up can be unfit: a 500
		}
		x.set("Content-Type", contentType)
		x.set("Content-Length", strconv.Itoa(buf.Len()))
	}
	if around := x.w.Header(); len(around["Vary"]) > 0 {
		around.Add("Vary", "Accept") // beside what a middleware varies by
	} else {
		x.set("Vary", "Accept")
	}
	x.set("Cache-Control", "no-store")
	x.set("X-Content-Type-Options", "nosniff")
	x.written = true
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead && body != nil {
		_, _ = x.w.Write(buf.Bytes()) // a client that has gone is nobody to tell
	}
}
