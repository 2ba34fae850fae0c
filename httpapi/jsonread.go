package httpapi

import (
	"bytes"
	"cmp"
	"errors"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

// Limits of a request body. One beyond MaxBody is a 413, one beyond MaxDepth a
// 400 with the code "too_deep".
const (
	MaxBody  = 256 << 10 // bytes
	MaxDepth = 64        // levels of objects and arrays
)

var byteOrderMark = []byte("\ufeff") // never written to

// member is a member of a request object: its name, the JSON pointer (RFC 6901)
// of its faults, and how its value is read. read meets any value but null.
type member[T any] struct {
	name string
	at   string
	read func(d *jsonReader, to *T)
}

func known[T any](name string, read func(*jsonReader, *T)) member[T] {
	return member[T]{name, pointer(name), read}
}

// alias is another spelling of a member: the faults of both are at that one's pointer.
func alias[T any](name, of string, read func(*jsonReader, *T)) member[T] {
	return member[T]{name, pointer(of), read}
}

func pointer(name string) string { return string(jsontext.Pointer("").AppendToken(name)) }

// members are all that is read of one kind of request. Others are skipped.
type members[T any] []member[T]

func (all members[T]) find(name []byte) *member[T] {
	for i := range all {
		if all[i].name == string(name) {
			return &all[i]
		}
	}
	return nil
}

// read fills to from the body. null is absent.
func (all members[T]) read(d *jsonReader, to *T) {
	d.whole(func(name []byte) {
		m := all.find(name)
		if m == nil {
			d.skip()
			return
		}

		d.at = m.at
		if !d.null() {
			m.read(d, to)
		}
		d.at = ""
	})

	// Only a name that is known is repeated to the client; the rest is its own text.
	if d.repeated != "" && d.broken.Pointer == "" {
		for _, m := range all {
			if pointer(m.name) == d.repeated {
				d.broken.Pointer = m.at
			}
		}
	}
}

// faults is what was found wrong with a request.
type faults []users.FieldError

func (f *faults) add(e users.FieldError) { *f = append(*f, e) }

// err returns what was found; nil if nothing was.
func (f *faults) err() *users.ValidationError {
	if len(*f) == 0 {
		return nil
	}
	return &users.ValidationError{Fields: *f}
}

func invalid(pointer, code, detail string) *users.ValidationError {
	return &users.ValidationError{Fields: []users.FieldError{{Pointer: pointer, Code: code, Detail: detail}}}
}

func required(name string) *users.ValidationError {
	return invalid(pointer(name), "required", "is required")
}

// jsonReader reads one request object in one pass, strictly (I-JSON, RFC 7493:
// valid UTF-8, no duplicate members), and notes every member of the wrong type
// instead of stopping at the first. It never passes on an error of the JSON
// library: those quote the input.
type jsonReader struct {
	pool    *sync.Pool // where release puts it
	noun    string     // what the object is to the client; empty: the body
	json    jsontext.Decoder
	body    bytes.Buffer // all of it
	in      bytes.Buffer // reads body
	scratch []byte       // an unquoted string

	at       string // pointer of the known member that is being read
	faults   faults
	broken   *users.FieldError // not one JSON object: nothing more was read
	repeated string            // pointer of a duplicate member, in the client's words
}

// start begins with the body, after the byte order mark that some editors put
// before it (RFC 8259 section 8.1): offsets count from there.
func (d *jsonReader) start() {
	if bytes.HasPrefix(d.body.Bytes(), byteOrderMark) {
		d.body.Next(len(byteOrderMark))
	}
	d.in = *bytes.NewBuffer(d.body.Bytes())
	d.json.Reset(&d.in)
}

// release clears what was read, for there are passwords in it, and puts d back.
func (d *jsonReader) release() {
	clear(d.body.Bytes())
	clear(d.scratch[:cap(d.scratch)])
	d.body.Reset()
	d.in = bytes.Buffer{}
	d.json.Reset(&d.in)
	d.at, d.faults, d.broken, d.repeated = "", nil, nil, ""
	if d.body.Cap() <= maxPooled && cap(d.scratch) <= maxPooled {
		d.pool.Put(d)
	}
}

// err returns what was found; nil if nothing was. A body that is not one object
// has that one fault: what came before it was judged in passing.
func (d *jsonReader) err() *users.ValidationError {
	if d.broken != nil {
		return &users.ValidationError{Fields: []users.FieldError{*d.broken}}
	}
	return d.faults.err()
}

// fault notes what is wrong with the member that is being read.
func (d *jsonReader) fault(code, detail string) {
	d.faults.add(users.FieldError{Pointer: d.at, Code: code, Detail: detail})
}

func (d *jsonReader) name() string { return "the " + cmp.Or(d.noun, "body") }

// breaks ends the reading: the rest can't be read.
func (d *jsonReader) breaks(code, detail string) {
	if d.broken == nil {
		d.broken = &users.FieldError{Pointer: d.at, Code: code, Detail: detail}
	}
}

func (d *jsonReader) syntax(err error) {
	offset := d.json.InputOffset()
	var se *jsontext.SyntacticError
	if errors.As(err, &se) {
		offset = se.ByteOffset
	}
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		d.breaks("duplicate_member", "an object has the same member twice, at byte "+strconv.FormatInt(offset, 10))
		if se != nil {
			d.repeated = string(se.JSONPointer)
		}
	case !utf8.Valid(d.body.Bytes()):
		d.breaks("invalid_json", d.name()+" is not valid UTF-8")
	case d.body.Len() == 0:
		d.breaks("invalid_json", d.name()+" is empty")
	default:
		d.breaks("invalid_json", d.name()+" is not valid JSON, at byte "+strconv.FormatInt(offset, 10))
	}
}

