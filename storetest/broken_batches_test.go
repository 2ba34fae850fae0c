package storetest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/gousers/users"
)

// batch is CreateUsers.
type batch = func(context.Context, []*users.NewUser) ([]error, error)

// brokenBatches break what BatchStore promises.
var brokenBatches = []brokenStore{
	{"roles are not written", "BatchCreates", taking(func(n *users.NewUser) { n.Roles = nil })},
	{"notifications are not written", "BatchCreates", taking(func(n *users.NewUser) { n.Notifications = nil })},
	{"one notification of each", "BatchCreates", taking(func(n *users.NewUser) {
		n.Notifications = n.Notifications[:min(len(n.Notifications), 1)]
	})},
	{"outcomes come in the order of ids", "BatchConflictsWithOthers", func(b *broken) {
		b.createUsers = func(ctx context.Context, ns []*users.NewUser) ([]error, error) {
			return b.Store.CreateUsers(ctx, slices.SortedFunc(slices.Values(ns), func(x, y *users.NewUser) int {
				return strings.Compare(x.ID, y.ID)
			}))
		}
	}},
	{"only the first 500 are written", "BatchOfTheLongest", func(b *broken) {
		b.createUsers = func(ctx context.Context, ns []*users.NewUser) ([]error, error) {
			outcomes, err := b.Store.CreateUsers(ctx, ns[:min(len(ns), 500)])
			return append(outcomes, make([]error, max(0, len(ns)-500))...), err
		}
	}},
	{"names of a batch without case", "BatchKeysAreBytes", func(b *broken) {
		b.createUsers = refusing(b.Store.CreateUsers, func(ns []*users.NewUser, i int) error {
			return sameAsEarlier(ns, i, strings.ToLower)
		})
	}},
	{"names of a batch without trailing blanks", "BatchKeysAreBytes", func(b *broken) {
		b.createUsers = refusing(b.Store.CreateUsers, func(ns []*users.NewUser, i int) error {
			return sameAsEarlier(ns, i, func(s string) string { return strings.TrimRight(s, " ") })
		})
	}},
	{"one member in conflict is named", "BatchConflictsWithOthers", judged(firstMember)},
	{"a conflict is of all", "BatchConflictsWithOthers", func(b *broken) {
		b.createUsers = func(ctx context.Context, ns []*users.NewUser) ([]error, error) {
			for _, n := range ns {
				found, err := b.Store.FindUsers(ctx, users.UserQuery{
					ApplicationID: n.ApplicationID,
					IDs:           []string{n.ID}, NameKeys: []string{n.NameKey}, EmailKeys: []string{n.EmailKey},
				})
				if err == nil {
					err = users.CheckConflict(&n.UserRecord, found)
				}
				if err != nil {
					return nil, err
				}
			}
			return b.Store.CreateUsers(ctx, ns)
		}
	}},
	{"ids are looked for in all applications", "BatchConflictsWithOthers", func(b *broken) {
		var ids sync.Map
		answered(&b.createUser, func(n *users.NewUser, err error) error {
			ids.Store(n.ID, n.ApplicationID)
			return err
		})
		b.createUsers = refusing(b.Store.CreateUsers, func(ns []*users.NewUser, i int) error {
			if app, taken := ids.Load(ns[i].ID); taken && app != ns[i].ApplicationID {
				return &users.ConflictError{Members: []string{"id"}}
			}
			return nil
		})
	}},
	{"the last one has a key", "BatchConflictsInside", func(b *broken) {
		b.createUsers = func(ctx context.Context, ns []*users.NewUser) ([]error, error) {
			last := slices.Clone(ns)
			slices.Reverse(last)
			outcomes, err := b.Store.CreateUsers(ctx, last)
			slices.Reverse(outcomes)
			return outcomes, err
		}
	}},
	{"who is refused takes its keys", "BatchConflictsInside", func(b *broken) {
		b.createUsers = refusing(b.Store.CreateUsers, func(ns []*users.NewUser, i int) error {
			return sameAsEarlier(ns, i, func(s string) string { return s })
		})
	}},
	{"a key twice is an error of all", "BatchConflictsInside", func(b *broken) {
		b.createUsers = func(ctx context.Context, ns []*users.NewUser) ([]error, error) {
			for i := range ns {
				if err := sameAsEarlier(ns, i, func(s string) string { return s }); err != nil {
					return nil, err
				}
			}
			return b.Store.CreateUsers(ctx, ns)
		}
	}},
	{"a role that is missing is left out", "BatchMissingRole", func(b *broken) {
		b.createUsers = func(ctx context.Context, ns []*users.NewUser) ([]error, error) {
			return b.Store.CreateUsers(ctx, copied(ns, func(n *users.NewUser) {
				n.Roles = slices.DeleteFunc(slices.Clone(n.Roles), func(r users.Role) bool {
					return len(b.rolesWithID(n.ApplicationID, r.ID)) == 0
				})
			}))
		}
	}},
	{"a role that is missing is an error of all", "BatchMissingRole", func(b *broken) {
		b.createUsers = func(ctx context.Context, ns []*users.NewUser) ([]error, error) {
			for _, n := range ns {
				for _, r := range n.Roles {
					if len(b.rolesWithID(n.ApplicationID, r.ID)) == 0 {
						return nil, users.ErrNotFound
					}
				}
			}
			return b.Store.CreateUsers(ctx, ns)
		}
	}},
	{"notifications of the refused stay", "BatchRefusedLeaveNothing", func(b *broken) {
		b.createUsers = func(ctx context.Context, ns []*users.NewUser) ([]error, error) {
			outcomes, err := b.Store.CreateUsers(ctx, ns)
			for i, n := range ns {
				if err == nil && outcomes[i] != nil {
					bare := *n
					bare.NameKey, bare.EmailKey, bare.Roles = n.ID, n.ID, nil
					_ = b.Store.CreateUser(ctx, &bare)
				}
			}
			return outcomes, err
		}
	}},
	{"those before a failure stay", "BatchLateFailure", func(b *broken) {
		b.createUsers = func(ctx context.Context, ns []*users.NewUser) ([]error, error) {
			outcomes, err := b.Store.CreateUsers(ctx, ns)
			if err != nil && ctx.Err() == nil {
				_, _ = b.Store.CreateUsers(ctx, ns[:1])
			}
			return outcomes, err
		}
	}},
	{"a failure is one user's", "BatchLateFailure", func(b *broken) { b.createUsers = oneByOne(b.Store.CreateUser) }},
	{"an unknown application is each one's", "BatchUnknownApplication", func(b *broken) {
		b.createUsers = func(ctx context.Context, ns []*users.NewUser) ([]error, error) {
			outcomes, err := b.Store.CreateUsers(ctx, ns)
			if errors.Is(err, users.ErrUnknownApplication) {
				return slices.Repeat([]error{err}, len(ns)), nil
			}
			return outcomes, err
		}
	}},
	{"the context is not looked at", "BatchTooLate", func(b *broken) {
		b.createUsers = func(ctx context.Context, ns []*users.NewUser) ([]error, error) {
			return b.Store.CreateUsers(context.WithoutCancel(ctx), ns)
		}
	}},
	{"the batch is sorted in place", "BatchIsNotChanged", func(b *broken) {
		b.createUsers = func(ctx context.Context, ns []*users.NewUser) ([]error, error) {
			slices.SortFunc(ns, func(x, y *users.NewUser) int { return strings.Compare(x.ID, y.ID) })
			return b.Store.CreateUsers(ctx, ns)
		}
	}},
	{"roles are sorted in place", "BatchIsNotChanged", func(b *broken) {
		b.createUsers = func(ctx context.Context, ns []*users.NewUser) ([]error, error) {
			for _, n := range ns {
				slices.SortFunc(n.Roles, func(x, y users.Role) int { return strings.Compare(x.ID, y.ID) })
			}
			return b.Store.CreateUsers(ctx, ns)
		}
	}},
	{"settings are the caller's", "BatchCopies", func(b *broken) {
		var all sync.Map
		b.createUsers = func(ctx context.Context, ns []*users.NewUser) ([]error, error) {
			outcomes, err := b.Store.CreateUsers(ctx, ns)
			for i, n := range ns {
				if err == nil && outcomes[i] == nil {
					all.Store(n.ID, n.DashboardSettings)
				}
			}
			return outcomes, err
		}
		eachUser(func(_ users.UserQuery, u *users.UserRecord) {
			if settings, ok := all.Load(u.ID); ok {
				u.DashboardSettings = slices.Clone(settings.([]byte))
			}
		})(b)
	}},
	{"a batch looks first", "RacingBatches", func(b *broken) {
		b.createUsers = func(ctx context.Context, ns []*users.NewUser) ([]error, error) {
			var names []string
			for _, n := range ns {
				names = append(names, n.NameKey)
			}
			before, _ := b.Store.FindUsers(ctx, users.UserQuery{ApplicationID: ns[0].ApplicationID, NameKeys: names})
			untilAllHaveLooked()
			outcomes, err := b.Store.CreateUsers(ctx, ns)
			for i := range outcomes {
				if !slices.ContainsFunc(before, func(u users.UserRecord) bool { return u.NameKey == ns[i].NameKey }) {
					outcomes[i] = except(users.ErrConflict, outcomes[i])
				}
			}
			return outcomes, err
		}
	}},
	{"a batch that meets another one gives up", "RacingBatches", func(b *broken) {
		var creating sync.Map
		b.createUsers = func(ctx context.Context, ns []*users.NewUser) ([]error, error) {
			if _, busy := creating.LoadOrStore(ns[0].ApplicationID, true); busy {
				return nil, users.ErrUnavailable
			}
			defer creating.Delete(ns[0].ApplicationID)
			untilAllHaveLooked()
			return b.Store.CreateUsers(ctx, ns)
		}
	}},
}

