package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/gousers/users"
)

// shown is how many refusals are described where there is no report.
const shown = 20

// report tells of the rows that are no users.
type report struct {
	w     io.Writer // without a file: describes the first
	count int

	file *os.File
	buf  *bufio.Writer
}

// newReport makes the file, which must be new: an older one may have been mended, or be what is
// imported now.
func newReport(name string, w io.Writer) (*report, error) {
	if name == "" {
		return &report{w: w}, nil
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("-report: %w", err)
	}
	return &report{file: f, buf: bufio.NewWriter(f)}, nil
}

// add tells of r, if its user is not there now.
func (p *report) add(r users.ImportResult, line []byte) error {
	if r.Outcome != users.ImportRefused && r.Outcome != users.ImportDuplicate {
		return nil
	}
	p.count++
	if p.file != nil {
		p.buf.Write(reportLine(r, line))
		return p.buf.WriteByte('\n')
	}
	switch {
	case p.count <= shown:
		fmt.Fprintf(p.w, "row %d: %s: %s\n", r.Row, r.Outcome, oneLine(r.Err))
	case p.count == shown+1:
		fmt.Fprintln(p.w, "more rows are no users; -report writes all to a file")
	}
	return nil
}

// close removes a file without rows.
func (p *report) close() error {
	if p.file == nil {
		return nil
	}
	err := errors.Join(p.buf.Flush(), p.file.Close())
	if err == nil && p.count == 0 {
		err = os.Remove(p.file.Name())
	}
	return err
}

// reason is one cause of a refusal.
type reason struct {
	Pointer string `json:"pointer"`
	Code    string `json:"code"`
	Detail  string `json:"detail,omitempty"`
}

func reasons(err error) []reason {
	var all []reason
	var invalid *users.ValidationError
	var conflict *users.ConflictError
	switch {
	case errors.As(err, &invalid):
		for _, f := range invalid.Fields {
			all = append(all, reason{f.Pointer, f.Code, f.Detail})
		}
	case errors.As(err, &conflict):
		for _, name := range conflict.Members {
			all = append(all, reason{"/" + name, "conflict", "is in use"})
		}
	default:
		all = []reason{{"", "refused", oneLine(err)}}
	}
	return all
}

// reportLine puts why the row was refused before its members. A line that has no members is
// text, from which they can be written. Imported, row, outcome, errors and text are members
// that nobody knows, and skipped.
func reportLine(r users.ImportResult, line []byte) []byte {
	var m memberList
	m.add("row", r.Row)
	m.add("outcome", r.Outcome)
	m.add("errors", reasons(r.Err))
	d := json.NewDecoder(bytes.NewReader(line))
	if !json.Valid(line) || !utf8.Valid(line) || bytes.TrimLeft(line, " \t")[0] != '{' {
		m.add("text", string(line))
		return m.line()
	}
	for _, err := d.Token(); err == nil && d.More(); {
		var raw json.RawMessage
		var name json.Token
		if name, err = d.Token(); err != nil {
			break
		}
		if err = d.Decode(&raw); err != nil {
			break
		}
		switch name {
		case "row", "outcome", "errors", "text": // of the report that this row comes from
		default:
			m.add(name.(string), raw)
		}
	}
	return m.line()
}
