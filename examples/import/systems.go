package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gousers/users/password"
)

// system says how another system spells its users. Names with a dot lead into objects.
type system struct {
	list    string           // the member of the file whose elements are users; empty: the file is them
	users   string           // skips what has not this value; see django
	deleted string           // skips what has any value
	members []member         // in the order of the lines that are made
	hash    func(source) any // nil: there is no password
}

// member is one of our members, and where it comes from: the first of from that has a value.
type member struct {
	to   string
	as   func(s source, name string) any // nil: absent
	from []string
}

func from(to string, as func(source, string) any, names ...string) member {
	return member{to, as, names}
}

// systems are the formats that are not ours. Never written to.
//
//   - auth0: the export of hashes that its support hands out, or any other lines or list
//     of profiles that has passwordHash.
//   - firebase: firebase auth:export users.json.
//   - keycloak: the export of a realm, whole or its users alone.
//   - supabase: the table auth.users, as CSV or JSON.
//   - aspnet: the table AspNetUsers, as CSV or JSON.
//   - django: manage.py dumpdata auth.user, as JSON or JSON lines.
//   - wordpress: the table wp_users, as CSV or JSON.
//
// Who has no user name signs in with the address. Who may not sign in there is locked
// out here.
var systems = map[string]system{
	"auth0": {
		members: []member{
			from("userName", textOf, "username", "email"), from("email", textOf, "email"), from("name", textOf, "name"),
			from("emailVerified", truthOf, "email_verified"), from("isLockedOut", truthOf, "blocked"),
			from("creationDate", dateOf, "created_at"),
		},
		hash: func(s source) any { return textOf(s, "passwordHash") },
	},
	"firebase": {
		list: "users",
		members: []member{
			from("userName", textOf, "email"), from("email", textOf, "email"), from("name", textOf, "displayName"),
			from("emailVerified", truthOf, "emailVerified"), from("isLockedOut", truthOf, "disabled"),
			from("creationDate", millisOf, "createdAt"),
		},
		hash: firebaseHash,
	},
	"keycloak": {
		list: "users",
		members: []member{
			from("id", textOf, "id"), from("userName", textOf, "username"), from("email", textOf, "email"), from("name", fullNameOf("firstName", "lastName"), ""),
			from("emailVerified", truthOf, "emailVerified"), from("isLockedOut", falseOf, "enabled"),
			from("creationDate", millisOf, "createdTimestamp"),
		},
		hash: keycloakHash,
	},
	"supabase": {
		deleted: "deleted_at",
		members: []member{
			from("id", textOf, "id"), from("userName", textOf, "email"), from("email", textOf, "email"),
			from("name", textOf, "raw_user_meta_data.full_name", "raw_user_meta_data.name"),
			from("emailVerified", presenceOf, "email_confirmed_at"), from("isLockedOut", futureOf, "banned_until"),
			from("creationDate", dateOf, "created_at"),
		},
		hash: func(s source) any { return textOf(s, "encrypted_password") },
	},
	"aspnet": {
		members: []member{
			from("id", textOf, "Id"), from("userName", textOf, "UserName"), from("email", textOf, "Email"),
			from("emailVerified", truthOf, "EmailConfirmed"), from("isLockedOut", futureOf, "LockoutEnd", "LockoutEndDateUtc"),
		},
		hash: aspnetHash,
	},
	"django": {
		users: "auth.user",
		members: []member{
			from("userName", textOf, "fields.username"), from("email", textOf, "fields.email"), from("name", fullNameOf("fields.first_name", "fields.last_name"), ""),
			from("isLockedOut", falseOf, "fields.is_active"), from("creationDate", dateOf, "fields.date_joined"),
		},
		hash: djangoHash,
	},
	"wordpress": {
		members: []member{
			from("userName", textOf, "user_login"), from("email", textOf, "user_email"), from("name", textOf, "display_name"),
			from("creationDate", dateOf, "user_registered"),
		},
		hash: func(s source) any { return textOf(s, "user_pass") },
	},
}

// conversion is what the conversion of every user needs.
type conversion struct {
	firebase hashConfig
	now      time.Time
}

// source is a user of another system: of JSON, or of CSV with texts alone.
type source struct {
	conversion
	members map[string]any
}

// row makes our members of the user's.
func (s system) row(u source) row {
	var m memberList
	for _, to := range s.members {
		for _, name := range to.from {
			if v := to.as(u, name); v != nil {
				m.add(to.to, v)
				break
			}
		}
	}
	if hash := s.hash(u); hash != nil {
		m.add("passwordHash", hash)
	}
	return row{line: m.line()}
}

// skips reports whether u is no user.
func (s system) skips(u source) bool {
	return s.users != "" && textOf(u, "model") != s.users || s.deleted != "" && textOf(u, s.deleted) != nil
}

