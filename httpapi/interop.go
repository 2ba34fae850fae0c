package httpapi

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

// Interop makes the handler answer the published clients of this API (for
// JavaScript, AngularJS and .NET) without a change to them. What it changes, and
// nothing else:
//
//   - Errors are application/json unless the client names application/problem+json
//     in Accept: */* is what these clients send, and that type alone they take apart.
//   - Ids are written as [users.ShortID] does, and read in that form and in their own.
//   - Links are absolute with Options.BaseURL, and otherwise relative to the
//     application ("users/…", without a slash before it), to which these clients add
//     them; those to roles name lookups/roles.
//   - A list in HAL has its items at "item" too, beside _embedded.
//   - displayName is a user's display name, and name is its user name: the .NET client
//     writes the one over the other. A name that is sent is a display name unless it is
//     the user name, the old one or the new.
//   - Pages of Origins may call across origins.
//   - POST login, with SignIn.
type Interop struct {
	// Origins are those of browser applications that may call with credentials, such as
	// "https://app.example.com", compared byte for byte (Fetch standard, CORS protocol).
	// Empty: none, and no header of that protocol is sent.
	Origins []string
	// SignIn makes a token for a user whose password was right. It answers POST
	// {apiKey}/login (and Login), a form with grant_type=password, username and password
	// (RFC 6749 section 4.3); Options.Admit of the Service limits who may try. Its error
	// is that of a hook, see [users.HookError]. nil: there is no such path.
	SignIn func(ctx context.Context, apiKey string, u users.User) (AccessToken, error)
}

// AccessToken is what a client gets for a password. It prints nothing of the token.
type AccessToken struct {
	Token     password.Secret
	ExpiresIn time.Duration // 0: not said
}

func (in *Interop) check() error {
	if in == nil {
		return nil
	}
	for _, o := range in.Origins {
		if err := checkOrigin(o); err != nil {
			return err
		}
	}
	return nil
}

func checkOrigin(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme+"://"+u.Host != s || u.Hostname() == "" || strings.ToLower(s) != s {
		return errors.New(`must be origins as browsers send them, like "https://app.example.com"`)
	}
	return nil
}

// interoperate does what comes before anything else.
func (x *exchange) interoperate() {
	if !strings.Contains(strings.ToLower(strings.Join(x.r.Header["Accept"], ",")), typeProblem) {
		x.problemType = typeJSON
	}
	x.cross()
}

// cross answers the CORS protocol.
func (x *exchange) cross() {
	in := x.h.opts.Interop
	if len(in.Origins) == 0 {
		return
	}
	head := x.w.Header()
	head.Add("Vary", "Origin")
	origins := x.r.Header["Origin"]
	if len(origins) != 1 || !slices.Contains(in.Origins, origins[0]) {
		return
	}

	head.Set("Access-Control-Allow-Origin", origins[0])
	head.Set("Access-Control-Allow-Credentials", "true")
	head.Set("Access-Control-Expose-Headers", "WWW-Authenticate, Location, ETag, Retry-After")
	if x.r.Method == http.MethodOptions {
		head.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE")
		head.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept, Idempotency-Key, If-Match")
		head.Set("Access-Control-Max-Age", "600")
	}
}

// isPreflight reports whether a browser asks on behalf of a page that may call: to one
// that is told anything but yes, the page's own request just seems to fail.
func (x *exchange) isPreflight() bool {
	return x.r.Method == http.MethodOptions && x.w.Header()["Access-Control-Allow-Origin"] != nil
}

// byRef runs do with the reference of the path. A short id stands for two ids, and can
// be a name as well: the first counts with which do finds what the caller may act on.
func (x *exchange) byRef(do func(ref string) error) error {
	if x.h.opts.Interop == nil {
		return do(x.ref)
	}
	var refused error
	for _, ref := range append(users.LongIDs(x.ref), x.ref) {
		err := do(ref)
		switch {
		case errors.Is(err, users.ErrForbidden):
			refused = cmp.Or(refused, err)
		case !errors.Is(err, users.ErrNotFound):
			return err
		}
	}
	return cmp.Or(refused, users.ErrNotFound)
}

