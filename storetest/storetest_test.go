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
	"github.com/gousers/users/internal/storefake"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
	"github.com/gousers/users/storetest"
)

// brokenStore breaks one clause; by is the case that is there for it.
type brokenStore struct {
	name, by string
	spoil    func(*broken)
}

// allBroken returns the broken stores of all groups.
func allBroken() []brokenStore {
	return slices.Concat(brokenStores, brokenLists, brokenEdits, brokenDeletes, brokenRoleEdits, brokenApplicationEdits, brokenLogins, brokenBatches)
}

// brokenStores break what every store must do, and the outbox and the tokens.
var brokenStores = []brokenStore{
	{"application forgets that it is disabled", "ApplicationComesBack", func(b *broken) {
		given(&b.createApplication, func(a *users.Application) { a.Disabled = false })
	}},
	{"the apiKey comes before the id", "ApplicationComesBack", func(b *broken) {
		asked(&b.findApplication, func(q *users.ApplicationQuery) {
			if q.APIKey != "" {
				q.ID = ""
			}
		})
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
		answered(&b.createApplication, func(_ users.Application, err error) error { return firstMember(err) })
	}},
	{"apiKeys without case", "APIKeysAreBytes", func(b *broken) {
		given(&b.createApplication, func(a *users.Application) { a.APIKey = strings.ToLower(a.APIKey) })
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
	{"a role found by two keys comes twice", "RolesByAnyKey", func(b *broken) {
		found(&b.findRoles, func(q users.RoleQuery, all []users.RoleRecord) []users.RoleRecord {
			if len(q.IDs) > 0 && len(q.NameKeys) > 0 && len(all) == 1 {
				all = append(all, all[0])
			}
			return all
		})
	}},
	{"no keys finds all roles", "RolesWithoutKeys", func(b *broken) {
		b.findRoles = func(ctx context.Context, q users.RoleQuery) ([]users.RoleRecord, error) {
			if len(q.IDs)+len(q.NameKeys) == 0 {
				return b.Store.ListRoles(ctx, q.ApplicationID, users.Page{})
			}
			return b.Store.FindRoles(ctx, q)
		}
	}},
	{"pages of roles overlap", "RolesListed", func(b *broken) {
		b.listRoles = func(ctx context.Context, app string, p users.Page) ([]users.RoleRecord, error) {
			if p.After != "" {
				p.After = p.After[:len(p.After)-1]
			}
			return b.Store.ListRoles(ctx, app, p)
		}
	}},
	{"roles are listed ten at most", "RolesListed", func(b *broken) {
		b.listRoles = func(ctx context.Context, app string, p users.Page) ([]users.RoleRecord, error) {
			p.Limit = cmp.Or(p.Limit, 10)
			return b.Store.ListRoles(ctx, app, p)
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

	{"createdBy is lost", "UserComesBack", creating(func(n *users.NewUser) { n.CreatedBy = "" })},
	{"failed sign-ins are lost", "UserComesBack", creating(func(n *users.NewUser) { n.Login.Failures = 0 })},
	{"locks are lost", "UserComesBack", creating(func(n *users.NewUser) { n.Login.LockedUntil = time.Time{} })},
	{"the last sign-in is lost", "UserComesBack", creating(func(n *users.NewUser) {
		n.LastLogin = time.Time{}
	})},
	{"the display key is lost", "UserComesBack", creating(func(n *users.NewUser) { n.DisplayKey = "" })},
	{"the date of the password is lost", "UserComesBack", creating(func(n *users.NewUser) {
		n.PasswordChanged = time.Time{}
	})},
	{"the date of the password is that of the user", "UserComesBack", creating(func(n *users.NewUser) {
		n.PasswordChanged = n.DateCreated
	})},
	{"the verification is lost", "UserComesBack", creating(func(n *users.NewUser) {
		n.EmailVerified = time.Time{}
	})},
	{"display names are cut at 255 bytes", "LimitsRoundTrip", creating(func(n *users.NewUser) {
		n.Name = n.Name[:min(len(n.Name), 255)]
	})},
	{"hashes are cut at 255 bytes", "LimitsRoundTrip", creating(func(n *users.NewUser) {
		hash := n.Hash.Reveal()
		n.Hash = password.NewHash(hash[:min(len(hash), 255)])
	})},
	{"callers are cut at 255 bytes", "LimitsRoundTrip", creating(func(n *users.NewUser) {
		if n.Idempotency != nil {
			n.Idempotency = new(*n.Idempotency)
			n.Idempotency.Caller = n.Idempotency.Caller[:min(len(n.Idempotency.Caller), 255)]
		}
	})},
	{"times to the millisecond", "TimesRoundTrip", creating(func(n *users.NewUser) {
		n.CreationDate = n.CreationDate.Truncate(time.Millisecond)
	})},
	{"times through Unix nanoseconds", "TimesRoundTrip", creating(func(n *users.NewUser) {
		n.DateUpdated = time.Unix(0, n.DateUpdated.UnixNano()).UTC()
	})},
	{"times in local time", "TimesRoundTrip", eachUser(func(_ users.UserQuery, u *users.UserRecord) {
		u.CreationDate = u.CreationDate.In(time.FixedZone("", 0))
	})},
	{"settings are compacted", "DashboardSettingsAreBytes", creating(func(n *users.NewUser) {
		var b bytes.Buffer
		if json.Compact(&b, n.DashboardSettings) == nil {
			n.DashboardSettings = b.Bytes()
		}
	})},
	{"settings are decoded and encoded", "DashboardSettingsAreBytes", creating(func(n *users.NewUser) {
		var v any
		if json.Unmarshal(n.DashboardSettings, &v) == nil {
			n.DashboardSettings, _ = json.Marshal(v)
		}
	})},
	{"only the first role is linked", "RolesOfAUser", creating(func(n *users.NewUser) {
		n.Roles = n.Roles[:min(len(n.Roles), 1)]
	})},
	{"roles in the order of the request", "RolesOfAUser", eachUser(func(_ users.UserQuery, u *users.UserRecord) {
		slices.Reverse(u.Roles)
	})},
	{"a user found by two keys comes twice", "UsersByAnyKey", func(b *broken) {
		found(&b.findUsers, func(q users.UserQuery, all []users.UserRecord) []users.UserRecord {
			if len(q.IDs) > 0 && len(q.NameKeys) > 0 && len(all) == 1 {
				all = append(all, all[0])
			}
			return all
		})
	}},
	{"users in order of name", "UsersByAnyKey", func(b *broken) {
		found(&b.findUsers, func(_ users.UserQuery, all []users.UserRecord) []users.UserRecord {
			slices.SortFunc(all, func(x, y users.UserRecord) int { return cmp.Compare(x.NameKey, y.NameKey) })
			return all
		})
	}},
	{"KeysOnly without the application", "KeysOnly", eachUser(func(q users.UserQuery, u *users.UserRecord) {
		if q.KeysOnly {
			u.ApplicationID = ""
		}
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
		creating(func(n *users.NewUser) { ids.Store(n.ID, true) })(b)
		asked(&b.findUsers, func(q *users.UserQuery) {
			if len(q.IDs)+len(q.NameKeys)+len(q.EmailKeys) > 0 {
				return
			}
			ids.Range(func(id, _ any) bool {
				q.IDs = append(q.IDs, id.(string))
				return true
			})
		})
	}},
	{"a user of no application is not found", "UserUnknownApplication", func(b *broken) {
		answered(&b.createUser, func(_ *users.NewUser, err error) error {
			if errors.Is(err, users.ErrUnknownApplication) {
				return users.ErrNotFound
			}
			return err
		})
	}},
	{"unknown roles are left out", "UserUnknownRole", func(b *broken) {
		creating(func(n *users.NewUser) {
			n.Roles = slices.DeleteFunc(slices.Clone(n.Roles), func(r users.Role) bool {
				q := users.RoleQuery{ApplicationID: n.ApplicationID, IDs: []string{r.ID}}
				found, _ := b.Store.FindRoles(context.Background(), q)
				return len(found) == 0
			})
		})(b)
	}},
	{"the caller's roles are sorted", "NewUserIsNotChanged", creating(func(n *users.NewUser) {
		slices.SortFunc(n.Roles, func(x, y users.Role) int { return cmp.Compare(x.ID, y.ID) })
	})},
	{"the caller's settings are kept", "StoreCopies", func(b *broken) {
		var kept sync.Map
		creating(func(n *users.NewUser) { kept.Store(n.ID, n.DashboardSettings) })(b)
		eachUser(func(_ users.UserQuery, u *users.UserRecord) {
			if raw, ok := kept.Load(u.ID); ok {
				u.DashboardSettings = raw.(json.RawMessage)
			}
		})(b)
	}},
	{"the caller's query is sorted", "StoreCopies", func(b *broken) {
		asked(&b.findUsers, func(q *users.UserQuery) { slices.Sort(q.IDs) })
	}},

	{"only one member in conflict is named", "EveryMemberInConflictIsNamed", func(b *broken) {
		answered(&b.createUser, func(_ *users.NewUser, err error) error { return firstMember(err) })
	}},
	{"members in conflict in order of the alphabet", "EveryMemberInConflictIsNamed", func(b *broken) {
		answered(&b.createUser, func(_ *users.NewUser, err error) error {
			if c := (*users.ConflictError)(nil); errors.As(err, &c) {
				slices.Sort(c.Members)
			}
			return err
		})
	}},
	{"a conflict keeps the notification", "ConflictWritesNothing", func(b *broken) {
		answered(&b.createUser, func(n *users.NewUser, err error) error {
			if errors.Is(err, users.ErrConflict) && len(n.Notifications) > 0 {
				stray := *n
				stray.NameKey, stray.EmailKey, stray.Idempotency, stray.OnCreate = n.ID, n.ID, nil, nil
				_ = b.Store.CreateUser(context.Background(), &stray)
			}
			return err
		})
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
	{"user names without case", "UserKeysAreBytes", creating(func(n *users.NewUser) {
		n.NameKey = strings.ToLower(n.NameKey)
	})},
	{"addresses without trailing blanks", "UserKeysAreBytes", creating(func(n *users.NewUser) {
		n.EmailKey = strings.TrimRight(n.EmailKey, " ")
	})},
	{"names are looked up first and conflict later unseen", "RacingNames", racy("userName")},
	{"addresses are looked up first and conflict later unseen", "RacingAddresses", racy("email")},
	{"ids are looked up first and conflict later unseen", "RacingIDs", racy("userName", "email", "id")},

	{"OnCreate is left out", "OnCreateRuns", creating(func(n *users.NewUser) { n.OnCreate = nil })},
	{"OnCreate runs after the commit", "OnCreateErrorUndoesEverything", inTxAfterwards},
	{"OnCreate runs after the commit, seen", "NothingIsSeenBeforeTheEnd", inTxAfterwards},
	{"OnCreate's error is not wrapped", "OnCreateErrorUndoesEverything", func(b *broken) {
		answered(&b.createUser, func(n *users.NewUser, err error) error {
			if n.OnCreate != nil && err != nil {
				return errors.New("rolled back")
			}
			return err
		})
	}},
	{"a panic of OnCreate is taken for success", "OnCreatePanicUndoesEverything", creating(func(n *users.NewUser) {
		if host := n.OnCreate; host != nil {
			n.OnCreate = func(ctx context.Context) error {
				defer func() { _ = recover() }()
				return host(ctx)
			}
		}
	})},
	{"the notification is written last, on its own", "LateFailureUndoesEverything", func(b *broken) {
		answered(&b.createUser, func(n *users.NewUser, err error) error {
			if err != nil && strings.Contains(err.Error(), "notification") {
				m := *n
				m.Notifications = nil
				_ = b.Store.CreateUser(context.Background(), &m)
			}
			return err
		})
	}},

	{"an update resets what it does not name", "StatusChangesWhatItNames", func(b *broken) {
		given(&b.setUserStatus, func(u *users.StatusUpdate) {
			if u.IsApproved == nil {
				u.IsApproved = new(false)
			}
		})
	}},
	{"the last writer wins", "StatusComparesVersions", func(b *broken) {
		given(&b.setUserStatus, func(u *users.StatusUpdate) {
			if version, ok := b.version(*u); ok {
				u.IfVersion = version
			}
		})
	}},
	{"an update of nobody is stale", "StatusOfNobody", func(b *broken) {
		answered(&b.setUserStatus, func(_ users.StatusUpdate, err error) error {
			if errors.Is(err, users.ErrNotFound) {
				return users.ErrStale
			}
			return err
		})
	}},
	{"versions are compared before the update", "RacingStatusUpdates", func(b *broken) {
		b.setUserStatus = func(ctx context.Context, u users.StatusUpdate) error {
			version, ok := b.version(u)
			untilAllHaveLooked()
			err := b.Store.SetUserStatus(ctx, u)
			if ok && version == u.IfVersion {
				return except(users.ErrStale, err)
			}
			return err
		}
	}},

	{"dead records are hidden", "IdempotencyRecordComesBack", func(b *broken) {
		b.findRecord = func(ctx context.Context, k users.IdempotencyKey) (users.IdempotencyRecord, error) {
			r, err := b.Store.FindIdempotencyRecord(ctx, k)
			if err == nil && r.Lifetime <= 0 {
				return users.IdempotencyRecord{}, users.ErrNotFound
			}
			return r, err
		}
	}},
	{"keys of all callers are one", "IdempotencyRecordComesBack", func(b *broken) {
		creating(func(n *users.NewUser) {
			if n.Idempotency != nil {
				n.Idempotency = new(*n.Idempotency)
				n.Idempotency.Caller = ""
			}
		})(b)
		asked(&b.findRecord, func(k *users.IdempotencyKey) { k.Caller = "" })
	}},
	{"a conflict comes before a used key", "LiveKeyRefuses", func(b *broken) {
		answered(&b.createUser, func(n *users.NewUser, err error) error {
			if !errors.Is(err, users.ErrIdempotencyKeyUsed) {
				return err
			}
			q := users.UserQuery{ApplicationID: n.ApplicationID, NameKeys: []string{n.NameKey}}
			found, _ := b.Store.FindUsers(context.Background(), q)
			return cmp.Or(users.CheckConflict(&n.UserRecord, found), err)
		})
	}},
	{"a record dies only after its end", "DeadRecordIsReplaced", creating(func(n *users.NewUser) {
		if n.Idempotency != nil && n.Idempotency.Lifetime == 0 {
			n.Idempotency = new(*n.Idempotency)
			n.Idempotency.Lifetime = time.Minute
		}
	})},
	{"a record ends by the dates of the user", "LiveKeyRefuses", creating(func(n *users.NewUser) {
		if n.Idempotency != nil {
			n.Idempotency = new(*n.Idempotency)
			n.Idempotency.Lifetime -= time.Since(n.DateCreated)
		}
	})},
	{"records do not tell what is left", "IdempotencyLifetimeRunsDown", func(b *broken) {
		b.findRecord = func(ctx context.Context, k users.IdempotencyKey) (users.IdempotencyRecord, error) {
			r, err := b.Store.FindIdempotencyRecord(ctx, k)
			r.Lifetime = r.Lifetime.Round(time.Hour)
			return r, err
		}
	}},
	{"a refused user uses the key up", "RefusedUserKeepsTheKey", func(b *broken) {
		answered(&b.createUser, func(n *users.NewUser, err error) error {
			if err != nil && n.Idempotency != nil {
				stray := users.NewUser{UserRecord: n.UserRecord, Idempotency: n.Idempotency}
				stray.ID = "stray-" + n.ID
				stray.Roles, stray.NameKey, stray.EmailKey = nil, stray.ID, stray.ID
				_ = b.Store.CreateUser(context.Background(), &stray)
			}
			return err
		})
	}},
	{"keys are looked up first and conflict later unseen", "RacingIdempotencyKeys", func(b *broken) {
		b.createUser = func(ctx context.Context, n *users.NewUser) error {
			if n.Idempotency == nil {
				return b.Store.CreateUser(ctx, n)
			}
			r, err := b.Store.FindIdempotencyRecord(ctx, n.Idempotency.IdempotencyKey)
			if err == nil && r.Lifetime > 0 {
				return users.ErrIdempotencyKeyUsed
			}
			untilAllHaveLooked()
			return except(users.ErrIdempotencyKeyUsed, b.Store.CreateUser(ctx, n))
		}
	}},
	{"Purge takes everything", "PurgeIsBounded", func(b *broken) {
		b.purge = func(ctx context.Context, _ int) (int, error) {
			return b.Store.Purge(ctx, 1<<30)
		}
	}},
	{"Purge leaves what has just ended", "PurgeIsBounded", creating(func(n *users.NewUser) {
		if n.Idempotency != nil && n.Idempotency.Lifetime == 0 {
			n.Idempotency = new(*n.Idempotency)
			n.Idempotency.Lifetime = time.Minute
		}
	})},

	{"the context is ignored", "CanceledBefore", func(b *broken) {
		b.createUser = func(ctx context.Context, n *users.NewUser) error {
			return b.Store.CreateUser(context.WithoutCancel(ctx), n)
		}
	}},
	{"reads ignore the context", "CanceledBefore", func(b *broken) {
		b.findRecord = func(ctx context.Context, k users.IdempotencyKey) (users.IdempotencyRecord, error) {
			return b.Store.FindIdempotencyRecord(context.WithoutCancel(ctx), k)
		}
	}},
	{"edits ignore the context", "CanceledBefore", func(b *broken) {
		b.editUser = func(ctx context.Context, e *users.UserEdit) error {
			return b.Store.EditUser(context.WithoutCancel(ctx), e)
		}
	}},
	{"the context is asked at the start only", "CanceledInside", func(b *broken) {
		b.createUser = func(ctx context.Context, n *users.NewUser) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return b.Store.CreateUser(context.WithoutCancel(ctx), n)
		}
	}},
	{"who waits can't be canceled", "CanceledWhileWaiting", func(b *broken) {
		b.createUser = func(ctx context.Context, n *users.NewUser) error {
			if n.OnCreate == nil && ctx.Err() == nil {
				ctx = context.WithoutCancel(ctx)
			}
			return b.Store.CreateUser(ctx, n)
		}
	}},

	{"the newest due come first", "ClaimInOrderOfDue", func(b *broken) {
		found(&b.claim, func(_ users.Claim, rows []users.NotificationRecord) []users.NotificationRecord {
			slices.Reverse(rows)
			return rows
		})
	}},
	{"attempts are not counted", "ClaimInOrderOfDue", func(b *broken) {
		found(&b.claim, func(_ users.Claim, rows []users.NotificationRecord) []users.NotificationRecord {
			for i := range rows {
				rows[i].Attempts--
			}
			return rows
		})
	}},
	{"urgency is lost", "UrgentFirst", creating(func(n *users.NewUser) {
		n.Notifications = slices.Clone(n.Notifications)
		for i := range n.Notifications {
			n.Notifications[i].Urgent = false
		}
	})},
	{"urgency of Enqueue is lost", "UrgentFirst", func(b *broken) {
		b.enqueue = func(ctx context.Context, r users.NotificationRecord, gap time.Duration) error {
			r.Urgent = false
			return b.Store.Enqueue(ctx, r, gap)
		}
	}},
	{"the first application is served first", "ClaimByTurns", func(b *broken) {
		asked(&b.claim, func(c *users.Claim) { c.After = "" })
	}},
	{"no turn goes around the end", "ClaimByTurns", func(b *broken) {
		b.claim = func(ctx context.Context, c users.Claim) ([]users.NotificationRecord, error) {
			rows, err := b.Store.Claim(ctx, c)
			if len(rows) > 0 && rows[0].ApplicationID <= c.After {
				return nil, err
			}
			return rows, err
		}
	}},
	{"applications are mixed", "ClaimByTurns", func(b *broken) {
		b.claim = func(ctx context.Context, c users.Claim) (all []users.NotificationRecord, err error) {
			for {
				rows, err := b.Store.Claim(ctx, c)
				all = append(all, rows...)
				c.Limit -= len(rows)
				if err != nil || len(rows) == 0 {
					return all, err
				}
			}
		}
	}},
	{"nobody is passed over", "ClaimExcept", func(b *broken) {
		asked(&b.claim, func(c *users.Claim) { c.Except = nil })
	}},
	{"only one is passed over", "ClaimExcept", func(b *broken) {
		asked(&b.claim, func(c *users.Claim) { c.Except = c.Except[:min(len(c.Except), 1)] })
	}},
	{"there are no leases", "ClaimOnce", func(b *broken) {
		asked(&b.claim, func(c *users.Claim) { c.Lease = 0 })
	}},
	{"rows are read, then leased", "RacingClaims", func(b *broken) {
		var last atomic.Pointer[[]users.NotificationRecord]
		found(&b.claim, func(_ users.Claim, rows []users.NotificationRecord) []users.NotificationRecord {
			if len(rows) > 0 {
				if seen := last.Swap(&rows); seen != nil {
					return append(*seen, rows...)
				}
			}
			return rows
		})
	}},
	{"leases never end", "LeaseRunsOut", func(b *broken) {
		asked(&b.claim, func(c *users.Claim) { c.Lease = 1000 * time.Hour })
	}},
	{"a lost lease goes unsaid", "LostLeaseIsStale", func(b *broken) {
		answered(&b.settle, func(_ users.Settlement, err error) error { return except(users.ErrStale, err) })
	}},
	{"anybody may settle", "LostLeaseIsStale", func(b *broken) {
		var owners sync.Map
		found(&b.claim, func(c users.Claim, rows []users.NotificationRecord) []users.NotificationRecord {
			for _, r := range rows {
				owners.Store(r.ID, c.Worker)
			}
			return rows
		})
		given(&b.settle, func(s *users.Settlement) {
			if w, ok := owners.Load(s.ID); ok {
				s.Worker = w.(string)
			}
		})
	}},
	{"delivered rows stay as discarded", "SettleDelivered", func(b *broken) {
		given(&b.settle, func(s *users.Settlement) {
			if s.Outcome == users.OutcomeDelivered {
				s.Outcome = users.OutcomeDiscarded
			}
		})
	}},
	{"a retry comes at once", "SettleForRetry", func(b *broken) {
		given(&b.settle, func(s *users.Settlement) { s.RetryIn = 0 })
	}},
	{"what was released counts", "SettleReleased", func(b *broken) {
		given(&b.settle, func(s *users.Settlement) {
			if s.Outcome == users.OutcomeReleased {
				s.Outcome = users.OutcomeRetry
			}
		})
	}},
	{"a discarded row loses its error", "DiscardAndRetry", func(b *broken) {
		given(&b.settle, func(s *users.Settlement) {
			if s.Outcome == users.OutcomeDiscarded {
				s.LastError = ""
			}
		})
	}},
	{"anything can be retried", "DiscardAndRetry", func(b *broken) {
		b.retry = func(ctx context.Context, app, id string) error {
			return except(users.ErrNotFound, b.Store.Retry(ctx, app, id))
		}
	}},
	{"discarded rows keep their due time", "DiscardedIsDatedNow", func(b *broken) {
		found(&b.listNotifications, func(_ users.NotificationQuery, rows []users.NotificationRecord) []users.NotificationRecord {
			for i := range rows {
				rows[i].Due = rows[i].Created
			}
			return rows
		})
	}},
	{"what was given up is purged at once", "DiscardedArePurged", purging(func(age *time.Duration, _ *int) { *age = 0 })},
	{"purging knows no limit", "DiscardedArePurged", purging(func(_ *time.Duration, limit *int) { *limit = 100 })},
	{"what was given up is kept", "DiscardedArePurged", purging(func(age *time.Duration, _ *int) { *age = time.Hour })},
	{"a retry beside a pending one goes unsaid", "RetryBesidePending", func(b *broken) {
		b.retry = func(ctx context.Context, app, id string) error {
			return except(users.ErrConflict, b.Store.Retry(ctx, app, id))
		}
	}},
	{"only the first notification is kept", "TwoNotifications", creating(func(n *users.NewUser) {
		n.Notifications = n.Notifications[:min(len(n.Notifications), 1)]
	})},
	{"the due time of the caller counts", "EnqueueIsDueNow", func(b *broken) {
		b.enqueue = func(ctx context.Context, r users.NotificationRecord, gap time.Duration) error {
			if r.Due.After(time.Now()) {
				return nil // as good as never
			}
			return b.Store.Enqueue(ctx, r, gap)
		}
	}},
	{"pending rows are not looked for", "EnqueueOncePending", enqueueAlways},
	{"pending rows are not looked for, racing", "RacingEnqueues", enqueueAlways},
	{"who asks again waits for the retry", "EnqueueHastens", func(b *broken) {
		b.enqueue = func(ctx context.Context, r users.NotificationRecord, gap time.Duration) error {
			rows, err := b.Store.ListNotifications(ctx, users.NotificationQuery{ApplicationID: r.ApplicationID})
			for _, row := range rows {
				if row.UserID == r.UserID && row.Kind == r.Kind && row.State == users.StatePending {
					return nil
				}
			}
			if err != nil {
				return err
			}
			return b.Store.Enqueue(ctx, r, gap)
		}
	}},
	{"a notice stays among the others", "EnqueueMakesUrgent", func(b *broken) {
		b.enqueue = func(ctx context.Context, r users.NotificationRecord, gap time.Duration) error {
			rows, _ := b.Store.ListNotifications(ctx, users.NotificationQuery{ApplicationID: r.ApplicationID})
			r.Urgent = r.Urgent && !slices.ContainsFunc(rows, func(row users.NotificationRecord) bool { return row.UserID == r.UserID })
			return b.Store.Enqueue(ctx, r, gap)
		}
	}},
	{"asking uses up the attempts", "EnqueueHastensRarely", func(b *broken) {
		b.enqueue = func(ctx context.Context, r users.NotificationRecord, _ time.Duration) error {
			return b.Store.Enqueue(ctx, r, 0)
		}
	}},
	{"the gap is not kept", "EnqueueKeepsTheGap", func(b *broken) {
		b.enqueue = func(ctx context.Context, r users.NotificationRecord, _ time.Duration) error {
			return b.Store.Enqueue(ctx, r, 0)
		}
	}},
	{"the gap does not grow", "EnqueueKeepsTheGap", func(b *broken) {
		var mu sync.Mutex
		youngest := map[string]time.Time{}
		b.createToken = func(ctx context.Context, t users.TokenRecord) error {
			mu.Lock()
			defer mu.Unlock()
			if old := youngest[t.UserID]; old.After(t.Created) {
				t.Created = time.Now().Add(-2 * users.RecoveryWindow)
			} else {
				youngest[t.UserID] = t.Created
			}
			return b.Store.CreateToken(ctx, t)
		}
	}},
	{"each token counts as a message", "EnqueueCountsMessages", func(b *broken) {
		given(&b.createToken, func(t *users.TokenRecord) { t.NotificationID = fmt.Sprintf("%x", t.Sum) })
	}},
	{"tokens count for ever", "EnqueueKeepsTheGap", func(b *broken) {
		given(&b.createToken, func(t *users.TokenRecord) {
			if time.Since(t.Created) > users.RecoveryWindow {
				t.Created = time.Now().Add(time.Hour - users.RecoveryWindow)
			}
		})
	}},
	{"who asks again hastens whatever was sent", "EnqueueHastensAfterTheGap", func(b *broken) {
		given(&b.createToken, func(t *users.TokenRecord) { t.Created = time.Unix(0, 0) })
	}},
	{"the caller's clock dates notifications", "NotificationOfNow", creating(func(n *users.NewUser) {
		n.Notifications = slices.Clone(n.Notifications)
		for i := range n.Notifications {
			if r := &n.Notifications[i]; r.Created.IsZero() {
				r.Created, r.Due = n.DateCreated, n.DateCreated
			}
		}
	})},
	{"rows for nobody are dropped unsaid", "EnqueueUnknownUser", func(b *broken) {
		b.enqueue = func(ctx context.Context, r users.NotificationRecord, gap time.Duration) error {
			return except(users.ErrNotFound, b.Store.Enqueue(ctx, r, gap))
		}
	}},
	{"a taken id is dropped unsaid", "EnqueueTakenID", func(b *broken) {
		b.enqueue = func(ctx context.Context, r users.NotificationRecord, gap time.Duration) error {
			if err := b.Store.Enqueue(ctx, r, gap); err == nil || errors.Is(err, users.ErrNotFound) || ctx.Err() != nil {
				return err
			}
			return nil
		}
	}},
	{"states are not asked for", "NotificationsListed", func(b *broken) {
		asked(&b.listNotifications, func(q *users.NotificationQuery) { q.States = nil })
	}},

	{"tokens lose their time", "TokenComesBack", func(b *broken) {
		given(&b.createToken, func(t *users.TokenRecord) { t.Created = t.Created.Truncate(time.Second) })
	}},
	{"tokens lose their purpose", "TokenComesBack", func(b *broken) {
		given(&b.createToken, func(t *users.TokenRecord) { t.Purpose = "" })
	}},
	{"tokens are all of one purpose", "TokenComesBack", func(b *broken) {
		given(&b.createToken, func(t *users.TokenRecord) { t.Purpose = users.PurposeSetPassword })
	}},
	{"tokens lose their address", "TokenComesBack", func(b *broken) {
		given(&b.createToken, func(t *users.TokenRecord) { t.EmailKey = "" })
	}},
	{"tokens for nobody are dropped unsaid", "TokenUnknownUser", func(b *broken) {
		answered(&b.createToken, func(_ users.TokenRecord, err error) error {
			return except(users.ErrNotFound, err)
		})
	}},
	{"the other tokens stay good", "TokenIsRedeemed", func(b *broken) {
		var all sync.Map
		given(&b.createToken, func(t *users.TokenRecord) { all.Store(*t, true) })
		answered(&b.redeemToken, func(r users.Redemption, err error) error {
			all.Range(func(t, _ any) bool {
				if err == nil && t.(users.TokenRecord).Sum != r.Sum {
					_ = b.Store.CreateToken(context.Background(), t.(users.TokenRecord))
				}
				return true
			})
			return err
		})
	}},
	{"a redemption leaves a gap", "RedeemedUserIsWrittenToAtOnce", func(b *broken) {
		answered(&b.redeemToken, func(r users.Redemption, err error) error {
			if err == nil {
				_ = b.Store.CreateToken(context.Background(), users.TokenRecord{
					ApplicationID: r.ApplicationID, UserID: r.UserID, Sum: [32]byte{250}, Lifetime: -time.Hour,
				})
			}
			return err
		})
	}},
	{"a redemption leaves a lock", "TokenIsRedeemed", func(b *broken) {
		var logins sync.Map
		creating(func(n *users.NewUser) { logins.Store(n.ID, n.Login) })(b)
		eachUser(func(_ users.UserQuery, u *users.UserRecord) {
			if l, ok := logins.Load(u.ID); ok {
				u.Login = l.(users.LoginState)
			}
		})(b)
	}},
	{"a redemption forgets the last sign-in", "TokenIsRedeemed", func(b *broken) {
		eachUser(func(_ users.UserQuery, u *users.UserRecord) {
			if u.Version > 1 {
				u.LastLogin = time.Time{}
			}
		})(b)
	}},
	{"a redemption notifies nobody", "TokenNotifies", redeeming(func(r *users.Redemption) { r.Notifications = nil })},
	{"a redemption dates its notifications", "TokenNotifies", redeeming(func(r *users.Redemption) {
		r.Notifications = slices.Clone(r.Notifications)
		for i := range r.Notifications {
			r.Notifications[i].Due = r.Now
		}
	})},
	{"a redemption fails beside a pending notification", "TokenBesidePending", func(b *broken) {
		b.redeemToken = func(ctx context.Context, r users.Redemption) error {
			if len(r.Notifications) > 0 && b.waiting(r.ApplicationID, r.UserID, r.Notifications[0].Kind) {
				return errors.New("duplicate key")
			}
			return b.Store.RedeemToken(ctx, r)
		}
	}},
	{"a held row stays and a redemption adds none", "TokenBesidePending", func(b *broken) {
		redeeming(func(r *users.Redemption) {
			r.Notifications = slices.DeleteFunc(slices.Clone(r.Notifications), func(n users.NotificationRecord) bool {
				return b.waiting(r.ApplicationID, r.UserID, n.Kind)
			})
		})(b)
	}},
	{"a redemption looks for any notification of the kind", "TokenBesidePending", func(b *broken) {
		redeeming(func(r *users.Redemption) {
			rows, _ := b.Store.ListNotifications(context.Background(), users.NotificationQuery{ApplicationID: r.ApplicationID})
			r.Notifications = slices.DeleteFunc(slices.Clone(r.Notifications), func(n users.NotificationRecord) bool {
				return slices.ContainsFunc(rows, func(o users.NotificationRecord) bool { return o.UserID == r.UserID && o.Kind == n.Kind })
			})
		})(b)
	}},
	{"a redemption looks for a pending notification first", "RacingRedemptionsAndEnqueues", func(b *broken) {
		b.enqueue = func(ctx context.Context, r users.NotificationRecord, gap time.Duration) error {
			untilAllHaveLooked()
			return b.Store.Enqueue(ctx, r, gap)
		}
		b.redeemToken = func(ctx context.Context, r users.Redemption) error {
			free := len(r.Notifications) > 0 && !b.waiting(r.ApplicationID, r.UserID, r.Notifications[0].Kind)
			untilAllHaveLooked()
			untilAllHaveLooked()
			if free && b.waiting(r.ApplicationID, r.UserID, r.Notifications[0].Kind) {
				return errors.New("duplicate key")
			}
			return b.Store.RedeemToken(ctx, r)
		}
	}},
	{"a bad token notifies", "BadTokenChangesNothing", func(b *broken) {
		answered(&b.redeemToken, func(r users.Redemption, err error) error {
			for _, n := range r.Notifications {
				if errors.Is(err, users.ErrBadToken) {
					_ = b.Store.Enqueue(context.Background(), n, 0)
				}
			}
			return err
		})
	}},
	{"tokens live for ever", "BadTokenChangesNothing", func(b *broken) {
		given(&b.createToken, func(t *users.TokenRecord) { t.Lifetime = max(t.Lifetime, time.Minute) })
	}},
	{"tokens do not tell what is left", "TokenLifetimeRunsDown", func(b *broken) {
		b.findToken = func(ctx context.Context, app string, sum [32]byte) (users.TokenRecord, error) {
			t, err := b.Store.FindToken(ctx, app, sum)
			t.Lifetime = t.Lifetime.Round(time.Hour)
			return t, err
		}
	}},
	{"the caller's clock dates tokens", "TokenOfNow", func(b *broken) {
		given(&b.createToken, func(t *users.TokenRecord) {
			if t.Created.IsZero() {
				t.Created = time.Unix(0, 0)
			}
		})
	}},
	{"the caller says whose a token is", "BadTokenChangesNothing", func(b *broken) {
		b.redeemToken = func(ctx context.Context, r users.Redemption) error {
			t, err := b.Store.FindToken(ctx, r.ApplicationID, r.Sum)
			if err == nil && t.UserID != r.UserID {
				t.UserID, t.Sum, t.EmailKey = r.UserID, [32]byte{255}, ""
				_ = b.Store.CreateToken(ctx, t)
				r.Sum = t.Sum
			}
			return b.Store.RedeemToken(ctx, r)
		}
	}},
	{"the address of a token is not compared", "TokenOfAnotherAddress", func(b *broken) {
		var addresses sync.Map
		given(&b.createToken, func(t *users.TokenRecord) {
			addresses.Store(t.Sum, t.EmailKey)
			t.EmailKey = ""
		})
		b.findToken = func(ctx context.Context, app string, sum [32]byte) (users.TokenRecord, error) {
			t, err := b.Store.FindToken(ctx, app, sum)
			if address, ok := addresses.Load(sum); ok && err == nil {
				t.EmailKey = address.(string)
			}
			return t, err
		}
	}},
	{"a token of no address is good for nobody", "TokenOfAnotherAddress", func(b *broken) {
		b.redeemToken = func(ctx context.Context, r users.Redemption) error {
			if t, err := b.Store.FindToken(ctx, r.ApplicationID, r.Sum); err == nil && t.EmailKey == "" {
				return users.ErrBadToken
			}
			return b.Store.RedeemToken(ctx, r)
		}
	}},
	{"a token is used twice at once", "RacingRedemptions", func(b *broken) {
		b.redeemToken = func(ctx context.Context, r users.Redemption) error {
			if _, err := b.Store.FindToken(ctx, r.ApplicationID, r.Sum); err != nil {
				return users.ErrBadToken
			}
			untilAllHaveLooked()
			return except(users.ErrBadToken, b.Store.RedeemToken(ctx, r))
		}
	}},
	{"Purge does not count tokens", "PurgeTakesTokens", func(b *broken) {
		b.purge = func(ctx context.Context, limit int) (int, error) {
			n, err := b.Store.Purge(ctx, limit)
			return min(n, 1), err
		}
	}},
	{"Purge takes tokens at their end", "PurgeTakesTokens", func(b *broken) {
		given(&b.createToken, func(t *users.TokenRecord) {
			if t.Lifetime < 0 {
				t.Lifetime -= users.RecoveryWindow
			}
		})
	}},
}

// version returns the version of the user that u is about.
func (b *broken) version(u users.StatusUpdate) (version int64, ok bool) {
	q := users.UserQuery{ApplicationID: u.ApplicationID, IDs: []string{u.ID}}
	found, _ := b.Store.FindUsers(context.Background(), q)
	if len(found) != 1 {
		return 0, false
	}
	return found[0].Version, true
}

func inTxAfterwards(b *broken) {
	b.createUser = func(ctx context.Context, n *users.NewUser) error {
		m := *n
		m.OnCreate = nil
		if err := b.Store.CreateUser(ctx, &m); err != nil || n.OnCreate == nil {
			return err
		}
		return n.OnCreate(ctx)
	}
}

// purging returns what changes the arguments of PurgeDiscarded.
func purging(change func(age *time.Duration, limit *int)) func(*broken) {
	return func(b *broken) {
		b.purgeDiscarded = func(ctx context.Context, age time.Duration, limit int) (int, error) {
			change(&age, &limit)
			return b.Store.PurgeDiscarded(ctx, age, limit)
		}
	}
}

// enqueueAlways gives each row a kind of its own, which listings do not show.
func enqueueAlways(b *broken) {
	var n atomic.Int64
	b.enqueue = func(ctx context.Context, r users.NotificationRecord, gap time.Duration) error {
		r.Kind = fmt.Sprintf("%s#%d", r.Kind, n.Add(1))
		return b.Store.Enqueue(ctx, r, gap)
	}

	found(&b.claim, plainKinds[users.Claim])
	found(&b.listNotifications, plainKinds[users.NotificationQuery])
}

func plainKinds[A any](_ A, rows []users.NotificationRecord) []users.NotificationRecord {
	for i := range rows {
		rows[i].Kind, _, _ = strings.Cut(rows[i].Kind, "#")
	}
	return rows
}

// check runs all cases on stores that s makes.
func check(s func() users.Store) error {
	return storetest.Check(func() (users.Store, func(), error) { return s(), nil, nil })
}

// breaches returns what err lists.
func breaches(err error) []*storetest.Breach {
	var all []*storetest.Breach
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			if b := (*storetest.Breach)(nil); errors.As(e, &b) {
				all = append(all, b)
			}
		}
	}
	return all
}

// breached returns the names of the cases that err lists.
func breached(err error) []string {
	var names []string
	for _, b := range breaches(err) {
		names = append(names, b.Case)
	}
	return names
}

// dead returns a store whose every method fails, and with it every case.
func dead() users.Store {
	return storefake.Around(memstore.New(), func(context.Context, storefake.Method, any, func() error) error {
		return users.ErrUnavailable
	})
}

func TestEveryBrokenStoreIsCaughtByItsCase(t *testing.T) {
	t.Parallel()
	for _, c := range allBroken() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				err := check(func() users.Store {
					b := newBroken()
					c.spoil(b)
					return b
				})
				if got := breached(err); !slices.Contains(got, c.by) {
					t.Errorf("got breaches %q, want %s among them\n%v", got, c.by, err)
				}
			})
		})
	}
}