// value returns nil for what is absent or empty, and for the words for that in CSV.
func (s source) value(name string) any {
	first, rest, nested := strings.Cut(name, ".")
	v := s.members[first]
	if nested {
		inner, _ := v.(map[string]any)
		if text, ok := v.(string); ok && json.Unmarshal([]byte(text), &inner) != nil { // in a column
			return nil
		}
		return source{members: inner}.value(rest)
	}
	if v == "" || v == "NULL" || v == `\N` {
		return nil
	}
	return v
}

func textOf(s source, name string) any {
	switch v := s.value(name).(type) {
	case json.Number:
		return v.String()
	default:
		return v // what is no text is refused
	}
}

// truthOf leaves what is neither true nor false to be refused, with its pointer.
func truthOf(s source, name string) any {
	v := textOf(s, name)
	text, ok := v.(string)
	if !ok {
		return v
	}
	switch strings.ToLower(text) {
	case "true", "t", "1":
		return true
	case "false", "f", "0":
		return false
	}
	return v
}

// falseOf is true where the other system has false.
func falseOf(s source, name string) any {
	v := truthOf(s, name)
	if b, ok := v.(bool); ok {
		return !b
	}
	return v
}

// presenceOf is true where there is any value.
func presenceOf(s source, name string) any {
	if s.value(name) == nil {
		return nil
	}
	return true
}

// dateOf spells a date of SQL as the API takes it: with a T, and without spaces.
func dateOf(s source, name string) any {
	v := textOf(s, name)
	text, ok := v.(string)
	if !ok {
		return v
	}
	if strings.HasPrefix(text, "0000-00-00") {
		return nil
	}
	text = strings.TrimSuffix(text, " UTC")
	day, clock, found := strings.Cut(text, " ")
	if !found {
		return text
	}
	return day + "T" + strings.ReplaceAll(clock, " ", "")
}

// millisOf reads milliseconds since 1970.
func millisOf(s source, name string) any {
	v := textOf(s, name)
	text, ok := v.(string)
	if !ok {
		return v
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return v
	}
	return time.UnixMilli(n).UTC().Format(time.RFC3339Nano)
}

// futureOf is true for a date that is to come; for what is no date too, such as infinity.
func futureOf(s source, name string) any {
	text, ok := dateOf(s, name).(string)
	if !ok {
		return nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05Z07", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.After(s.now)
		}
	}
	return true
}

func fullNameOf(first, last string) func(source, string) any {
	return func(s source, _ string) any {
		var parts []string
		for _, name := range []string{first, last} {
			if text, ok := textOf(s, name).(string); ok {
				parts = append(parts, text)
			}
		}
		if parts == nil {
			return nil
		}
		return strings.Join(parts, " ")
	}
}

// unreadable stands for a hash that could not be read, so that its row is refused at
// /passwordHash: without any hash the user would lose the password silently.
const unreadable = "unreadable"

func spelled(h password.Hash, err error) any {
	if err != nil {
		return unreadable
	}
	return h.Reveal()
}

func firebaseHash(s source) any {
	hash, _ := textOf(s, "passwordHash").(string)
	if hash == "" {
		return nil
	}
	salt, _ := textOf(s, "salt").(string)
	c := s.firebase
	return spelled(password.FirebaseScrypt(hash, salt, c.separator, c.signerKey, c.rounds, c.memCost))
}

// keycloakHash takes the first password among the credentials.
func keycloakHash(s source) any {
	all, _ := s.value("credentials").([]any)
	for _, c := range all {
		members, _ := c.(map[string]any)
		if members["type"] != "password" {
			continue
		}
		secretData, _ := members["secretData"].(string)
		credentialData, _ := members["credentialData"].(string)
		return spelled(password.Keycloak([]byte(secretData), []byte(credentialData)))
	}
	return nil
}

func aspnetHash(s source) any {
	hash, _ := textOf(s, "PasswordHash").(string)
	if hash == "" {
		return nil
	}
	return spelled(password.ASPNetIdentity(hash))
}

// djangoHash takes the name of the scheme off hashes that have one of their own. One that
// begins with ! is none.
func djangoHash(s source) any {
	hash, _ := textOf(s, "fields.password").(string)
	if hash == "" || strings.HasPrefix(hash, "!") {
		return nil
	}
	if _, rest, ok := strings.Cut(hash, "$"); ok && strings.HasPrefix(hash, "bcrypt$$2") {
		return rest
	}
	if rest, ok := strings.CutPrefix(hash, "argon2$"); ok {
		return "$" + rest
	}
	return hash
}

// hashConfig are the parameters of a Firebase project.
type hashConfig struct {
	signerKey, separator string
	rounds, memCost      int
}

var hashParameter = regexp.MustCompile(`(\w+)"?\s*[:=]\s*"?([^\s",}]*)`)

