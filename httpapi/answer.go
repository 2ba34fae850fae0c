package httpapi

import (
	"bytes"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// answer is a success.
type answer struct {
	status   int
	location string
	etag     string
	body     any // nil: no content
}

func (x *exchange) write(a answer) {
	if a.location != "" {
		x.set("Location", a.location)
	}
	if a.etag != "" {
		x.set("Etag", a.etag)
	}
	x.send(a.status, x.form.MediaType(), a.body)
}

// set sets a header, whose name is in the canonical form.
func (x *exchange) set(name, value string) {
	x.values = append(x.values, value)
	n := len(x.values)
	x.w.Header()[name] = x.values[n-1 : n : n]
}

// setCommon sets what every answer has.
func (x *exchange) setCommon() {
	if around := x.w.Header(); len(around["Vary"]) > 0 {
		around.Add("Vary", "Accept") // beside what a middleware varies by
	} else {
		x.set("Vary", "Accept")
	}
	x.set("Cache-Control", "no-store")
	x.set("X-Content-Type-Options", "nosniff")
}

// maxPooled is how large a buffer may be to be kept for the next request.
const maxPooled = 16 << 10

// release clears what was sent, for there are addresses in it, and keeps buf.
func (h *Handler) release(buf *bytes.Buffer) {
	if buf.Cap() > maxPooled {
		return
	}
	clear(buf.Bytes())
	buf.Reset()
	h.buffers.Put(buf)
}

// send writes the whole answer at once, so that its length is known and nothing
// half-written is ever seen.
func (x *exchange) send(status int, contentType string, body any) {
	buf, ok := x.h.buffers.Get().(*bytes.Buffer)
	if !ok {
		buf = new(bytes.Buffer)
	}
	defer x.h.release(buf)

	if body != nil {
		// Only what a Store made up can be unfit: a 500, which itself is fit,
		// whatever text of the host's a problem holds.
		_, isProblem := body.(*problem)
		if err := json.MarshalWrite(buf, body, jsontext.AllowInvalidUTF8(isProblem), json.Deterministic(true)); err != nil {
			panic(err)
		}
		x.set("Content-Type", contentType)
		x.set("Content-Length", strconv.Itoa(buf.Len()))
	}
	x.setCommon()
	x.drain()
	x.begun = true
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead && body != nil {
		_, _ = x.w.Write(buf.Bytes()) // a client that has gone is nobody to tell
	}
}
