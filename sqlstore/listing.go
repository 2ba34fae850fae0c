package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/gousers/users"
)

// ListUsers implements [users.UserLister]. It finds the ids of the page first, in an
// index where there is one for the order, and then their rows: MySQL would read every
// row that OFFSET passes over, and the others would sort whole rows. All that is one
// snapshot.
func (b *backend) ListUsers(ctx context.Context, q users.UserListing) (list users.UserList, err error) {
	err = b.retry(ctx, func(int) error {
		return b.snapshot(ctx, func(r runner) error {
			list, err = r.listUsers(ctx, q)
			return err
		})
	})
	if err != nil {
		return users.UserList{}, err
	}
	return list, nil
}

func (r runner) listUsers(ctx context.Context, q users.UserListing) (list users.UserList, err error) {
	list.Users = []users.UserRecord{}
	if q.RoleIDs != nil {
		if q.RoleIDs, err = r.existing(ctx, q.ApplicationID, q.RoleIDs); err != nil {
			return list, err
		}
	}
	if q.IDs != nil && len(q.IDs) == 0 || q.RoleIDs != nil && len(q.RoleIDs) == 0 {
		return list, nil // nobody matches
	}

	l := r.b.listing(&q)
	ids, counted, err := r.page(ctx, l, &q)
	switch {
	case err != nil || !q.Count:
	case counted >= 0:
		list.Total = counted
	case len(ids) < q.Limit && (len(ids) > 0 || q.Offset == 0): // the last page
		list.Total = int64(q.Offset + len(ids))
	default:
		list.Total, err = r.number(ctx, l.count(r.b), l.args...)
	}
	if err != nil {
		return list, err
	}

	list.Users, err = r.usersInOrder(ctx, q.ApplicationID, ids)
	return list, err
}

const existingRoles = `SELECT id FROM {roles} WHERE application_id = ? AND id IN `

// existing returns those of the roles that exist: a deleted one has links until they
// are purged. It is no join: with one MySQL reads every user of a role that many have.
func (r runner) existing(ctx context.Context, applicationID string, roles []string) ([]string, error) {
	found := []string{}
	for part := range slices.Chunk(roles, maxList) {
		some, err := r.strings(ctx, r.b.listText(existingRoles+`(`+params(len(part))+`)`, len(part)),
			appendStrings([]any{applicationID}, part)...)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	return found, nil
}

// page returns the ids of a page, and how many users match where the same statement
// counted them; -1 otherwise.
func (r runner) page(ctx context.Context, l listing, q *users.UserListing) (ids []string, counted int64, err error) {
	counted = -1
	err = r.query(ctx, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id, &counted)
		ids = append(ids, id)
		return err
	}, l.page(r.b), append(slices.Clone(l.args), q.Limit, q.Offset)...)
	return ids, counted, err
}

// usersInOrder returns the users with these ids, in their order.
func (r runner) usersInOrder(ctx context.Context, applicationID string, ids []string) ([]users.UserRecord, error) {
	found, err := r.users(ctx, r.b.byKeys(selectUsers, applicationID, keys{"id", ids}), scanUser)
	if err != nil {
		return nil, err
	}
	if err := r.addRoles(ctx, applicationID, found); err != nil {
		return nil, err
	}

	place := make(map[string]int, len(ids))
	for i, id := range ids {
		place[id] = i
	}
	slices.SortFunc(found, func(x, y users.UserRecord) int { return cmp.Compare(place[x.ID], place[y.ID]) })
	return found, nil
}

// listing is what the statements of one [users.UserListing] are made of. Of what can be
// asked for there is no end: only the texts of the plain pages are kept.
type listing struct {
	where   string
	args    []any
	columns string // of the order
	order   string
	hint    string // of MySQL's, to the index that the page is read from
	phrase  bool   // a part of a key is looked for, which no index serves
	plain   bool   // a page of all users, in the order of an index
}

// listing renders q, but for the page.
func (b *backend) listing(q *users.UserListing) listing {
	l := listing{
		order:  orderOf(q.Order),
		phrase: q.Phrase != "",
		plain: q.IDs == nil && q.RoleIDs == nil && q.IsApproved == nil && q.IsLockedOut == nil && q.Phrase == "" &&
			(len(q.Order) == 0 || len(q.Order) == 1 && q.Order[0].By.Flat()),
	}
	for _, o := range q.Order {
		if o.By != users.ByID {
			l.columns += `, ` + orderColumn(o.By)
		}
	}

	l.and(`application_id = ?`, q.ApplicationID)
	if q.IDs != nil {
		l.and(`id IN (`+params(len(q.IDs))+`)`, appendStrings(nil, q.IDs)...)
	}
	if q.RoleIDs != nil {
		l.and(`id IN (SELECT user_id FROM {user_roles} WHERE application_id = ? AND role_id IN (`+params(len(q.RoleIDs))+`))`,
			appendStrings([]any{q.ApplicationID}, q.RoleIDs)...)
	}
	l.standing(b.Dialect, q)
	l.contains(b.Dialect, q.Phrase)
	l.after(q)
	return l
}

// and adds a condition.
func (l *listing) and(condition string, args ...any) {
	if l.where != "" {
		l.where += ` AND `
	}
	l.where += condition
	l.args = append(l.args, args...)
}

