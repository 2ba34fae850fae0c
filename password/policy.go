package password

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	// DefaultMinLength is what [Policy] asks for, in characters, when nothing
	// else protects the account: NIST SP 800-63B-4, section 3.1.1.2.
	DefaultMinLength = 15

	// LeastMinLength is the lowest a [Policy] can be set to, for hosts that ask
	// for a second factor: NIST SP 800-63B-4, section 3.1.1.2.
	LeastMinLength = 8

	// MaxTextBytes is the longest password in bytes of UTF-8, as given and as
	// normalized. NIST and OWASP ASVS 5.0, section 6.2 ask for 64 characters at least.
	MaxTextBytes = 1024
)

// Codes of a [Refusal]. They are stable.
const (
	CodeTooShort = "too_short"         // fewer characters than the policy asks for
	CodeTooLong  = "too_long"          // more than MaxTextBytes
	CodeNotText  = "not_text"          // not valid UTF-8
	CodeControl  = "control_character" // holds a control character
	CodeCommon   = "common"            // on the blocklist, or made of what is
	CodeRepeated = "repeated"          // a short part again and again
	CodeSequence = "sequence"          // counts, spells or walks over the keyboard
	CodePersonal = "personal"          // made of the words given to Check
)

// Policy says which passwords are good enough for a new account. It follows
// NIST SP 800-63B-4, section 3.1.1.2 and OWASP ASVS 5.0, section 6.2: a length, no
// rules of composition, and a comparison of the whole with what attackers try
// first. A nil Policy is the zero Policy, which is the default one. A Policy is
// safe for concurrent use if Blocked is.
type Policy struct {
	// MinLength is the least number of characters (Unicode code points after
	// [Normalize]). 0 means 15; less than 8 means 8.
	MinLength int

	// Blocked reports whether a password is too common to be used. nil means
	// the embedded list; otherwise the embedded list is not looked at, see
	// [Common]. It is asked last, about the password as normalized and about
	// plainer forms of it: in lower case, without what precedes the first
	// letter and after the last, without signs and accents, with letters for the
	// digits and signs that look like them; not about a form of less than half the
	// length. That makes at most five calls.
	Blocked func(string) bool
}

// Check returns nil if t may be a new password, and otherwise a *[Refusal] that
// says why and holds nothing of t.
//
// Every printing character and every space counts and is kept. Control
// characters (tabs, line breaks, NUL and the like: unicode.IsControl) are refused,
// because forms and terminals change or drop them.
//
// words are what an attacker knows about the owner, such as the user name, the
// e-mail address and the display name. The local part of an address counts as a
// word too, and so do the parts between signs and spaces; what has fewer than 4
// characters is ignored.
//
// A password is refused if it is blocked as a whole, if all of it repeats a part
// shorter than MinLength, or if common passwords, words, sequences, keyboard
// walks and repetitions leave too little of it: less than about six characters
// that are none of these. So do some hundred words of which people make plain
// phrases, in many languages: "thisismypassword". A phrase of different words that
// are separated, two with spaces or three with other signs between them, is not
// looked through for common passwords, but for those words: "correct horse battery
// staple" and its like are good.
//
// The work is bounded: some milliseconds for the worst of 1,024 bytes.
func (p *Policy) Check(t Secret, words ...string) error {
	b, err := Normalize(t)
	if err != nil {
		return err
	}
	s := string(b)
	if strings.ContainsFunc(s, unicode.IsControl) {
		return refuse(CodeControl)
	}
	least := p.minLength()
	if utf8.RuneCountInString(s) < least {
		return &Refusal{CodeTooShort, fmt.Sprintf("must have at least %d characters", least), least}
	}
	if code := p.weakness(s, least, words); code != "" {
		return refuse(code)
	}
	return nil
}

// Normalize returns the bytes to hash: t in Unicode normalization form C, so that
// the same password typed on another system is the same bytes (NIST SP 800-63B-4,
// section 3.1.1.2). Nothing is trimmed, cut or mapped besides. Use it for each
// password that is hashed and each that is verified.
//
// It returns a *[Refusal] if t is not valid UTF-8 or exceeds [MaxTextBytes]. It
// does not mind an empty t.
func Normalize(t Secret) ([]byte, error) {
	s := t.Reveal()
	if len(s) > MaxTextBytes {
		return nil, refuse(CodeTooLong)
	}
	if !utf8.ValidString(s) {
		return nil, refuse(CodeNotText)
	}
	b := norm.NFC.Bytes([]byte(s))
	if len(b) > MaxTextBytes {
		return nil, refuse(CodeTooLong)
	}
	return b, nil
}

// Refusal is why a password was not accepted.
type Refusal struct {
	// Code is one of the Code constants.
	Code string
	// Detail goes on from "the password", in English: "must have at least 15
	// characters". It holds nothing of the password.
	Detail string
	// Limit is the number in Detail, of characters or bytes; 0 where there is none.
	Limit int
}

func (r *Refusal) Error() string { return "password: " + r.Detail }

