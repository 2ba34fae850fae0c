package storetest_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"

	"github.com/gousers/users"
)

// brokenEdits break what EditUser promises.
var brokenEdits = []brokenStore{
	{"an edit loses the display key", "EditReplaces", editing(func(e *users.UserEdit) { e.DisplayKey = "" })},
	{"an edit can't take the verification back", "EditReplaces", func(b *broken) {
		b.editUser = func(ctx context.Context, e *users.UserEdit) error {
			c := *e
			for _, u := range b.withIDs(e.ApplicationID, e.ID) {
				if c.EmailVerified.IsZero() {
					c.EmailVerified = u.EmailVerified
				}
			}
			return b.Store.EditUser(ctx, &c)
		}
	}},
	{"an edit counts twice", "EditReplaces", func(b *broken) {
		answered(&b.editUser, func(e *users.UserEdit, err error) error {
			if err == nil {
				_ = b.Store.SetUserStatus(context.Background(), users.StatusUpdate{
					ApplicationID: e.ApplicationID, ID: e.ID, IfVersion: e.Version + 1, DateUpdated: e.DateUpdated,
				})
			}
			return err
		})
	}},
	{"an edit replaces the hash always", "EditKeeps", editing(func(e *users.UserEdit) { e.SetHash = true })},
	{"an edit replaces who created the user", "EditKeeps", func(b *broken) {
		var creators sync.Map
		editing(func(e *users.UserEdit) { creators.Store(e.ID, e.CreatedBy) })(b)
		eachUser(func(_ users.UserQuery, u *users.UserRecord) {
			if by, ok := creators.Load(u.ID); ok && u.Version > 1 {
				u.CreatedBy = by.(string)
			}
		})(b)
	}},
	{"an edit replaces the last sign-in", "EditKeeps", func(b *broken) {
		answered(&b.editUser, func(e *users.UserEdit, err error) error {
			for _, u := range b.withIDs(e.ApplicationID, e.ID) {
				if err == nil && u.Login.Failures == 3 {
					_ = b.Store.EndLogin(context.Background(), users.LoginEnd{ApplicationID: e.ApplicationID, UserID: e.ID, Now: e.LastLogin})
					for range u.Login.Failures {
						_, _ = b.Store.BeginLogin(context.Background(), users.LoginAttempt{ApplicationID: e.ApplicationID, UserID: e.ID, Free: 1000})
					}
				}
			}
			return err
		})
	}},
	{"a new password leaves a lock", "EditSetsHash", func(b *broken) {
		var logins sync.Map
		creating(func(n *users.NewUser) { logins.Store(n.ID, n.Login) })(b)
		eachUser(func(_ users.UserQuery, u *users.UserRecord) {
			if l, ok := logins.Load(u.ID); ok {
				u.Login = l.(users.LoginState)
			}
		})(b)
	}},
	{"a new password keeps its date", "EditSetsHash", func(b *broken) {
		eachUser(func(_ users.UserQuery, u *users.UserRecord) {
			if u.Version > 1 {
				u.PasswordChanged = u.DateCreated
			}
		})(b)
	}},
	{"roles are added only", "EditRoles", func(b *broken) {
		b.editUser = func(ctx context.Context, e *users.UserEdit) error {
			c := *e
			c.Roles = slices.Clone(c.Roles)
			for _, u := range b.withIDs(e.ApplicationID, e.ID) {
				c.Roles = append(c.Roles, u.Roles...)
			}
			return b.Store.EditUser(ctx, &c)
		}
	}},
	{"an edit of nobody is stale", "EditOfNobody", func(b *broken) {
		answered(&b.editUser, func(_ *users.UserEdit, err error) error {
			if errors.Is(err, users.ErrNotFound) {
				return users.ErrStale
			}
			return err
		})
	}},
	{"the last editor wins", "EditStale", func(b *broken) {
		editing(func(e *users.UserEdit) {
			for _, u := range b.withIDs(e.ApplicationID, e.ID) {
				e.Version = u.Version
			}
		})(b)
	}},
	{"a stale edit drops the tokens", "EditStale", func(b *broken) {
		b.editUser = func(ctx context.Context, e *users.UserEdit) error {
			err := b.Store.EditUser(ctx, e)
			if errors.Is(err, users.ErrStale) && e.DropTokens {
				for _, u := range b.withIDs(e.ApplicationID, e.ID) {
					_ = b.Store.EditUser(ctx, &users.UserEdit{UserRecord: u, DropTokens: true})
				}
			}
			return err
		}
	}},
	{"only one member in conflict with an edit is named", "EditConflictNamesAll", func(b *broken) {
		answered(&b.editUser, func(_ *users.UserEdit, err error) error { return firstMember(err) })
	}},
	{"who changes nothing is in its own way", "EditToOwnKeys", func(b *broken) {
		b.editUser = func(ctx context.Context, e *users.UserEdit) error {
			for _, u := range b.withIDs(e.ApplicationID, e.ID) {
				if u.NameKey == e.NameKey && u.UserName != e.UserName {
					return &users.ConflictError{Members: []string{"userName"}}
				}
			}
			return b.Store.EditUser(ctx, e)
		}
	}},
	{"names stay those of who gave them up", "EditSwap", func(b *broken) {
		var owners sync.Map
		creating(func(n *users.NewUser) { owners.LoadOrStore(n.ApplicationID+n.NameKey, n.ID) })(b)
		b.editUser = func(ctx context.Context, e *users.UserEdit) error {
			if id, ok := owners.Load(e.ApplicationID + e.NameKey); ok && id != e.ID {
				return &users.ConflictError{Members: []string{"userName"}}
			}
			return b.Store.EditUser(ctx, e)
		}
	}},
	{"an edit leaves unknown roles out", "EditUnknownRole", func(b *broken) {
		editing(func(e *users.UserEdit) {
			e.Roles = slices.DeleteFunc(slices.Clone(e.Roles), func(r users.Role) bool {
				q := users.RoleQuery{ApplicationID: e.ApplicationID, IDs: []string{r.ID}}
				found, _ := b.Store.FindRoles(context.Background(), q)
				return len(found) == 0
			})
		})(b)
	}},
	{"an unknown role is not found", "EditUnknownRole", func(b *broken) {
		answered(&b.editUser, func(_ *users.UserEdit, err error) error {
			if errors.Is(err, users.ErrUnknownRole) {
				return users.ErrNotFound
			}
			return err
		})
	}},
	{"a conflict comes before a stale version", "EditJudgesInOrder", func(b *broken) {
		answered(&b.editUser, func(e *users.UserEdit, err error) error {
			if !errors.Is(err, users.ErrStale) {
				return err
			}
			found, _ := b.Store.FindUsers(context.Background(), users.UserQuery{
				ApplicationID: e.ApplicationID, NameKeys: []string{e.NameKey}, EmailKeys: []string{e.EmailKey},
			})
			others := slices.DeleteFunc(found, func(u users.UserRecord) bool { return u.ID == e.ID })
			if conflict := users.CheckConflict(&e.UserRecord, others); conflict != nil {
				return conflict
			}
			return err
		})
	}},
	{"tokens outlive what they were sent to", "EditDropsTokens", editing(func(e *users.UserEdit) { e.DropTokens = false })},
	{"each edit drops the tokens", "EditDropsTokens", editing(func(e *users.UserEdit) { e.DropTokens = true })},
	{"tokens that were given away are kept", "EditDropsIssuedTokens", editing(func(e *users.UserEdit) { e.DropIssued = false })},
	{"an edit that drops some tokens drops all", "EditDropsIssuedTokens", editing(func(e *users.UserEdit) { e.DropTokens = e.DropTokens || e.DropIssued })},
	{"the notifications of an edit are lost", "EditNotifies", editing(func(e *users.UserEdit) { e.Notifications = nil })},
	{"the caller's clock dates the notifications of an edit", "EditNotifies", editing(func(e *users.UserEdit) {
		e.Notifications = slices.Clone(e.Notifications)
		for i := range e.Notifications {
			if r := &e.Notifications[i]; r.Created.IsZero() {
				r.Created, r.Due = e.DateUpdated, e.DateUpdated
			}
		}
	})},
	{"an edit does not look for pending rows", "EditBesidePending", notifyAlways},
	{"a held row stays and an edit adds none", "EditBesidePending", func(b *broken) {
		editing(func(e *users.UserEdit) {
			e.Notifications = slices.DeleteFunc(slices.Clone(e.Notifications), func(n users.NotificationRecord) bool {
				return b.waiting(e.ApplicationID, e.ID, n.Kind)
			})
		})(b)
	}},
	{"a held row is settled though it was replaced", "EditBesidePending", func(b *broken) {
		b.settle = func(ctx context.Context, s users.Settlement) error {
			return except(users.ErrStale, b.Store.Settle(ctx, s))
		}
	}},
	{"an edit beside a pending row is refused", "EditBesidePending", func(b *broken) {
		b.editUser = func(ctx context.Context, e *users.UserEdit) error {
			rows, _ := b.Store.ListNotifications(ctx, users.NotificationQuery{ApplicationID: e.ApplicationID, States: []string{users.StatePending}})
			for _, r := range rows {
				if len(e.Notifications) > 0 && r.UserID == e.ID && r.Kind == e.Notifications[0].Kind {
					return &users.ConflictError{Members: []string{"kind"}}
				}
			}
			return b.Store.EditUser(ctx, e)
		}
	}},
	{"the caller's settings are kept by an edit", "EditCopies", func(b *broken) {
		var kept sync.Map
		editing(func(e *users.UserEdit) { kept.Store(e.ID, e.DashboardSettings) })(b)
		eachUser(func(_ users.UserQuery, u *users.UserRecord) {
			if raw, ok := kept.Load(u.ID); ok && u.Version > 1 {
				u.DashboardSettings = raw.(json.RawMessage)
			}
		})(b)
	}},
	{"an edit adds to the caller's version", "EditCopies", func(b *broken) {
		answered(&b.editUser, func(e *users.UserEdit, err error) error {
			if err == nil {
				e.Version++
			}
			return err
		})
	}},
	{"versions are compared before the edit", "RacingEdits", func(b *broken) {
		b.editUser = func(ctx context.Context, e *users.UserEdit) error {
			found := b.withIDs(e.ApplicationID, e.ID)
			untilAllHaveLooked()
			err := b.Store.EditUser(ctx, e)
			if len(found) == 1 && found[0].Version == e.Version {
				return except(users.ErrStale, err)
			}
			return err
		}
	}},
	{"names are looked up before the edit", "RacingEditsToOneName", func(b *broken) {
		b.editUser = func(ctx context.Context, e *users.UserEdit) error {
			q := users.UserQuery{ApplicationID: e.ApplicationID, NameKeys: []string{e.NameKey}}
			found, _ := b.Store.FindUsers(ctx, q)
			untilAllHaveLooked()
			err := b.Store.EditUser(ctx, e)
			if len(found) == 0 {
				return except(users.ErrConflict, err)
			}
			return err
		}
	}},
	{"users are read, then their versions", "RacingEditsLoseNothing", func(b *broken) {
		b.findUsers = func(ctx context.Context, q users.UserQuery) ([]users.UserRecord, error) {
			found, err := b.Store.FindUsers(ctx, q)
			untilAllHaveLooked()
			for i := range found {
				for _, u := range b.withIDs(q.ApplicationID, found[i].ID) {
					found[i].Version = u.Version
				}
			}
			return found, err
		}
	}},
	{"an edit does not look for pending rows, racing", "RacingEditsAndEnqueues", notifyAlways},
}