// standing adds the conditions on the status. Few are not approved, or locked: of
// these there is an index, to which a redundant condition leads. MySQL would rather go by
// that of another order, and read the row of every user until a page is full.
func (l *listing) standing(d Dialect, q *users.UserListing) {
	isApproved, isLockedOut := q.IsApproved, q.IsLockedOut
	locked := isLockedOut != nil && *isLockedOut
	few := locked || isApproved != nil && !*isApproved
	switch {
	case d == MySQL && locked && isApproved == nil:
		l.and(`is_approved IN (TRUE, FALSE)`)
	case d != MySQL && few:
		l.and(`(NOT is_approved OR is_locked_out)`)
	}
	if d == MySQL && few && q.IDs == nil && q.RoleIDs == nil && len(q.Order) > 0 && q.Order[0].By != users.ByID {
		l.hint = `{locking users_standing}`
	}
	if isApproved != nil {
		l.and(`is_approved = ?`, *isApproved)
	}
	if isLockedOut != nil {
		l.and(`is_locked_out = ?`, *isLockedOut)
	}
}

// contains adds the condition that a key contains the phrase, byte for byte.
// PostgreSQL gets a LIKE, which a trigram index of the host's can serve.
func (l *listing) contains(d Dialect, phrase string) {
	if phrase == "" {
		return
	}
	test := `instr(name_key, ?) > 0 OR instr(email_key, ?) > 0 OR instr(display_key, ?) > 0`
	if d == Postgres {
		test = `name_key LIKE ? ESCAPE '!' OR email_key LIKE ? ESCAPE '!' OR display_key LIKE ? ESCAPE '!'`
		phrase = `%` + strings.NewReplacer(`!`, `!!`, `%`, `!%`, `_`, `!_`).Replace(phrase) + `%`
	}
	if d == MySQL {
		l.hint = ` FORCE INDEX (PRIMARY)` // see page
	}
	l.and(`(`+test+`)`, phrase, phrase, phrase)
}

// after adds the condition that a user comes behind q.After.
func (l *listing) after(q *users.UserListing) {
	a := q.After
	if a == nil {
		return
	}
	by, behind := users.Order{By: users.ByID}, ` > ?`
	if len(q.Order) > 0 {
		by = q.Order[0]
	}
	if by.Desc {
		behind = ` < ?`
	}

	switch column := orderColumn(by.By); by.By {
	case users.ByUserName:
		l.and(column+behind, a.NameKey)
	case users.ByEmail:
		l.and(column+behind, a.EmailKey)
	case users.ByDateCreated:
		// Not a comparison of rows, which MySQL answers without the index.
		at := a.DateCreated.UnixMicro()
		l.and(column+strings.Replace(behind, ` ?`, `= ?`, 1)+` AND (`+column+behind+` OR id`+behind+`)`, at, at, a.ID)
	default:
		l.and(column+behind, a.ID)
	}
}

// orderColumn is the column that holds what a member is ordered by.
func orderColumn(m users.Member) string {
	switch m {
	case users.ByUserName:
		return "name_key"
	case users.ByEmail:
		return "email_key"
	case users.ByDateCreated:
		return "date_created"
	case users.ByName:
		return "display_key"
	case users.ByCreationDate:
		return "creation_date"
	case users.ByDateUpdated:
		return "date_updated"
	case users.ByIsApproved:
		return "is_approved"
	case users.ByIsLockedOut:
		return "is_locked_out"
	}
	return "id"
}

// orderOf renders an order. What would follow a unique member decides nothing, and
// makes MySQL sort what its index has in order.
func orderOf(order []users.Order) string {
	var terms []string
	for _, o := range order {
		terms = append(terms, orderColumn(o.By)+direction(o))
		if o.By.Unique() {
			return strings.Join(terms, `, `)
		}
	}
	if len(order) == 0 {
		return `id`
	}
	return strings.Join(append(terms, `id`+direction(order[0])), `, `)
}

func direction(o users.Order) string {
	if o.Desc {
		return ` DESC`
	}
	return ``
}

// page is the statement that selects the ids of a page. For a phrase every user is
// looked at: in the order of an index, as a LIMIT suggests, most rows would be read on
// their own until a page is full. Where that look can count too, it does: count(*)
// OVER () would not prevent it on PostgreSQL, and would have MySQL write all that match
// to a temporary table, which costs more than a second look when many do.
func (l *listing) page(b *backend) string {
	const limit = ` LIMIT ? OFFSET ?`
	order := ` ORDER BY ` + l.order + limit
	switch {
	case l.plain:
		return b.text(`SELECT id, -1 FROM {users} WHERE ` + l.where + order)
	case !l.phrase, b.Dialect == MySQL:
		return b.render(`SELECT id, -1 FROM {users}` + l.hint + ` WHERE ` + l.where + order)
	}
	return b.render(`WITH matching AS MATERIALIZED (SELECT id` + l.columns + ` FROM {users} WHERE ` + l.where + `)
		SELECT id, (SELECT count(*) FROM matching) FROM matching` + order)
}

// count is the statement that counts the users that match. MySQL would count all users
// of an application in its widest index, which holds the rows.
func (l *listing) count(b *backend) string {
	if l.plain {
		return b.text(`SELECT count(*) FROM {users}{locking users_created} WHERE ` + l.where)
	}
	return b.render(`SELECT count(*) FROM {users} WHERE ` + l.where)
}