// taking returns what changes a copy of each user of a batch.
func taking(change func(*users.NewUser)) func(*broken) {
	return func(b *broken) {
		b.createUsers = func(ctx context.Context, ns []*users.NewUser) ([]error, error) {
			return b.Store.CreateUsers(ctx, copied(ns, change))
		}
	}
}

func copied(ns []*users.NewUser, change func(*users.NewUser)) []*users.NewUser {
	all := make([]*users.NewUser, len(ns))
	for i, n := range ns {
		m := *n
		change(&m)
		all[i] = &m
	}
	return all
}

// judged returns what changes each outcome.
func judged(change func(error) error) func(*broken) {
	return func(b *broken) {
		b.createUsers = func(ctx context.Context, ns []*users.NewUser) ([]error, error) {
			outcomes, err := b.Store.CreateUsers(ctx, ns)
			for i := range outcomes {
				outcomes[i] = change(outcomes[i])
			}
			return outcomes, err
		}
	}
}

// refusing returns create without those of a batch that refuse has an error for, which
// is their outcome.
func refusing(create batch, refuse func(ns []*users.NewUser, i int) error) batch {
	return func(ctx context.Context, ns []*users.NewUser) ([]error, error) {
		outcomes := make([]error, len(ns))
		var rest []*users.NewUser
		var at []int
		for i := range ns {
			if outcomes[i] = refuse(ns, i); outcomes[i] == nil {
				rest, at = append(rest, ns[i]), append(at, i)
			}
		}
		got, err := create(ctx, rest)
		if err != nil {
			return nil, err
		}
		for k, i := range at {
			outcomes[i] = got[k]
		}
		return outcomes, nil
	}
}

