package password

import "io"

type Argon2id struct {
	MemoryKiB, Time uint32
	Threads         uint8
	Rand            io.Reader
}

func Default() Hasher { return Argon2id{} }

func (a Argon2id) Hash(pw []byte) (Hash, error)            { return "", ErrUnknownHash }
func (a Argon2id) Verify(h Hash, pw []byte) (Match, error) { return Match{}, ErrUnknownHash }
func (a Argon2id) Memory(h Hash) int64                     { return 19 << 20 }
