package password

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"math"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Parameters of [Default]: the first choice of the OWASP Password Storage Cheat
// Sheet (19 MiB, 2 passes, 1 lane), with the salt and key sizes that RFC 9106,
// section 4 recommends.
const (
	defaultMemoryKiB = 19 * 1024
	defaultTime      = 2
	defaultThreads   = 1
	saltBytes        = 16
	keyBytes         = 32
)

// What a stored hash may ask for. The largest memory is the first recommended
// option of RFC 9106, section 4; the work leaves room for 1 GiB and 8 passes, some
// seven seconds on one core of a server of 2024. Lanes, salt and key: RFC 9106, section 3.1, but
// no key so short that guesses would match it.
const (
	maxMemoryKiB      = 2 << 20
	maxWorkKiB        = 8 << 20 // memory times passes
	maxForeignWorkKiB = 1 << 20 // of a hash from elsewhere
	maxForeignLanes   = 64      // of such a hash: each is a goroutine
	laneMemory        = 16 << 10
	minSaltBytes      = 8
	minKeyBytes       = 16
	maxPartBytes      = 64
	maxPHCBytes       = 256
)

// Argon2id hashes with Argon2id version 1.3 (RFC 9106) into a PHC string. The
// zero value is [Default]. It verifies hashes of any Argon2id parameters within
// these limits: 8 KiB a lane to 2 GiB of memory, memory times passes up to 8 GiB,
// a salt of 8 to 64 bytes and a key of 16 to 64 bytes. Other hashes, and those
// of Argon2i, Argon2d, version 1.0, a secret or associated data, are ErrUnknownHash.
//
// The limits keep a hostile stored hash from taking the machine down, but 2 GiB
// is still a lot: Memory says what a hash takes, and a [Gate] counts it.
type Argon2id struct {
	// MemoryKiB is the memory in KiB; 0 means 19,456 (19 MiB).
	MemoryKiB uint32
	// Time is the number of passes over the memory; 0 means 2.
	Time uint32
	// Threads is the number of lanes, each hashed on a goroutine of its own
	// while Hash or Verify runs; 0 means 1.
	Threads uint8
	// Rand is where salts come from; nil means crypto/rand.Reader. It must be
	// safe for concurrent use.
	Rand io.Reader
}

// Default returns the Hasher to use unless there is a reason for another:
// Argon2id with 19 MiB, 2 passes and 1 lane, a salt of 16 bytes and a key of 32.
func Default() Hasher { return Argon2id{} }

// Hash implements [Hasher]. It fails if the parameters are beyond the limits or Rand fails.
func (a Argon2id) Hash(pw []byte) (Hash, error) {
	a = a.withDefaults()
	if err := a.check(); err != nil {
		return Hash{}, fmt.Errorf("password: Argon2id: %w", err)
	}
	salt := make([]byte, saltBytes)
	if _, err := io.ReadFull(a.Rand, salt); err != nil {
		return Hash{}, fmt.Errorf("password: no salt: %w", err)
	}
	key := argon2.IDKey(pw, salt, a.Time, a.MemoryKiB, a.Threads, keyBytes)
	b64 := base64.RawStdEncoding
	return NewHash(fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		a.MemoryKiB, a.Time, a.Threads, b64.EncodeToString(salt), b64.EncodeToString(key))), nil
}

// Check implements [Verifier]. A hash from elsewhere may take as much as one of a itself,
// or memory times passes of 1 GiB, whichever is more, and have as many lanes, or 64.
func (a Argon2id) Check(h Hash) error {
	s, err := parseArgon2id(h.Reveal())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnknownHash, err)
	}
	a = a.withDefaults()
	if s.work() > max(a.work(), maxForeignWorkKiB) || s.Threads > max(a.Threads, maxForeignLanes) {
		return ErrTooCostly
	}
	return nil
}

// Verify implements [Hasher]. A hash is Outdated if its parameters or sizes
// differ in any way from those that Hash uses.
func (a Argon2id) Verify(h Hash, pw []byte) (Match, error) {
	s, err := parseArgon2id(h.Reveal())
	if err != nil {
		return Match{}, fmt.Errorf("%w: %w", ErrUnknownHash, err)
	}
	if !s.matches(pw) {
		return Match{}, nil
	}
	a = a.withDefaults()
	same := s.MemoryKiB == a.MemoryKiB && s.Time == a.Time && s.Threads == a.Threads &&
		len(s.salt) == saltBytes && len(s.key) == keyBytes
	return Match{OK: true, Outdated: !same}, nil
}