func TestEveryCaseHasABrokenStore(t *testing.T) {
	t.Parallel()
	caught := map[string]bool{"NotificationWithoutOutbox": true, "EditWithoutOutbox": true, "TokenWithoutOutbox": true, "BatchWithoutOutbox": true} // TestStoresWithoutCapabilities
	for _, c := range allBroken() {
		caught[c.by] = true
	}
	for _, name := range breached(check(dead)) {
		if !caught[name] {
			t.Errorf("no store in brokenStores is there for %s", name)
		}
	}
}

// dropping is a store without an outbox that drops notifications and returns nil.
type dropping struct{ users.Store }

func (d dropping) CreateUser(ctx context.Context, n *users.NewUser) error {
	m := *n
	m.Notifications = nil
	return d.Store.CreateUser(ctx, &m)
}

// Both are honest: to keep links to deleted roles for Purge, and to leave none.
func TestStoreThatLeavesNothingOfDeletedRolesPasses(t *testing.T) {
	t.Parallel()
	err := check(func() users.Store {
		b := newBroken()
		b.deleteRole = func(ctx context.Context, app, id string) error {
			err := b.Store.DeleteRole(ctx, app, id)
			if err == nil {
				_, err = b.Store.Purge(ctx, 1<<30)
			}
			return err
		}
		return b
	})
	if err != nil {
		t.Errorf("got %v, want no breach", err)
	}
}

