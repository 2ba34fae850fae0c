package httpapi

import (
	"strconv"
	"strings"

	"github.com/gousers/users"
)

const (
	typeJSON    = "application/json"
	typeHAL     = "application/hal+json"
	typeProblem = "application/problem+json"
	typeLines   = "application/x-ndjson"
	typeForm    = "application/x-www-form-urlencoded"
)

const headerIdempotencyKey = "Idempotency-Key"

// preference is how much a client wants one media type (RFC 9110 section 12.5.1).
type preference struct {
	q        float64
	specific int // 0: not mentioned, 1: */*, 2: application/*, 3: by name
}

// negotiate chooses the form of the answer and the type of a problem. HAL is
// sent to clients that name it and want it no less than plain JSON. A problem
// goes out as plain JSON only to a client that takes that and not problems.
func negotiate(accept []string) (f users.Form, acceptable bool, problem string) {
	want, mentioned := preferred(accept)
	if !mentioned {
		return users.Plain, true, typeProblem
	}

	problem = typeProblem
	if want[2].q == 0 && want[0].q > 0 {
		problem = typeJSON
	}
	if want[1].specific == 3 && want[1].q > 0 && want[1].q >= want[0].q || want[0].q == 0 && want[1].q > 0 {
		return users.HAL, true, problem
	}
	return users.Plain, want[0].q > 0, problem
}

// preferences holds the preferences for plain JSON, HAL and problems.
type preferences [3]preference

// preferred reads Accept, and reports whether it says anything.
func preferred(accept []string) (want preferences, mentioned bool) {
	for _, line := range accept {
		for element := range strings.SplitSeq(line, ",") {
			mentioned = want.add(element) || mentioned
		}
	}
	return want, mentioned
}

// namesProblem reports whether a client asks for problems by their own type.
func namesProblem(accept []string) bool {
	want, _ := preferred(accept)
	return want[2].specific == 3 && want[2].q > 0
}

var offered = [3]string{typeJSON, typeHAL, typeProblem}

// add takes one element of Accept in and reports whether it is well-formed.
// The most specific range decides.
func (m *preferences) add(element string) bool {
	name, params, _ := strings.Cut(element, ";")
	name = strings.ToLower(strings.TrimSpace(name))
	if !strings.Contains(name, "/") {
		return false
	}

	q := 1.0
	for p := range strings.SplitSeq(params, ";") {
		k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
		if !strings.EqualFold(k, "q") {
			continue
		}
		var err error
		if q, err = strconv.ParseFloat(v, 64); err != nil || !(q >= 0 && q <= 1) {
			return false
		}
	}

	for i, offer := range offered {
		specific := 0
		switch name {
		case "*/*":
			specific = 1
		case "application/*":
			specific = 2
		case offer:
			specific = 3
		}
		if specific > m[i].specific || specific > 0 && specific == m[i].specific && q > m[i].q {
			m[i] = preference{q, specific}
		}
	}
	return true
}

// checkMedia refuses a body of another kind. A body without a Content-Type is refused too: a browser sends
// one across origins without asking first.
func (x *exchange) checkMedia() error {
	if err := x.checkCoding(); err != nil {
		return err
	}
	types := x.r.Header["Content-Type"]
	if len(types) != 1 || types[0] != typeJSON && !isJSON(types[0]) {
		x.w.Header().Set("Accept", typeJSON+", "+typeHAL)
		return errMediaType
	}
	return nil
}

func (x *exchange) checkCoding() error {
	for _, coding := range x.r.Header["Content-Encoding"] {
		if coding != "" && !strings.EqualFold(strings.TrimSpace(coding), "identity") {
			x.w.Header().Set("Accept-Encoding", "identity")
			return errCoding
		}
	}
	return nil
}

// checkAccept refuses a client that reads nothing that is offered.
func (x *exchange) checkAccept() error {
	if !x.acceptable {
		return errNotAcceptable
	}
	return nil
}

// isJSON reports whether a Content-Type is one of those of JSON. Parameters have
// no effect, a charset too (RFC 8259 section 11): the body itself must be UTF-8.
func isJSON(contentType string) bool {
	return isType(contentType, typeJSON) || isType(contentType, typeHAL)
}

// isType reports whether a Content-Type, without its parameters, is name.
func isType(contentType, name string) bool {
	before, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.Trim(before, " \t"), name)
}
