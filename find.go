package users

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of finding.
const (
	DefaultFoundPage = 10      // FindUsersParams.Limit and FindRolesParams.Limit where they are 0
	MaxOffset        = 100_000 // users before a numbered page; what is further on takes After
	MaxOrder         = 4       // members of an order
	MaxPhrase        = 256     // characters
)

// User returns the user whose id, user name or e-mail address is ref. It needs
// ReadUsers. A caller without that may read itself (Caller.UserID) and, with CreateUsers,
// by id the users that it created; anything else is ErrForbidden to it, whether it exists
// or not.
func (s *Service) User(ctx context.Context, apiKey, ref string) (*User, error) {
	app, c, err := s.authorize(ctx, apiKey, 0)
	if err != nil {
		return nil, err
	}
	if c.may(ReadUsers) {
		rec, err := s.resolve(ctx, app, ref)
		if err != nil {
			return nil, err
		}
		return answer(rec.User), nil
	}

	_, isID := parseID(ref)
	creates := isID && c.may(CreateUsers) && c.ID != ""
	if !creates && c.UserID == "" {
		return nil, &ForbiddenError{}
	}
	rec, err := s.resolve(ctx, app, ref)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && !c.is(rec.ID) && (!creates || rec.CreatedBy != c.ID):
		return nil, &ForbiddenError{}
	case err != nil:
		return nil, err
	}
	return answer(rec.User), nil
}

