package users

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/secure/bidirule"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"
)

// keyVersion is the version of the rules in this file. It is stored with each
// user, so that rows can be found whose keys came from older rules. A change that
// changes the key of any accepted name or address, or refuses what was accepted,
// takes the next number. 1 did not fold case; no release had it.
const keyVersion = 2

// The longest user name, e-mail address and display name, in characters (Unicode
// code points) or bytes. They apply to what was sent and to the key made of it,
// which can be longer (U+0130 becomes two characters).
const (
	MaxUserName    = 256 // characters
	MaxEmail       = 254 // bytes; RFC 5321 section 4.5.3.1.3, less the two angle brackets
	MaxDisplayName = 256 // characters

	maxDisplayKey = 1024 // bytes

	maxLocalPart = 64  // octets; RFC 5321 section 4.5.3.1.1
	maxLabel     = 63  // octets; RFC 1035 section 2.3.4
	maxDomain    = 253 // octets without the root; RFC 1035 section 2.3.4
)

// ruleError says which rule a value breaks. code is stable; detail continues a
// sentence that begins with the member's name, and never quotes the value; limit
// is the number in it, where the rule is one.
type ruleError struct {
	code, detail string
	limit        int
}

func (e *ruleError) Error() string { return e.detail }

func rule(code, detail string) *ruleError { return &ruleError{code: code, detail: detail} }

func tooLong(limit int, unit string) *ruleError {
	return &ruleError{codeTooLong, fmt.Sprintf("must be at most %d %s", limit, unit), limit}
}

var (
	errControl    = rule("invalid_characters", "must not contain control, formatting or invisible characters")
	errUnassigned = rule("unassigned_character", "must not contain characters that Unicode 15.0 does not define")
	errIdentifier = rule("invalid_characters", "must consist of letters, digits and punctuation, without spaces, symbols, emoji or compatibility characters")
	errDirection  = rule("mixed_direction", "must not mix right-to-left and left-to-right characters, nor begin with a digit or end with punctuation if it is written right to left")
	errUnstable   = rule("unstable", "must not contain characters that have no stable lower-case form")

	errNameCharacters = rule("invalid_characters", `must not contain any of / \ ? # % { } < > "`)
	errNameMark       = rule("invalid_characters", "must not begin with a combining mark")
	errNameReserved   = rule("reserved", `must not be "." or ".."`)
	errNameID         = rule("looks_like_id", "must not have the form of an id (ULID or UUID)")
	errNameAddress    = rule("not_own_email", "must be the user's own e-mail address if it contains an @")

	errEmailForm   = rule("invalid_email", `must be a plain e-mail address with one "@", such as name@example.com`)
	errEmailLong   = tooLong(MaxEmail, "bytes")
	errEmailLocal  = rule("invalid_email", `must have at most 64 bytes before the "@": letters, digits and any of !#$%&'*+-/=?^_{|}~ or a backquote, with single dots between them`)
	errEmailDomain = rule("invalid_email", `must have a valid domain name with at least one dot after the "@"`)

	errRoleID    = rule("invalid_id", "must have an id that is a ULID or a UUID")
	errRoleSpace = rule("surrounding_space", "must not begin or end with a space")
)

var (
	// nameProfile maps and checks as UsernameCaseMapped does (RFC 8265 section
	// 3.3), but for the directionality rule, which identifier applies:
	// precis.UsernameCaseMapped applies the Bidi Rule to left-to-right names as
	// well, where the RFC asks for none, and so refuses "1é", "007小明" and "_мир".
	nameProfile = precis.NewIdentifier(precis.FoldWidth, precis.LowerCase(), precis.Norm(norm.NFC))

	// labelProfile is nameProfile without the width mapping: IDNA maps no widths
	// at registration (RFC 5891 section 4), and the class refuses them. Nor is
	// the case of a label folded: what foldCase makes one are two domains, which
	// two people can register.
	labelProfile = precis.NewIdentifier(precis.LowerCase(), precis.Norm(norm.NFC))
)

// userNameKey returns the canonical key of a user name: its form under the PRECIS
// profile UsernameCaseMapped (RFC 8265 section 3.3; a userpart, so no spaces)
// and then foldCase, applied until stable. Names that differ in case, in width or
// in composition have one key.
//
// A key that contains '@' is the emailKey of the name. The caller refuses it
// unless it equals the key of the user's own address.
//
// Beyond the profile are refused: what would not survive as a segment of a URL
// path or is special in markup, joiners (which tell two names apart invisibly),
// a leading combining mark (which would join what precedes the name), and
// what reads as an id, because ids and names share the reference in URLs.
func userNameKey(s string) (key string, err error) {
	if err := checkUserName(s); err != nil {
		return "", err
	}
	key = s
	if strings.IndexByte(s, '@') < 0 {
		if key, err = nameIdentifier(s); err != nil {
			return "", err
		}
	}
	if strings.IndexByte(key, '@') >= 0 {
		if key, err = emailKey(key); err != nil {
			return "", errNameAddress
		}
	}
	// Width mapping makes ASCII of other characters.
	if err := checkUserName(key); err != nil {
		return "", err
	}
	if key == "." || key == ".." {
		return "", errNameReserved
	}
	if _, isID := parseID(key); isID {
		return "", errNameID
	}
	return key, nil
}