// createDisplayName and updateDisplayName are the member that these clients know
// beside those of the contract. Never written to.
var (
	createDisplayName = members[createUserRequest]{
		alias("displayName", "name", func(d *jsonReader, q *createUserRequest) { d.optionalStr(&q.displayName) }),
	}
	updateDisplayName = members[updateUserRequest]{
		alias("displayName", "name", func(d *jsonReader, q *updateUserRequest) { d.optionalStr(&q.displayName) }),
	}
)

// understandNew puts what a client asks for into the words of the contract. A chosen id
// of zeros is none, in any length.
func (x *exchange) understandNew(q *createUserRequest) {
	p := &q.params
	if long := users.LongIDs(p.ID); long != nil && strings.Trim(p.ID, "0") != "" {
		p.ID = long[0]
	}
	x.longRoles(p.Roles)
	switch {
	case q.displayName != nil:
		p.Name = *q.displayName
	case p.Name == p.UserName:
		p.Name = ""
	}
}

// longIDs adds to ids those that they may stand for.
func (x *exchange) longIDs(ids []string) []string {
	if x.h.opts.Interop == nil {
		return ids
	}
	for _, id := range slices.Clone(ids) {
		ids = append(ids, users.LongIDs(id)...)
	}
	return ids
}

// longRoles puts the ids of refs into the form in which they are stored. Where there is
// a name beside a short one, the name counts.
func (x *exchange) longRoles(refs []users.RoleRef) {
	if x.h.opts.Interop == nil {
		return
	}
	for i, ref := range refs {
		long := users.LongIDs(ref.ID)
		switch {
		case long == nil:
		case ref.Name != "":
			refs[i].ID = ""
		default:
			refs[i].ID = long[0]
			if _, err := x.h.svc.Role(x.r.Context(), x.apiKey, users.RoleRef{ID: long[1]}); err == nil {
				refs[i].ID = long[1]
			}
		}
	}
}

// displayName returns the display name that a change of the user asks for; nil: none.
func (x *exchange) displayName(ref string, q *updateUserRequest) *string {
	switch {
	case x.h.opts.Interop == nil:
		return q.Name
	case q.displayName != nil:
		return q.displayName
	case q.Name == nil, q.UserName != nil && *q.UserName == *q.Name:
		return nil
	}
	if u, err := x.h.svc.User(x.r.Context(), x.apiKey, ref); err == nil && u.UserName == *q.Name {
		return nil
	}
	return q.Name
}

// translated puts an answer into the words of these clients.
func (x *exchange) translated(a answer) answer {
	if a.location != "" {
		a.location = x.location(a.location)
	}
	if a.body != nil {
		a.body = x.translate(a.body)
	}
	return a
}

func (x *exchange) translate(body any) any {
	raw, err := json.Marshal(body)
	var words any
	if err := errors.Join(err, json.Unmarshal(raw, &words)); err != nil {
		panic(err) // a 500 as of send
	}
	x.translateIn(words)
	if list, ok := words.(map[string]any); ok {
		if embedded, ok := list["_embedded"].(map[string]any); ok && embedded["item"] != nil {
			list["item"] = embedded["item"]
		}
	}
	return words
}

// translateIn changes ids, links and names at any depth: no answer holds JSON of a
// user's own.
func (x *exchange) translateIn(v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			x.translateIn(e)
		}
	case map[string]any:
		for name, e := range v {
			s, isString := e.(string)
			switch {
			case isString && name == "id":
				v[name] = users.ShortID(s)
			case isString && name == "href":
				v[name] = x.clientLink(s)
			default:
				x.translateIn(e)
			}
		}
	}
}

// clientLink returns a link into the application as these clients take it.
func (x *exchange) clientLink(href string) string {
	below, ok := strings.CutPrefix(href, x.base+"/")
	if !ok {
		return href
	}
	if below = shortPath(below); x.h.opts.BaseURL == "" {
		return below
	}
	return x.base + "/" + below
}

