package httpapi

import (
	"strings"
	"time"
)

// maxDate is how long a text may be that is read as a date.
const maxDate = 64

// parseDate reads a time of RFC 3339 section 5.6 and the forms of ISO 8601 that
// clients write beside it: a date alone (midnight UTC), a time without its
// seconds or its zone (UTC), a comma before the fraction, an offset as +0100 or
// +01. A leap second is the second after it, and refused where there can't be
// one. The zero date of generated clients is the zero Time in any zone.
func parseDate(b []byte) (t time.Time, ok bool) {
	if len(b) > maxDate {
		return t, false
	}
	s := dateReader{rest: string(b)}

	year := s.number(4)
	s.want("-")
	month := s.number(2)
	s.want("-")
	day := s.number(2)

	var clock, offset time.Duration
	leap := false
	if s.skip("Tt") {
		clock = s.upTo(23) * time.Hour
		s.want(":")
		clock += s.upTo(59) * time.Minute
		if s.skip(":") {
			second := s.upTo(60)
			leap = second == 60
			clock += second * time.Second
			if s.skip(".,") {
				clock += s.fraction()
			}
		}
		offset = s.zone()
	}
	if s.bad || s.rest != "" {
		return t, false
	}

	date := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if int(date.Month()) != month || date.Day() != day { // it was carried over
		return t, false
	}
	local := date.Add(clock)
	t = local.Add(-offset)
	if leap && (t.Day() != 1 || t.Truncate(time.Second) != t.Truncate(24*time.Hour)) {
		return t, false
	}

	// Before there were time zones, an offset had seconds, which a client drops.
	if local.IsZero() || offset != 0 && t.Sub(time.Time{}).Abs() < time.Minute {
		return time.Time{}, true
	}
	return t, true
}

// dateReader reads the parts of a date from left to right.
type dateReader struct {
	rest string
	bad  bool // a part was not there
}

// skip passes over one character of set and reports whether it was there.
func (s *dateReader) skip(set string) bool {
	if s.rest == "" || strings.IndexByte(set, s.rest[0]) < 0 {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

func (s *dateReader) want(set string) {
	if !s.skip(set) {
		s.bad = true
	}
}

// number reads a number of exactly that many digits.
func (s *dateReader) number(digits int) (n int) {
	for range digits {
		if s.rest == "" || s.rest[0] < '0' || s.rest[0] > '9' {
			s.bad = true
			return 0
		}
		n = n*10 + int(s.rest[0]-'0')
		s.rest = s.rest[1:]
	}
	return n
}

// upTo reads a number of two digits.
func (s *dateReader) upTo(most int) time.Duration {
	n := s.number(2)
	if n > most {
		s.bad = true
	}
	return time.Duration(n)
}

// fraction reads the digits of a fraction of a second. What is finer than a
// nanosecond is cut off.
func (s *dateReader) fraction() (d time.Duration) {
	digits := 0
	for unit := time.Second / 10; s.rest != "" && '0' <= s.rest[0] && s.rest[0] <= '9'; unit /= 10 {
		d += time.Duration(s.rest[0]-'0') * unit
		s.rest = s.rest[1:]
		digits++
	}
	s.bad = s.bad || digits == 0
	return d
}

// zone reads an offset from UTC; there need not be one.
func (s *dateReader) zone() (offset time.Duration) {
	sign := time.Duration(1)
	switch {
	case s.rest == "", s.skip("Zz"):
		return 0
	case s.skip("-"):
		sign = -1
	default:
		s.want("+")
	}

	offset = s.upTo(23) * time.Hour
	if s.skip(":") || s.rest != "" {
		offset += s.upTo(59) * time.Minute
	}
	return sign * offset
}
