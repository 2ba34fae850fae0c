package httpapi

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gousers/users"
)

const (
	// importPatience is how long a client may take to send a line, and to take what lies
	// ready for it.
	importPatience = 30 * time.Second
	// maxHeld is how many bytes of the answer are held where it can't be sent before the
	// body was read, but for the results of the batch that goes beyond it.
	maxHeld = 1 << 20
	// resultBuffer is how many bytes of the answer are sent at once, at most.
	resultBuffer = 32 << 10
)

// errHeld is told to the host, who can mend it.
var errHeld = errors.New("httpapi: import: too much to answer before the body was read: http.ResponseController.EnableFullDuplex fails, so a middleware's http.ResponseWriter needs an Unwrap")

// importLine is what the client is told of a row.
type importLine struct {
	Row     int64               `json:"row"`
	Outcome users.ImportOutcome `json:"outcome"`
	ID      string              `json:"id,omitempty"`
	Errors  []fieldError        `json:"errors,omitempty"`
}

// importCounts is the last line of an import that came to its end.
type importCounts struct {
	Rows      int64 `json:"rows"`
	Created   int64 `json:"created"`
	Exists    int64 `json:"exists"`
	Duplicate int64 `json:"duplicate"`
	Refused   int64 `json:"refused"`
}

func (n *importCounts) add(o users.ImportOutcome) {
	n.Rows++
	switch o {
	case users.ImportCreated:
		n.Created++
	case users.ImportExists:
		n.Exists++
	case users.ImportDuplicate:
		n.Duplicate++
	case users.ImportRefused:
		n.Refused++
	}
}

// importEnd is the last line of an import that broke off.
type importEnd struct {
	Error *problem `json:"error"`
}

// importUsers answers POST users/import. What is wrong with the caller, or with the request
// as a whole, is known before anything is read.
func (x *exchange) importUsers() (answer, error) {
	if err := x.checkLines(); err != nil {
		return answer{}, err
	}
	q := x.query()
	o, all := q.importing()
	if found := q.err(); found != nil {
		return answer{}, refuse(false, found, x.mayImport())
	}
	c, _ := users.CallerFrom(x.r.Context())
	s := &importStream{x: x, control: http.NewResponseController(x.w), all: all, dry: o.DryRun}
	s.results = bufio.NewWriterSize(s, resultBuffer)
	return answer{}, s.run(users.WithCaller(x.client, c), &o)
}

// checkLines refuses a body of another kind.
func (x *exchange) checkLines() error {
	if err := x.checkCoding(); err != nil {
		return err
	}
	types := x.r.Header["Content-Type"]
	if len(types) != 1 || !isType(types[0], typeLines) {
		x.w.Header().Set("Accept", typeLines)
		return errLinesType
	}
	return nil
}

// importing reads what a client wants of an import, and whether it wants to hear of every
// row.
func (q *query) importing() (o users.ImportOptions, all bool) {
	if dry := q.flag("dryRun"); dry != nil {
		o.DryRun = *dry
	}
	if skip := q.flag("skipPolicy"); skip != nil {
		o.SkipPolicy = *skip
	}
	switch q.one("results") {
	case "":
	case "all":
		all = true
	default:
		q.fault("results", "unknown_results", `must be "all"`)
	}
	return o, all
}

// mayImport returns why the caller may not import anything.
func (x *exchange) mayImport() error {
	none := func(func(users.ImportUser, error) bool) {}
	for _, err := range x.h.svc.Import(x.r.Context(), x.apiKey, none, nil) {
		return err
	}
	return nil
}

// importStream is an import that is answered while its body is read. Where the
// [http.ResponseWriter] can't do that, net/http would end the body at the first byte of the
// answer, as if no rows were missing: then the answer is held until the body was read.
type importStream struct {
	x        *exchange
	control  *http.ResponseController
	all, dry bool

	results *bufio.Writer // to the stream itself
	held    *bytes.Buffer // nil: what is written is sent
	counts  importCounts
	told    bool      // results lie in the buffer
	due     time.Time // when the line that is read must be there; zero: from its first read on
	broken  error     // the body was not read to its end
	gone    error     // the client takes no answer any more

	instance string // of the rows that the host failed at
}

// run imports. An error that it returns is the answer: nothing was told yet.
func (s *importStream) run(ctx context.Context, o *users.ImportOptions) error {
	for r, err := range s.x.h.svc.Import(ctx, s.x.apiKey, s.rows(), o) {
		if err != nil {
			return s.breakOff(cmp.Or(s.broken, err)) // a body that breaks off ends the context as well
		}
		s.tell(&r)
	}
	switch {
	case s.gone != nil:
		return nil
	case s.broken != nil:
		return s.breakOff(s.broken)
	}
	s.write(s.counts)
	s.finish()
	return nil
}

// rows are the rows of the body. It ends where the import would be of no use.
func (s *importStream) rows() iter.Seq2[users.ImportUser, error] {
	return func(yield func(users.ImportUser, error) bool) {
		s.begin()
		for row, err := range decodeUsers(s, s.x.h.importUser) {
			if unread := (*readError)(nil); errors.As(err, &unread) {
				s.broken = invalid("", "unreadable_body", "the body could not be read to its end")
				return
			}
			if err == nil && s.x.h.opts.Interop != nil && looksShort(row.UserName) {
				err = &users.ValidationError{Fields: []users.FieldError{errLooksShort}}
			}
			if !yield(row, err) || !s.flushBatch() {
				return
			}
			s.due = time.Time{}
		}
	}
}

