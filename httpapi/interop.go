package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

// Interop makes the handler serve the published clients of this API, for JavaScript,
// AngularJS and .NET, as they are. It stays fit for all others. What it changes, and
// nothing changes without it:
//
//   - Errors are application/json unless a client names application/problem+json:
//     these clients send */* and understand that type alone. The members are the same.
//   - An id is shown as [users.ShortID] writes it, and read in that form and in its
//     own: in paths, bodies, userIds and roleIds, of which there can be 500 in that
//     form (any id may stand for two stored ones, and a list holds 1000). An id goes
//     before a user name that looks the same, so that a new name of 22 to 26 ASCII
//     letters and digits is refused.
//   - Links are relative to the application ("users/…"), which these clients put before
//     them, or absolute if there is an [Options.BaseURL]: set that if others follow
//     links as well. Those to roles name lookups/roles. Location is as without Interop.
//   - A list in HAL has its items at item as well as in _embedded.
//   - The name of a user is its userName, and what is the name otherwise is displayName:
//     the .NET client takes name for the userName. Both can be sent. A name that is the
//     userName, as it was or is to be, says nothing; a displayName goes before another
//     name, unless it is the one that the user has. Fields and sort know it too. Of ann,
//     whose displayName is Ann:
//     {"name":"ann","displayName":"Anna"} makes the displayName Anna,
//     {"name":"Anna","displayName":"Ann"} makes it Anna as well,
//     {"name":"ann","userName":"anna"} changes the userName alone.
//   - Browser applications of Origins may call, with credentials (the CORS protocol of
//     the Fetch standard), and read WWW-Authenticate, Location, ETag and Retry-After.
//   - POST /{apiKey}/login, or /Login, with a form of grant_type=password, username and
//     password (RFC 6749 section 4.3) answers 201 with a token that SignIn makes.
//
// POST users/import is the same with and without it, but for Origins and the type of
// errors: no published client has it.
//
// A login that is refused is 400 with the error invalid_grant (RFC 6749 section 5.2). It
// says that a user is locked out or not approved only if the password was right. The
// credentials of the request are not looked at, and Admit of [users.Options] limits
// who calls it, as it does recover-password.
type Interop struct {
	// Origins are those of browser applications, such as "https://app.example.com", as
	// browsers write them; each is compared as a whole. Empty: none, and no header of
	// the CORS protocol is sent.
	Origins []string
	// SignIn makes a token for a user whose password was right, which the host's
	// [Authenticator] then knows. Its errors are answered as those of a hook are; see
	// [users.HookError]. It is called concurrently. nil: there is no login.
	SignIn func(ctx context.Context, apiKey string, u users.User) (AccessToken, error)
}

// AccessToken is what a client gets for a password. It can be printed.
type AccessToken struct {
	// Secret is sent in the header Authorization from then on, in the scheme Bearer.
	Secret password.Secret
	// ExpiresIn is how long it is good, in whole seconds; 0: the client is not told.
	ExpiresIn time.Duration
}

// checked returns a copy of in; nil if that is nil. Its errors are those of New.
func (in *Interop) checked() (*Interop, error) {
	if in == nil {
		return nil, nil
	}
	for i, o := range in.Origins {
		if !isOrigin(o) {
			return nil, fmt.Errorf(`httpapi: New: Interop.Origins[%d] must be an origin as a browser sends it, such as "https://app.example.com" or "http://localhost:5173": in lower case, without a path, a slash at the end or the usual port`, i)
		}
	}
	return &Interop{Origins: slices.Clone(in.Origins), SignIn: in.SignIn}, nil
}

// isOrigin reports whether s is a serialized origin (RFC 6454 section 6.2) of one
// site: not "*", nor the "null" that documents of any site can send.
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || s != u.Scheme+"://"+u.Host || s != strings.ToLower(s) || strings.HasSuffix(s, ":") {
		return false
	}
	if port := u.Port(); u.Scheme == "http" && port == "80" || u.Scheme == "https" && port == "443" {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '*' })
}

// signsIn reports whether there is a login.
func (in *Interop) signsIn() bool { return in != nil && in.SignIn != nil }

// interop makes of the answer, whatever it will be, what Interop wants.
func (x *exchange) interop() {
	in := x.h.opts.Interop
	if in == nil {
		return
	}
	x.form |= users.Interop
	if !namesProblem(x.r.Header["Accept"]) {
		x.problemType = typeJSON
	}
	if len(in.Origins) > 0 {
		x.cross(in.Origins)
	}
}