// parseHashConfig reads what the console shows, or the same as JSON.
func parseHashConfig(text []byte) (c hashConfig, err error) {
	found := make(map[string]string)
	for _, m := range hashParameter.FindAllSubmatch(text, -1) {
		found[string(m[1])] = string(m[2])
	}
	c.signerKey, c.separator = found["base64_signer_key"], found["base64_salt_separator"]
	rounds, noRounds := strconv.Atoi(found["rounds"])
	memCost, noCost := strconv.Atoi(found["mem_cost"])
	c.rounds, c.memCost = rounds, memCost
	if c.signerKey == "" || noRounds != nil || noCost != nil {
		return c, errors.New("must have base64_signer_key, base64_salt_separator, rounds and mem_cost")
	}
	if a := found["algorithm"]; a != "" && a != "SCRYPT" {
		return c, errors.New("the algorithm must be SCRYPT")
	}
	return c, nil
}

// openSystem reads the header, where there is one.
func openSystem(in *bufio.Reader, s system, c conversion) (rows, error) {
	start, err := firstByte(in)
	if err != nil {
		return nil, err
	}
	if start == '[' || start == '{' {
		return s.objects(in, start, c), nil
	}
	if s.list != "" {
		return nil, errors.New("the file is not JSON")
	}
	t, err := openTable(in)
	if err != nil {
		return nil, err
	}
	for _, m := range s.members {
		if m.to == "userName" && !slices.Contains(t.header, m.from[0]) && !slices.Contains(t.header, m.from[len(m.from)-1]) {
			return nil, fmt.Errorf("there is no column %q", m.from[0])
		}
	}
	return s.fields(t, c), nil
}

// firstByte returns the first that is no space.
func firstByte(in *bufio.Reader) (byte, error) {
	for {
		b, err := in.ReadByte()
		if err == io.EOF {
			return 0, errors.New("the file is empty")
		}
		if err != nil || !strings.ContainsRune(" \t\r\n", rune(b)) {
			in.UnreadByte()
			return b, err
		}
	}
}

// fields are the users of a CSV file.
func (s system) fields(t *table, c conversion) rows {
	return func(yield func(row, error) bool) {
		for fields, err := range t.records {
			if err != nil {
				yield(row{}, err)
				return
			}
			u := source{c, make(map[string]any)}
			for i, text := range fields[:min(len(fields), len(t.header))] {
				u.members[t.header[i]] = text
			}
			if s.skips(u) {
				continue
			}
			r := s.row(u)
			r.fault = t.fault(fields)
			if !yield(r, nil) {
				return
			}
		}
	}
}

// objects are the users of a JSON file: one object after another, or the elements of a list.
func (s system) objects(in io.Reader, start byte, c conversion) rows {
	return func(yield func(row, error) bool) {
		b := &bounded{r: in}
		b.reset()
		d := json.NewDecoder(b)
		listed := start == '['
		if err := s.enter(d, b, listed); err != nil {
			yield(row{}, broken(err))
			return
		}
		for {
			b.reset()
			if (listed || s.list != "") && !d.More() {
				if _, err := d.Token(); err != nil { // the bracket
					yield(row{}, broken(err))
				}
				return
			}
			r, ok, err := s.object(d, c)
			if err == io.EOF && !listed && s.list == "" {
				return
			}
			if err != nil {
				yield(row{}, broken(err))
				return
			}
			if ok && !yield(r, nil) {
				return
			}
		}
	}
}

// broken tells of JSON that could not be read on. It quotes none.
func broken(err error) error {
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		return fmt.Errorf("the file is not valid JSON, at byte %d", syntax.Offset)
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errors.New("the file ends within its JSON")
	}
	return err
}

// enter reads up to the first user.
func (s system) enter(d *json.Decoder, b *bounded, listed bool) error {
	if listed || s.list != "" {
		if _, err := d.Token(); err != nil {
			return err
		}
	}
	if listed || s.list == "" {
		return nil
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		if name == s.list {
			if bracket, err := d.Token(); err != nil || bracket != json.Delim('[') {
				return cmpError(err, fmt.Errorf("the member %q is no list", s.list))
			}
			return nil
		}
		if err := skip(d, b); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return err
	}
	return fmt.Errorf("the file has no member %q", s.list)
}

func cmpError(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// skip passes over one value, token by token.
func skip(d *json.Decoder, b *bounded) error {
	for depth := 0; ; {
		b.reset()
		t, err := d.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// object reads a user; ok is false for what is none.
func (s system) object(d *json.Decoder, c conversion) (r row, ok bool, err error) {
	var raw json.RawMessage
	if err := d.Decode(&raw); err != nil {
		return row{}, false, err
	}
	u := source{conversion: c}
	numbers := json.NewDecoder(bytes.NewReader(raw))
	numbers.UseNumber()
	if numbers.Decode(&u.members) != nil {
		return row{line: []byte("{}"), fault: faulty("invalid_type", "must be an object")}, true, nil
	}
	if s.skips(u) {
		return row{}, false, nil
	}
	r = s.row(u)
	if !utf8.Valid(raw) {
		r.fault = faulty("invalid_json", "is not valid UTF-8")
	}
	return r, true, nil
}
