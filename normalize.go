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
// takes the next number.
const keyVersion = 1

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
	// at registration (RFC 5891 section 4), and the class refuses them.
	labelProfile = precis.NewIdentifier(precis.LowerCase(), precis.Norm(norm.NFC))
)

// userNameKey returns the canonical key of a user name: its form under the PRECIS
// profile UsernameCaseMapped (RFC 8265 section 3.3; a userpart, so no spaces),
// applied until stable. Names that differ in case, in width or in composition
// have one key.
//
// A key that contains '@' is the emailKey of the name. The caller refuses it
// unless it equals the key of the user's own address.
//
// Beyond the profile are refused: what would not survive as a segment of a URL
// path or is special in markup, joiners (which distinguish two names invisibly),
// a leading combining mark (which would join what precedes the name), and
// what reads as an id, because ids and names share the reference in URLs.
func userNameKey(s string) (key string, err error) {
	if err := checkUserName(s); err != nil {
		return "", err
	}
	key = s
	if strings.IndexByte(s, '@') < 0 {
		if key, err = identifier(nameProfile, s); err != nil {
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
	key, err := identifier(nameProfile, s)
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
		if labels[i], err = identifier(labelProfile, label); err != nil {
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
		if k, err := identifier(labelProfile, u); err != nil || k != u {
			return "", errEmailDomain
		}
	}
	return key, nil
}

// identifier returns s as mapped by p until stable, and refuses what p, the Bidi
// Rule (RFC 5893 section 2; only if there are right-to-left characters, RFC 8265
// section 3.3) and the further rules of this package do not allow.
func identifier(p *precis.Profile, s string) (string, error) {
	if isGraphicASCII(s) {
		// The class holds all of ASCII's printing characters but the space (RFC
		// 8264 section 9.11), and only the case mapping changes any of them.
		return strings.ToLower(s), nil
	}
	return precisIdentifier(p, s)
}

func precisIdentifier(p *precis.Profile, s string) (string, error) {
	// The contextual rules allow U+200C and U+200D in some places.
	if strings.ContainsAny(s, "\u200c\u200d") {
		return "", errControl
	}
	key, err := untilStable(p.String, s)
	if err != nil {
		return "", err
	}
	if bidirule.DirectionString(key) != bidi.LeftToRight && !bidirule.ValidString(key) {
		return "", errDirection
	}
	if first, _ := utf8.DecodeRuneInString(key); unicode.Is(unicode.M, first) {
		return "", errNameMark
	}
	return key, nil
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

// checkDisplayName checks a name that is only shown, never compared: anything of
// at most 256 characters but what hidden finds. Characters newer than Unicode
// 15.0 are welcome. It may be empty.
func checkDisplayName(s string) error {
	if s == "" {
		return nil
	}
	if err := checkText(s, MaxDisplayName); err != nil && err != errUnassigned {
		return err
	}
	return nil
}

// displayKey returns the form in which display names are sorted and searched:
// lower case in NFC, cut to what a store must hold. It is no unique key, so that
// it may follow the Unicode version of the Go release.
func displayKey(name string) string {
	key := norm.NFC.String(strings.ToLower(norm.NFC.String(name)))
	for len(key) > maxDisplayKey {
		_, last := utf8.DecodeLastRuneInString(key)
		key = key[:len(key)-last]
	}
	return key
}

// checkText applies what holds for each kind of name: valid UTF-8, the length in
// characters, nothing hidden, and nothing that Unicode 15.0 leaves unassigned.
// The last is because PRECIS, IDNA and NFC follow the Unicode version of the Go
// release: only for what is assigned do all of them agree. It is reported after
// all others.
func checkText(s string, limit int) error {
	if s == "" {
		return rule(codeRequired, "is required")
	}
	if !utf8.ValidString(s) {
		return rule("invalid_utf8", "must be valid UTF-8")
	}
	if len(s) > limit && utf8.RuneCountInString(s) > limit {
		return tooLong(limit, "characters")
	}
	var err error
	for _, r := range s {
		switch {
		case hidden(r):
			return errControl
		case r >= utf8.RuneSelf && !unicode.Is(assigned15, r):
			err = errUnassigned
		}
	}
	return err
}

// hidden reports whether r has no place in any name: controls, line and
// paragraph separators, format characters (the bidirectional controls, U+00AD,
// U+200B, U+FEFF), and what is blank by default (the Hangul fillers, U+034F).
// The joiners U+200C and U+200D are spared: the spelling of some languages needs
// them, and emoji do.
func hidden(r rune) bool {
	if r < utf8.RuneSelf {
		return r < ' ' || r == 0x7f
	}
	if r == '\u200c' || r == '\u200d' {
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point)
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
