package main

import (
	"bytes"
	"fmt"
	"io"
	"iter"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
)

// row is a row of the file.
type row struct {
	line  []byte // its members as a JSON object in one line; of ndjson the line as it is
	fault error  // the row can't be imported, for a reason that line does not show
}

// rows are those of a file. An error beside a zero row is the last: no more can be read.
type rows = iter.Seq2[row, error]

// feed hands the rows of a file to [httpapi.DecodeUsers], and keeps those that are on their way.
type feed struct {
	next    func() (row, error, bool)
	stop    func()
	unread  []byte // of the line that DecodeUsers reads
	err     error  // the file broke off
	read    int64  // rows
	decoded int64

	keep bool          // lines
	kept map[int64]row // by number
}

// newFeed reads what comes before the first row.
func newFeed(cfg *config, r io.Reader) (*feed, error) {
	all, err := openRows(cfg, r)
	if err != nil {
		return nil, err
	}
	f := &feed{keep: cfg.report != "", kept: make(map[int64]row)}
	f.next, f.stop = iter.Pull2(all)
	return f, nil
}

func (f *feed) close() { f.stop() }

// users yields the users of the file, and why a row is none.
func (f *feed) users() iter.Seq2[users.ImportUser, error] {
	return func(yield func(users.ImportUser, error) bool) {
		for u, err := range httpapi.DecodeUsers(f) {
			f.decoded++
			if fault := f.kept[f.decoded].fault; fault != nil {
				u, err = users.ImportUser{}, fault
			}
			if !yield(u, err) {
				return
			}
		}
	}
}

// Read reads the lines of the rows. A file that breaks off is one that ends; f.err then
// says why, since what came before is to be imported.
func (f *feed) Read(p []byte) (int, error) {
	if len(f.unread) == 0 {
		r, err, ok := f.next()
		if !ok || err != nil {
			f.err = err
			return 0, io.EOF
		}
		f.read++
		f.unread = append(bytes.Clone(r.line), '\n')
		if !f.keep {
			r.line = nil
		}
		if f.keep || r.fault != nil {
			f.kept[f.read] = r
		}
	}
	n := copy(p, f.unread)
	f.unread = f.unread[n:]
	return n, nil
}

// take returns the line of a row that is settled, if there is a report.
func (f *feed) take(n int64) []byte {
	defer delete(f.kept, n)
	return f.kept[n].line
}

// counter counts the bytes that were read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// bounded reads at most maxRecord bytes for one record, so that a quote or a brace that is
// not closed does not take the rest of the file into memory.
type bounded struct {
	r    io.Reader
	left int
}

// maxRecord is some times what a line of [httpapi.DecodeUsers] may have.
const maxRecord = 4 * httpapi.MaxBody

func (b *bounded) reset() { b.left = maxRecord }

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("a row of more than %d bytes: maybe a quote or a brace is not closed", maxRecord)
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
