package users

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/go-playground/validator/v10"

	"github.com/gousers/users/password"
)

// Limits of dashboardSettings.
const (
	MaxDashboardSettings = 64 << 10 // bytes
	MaxDashboardDepth    = 20       // levels of objects and arrays
)

const (
	codeRequired = "required"
	codeTooLong  = "too_long"
)

// faults collects what is wrong with a request, at most once a member: the
// first finding is the most basic one.
type faults struct{ fields []FieldError }

func (f *faults) add(pointer, code, detail string) {
	if pointer == "" || !f.has(pointer) {
		f.fields = append(f.fields, FieldError{pointer, code, detail})
	}
}

func (f *faults) addErr(pointer string, err error) {
	fe := fieldError(pointer, err)
	f.add(fe.Pointer, fe.Code, fe.Detail)
}

func (f *faults) has(pointer string) bool {
	return slices.ContainsFunc(f.fields, func(e FieldError) bool { return e.Pointer == pointer })
}

// under reports whether something was found at or below pointer.
func (f *faults) under(pointer string) bool {
	return slices.ContainsFunc(f.fields, func(e FieldError) bool {
		return e.Pointer == pointer || strings.HasPrefix(e.Pointer, pointer+"/")
	})
}

func (f *faults) err() error {
	if len(f.fields) == 0 {
		return nil
	}
	fields := slices.Clone(f.fields)
	slices.SortStableFunc(fields, func(a, b FieldError) int {
		return cmp.Or(memberRank(a.Pointer)-memberRank(b.Pointer), roleIndex(a.Pointer)-roleIndex(b.Pointer))
	})
	return &ValidationError{fields}
}

// contractMembers is the contract's table of members in its order.
var contractMembers = [...]string{
	"userName", "email", "password", "confirmPassword", "autoCreatePassword", "sendEmailNotification",
	"allowDashboardAccess", "dashboardSettings", "creationDate", "isApproved", "isLockedOut", "name",
	"roles", "dateCreated", "dateUpdated", "id", "embed",
}

func memberRank(pointer string) int {
	member, _, _ := strings.Cut(strings.TrimPrefix(pointer, "/"), "/")
	if at := slices.Index(contractMembers[:], member); at >= 0 {
		return at
	}
	return len(contractMembers)
}

// MergeFaults gives one ValidationError of several, in the order of the
// contract's table. Where two of them judge the same member the first is kept:
// a member that could not be read at all is not also "required".
func MergeFaults(errs ...*ValidationError) *ValidationError {
	var all faults
	for _, e := range errs {
		if e == nil {
			continue
		}
		for _, f := range e.Fields {
			if f.Pointer == "" || !all.under(f.Pointer) {
				all.add(f.Pointer, f.Code, f.Detail)
			}
		}
	}
	merged, _ := all.err().(*ValidationError)
	return merged
}

// fieldError makes the finding at pointer of an error of a rule.
func fieldError(pointer string, err error) FieldError {
	var rule *ruleError
	var refusal *password.Refusal
	switch {
	case errors.As(err, &rule):
		return FieldError{pointer, rule.code, rule.detail}
	case errors.As(err, &refusal):
		return FieldError{pointer, refusal.Code, refusal.Detail}
	}
	return FieldError{pointer, "invalid", "is not valid"}
}

// shape is what validator judges: members that are required, and how many roles
// there are. What a string must be like is said where its key is made. It is
// flat, because dive and cross-field rules cost allocations; passwords are not
// in it, because validator's errors hold the value.
type shape struct {
	UserName string `validate:"required"`
	Email    string `validate:"required"`
	Roles    int    `validate:"max=100"`
}

// shapeFaults translates validator's findings: field and tag to the answer.
var shapeFaults = map[[2]string]FieldError{
	{"UserName", "required"}: {"/userName", codeRequired, "is required"},
	{"Email", "required"}:    {"/email", codeRequired, "is required"},
	{"Roles", "max"}:         {"/roles", "too_many", "must be at most 100 roles"},
}

