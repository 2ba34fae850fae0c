package httpapi

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

// Limits of a request.
const (
	MaxBody  = 256 << 10 // bytes
	MaxDepth = 64        // levels of objects and arrays in a body
)

// decoder reads one request object in one pass, strictly (RFC 7493), and notes
// every member of the wrong type instead of stopping at the first. It never
// passes on an error of the JSON library: those quote the input.
type decoder struct {
	pool    *sync.Pool // where release puts it
	json    jsontext.Decoder
	body    bytes.Buffer // all of it
	in      bytes.Buffer // reads body
	scratch []byte       // an unquoted string
	faults  []users.FieldError
	broken  *users.FieldError // not one JSON object: nothing more was read
	at      string            // pointer of the known member that is being read
}

// readBody reads the request into a decoder, which must be released.
func (x *exchange) readBody() (*decoder, error) {
	if x.r.ContentLength > MaxBody {
		return nil, errTooLarge
	}
	d, ok := x.h.decoders.Get().(*decoder)
	if !ok {
		d = &decoder{pool: &x.h.decoders}
	}
	var err error
	if x.r.Body != nil {
		_, err = d.body.ReadFrom(http.MaxBytesReader(x.w, x.r.Body, MaxBody))
	}
	if err != nil {
		d.release()
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			return nil, errTooLarge
		}
		// Also where time is up: whoever sends slowly or hangs up is no fault of
		// the host's that belongs in its log, and nothing was written.
		return nil, invalid("", "unreadable_body", "the body could not be read to its end")
	}
	d.start()
	return d, nil
}

func (d *decoder) start() {
	d.in = *bytes.NewBuffer(d.body.Bytes())
	d.json.Reset(&d.in)
}

// release clears what was read, for there are passwords in it, and puts d back.
func (d *decoder) release() {
	clear(d.body.Bytes())
	clear(d.scratch[:cap(d.scratch)])
	d.body.Reset()
	d.in = bytes.Buffer{}
	d.json.Reset(&d.in)
	d.faults, d.broken, d.at = nil, nil, ""
	if d.body.Cap() <= 16<<10 && cap(d.scratch) <= 16<<10 {
		d.pool.Put(d)
	}
}

// err gives what was found; nil if nothing was. Where the body is not one
// object that stands alone: what came before it was judged in passing.
func (d *decoder) err() *users.ValidationError {
	switch {
	case d.broken != nil:
		return &users.ValidationError{Fields: []users.FieldError{*d.broken}}
	case len(d.faults) > 0:
		return &users.ValidationError{Fields: slices.Clone(d.faults)}
	}
	return nil
}

func invalid(pointer, code, detail string) *users.ValidationError {
	return &users.ValidationError{Fields: []users.FieldError{{Pointer: pointer, Code: code, Detail: detail}}}
}

func (d *decoder) fault(pointer, code, detail string) {
	d.faults = append(d.faults, users.FieldError{Pointer: pointer, Code: code, Detail: detail})
}

// mismatch notes a value of another type and skips it.
func (d *decoder) mismatch(pointer, detail string) {
	d.fault(pointer, "invalid_type", detail)
	d.skip()
}

// breaks ends the reading: the rest can't be understood.
func (d *decoder) breaks(code, detail string) {
	if d.broken == nil {
		d.broken = &users.FieldError{Pointer: d.at, Code: code, Detail: detail}
	}
}

func (d *decoder) syntax(err error) {
	offset := d.json.InputOffset()
	var se *jsontext.SyntacticError
	if errors.As(err, &se) {
		offset = se.ByteOffset
	}
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		// Only a pointer that the contract knows is repeated; the rest is the client's text.
		if p := string(se.JSONPointer); knownPointers[p] {
			d.at = p
		}
		d.breaks("duplicate_member", "an object has the same member twice, at byte "+strconv.FormatInt(offset, 10))
	case !utf8.Valid(d.body.Bytes()):
		d.breaks("invalid_json", "the body is not valid UTF-8")
	case len(d.body.Bytes()) == 0:
		d.breaks("invalid_json", "the body is empty")
	default:
		d.breaks("invalid_json", "the body is not valid JSON, at byte "+strconv.FormatInt(offset, 10))
	}
}

