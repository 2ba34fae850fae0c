package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/gousers/users"
)

const (
	terminalPause = time.Second
	plainPause    = 10 * time.Second
)

// tally counts outcomes and shows how far the import is.
type tally struct {
	counts map[users.ImportOutcome]int64
	rows   int64

	w        io.Writer
	read     *counter
	size     int64 // 0: unknown
	terminal bool
	now      func() time.Time
	start    time.Time
	last     time.Time
}

func newTally(w io.Writer, read *counter, size int64) *tally {
	t := &tally{counts: make(map[users.ImportOutcome]int64), w: w, read: read, size: size, terminal: isTerminal(w), now: time.Now}
	t.start = t.now()
	t.last = t.start
	return t
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (t *tally) refused() int64 {
	return t.counts[users.ImportRefused] + t.counts[users.ImportDuplicate]
}

// add counts r. Results come a batch at a time, and so does what is shown.
func (t *tally) add(r users.ImportResult) {
	t.rows++
	t.counts[r.Outcome]++
	pause := plainPause
	if t.terminal {
		pause = terminalPause
	}
	now := t.now()
	if now.Sub(t.last) < pause {
		return
	}
	t.last = now
	t.clear()
	fmt.Fprint(t.w, t.progress())
	if !t.terminal {
		fmt.Fprintln(t.w)
	}
}

// Write writes a line of something else.
func (t *tally) Write(line []byte) (int, error) {
	t.clear()
	return t.w.Write(line)
}

func (t *tally) clear() {
	if t.terminal {
		fmt.Fprint(t.w, "\r\x1b[K")
	}
}

// progress says how many rows are done, how fast, and how long the rest of the file takes at
// this rate.
func (t *tally) progress() string {
	elapsed := t.last.Sub(t.start)
	s := fmt.Sprintf("%d rows, %.0f rows/s, %d refused", t.rows, float64(t.rows)/elapsed.Seconds(), t.refused())
	if t.size > 0 && t.read.n > 0 {
		done := min(1, float64(t.read.n)/float64(t.size))
		left := time.Duration(float64(elapsed) * (1 - done) / done)
		s += fmt.Sprintf(", %.0f %%, %v left", 100*done, left.Round(time.Second))
	}
	return s
}

// end writes the sums.
func (t *tally) end(w io.Writer, dryRun bool) {
	t.clear()
	created := "created"
	if dryRun {
		created = "would be created"
	}
	fmt.Fprintf(w, "%d rows: %d %s, %d exist, %d duplicates, %d refused, in %v\n", t.rows, t.counts[users.ImportCreated], created,
		t.counts[users.ImportExists], t.counts[users.ImportDuplicate], t.counts[users.ImportRefused], t.now().Sub(t.start).Round(time.Millisecond))
}
