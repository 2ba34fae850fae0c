package httpapi

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gousers/users"
)

// query is what stands behind the question mark, and what is wrong with it. The
// pointers of its faults name parameters. A parameter without a value is absent:
// clients that fill in templates send those.
type query struct {
	values url.Values
	faults
}

func (x *exchange) query() (q query) {
	if x.r.URL.RawQuery == "" {
		return q
	}
	var err error
	if q.values, err = url.ParseQuery(x.r.URL.RawQuery); err != nil {
		q.add(users.FieldError{Code: "invalid_query", Detail: "the query is not well-formed"})
	}
	return q
}

func (q *query) fault(name, code, detail string) {
	q.add(users.FieldError{Pointer: pointer(name), Code: code, Detail: detail})
}

// one returns the value of a parameter that is given at most once.
func (q *query) one(name string) (value string) {
	for _, v := range q.values[name] {
		switch {
		case v == "":
		case value == "":
			value = v
		default:
			q.fault(name, "duplicate_member", "must be given once")
			return value
		}
	}
	return value
}

// list returns the values of a parameter that is repeated, or has commas; nil if
// there are none.
func (q *query) list(name string) (values []string) {
	for _, v := range q.values[name] {
		for part := range strings.SplitSeq(v, ",") {
			if part = strings.TrimSpace(part); part != "" {
				values = append(values, part)
			}
		}
	}
	return values
}

// number returns a whole number from 1 up to most; 0: to any.
func (q *query) number(name, code string, most, absent int) int {
	s := q.one(name)
	if s == "" {
		return absent
	}
	n, err := strconv.Atoi(s)
	if err == nil && n >= 1 && (most == 0 || n <= most) {
		return n
	}

	detail := "must be 1 or more"
	if most > 0 {
		detail = "must be between 1 and " + strconv.Itoa(most)
	}
	q.add(users.FieldError{Pointer: pointer(name), Code: code, Detail: detail, Limit: most})
	return absent
}

// flag tells false from absent.
func (q *query) flag(name string) *bool {
	switch s := q.one(name); {
	case s == "":
	case strings.EqualFold(s, "true"):
		return new(true)
	case strings.EqualFold(s, "false"):
		return new(false)
	default:
		q.fault(name, "invalid_type", "must be true or false")
	}
	return nil
}

// paging is which page is asked for: the one with a number or, where that is 0,
// the one behind after.
type paging struct {
	page, limit int
	after       string
}

// paging reads page and rpp or, if one of those is there, after and limit.
func (q *query) paging(defaultLimit int) paging {
	after := q.one("after")
	if after == "" && q.one("limit") == "" {
		return paging{
			page:  q.number("page", "invalid_page", 0, 1),
			limit: q.number("rpp", "invalid_limit", users.MaxPage, users.DefaultFoundPage),
		}
	}
	q.exclude("page", "rpp")
	return paging{after: after, limit: q.number("limit", "invalid_limit", users.MaxPage, defaultLimit)}
}

// exclude refuses parameters that make no sense on a page without a number.
func (q *query) exclude(names ...string) {
	for _, name := range names {
		if len(q.list(name)) > 0 {
			q.fault(name, "excluded", "must be absent where after or limit is given")
		}
	}
}

const maxSort = 256 // bytes of sort: it is repeated in the answer

// orders are the members that can be told to sort by; which of them a list knows
// is the Service's to say. Never written to.
var orders = []users.Member{
	users.ByID, users.ByUserName, users.ByEmail, users.ByDateCreated, users.ByName, users.ByCreationDate,
	users.ByDateUpdated, users.ByIsApproved, users.ByIsLockedOut,
}

// sort reads "userName|desc, email" or "-userName,email", and returns it as it was
// sent as well.
func (q *query) sort() (order []users.Order, sent string) {
	sent = strings.Join(q.values["sort"], ",")
	if len(sent) > maxSort {
		q.add(users.FieldError{Pointer: "/sort", Code: "too_long", Detail: "must be at most " + strconv.Itoa(maxSort) + " bytes", Limit: maxSort})
		return nil, ""
	}
	order, ok := parseSort(sent)
	if !ok {
		q.fault("sort", "invalid_sort", `must be members with commas between them, each with "|asc" or "|desc" behind or "-" before it, or neither`)
	}
	return order, sent
}

func parseSort(s string) (order []users.Order, ok bool) {
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, direction, hasDirection := strings.Cut(part, "|")
		name, desc := strings.CutPrefix(strings.TrimSpace(name), "-")
		switch direction = strings.TrimSpace(direction); {
		case !hasDirection:
		case desc:
			return nil, false
		case strings.EqualFold(direction, "desc"):
			desc = true
		case !strings.EqualFold(direction, "asc"):
			return nil, false
		}

		by := users.Member(name)
		if at := slices.IndexFunc(orders, func(m users.Member) bool { return strings.EqualFold(string(m), name) }); at >= 0 {
			by = orders[at]
		}
		order = append(order, users.Order{By: by, Desc: desc})
	}
	return order, true
}

const (
	embedRoles       = "roles"
	codeUnknownEmbed = "unknown_embed"
)

// embed reads what to embed, and notes other names once.
func (q *query) embed() (embed bool) {
	unknown := false
	for _, name := range q.list("embed") {
		embed = embed || name == embedRoles
		unknown = unknown || name != embedRoles
	}
	if unknown {
		q.fault("embed", codeUnknownEmbed, `must be "roles"`)
	}
	return embed
}

// userFields are the members of a user of which a client can ask for some. Never
// written to.
var userFields = []string{
	"id", "userName", "email", "name", "isApproved", "isLockedOut", "roles", "creationDate", "dateCreated", "dateUpdated",
}

// fields reads of which of the known members of a user a client asks for; nil: of all.
// Of the names that are unknown the first is noted.
func (q *query) fields(known []string) (fields []string) {
	for _, name := range q.list("fields") {
		at := slices.IndexFunc(known, func(f string) bool { return strings.EqualFold(f, name) })
		if at < 0 {
			q.fault("fields", "unknown_member", "must be some of "+strings.Join(known, ", "))
			return nil
		}
		if !slices.Contains(fields, known[at]) {
			fields = append(fields, known[at])
		}
	}
	return fields
}

// with returns the query of a link: those of the known parameters that were sent,
// and one of them with another value.
func (q *query) with(known []string, name, value string) string {
	all := url.Values{}
	for _, k := range known {
		if sent := slices.DeleteFunc(slices.Clone(q.values[k]), func(v string) bool { return v == "" }); len(sent) > 0 {
			all[k] = sent
		}
	}
	if name != "" {
		all.Set(name, value)
	}
	if len(all) == 0 {
		return ""
	}
	return "?" + all.Encode()
}

// around sets the URLs of a page and of those before and after it. at is where the
// list is found, next the cursor of the page behind one without a number.
func (q *query) around(l *users.List, at string, known []string, next string) {
	l.Self = at + q.with(known, "", "")
	if l.Page == 0 {
		if next != "" {
			l.Next = at + q.with(known, "after", next)
		}
		return
	}

	before := (l.Page - 1) * l.Limit // at most MaxOffset
	last := max(1, int((l.Total+int64(l.Limit)-1)/int64(l.Limit)))
	if l.Page > 1 {
		l.Previous = at + q.with(known, "page", strconv.Itoa(min(l.Page-1, last)))
	}
	if l.Page < last && before+l.Limit <= users.MaxOffset {
		l.Next = at + q.with(known, "page", strconv.Itoa(l.Page+1))
	}
}