var knownPointers = func() map[string]bool {
	known := map[string]bool{}
	for _, m := range []string{
		"userName", "username", "email", "password", "confirmPassword", "autoCreatePassword", "sendEmailNotification",
		"allowDashboardAccess", "dashboardSettings", "creationDate", "isApproved", "isLockedOut", "name", "roles",
		"dateCreated", "dateUpdated", "id", "embed", "description", "passwordRecoveryToken", "newPassword",
	} {
		known["/"+m] = true
	}
	return known
}()

// object reads the body, which must be one object and nothing else. member is
// called for each name and must read or skip the value.
func (d *decoder) object(member func(name []byte)) {
	if k := d.json.PeekKind(); k != '{' && k != jsontext.KindInvalid {
		d.breaks("invalid_json", "the body must be a JSON object")
		return
	}
	d.members(member)
	if d.broken != nil {
		return
	}
	end := d.json.InputOffset()
	if rest := bytes.TrimLeft(d.body.Bytes()[end:], " \t\r\n"); len(rest) > 0 {
		d.breaks("invalid_json", "the body must be one JSON object and nothing after it; it ends at byte "+strconv.FormatInt(end, 10))
	}
}

// members reads an object, from its brace to its brace.
func (d *decoder) members(member func(name []byte)) {
	if _, err := d.json.ReadToken(); err != nil {
		d.syntax(err)
		return
	}
	for d.broken == nil && d.json.PeekKind() != '}' {
		name, err := d.json.ReadValue()
		if err != nil {
			d.syntax(err)
			return
		}
		member(d.unquote(name))
	}
	if d.broken == nil {
		if _, err := d.json.ReadToken(); err != nil {
			d.syntax(err)
		}
	}
}

// known reads the value of a member that the contract knows; null is absent.
func (d *decoder) known(pointer string, read func()) {
	outer := d.at
	d.at = pointer
	if !d.null() {
		read()
	}
	if d.broken == nil {
		d.at = outer
	}
}

func (d *decoder) null() bool {
	if d.json.PeekKind() != 'n' {
		return false
	}
	d.skip()
	return true
}

// skip passes over one value. It goes token by token, so that nesting is
// counted before the library follows it down.
func (d *decoder) skip() {
	level := d.json.StackDepth()
	for d.broken == nil {
		if _, err := d.json.ReadToken(); err != nil {
			d.syntax(err)
		}
		switch depth := d.json.StackDepth(); {
		case depth > MaxDepth:
			d.breaks("too_deep", "the body is nested deeper than "+strconv.Itoa(MaxDepth)+" levels")
		case depth == level:
			return
		}
	}
}

// unquote gives the text of a string that was read, until the next call.
func (d *decoder) unquote(v jsontext.Value) []byte {
	d.scratch, _ = jsontext.AppendUnquote(d.scratch[:0], v) // it was found to be valid
	return d.scratch
}

// text reads a string; ok is false where the value is another, and was skipped.
func (d *decoder) text() (b []byte, ok bool) {
	if k := d.json.PeekKind(); k != '"' && k != jsontext.KindInvalid {
		d.skip()
		return nil, false
	}
	v, err := d.json.ReadValue()
	if err != nil {
		d.syntax(err)
		return nil, true
	}
	return d.unquote(v), true
}

func (d *decoder) str(pointer string, to *string) {
	d.known(pointer, func() {
		if b, ok := d.text(); ok {
			*to = string(b)
		} else {
			d.fault(pointer, "invalid_type", "must be a string")
		}
	})
}

func (d *decoder) secret(pointer string, to *password.Text) {
	d.known(pointer, func() {
		if b, ok := d.text(); ok {
			*to = password.New(string(b))
		} else {
			d.fault(pointer, "invalid_type", "must be a string")
		}
	})
}

// boolean reads true or false and nothing that looks like one; *given tells
// false from absent.
func (d *decoder) boolean(pointer string, to *bool) (given bool) {
	d.known(pointer, func() {
		switch d.json.PeekKind() {
		case 't', 'f':
			t, _ := d.json.ReadToken()
			*to, given = t.Bool(), true
		case jsontext.KindInvalid:
			d.skip()
		default:
			d.mismatch(pointer, "must be true or false")
		}
	})
	return given
}

