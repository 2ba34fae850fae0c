package storetest_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/storetest"
)

// broken is a good store with some of its methods replaced.
type broken struct {
	*memstore.Store
	createApplication func(context.Context, users.Application) error
	findApplication   func(context.Context, users.ApplicationQuery) (users.Application, error)
	createRole        func(context.Context, string, users.RoleRecord) error
	findRoles         func(context.Context, users.RoleQuery) ([]users.RoleRecord, error)
	createUser        func(context.Context, *users.NewUser) error
	findUsers         func(context.Context, users.UserQuery) ([]users.UserRecord, error)
	updateUser        func(context.Context, users.UserUpdate) error
	findReplay        func(context.Context, users.ReplayKey) (users.Replay, error)
	purge             func(context.Context, time.Time, int) (int, error)
	enqueue           func(context.Context, users.OutboxRow, time.Duration) error
	claim             func(context.Context, users.Claim) ([]users.OutboxRow, error)
	settle            func(context.Context, users.Settlement) error
	findNotifications func(context.Context, users.NotificationQuery) ([]users.OutboxRow, error)
	retry             func(context.Context, string, string) error
	createToken       func(context.Context, users.TokenRecord) error
	redeemToken       func(context.Context, users.Redemption) error
}

func newBroken() *broken {
	s := memstore.New()
	return &broken{
		s, s.CreateApplication, s.FindApplication, s.CreateRole, s.FindRoles, s.CreateUser, s.FindUsers, s.UpdateUser,
		s.FindReplay, s.Purge, s.Enqueue, s.Claim, s.Settle, s.FindNotifications, s.Retry, s.CreateToken, s.RedeemToken,
	}
}

func (b *broken) CreateApplication(ctx context.Context, a users.Application) error {
	return b.createApplication(ctx, a)
}
func (b *broken) FindApplication(ctx context.Context, q users.ApplicationQuery) (users.Application, error) {
	return b.findApplication(ctx, q)
}
func (b *broken) CreateRole(ctx context.Context, app string, r users.RoleRecord) error {
	return b.createRole(ctx, app, r)
}
func (b *broken) FindRoles(ctx context.Context, q users.RoleQuery) ([]users.RoleRecord, error) {
	return b.findRoles(ctx, q)
}
func (b *broken) CreateUser(ctx context.Context, n *users.NewUser) error { return b.createUser(ctx, n) }
func (b *broken) FindUsers(ctx context.Context, q users.UserQuery) ([]users.UserRecord, error) {
	return b.findUsers(ctx, q)
}
func (b *broken) UpdateUser(ctx context.Context, u users.UserUpdate) error {
	return b.updateUser(ctx, u)
}
func (b *broken) FindReplay(ctx context.Context, k users.ReplayKey) (users.Replay, error) {
	return b.findReplay(ctx, k)
}
func (b *broken) Purge(ctx context.Context, before time.Time, limit int) (int, error) {
	return b.purge(ctx, before, limit)
}
func (b *broken) Enqueue(ctx context.Context, r users.OutboxRow, gap time.Duration) error {
	return b.enqueue(ctx, r, gap)
}
func (b *broken) Claim(ctx context.Context, c users.Claim) ([]users.OutboxRow, error) {
	return b.claim(ctx, c)
}
func (b *broken) Settle(ctx context.Context, s users.Settlement) error { return b.settle(ctx, s) }
func (b *broken) FindNotifications(ctx context.Context, q users.NotificationQuery) ([]users.OutboxRow, error) {
	return b.findNotifications(ctx, q)
}
func (b *broken) Retry(ctx context.Context, app, id string) error { return b.retry(ctx, app, id) }
func (b *broken) CreateToken(ctx context.Context, t users.TokenRecord) error {
	return b.createToken(ctx, t)
}
func (b *broken) RedeemToken(ctx context.Context, r users.Redemption) error {
	return b.redeemToken(ctx, r)
}

// passing replaces CreateUser by a change to a copy of n before it.
func passing(change func(n *users.NewUser)) func(*broken) {
	return func(b *broken) {
		good := b.createUser
		b.createUser = func(ctx context.Context, n *users.NewUser) error {
			m := *n
			change(&m)
			return good(ctx, &m)
		}
	}
}

// answering replaces the error of CreateUser.
func answering(change func(b *broken, n *users.NewUser, err error) error) func(*broken) {
	return func(b *broken) {
		good := b.createUser
		b.createUser = func(ctx context.Context, n *users.NewUser) error { return change(b, n, good(ctx, n)) }
	}
}