// Exists reports whether there is a user whose id, user name or e-mail address is
// ref. It needs ReadUsers.
func (s *Service) Exists(ctx context.Context, apiKey, ref string) (bool, error) {
	app, _, err := s.authorize(ctx, apiKey, ReadUsers)
	if err != nil {
		return false, err
	}
	_, err = s.resolve(ctx, app, ref)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// UserFilter restricts a list of users; what is given must all match.
type UserFilter struct {
	// Phrase is looked for in user names, e-mail addresses and display names, without
	// regard to case; at most MaxPhrase characters. A store looks at every user of the
	// application for it.
	Phrase string
	// IDs: one of these. Roles: a role that one of these names; those that do not exist
	// match nobody. At most MaxPage of each. Nil: any.
	IDs   []string
	Roles []RoleRef

	IsApproved, IsLockedOut *bool
}

// FindUsersParams asks for one page of users, by its number or by what came before.
type FindUsersParams struct {
	UserFilter
	// Order has at most MaxOrder members; empty: by ID. What is equal follows in order
	// of ID.
	Order []Order
	// Page is the number of the page, from 1; then all users that match are counted,
	// which takes longer the more there are. 0: the page after After, and nothing is
	// counted.
	Page int
	// After is the UserPage.Next of the page before; empty: from the start. It takes an
	// Order of one Flat member, or of none; such a page costs the same at any depth.
	After string
	// Limit is the most users on the page, up to MaxPage; 0: DefaultFoundPage.
	Limit int
}

// UserPage is a page of users.
type UserPage struct {
	Users       []User // never nil
	Page, Limit int    // as they were asked for
	Total       int64  // users on all pages; 0 where Page is 0
	// Next is the After of the next page; empty on the last one, and where Page is not 0.
	// It is no secret, but holds a user name or an address if the page is in that order.
	Next string
}

// FindUsers returns the users that match, a page at a time. It needs ReadUsers. A
// page behind the last one is empty. A filter, an order or a page that makes no sense
// is a *ValidationError whose pointers name members of the query that package httpapi
// takes: "/searchQuery", "/userIds", "/roleIds", "/sort", "/page", "/after", "/rpp".
func (s *Service) FindUsers(ctx context.Context, apiKey string, p FindUsersParams) (*UserPage, error) {
	q, err := s.listing(ctx, apiKey, &p)
	if err != nil {
		return nil, err
	}
	if err := s.narrow(ctx, &q, p.UserFilter); err != nil {
		return nil, err
	}

	limit := q.Limit
	if p.Page == 0 {
		q.Limit++ // to learn whether there is a next page
	}
	list, err := s.lister.ListUsers(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("users: find users: %w", err)
	}
	found, next := cut(list.Users, Page{Limit: limit}, func(r UserRecord) string { return cursor(q.Order, &r) })
	page := &UserPage{Users: make([]User, len(found)), Page: p.Page, Limit: limit, Total: list.Total, Next: next}
	for i, r := range found {
		page.Users[i] = *answer(r.User)
	}
	return page, nil
}

// CheckFindUsers reports what FindUsers would refuse in p: a *ValidationError or what
// comes before it. It looks for nobody.
func (s *Service) CheckFindUsers(ctx context.Context, apiKey string, p FindUsersParams) error {
	_, err := s.listing(ctx, apiKey, &p)
	return err
}

// EachUser returns every user that matches, in order of ID. It reads MaxPage of them
// at a time: users that come or go meanwhile may be among them or not. An error is the
// last element. It needs ReadUsers.
func (s *Service) EachUser(ctx context.Context, apiKey string, f UserFilter) iter.Seq2[User, error] {
	return func(yield func(User, error) bool) {
		for p := (FindUsersParams{UserFilter: f, Limit: MaxPage}); ; {
			page, err := s.FindUsers(ctx, apiKey, p)
			if err != nil {
				yield(User{}, err)
				return
			}
			for _, u := range page.Users {
				if !yield(u, nil) {
					return
				}
			}
			if p.After = page.Next; p.After == "" {
				return
			}
		}
	}
}

// listing authorizes and checks p and makes of it what a store understands, but for
// what narrow adds.
func (s *Service) listing(ctx context.Context, apiKey string, p *FindUsersParams) (UserListing, error) {
	app, _, err := s.authorize(ctx, apiKey, ReadUsers)
	if err != nil {
		return UserListing{}, err
	}
	if s.lister == nil {
		return UserListing{}, lacks("UserLister")
	}

	q := UserListing{
		ApplicationID: app.ID,
		UserMatch:     UserMatch{IsApproved: p.IsApproved, IsLockedOut: p.IsLockedOut},
		Order:         p.Order,
		Limit:         cmp.Or(p.Limit, DefaultFoundPage),
	}
	var f faults
	q.Phrase = phraseKey(&f, p.Phrase)
	checkOrder(&f, p.Order, userOrders)
	q.Offset, q.Count = checkPage(&f, p.Page, q.Limit), p.Page > 0
	if p.Page == 0 {
		q.After = checkAfter(&f, p.Order, p.After)
	} else if p.After != "" {
		f.add(FieldError{Pointer: "/after", Code: "excluded", Detail: "must be absent where page is given"})
	}
	checkCount(&f, "/userIds", len(p.IDs))
	checkCount(&f, "/roleIds", len(p.Roles))
	if err := f.err(); err != nil {
		return UserListing{}, err
	}
	return q, nil
}

// narrow restricts q to the ids and the roles of f.
func (s *Service) narrow(ctx context.Context, q *UserListing, f UserFilter) error {
	if f.IDs != nil {
		q.IDs = []string{} // what is no id matches nobody
		for _, id := range f.IDs {
			if id, ok := parseID(id); ok {
				q.IDs = append(q.IDs, id)
			}
		}
	}
	if f.Roles == nil {
		return nil
	}

	var g grant
	for _, ref := range f.Roles {
		if ref, err := canonicalRef(ref); err == nil && ref != (RoleRef{}) { // which would name every role
			g.refs = append(g.refs, ref)
		}
	}
	roles, err := s.findRoles(ctx, g.query(Application{ID: q.ApplicationID}))
	if err != nil {
		return err
	}
	q.RoleIDs = []string{}
	for _, r := range roles {
		if g.covers(r) {
			q.RoleIDs = append(q.RoleIDs, r.ID)
		}
	}
	return nil
}

// userOrders are the members that users can be ordered by. Never written to.
var userOrders = []Member{
	ByID, ByUserName, ByEmail, ByDateCreated, ByName, ByCreationDate, ByDateUpdated, ByIsApproved, ByIsLockedOut,
}

// phraseKey returns the form of a phrase in which it is looked for; "" for none.
func phraseKey(f *faults, phrase string) string {
	switch {
	case !printable(phrase):
		f.add(FieldError{Pointer: "/searchQuery", Code: "invalid_characters", Detail: "must be UTF-8 without control characters"})
	case utf8.RuneCountInString(phrase) > MaxPhrase:
		f.addErr("/searchQuery", tooLong(MaxPhrase, "characters"))
	}
	return displayKey(strings.TrimSpace(phrase))
}

func checkOrder(f *faults, order []Order, known []Member) {
	if len(order) > MaxOrder {
		f.add(FieldError{Pointer: "/sort", Code: "too_many", Detail: fmt.Sprintf("must be at most %d members", MaxOrder), Limit: MaxOrder})
		return
	}
	for i, o := range order {
		twice := slices.ContainsFunc(order[:i], func(before Order) bool { return before.By == o.By })
		if twice || !slices.Contains(known, o.By) {
			f.add(FieldError{Pointer: "/sort", Code: "unknown_member", Detail: fmt.Sprintf("must be some of %s, each once", memberNames(known))})
		}
	}
}

func memberNames(members []Member) string {
	names := make([]string, len(members))
	for i, m := range members {
		names[i] = string(m)
	}
	return strings.Join(names, ", ")
}

// checkPage judges the number and the size of a page and returns how many elements
// are before it.
func checkPage(f *faults, page, limit int) (offset int) {
	if limit < 1 || limit > MaxPage {
		f.add(FieldError{Pointer: "/rpp", Code: "invalid_limit", Detail: fmt.Sprintf("must be between 1 and %d", MaxPage), Limit: MaxPage})
		return 0
	}
	switch {
	case page < 0:
		f.add(FieldError{Pointer: "/page", Code: "invalid_page", Detail: "must be 1 or more"})
	case page > 1+MaxOffset/limit:
		f.add(FieldError{
			Pointer: "/page", Code: "too_deep", Limit: MaxOffset,
			Detail: fmt.Sprintf("must begin within the first %d; go further with after", MaxOffset),
		})
	case page > 0:
		return (page - 1) * limit
	}
	return 0
}

func checkCount(f *faults, pointer string, n int) {
	if n > MaxPage {
		f.add(FieldError{Pointer: pointer, Code: "too_many", Detail: fmt.Sprintf("must be at most %d", MaxPage), Limit: MaxPage})
	}
}

// checkAfter judges a page without a number, and reads its cursor.
func checkAfter(f *faults, order []Order, after string) *UserRecord {
	if len(order) > 1 || len(order) == 1 && !order[0].By.Flat() {
		f.add(FieldError{Pointer: "/sort", Code: "not_flat", Detail: "must be id, userName, email or dateCreated alone where no page is given"})
		return nil
	}
	if after == "" {
		return nil
	}
	last, ok := fromCursor(order, after)
	if !ok {
		f.add(FieldError{Pointer: "/after", Code: "invalid_after", Detail: "must be taken from the page before, in the same order"})
	}
	return last
}

// position is what a cursor holds: the value of the member that orders, and the id.
// It is a value and no reference: that a user was deleted meanwhile does no harm.
type position struct {
	By   Member `json:"b"`
	Key  string `json:"k,omitempty"`
	Time int64  `json:"t,omitempty"` // microseconds since 1970
	ID   string `json:"i"`
}

// orderedBy is the one member of an order without a numbered page.
func orderedBy(order []Order) Member {
	if len(order) == 0 {
		return ByID
	}
	return order[0].By
}

// cursor names the place behind r. It is neither secret nor signed: it is a place in
// a list all of which its bearer may read.
func cursor(order []Order, r *UserRecord) string {
	p := position{By: orderedBy(order), ID: r.ID}
	switch p.By {
	case ByUserName:
		p.Key = r.NameKey
	case ByEmail:
		p.Key = r.EmailKey
	case ByDateCreated:
		p.Time = r.DateCreated.UnixMicro()
	}
	b, _ := json.Marshal(p) // no error: strings and a number
	return base64.RawURLEncoding.EncodeToString(b)
}

func fromCursor(order []Order, s string) (*UserRecord, bool) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	var p position
	if err != nil || len(b) > 4096 || json.Unmarshal(b, &p) != nil || p.By != orderedBy(order) || !printable(p.Key) {
		return nil, false
	}
	id, ok := parseID(p.ID)
	at := time.UnixMicro(p.Time).UTC()
	if !ok || at.Year() < 1 || at.Year() > 9999 {
		return nil, false
	}
	return &UserRecord{User: User{ID: id, DateCreated: at}, NameKey: p.Key, EmailKey: p.Key}, true
}

