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
func (x *exchange) log(level slog.Level, msg string, cause error, attrs ...slog.Attr) {
	attrs = append(attrs, slog.String("error", x.withoutCredentials(cause.Error())),
		slog.String("method", x.r.Method), slog.String("route", x.pattern), slog.String("apiKey", x.apiKey))
	x.h.opts.Logger.LogAttrs(context.WithoutCancel(x.r.Context()), level, msg, attrs...)
}

// withoutCredentials takes the request's credentials out of a text that host
// code made: an error of net/http quotes the URL that a token was sent to. Each
// is looked for in all of the text: where they are too many, nothing of it is left.
func (x *exchange) withoutCredentials(text string) string {
	n := len(x.r.Header["Authorization"])
	for _, line := range x.r.Header["Cookie"] {
		n += 1 + strings.Count(line, ";")
	}
	if n > maxSecrets {
		return redacted
	}

	var secrets []string
	for _, v := range x.r.Header["Authorization"] {
		secrets = append(secrets, strings.TrimSpace(v[strings.IndexByte(v, ' ')+1:]))
	}
	for _, c := range x.r.Cookies() {
		secrets = append(secrets, c.Value)
	}

	for _, s := range secrets {
		if len(s) >= minSecret {
			text = strings.ReplaceAll(text, s, redacted) // in linear time, unlike a Replacer
			text = strings.ReplaceAll(text, url.QueryEscape(s), redacted)
		}
	}
	return text
}

const (
	redacted   = "[redacted]"
	minSecret  = 8   // what is shorter is no secret, and would only make the log unreadable
	maxSecrets = 200 // more than browsers send
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
	if x.begun {
		x.log(slog.LevelError, "request failed", err)
		panic(http.ErrAbortHandler)
	}
	x.w.Header().Del("Location")
	x.w.Header().Del("Etag")
	x.fail(err)
}

// panicError is a panic. It matches no class: a panic is always a 500. What
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