// finding changes what FindUsers found.
func finding(change func(q users.UserQuery, found []users.UserRecord) []users.UserRecord) func(*broken) {
	return func(b *broken) {
		good := b.findUsers
		b.findUsers = func(ctx context.Context, q users.UserQuery) ([]users.UserRecord, error) {
			found, err := good(ctx, q)
			return change(q, found), err
		}
	}
}

// brokenStores break one clause each; by is the case that is there for it.
var brokenStores = []struct {
	name, by string
	spoil    func(*broken)
}{
	{"application forgets that it is disabled", "ApplicationComesBack", func(b *broken) {
		b.createApplication = func(ctx context.Context, a users.Application) error {
			a.Disabled = false
			return b.Store.CreateApplication(ctx, a)
		}
	}},
	{"the apiKey comes before the id", "ApplicationComesBack", func(b *broken) {
		b.findApplication = func(ctx context.Context, q users.ApplicationQuery) (users.Application, error) {
			if q.APIKey != "" {
				q.ID = ""
			}
			return b.Store.FindApplication(ctx, q)
		}
	}},
	{"an unknown application is not found", "ApplicationUnknown", func(b *broken) {
		b.findApplication = func(ctx context.Context, q users.ApplicationQuery) (users.Application, error) {
			a, err := b.Store.FindApplication(ctx, q)
			if errors.Is(err, users.ErrUnknownApplication) {
				err = users.ErrNotFound
			}
			return a, err
		}
	}},
	{"only one taken member of an application is named", "ApplicationTaken", func(b *broken) {
		b.createApplication = func(ctx context.Context, a users.Application) error {
			return firstMember(b.Store.CreateApplication(ctx, a))
		}
	}},
	{"apiKeys without case", "APIKeysAreBytes", func(b *broken) {
		b.createApplication = func(ctx context.Context, a users.Application) error {
			a.APIKey = strings.ToLower(a.APIKey)
			return b.Store.CreateApplication(ctx, a)
		}
	}},
	{"a role loses its description", "RoleComesBack", func(b *broken) {
		b.createRole = func(ctx context.Context, app string, r users.RoleRecord) error {
			r.Description = r.Description[:min(len(r.Description), 1024)]
			return b.Store.CreateRole(ctx, app, r)
		}
	}},
	{"only one taken member of a role is named", "RoleTaken", func(b *broken) {
		b.createRole = func(ctx context.Context, app string, r users.RoleRecord) error {
			return firstMember(b.Store.CreateRole(ctx, app, r))
		}
	}},
	{"a role of no application is lost", "RoleApplicationUnknown", func(b *broken) {
		b.createRole = func(ctx context.Context, app string, r users.RoleRecord) error {
			return except(users.ErrUnknownApplication, b.Store.CreateRole(ctx, app, r))
		}
	}},
	{"a page cuts a look-up of roles", "RolesByAnyKey", func(b *broken) {
		b.findRoles = func(ctx context.Context, q users.RoleQuery) ([]users.RoleRecord, error) {
			found, err := b.Store.FindRoles(ctx, q)
			if q.Page.Limit > 0 && len(found) > q.Page.Limit {
				found = found[:q.Page.Limit]
			}
			return found, err
		}
	}},
	{"pages of roles overlap", "RolesListed", func(b *broken) {
		b.findRoles = func(ctx context.Context, q users.RoleQuery) ([]users.RoleRecord, error) {
			if q.Page.After != "" {
				q.Page.After = q.Page.After[:len(q.Page.After)-1]
			}
			return b.Store.FindRoles(ctx, q)
		}
	}},
	{"role ids are unique over all applications", "RolesBelongToOneApplication", func(b *broken) {
		var ids sync.Map
		b.createRole = func(ctx context.Context, app string, r users.RoleRecord) error {
			if _, taken := ids.LoadOrStore(r.ID, true); taken {
				return &users.ConflictError{Members: []string{"id"}}
			}
			return b.Store.CreateRole(ctx, app, r)
		}
	}},
	{"role names without trailing blanks", "RoleNamesAreBytes", func(b *broken) {
		b.createRole = func(ctx context.Context, app string, r users.RoleRecord) error {
			r.NameKey = strings.TrimRight(r.NameKey, " ")
			return b.Store.CreateRole(ctx, app, r)
		}
	}},

	{"createdBy is lost", "UserComesBack", passing(func(n *users.NewUser) { n.CreatedBy = "" })},
	{"failed sign-ins are lost", "UserComesBack", passing(func(n *users.NewUser) { n.Login = users.LoginState{} })},
	{"display names are cut at 255 bytes", "LimitsRoundTrip", passing(func(n *users.NewUser) { n.Name = n.Name[:min(len(n.Name), 255)] })},
	{"scopes are cut at 255 bytes", "LimitsRoundTrip", passing(func(n *users.NewUser) {
		if n.Replay != nil {
			n.Replay = new(*n.Replay)
			n.Replay.Scope = n.Replay.Scope[:min(len(n.Replay.Scope), 255)]
		}
	})},
	{"times to the millisecond", "TimesRoundTrip", passing(func(n *users.NewUser) { n.CreationDate = n.CreationDate.Truncate(time.Millisecond) })},
	{"times through Unix nanoseconds", "TimesRoundTrip", passing(func(n *users.NewUser) { n.DateUpdated = time.Unix(0, n.DateUpdated.UnixNano()).UTC() })},
	{"times in local time", "TimesRoundTrip", finding(func(_ users.UserQuery, found []users.UserRecord) []users.UserRecord {
		for i := range found {
			found[i].CreationDate = found[i].CreationDate.In(time.FixedZone("", 0))
		}
		return found
	})},
	{"settings are compacted", "DashboardSettingsAreBytes", passing(func(n *users.NewUser) {
		var b bytes.Buffer
		if json.Compact(&b, n.DashboardSettings) == nil {
			n.DashboardSettings = b.Bytes()
		}
	})},
	{"settings are decoded and encoded", "DashboardSettingsAreBytes", passing(func(n *users.NewUser) {
		var v any
		if json.Unmarshal(n.DashboardSettings, &v) == nil {
			n.DashboardSettings, _ = json.Marshal(v)
		}
	})},
	{"only the first role is linked", "RolesOfAUser", passing(func(n *users.NewUser) { n.Roles = n.Roles[:min(len(n.Roles), 1)] })},
	{"roles in the order of the request", "RolesOfAUser", finding(func(_ users.UserQuery, found []users.UserRecord) []users.UserRecord {
		for i := range found {
			slices.Reverse(found[i].Roles)
		}
		return found
	})},
	{"a user found by two keys comes twice", "UsersByAnyKey", finding(func(q users.UserQuery, found []users.UserRecord) []users.UserRecord {
		if len(q.IDs) > 0 && len(q.NameKeys) > 0 && len(found) == 1 {
			found = append(found, found[0])
		}
		return found
	})},
	{"users in order of name", "UsersByAnyKey", finding(func(_ users.UserQuery, found []users.UserRecord) []users.UserRecord {
		slices.SortFunc(found, func(a, b users.UserRecord) int { return cmp.Compare(a.NameKey, b.NameKey) })
		return found
	})},
	{"KeysOnly without the application", "KeysOnly", finding(func(q users.UserQuery, found []users.UserRecord) []users.UserRecord {
		for i := range found {
			if q.KeysOnly {
				found[i].ApplicationID = ""
			}
		}
		return found
	})},
	{"nobody found is an error", "UsersAbsent", func(b *broken) {
		b.findUsers = func(ctx context.Context, q users.UserQuery) ([]users.UserRecord, error) {
			found, err := b.Store.FindUsers(ctx, q)
			if err == nil && len(found) == 0 {
				err = users.ErrNotFound
			}
			return found, err
		}
	}},
	{"no keys finds everybody", "UsersAbsent", func(b *broken) {
		var ids sync.Map
		b.createUser = func(ctx context.Context, n *users.NewUser) error {
			ids.Store(n.ID, true)
			return b.Store.CreateUser(ctx, n)
		}
		b.findUsers = func(ctx context.Context, q users.UserQuery) ([]users.UserRecord, error) {
			if len(q.IDs)+len(q.NameKeys)+len(q.EmailKeys) == 0 {
				ids.Range(func(id, _ any) bool { q.IDs = append(q.IDs, id.(string)); return true })
			}
			return b.Store.FindUsers(ctx, q)
		}
	}},
	{"a user of no application is not found", "UserUnknownApplication", answering(func(_ *broken, _ *users.NewUser, err error) error {
		if errors.Is(err, users.ErrUnknownApplication) {
			return users.ErrNotFound
		}
		return err
	})},
	{"unknown roles are left out", "UserUnknownRole", func(b *broken) {
		b.createUser = func(ctx context.Context, n *users.NewUser) error {
			m := *n
			m.Roles = slices.DeleteFunc(slices.Clone(n.Roles), func(r users.Role) bool {
				found, _ := b.Store.FindRoles(ctx, users.RoleQuery{ApplicationID: n.ApplicationID, IDs: []string{r.ID}})
				return len(found) == 0
			})
			return b.Store.CreateUser(ctx, &m)
		}
	}},
	{"the caller's roles are sorted", "NewUserIsNotChanged", func(b *broken) {
		b.createUser = func(ctx context.Context, n *users.NewUser) error {
			slices.SortFunc(n.Roles, func(x, y users.Role) int { return cmp.Compare(x.ID, y.ID) })
			return b.Store.CreateUser(ctx, n)
		}
	}},
	{"the caller's settings are kept", "StoreCopies", func(b *broken) {
		var kept sync.Map
		b.createUser = func(ctx context.Context, n *users.NewUser) error {
			kept.Store(n.ID, n.DashboardSettings)
			return b.Store.CreateUser(ctx, n)
		}
		finding(func(_ users.UserQuery, found []users.UserRecord) []users.UserRecord {
			for i := range found {
				if raw, ok := kept.Load(found[i].ID); ok {
					found[i].DashboardSettings = raw.(json.RawMessage)
				}
			}
			return found
		})(b)
	}},
	{"the caller's query is sorted", "StoreCopies", finding(func(q users.UserQuery, found []users.UserRecord) []users.UserRecord {
		slices.Sort(q.IDs)
		return found
	})},

	{"only one clashing member is named", "EveryClashingMemberIsNamed", answering(func(_ *broken, _ *users.NewUser, err error) error {
		return firstMember(err)
	})},
	{"clashing members in order of the alphabet", "EveryClashingMemberIsNamed", answering(func(_ *broken, _ *users.NewUser, err error) error {
		if c := (*users.ConflictError)(nil); errors.As(err, &c) {
			slices.Sort(c.Members)
		}
		return err
	})},
	{"a conflict keeps the notification", "ConflictWritesNothing", func(b *broken) {
		b.createUser = func(ctx context.Context, n *users.NewUser) error {
			err := b.Store.CreateUser(ctx, n)
			if errors.Is(err, users.ErrConflict) && n.Notification != nil {
				stray := *n
				stray.NameKey, stray.EmailKey, stray.Replay, stray.InTx = n.ID, n.ID, nil, nil
				_ = b.Store.CreateUser(ctx, &stray)
			}
			return err
		}
	}},
	{"user names are unique over all applications", "ApplicationsAreApart", func(b *broken) {
		var names sync.Map
		b.createUser = func(ctx context.Context, n *users.NewUser) error {
			if app, taken := names.Load(n.NameKey); taken && app != n.ApplicationID {
				return &users.ConflictError{Members: []string{"userName"}}
			}
			names.Store(n.NameKey, n.ApplicationID)
			return b.Store.CreateUser(ctx, n)
		}
	}},
	{"a name that is its own address is a conflict", "NameThatIsTheAddress", func(b *broken) {
		b.createUser = func(ctx context.Context, n *users.NewUser) error {
			if n.NameKey == n.EmailKey {
				return &users.ConflictError{Members: []string{"userName", "email"}}
			}
			return b.Store.CreateUser(ctx, n)
		}
	}},
	{"user names without case", "UserKeysAreBytes", passing(func(n *users.NewUser) { n.NameKey = strings.ToLower(n.NameKey) })},
	{"addresses without trailing blanks", "UserKeysAreBytes", passing(func(n *users.NewUser) { n.EmailKey = strings.TrimRight(n.EmailKey, " ") })},
	{"names are looked up first and clash later unseen", "RacingNames", racy("userName")},
	{"addresses are looked up first and clash later unseen", "RacingAddresses", racy("email")},
	{"ids are looked up first and clash later unseen", "RacingIDs", racy("userName", "email", "id")},

	{"InTx is left out", "InTxRuns", passing(func(n *users.NewUser) { n.InTx = nil })},
	{"InTx runs after the commit", "InTxErrorUndoesEverything", inTxAfterwards},
	{"InTx runs after the commit, seen", "NothingIsSeenBeforeTheEnd", inTxAfterwards},
	{"InTx's error is not wrapped", "InTxErrorUndoesEverything", answering(func(_ *broken, n *users.NewUser, err error) error {
		if n.InTx != nil && err != nil {
			return errors.New("rolled back")
		}
		return err
	})},
	{"a panic of InTx is taken for success", "InTxPanicUndoesEverything", passing(func(n *users.NewUser) {
		if host := n.InTx; host != nil {
			n.InTx = func(ctx context.Context) error {
				defer func() { _ = recover() }()
				return host(ctx)
			}
		}
	})},
	{"the notification is written last, on its own", "LateFailureUndoesEverything", func(b *broken) {
		b.createUser = func(ctx context.Context, n *users.NewUser) error {
			err := b.Store.CreateUser(ctx, n)
			if err != nil && strings.Contains(err.Error(), "notification") {
				m := *n
				m.Notification = nil
				_ = b.Store.CreateUser(ctx, &m)
			}
			return err
		}
	}},

	{"an update resets what it does not name", "UpdateChangesWhatItNames", func(b *broken) {
		b.updateUser = func(ctx context.Context, u users.UserUpdate) error {
			if u.IsApproved == nil {
				u.IsApproved = new(false)
			}
			return b.Store.UpdateUser(ctx, u)
		}
	}},
	{"the last writer wins", "UpdateComparesVersions", func(b *broken) {
		b.updateUser = func(ctx context.Context, u users.UserUpdate) error {
			found, _ := b.Store.FindUsers(ctx, users.UserQuery{ApplicationID: u.ApplicationID, IDs: []string{u.ID}})
			if len(found) == 1 {
				u.IfVersion = found[0].Version
			}
			return b.Store.UpdateUser(ctx, u)
		}
	}},
	{"an update of nobody is stale", "UpdateAbsent", func(b *broken) {
		b.updateUser = func(ctx context.Context, u users.UserUpdate) error {
			if err := b.Store.UpdateUser(ctx, u); !errors.Is(err, users.ErrNotFound) {
				return err
			}
			return users.ErrStale
		}
	}},
	{"versions are compared before the update", "RacingUpdates", func(b *broken) {
		b.updateUser = func(ctx context.Context, u users.UserUpdate) error {
			found, _ := b.Store.FindUsers(ctx, users.UserQuery{ApplicationID: u.ApplicationID, IDs: []string{u.ID}})
			time.Sleep(time.Millisecond) // in the bubble: until all have looked
			if err := b.Store.UpdateUser(ctx, u); !errors.Is(err, users.ErrStale) || len(found) == 1 && found[0].Version != u.IfVersion {
				return err
			}
			return nil
		}
	}},

	{"dead records are hidden", "ReplayComesBack", func(b *broken) {
		b.findReplay = func(ctx context.Context, k users.ReplayKey) (users.Replay, error) {
			r, err := b.Store.FindReplay(ctx, k)
			if err == nil && r.Expires.Before(time.Now()) {
				return users.Replay{}, users.ErrNotFound
			}
			return r, err
		}
	}},
	{"keys of all callers are one", "ReplayComesBack", func(b *broken) {
		passing(func(n *users.NewUser) {
			if n.Replay != nil {
				n.Replay = new(*n.Replay)
				n.Replay.Scope = ""
			}
		})(b)
		b.findReplay = func(ctx context.Context, k users.ReplayKey) (users.Replay, error) {
			k.Scope = ""
			return b.Store.FindReplay(ctx, k)
		}
	}},
	{"a conflict comes before a used key", "LiveReplayRefuses", answering(func(b *broken, n *users.NewUser, err error) error {
		if errors.Is(err, users.ErrIdempotencyKeyUsed) {
			found, _ := b.Store.FindUsers(context.Background(), users.UserQuery{ApplicationID: n.ApplicationID, NameKeys: []string{n.NameKey}})
			if clash := users.Clash(&n.UserRecord, found); clash != nil {
				return clash
			}
		}
		return err
	})},
	{"a record dies only after its end", "DeadReplayIsReplaced", passing(func(n *users.NewUser) {
		n.DateCreated = n.DateCreated.Add(-time.Microsecond)
	})},
	{"a refused user uses the key up", "RefusedUserKeepsTheReplay", answering(func(b *broken, n *users.NewUser, err error) error {
		if err != nil && n.Replay != nil {
			stray := users.NewUser{UserRecord: n.UserRecord, Replay: n.Replay}
			stray.Roles, stray.ID, stray.NameKey, stray.EmailKey = nil, "stray-"+n.ID, "stray-"+n.ID, "stray-"+n.ID
			_ = b.Store.CreateUser(context.Background(), &stray)
		}
		return err
	})},
	{"keys are looked up first and clash later unseen", "RacingReplays", func(b *broken) {
		b.createUser = func(ctx context.Context, n *users.NewUser) error {
			if n.Replay == nil {
				return b.Store.CreateUser(ctx, n)
			}
			if r, err := b.Store.FindReplay(ctx, n.Replay.ReplayKey); err == nil && r.Expires.After(n.DateCreated) {
				return users.ErrIdempotencyKeyUsed
			}
			time.Sleep(time.Millisecond) // in the bubble: until all have looked
			return except(users.ErrIdempotencyKeyUsed, b.Store.CreateUser(ctx, n))
		}
	}},
	{"Purge takes everything", "PurgeIsBounded", func(b *broken) {
		b.purge = func(ctx context.Context, before time.Time, _ int) (int, error) {
			return b.Store.Purge(ctx, before, 1<<30)
		}
	}},
	{"Purge leaves what ends now", "PurgeIsBounded", func(b *broken) {
		b.purge = func(ctx context.Context, before time.Time, limit int) (int, error) {
			return b.Store.Purge(ctx, before.Add(-time.Microsecond), limit)
		}
	}},

	{"the context is ignored", "CancelledBefore", func(b *broken) {
		b.createUser = func(ctx context.Context, n *users.NewUser) error {
			return b.Store.CreateUser(context.WithoutCancel(ctx), n)
		}
	}},
	{"reads ignore the context", "CancelledBefore", func(b *broken) {
		b.findReplay = func(ctx context.Context, k users.ReplayKey) (users.Replay, error) {
			return b.Store.FindReplay(context.WithoutCancel(ctx), k)
		}
	}},
	{"the context is asked at the start only", "CancelledInside", func(b *broken) {
		b.createUser = func(ctx context.Context, n *users.NewUser) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return b.Store.CreateUser(context.WithoutCancel(ctx), n)
		}
	}},
	{"who waits can't be cancelled", "CancelledWhileWaiting", func(b *broken) {
		b.createUser = func(ctx context.Context, n *users.NewUser) error {
			if n.InTx == nil && ctx.Err() == nil {
				ctx = context.WithoutCancel(ctx)
			}
			return b.Store.CreateUser(ctx, n)
		}
	}},

	{"the newest due come first", "ClaimInOrderOfDue", func(b *broken) {
		b.claim = func(ctx context.Context, c users.Claim) ([]users.OutboxRow, error) {
			rows, err := b.Store.Claim(ctx, c)
			slices.Reverse(rows)
			return rows, err
		}
	}},
	{"attempts are not counted", "ClaimInOrderOfDue", func(b *broken) {
		b.claim = func(ctx context.Context, c users.Claim) ([]users.OutboxRow, error) {
			rows, err := b.Store.Claim(ctx, c)
			for i := range rows {
				rows[i].Attempts--
			}
			return rows, err
		}
	}},
	{"there are no leases", "ClaimOnce", func(b *broken) {
		b.claim = func(ctx context.Context, c users.Claim) ([]users.OutboxRow, error) {
			c.Lease = 0
			return b.Store.Claim(ctx, c)
		}
	}},
	{"rows are read, then leased", "RacingClaims", func(b *broken) {
		var last atomic.Pointer[[]users.OutboxRow]
		b.claim = func(ctx context.Context, c users.Claim) ([]users.OutboxRow, error) {
			rows, err := b.Store.Claim(ctx, c)
			if err == nil && len(rows) > 0 {
				if seen := last.Swap(&rows); seen != nil {
					return append(*seen, rows...), nil
				}
			}
			return rows, err
		}
	}},
	{"leases never end", "LeaseRunsOut", func(b *broken) {
		b.claim = func(ctx context.Context, c users.Claim) ([]users.OutboxRow, error) {
			c.Lease = 1000 * time.Hour
			return b.Store.Claim(ctx, c)
		}
	}},
	{"a lost lease goes unsaid", "LostLeaseIsStale", func(b *broken) {
		b.settle = func(ctx context.Context, s users.Settlement) error {
			return except(users.ErrStale, b.Store.Settle(ctx, s))
		}
	}},
	{"anybody may settle", "LostLeaseIsStale", func(b *broken) {
		var owners sync.Map
		b.claim = func(ctx context.Context, c users.Claim) ([]users.OutboxRow, error) {
			rows, err := b.Store.Claim(ctx, c)
			for _, r := range rows {
				owners.Store(r.ID, c.Worker)
			}
			return rows, err
		}
		b.settle = func(ctx context.Context, s users.Settlement) error {
			if w, ok := owners.Load(s.ID); ok {
				s.Worker = w.(string)
			}
			return b.Store.Settle(ctx, s)
		}
	}},
	{"delivered rows stay as abandoned", "SettleDelivered", func(b *broken) {
		b.settle = func(ctx context.Context, s users.Settlement) error {
			s.State = cmp.Or(s.State, users.StateAbandoned)
			return b.Store.Settle(ctx, s)
		}
	}},
	{"another try comes at once", "SettleForAnotherTry", func(b *broken) {
		b.settle = func(ctx context.Context, s users.Settlement) error {
			s.RetryIn = 0
			return b.Store.Settle(ctx, s)
		}
	}},
	{"what was not tried counts", "SettleNotTried", func(b *broken) {
		b.settle = func(ctx context.Context, s users.Settlement) error {
			s.NotTried = false
			return b.Store.Settle(ctx, s)
		}
	}},
	{"anything can be retried", "AbandonAndRetry", func(b *broken) {
		b.retry = func(ctx context.Context, app, id string) error {
			return except(users.ErrNotFound, b.Store.Retry(ctx, app, id))
		}
	}},
	{"the due time of the caller counts", "EnqueueIsDueNow", func(b *broken) {
		b.enqueue = func(ctx context.Context, r users.OutboxRow, gap time.Duration) error {
			if r.Due.After(time.Now()) {
				return nil // as good as never
			}
			return b.Store.Enqueue(ctx, r, gap)
		}
	}},
	{"pending rows are not looked for", "EnqueueOncePending", enqueueAlways},
	{"pending rows are not looked for, racing", "RacingEnqueues", enqueueAlways},
	{"the gap is not kept", "EnqueueKeepsTheGap", func(b *broken) {
		b.enqueue = func(ctx context.Context, r users.OutboxRow, _ time.Duration) error { return b.Store.Enqueue(ctx, r, 0) }
	}},
	{"rows for nobody are dropped unsaid", "EnqueueUnknownUser", func(b *broken) {
		b.enqueue = func(ctx context.Context, r users.OutboxRow, gap time.Duration) error {
			return except(users.ErrNotFound, b.Store.Enqueue(ctx, r, gap))
		}
	}},
	{"states are not asked for", "NotificationsListed", func(b *broken) {
		b.findNotifications = func(ctx context.Context, q users.NotificationQuery) ([]users.OutboxRow, error) {
			q.States = nil
			return b.Store.FindNotifications(ctx, q)
		}
	}},

	{"tokens lose their time", "TokenComesBack", func(b *broken) {
		b.createToken = func(ctx context.Context, t users.TokenRecord) error {
			t.Created = t.Created.Truncate(time.Second)
			return b.Store.CreateToken(ctx, t)
		}
	}},
	{"tokens for nobody are dropped unsaid", "TokenUnknownUser", func(b *broken) {
		b.createToken = func(ctx context.Context, t users.TokenRecord) error {
			return except(users.ErrNotFound, b.Store.CreateToken(ctx, t))
		}
	}},
	{"the other tokens stay good", "TokenIsRedeemed", func(b *broken) {
		var all sync.Map
		b.createToken = func(ctx context.Context, t users.TokenRecord) error {
			all.Store(t, true)
			return b.Store.CreateToken(ctx, t)
		}
		b.redeemToken = func(ctx context.Context, r users.Redemption) error {
			err := b.Store.RedeemToken(ctx, r)
			all.Range(func(t, _ any) bool {
				if err == nil && t.(users.TokenRecord).Sum != r.Sum {
					_ = b.Store.CreateToken(ctx, t.(users.TokenRecord))
				}
				return true
			})
			return err
		}
	}},
	{"tokens live for ever", "BadTokenChangesNothing", func(b *broken) {
		b.redeemToken = func(ctx context.Context, r users.Redemption) error {
			r.Now = time.Time{}
			return b.Store.RedeemToken(ctx, r)
		}
	}},
	{"the caller says when a token ends", "BadTokenChangesNothing", func(b *broken) {
		b.redeemToken = func(ctx context.Context, r users.Redemption) error {
			if r.Expires.After(r.Now) {
				r.Now = time.Time{}
			}
			return b.Store.RedeemToken(ctx, r)
		}
	}},
	{"a token is used twice at once", "RacingRedemptions", func(b *broken) {
		b.redeemToken = func(ctx context.Context, r users.Redemption) error {
			if _, err := b.Store.FindToken(ctx, r.ApplicationID, r.Sum); err != nil {
				return users.ErrBadToken
			}
			time.Sleep(time.Millisecond) // in the bubble: until all have looked
			return except(users.ErrBadToken, b.Store.RedeemToken(ctx, r))
		}
	}},
	{"Purge does not count tokens", "PurgeTakesTokens", func(b *broken) {
		b.purge = func(ctx context.Context, before time.Time, limit int) (int, error) {
			n, err := b.Store.Purge(ctx, before, limit)
			return min(n, 1), err
		}
	}},
}

