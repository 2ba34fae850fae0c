package password

const (
	DefaultMinLength = 15
	LeastMinLength   = 8
	MaxTextBytes     = 1024
)

const (
	CodeTooShort = "too_short"
	CodeTooLong  = "too_long"
	CodeNotText  = "not_text"
	CodeControl  = "control_character"
	CodeCommon   = "common"
	CodeRepeated = "repeated"
	CodeSequence = "sequence"
	CodePersonal = "personal"
)

type Policy struct {
	MinLength int
	Blocked   func(string) bool
}

func (p *Policy) Check(t Text, words ...string) error { return nil }

type Refusal struct{ Code, Detail string }

func (r *Refusal) Error() string { return "password: " + r.Detail }

func Normalize(t Text) ([]byte, error) { return []byte(t.Reveal()), nil }