type shapeValidator = validator.Validate

func newShapeValidator() *shapeValidator {
	return validator.New(validator.WithRequiredStructEnabled())
}

// normalize puts what has a canonical form into it and computes the keys. What
// has none is noted; validate reports it with all the rest.
func (c *creation) normalize() {
	p, f := &c.params, &c.faults
	var err error
	if p.UserName != "" {
		if c.record.NameKey, err = userNameKey(p.UserName); err != nil {
			f.addErr("/userName", err)
		}
	}
	if p.Email != "" {
		if c.record.EmailKey, err = emailKey(p.Email); err != nil {
			f.addErr("/email", err)
		}
	}
	// A name that holds an @ lives in the namespace of addresses: there its
	// owner is the only one who can have it. Without a valid address of the
	// user's own there is nothing to compare it with.
	if strings.Contains(c.record.NameKey, "@") && c.record.EmailKey != "" && c.record.NameKey != c.record.EmailKey {
		f.addErr("/userName", errNameAddress)
	}
	if id, ok := parseID(p.ID); !ok && p.ID != "" {
		f.add("/id", "invalid_id", "must be a ULID or a UUID")
	} else if p.ID = id; isZeroID(id) {
		p.ID = ""
	}
	if len(p.Roles) <= MaxRoles {
		c.normalizeRoles()
	}
	// {} asks for nothing. From a caller who may not set settings it would be
	// kept without anybody having judged it.
	if raw := trimJSON(p.DashboardSettings); len(p.DashboardSettings) == 0 || string(raw) == "null" ||
		isEmptyObject(raw) && !c.actor.may(GrantDashboard) {
		p.DashboardSettings = nil
	}
}

func (c *creation) normalizeRoles() {
	refs := slices.Clone(c.params.Roles)
	for i := range refs {
		r := &refs[i]
		id, ok := parseID(r.ID)
		if !ok && r.ID != "" {
			c.faults.add(rolePointer(i), "invalid_id", "the id must be a ULID or a UUID")
			continue
		}
		if r.ID = id; isZeroID(id) {
			r.ID = ""
		}
		if r.Name == "" {
			if r.ID == "" {
				c.faults.add(rolePointer(i), codeRequired, "must name a role by name or id")
			}
			continue
		}
		var err error
		if r.Name, err = roleNameKey(r.Name); err != nil {
			c.faults.addErr(rolePointer(i), err)
		}
	}
	c.params.Roles = refs
}

func rolePointer(i int) string { return "/roles/" + strconv.Itoa(i) }

// roleIndex is the i of a pointer to a role or into it, -1 of any other.
func roleIndex(pointer string) int {
	index, ok := strings.CutPrefix(pointer, "/roles/")
	if !ok {
		return -1
	}
	index, _, _ = strings.Cut(index, "/")
	i, err := strconv.Atoi(index)
	if err != nil {
		return -1
	}
	return i
}

// validate adds every other finding. The error it returns is not one of them:
// it is the host's own, from a hook.
func (s *Service) validate(ctx context.Context, c *creation) error {
	p, f := &c.params, &c.faults
	if err := s.shapes.Struct(shape{p.UserName, p.Email, len(p.Roles)}); err != nil {
		for _, e := range err.(validator.ValidationErrors) { // a struct can have no other error
			fe := shapeFaults[[2]string{e.StructField(), e.Tag()}]
			f.add(fe.Pointer, fe.Code, fe.Detail)
		}
	}
	if err := checkDisplayName(p.Name); err != nil {
		f.addErr("/name", err)
	}
	if y := p.CreationDate.UTC().Year(); y < 1 || y > 9999 {
		f.add("/creationDate", "out_of_range", "must lie in the years 1 to 9999")
	}
	s.validatePassword(c)
	return s.validateDashboard(ctx, c)
}