// begin prepares to read and to answer, without the deadlines of the server: those are for
// requests that are short.
func (s *importStream) begin() {
	s.x.importing = true
	_ = s.control.SetWriteDeadline(time.Time{})
	if s.control.EnableFullDuplex() != nil {
		s.held = new(bytes.Buffer)
	}
}

// Read reads the body. Nothing is left of the deadline while rows are written: over HTTP/2
// the body ends once the time is over, whether anybody reads it or not.
func (s *importStream) Read(p []byte) (int, error) {
	x := s.x
	if x.r.Body == nil {
		return 0, io.EOF
	}
	if s.due.IsZero() {
		s.due = time.Now().Add(importPatience)
	}
	x.asked = true
	_ = s.control.SetReadDeadline(s.due)
	n, err := x.r.Body.Read(p)
	_ = s.control.SetReadDeadline(time.Time{})
	x.drained = err != nil
	return n, err
}

// tell writes what became of a row, where the client wants to know. That rows exist is no
// news where an import is run again: there may be very many.
func (s *importStream) tell(r *users.ImportResult) {
	s.counts.add(r.Outcome)
	s.told = true
	if !s.all && (r.Outcome == users.ImportCreated || r.Outcome == users.ImportExists) {
		return
	}
	line := importLine{Row: r.Row, Outcome: r.Outcome, ID: r.ID}
	if s.dry && r.Outcome == users.ImportCreated {
		line.ID = "" // nobody has it
	}
	if r.Err != nil {
		line.Errors = s.faults(r.Err)
	}
	s.write(line)
}

// faults is errorList for a row, which always has at least one fault.
func (s *importStream) faults(err error) []fieldError {
	c := classify(err)
	if list := errorList(c, err); list != nil {
		return list
	}
	switch c.status {
	case http.StatusForbidden:
		return []fieldError{{Code: "forbidden", Detail: s.x.detail(c, err)}}
	case http.StatusNotFound:
		return []fieldError{{Code: "not_found", Detail: "names what was deleted meanwhile"}}
	case http.StatusInternalServerError:
		return []fieldError{{Code: "internal", Detail: "internal error; quote " + s.failure(err) + " when reporting it"}}
	}
	return []fieldError{{Code: "refused", Detail: c.detail}}
}

// failure returns the instance under which the first row that the host failed at is in the
// log: what fails there fails for many rows.
func (s *importStream) failure(err error) string {
	if s.instance == "" {
		s.instance = newInstance()
		s.x.log(slog.LevelError, "row of an import failed", err, slog.Int64("row", s.counts.Rows), slog.String("instance", s.instance))
	}
	return s.instance
}

// write adds a line to the answer.
func (s *importStream) write(line any) {
	// Only a Store or a hook can make up what is unfit.
	if err := json.MarshalWrite(s.results, line, jsontext.AllowInvalidUTF8(true)); err != nil && s.gone == nil {
		panic(err)
	}
	_ = s.results.WriteByte('\n') // whoever flushes is told
}

// flushBatch sends the results of a batch, if there was one. It reports whether the next can
// come.
func (s *importStream) flushBatch() bool {
	if !s.told {
		return true
	}
	s.told = false
	s.flush()
	if s.held != nil && s.held.Len() > maxHeld {
		s.broken = errHeld
	}
	return s.gone == nil && s.broken == nil
}

func (s *importStream) flush() {
	err := s.results.Flush()
	if err == nil && s.held == nil {
		err = s.timed(func() error {
			s.start()
			if err := s.control.Flush(); !errors.Is(err, errors.ErrUnsupported) {
				return err
			}
			return nil
		})
	}
	if err != nil {
		s.gone = err
	}
}

// finish sends the end of the answer, and what was held of it.
func (s *importStream) finish() {
	if held := s.held; held != nil && s.results.Flush() == nil {
		s.held = nil
		_, _ = s.Write(held.Bytes()) // flush is told
	}
	s.flush()
}

// breakOff ends the import with err, after what was told until then. It returns err where
// that is nothing.
func (s *importStream) breakOff(err error) error {
	if s.counts.Rows == 0 {
		return err
	}
	s.write(importEnd{s.x.problem(err)})
	s.x.drain()
	s.finish()
	return nil
}

// Write sends a part of the answer, or holds it.
func (s *importStream) Write(p []byte) (n int, err error) {
	if s.held != nil {
		return s.held.Write(p)
	}
	err = s.timed(func() error {
		s.start()
		n, err = s.x.w.Write(p)
		return err
	})
	if err != nil {
		s.gone = err
	}
	return n, err
}

// timed sends with a deadline for the client to take it. Nothing is left of that: over
// HTTP/2 the stream would be reset once it is over, whether anything is sent or not.
func (s *importStream) timed(send func() error) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(importPatience))
	err := send()
	_ = s.control.SetWriteDeadline(time.Time{})
	return err
}

// start sends the head of the answer.
func (s *importStream) start() {
	x := s.x
	if x.begun {
		return
	}
	x.begun = true
	x.set("Content-Type", typeLines)
	x.setCommon()
	x.w.WriteHeader(http.StatusOK)
}