// withoutOutbox is a store that can edit users and has no outbox.
type withoutOutbox struct {
	users.Store
	users.UserEditor
}

func (w withoutOutbox) EditUser(ctx context.Context, e *users.UserEdit) error {
	if len(e.Notifications) > 0 {
		return users.ErrUnsupported
	}
	return w.UserEditor.EditUser(ctx, e)
}

// tokensWithoutOutbox are those of a store without an outbox.
type tokensWithoutOutbox struct{ users.TokenStore }

func (w tokensWithoutOutbox) RedeemToken(ctx context.Context, r users.Redemption) error {
	if len(r.Notifications) > 0 {
		return users.ErrUnsupported
	}
	return w.TokenStore.RedeemToken(ctx, r)
}

// batchesWithoutOutbox are those of a store without an outbox.
type batchesWithoutOutbox struct{ users.BatchStore }

func (w batchesWithoutOutbox) CreateUsers(ctx context.Context, ns []*users.NewUser) ([]error, error) {
	for _, n := range ns {
		if len(n.Notifications) > 0 {
			return nil, users.ErrUnsupported
		}
	}
	return w.BatchStore.CreateUsers(ctx, ns)
}

func TestStoresWithoutCapabilities(t *testing.T) {
	t.Parallel()
	good := func() users.Store { return storefake.Without(memstore.New()) }
	if err := check(good); err != nil {
		t.Errorf("a store that refuses notifications: got %v, want no breach", err)
	}

	err := check(func() users.Store { return dropping{storefake.Without(memstore.New())} })
	if got := breached(err); !slices.Equal(got, []string{"NotificationWithoutOutbox"}) {
		t.Errorf("a store that drops notifications: got breaches %q, want NotificationWithoutOutbox", got)
	}

	editing := func() users.Store {
		s := memstore.New()
		return withoutOutbox{storefake.Without(s), s}
	}
	if err := check(editing); err != nil {
		t.Errorf("a store that refuses the notifications of edits: got %v, want no breach", err)
	}
	err = check(func() users.Store {
		s := memstore.New()
		return struct {
			users.Store
			users.UserEditor
		}{storefake.Without(s), s}
	})
	if got := breached(err); !slices.Equal(got, []string{"EditWithoutOutbox"}) {
		t.Errorf("a store that drops the notifications of edits: got breaches %q, want EditWithoutOutbox", got)
	}

	redeeming := func(tokens users.TokenStore, s users.Store) users.Store {
		return struct {
			users.Store
			users.TokenStore
		}{storefake.Without(s), tokens}
	}
	err = check(func() users.Store {
		s := memstore.New()
		return redeeming(tokensWithoutOutbox{s}, s)
	})
	if err != nil {
		t.Errorf("a store that refuses the notifications of redemptions: got %v, want no breach", err)
	}
	err = check(func() users.Store {
		s := memstore.New()
		return redeeming(s, s)
	})
	if got := breached(err); !slices.Equal(got, []string{"TokenWithoutOutbox"}) {
		t.Errorf("a store that drops the notifications of redemptions: got breaches %q, want TokenWithoutOutbox", got)
	}

	inBatches := func(batches users.BatchStore, s users.Store) users.Store {
		return struct {
			users.Store
			users.BatchStore
		}{storefake.Without(s), batches}
	}
	err = check(func() users.Store {
		s := memstore.New()
		return inBatches(batchesWithoutOutbox{s}, s)
	})
	if err != nil {
		t.Errorf("a store that refuses the notifications of batches: got %v, want no breach", err)
	}
	err = check(func() users.Store {
		s := memstore.New()
		return inBatches(s, s)
	})
	if got := breached(err); !slices.Equal(got, []string{"BatchWithoutOutbox"}) {
		t.Errorf("a store that drops the notifications of batches: got breaches %q, want BatchWithoutOutbox", got)
	}

	all := breached(check(dead))
	got := breached(check(func() users.Store { return storefake.Without(dead()) }))
	for _, name := range []string{"ClaimOnce", "EnqueueKeepsTheGap", "TokenComesBack", "ListOrders", "EditReplaces", "BatchCreates"} {
		if !slices.Contains(all, name) || slices.Contains(got, name) {
			t.Errorf("%s ran on a store without capabilities, or did not run on one with them", name)
		}
	}
	if !slices.Contains(got, "UserComesBack") {
		t.Error("UserComesBack did not run on a store without capabilities")
	}
}