func (s *Service) validatePassword(c *creation) {
	p, f := &c.params, &c.faults
	switch {
	case p.AutoCreatePassword:
		const detail = "must be absent when autoCreatePassword is true"
		if !p.Password.IsZero() {
			f.add("/password", "excluded", detail)
		}
		if !p.ConfirmPassword.IsZero() {
			f.add("/confirmPassword", "excluded", detail)
		}
		return
	case p.Password.IsZero():
		f.add("/password", codeRequired, "is required unless autoCreatePassword is true")
	default:
		s.checkPassword(f, "/password", p.Password, p.UserName, p.Email, p.Name)
	}
	switch {
	case p.ConfirmPassword.IsZero():
		f.add("/confirmPassword", codeRequired, "is required unless autoCreatePassword is true")
	case !p.Password.IsZero() && !p.ConfirmPassword.Equal(p.Password):
		f.add("/confirmPassword", "mismatch", "must be equal to password")
	}
}

// checkPassword applies the policy and the hasher's own limit. words are what
// this user's password must not be.
func (s *Service) checkPassword(f *faults, pointer string, t password.Text, words ...string) {
	if err := s.opts.Policy.Check(t, words...); err != nil {
		f.addErr(pointer, err)
		return
	}
	if s.maxPwBytes > 0 {
		if pw, err := password.Normalize(t); err == nil && len(pw) > s.maxPwBytes {
			f.add(pointer, codeTooLong, fmt.Sprintf("must be at most %d bytes", s.maxPwBytes))
		}
	}
}

func (s *Service) validateDashboard(ctx context.Context, c *creation) error {
	raw := c.params.DashboardSettings
	if raw == nil {
		return nil
	}
	const at = "/dashboardSettings"
	if err := checkObject(raw); err != nil {
		c.faults.addErr(at, err)
		return nil
	}
	// Host code judges only what could be stored.
	if s.opts.ValidateDashboardSettings == nil || !c.actor.may(GrantDashboard) {
		return nil
	}
	err := s.opts.ValidateDashboardSettings(ctx, c.app, slices.Clone(raw))
	if refused := (*ValidationError)(nil); errors.As(err, &refused) {
		for _, fe := range refused.Fields {
			c.faults.add(at+fe.Pointer, fe.Code, fe.Detail)
		}
		if len(refused.Fields) == 0 {
			c.faults.addErr(at, refused)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("users: ValidateDashboardSettings: %w", err)
	}
	return nil
}

// checkObject judges the bytes of a JSON object: strict JSON (RFC 7493, I-JSON),
// its size and its depth.
func checkObject(raw []byte) error {
	if len(raw) > MaxDashboardSettings {
		return &ruleError{codeTooLong, fmt.Sprintf("must be at most %d bytes", MaxDashboardSettings)}
	}
	switch {
	case !bytes.HasPrefix(trimJSON(raw), []byte("{")):
		return &ruleError{"invalid_type", "must be a JSON object"}
	case jsonDepth(raw) > MaxDashboardDepth:
		return &ruleError{"too_deep", fmt.Sprintf("must be at most %d levels deep", MaxDashboardDepth)}
	case !jsontext.Value(raw).IsValid():
		return &ruleError{"invalid_json", "must be one JSON object without duplicate members or invalid UTF-8, and nothing after it"}
	}
	return nil
}

// jsonDepth gives the levels of objects and arrays in JSON, which need not be valid.
func jsonDepth(raw []byte) (deepest int) {
	depth, inString := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
}

// isEmptyObject reports whether raw, without white space around it, is {}.
func isEmptyObject(raw []byte) bool {
	return len(raw) > 1 && raw[0] == '{' && raw[len(raw)-1] == '}' && len(trimJSON(raw[1:len(raw)-1])) == 0
}

// trimJSON drops the white space of JSON (RFC 8259 section 2) around raw.
func trimJSON(raw []byte) []byte { return bytes.Trim(raw, " \t\r\n") }