// cross allows the origin of the request to read the answer if it is one of origins.
func (x *exchange) cross(origins []string) {
	h := x.w.Header()
	h.Add("Vary", "Origin")
	sent := x.r.Header["Origin"]
	if len(sent) != 1 || !slices.Contains(origins, sent[0]) {
		return
	}

	x.crosses = true
	h.Set("Access-Control-Allow-Origin", sent[0])
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, Location, ETag, Retry-After")
}

// preflight reports whether a browser asks, before the request itself, whether an
// origin that is allowed may send it: of any resource, before the caller is known. It
// says that it may.
func (x *exchange) preflight() bool {
	if !x.crosses || x.r.Method != http.MethodOptions || x.r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h := x.w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE")
	h.Set("Access-Control-Allow-Headers", allowedHeaders(x.r.Header["Access-Control-Request-Headers"]))
	h.Set("Access-Control-Max-Age", "600")
	return true
}

// Bounds of the headers that a page asks to send beside those of this API. One that
// is longer is no name that a client would give.
const (
	maxAskedHeaders = 32
	maxHeaderName   = 64 // bytes
)

// allowedHeaders returns those of this API and what a page asks for beside them, such
// as the X-Requested-With of some libraries: nothing here looks at it. What is no name
// of a header is left out, so that the answer is one.
func allowedHeaders(asked []string) string {
	all := []string{"Authorization", "Content-Type", "Accept", "Idempotency-Key", "If-Match"}
	own := len(all)
	for name := range strings.SplitSeq(strings.Join(asked, ","), ",") {
		name = strings.Trim(name, " \t")
		known := slices.ContainsFunc(all, func(s string) bool { return strings.EqualFold(s, name) })
		if isToken(name) && len(name) <= maxHeaderName && !known {
			all = append(all, name)
		}
		if len(all) == own+maxAskedHeaders {
			break
		}
	}
	return strings.Join(all, ", ")
}