// sameAsEarlier is the conflict of ns[i] with earlier ones of ns, whatever became of them,
// by the canonical form of keys.
func sameAsEarlier(ns []*users.NewUser, i int, canonical func(string) string) error {
	folded := func(n *users.NewUser) users.UserRecord {
		u := n.UserRecord
		u.NameKey, u.EmailKey = canonical(u.NameKey), canonical(u.EmailKey)
		return u
	}
	var earlier []users.UserRecord
	for _, n := range ns[:i] {
		earlier = append(earlier, folded(n))
	}
	u := folded(ns[i])
	return users.CheckConflict(&u, earlier)
}

// oneByOne is a batch in as many transactions as it has users.
func oneByOne(create func(context.Context, *users.NewUser) error) batch {
	return func(ctx context.Context, ns []*users.NewUser) (outcomes []error, err error) {
		for _, n := range ns {
			err := create(ctx, n)
			if errors.Is(err, users.ErrUnknownApplication) || ctx.Err() != nil {
				return nil, err
			}
			outcomes = append(outcomes, err)
		}
		return outcomes, nil
	}
}

// rolesWithID returns the role with the id, if it is there.
func (b *broken) rolesWithID(app, id string) []users.RoleRecord {
	found, _ := b.Store.FindRoles(context.Background(), users.RoleQuery{ApplicationID: app, IDs: []string{id}})
	return found
}
