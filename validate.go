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
// first finding is the most basic one. A client decides how many there are.
type faults struct {
	fields []FieldError
	found  map[string]bool // by pointer
}

func (f *faults) add(e FieldError) {
	if f.has(e.Pointer) {
		return
	}
	f.fields = append(f.fields, e)
	if e.Pointer == "" { // not about a member
		return
	}
	if f.found == nil {
		f.found = make(map[string]bool)
	}
	f.found[e.Pointer] = true
}

func (f *faults) addErr(pointer string, err error) { f.add(fieldError(pointer, err)) }

func (f *faults) has(pointer string) bool { return f.found[pointer] }

// err returns the findings as a *ValidationError, in the order in which they
// were made, and nil if there is none.
func (f *faults) err() error {
	if len(f.fields) == 0 {
		return nil
	}
	return &ValidationError{slices.Clone(f.fields)}
}

// sort puts the findings into the order of CreateMembers.
func (f *faults) sort() {
	if len(f.fields) < 2 {
		return
	}
	type ranked struct {
		member, role int
		FieldError
	}
	all := make([]ranked, len(f.fields))
	for i, e := range f.fields {
		all[i] = ranked{memberRank(e.Pointer), roleIndex(e.Pointer), e}
	}
	slices.SortStableFunc(all, func(a, b ranked) int { return cmp.Or(a.member-b.member, a.role-b.role) })
	for i, e := range all {
		f.fields[i] = e.FieldError
	}
}

func memberRank(pointer string) int {
	member, _, _ := strings.Cut(strings.TrimPrefix(pointer, "/"), "/")
	at := slices.IndexFunc(createMembers[:], func(m createMember) bool { return m.name == member })
	if at < 0 {
		return len(createMembers)
	}
	return at
}

// JoinValidation returns one *ValidationError of several, in the order of
// [CreateMembers]; nil if none of them has fields. Where two of them concern the
// same member the first is kept: a member that could not be read at all is not
// also "required".
func JoinValidation(errs ...*ValidationError) error {
	var all faults
	within := make(map[string]bool) // pointers at which, or below which, something was found
	for _, e := range errs {
		if e == nil {
			continue
		}
		for _, f := range e.Fields {
			if within[f.Pointer] {
				continue
			}
			all.add(f)
			for at := f.Pointer; at != "" && !within[at]; at = at[:max(0, strings.LastIndexByte(at, '/'))] {
				within[at] = true
			}
		}
	}
	all.sort()
	return all.err()
}

// fieldError returns the finding at pointer of an error of a rule.
func fieldError(pointer string, err error) FieldError {
	var broken *ruleError
	var refusal *password.Refusal
	switch {
	case errors.As(err, &broken):
		return FieldError{pointer, broken.code, broken.detail, broken.limit}
	case errors.As(err, &refusal):
		return FieldError{pointer, refusal.Code, refusal.Detail, refusal.Limit}
	}
	return FieldError{Pointer: pointer, Code: "invalid", Detail: "is not valid"}
}

func required(pointer string) FieldError {
	return FieldError{Pointer: pointer, Code: codeRequired, Detail: "is required"}
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
	{"UserName", "required"}: required("/userName"),
	{"Email", "required"}:    required("/email"),
	{"Roles", "max"}:         {"/roles", "too_many", fmt.Sprintf("must hold at most %d roles", MaxRoles), MaxRoles},
}

type shapeValidator = validator.Validate

func newShapeValidator() *shapeValidator {
	return validator.New(validator.WithRequiredStructEnabled())
}

// normalize puts what has a canonical form into it and computes the keys. What
// has none is noted; validate reports it with all the rest.
func (c *creation) normalize() {
	p, f := &c.params, &c.faults
	p.Name = blankAsNone(p.Name)
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
	c.checkNameAddress()
	if id, ok := optionalID(p.ID); ok {
		p.ID = id
	} else {
		f.add(FieldError{Pointer: "/id", Code: "invalid_id", Detail: "must be a ULID or a UUID"})
	}
	if len(p.Roles) <= MaxRoles {
		c.normalizeRoles()
	}
	// {} asks for nothing. From a caller who may not set settings it would be
	// kept without anybody having judged it.
	if isNothing(p.DashboardSettings) && (!isEmptyObject(p.DashboardSettings) || !c.actor.may(GrantDashboard)) {
		p.DashboardSettings = nil
	}
}