func checkUserName(s string) error {
	if err := checkText(s, MaxUserName); err != nil {
		return err
	}
	if strings.ContainsAny(s, `/\?#%{}<>"`) {
		return errNameCharacters
	}
	return nil
}

// emailKey returns the canonical key of an e-mail address: the local part as a
// user name is mapped (case, width and NFC), the domain in lower case and its
// ASCII form (IDNA2008, RFC 5891 section 4). The key is an address itself and
// at most 254 octets long. It is for comparing only: mail goes to the address as
// given, because a server may distinguish cases.
//
// The address is that of RFC 5321 section 4.1.2 and RFC 6531 section 3.3,
// without quoted local parts, comments and address literals. Non-ASCII
// characters have to be letters, digits or marks (PRECIS IdentifierClass), which
// is what IDNA2008 asks of a domain too; package idna follows UTS #46 there and
// would accept symbols and emoji.
func emailKey(s string) (key string, err error) {
	if len(s) > MaxEmail {
		return "", errEmailLong
	}
	if err := checkText(s, MaxEmail); err != nil {
		return "", err
	}
	// Both halves begin with lower-casing. Doing it at once spares an ASCII
	// address all further copies.
	key = s
	if isASCII(s) {
		key = strings.ToLower(s)
	}
	l, d, ok := strings.Cut(key, "@")
	if !ok || l == "" || d == "" || strings.IndexByte(d, '@') >= 0 {
		return "", errEmailForm
	}
	local, err := localPartKey(l)
	if err != nil {
		return "", err
	}
	domain, err := domainKey(d)
	if err != nil {
		return "", err
	}
	if local == l && domain == d {
		return key, nil
	}
	if key = local + "@" + domain; len(key) > MaxEmail {
		return "", errEmailLong
	}
	return key, nil
}

// localPartKey takes a dot-atom (RFC 5322 section 3.2.3). The limit holds on
// both sides of the mapping, so that a key is always an address again.
func localPartKey(s string) (string, error) {
	if len(s) > maxLocalPart {
		return "", errEmailLocal
	}
	key, err := nameIdentifier(s)
	if err != nil {
		return "", errEmailLocal
	}
	if len(key) > maxLocalPart || key[0] == '.' || key[len(key)-1] == '.' || strings.Contains(key, "..") {
		return "", errEmailLocal
	}
	for i := range len(key) {
		c := key[i]
		if c < utf8.RuneSelf && !isDigit(c) && (c < 'a' || 'z' < c) && strings.IndexByte("!#$%&'*+-/=?^_`{|}~.", c) < 0 {
			return "", errEmailLocal
		}
	}
	return key, nil
}

// domainKey returns the ASCII form of a domain that can be reached from anywhere:
// two labels or more, no trailing dot, not below localhost (RFC 6761 section
// 6.3). A last label that is a number would make an IPv4 address of it for
// inet_aton; no top-level domain is one (RFC 3696 section 2).
func domainKey(s string) (string, error) {
	key := s
	if !isPlainDomain(s) {
		var err error
		if key, err = idnaDomain(s); err != nil {
			return "", err
		}
	}
	last := key[strings.LastIndexByte(key, '.')+1:]
	if len(last) == len(key) || last == "" || last == "localhost" || isNumber(last) {
		return "", errEmailDomain
	}
	return key, nil
}

// isPlainDomain reports whether s is made of lower-case LDH labels without
// hyphens in the third and fourth place. Such a domain is its own ASCII form,
// and package idna need not be asked.
func isPlainDomain(s string) bool {
	if len(s) > maxDomain {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		n := len(label)
		if n == 0 || n > maxLabel || label[0] == '-' || label[n-1] == '-' || n > 3 && label[2:4] == "--" {
			return false
		}
		for i := range n {
			if c := label[i]; c != '-' && !isDigit(c) && (c < 'a' || 'z' < c) {
				return false
			}
		}
	}
	return true
}

