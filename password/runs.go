package password

import "strings"

// runs returns, for each character of s, how many from there on are a run: they
// count or spell upwards or downwards, or each lies beside the one before it on a
// keyboard. A character may come twice ("112233"). longest is room for the
// answer, as long as s.
func runs(longest []int, s []rune) []int {
	var up, down, walk int
	for i := len(s) - 1; i >= 0; i-- {
		if i+1 == len(s) {
			up, down, walk = 1, 1, 1
		} else {
			a, b := s[i], s[i+1]
			up = extend(up, a == b || b == a+1)
			down = extend(down, a == b || b == a-1)
			walk = extend(walk, a == b || beside(a, b))
		}
		longest[i] = max(up, down, walk)
	}
	return longest
}

func extend(n int, ok bool) int {
	if ok {
		return n + 1
	}
	return 1
}

// Keys without and with shift, at the same index.
const (
	plainKeys   = "`1234567890-=[]\\;',./"
	shiftedKeys = "~!@#$%^&*()_+{}|:\"<>?"
)

// beside reports whether two keys are neighbours on a common keyboard. It knows
// the whole of QWERTY, and the rows of letters of QWERTZ, AZERTY and ЙЦУКЕН.
func beside(a, b rune) bool {
	a, b = unshift(a), unshift(b)
	// A key has the same column as the one above it to the left.
	qwerty := [...]string{"`1234567890-=", " qwertyuiop[]\\", " asdfghjkl;'", " zxcvbnm,./"}
	var rowA, colA, rowB, colB = -1, -1, -1, -1
	for row, keys := range qwerty {
		if i := strings.IndexRune(keys, a); i >= 0 && a != ' ' {
			rowA, colA = row, i
		}
		if i := strings.IndexRune(keys, b); i >= 0 && b != ' ' {
			rowB, colB = row, i
		}
	}
	if rowA >= 0 && rowB >= 0 {
		dr, dc := rowB-rowA, colB-colA
		if dr == 0 && (dc == 1 || dc == -1) || dr == 1 && (dc == 0 || dc == -1) || dr == -1 && (dc == 0 || dc == 1) {
			return true
		}
	}
	return besideInRow(a, b)
}

func besideInRow(a, b rune) bool {
	const rows = "qwertzuiop yxcvbnm azertyuiop qsdfghjklm wxcvbn йцукенгшщзхъ фывапролджэ ячсмитьбю"
	before := ' '
	for _, r := range rows {
		if r != ' ' && before != ' ' && (before == a && r == b || before == b && r == a) {
			return true
		}
		before = r
	}
	return false
}

func unshift(r rune) rune {
	if i := strings.IndexRune(shiftedKeys, r); i >= 0 {
		return rune(plainKeys[i])
	}
	return r
}