// checkNameAddress judges a name that holds an @. It lives in the namespace of
// addresses: there its owner is the only one who can have it. Without a valid address
// of the user's own there is nothing to compare it with.
func (c *creation) checkNameAddress() {
	r := &c.record
	if strings.Contains(r.NameKey, "@") && r.EmailKey != "" && r.NameKey != r.EmailKey {
		c.faults.addErr("/userName", errNameAddress)
	}
}

// isNothing reports whether settings ask for nothing: none, null or {}.
func isNothing(raw []byte) bool {
	return len(raw) == 0 || string(trimJSON(raw)) == "null" || isEmptyObject(raw)
}

func (c *creation) normalizeRoles() {
	refs := slices.Clone(c.params.Roles)
	for i, given := range refs {
		var err error
		switch refs[i], err = canonicalRef(given); {
		case err != nil:
			c.faults.addErr(rolePointer(i), err)
		case refs[i] == (RoleRef{}):
			c.faults.add(FieldError{Pointer: rolePointer(i), Code: codeRequired, Detail: "must name a role by name or id"})
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
			f.add(shapeFaults[[2]string{e.StructField(), e.Tag()}])
		}
	}
	if err := checkDisplayName(p.Name); err != nil {
		f.addErr("/name", err)
	}
	if y := p.CreationDate.UTC().Year(); y < 1 || y > 9999 {
		f.add(FieldError{Pointer: "/creationDate", Code: "out_of_range", Detail: "must lie in the years 1 to 9999"})
	}
	s.validatePassword(c)
	return s.validateDashboard(ctx, c)
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
			fe.Pointer = at + fe.Pointer
			c.faults.add(fe)
		}
		if len(refused.Fields) == 0 {
			c.faults.addErr(at, refused)
		}
		return nil
	}
	if err != nil {
		return hookError("ValidateDashboardSettings", err)
	}
	return nil
}

// checkObject judges the bytes of a JSON object: strict JSON (RFC 7493, I-JSON),
// its size and its depth.
func checkObject(raw []byte) error {
	if len(raw) > MaxDashboardSettings {
		return tooLong(MaxDashboardSettings, "bytes")
	}
	switch {
	case !bytes.HasPrefix(trimJSON(raw), []byte("{")):
		return rule("invalid_type", "must be a JSON object")
	case jsonDepth(raw) > MaxDashboardDepth:
		return &ruleError{"too_deep", fmt.Sprintf("must be at most %d levels deep", MaxDashboardDepth), MaxDashboardDepth}
	case !jsontext.Value(raw).IsValid():
		return rule("invalid_json", "must be one JSON object without duplicate members or invalid UTF-8, and nothing after it")
	}
	return nil
}

// jsonDepth returns the levels of objects and arrays in JSON, which need not be valid.
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

// maxCanonicalDepth bounds the work, which grows with depth times size. It is what
// package httpapi accepts.
const maxCanonicalDepth = 64

// canonicalJSON returns JSON in which neither the order of members, nor white
// space, nor the way that a string is escaped makes a difference. Numbers stay as
// they are written: 1 and 1.0 are kept apart, as are two that no float64 tells
// apart. What is nested deeper than maxCanonicalDepth is returned as it is.
func canonicalJSON(raw []byte) []byte {
	if jsonDepth(raw) > maxCanonicalDepth {
		return raw
	}
	v := jsontext.Value(bytes.Clone(raw))
	if err := v.Format(jsontext.ReorderRawObjects(true)); err != nil {
		return raw
	}
	return v
}

// isEmptyObject reports whether raw is {}.
func isEmptyObject(raw []byte) bool {
	raw = trimJSON(raw)
	return len(raw) > 1 && raw[0] == '{' && raw[len(raw)-1] == '}' && len(trimJSON(raw[1:len(raw)-1])) == 0
}

// trimJSON drops the white space of JSON (RFC 8259 section 2) around raw.
func trimJSON(raw []byte) []byte { return bytes.Trim(raw, " \t\r\n") }