// idnaDomain lower-cases and composes the labels, and takes the ASCII form from
// idna.Registration, which does neither. Its value counts only without an error.
// A label that came as "xn--" is held to the same rule as its Unicode form.
func idnaDomain(s string) (string, error) {
	labels := strings.Split(s, ".")
	for i, label := range labels {
		if isASCII(label) {
			labels[i] = strings.ToLower(label)
			continue
		}
		var err error
		if labels[i], err = mapped(labelProfile.String, label); err != nil {
			return "", errEmailDomain
		}
	}
	key, err := idna.Registration.ToASCII(strings.Join(labels, "."))
	if err != nil {
		return "", errEmailDomain
	}
	for label := range strings.SplitSeq(key, ".") {
		if !strings.HasPrefix(label, "xn--") {
			continue
		}
		u, err := idna.Punycode.ToUnicode(label)
		if err != nil || checkText(u, maxDomain) != nil {
			return "", errEmailDomain
		}
		if k, err := mapped(labelProfile.String, u); err != nil || k != u {
			return "", errEmailDomain
		}
	}
	return key, nil
}

// nameIdentifier returns the key of a user name without an '@', or of a local part.
func nameIdentifier(s string) (string, error) {
	if isGraphicASCII(s) {
		// The class holds all of ASCII's printing characters but the space (RFC
		// 8264 section 9.11), and only the case mapping changes any of them.
		return strings.ToLower(s), nil
	}
	return mapped(precisName, s)
}

func precisName(s string) (string, error) {
	key, err := nameProfile.String(s)
	return foldCase(key), err
}

// foldCase makes case variants one that lower-casing leaves apart. s is in lower
// case and NFC, and so is what it returns. Of what a name may hold, it unifies all
// that full case folding does (Unicode section 5.18, CaseFolding.txt C and F):
//
//   - the final sigma, which has the capital of every other one: the profile
//     lower-cases without context, where RFC 8265 asks for toLowerCase;
//   - U+1C80 to U+1C88, letter forms with the capitals of common Cyrillic letters;
//   - the iota below Greek vowels, whose capital is the letter iota;
//
// and, from SpecialCasing.txt, a dot above a letter that has one anyway: the
// capital U+0130 becomes i and a dot in lower case, which reads as i.
//
// Sharp s alone stays apart from the ss that folding makes of it: Weiß and Weiss
// are two names, neither looks like the other, and PRECIS and IDNA keep both.
func foldCase(s string) string {
	if !strings.ContainsFunc(s, mayFold) {
		return s
	}

	var b strings.Builder
	dotted := false // the letter has a dot, and no mark above it yet
	for _, r := range norm.NFD.String(s) {
		if r == dotAbove && dotted {
			continue
		}
		if class := norm.NFD.PropertiesString(string(r)).CCC(); class == 0 || class == markAbove {
			dotted = unicode.Is(unicode.Soft_Dotted, r)
		}
		switch {
		case r == 'ς':
			r = 'σ'
		case r == iotaBelow:
			r = 'ι'
		case 0x1c80 <= r && r <= 0x1c88:
			r = [...]rune{'в', 'д', 'о', 'с', 'т', 'т', 'ъ', 'ѣ', 'ꙋ'}[r-0x1c80]
		}
		b.WriteRune(r)
	}
	return norm.NFC.String(b.String())
}

const (
	dotAbove  = '\u0307'
	iotaBelow = '\u0345'
	markAbove = 230 // canonical combining class
)

// mayFold reports whether foldCase does anything to r or because of it.
func mayFold(r rune) bool {
	switch {
	case r < iotaBelow:
		return r == dotAbove
	case r == iotaBelow, r == 'ς', 0x1c80 <= r && r <= 0x1c88:
		return true
	}
	return 0x1f80 <= r && r <= 0x1fff // vowels with an iota below
}

// mapped returns s as mapped by f until stable, and refuses what f, the Bidi Rule
// (RFC 5893 section 2; only if there are right-to-left characters, RFC 8265
// section 3.3) and the further rules of this package do not allow.
func mapped(f func(string) (string, error), s string) (string, error) {
	key, err := untilStable(f, s)
	if err != nil {
		return "", err
	}
	if bidirule.DirectionString(key) != bidi.LeftToRight && !bidirule.ValidString(key) {
		return "", errDirection
	}
	if startsWithMark(s) || startsWithMark(key) {
		return "", errNameMark
	}
	return key, nil
}

func startsWithMark(s string) bool {
	first, _ := utf8.DecodeRuneInString(s)
	return unicode.Is(unicode.M, first)
}

// untilStable applies f once and at most three more times: a profile's rules are
// not idempotent for every string, and a key has to be its own key (RFC 8266
// section 2.1 has the bound).
func untilStable(f func(string) (string, error), s string) (string, error) {
	key, err := f(s)
	for n := 0; err == nil && n < 3; n++ {
		last := key
		if key, err = f(last); err == nil && key == last {
			return key, nil
		}
	}
	if err != nil {
		return "", errIdentifier
	}
	return "", errUnstable
}

