package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
)

const byteOrderMark = "\xef\xbb\xbf"

// openRows returns the rows of r in the format of cfg. An error is one that is known before the
// first row.
func openRows(cfg *config, r io.Reader) (rows, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	if start, _ := in.Peek(len(byteOrderMark)); string(start) == byteOrderMark {
		in.Discard(len(byteOrderMark))
	}
	switch s, ok := systems[cfg.format]; {
	case ok:
		return openSystem(in, s, conversion{cfg.firebase, time.Now()})
	case cfg.format == "csv":
		return openCSV(in)
	}
	return lines(in), nil
}

// formats are the names of all formats.
func formats() []string {
	return append([]string{"ndjson", "csv"}, slices.Sorted(maps.Keys(systems))...)
}

func known(format string) bool { return slices.Contains(formats(), format) }

// lines are the rows of NDJSON. Lines without text are none.
func lines(in *bufio.Reader) rows {
	return func(yield func(row, error) bool) {
		for {
			line, whole, err := readLine(in)
			if err != nil && err != io.EOF {
				yield(row{}, err)
				return
			}
			// What is blank to DecodeUsers, so that both count the same rows.
			text := bytes.TrimLeft(bytes.TrimPrefix(line, []byte(byteOrderMark)), " \t\r")
			if len(text) > 0 {
				if err == io.EOF && whole && !json.Valid(text) {
					yield(row{}, errors.New("the file ends within a line"))
					return
				}
				if !yield(row{line: line}, nil) {
					return
				}
			}
			if err == io.EOF {
				return
			}
		}
	}
}

// readLine returns the next line, without its end; of one that is too long as much as shows
// that, and whole is false.
func readLine(in *bufio.Reader) (line []byte, whole bool, err error) {
	whole = true
	for {
		part, err := in.ReadSlice('\n')
		if rest := httpapi.MaxBody + 1 - len(line); len(part) > rest {
			part, whole = part[:rest], false
		}
		line = append(line, part...)
		if err != bufio.ErrBufferFull {
			return bytes.TrimRight(line, "\r\n"), whole, err
		}
	}
}

// csvMembers are the columns that a CSV file may have. Never written to.
var csvMembers = map[string]func(string) any{
	"userName": text, "email": text, "name": text, "id": text,
	"password": text, "passwordHash": text, "creationDate": text,
	"isApproved": boolean, "isLockedOut": boolean, "emailVerified": boolean,
	"allowDashboardAccess": boolean, "sendEmailNotification": boolean,
	"roles":             func(s string) any { return strings.Split(s, "|") },
	"dashboardSettings": object,
}

func text(s string) any { return s }

// boolean leaves a text that is neither to be refused, with its pointer.
func boolean(s string) any {
	if s == "true" || s == "false" {
		return s == "true"
	}
	return s
}

func object(s string) any {
	if json.Valid([]byte(s)) {
		return json.RawMessage(s)
	}
	return s
}

// openCSV reads the header.
func openCSV(in io.Reader) (rows, error) {
	t, err := openTable(in)
	if err != nil {
		return nil, err
	}
	for _, name := range t.header {
		if csvMembers[name] == nil {
			return nil, fmt.Errorf("column %q is none of %s", name, strings.Join(slices.Sorted(maps.Keys(csvMembers)), ", "))
		}
	}
	if !slices.Contains(t.header, "userName") || !slices.Contains(t.header, "email") {
		return nil, errors.New("the columns userName and email are missing")
	}
	return func(yield func(row, error) bool) {
		for fields, err := range t.records {
			var r row
			if fields != nil {
				r = t.row(fields)
			}
			if !yield(r, err) {
				return
			}
		}
	}, nil
}

// row makes members of the fields. Where there are more or fewer than the header says, nobody
// knows which is missing.
func (t *table) row(fields []string) row {
	var m memberList
	for i, s := range fields[:min(len(fields), len(t.header))] {
		if s != "" {
			m.add(t.header[i], csvMembers[t.header[i]](s))
		}
	}
	return row{m.line(), t.fault(fields)}
}

// table is a CSV file with a header.
type table struct {
	header []string
	in     *bounded
	csv    *csv.Reader
}

func openTable(in io.Reader) (*table, error) {
	t := &table{in: &bounded{r: in}}
	t.in.reset()
	t.csv = csv.NewReader(t.in)
	t.csv.FieldsPerRecord = -1
	header, err := t.csv.Read()
	if err == io.EOF {
		err = errors.New("the file is empty: the first line must name the columns")
	}
	if err != nil {
		return nil, err
	}
	for i, name := range header {
		if t.header = append(t.header, strings.TrimSpace(name)); slices.Contains(t.header[:i], t.header[i]) {
			return nil, fmt.Errorf("column %q comes twice", t.header[i])
		}
	}
	return t, nil
}

// records yields the fields of each row. After an error nobody knows where the next begins.
func (t *table) records(yield func([]string, error) bool) {
	for {
		t.in.reset()
		fields, err := t.csv.Read()
		if err == io.EOF {
			return
		}
		if err != nil {
			fields = nil
		}
		if !yield(fields, err) || err != nil {
			return
		}
	}
}

// fault says what is wrong with the fields as a whole.
func (t *table) fault(fields []string) error {
	if len(fields) != len(t.header) {
		return faulty("invalid_csv", fmt.Sprintf("has %d fields, and the header has %d", len(fields), len(t.header)))
	}
	if slices.ContainsFunc(fields, func(s string) bool { return !utf8.ValidString(s) }) {
		return faulty("invalid_csv", "is not valid UTF-8")
	}
	return nil
}

// faulty refuses a row as a whole.
func faulty(code, detail string) error {
	return &users.ValidationError{Fields: []users.FieldError{{Code: code, Detail: detail}}}
}

// memberList writes a JSON object.
type memberList struct{ buf bytes.Buffer }

func (m *memberList) add(name string, value any) {
	m.separate()
	m.value(name)
	m.buf.WriteByte(':')
	m.value(value)
}

func (m *memberList) separate() {
	if m.buf.Len() == 0 {
		m.buf.WriteByte('{')
	} else {
		m.buf.WriteByte(',')
	}
}

// value writes what json.Marshal writes, but <, > and & as they are.
func (m *memberList) value(v any) {
	e := json.NewEncoder(&m.buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // strings, booleans and JSON that was read
	}
	m.buf.Truncate(m.buf.Len() - 1) // its line break
}

func (m *memberList) line() []byte {
	if m.buf.Len() == 0 {
		return []byte("{}")
	}
	return append(m.buf.Bytes(), '}')
}