// whole reads the body, which must be one object and nothing else. member is
// called for each name and must read or skip the value.
func (d *jsonReader) whole(member func(name []byte)) {
	if k := d.json.PeekKind(); k != '{' && k != jsontext.KindInvalid {
		d.breaks("invalid_json", d.name()+" must be a JSON object")
		return
	}
	d.object(member)
	if d.broken != nil {
		return
	}

	end := d.json.InputOffset()
	if rest := bytes.TrimLeft(d.body.Bytes()[end:], " \t\r\n"); len(rest) > 0 {
		d.breaks("invalid_json", d.name()+" must be one JSON object and nothing after it; it ends at byte "+strconv.FormatInt(end, 10))
	}
}

// object reads an object, from its brace to its brace.
func (d *jsonReader) object(member func(name []byte)) {
	d.token()
	for d.broken == nil && d.json.PeekKind() != '}' {
		if name, ok := d.scalar(); ok {
			member(d.unquote(name))
		}
	}
	d.token()
}

// list reads an array; element is called for each and must read or skip it.
func (d *jsonReader) list(element func(i int)) {
	if !d.is('[', "must be an array") {
		return
	}

	d.token()
	for i := 0; d.broken == nil && d.json.PeekKind() != ']'; i++ {
		element(i)
	}
	d.token()
}

// token passes over a brace or bracket.
func (d *jsonReader) token() {
	if d.broken != nil {
		return
	}
	if _, err := d.json.ReadToken(); err != nil {
		d.syntax(err)
	}
}

// is reports whether a value of this kind comes next. Another is skipped and
// noted; where nothing can be read, whoever goes on to read finds that out.
func (d *jsonReader) is(want jsontext.Kind, detail string) bool {
	if k := d.json.PeekKind(); k == want || k == jsontext.KindInvalid {
		return true
	}
	d.fault("invalid_type", detail)
	d.skip()
	return false
}

func (d *jsonReader) null() bool {
	if d.json.PeekKind() != 'n' {
		return false
	}
	d.skip()
	return true
}

// skip passes over one value. It goes token by token, so that nesting is
// counted before the library follows it down.
func (d *jsonReader) skip() {
	level := d.json.StackDepth()
	for d.broken == nil {
		d.token()
		switch depth := d.json.StackDepth(); {
		case depth > MaxDepth:
			d.breaks("too_deep", d.name()+" is nested deeper than "+strconv.Itoa(MaxDepth)+" levels")
			d.broken.Limit = MaxDepth
		case depth == level:
			return
		}
	}
}

// raw reads a value and returns its bytes as they are in the body.
func (d *jsonReader) raw() []byte {
	start := d.json.InputOffset() // before the colon
	d.skip()
	if d.broken != nil {
		return nil
	}
	return bytes.TrimLeft(d.body.Bytes()[start:d.json.InputOffset()], ": \t\r\n")
}

// scalar reads a value that is neither object nor array; ok is false where
// nothing can be read.
func (d *jsonReader) scalar() (v jsontext.Value, ok bool) {
	if d.broken != nil {
		return nil, false
	}
	v, err := d.json.ReadValue()
	if err != nil {
		d.syntax(err)
	}
	return v, err == nil
}

// unquote returns the text of a string that was read, until the next call.
func (d *jsonReader) unquote(v jsontext.Value) []byte {
	var err error
	if d.scratch, err = jsontext.AppendUnquote(d.scratch[:0], v); err != nil {
		d.syntax(err)
	}
	return d.scratch
}

// text reads a string; ok is false where the value is another, and was skipped.
func (d *jsonReader) text() (b []byte, ok bool) {
	if k := d.json.PeekKind(); k != '"' && k != jsontext.KindInvalid {
		d.skip()
		return nil, false
	}
	if v, ok := d.scalar(); ok {
		return d.unquote(v), true
	}
	return nil, true
}

func (d *jsonReader) str(to *string) {
	if b, ok := d.text(); ok {
		*to = string(b)
	} else {
		d.fault("invalid_type", "must be a string")
	}
}

// optionalStr tells an empty string from absent.
func (d *jsonReader) optionalStr(to **string) {
	var s string
	d.str(&s)
	*to = &s
}

func (d *jsonReader) secret(to *password.Secret) {
	if b, ok := d.text(); ok {
		*to = password.New(string(b))
	} else {
		d.fault("invalid_type", "must be a string")
	}
}

// boolean reads true or false and nothing that looks like one.
func (d *jsonReader) boolean() (value, ok bool) {
	switch d.json.PeekKind() {
	case 't', 'f', jsontext.KindInvalid:
		v, ok := d.scalar()
		return string(v) == "true", ok
	}
	d.fault("invalid_type", "must be true or false")
	d.skip()
	return false, false
}

func (d *jsonReader) flag(to *bool) { *to, _ = d.boolean() }

// optional tells false from absent.
func (d *jsonReader) optional(to **bool) {
	if b, ok := d.boolean(); ok {
		*to = &b
	}
}

func (d *jsonReader) date(to *time.Time) {
	b, ok := d.text()
	if d.broken != nil {
		return
	}
	if !ok {
		d.fault("invalid_type", "must be a string that holds a date")
		return
	}

	t, ok := parseDate(b)
	switch {
	case !ok:
		d.fault("invalid_date", "must be a date and time such as 2006-01-02T15:04:05Z, or a date such as 2006-01-02")
	case t.Year() < 1 || t.Year() > 9999:
		d.fault("out_of_range", "must lie in the years 1 to 9999")
	default:
		*to = t // the zero Time is absent
	}
}