// roleNameKey returns the canonical key of a role's name: its NFC (UAX #15).
// Nothing else is mapped, so names that differ in case are different roles.
func roleNameKey(s string) (string, error) {
	if err := checkText(s, MaxRoleName); err != nil {
		return "", err
	}
	key := norm.NFC.String(s)
	// NFC can lengthen a name, and package norm breaks more than 30 successive
	// marks with U+034F, which checkText refuses.
	if err := checkText(key, MaxRoleName); err != nil {
		return "", err
	}
	first, _ := utf8.DecodeRuneInString(key)
	last, _ := utf8.DecodeLastRuneInString(key)
	if unicode.IsSpace(first) || unicode.IsSpace(last) {
		return "", errRoleSpace
	}
	return key, nil
}

// checkDisplayName checks a name that is only shown, never compared, of a user or
// an application. It may be empty.
func checkDisplayName(s string) error { return checkShown(s, MaxDisplayName, shapes) }

// checkDescription checks text of any number of lines. It may be empty.
func checkDescription(s string) error {
	return checkShown(s, MaxRoleDescription, func(before, r rune) bool {
		return r == '\n' || r == '\r' || r == '\t' || shapes(before, r)
	})
}

// checkShown checks text that is only shown. Characters newer than Unicode 15.0
// are welcome.
func checkShown(s string, limit int, spared func(before, r rune) bool) error {
	if err := checkRunes(s, limit, spared); err != nil && err != errUnassigned {
		return err
	}
	return nil
}

// blankAsNone returns s, but "" where s is nothing but white space.
func blankAsNone(s string) string {
	if strings.TrimSpace(s) == "" {
		return ""
	}
	return s
}

// displayKey returns the form in which display names are sorted and searched:
// folded case in NFC, cut to what a store must hold. It is no unique key, so that
// it may follow the Unicode version of the Go release.
func displayKey(name string) string {
	key := foldCase(norm.NFC.String(strings.ToLower(norm.NFC.String(name))))
	for len(key) > maxDisplayKey {
		_, last := utf8.DecodeLastRuneInString(key)
		key = key[:len(key)-last]
	}
	return key
}

// checkText applies what holds for each kind of name that is compared: valid
// UTF-8, the length in characters, nothing hidden, and nothing that Unicode 15.0
// leaves unassigned. The last is because PRECIS, IDNA and NFC follow the Unicode
// version of the Go release: only for what is assigned do all of them agree. It is
// reported after all others.
func checkText(s string, limit int) error {
	if s == "" {
		return rule(codeRequired, "is required")
	}
	return checkRunes(s, limit, func(_, _ rune) bool { return false })
}

// checkRunes is checkText but for what spared reports: a hidden character that may
// stand after the one before it.
func checkRunes(s string, limit int, spared func(before, r rune) bool) error {
	if !utf8.ValidString(s) {
		return rule("invalid_utf8", "must be valid UTF-8")
	}
	if len(s) > limit && utf8.RuneCountInString(s) > limit {
		return tooLong(limit, "characters")
	}
	var err error
	before := ' '
	for _, r := range s {
		switch {
		case hidden(r) && !spared(before, r):
			return errControl
		case r >= utf8.RuneSelf && !unicode.Is(assigned15, r):
			err = errUnassigned
		}
		before = r
	}
	return err
}

// hidden reports whether r shows nothing: controls, line and paragraph
// separators, format characters (the bidirectional controls, the joiners, U+00AD,
// U+200B, U+FEFF), variation selectors, and what is blank by default (the Hangul
// fillers, U+034F) or by design (the empty Braille cell, the null note, the Khitan
// filler). Two names that differ in these alone look the same.
func hidden(r rune) bool {
	if r < utf8.RuneSelf {
		return r < ' ' || r == 0x7f
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) ||
		r == 0x2800 || r == 0x16fe4 || r == 0x1d159
}

// shapes reports whether the joiner or variation selector r can change how the
// character before it looks: the spelling of some languages needs that (not of
// those with capitals), and so do emoji and the ideographs of Japanese names.
func shapes(before, r rune) bool {
	selects := unicode.Is(unicode.Variation_Selector, r)
	if !selects && r != '\u200c' && r != '\u200d' {
		return false
	}
	if hidden(before) {
		return !selects && unicode.Is(unicode.Variation_Selector, before)
	}
	if unicode.In(before, unicode.Lo, unicode.S) {
		return true
	}
	if selects {
		return before == 'ℹ' || unicode.In(before, unicode.Nd, unicode.P)
	}
	return unicode.In(before, unicode.M, unicode.Lm)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// isGraphicASCII reports whether s holds only 0x21 to 0x7e.
func isGraphicASCII(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isNumber reports whether label is decimal, or hexadecimal after 0x.
func isNumber(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}
