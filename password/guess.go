package password

import (
	"slices"
	"unicode"
	"unicode/utf8"
)

// What the parts of a password are worth, where 4 is a letter that nobody
// foresees. They relate roughly as the logarithms of the number of tries that each
// takes; a common password is worth less than its letters taken one by one.
const (
	worthChar     = 4
	worthDigit    = 3
	worthCommon   = 6
	worthSequence = 5
	worthYear     = 4
	worthWord     = 3
	worthTwo      = 6 // a word of two letters, which is in many others by accident
	worthPersonal = 2
	worthRepeat   = 2

	// worthEnough is six letters, or four common passwords in a row.
	worthEnough = 6 * worthChar
)

const (
	leastRun    = 4 // shorter ones are in every text
	leastRepeat = 3
)

// kind is a set of reasons why a part of a password is easy to guess.
type kind uint8

const (
	isRepeat kind = 1 << iota
	isSequence
	isCommon
	isPersonal
)

// guess splits s into parts in the way that makes it worth least, and returns the
// code for the worst kind of part if that is not enough. A short password is
// asked for less, so that no 8 random characters are refused for an accident.
//
// With n characters it takes O(n²) steps: each part is found from the character
// where it starts, and the best split of what is before is known by then.
func guess(s []rune, known [][]rune, lists []wordList) string {
	n := len(s)
	room := make([]int, 3*n+1)
	run, again, plain := runs(room[:n], s), repetitions(room[n:2*n], s), unleet(s)
	leet := n - 1 // the last character of s for which plain has another
	for leet >= 0 && s[leet] == plain[leet] {
		leet--
	}
	worth := room[2*n:] // of s[:i]
	kinds := make([]kind, n+1)
	for i := range n {
		worth[i+1] = len(s) * worthChar
	}
	for i := range n {
		part := func(length, w int, k kind) {
			if j := i + length; worth[i]+w < worth[j] {
				worth[j], kinds[j] = worth[i]+w, kinds[i]|k
			}
		}
		if unicode.IsDigit(s[i]) {
			part(1, worthDigit, 0)
		} else {
			part(1, worthChar, 0)
		}
		for l := leastRepeat; l <= again[i]; l++ {
			part(l, worthRepeat, isRepeat)
		}
		for l := leastRun; l <= run[i]; l++ {
			part(l, worthSequence, isSequence)
		}
		if isYear(s[i:]) {
			part(4, worthYear, isSequence)
		}
		for _, w := range known {
			if hasPrefix(s[i:], w) || i <= leet && hasPrefix(plain[i:], w) {
				part(len(w), worthPersonal, isPersonal)
			}
		}
		for _, list := range lists {
			found := func(l int) {
				w := list.worth
				if l == 2 {
					w = worthTwo
				}
				part(l, w, isCommon)
			}
			list.each(s[i:], found)
			if i <= leet {
				list.each(plain[i:], found)
			}
		}
	}
	if worth[n] >= min(worthEnough, 2*n-4) {
		return ""
	}
	switch k := kinds[n]; {
	case k&isPersonal != 0:
		return CodePersonal
	case k&isCommon != 0:
		return CodeCommon
	case k&isSequence != 0:
		return CodeSequence
	}
	return CodeRepeated
}

// wordList is a list of words in the form of blocklist, and what each is worth.
type wordList struct {
	words string
	worth int
}

// each calls found with the length of each word that s begins with.
func (w wordList) each(s []rune, found func(length int)) {
	l := allListed(w.words)
	var b [utf8.UTFMax]byte
	for i, r := range s {
		for _, c := range b[:utf8.EncodeRune(b[:], r)] {
			if l = l.narrow(c); l.empty() {
				return
			}
		}
		if l.word() {
			found(i + 1)
		}
	}
}

// repetitions returns, for each character of s, how many from there on occur
// earlier in s as well, in the same order. Both may overlap: "aaaa", "abababab".
// longest is room for the answer: zeros, as many as s has characters.
func repetitions(longest []int, s []rune) []int {
	for back := 1; back < len(s); back++ {
		same := 0
		for i := len(s) - 1; i >= back; i-- {
			if s[i] == s[i-back] {
				same++
			} else {
				same = 0
			}
			longest[i] = max(longest[i], same)
		}
	}
	return longest
}

// repeats reports whether s is a part of fewer than least characters, twice or
// more in a row.
func repeats(s []rune, least int) bool {
	for p := 1; p < least && 2*p <= len(s); p++ {
		if slices.Equal(s[p:], s[:len(s)-p]) {
			return true
		}
	}
	return false
}

func isYear(s []rune) bool {
	return len(s) >= 4 && (s[0] == '1' && s[1] == '9' || s[0] == '2' && s[1] == '0') &&
		'0' <= s[2] && s[2] <= '9' && '0' <= s[3] && s[3] <= '9'
}

func hasPrefix(s, prefix []rune) bool {
	return len(s) >= len(prefix) && slices.Equal(s[:len(prefix)], prefix)
}

// unleet writes letters for the digits and signs that are used in their place.
func unleet(s []rune) []rune {
	out := slices.Clone(s)
	for i, r := range out {
		switch r {
		case '4', '@':
			out[i] = 'a'
		case '3':
			out[i] = 'e'
		case '1', '!':
			out[i] = 'i'
		case '0':
			out[i] = 'o'
		case '5', '$':
			out[i] = 's'
		case '7':
			out[i] = 't'
		}
	}
	return out
}
