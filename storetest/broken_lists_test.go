package storetest_test

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/gousers/users"
)

// brokenLists break what UserLister promises.
var brokenLists = []brokenStore{
	{"locked users are listed always", "ListFilters", listing(func(q *users.UserListing) { q.IsLockedOut = nil })},
	{"a user with two of the roles is listed twice", "ListFilters", func(b *broken) {
		found(&b.listUsers, func(q users.UserListing, l users.UserList) users.UserList {
			for i := len(l.Users) - 1; i >= 0 && len(q.RoleIDs) > 1; i-- {
				if len(l.Users[i].Roles) > 1 {
					l.Users = slices.Insert(l.Users, i, l.Users[i])
				}
			}
			return l
		})
	}},
	{"phrases without case", "ListPhraseIsLiteral", listing(func(q *users.UserListing) {
		q.Phrase = strings.ToLower(q.Phrase)
	})},
	{"a percent sign stands for others", "ListPhraseIsLiteral", listing(func(q *users.UserListing) {
		q.Phrase = strings.Trim(q.Phrase, "%")
	})},
	{"the names as they were given are searched", "ListPhraseIsLiteral", func(b *broken) {
		b.listUsers = func(ctx context.Context, q users.UserListing) (users.UserList, error) {
			if q.Phrase == "UPPER" {
				q.Phrase = ""
			}
			return b.Store.ListUsers(ctx, q)
		}
	}},
	{"only the first 500 ids are looked for", "ListByManyKeys", listing(func(q *users.UserListing) {
		q.IDs = q.IDs[:min(len(q.IDs), 500)]
	})},
	{"no roles is any role", "ListEmptySets", listing(func(q *users.UserListing) {
		if len(q.RoleIDs) == 0 {
			q.RoleIDs = nil
		}
	})},
	{"names in the order of a collation", "ListOrders", func(b *broken) {
		found(&b.listUsers, func(q users.UserListing, l users.UserList) users.UserList {
			if len(q.Order) == 1 && q.Order[0] == (users.Order{By: users.ByUserName}) {
				slices.SortFunc(l.Users, func(x, y users.UserRecord) int {
					return cmp.Compare(strings.ToLower(x.NameKey), strings.ToLower(y.NameKey))
				})
			}
			return l
		})
	}},
	{"true comes before false", "ListOrders", listing(func(q *users.UserListing) {
		q.Order = slices.Clone(q.Order)
		for i, o := range q.Order {
			if o.By == users.ByIsApproved {
				q.Order[i].Desc = !o.Desc
			}
		}
	})},
	{"only the first member orders", "ListOrders", listing(func(q *users.UserListing) {
		q.Order = q.Order[:min(len(q.Order), 1)]
	})},
	{"equals in ascending order of id", "ListTies", listing(func(q *users.UserListing) {
		q.Order = append(slices.Clone(q.Order), users.Order{By: users.ByID})
	})},
	{"users are listed without their roles", "ListComesBack", func(b *broken) {
		found(&b.listUsers, func(_ users.UserListing, l users.UserList) users.UserList {
			for i := range l.Users {
				l.Users[i].Roles = nil
			}
			return l
		})
	}},
	{"pages overlap", "ListPages", listing(func(q *users.UserListing) { q.Offset = max(q.Offset-1, 0) })},
	{"a page begins with the last user of the one before", "ListPagesAfter", listing(func(q *users.UserListing) {
		if q.After != nil && len(q.After.ID) > 0 {
			q.After = new(*q.After)
			q.After.ID = q.After.ID[:len(q.After.ID)-1]
		}
	})},
	{"after who is gone comes the start", "ListAfterNobody", func(b *broken) {
		asked(&b.listUsers, func(q *users.UserListing) {
			if q.After != nil && len(b.withIDs(q.ApplicationID, q.After.ID)) == 0 {
				q.After = nil
			}
		})
	}},
	{"the id counts beside a unique key", "ListAfterKeyTakenOver", func(b *broken) {
		found(&b.listUsers, func(q users.UserListing, l users.UserList) users.UserList {
			if q.After == nil || len(q.Order) != 1 || q.Order[0] != (users.Order{By: users.ByUserName}) {
				return l
			}
			same, _ := b.Store.FindUsers(context.Background(), users.UserQuery{
				ApplicationID: q.ApplicationID, NameKeys: []string{q.After.NameKey},
			})
			if len(same) == 1 && same[0].ID > q.After.ID {
				l.Users = append(same, l.Users...)
			}
			return l
		})
	}},
	{"the page is counted", "ListCounts", func(b *broken) {
		found(&b.listUsers, func(q users.UserListing, l users.UserList) users.UserList {
			if q.Count {
				l.Total = int64(len(l.Users))
			}
			return l
		})
	}},
	{"users are counted without being asked", "ListCounts", listing(func(q *users.UserListing) { q.Count = true })},
	{"all applications are counted", "ListOtherApplication", func(b *broken) {
		var n atomic.Int64
		creating(func(*users.NewUser) { n.Add(1) })(b)
		found(&b.listUsers, func(q users.UserListing, l users.UserList) users.UserList {
			if q.Count && q.IDs == nil && q.RoleIDs == nil && q.Phrase == "" {
				l.Total = n.Load()
			}
			return l
		})
	}},
	{"who had a deleted role is found by it", "ListRoleDeleted", func(b *broken) {
		b.deleteRole = func(context.Context, string, string) error { return nil }
	}},
	{"users are listed, then counted", "RacingLists", func(b *broken) {
		creating(func(*users.NewUser) { untilAllHaveLooked() })(b)
		b.listUsers = func(ctx context.Context, q users.UserListing) (users.UserList, error) {
			l, err := b.Store.ListUsers(ctx, q)
			if err == nil && q.Count {
				untilAllHaveLooked()
				var later users.UserList
				later, err = b.Store.ListUsers(ctx, q)
				l.Total = later.Total
			}
			return l, err
		}
	}},
}

// listing returns what changes the question of each list.
func listing(change func(*users.UserListing)) func(*broken) {
	return func(b *broken) { asked(&b.listUsers, change) }
}

// withIDs returns the users of an application with these ids.
func (b *broken) withIDs(app string, ids ...string) []users.UserRecord {
	found, _ := b.Store.FindUsers(context.Background(), users.UserQuery{ApplicationID: app, IDs: ids})
	return found
}