func TestWrapperIsCheckedWithTheCapabilitiesInside(t *testing.T) {
	t.Parallel()
	t.Run("passes", func(t *testing.T) {
		storetest.Run(t, func(testing.TB) users.Store { return storefake.Wrapped(memstore.New()) })
	})

	all := breached(check(dead))
	got := breached(check(func() users.Store { return storefake.Wrapped(dead()) }))
	if !slices.Equal(got, all) {
		t.Errorf("got the cases %q, want all: %q", got, all)
	}
}

// astray is a wrapper whose capabilities are another store's.
type astray struct{ users.Store }

func (astray) Unwrap() users.Store { return memstore.New() }

func TestWrapperThatLeadsToAnotherStoreIsCaught(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got := breached(check(func() users.Store { return astray{memstore.New()} }))
		for _, want := range []string{"NotificationWithoutOutbox", "ClaimOnce", "TokenComesBack"} {
			if !slices.Contains(got, want) {
				t.Errorf("got breaches %q, want %s among them", got, want)
			}
		}
	})
}

func TestCheckReportsWhatFreshReturnsAndClosesEachStore(t *testing.T) {
	t.Parallel()
	boom := errors.New("no database")
	err := storetest.Check(func() (users.Store, func(), error) { return nil, nil, boom })
	if !errors.Is(err, boom) {
		t.Errorf("got %v, want %v", err, boom)
	}

	made, closed := 0, 0
	err = storetest.Check(func() (users.Store, func(), error) {
		made++
		return memstore.New(), func() { closed++ }, nil
	})
	if err != nil || made != closed || made < 50 {
		t.Errorf("got error %v, %d stores made and %d closed", err, made, closed)
	}
}