func firstMember(err error) error {
	if c := (*users.ConflictError)(nil); errors.As(err, &c) {
		return &users.ConflictError{Members: c.Members[:1]}
	}
	return err
}

// except hides one error.
func except(hidden, err error) error {
	if errors.Is(err, hidden) {
		return nil
	}
	return err
}

// racy looks for a clash first, and takes the clash that comes up later for
// success.
func racy(members ...string) func(*broken) {
	return func(b *broken) {
		b.createUser = func(ctx context.Context, n *users.NewUser) error {
			found, err := b.Store.FindUsers(ctx, users.UserQuery{
				ApplicationID: n.ApplicationID, IDs: []string{n.ID}, NameKeys: []string{n.NameKey}, EmailKeys: []string{n.EmailKey},
			})
			if err != nil || len(found) > 0 {
				return b.Store.CreateUser(ctx, n)
			}
			time.Sleep(time.Millisecond) // in the bubble: until all have looked
			err = b.Store.CreateUser(ctx, n)
			if c := (*users.ConflictError)(nil); errors.As(err, &c) && slices.Equal(c.Members, members) {
				return nil
			}
			return err
		}
	}
}

func inTxAfterwards(b *broken) {
	b.createUser = func(ctx context.Context, n *users.NewUser) error {
		m := *n
		m.InTx = nil
		if err := b.Store.CreateUser(ctx, &m); err != nil || n.InTx == nil {
			return err
		}
		return n.InTx(ctx)
	}
}

