package httpapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

// checkQueue refuses before the body is read where the hashing queue is full. It
// is for callers that were authenticated: nobody else may learn that.
func (x *exchange) checkQueue() error {
	if wait, overloaded := x.h.svc.Overloaded(x.apiKey); overloaded {
		return fmt.Errorf("%w: %w", users.ErrOverloaded, &password.OverloadedError{RetryAfter: wait})
	}
	return nil
}

// receive does what comes before a body is read as JSON, cheapest first. The
// reader must be released.
func (x *exchange) receive() (*jsonReader, error) {
	if err := x.checkMedia(); err != nil {
		return nil, err
	}
	if err := x.checkAccept(); err != nil {
		return nil, err
	}
	return x.readBody()
}

// receiveOnly is receive where there is nothing to answer.
func (x *exchange) receiveOnly() (*jsonReader, error) {
	if err := x.checkMedia(); err != nil {
		return nil, err
	}
	return x.readBody()
}

func (x *exchange) readBody() (*jsonReader, error) {
	if x.r.ContentLength > MaxBody {
		return nil, errTooLarge
	}

	d, ok := x.h.readers.Get().(*jsonReader)
	if !ok {
		d = &jsonReader{pool: &x.h.readers}
	}
	var err error
	if x.r.Body != nil {
		x.asked, x.drained = true, true
		_, err = d.body.ReadFrom(http.MaxBytesReader(x.w, x.r.Body, MaxBody))
	}
	if err == nil {
		d.start()
		return d, nil
	}

	d.release()
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		x.drained = false
		return nil, errTooLarge
	}
	// Also where time is up: whoever sends slowly or hangs up is no fault of
	// the host's that belongs in its log, and nothing was written.
	return nil, invalid("", "unreadable_body", "the body could not be read to its end")
}

// Bounds of what is read of a body that nobody wants.
const (
	maxDrain  = 4 << 20 // bytes
	drainTime = 2 * time.Second
)

// drain reads what the client still sends, before it is answered. Where the
// connection closes after the answer, the system resets it for bytes that were
// not read, and what the client has not yet read of the answer is lost (RFC 9112
// section 9.6). net/http reads them only where the connection stays open, and
// then for as long as the client likes.
func (x *exchange) drain() {
	switch {
	case x.drained, x.r.Body == nil, x.r.Body == http.NoBody:
		return
	case x.r.ProtoMajor != 1: // closing a stream loses nothing
		return
	case !x.asked && x.r.ProtoAtLeast(1, 1) && x.r.Header.Get("Expect") != "":
		return // the client waits before it sends; reading would ask for the body
	}

	x.drained = true
	if http.NewResponseController(x.w).SetReadDeadline(time.Now().Add(drainTime)) != nil {
		return // a client could hold the request as long as it likes
	}
	_, _ = io.CopyN(io.Discard, x.r.Body, maxDrain) // net/http ends the limit with the body
}

// refuse answers a request that has faults, with a body that is broken where it is
// not one object. found is what reading found,
// judged what the Service says of the rest: a refusal of the caller as a whole
// goes before both, faults of other members are added to them.
func refuse(broken bool, found *users.ValidationError, judged error) error {
	var hook *users.HookError
	var invalid *users.ValidationError
	var forbidden *users.ForbiddenError
	switch {
	case judged == nil:
	case broken && errors.As(judged, &hook):
		// A hook can't judge members that were not read.
	case errors.As(judged, &invalid):
		if !broken { // else what it misses may be in what was not read
			return users.JoinValidation(found, invalid)
		}
	case errors.As(judged, &forbidden) && len(forbidden.Members) > 0:
	default:
		return judged
	}
	return users.JoinValidation(found)
}