func refuse(code string) *Refusal {
	detail, limit := "", 0
	switch code {
	case CodeTooLong:
		limit = MaxTextBytes
		detail = fmt.Sprintf("must have at most %d bytes", MaxTextBytes)
	case CodeNotText:
		detail = "must be valid Unicode text"
	case CodeControl:
		detail = "must not contain control characters such as tabs and line breaks"
	case CodeCommon:
		detail = "must not be a common password, nor be made of common passwords and words"
	case CodeRepeated:
		detail = "must not repeat a short part"
	case CodeSequence:
		detail = "must not be a sequence or a keyboard pattern such as 12345 or qwerty"
	case CodePersonal:
		detail = "must not be made of your user name, your e-mail address or the like"
	}
	return &Refusal{code, detail, limit}
}

func (p *Policy) minLength() int {
	if p == nil || p.MinLength == 0 {
		return DefaultMinLength
	}
	return max(p.MinLength, LeastMinLength)
}

// weakness returns the code for which s is refused, or "".
func (p *Policy) weakness(s string, least int, words []string) string {
	blocked, embedded := Common, true
	if p != nil && p.Blocked != nil {
		blocked, embedded = p.Blocked, false
	}
	folded := fold(s)
	phrase := isPhrase(folded)

	// Plainer forms count only if they are the better part of the password.
	forms := append(make([]string, 0, 5), folded)
	add := func(form string) {
		if 2*utf8.RuneCountInString(form) >= utf8.RuneCountInString(folded) && !slices.Contains(forms, form) {
			forms = append(forms, form)
		}
	}
	core := strings.TrimFunc(folded, func(r rune) bool { return !unicode.IsLetter(r) })
	add(core)
	letters := bare(folded)
	add(letters)

	known := personal(words)
	for _, form := range forms {
		if slices.ContainsFunc(known, func(w []rune) bool { return string(w) == form }) {
			return CodePersonal
		}
	}
	for _, form := range forms {
		r := []rune(form)
		switch {
		case len(r) < LeastMinLength: // too little to judge the rest by
			continue
		case repeats(r, least):
			return CodeRepeated
		}
		var lists []wordList
		if embedded && !phrase {
			lists = []wordList{{plainWords, worthWord}, {blocklist, worthCommon}}
		} else if embedded && form == letters { // where a phrase is worth least
			lists = []wordList{{plainWords, worthWord}}
		}
		if code := guess(r, known, lists); code != "" {
			return code
		}
	}
	add(string(unleet([]rune(unaccent(core)))))
	if s != folded {
		forms = append(forms, s)
	}
	if slices.ContainsFunc(forms, blocked) { // last, as it may ask a server
		return CodeCommon
	}
	return ""
}

// fold maps texts that differ only in case or in width to one. Some characters
// expand to whole sentences: such a text is left as it is, to bound its length.
func fold(s string) string {
	if wide := norm.NFKC.String(s); len(wide) <= MaxTextBytes {
		s = wide
	}
	return strings.ToLower(s)
}

// bare drops everything but letters and digits, and their accents.
func bare(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsNumber(r) {
			return r
		}
		return -1
	}, unaccent(s))
}

// unaccent makes plain letters of those with marks.
func unaccent(s string) string {
	return norm.NFC.String(strings.Map(func(r rune) rune {
		switch r {
		case 'ø':
			return 'o'
		case 'đ', 'ð':
			return 'd'
		case 'ł':
			return 'l'
		case 'ı':
			return 'i'
		case 'ß':
			return 's'
		case 'ς':
			return 'σ'
		}
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFD.String(s)))
}

// isPhrase reports whether s is made of words that are separated: two different ones
// between spaces, or three between signs of any kind.
func isPhrase(s string) bool {
	return countWords(s, unicode.IsSpace) >= 2 ||
		countWords(s, func(r rune) bool { return !inWord(r) && !unicode.IsNumber(r) }) >= 3
}

// countWords counts the different words of s. A word has three letters or more,
// nothing but letters, and is not just keys in a row.
func countWords(s string, between func(rune) bool) int {
	words := make([]string, 0, 3)
	var room [32]int
	for word := range strings.FieldsFuncSeq(s, between) {
		word = strings.TrimFunc(word, unicode.IsPunct)
		r := []rune(word)
		if len(r) < 3 || strings.ContainsFunc(word, func(r rune) bool { return !inWord(r) }) || runs(slices.Grow(room[:0], len(r))[:len(r)], r)[0] == len(r) {
			continue
		}
		if !slices.Contains(words, word) {
			words = append(words, word)
		}
		if len(words) == 3 { // enough to tell
			break
		}
	}
	return len(words)
}

func inWord(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsMark(r) || r == '\'' || r == '’'
}

// parts returns what of s is between signs and spaces.
func parts(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })
}

// personal returns the forms in which a word about the owner may occur in a password.
func personal(words []string) [][]rune {
	const least = 4
	forms := make([]string, 0, 8*len(words))
	for _, w := range words {
		if len(w) > MaxTextBytes {
			continue
		}
		w = fold(w)
		local, _, _ := strings.Cut(w, "@")
		forms = append(forms, w, local, bare(w), bare(local))
		forms = append(forms, parts(w)...)
		if plain := unaccent(w); plain != w {
			forms = append(forms, parts(plain)...)
		}
	}
	slices.Sort(forms)
	known := make([][]rune, 0, len(forms))
	for _, form := range slices.Compact(forms) { // most words have but one form
		if utf8.RuneCountInString(form) >= least {
			known = append(known, []rune(form))
		}
	}
	return known
}
