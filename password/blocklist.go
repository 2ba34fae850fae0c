package password

import (
	_ "embed"
	"strings"
)

// blocklist holds common passwords in lower case, sorted by bytes, each ended by
// a line break. It is searched as it is, so that it costs nothing at start.
// blocklist_gen.go says how it was made, blocklist.LICENSE whose it is.
//
//go:embed blocklist.txt
var blocklist string

// plainWords holds words that people make plain phrases of ("thisismypassword"),
// in many languages and scripts, as unaccent writes them and otherwise like
// blocklist. It is this package's own.
//
//go:embed words.txt
var plainWords string

// Common reports whether s is one of the 11,611 common passwords of the embedded
// list, which are in lower case and have 8 to 20 characters. It compares bytes;
// a [Policy] asks for the plainer forms of a password as well. It is for a
// Policy.Blocked that adds to the list:
//
//	Blocked: func(s string) bool { return password.Common(s) || ours(s) }
func Common(s string) bool {
	r := allListed(blocklist)
	for i := range len(s) {
		if r = r.narrow(s[i]); r.empty() {
			return false
		}
	}
	return r.word()
}

// listed is the range of lines of list that begin with the same n bytes.
type listed struct {
	list      string
	lo, hi, n int
}

func allListed(list string) listed { return listed{list: list, hi: len(list)} }

func (l listed) empty() bool { return l.lo >= l.hi }

// word reports whether the n bytes are a line of their own, which sorts first.
func (l listed) word() bool { return !l.empty() && l.list[l.lo+l.n] == '\n' }

// narrow returns the lines of l that go on with c.
func (l listed) narrow(c byte) listed {
	if c <= '\n' {
		return listed{}
	}
	lo := l.search(c)
	rest := listed{l.list, lo, l.hi, l.n}
	return listed{l.list, lo, rest.search(c + 1), l.n + 1}
}

// search returns where the lines of l start that go on with c or greater.
func (l listed) search(c byte) int {
	lo, hi := l.lo, l.hi
	for lo < hi {
		mid := lo + (hi-lo)/2
		start := lo + strings.LastIndexByte(l.list[lo:mid], '\n') + 1
		if l.list[start+l.n] < c {
			lo = start + strings.IndexByte(l.list[start:], '\n') + 1
		} else {
			hi = start
		}
	}
	return lo
}
