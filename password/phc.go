package password

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// phcFields splits a hash such as "$id$params$salt$key" at its dollar signs, after
// the first. It returns nil unless there are n fields.
func phcFields(s string, n int) []string {
	rest, ok := strings.CutPrefix(s, "$")
	if !ok || strings.Count(rest, "$") != n-1 {
		return nil
	}
	return strings.Split(rest, "$")
}

// phcNumbers reads parameters such as "m=19456,t=2,p=1", which must be those named,
// in that order. Numbers have no sign and no leading zeros, as PHC writes them.
func phcNumbers(s string, names ...string) (numbers []uint64, ok bool) {
	parts := strings.Split(s, ",")
	if len(parts) != len(names) {
		return nil, false
	}
	for i, name := range names {
		n, ok := number(parts[i], name+"=", 32)
		if !ok {
			return nil, false
		}
		numbers = append(numbers, n)
	}
	return numbers, true
}

// number reads a decimal number after name, from 1, without sign or leading zeros.
func number(s, name string, bits int) (uint64, bool) {
	s, ok := strings.CutPrefix(s, name)
	if !ok || s == "" || s[0] < '1' || s[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, bits)
	return n, err == nil
}

// decodePart returns nil for what is not canonical base64 without padding.
func decodePart(s string) []byte { return decodeWith(base64.RawStdEncoding, s) }

// decodePadded is decodePart for spellings whose base64 has padding; some lose it
// underway.
func decodePadded(s string) []byte {
	if strings.HasSuffix(s, "=") {
		return decodeWith(base64.StdEncoding, s)
	}
	return decodePart(s)
}

// decodeWith decodes strictly. encoding/base64 skips line breaks even when it is strict.
func decodeWith(enc *base64.Encoding, s string) []byte {
	if strings.ContainsAny(s, "\r\n") {
		return nil
	}
	b, err := enc.Strict().DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}

// between reports whether a salt or key has least to maxPartBytes bytes.
func between(least int, part []byte) bool {
	return len(part) >= least && len(part) <= maxPartBytes
}

// errText is an error that is its own text.
type errText string

func (e errText) Error() string { return string(e) }