// resolve finds the user whose id, user name or e-mail address is ref.
func (s *Service) resolve(ctx context.Context, app Application, ref string) (UserRecord, error) {
	q := UserQuery{ApplicationID: app.ID}
	if id, ok := parseID(ref); ok {
		q.IDs = []string{id}
	} else if key, err := loginKey(ref); err == nil {
		q.NameKeys, q.EmailKeys = []string{key}, []string{key}
	}
	found, err := s.findUsers(ctx, q)
	if err != nil {
		return UserRecord{}, err
	}
	if len(found) == 0 {
		return UserRecord{}, ErrNotFound
	}
	return found[0], nil
}

func (s *Service) findUsers(ctx context.Context, q UserQuery) ([]UserRecord, error) {
	recs, err := s.store.FindUsers(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("users: find user: %w", err)
	}
	return recs, nil
}

// loginKey is the key under which a name or an address is found. Not every
// address can be a name. A name that is an address is its user's own, so that no two
// users have one key between them.
func loginKey(login string) (string, error) {
	if key, err := userNameKey(login); err == nil {
		return key, nil
	}
	return emailKey(login)
}

// answer returns u in the form that callers get: roles never nil.
func answer(u User) *User {
	if u.Roles == nil {
		u.Roles = []Role{}
	}
	return &u
}