func (d *decoder) optional(pointer string, to **bool) {
	var b bool
	if d.boolean(pointer, &b) {
		*to = &b
	}
}

func (d *decoder) date(pointer string, to *time.Time) {
	d.known(pointer, func() {
		b, ok := d.text()
		if d.broken != nil {
			return
		}
		if !ok {
			d.fault(pointer, "invalid_type", "must be a string that holds a date")
			return
		}
		t, ok := parseDate(b)
		switch {
		case !ok:
			d.fault(pointer, "invalid_date", "must be a date and time such as 2006-01-02T15:04:05Z, or a date such as 2006-01-02")
		case t.Year() < 1 || t.Year() > 9999:
			d.fault(pointer, "out_of_range", "must lie in the years 1 to 9999")
		default:
			*to = t // the zero date of generated clients is the zero Time: absent
		}
	})
}

// parseDate reads a time of RFC 3339 section 5.6, also without its zone (UTC)
// or its seconds, or a date alone (midnight UTC).
func parseDate(b []byte) (t time.Time, ok bool) {
	if len(b) > 64 {
		return t, false
	}
	var room [72]byte
	s := append(room[:0], b...)
	for i, c := range s {
		if c == 't' || c == 'z' { // section 5.6: they may be lower case
			s[i] = c - 'a' + 'A'
		}
	}
	const minutes = len("2006-01-02T15:04")
	if n := len(s); n == minutes || n > minutes && bytes.IndexByte([]byte("Z+-"), s[minutes]) >= 0 {
		s = slices.Insert(s, minutes, ':', '0', '0')
	}
	switch n := len(s); {
	case n == len("2006-01-02"):
		s = append(s, "T00:00:00Z"...)
	case n < len("2006-01-02T15:04:05"):
		return t, false
	case s[n-1] != 'Z' && s[n-6] != '+' && s[n-6] != '-':
		s = append(s, 'Z')
	}
	// The time package also reads hours of one digit, a comma, and offsets of a whole day.
	n := len(s)
	if s[13] != ':' || bytes.IndexByte(s, ',') >= 0 || s[n-1] != 'Z' && (string(s[n-5:n-3]) > "23" || string(s[n-2:]) > "59") {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339, string(s))
	return t.UTC(), err == nil
}

// settings takes the bytes of an object as they stand. What they must be like
// is the Service's to say.
func (d *decoder) settings(pointer string, to *[]byte) {
	d.known(pointer, func() {
		if k := d.json.PeekKind(); k != '{' && k != jsontext.KindInvalid {
			d.mismatch(pointer, "must be a JSON object")
			return
		}
		start := d.json.InputOffset() // before the colon
		d.skip()
		if d.broken == nil {
			*to = bytes.Clone(bytes.TrimLeft(d.body.Bytes()[start:d.json.InputOffset()], ": \t\r\n"))
		}
	})
}

// list reads an array; element is called for each and must read or skip it.
func (d *decoder) list(pointer string, element func(i int)) {
	d.known(pointer, func() {
		if k := d.json.PeekKind(); k != '[' && k != jsontext.KindInvalid {
			d.mismatch(pointer, "must be an array")
			return
		}
		if _, err := d.json.ReadToken(); err != nil {
			d.syntax(err)
			return
		}
		for i := 0; d.broken == nil && d.json.PeekKind() != ']'; i++ {
			element(i)
		}
		if d.broken == nil {
			if _, err := d.json.ReadToken(); err != nil {
				d.syntax(err)
			}
		}
	})
}

// roles reads references to roles. Those beyond the limit are counted by one
// more than the limit, so that a long list costs no memory.
func (d *decoder) roles(to *[]users.RoleRef) {
	d.list("/roles", func(i int) {
		if i > users.MaxRoles {
			d.skip()
			return
		}
		*to = append(*to, d.role(i))
	})
}

