package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"strings"
)

// log writes without x's deadline: a record must not be lost because time is up.
func (h *handler) log(x *exchange, level slog.Level, msg string, cause error, attrs ...slog.Attr) {
	attrs = append(attrs, slog.String("error", x.withoutToken(cause.Error())),
		slog.String("method", x.r.Method), slog.String("route", x.pattern), slog.String("apiKey", x.apiKey))
	h.opts.Logger.LogAttrs(context.WithoutCancel(x.ctx), level, msg, attrs...)
}

// withoutToken takes the request's credentials out of a text that host code
// made: an error of net/http quotes the URL that a token was sent to.
func (x *exchange) withoutToken(text string) string {
	for _, v := range x.r.Header["Authorization"] {
		token := strings.TrimSpace(v[strings.IndexByte(v, ' ')+1:])
		if len(token) >= minToken {
			text = strings.NewReplacer(token, redacted, url.QueryEscape(token), redacted).Replace(text)
		}
	}
	return text
}

const (
	redacted = "[redacted]"
	minToken = 8 // what is shorter is no secret, and would only make the log unreadable
)

// recoverPanic turns a panic of host code into a 500. Nothing more can be said
// once the answer has begun: then the connection is cut.
func (x *exchange) recoverPanic() {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	err := newPanicError(v)
	if x.written {
		x.h.log(x, slog.LevelError, "request failed", err)
		panic(http.ErrAbortHandler)
	}
	x.w.Header().Del("Location")
	x.writeProblem(x.h.problem(x, err))
}

// panicError is a panic. It gives no class away: a panic is always a 500. What
// host code panics with may hold what it was given, a password among it: of such
// a value only the type is kept. The stack names functions and lines and, unlike
// debug.Stack, no arguments.
type panicError struct{ what, stack string }

func (e *panicError) Error() string { return "panic: " + e.what + e.stack }

func newPanicError(v any) *panicError {
	e := &panicError{what: fmt.Sprintf("a value of type %T", v)}
	if err, ok := v.(runtime.Error); ok {
		e.what = err.Error() // of the runtime itself: it quotes nothing but types and numbers
	}
	var room [64]uintptr
	frames := runtime.CallersFrames(room[:runtime.Callers(3, room[:])]) // from the panic on
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		e.stack += fmt.Sprintf("\n%s\n\t%s:%d", f.Function, f.File, f.Line)
	}
	return e
}
