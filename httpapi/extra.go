package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/gousers/users"
)

// Limits of Options.ExtraMembers.
const (
	MaxExtraMembers = 32       // names
	MaxExtra        = 16 << 10 // bytes of JSON of all their values in one request
)

// extraMembers returns the members of POST users that the host asks for beside those
// that are known.
func extraMembers(contract members[createUserRequest], names []string) (members[createUserRequest], error) {
	if len(names) > MaxExtraMembers {
		return nil, fmt.Errorf("must be at most %d names", MaxExtraMembers)
	}

	var all members[createUserRequest]
	for i, name := range names {
		switch {
		case name == "":
			return nil, errors.New("must not hold an empty name")
		case !utf8.ValidString(name):
			return nil, fmt.Errorf("must be valid UTF-8: %q", name)
		case contract.find([]byte(name)) != nil:
			return nil, fmt.Errorf("must not hold a member of the contract: %q", name)
		case slices.Contains(names[:i], name):
			return nil, fmt.Errorf("must not hold a name twice: %q", name)
		}
		all = append(all, known(name, func(d *jsonReader, q *createUserRequest) { d.extra(q, name) }))
	}
	return all, nil
}

// extra keeps the value of a member of the host's, byte for byte.
func (d *jsonReader) extra(q *createUserRequest, name string) {
	raw := d.raw()
	switch {
	case d.broken != nil:
	case q.extraBytes+len(raw) > MaxExtra:
		d.faults.add(users.FieldError{
			Pointer: d.at, Code: "too_long", Limit: MaxExtra,
			Detail: "must be at most " + strconv.Itoa(MaxExtra) + " bytes of JSON, together with the other additional members",
		})
	default:
		if q.params.Extra == nil {
			q.params.Extra = make(map[string]json.RawMessage)
		}
		q.params.Extra[name] = bytes.Clone(raw)
		q.extraBytes += len(raw)
	}
}
