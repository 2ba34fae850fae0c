package users_test

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gousers/users"
)

// asUUID is 16 bytes as an id.
func asUUID(b [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func TestShortIDIsWhatTheDotNetClientWrites(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ long, short string }{
		{"00000000-0000-0000-0000-000000000000", "0000000000000000000000"},
		{"00000000000000000000000000", "0000000000000000000000"},
		{"00000000-0000-0000-0000-000000000001", "0000000000000000000001"},
		{"00000000-0000-0000-0000-000000000003", "0000000000000000000003"},
		{"ffffffff-ffff-ffff-ffff-ffffffffffff", "zzzzzzzzzzzzzzzzzzzzzzzzz7"},
		{"7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "zzzzzzzzzzzzzzzzzzzzzzzzz7"},
		// Digits of six bits but for y, which is 11110, and z, which is 11111.
		{"f0000000-0000-0000-0000-000000000000", "y000000000000000000000"},
		{"F8000000-0000-0000-0000-000000000000", "z000000000000000000000"},
		{"01234567-89ab-cdef-0123-456789abcdef", "0ID5PuchpUy0aQApnDNcyF"},
		{"01ARZ3NDEKTSV4RRFFQ69G5FAV", "0LOz7LhfwpicCFVSoO5Uh3"},
	} {
		if got := users.ShortID(c.long); got != c.short {
			t.Errorf("ShortID(%q) = %q, want %q", c.long, got, c.short)
		}
		if got := users.LongIDs(c.short); !slices.ContainsFunc(got, func(s string) bool { return strings.EqualFold(s, c.long) }) {
			t.Errorf("LongIDs(%q) = %q, want %q among them", c.short, got, c.long)
		}
	}
}

func TestShortIDsOfBothFormsGoThereAndBack(t *testing.T) {
	t.Parallel()
	n := 200_000
	if testing.Short() {
		n = 20_000
	}
	lengths := map[int]int{}
	for i := range n {
		var b [16]byte
		rand.Read(b[:])
		if i < 1000 { // where digits of five bits are frequent
			for j := range b {
				b[j] = []byte{0, 0xff, 0xf7, 0xbe}[(i>>(j%8))&3]
			}
		}
		id := asUUID(b)
		short := users.ShortID(id)
		long := users.LongIDs(short)
		if len(long) != 2 || long[1] != id {
			t.Fatalf("LongIDs(ShortID(%q) = %q) = %q", id, short, long)
		}
		if back := users.ShortID(long[0]); back != short || len(long[0]) != 26 {
			t.Fatalf("ShortID(%q) = %q, want %q", long[0], back, short)
		}
		lengths[len(short)]++
	}
	for l := range lengths {
		if l < 22 || l > 26 {
			t.Errorf("%d ids have %d digits", lengths[l], l)
		}
	}
}

func TestWhatIsNoIDHasNoOtherForm(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "ann", "ann@example.com", "0123456789012345678901", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "{01234567-89ab-cdef-0123-456789abcdef}"} {
		if got := users.ShortID(s); got != s {
			t.Errorf("ShortID(%q) = %q, want it as it is", s, got)
		}
	}
	for why, s := range map[string]string{
		"empty":                               "",
		"a digit too few":                     strings.Repeat("0", 21),
		"a digit too many":                    strings.Repeat("0", 23),
		"much too many":                       strings.Repeat("0", 1<<20),
		"129 bits":                            strings.Repeat("0", 21) + "4",
		"the last digit holds six bits":       strings.Repeat("0", 21) + "z",
		"digits of five bits, one too few":    strings.Repeat("z", 25),
		"digits of five bits, one too many":   strings.Repeat("z", 26),
		"another spelling of the same":        strings.Repeat("0", 20) + "zU",
		"a hyphen":                            "000000000000000000000-",
		"a blank":                             "000000000000000000000 ",
		"a letter of two bytes":               "00000000000000000000ä",
		"a NUL":                               "000000000000000000000\x00",
		"a ULID that is too large for a UUID": "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
		"a UUID":                              "01234567-89ab-cdef-0123-456789abcdef",
	} {
		if got := users.LongIDs(s); got != nil {
			t.Errorf("%s: LongIDs(%.40q) = %q, want none", why, s, got)
		}
	}
}

// FuzzLongIDs: of what is read, exactly what was written is read.
func FuzzLongIDs(f *testing.F) {
	f.Add("0000000000000000000000")
	f.Add("kZyiWLUzz8dqAjHiO1gxXK")
	f.Add("zzzzzzzzzzzzzzzzzzzzzzzzz7")
	f.Fuzz(func(t *testing.T, s string) {
		for _, long := range users.LongIDs(s) {
			if got := users.ShortID(long); got != s {
				t.Errorf("LongIDs(%q) has %q, which is written %q", s, long, got)
			}
		}
	})
}
