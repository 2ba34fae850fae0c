package users_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gousers/users"
)

// Every 16 bytes have one short id, whichever way they are stored.
func TestShortIDsComeBack(t *testing.T) {
	t.Parallel()
	lengths := map[int]bool{}
	for i := range 20_000 {
		var b [16]byte
		rand.Read(b[:])
		if i < 2000 { // long runs of ones, which are digits of five bits
			for j := range b {
				b[j] = []byte{0, 0xff, 0xf7, 0xbe}[(i>>(j%8))&3]
			}
		}
		if i == 0 {
			b = [16]byte(bytes.Repeat([]byte{0xff}, 16))
		}
		uuid := fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
		short := users.ShortID(uuid)
		lengths[len(short)] = true
		long := users.LongIDs(short)
		if len(long) != 2 || long[1] != uuid || users.ShortID(long[0]) != short || users.ShortID(strings.ToLower(long[0])) != short {
			t.Fatalf("%s: got %s and back %s", uuid, short, long)
		}
	}
	if !lengths[22] || !lengths[23] || !lengths[26] {
		t.Errorf("got lengths %v, want 22 to 26", lengths)
	}
	equal(t, "a known one", users.LongIDs("kZyiWLUzz8dqAjHiO1gxXK") != nil, true)
}

func TestWhatIsNoIDIsNoShortID(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "ann", "0", strings.Repeat("0", 21), strings.Repeat("0", 23), strings.Repeat("z", 27), strings.Repeat("z", 22),
		strings.Repeat("0", 21) + "4", strings.Repeat("0", 21) + "é", strings.Repeat("0", 21) + "-", strings.Repeat("0", 21) + " ",
		strings.Repeat("0", 10_000), unknownID, "abcdefab-0000-4000-8000-000000000001",
	} {
		if got := users.LongIDs(s); got != nil {
			t.Errorf("%.40q: got %q, want none", s, got)
		}
	}
	for _, s := range []string{"", "ann", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "abcdefab-0000-4000-8000-00000000000g"} {
		equal(t, s, users.ShortID(s), s)
	}
	equal(t, "zeros", slices.Compact(users.LongIDs(strings.Repeat("0", 22))), []string{"00000000000000000000000000", "00000000-0000-0000-0000-000000000000"})
}

func FuzzLongIDs(f *testing.F) {
	f.Add("kZyiWLUzz8dqAjHiO1gxXK")
	f.Add(strings.Repeat("z", 26))
	f.Fuzz(func(t *testing.T, s string) {
		for _, id := range users.LongIDs(s) {
			if got := users.ShortID(id); got != s {
				t.Errorf("%q: got %s and back %q", s, id, got)
			}
		}
	})
}