// isToken reports whether s is a name of a header (RFC 9110 section 5.6.2), and not
// the wildcard of CORS.
func isToken(s string) bool {
	return s != "" && s != "*" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// stored returns what ref names: where it is a short id, the id in that of its forms
// which find finds, and otherwise ref itself.
func (x *exchange) stored(ref string, find func(*exchange, string) error) (string, error) {
	if x.h.opts.Interop == nil {
		return ref, nil
	}
	for _, id := range users.LongIDs(ref) {
		if err := find(x, id); err == nil {
			return id, nil
		} else if !errors.Is(err, users.ErrNotFound) {
			return "", err
		}
	}
	return ref, nil
}

// storedID is stored where ref can be nothing but an id. A short one that is not found is
// a ULID: what the Service then says of it does not tell whether there is such an id, and
// a request stays the same one when what it names is deleted.
func (x *exchange) storedID(ref string, find func(*exchange, string) error) (string, error) {
	id, err := x.stored(ref, find)
	if long := users.LongIDs(id); long != nil {
		id = long[0]
	}
	return id, err
}

func (x *exchange) findUser(id string) error {
	_, err := x.h.svc.User(x.asReader(), x.apiKey, id)
	return err
}

func (x *exchange) findRole(id string) error {
	_, err := x.h.svc.Role(x.asReader(), x.apiKey, users.RoleRef{ID: id})
	return err
}

// asReader is the context to look with for what an id names. What the caller may do
// with that, and whether it learns of it, is judged by what comes then.
func (x *exchange) asReader() context.Context {
	return users.WithCaller(x.r.Context(), users.Caller{APIKey: x.apiKey, Permissions: users.ReadUsers})
}

// storedRoles is stored for references to roles. Where there is a name it decides.
func (x *exchange) storedRoles(refs []users.RoleRef) error {
	if x.h.opts.Interop == nil {
		return nil
	}
	for i := range refs {
		ref := &refs[i]
		switch {
		case users.LongIDs(ref.ID) == nil:
		case ref.Name != "":
			ref.ID = ""
		default:
			var err error
			if ref.ID, err = x.storedID(ref.ID, (*exchange).findRole); err != nil {
				return err
			}
		}
	}
	return nil
}

// readFind lets a client look for users and roles by short ids, and sort by display
// names under the name that it has for them.
func (x *exchange) readFind(p *users.FindUsersParams) {
	if x.h.opts.Interop == nil {
		return
	}
	for i, o := range p.Order {
		if strings.EqualFold(string(o.By), memberDisplayName) {
			p.Order[i].By = users.ByName
		}
	}

	f := &p.UserFilter
	var ids []string
	for _, id := range f.IDs {
		ids = append(ids, forms(id)...)
	}
	var roles []users.RoleRef
	for _, ref := range f.Roles {
		for _, id := range forms(ref.ID) {
			roles = append(roles, users.RoleRef{ID: id, Name: ref.Name})
		}
	}
	f.IDs, f.Roles = ids, roles
}

// forms returns the ids that id may stand for; what is no short id for itself.
func forms(id string) []string {
	if long := users.LongIDs(id); long != nil {
		return long
	}
	return []string{id}
}

const memberDisplayName = "displayName"

// The members that Interop adds to those of requests; never written to.
var (
	createUserInterop = members[createUserRequest]{
		alias(memberDisplayName, "name", func(d *jsonReader, q *createUserRequest) { d.str(&q.display) }),
	}
	updateUserInterop = members[updateUserRequest]{
		alias(memberDisplayName, "name", func(d *jsonReader, q *updateUserRequest) { d.optionalStr(&q.display) }),
	}
)

// readInterop makes of what was read what the Service takes, and notes what only Interop
// refuses.
func (x *exchange) readInterop(q *createUserRequest, f *faults) (err error) {
	if x.h.opts.Interop == nil {
		return nil
	}
	p := &q.params
	switch {
	case q.display != "":
		p.Name = q.display
	case p.Name == p.UserName:
		p.Name = ""
	}
	if looksShort(p.UserName) {
		f.add(errLooksShort)
	}
	if p.ID, err = x.chosen(p.ID); err != nil {
		return err
	}
	return x.storedRoles(p.Roles)
}

// chosen returns the id that a caller chose for a new user. A short one is a ULID. Where
// there is a user whose id is shown the same it is that user's, and so taken.
func (x *exchange) chosen(id string) (string, error) {
	short := users.ShortID(id)
	taken, err := x.stored(short, (*exchange).findUser)
	if err != nil || taken != short {
		return taken, err
	}
	if long := users.LongIDs(id); long != nil {
		return long[0], nil
	}
	return id, nil
}

// errLooksShort refuses a name that could be another user's short id: a reference
// would lead to the one, and to the other once that is deleted. Never written to.
var errLooksShort = users.FieldError{Pointer: "/userName", Code: "looks_like_id", Detail: "must not have the form of an id (22 to 26 letters and digits)"}

// looksShort reports whether a user name can be taken for a short id: case and width
// are the same to names. Of a long id the Service says so itself.
func looksShort(name string) bool {
	key := strings.ToLower(strings.Map(func(r rune) rune {
		if '\uff01' <= r && r <= '\uff5e' { // in full width
			return r - '\uff01' + '!'
		}
		return r
	}, name))
	return 22 <= len(key) && len(key) <= 26 && users.ShortID(key) == key &&
		!strings.ContainsFunc(key, func(r rune) bool { return !('a' <= r && r <= 'z' || '0' <= r && r <= '9') })
}

// readInteropChange is readInterop for a change. A name that was there before Interop,
// or that the host gave, can be sent back.
func (x *exchange) readInteropChange(q *updateUserRequest, f *faults) error {
	if x.h.opts.Interop == nil {
		return nil
	}
	c := &q.change
	if c.Roles != nil {
		if err := x.storedRoles(*c.Roles); err != nil {
			return err
		}
	}
	if c.Name != nil && c.UserName != nil && *c.Name == *c.UserName {
		c.Name = nil
	}
	named, looks := c.Name != nil, c.UserName != nil && looksShort(*c.UserName)
	if !named {
		c.Name = q.display
	}
	if !named && !looks {
		return nil
	}

	u, err := x.h.svc.User(x.asReader(), x.apiKey, x.ref)
	if errors.Is(err, users.ErrNotFound) { // nobody to change, as the Service says
		return nil
	}
	if err != nil {
		return err
	}
	if named && (*c.Name == u.UserName || q.display != nil && *q.display != u.Name) {
		c.Name = q.display
	}
	if looks && *c.UserName != u.UserName {
		f.add(errLooksShort)
	}
	return nil
}