// role reads a role by name, or an object of which name and id count.
func (d *decoder) role(i int) (ref users.RoleRef) {
	switch d.json.PeekKind() {
	case '"':
		b, _ := d.text()
		ref.Name = string(b)
	case '{':
		d.members(func(name []byte) {
			switch string(name) {
			case "name":
				d.roleMember(i, "/name", &ref.Name)
			case "id":
				d.roleMember(i, "/id", &ref.ID)
			default:
				d.skip()
			}
		})
	case jsontext.KindInvalid:
		d.skip()
	default:
		d.mismatch("/roles/"+strconv.Itoa(i), "must be an object with a name or an id, or a string")
	}
	return ref
}

func (d *decoder) roleMember(i int, member string, to *string) {
	if d.null() {
		return
	}
	if b, ok := d.text(); ok {
		*to = string(b)
	} else {
		d.fault("/roles/"+strconv.Itoa(i)+member, "invalid_type", "must be a string")
	}
}

const embedRoles = "roles"

func (d *decoder) embed(to *bool) {
	d.list("/embed", func(i int) {
		b, ok := d.text()
		switch {
		case ok && string(b) == embedRoles:
			*to = true
		case d.broken == nil && !slices.ContainsFunc(d.faults, func(f users.FieldError) bool { return strings.HasPrefix(f.Pointer, "/embed") }):
			d.fault("/embed/"+strconv.Itoa(i), "unknown_embed", `must be "roles"`)
		}
	})
}

// createUser reads the members of the contract. username is the spelling of
// public clients.
func (d *decoder) createUser(p *users.CreateUserParams, embed *bool) {
	var alias string
	var ignored time.Time
	d.object(func(name []byte) {
		switch string(name) {
		case "userName":
			d.str("/userName", &p.UserName)
		case "username":
			d.str("/userName", &alias)
		case "email":
			d.str("/email", &p.Email)
		case "password":
			d.secret("/password", &p.Password)
		case "confirmPassword":
			d.secret("/confirmPassword", &p.ConfirmPassword)
		case "autoCreatePassword":
			d.boolean("/autoCreatePassword", &p.AutoCreatePassword)
		case "sendEmailNotification":
			d.boolean("/sendEmailNotification", &p.SendEmailNotification)
		case "allowDashboardAccess":
			d.boolean("/allowDashboardAccess", &p.AllowDashboardAccess)
		case "dashboardSettings":
			d.settings("/dashboardSettings", (*[]byte)(&p.DashboardSettings))
		case "creationDate":
			d.date("/creationDate", &p.CreationDate)
		case "isApproved":
			d.optional("/isApproved", &p.IsApproved)
		case "isLockedOut":
			d.optional("/isLockedOut", &p.IsLockedOut)
		case "name":
			d.str("/name", &p.Name)
		case "roles":
			d.roles(&p.Roles)
		case "dateCreated":
			d.date("/dateCreated", &ignored)
		case "dateUpdated":
			d.date("/dateUpdated", &ignored)
		case "id":
			d.str("/id", &p.ID)
		case "embed":
			d.embed(embed)
		default:
			d.skip()
		}
	})
	d.oneSpelling(&p.UserName, alias)
}

// oneSpelling takes username where userName is absent.
func (d *decoder) oneSpelling(userName *string, username string) {
	switch {
	case username == "":
	case *userName == "":
		*userName = username
	default:
		d.fault("/userName", "duplicate_member", "userName and username must not both be given")
	}
}

func (d *decoder) createRole(r *users.Role) {
	d.object(func(name []byte) {
		switch string(name) {
		case "name":
			d.str("/name", &r.Name)
		case "description":
			d.str("/description", &r.Description)
		default:
			d.skip()
		}
	})
}

func (d *decoder) setPassword(token *string, pw *password.Text) {
	d.object(func(name []byte) {
		switch string(name) {
		case "passwordRecoveryToken":
			d.str("/passwordRecoveryToken", token)
		case "newPassword":
			d.secret("/newPassword", pw)
		default:
			d.skip()
		}
	})
}

func (d *decoder) recoverPassword(login *string) {
	var alias string
	d.object(func(name []byte) {
		switch string(name) {
		case "userName":
			d.str("/userName", login)
		case "username":
			d.str("/userName", &alias)
		default:
			d.skip()
		}
	})
	d.oneSpelling(login, alias)
}
