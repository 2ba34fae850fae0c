package password

import "errors"

// ErrTooCostly is returned by [Verifier.Check] for a hash whose verification would take
// more time or memory than a sign-in may.
var ErrTooCostly = errors.New("password: the hash is too costly to verify")

// A Verifier verifies hashes of one scheme or of several. Implementations are safe for
// concurrent use and keep nothing of what they were given. They take their time on
// purpose: call Verify through a [Gate].
type Verifier interface {
	// Check judges a hash that comes from elsewhere, before it is stored: an error wraps
	// [ErrUnknownHash] where Verify does not take it, and [ErrTooCostly] where whoever
	// may sign in could keep the machine busy with it. It costs next to nothing.
	Check(h Hash) error

	// Verify reports whether h was made from pw. A wrong password is not an
	// error. A hash of another scheme, a malformed one and one whose parameters
	// are beyond the Verifier's limits are ErrUnknownHash or ErrTooCostly, at once.
	Verify(h Hash, pw []byte) (Match, error)

	// Memory returns the bytes of working memory that verifying h takes; 0 for a hash
	// that Verify would not accept. It costs next to nothing.
	Memory(h Hash) int64
}

// Legacy returns a Verifier of the hashes that other systems made. What it verifies is
// Outdated: it is to be hashed anew, as it makes no hashes. own are verifiers of the
// host's own schemes; they are asked first.
func Legacy(own ...Verifier) Verifier { return legacy{own} }

type legacy struct{ own []Verifier }

func (l legacy) Check(h Hash) error {
	for _, v := range l.own {
		if err := v.Check(h); !errors.Is(err, ErrUnknownHash) {
			return err
		}
	}
	_, err := parseForeign(h.Reveal())
	return err
}

func (l legacy) Verify(h Hash, pw []byte) (Match, error) {
	for _, v := range l.own {
		if m, err := v.Verify(h, pw); !errors.Is(err, ErrUnknownHash) {
			m.Outdated = m.OK
			return m, err
		}
	}
	f, err := parseForeign(h.Reveal())
	if err != nil {
		return Match{}, err
	}
	ok := f.matches(pw)
	return Match{OK: ok, Outdated: ok}, nil
}

func (l legacy) Memory(h Hash) int64 {
	for _, v := range l.own {
		if n := v.Memory(h); n > 0 {
			return n
		}
	}
	f, err := parseForeign(h.Reveal())
	if err != nil {
		return 0
	}
	return f.memory
}

// foreign is a stored hash, parsed and within the bounds.
type foreign struct {
	memory  int64                // bytes that matches takes
	matches func(pw []byte) bool // compares in constant time
}

// parseForeign reads a hash in any of the spellings that Legacy knows. Its errors hold
// nothing of h.
func parseForeign(h string) (foreign, error) {
	return foreign{}, ErrUnknownHash
}
