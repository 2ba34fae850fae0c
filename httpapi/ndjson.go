package httpapi

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"sync"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

// importMembers are what is read of a user of an import: all of POST users, and what only
// a system that the user comes from knows. Never written to.
var importMembers = slices.Concat(createUserMembers, members[createUserRequest]{
	known("passwordHash", func(d *jsonReader, q *createUserRequest) { d.hash(&q.params.PasswordHash) }),
	known("emailVerified", func(d *jsonReader, q *createUserRequest) { d.flag(&q.emailVerified) }),
})

func (d *jsonReader) hash(to *password.Hash) {
	if b, ok := d.text(); ok {
		*to = password.NewHash(string(b))
	} else {
		d.fault("invalid_type", "must be a string")
	}
}

// DecodeUsers reads the rows of [users.Service.Import] from r: a JSON object on each line,
// with the members of POST users and passwordHash and emailVerified. An object is as
// strict as a body is, and has the same liberties: unknown members are skipped, null is
// absent, a line may begin with a byte order mark. Lines end in LF or CRLF; the last may
// do without. Blank lines are skipped, and are no rows.
//
// A line that can't be read is a row with a *[users.ValidationError] that names every fault
// of it: "invalid_type" and the like at its members, and without one "invalid_json",
// "too_deep", or "too_long" where it has more than [MaxBody] bytes, of which no more are
// kept in memory. The next line is as good as any. No error quotes a line.
//
// An error of r but io.EOF is the last row, wrapped; of the line that it cut nothing is
// told. To Import it is a row like others: who must know that rows are missing looks at r.
//
// The sequence reads r as far as it is asked to, with some 64 KiB in advance, and can be
// ranged over once.
func DecodeUsers(r io.Reader) iter.Seq2[users.ImportUser, error] {
	return decodeUsers(r, importMembers)
}

// lineBuffer is how much is read at once.
const lineBuffer = 64 << 10

func decodeUsers(r io.Reader, known members[createUserRequest]) iter.Seq2[users.ImportUser, error] {
	return func(yield func(users.ImportUser, error) bool) {
		in, pool := bufio.NewReaderSize(r, lineBuffer), new(sync.Pool)
		for n := 1; ; n++ {
			d, ok := pool.Get().(*jsonReader)
			if !ok {
				d = &jsonReader{pool: pool, noun: "line"}
			}
			end := d.line(in)
			if end != nil && end != io.EOF {
				d.release()
				yield(users.ImportUser{}, &readError{n, end})
				return
			}
			blank, row, err := d.user(known)
			d.release()
			if !blank && !yield(row, err) || end != nil {
				return
			}
		}
	}
}

// readError is an error of the reader, not of a line.
type readError struct {
	line int
	err  error
}

func (e *readError) Error() string { return fmt.Sprintf("httpapi: line %d: %v", e.line, e.err) }
func (e *readError) Unwrap() error { return e.err }

// line reads a line, without its end, into the body. Of one that is too long it keeps one
// byte more than a line may have. The error is that of in, beside the last line io.EOF.
func (d *jsonReader) line(in *bufio.Reader) error {
	const most = MaxBody + len("\r\n")
	for {
		part, err := in.ReadSlice('\n')
		d.body.Write(part[:min(len(part), most+1-d.body.Len())])
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if b := d.body.Bytes(); len(b) <= most {
			b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
			d.body.Truncate(len(b))
		}
		return err
	}
}

// user reads the user on the line that is the body; there is none on a blank one.
func (d *jsonReader) user(known members[createUserRequest]) (blank bool, row users.ImportUser, err error) {
	if d.body.Len() > MaxBody {
		return false, row, tooLong
	}
	d.start()
	if len(bytes.TrimLeft(d.body.Bytes(), " \t\r")) == 0 {
		return true, row, nil
	}
	var q createUserRequest
	known.read(d, &q)
	if found := d.err(); found != nil {
		return false, row, found
	}
	return false, users.ImportUser{CreateUserParams: q.params, EmailVerified: q.emailVerified}, nil
}

// tooLong is the fault of a line. Never written to.
var tooLong = &users.ValidationError{Fields: []users.FieldError{{
	Code: "too_long", Detail: "the line must be at most " + strconv.Itoa(MaxBody) + " bytes", Limit: MaxBody,
}}}