// location is a clientLink that is never relative: it is no part of what these clients
// add to the address of the application.
func (x *exchange) location(href string) string {
	return x.base + "/" + shortPath(strings.TrimPrefix(href, x.base+"/"))
}

// shortPath returns a path below an application with a short id, and roles where these
// clients look for them.
func shortPath(below string) string {
	path, query, _ := strings.Cut(below, "?")
	segs := strings.Split(path, "/")
	if len(segs) > 1 {
		segs[1] = users.ShortID(segs[1])
	}
	if segs[0] == "roles" {
		segs[0] = "lookups/roles"
	}
	return strings.Join(segs, "/") + below[len(path):len(below)-len(query)] + query
}

// withDisplayName tells the two names of a user apart in the members that are shown.
func withDisplayName(shown map[string]jsontext.Value, userName string) {
	if name, ok := shown["name"]; ok {
		shown["displayName"] = name
	}
	shown["name"], _ = jsontext.AppendQuote(nil, userName) // no error: it is UTF-8
}

// maxForm is how long the body of a login may be, in bytes.
const maxForm = 8 << 10

// login answers POST login (RFC 6749 sections 4.3, 5.1 and 5.2). Credentials beside the
// form are not looked at: a client whose token has ended sends that too.
func (x *exchange) login() (answer, error) {
	x.form = users.Plain
	form, err := x.readForm()
	switch {
	case err != nil:
		return answer{}, err
	case len(form["grant_type"]) != 1, len(form["username"]) != 1, len(form["password"]) != 1:
		return refuseGrant("invalid_request", "grant_type, username and password must each be given once")
	case form.Get("grant_type") != "password":
		return refuseGrant("unsupported_grant_type", "grant_type must be password")
	}

	u, err := x.h.svc.Authenticate(x.r.Context(), x.apiKey, form.Get("username"), password.New(form.Get("password")))
	switch {
	case errors.Is(err, users.ErrBadCredentials):
		return refuseGrant("invalid_grant", "the user name or the password is wrong, or there were too many failures")
	case errors.Is(err, users.ErrLockedOut):
		return refuseGrant("invalid_grant", "the user is locked out")
	case errors.Is(err, users.ErrNotApproved):
		return refuseGrant("invalid_grant", "the user is not approved")
	case err != nil:
		return answer{}, err
	}

	token, err := x.h.opts.Interop.SignIn(x.r.Context(), x.apiKey, *u)
	if err != nil {
		return answer{}, &users.HookError{Hook: "SignIn", Err: err}
	}
	return answer{status: http.StatusCreated, body: tokenAnswer{token.Token.Reveal(), "bearer", int64(token.ExpiresIn / time.Second)}}, nil
}

type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in,omitzero"` // seconds
}

// grantError is a refusal of login, with the members of a problem that clients read.
type grantError struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
	Message     string `json:"message"`
	ErrorCode   int    `json:"errorCode"`
	StatusCode  int    `json:"statusCode"`
}

func refuseGrant(code, description string) (answer, error) {
	const status = http.StatusBadRequest
	return answer{status: status, body: grantError{code, description, description, status, status}}, nil
}

// readForm reads the form of a login.
func (x *exchange) readForm() (url.Values, error) {
	types := x.r.Header["Content-Type"]
	name, _, _ := strings.Cut(strings.Join(types, ","), ";")
	if !strings.EqualFold(strings.TrimSpace(name), typeForm) {
		x.w.Header().Set("Accept", typeForm)
		return nil, errFormType
	}
	if x.r.Body == nil {
		return nil, nil
	}

	x.asked, x.drained = true, true
	b, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, maxForm))
	defer clear(b)
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		x.drained = false
		return nil, invalid("", "too_long", "the form must be at most "+strconv.Itoa(maxForm)+" bytes")
	}
	form, bad := url.ParseQuery(string(b))
	if err := errors.Join(err, bad); err != nil {
		return nil, invalid("", "unreadable_body", "the body is no form, or could not be read to its end")
	}
	return form, nil
}