// enqueueAlways gives each row a kind of its own, which listings do not show.
func enqueueAlways(b *broken) {
	var n atomic.Int64
	b.enqueue = func(ctx context.Context, r users.OutboxRow, gap time.Duration) error {
		r.Kind = fmt.Sprintf("%s#%d", r.Kind, n.Add(1))
		return b.Store.Enqueue(ctx, r, gap)
	}
	plain := func(rows []users.OutboxRow, err error) ([]users.OutboxRow, error) {
		for i := range rows {
			rows[i].Kind, _, _ = strings.Cut(rows[i].Kind, "#")
		}
		return rows, err
	}
	b.claim = func(ctx context.Context, c users.Claim) ([]users.OutboxRow, error) {
		return plain(b.Store.Claim(ctx, c))
	}
	b.findNotifications = func(ctx context.Context, q users.NotificationQuery) ([]users.OutboxRow, error) {
		return plain(b.Store.FindNotifications(ctx, q))
	}
}

// breaches gives the cases that err lists.
func breaches(err error) []string {
	var names []string
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			if b := (*storetest.Breach)(nil); errors.As(e, &b) {
				names = append(names, b.Case)
			}
		}
	}
	return names
}

func TestEveryBrokenStoreIsCaughtByItsCase(t *testing.T) {
	t.Parallel()
	for _, c := range brokenStores {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				err := storetest.Check(func() (users.Store, func(), error) {
					b := newBroken()
					c.spoil(b)
					return b, nil, nil
				})
				if got := breaches(err); !slices.Contains(got, c.by) {
					t.Errorf("got breaches %q, want %s among them\n%v", got, c.by, err)
				}
			})
		})
	}
}
