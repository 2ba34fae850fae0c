package users

import "context"

// UserLister is the capability of a [Store] to search and page users.
type UserLister interface {
	// ListUsers returns the users of q.ApplicationID that match all of q, in its
	// order. One call sees one state; a user that changes between two calls may be on
	// two pages or on none.
	ListUsers(ctx context.Context, q UserListing) (UserList, error)
}

// UserListing selects a page of the users of one application.
type UserListing struct {
	ApplicationID string
	UserMatch
	// Order has at most MaxOrder members, each once; empty: by ID. Strings are
	// compared by the bytes of their keys (ID, NameKey, EmailKey, DisplayKey), and
	// false comes before true. What is equal follows in order of ID, in the direction
	// of the first member.
	Order []Order
	// After is the last user of the page before; nil: from the start. Of it the member
	// of Order and the ID count, whether it still exists or not, and where the
	// member is unique that alone. With After, Order has at most one member, and that is
	// Flat.
	After *UserRecord
	// Offset is how many users are skipped, 0 or more; Limit is how many are returned
	// at most, 1 to MaxPage + 1.
	Offset, Limit int
	// Count asks for Total. Not together with After.
	Count bool
}

// UserMatch says which users match. Nil and empty members do not restrict, but an
// empty IDs or RoleIDs that is not nil matches nobody.
type UserMatch struct {
	// Phrase matches users whose NameKey, EmailKey or DisplayKey contains it, byte
	// for byte: no character stands for others. At most MaxPhrase characters, and as
	// they grow when their case is folded.
	Phrase string
	// IDs and RoleIDs match users that have one of these. At most MaxPage each.
	IDs, RoleIDs            []string
	IsApproved, IsLockedOut *bool
}

// UserList is a page of users as they are stored.
type UserList struct {
	Users []UserRecord
	Total int64 // of the users that match, on whatever page; 0 without Count
}

// Member is a member of a user or a role by which a list can be ordered.
type Member string

// The members of a user. Those of a role are ByID, ByName, ByDateCreated and
// ByDateUpdated.
const (
	ByID           Member = "id"
	ByUserName     Member = "userName"
	ByEmail        Member = "email"
	ByDateCreated  Member = "dateCreated"
	ByName         Member = "name"
	ByCreationDate Member = "creationDate"
	ByDateUpdated  Member = "dateUpdated"
	ByIsApproved   Member = "isApproved"
	ByIsLockedOut  Member = "isLockedOut"
)

// Flat reports whether a page of users in the order of m costs the same however
// many there are: id, userName, email and dateCreated. For other orders a store looks
// at every user that matches.
func (m Member) Flat() bool { return m.Unique() || m == ByDateCreated }

// Unique reports whether no two users of an application have the same value: id,
// userName and email.
func (m Member) Unique() bool { return m == ByID || m == ByUserName || m == ByEmail }

// Order is one member of an order.
type Order struct {
	By   Member
	Desc bool
}