// brokenDeletes break what DeleteUser promises.
var brokenDeletes = []brokenStore{
	{"tokens outlive their user", "DeleteTakesAll", func(b *broken) {
		var all sync.Map
		given(&b.createToken, func(t *users.TokenRecord) { all.Store(t.Sum, *t) })
		b.findToken = func(ctx context.Context, app string, sum [32]byte) (users.TokenRecord, error) {
			if t, ok := all.Load(sum); ok && t.(users.TokenRecord).ApplicationID == app {
				return t.(users.TokenRecord), nil
			}
			return b.Store.FindToken(ctx, app, sum)
		}
	}},
	{"what was given up outlives its user", "DeleteTakesAll", func(b *broken) {
		var mu sync.Mutex
		var left []users.NotificationRecord
		b.deleteUser = func(ctx context.Context, d users.UserDeletion) error {
			q := users.NotificationQuery{ApplicationID: d.ApplicationID, States: []string{users.StateDiscarded}}
			rows, _ := b.Store.ListNotifications(ctx, q)
			err := b.Store.DeleteUser(ctx, d)
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				left = append(left, slices.DeleteFunc(rows, func(r users.NotificationRecord) bool { return r.UserID != d.ID })...)
			}
			return err
		}
		found(&b.listNotifications, func(_ users.NotificationQuery, rows []users.NotificationRecord) []users.NotificationRecord {
			mu.Lock()
			defer mu.Unlock()
			return append(rows, left...)
		})
	}},
	{"a new user gets the roles of the one before", "DeleteTakesAll", func(b *broken) {
		var roles sync.Map
		b.deleteUser = func(ctx context.Context, d users.UserDeletion) error {
			for _, u := range b.withIDs(d.ApplicationID, d.ID) {
				roles.Store(d.ApplicationID+d.ID, u.Roles)
			}
			return b.Store.DeleteUser(ctx, d)
		}
		creating(func(n *users.NewUser) {
			if left, ok := roles.Load(n.ApplicationID + n.ID); ok {
				n.Roles = append(slices.Clone(n.Roles), left.([]users.Role)...)
			}
		})(b)
	}},
	{"names of who is gone stay taken", "DeleteFreesKeys", func(b *broken) {
		var taken sync.Map
		b.deleteUser = func(ctx context.Context, d users.UserDeletion) error {
			for _, u := range b.withIDs(d.ApplicationID, d.ID) {
				taken.Store(d.ApplicationID+u.NameKey, true)
			}
			return b.Store.DeleteUser(ctx, d)
		}
		b.createUser = func(ctx context.Context, n *users.NewUser) error {
			if _, ok := taken.Load(n.ApplicationID + n.NameKey); ok {
				return &users.ConflictError{Members: []string{"userName"}}
			}
			return b.Store.CreateUser(ctx, n)
		}
	}},
	{"the record goes with its user", "DeleteKeepsIdempotencyRecords", func(b *broken) {
		b.findRecord = func(ctx context.Context, k users.IdempotencyKey) (users.IdempotencyRecord, error) {
			r, err := b.Store.FindIdempotencyRecord(ctx, k)
			if err == nil && len(b.withIDs(k.ApplicationID, r.UserID)) == 0 {
				return users.IdempotencyRecord{}, users.ErrNotFound
			}
			return r, err
		}
	}},
	{"who is gone is deleted again", "DeleteOfNobody", func(b *broken) {
		answered(&b.deleteUser, func(_ users.UserDeletion, err error) error { return except(users.ErrNotFound, err) })
	}},
	{"no version is any version", "DeleteStale", func(b *broken) {
		given(&b.deleteUser, func(d *users.UserDeletion) {
			for _, u := range b.withIDs(d.ApplicationID, d.ID) {
				if d.IfVersion == 0 {
					d.IfVersion = u.Version
				}
			}
		})
	}},
	{"tokens are made for who was there", "RacingDeletes", func(b *broken) {
		var stray sync.Map
		given(&b.deleteUser, func(*users.UserDeletion) { untilAllHaveLooked() })
		b.createToken = func(ctx context.Context, t users.TokenRecord) error {
			there := len(b.withIDs(t.ApplicationID, t.UserID)) > 0
			untilAllHaveLooked()
			untilAllHaveLooked() // and the user is gone
			err := b.Store.CreateToken(ctx, t)
			if there && errors.Is(err, users.ErrNotFound) {
				stray.Store(t.Sum, t)
				return nil
			}
			return err
		}
		b.findToken = func(ctx context.Context, app string, sum [32]byte) (users.TokenRecord, error) {
			if t, ok := stray.Load(sum); ok {
				return t.(users.TokenRecord), nil
			}
			return b.Store.FindToken(ctx, app, sum)
		}
	}},
}

// editing returns what changes a copy of each edit.
func editing(change func(*users.UserEdit)) func(*broken) {
	return func(b *broken) {
		given(&b.editUser, func(e **users.UserEdit) {
			c := **e
			change(&c)
			*e = &c
		})
	}
}

// notifyAlways gives each notification of an edit a kind of its own; see enqueueAlways.
func notifyAlways(b *broken) {
	enqueueAlways(b)
	editing(func(e *users.UserEdit) {
		e.Notifications = slices.Clone(e.Notifications)
		for i := range e.Notifications {
			e.Notifications[i].Kind += "#" + e.Notifications[i].ID
		}
	})(b)
}
