package httpapi_test

import (
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

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
	"github.com/gousers/users/password"
)

// What follows is another reader of the same requests, slow and plain, on
// encoding/json: what both of them say can hardly be wrong in the same way.

// strictObject returns the members of a body, as their bytes, or why it is not
// one object in strict JSON.
func strictObject(body string) (map[string]json.RawMessage, error) {
	body = strings.TrimPrefix(body, "\xef\xbb\xbf")
	switch {
	case !utf8.ValidString(body):
		return nil, errors.New("UTF-8")
	case !json.Valid([]byte(body)):
		return nil, errors.New("grammar")
	case !strings.HasPrefix(strings.TrimLeft(body, " \t\r\n"), "{"):
		return nil, errors.New("no object")
	case loneSurrogate(body):
		return nil, errors.New("surrogate")
	}
	d := json.NewDecoder(strings.NewReader(body))
	d.UseNumber()
	if err := strictValue(d, 0); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows")
	}
	var all map[string]json.RawMessage
	err := json.Unmarshal([]byte(body), &all)
	return all, err
}

// strictValue passes over one value that lies within depth objects and arrays.
func strictValue(d *json.Decoder, depth int) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	open, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	if depth == httpapi.MaxDepth {
		return errors.New("depth")
	}
	names := map[string]bool{}
	for d.More() {
		if open == '{' {
			name, err := d.Token()
			if err != nil {
				return err
			}
			if names[name.(string)] {
				return errors.New("duplicate")
			}
			names[name.(string)] = true
		}
		if err := strictValue(d, depth+1); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// loneSurrogate reports whether valid JSON escapes one half of a pair alone.
func loneSurrogate(body string) bool {
	for i := 0; i < len(body); i++ {
		if body[i] != '\\' {
			continue
		}
		if i++; body[i] != 'u' {
			continue
		}
		unit, _ := strconv.ParseUint(body[i+1:i+5], 16, 16)
		i += 4
		switch {
		case unit>>10 == 0xDC00>>10:
			return true
		case unit>>10 == 0xD800>>10:
			if !strings.HasPrefix(body[i+1:], `\u`) {
				return true
			}
			low, _ := strconv.ParseUint(body[i+3:i+7], 16, 16)
			if low>>10 != 0xDC00>>10 {
				return true
			}
			i += 6
		}
	}
	return false
}

var dateForms = regexp.MustCompile(
	`^(\d{4}-\d\d-\d\d)(?:[Tt]([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d|60)(?:[.,](\d+))?)?([Zz]|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?)?$`)

// strictDate reads a date, which is the zero Time where it is absent.
func strictDate(s string) (t time.Time, code string) {
	m := dateForms.FindStringSubmatch(s)
	if m == nil || len(s) > 64 {
		return t, "invalid_date"
	}
	day, err := time.Parse(time.DateOnly, m[1])
	if err != nil {
		return t, "invalid_date"
	}
	part := func(s string) time.Duration {
		n, _ := strconv.Atoi(s)
		return time.Duration(n)
	}
	nanos := (m[5] + "000000000")[:9]
	local := day.Add(part(m[2])*time.Hour + part(m[3])*time.Minute + part(m[4])*time.Second + part(nanos))
	t = local
	var offset time.Duration
	if zone := strings.ReplaceAll(m[6], ":", ""); len(zone) > 1 {
		offset = part(zone[1:3])*time.Hour + part(zone[3:])*time.Minute
		if zone[0] == '-' {
			offset = -offset
		}
		t = local.Add(-offset)
	}
	if second := t.Add(-part(nanos)); m[4] == "60" && second.Format("02 15:04:05") != "01 00:00:00" {
		return time.Time{}, "invalid_date"
	}
	odd := offset != 0 && t.After(time.Time{}.Add(-time.Minute)) && t.Before(time.Time{}.Add(time.Minute))
	switch {
	case local.IsZero(), odd:
		return time.Time{}, ""
	case t.Year() < 1, t.Year() > 9999:
		return time.Time{}, "out_of_range"
	}
	return t, ""
}

// strictly reads a body as httpapi.ReadBody does. Where it is not one object,
// broken says why; else faults are as "pointer code".
func strictly(operation, body string, extra ...string) (want httpapi.Read, faults []string, broken error) {
	all, err := strictObject(body)
	if err != nil {
		return want, nil, err
	}
	for name, raw := range all {
		if string(raw) == "null" {
			delete(all, name)
		}
	}

	fault := func(pointer, code string) { faults = append(faults, "/"+pointer+" "+code) }
	str := func(raw json.RawMessage, pointer string) (s string) {
		if raw != nil && json.Unmarshal(raw, &s) != nil {
			fault(pointer, "invalid_type")
		}
		return s
	}
	text := func(name string) string { return str(all[name], name) }
	secret := func(name string) password.Secret {
		if s := text(name); s != "" {
			return password.New(s)
		}
		return password.Secret{}
	}
	boolean := func(name string) *bool {
		raw, ok := all[name]
		if !ok {
			return nil
		}
		value := string(raw) == "true"
		if !value && string(raw) != "false" {
			fault(name, "invalid_type")
			return nil
		}
		return &value
	}
	flag := func(name string) bool { b := boolean(name); return b != nil && *b }
	login := func() string {
		a, b := text("userName"), str(all["username"], "userName")
		if a != "" && b != "" {
			fault("userName", "duplicate_member")
		}
		return a + b
	}
	date := func(name string) (t time.Time) {
		if raw, ok := all[name]; ok && raw[0] != '"' {
			fault(name, "invalid_type")
		} else if ok {
			var code string
			if t, code = strictDate(text(name)); code != "" {
				fault(name, code)
			}
		}
		return t
	}
	elements := func(name string) (list []json.RawMessage) {
		if raw, ok := all[name]; ok && json.Unmarshal(raw, &list) != nil {
			fault(name, "invalid_type")
		}
		return list
	}

	settings := func() json.RawMessage {
		raw, ok := all["dashboardSettings"]
		if ok && raw[0] != '{' {
			fault("dashboardSettings", "invalid_type")
			return nil
		}
		return raw
	}
	roles := func() (refs []users.RoleRef) {
		for i, raw := range elements("roles") {
			at := fmt.Sprint("roles/", i)
			var ref users.RoleRef
			var members map[string]json.RawMessage
			switch {
			case i > users.MaxRoles:
				continue
			case raw[0] == '"':
				ref.Name = str(raw, at)
			case raw[0] == '{' && json.Unmarshal(raw, &members) == nil:
				ref = users.RoleRef{Name: str(members["name"], at+"/name"), ID: str(members["id"], at+"/id")}
			default:
				fault(at, "invalid_type")
			}
			refs = append(refs, ref)
		}
		return refs
	}

	switch operation {
	case "updateUser":
		given := func(name string) *string {
			if _, ok := all[name]; !ok {
				return nil
			}
			s := text(name)
			return &s
		}
		c := users.UserChange{
			UserName: given("userName"), Email: given("email"), Name: given("name"), AllowDashboardAccess: boolean("allowDashboardAccess"),
			IsApproved: boolean("isApproved"), IsLockedOut: boolean("isLockedOut"), DashboardSettings: settings(),
		}
		if raw, ok := all["username"]; ok {
			s := str(raw, "userName")
			if c.UserName != nil && *c.UserName != "" {
				if s != "" {
					fault("userName", "duplicate_member")
				}
				s = *c.UserName
			}
			c.UserName = &s
		}
		if _, ok := all["roles"]; ok {
			list := roles()
			if list == nil {
				list = []users.RoleRef{}
			}
			c.Roles = &list
		}
		want.Change = c
	case "updateRole":
		for name, to := range map[string]**string{"name": &want.RoleChange.Name, "description": &want.RoleChange.Description} {
			if _, ok := all[name]; ok {
				s := text(name)
				*to = &s
			}
		}
	case "changePassword":
		want.NewPassword, want.OldPassword = secret("newPassword"), secret("oldPassword")
		mail, email := flag("sendMailNotification"), flag("sendEmailNotification")
		want.Tell = mail || email
	case "createRole":
		want.Role = users.Role{Name: text("name"), Description: text("description")}
	case "recoverPassword":
		want.Login = login()
	case "setPassword":
		want.Token, want.NewPassword = secret("passwordRecoveryToken"), secret("newPassword")
	case "createUser", "importUsers":
		want.User = users.CreateUserParams{
			UserName: login(), Email: text("email"), Password: secret("password"), ConfirmPassword: secret("confirmPassword"),
			AutoCreatePassword: flag("autoCreatePassword"), SendEmailNotification: flag("sendEmailNotification"),
			AllowDashboardAccess: flag("allowDashboardAccess"), CreationDate: date("creationDate"),
			IsApproved: boolean("isApproved"), IsLockedOut: boolean("isLockedOut"), Name: text("name"), ID: text("id"),
		}
		if operation == "importUsers" {
			hash := secret("passwordHash")
			want.User.PasswordHash, want.EmailVerified = password.NewHash(hash.Reveal()), flag("emailVerified")
		}
		date("dateCreated")
		date("dateUpdated")
		want.User.DashboardSettings = settings()
		want.User.Roles = roles()
		unknown := false
		for i, raw := range elements("embed") {
			switch {
			case raw[0] == '"' && str(raw, "") == "roles":
				want.Embed = true
			case !unknown:
				unknown = true
				fault(fmt.Sprint("embed/", i), "unknown_embed")
			}
		}
		total := 0
		for _, name := range extra {
			if raw, ok := all[name]; ok {
				if want.User.Extra == nil {
					want.User.Extra = map[string]json.RawMessage{}
				}
				want.User.Extra[name] = raw
				total += len(raw)
			}
		}
		if total > httpapi.MaxExtra {
			fault("extra", "too_long")
		}
	}
	slices.Sort(faults)
	return want, faults, nil
}

// differs says how got is not what was wanted; empty if it is.
func differs(got, want httpapi.Read) string {
	for _, s := range []struct {
		name      string
		got, want *password.Secret
	}{
		{"password", &got.User.Password, &want.User.Password},
		{"confirmPassword", &got.User.ConfirmPassword, &want.User.ConfirmPassword},
		{"passwordRecoveryToken", &got.Token, &want.Token},
		{"newPassword", &got.NewPassword, &want.NewPassword},
		{"oldPassword", &got.OldPassword, &want.OldPassword},
	} {
		if s.got.Reveal() != s.want.Reveal() {
			return fmt.Sprintf("%s: got %q, want %q", s.name, s.got.Reveal(), s.want.Reveal())
		}
		*s.got, *s.want = password.Secret{}, password.Secret{}
	}
	for _, s := range [][2]json.RawMessage{
		{got.User.DashboardSettings, want.User.DashboardSettings}, {got.Change.DashboardSettings, want.Change.DashboardSettings},
	} {
		if !bytes.Equal(s[0], s[1]) {
			return fmt.Sprintf("dashboardSettings: got %q, want %q", s[0], s[1])
		}
	}
	got.Change.DashboardSettings, want.Change.DashboardSettings = nil, nil // unlike bytes.Equal, JSON doesn't keep them
	for name, raw := range want.User.Extra {
		if !bytes.Equal(raw, got.User.Extra[name]) {
			return fmt.Sprintf("%s: got %q, want %q", name, got.User.Extra[name], raw)
		}
	}
	one, _ := json.Marshal(flat(got))
	other, _ := json.Marshal(flat(want))
	if !bytes.Equal(one, other) {
		return fmt.Sprintf("got %s, want %s", one, other)
	}
	return ""
}

// flat is what is left of r to compare.
func flat(r httpapi.Read) []any {
	u := r.User
	return []any{
		u.UserName, u.Email, u.AutoCreatePassword, u.SendEmailNotification, u.AllowDashboardAccess, u.CreationDate,
		u.IsApproved, u.IsLockedOut, u.Name, u.Roles, u.ID, len(u.Extra), r.Embed, u.PasswordHash.Reveal(), r.EmailVerified, r.Role, r.Login,
		r.Change, r.RoleChange, r.Tell,
	}
}