// Memory implements [Hasher]. It counts 16 KiB for each lane but the first.
func (a Argon2id) Memory(h Hash) int64 {
	if h.IsZero() {
		return a.withDefaults().memory()
	}
	s, err := parseArgon2id(h.Reveal())
	if err != nil {
		return 0
	}
	return s.memory()
}

func (a Argon2id) withDefaults() Argon2id {
	if a.MemoryKiB == 0 {
		a.MemoryKiB = defaultMemoryKiB
	}
	if a.Time == 0 {
		a.Time = defaultTime
	}
	if a.Threads == 0 {
		a.Threads = defaultThreads
	}
	if a.Rand == nil {
		a.Rand = rand.Reader
	}
	return a
}

// memory counts, beside the memory of Argon2 itself, the stack of each further lane's
// goroutine and what the goroutines leave to the garbage collector.
func (a Argon2id) memory() int64 {
	return int64(a.MemoryKiB)<<10 + int64(a.Threads-1)*laneMemory
}

// work is memory times passes, in KiB.
func (a Argon2id) work() uint64 { return uint64(a.MemoryKiB) * uint64(a.Time) }

// check holds the limits that protect the machine; it expects no zeros to be defaults.
func (a Argon2id) check() error {
	switch {
	case a.Threads == 0 || a.Time == 0:
		return errText("no passes or lanes")
	case a.MemoryKiB < 8*uint32(a.Threads):
		return errText("less memory than 8 KiB a lane")
	case a.MemoryKiB > maxMemoryKiB:
		return errText("more memory than 2 GiB")
	case a.work() > maxWorkKiB:
		return errText("more work than 8 GiB passed over")
	}
	return nil
}

// stored is a parsed PHC string.
type stored struct {
	Argon2id
	variant   string // "argon2id" or "argon2i"
	salt, key []byte
}

// parsePHC reads the one form that Argon2 hashes have in practice, strictly:
// $argon2id$v=19$m=…,t=…,p=…$salt$key. What the parameters cost is for the caller to
// judge. Its errors hold nothing of s.
func parsePHC(s string) (stored, error) {
	var h stored
	if len(s) > maxPHCBytes {
		return h, errText("too long")
	}
	f := phcFields(s, 5)
	if f == nil || f[0] != "argon2id" && f[0] != "argon2i" || f[1] != "v=19" {
		return h, errText("not argon2id or argon2i of version 19")
	}
	n, ok := phcNumbers(f[2], "m", "t", "p")
	if !ok || n[2] > math.MaxUint8 {
		return h, errText("malformed parameters")
	}
	h.variant = f[0]
	h.Argon2id = Argon2id{MemoryKiB: uint32(n[0]), Time: uint32(n[1]), Threads: uint8(n[2])}
	if h.MemoryKiB < 8*uint32(h.Threads) {
		return h, errText("less memory than 8 KiB a lane")
	}
	if h.salt = decodePart(f[3]); !between(minSaltBytes, h.salt) {
		return h, errText("malformed salt")
	}
	if h.key = decodePart(f[4]); !between(minKeyBytes, h.key) {
		return h, errText("malformed key")
	}
	return h, nil
}

// parseArgon2id is parsePHC for an Argon2id hash within the limits of [Argon2id].
func parseArgon2id(s string) (stored, error) {
	h, err := parsePHC(s)
	if err != nil {
		return h, err
	}
	if h.variant != "argon2id" {
		return h, errText("not argon2id")
	}
	return h, h.check()
}

// matches derives pw's key and compares in constant time.
func (h stored) matches(pw []byte) bool {
	derive := argon2.IDKey
	if h.variant == "argon2i" {
		derive = argon2.Key
	}
	key := derive(pw, h.salt, h.Time, h.MemoryKiB, h.Threads, uint32(len(h.key)))
	return subtle.ConstantTimeCompare(key, h.key) == 1
}

// parseArgon2 reads a foreign hash of Argon2id or Argon2i.
func parseArgon2(s string) (foreign, error) {
	h, err := parsePHC(s)
	switch {
	case err != nil:
		return foreign{}, unknown(err.Error())
	case h.work() > maxForeignWorkKiB:
		return foreign{}, costly("memory times passes exceed 1 GiB")
	case h.Threads > maxForeignLanes:
		return foreign{}, costly("too many lanes")
	}
	return foreign{memory: h.memory(), matches: h.matches}, nil
}

// djangoArgon2Prefix stands before the PHC string in Django's hashes of Argon2.
const djangoArgon2Prefix = "argon2"

func parseDjangoArgon2(s string) (foreign, error) {
	return parseArgon2(strings.TrimPrefix(s, djangoArgon2Prefix))
}
