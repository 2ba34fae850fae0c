package storetest_test

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/gousers/users"
)

// brokenRoleEdits break what RoleEditor promises.
var brokenRoleEdits = []brokenStore{
	{"an update resets the description", "RoleUpdateChangesWhatItNames", func(b *broken) {
		given(&b.updateRole, func(u *users.RoleUpdate) {
			if u.Description == nil {
				u.Description = new("")
			}
		})
	}},
	{"an update to the same is none", "RoleUpdateChangesWhatItNames", func(b *broken) {
		b.updateRole = func(ctx context.Context, u users.RoleUpdate) error {
			if u.Name == nil && u.Description == nil {
				return nil
			}
			return b.Store.UpdateRole(ctx, u)
		}
	}},
	{"the name of a role changes, but not its key", "RoleRename", func(b *broken) {
		given(&b.updateRole, func(u *users.RoleUpdate) {
			q := users.RoleQuery{ApplicationID: u.ApplicationID, IDs: []string{u.ID}}
			found, _ := b.Store.FindRoles(context.Background(), q)
			if u.Name != nil && len(found) == 1 {
				u.Name = &users.RoleName{Name: u.Name.Name, NameKey: found[0].NameKey}
			}
		})
	}},
	{"the description changes though the name is taken", "RoleRenameTaken", func(b *broken) {
		answered(&b.updateRole, func(u users.RoleUpdate, err error) error {
			if errors.Is(err, users.ErrConflict) {
				u.Name = nil
				_ = b.Store.UpdateRole(context.Background(), u)
			}
			return err
		})
	}},
	{"no role is a taken name", "RoleUpdateOfNone", func(b *broken) {
		b.updateRole = func(ctx context.Context, u users.RoleUpdate) error {
			if u.Name != nil {
				q := users.RoleQuery{ApplicationID: u.ApplicationID, NameKeys: []string{u.Name.NameKey}}
				found, _ := b.Store.FindRoles(ctx, q)
				if len(found) == 1 && found[0].ID != u.ID {
					return &users.ConflictError{Members: []string{"name"}}
				}
			}
			return b.Store.UpdateRole(ctx, u)
		}
	}},
	{"names of roles are looked up before the update", "RacingRoleRenames", func(b *broken) {
		b.updateRole = func(ctx context.Context, u users.RoleUpdate) error {
			found, _ := b.Store.FindRoles(ctx, users.RoleQuery{ApplicationID: u.ApplicationID, NameKeys: []string{"the name"}})
			untilAllHaveLooked()
			err := b.Store.UpdateRole(ctx, u)
			if len(found) == 0 {
				return except(users.ErrConflict, err)
			}
			return err
		}
	}},
	{"who had a deleted role keeps it", "RoleDeleted", func(b *broken) {
		var gone sync.Map
		b.deleteRole = func(ctx context.Context, app, id string) error {
			q := users.RoleQuery{ApplicationID: app, IDs: []string{id}}
			found, _ := b.Store.FindRoles(ctx, q)
			holders := b.having(app, id)
			err := b.Store.DeleteRole(ctx, app, id)
			for _, u := range holders {
				gone.Store(app+u.ID, found[0].Role)
			}
			return err
		}
		eachUser(func(_ users.UserQuery, u *users.UserRecord) {
			if r, ok := gone.Load(u.ApplicationID + u.ID); ok {
				u.Roles = append(u.Roles, r.(users.Role))
			}
		})(b)
	}},
	{"roles are deleted in all applications", "RoleDeleted", func(b *broken) {
		var apps sync.Map
		answered(&b.createApplication, func(a users.Application, err error) error {
			apps.Store(a.ID, true)
			return err
		})
		b.deleteRole = func(ctx context.Context, app, id string) error {
			err := b.Store.DeleteRole(ctx, app, id)
			apps.Range(func(other, _ any) bool {
				if err == nil {
					_ = b.Store.DeleteRole(ctx, other.(string), id)
				}
				return true
			})
			return err
		}
	}},
	{"the name of a deleted role stays taken", "RoleDeleted", func(b *broken) {
		var taken sync.Map
		b.deleteRole = func(ctx context.Context, app, id string) error {
			q := users.RoleQuery{ApplicationID: app, IDs: []string{id}}
			found, _ := b.Store.FindRoles(ctx, q)
			for _, r := range found {
				taken.Store(app+r.NameKey, true)
			}
			return b.Store.DeleteRole(ctx, app, id)
		}
		b.createRole = func(ctx context.Context, app string, r users.RoleRecord) error {
			if _, ok := taken.Load(app + r.NameKey); ok {
				return &users.ConflictError{Members: []string{"name"}}
			}
			return b.Store.CreateRole(ctx, app, r)
		}
	}},
	{"a deleted role adds to the versions", "RoleDeletedKeepsVersions", func(b *broken) {
		b.deleteRole = func(ctx context.Context, app, id string) error {
			for _, u := range b.having(app, id) {
				_ = b.Store.EditUser(ctx, &users.UserEdit{UserRecord: u})
			}
			return b.Store.DeleteRole(ctx, app, id)
		}
	}},
	{"a role is deleted twice", "RoleDeletedOfNone", func(b *broken) {
		b.deleteRole = func(ctx context.Context, app, id string) error {
			return except(users.ErrNotFound, b.Store.DeleteRole(ctx, app, id))
		}
	}},
	{"roles are looked up before the user", "RacingRoleDeletions", func(b *broken) {
		b.deleteRole = func(ctx context.Context, app, id string) error {
			untilAllHaveLooked()
			return b.Store.DeleteRole(ctx, app, id)
		}
		b.createUser = func(ctx context.Context, n *users.NewUser) error {
			var ids []string
			for _, r := range n.Roles {
				ids = append(ids, r.ID)
			}
			found, _ := b.Store.FindRoles(ctx, users.RoleQuery{ApplicationID: n.ApplicationID, IDs: ids})
			untilAllHaveLooked()
			untilAllHaveLooked() // and the role is gone
			err := b.Store.CreateUser(ctx, n)
			if len(found) == len(ids) {
				return except(users.ErrNotFound, err)
			}
			return err
		}
	}},
	{"Purge takes all roles of who had a deleted one", "PurgeTakesWhatRolesLeft", func(b *broken) {
		var mu sync.Mutex
		var left []users.UserRecord
		b.deleteRole = func(ctx context.Context, app, id string) error {
			mu.Lock()
			defer mu.Unlock()
			left = append(left, b.having(app, id)...)
			return b.Store.DeleteRole(ctx, app, id)
		}
		found(&b.purge, func(limit, n int) int {
			mu.Lock()
			defer mu.Unlock()
			if limit > 0 {
				for _, u := range left {
					u.Roles = nil
					_ = b.Store.EditUser(context.Background(), &users.UserEdit{UserRecord: u})
				}
				left = nil
			}
			return n
		})
	}},
	{"Purge takes all that roles left at once", "PurgeTakesWhatRolesLeft", func(b *broken) {
		b.purge = func(ctx context.Context, limit int) (int, error) {
			if limit <= 0 {
				return 0, nil
			}
			return b.Store.Purge(ctx, 1<<30)
		}
	}},
	{"Purge never comes to an end", "PurgeTakesWhatRolesLeft", func(b *broken) {
		var deleted sync.Map
		b.deleteRole = func(ctx context.Context, app, id string) error {
			deleted.Store(app, true)
			return b.Store.DeleteRole(ctx, app, id)
		}
		found(&b.purge, func(limit, n int) int {
			deleted.Range(func(any, any) bool {
				n = max(limit, 0)
				return true
			})
			return n
		})
	}},
}

// having returns the users that have a role.
func (b *broken) having(app, role string) []users.UserRecord {
	l, _ := b.Store.ListUsers(context.Background(), users.UserListing{
		ApplicationID: app, UserMatch: users.UserMatch{RoleIDs: []string{role}}, Limit: users.MaxPage,
	})
	return l.Users
}

// brokenApplicationEdits break what ApplicationEditor promises.
var brokenApplicationEdits = []brokenStore{
	{"pages of applications overlap", "ApplicationsListed", func(b *broken) {
		asked(&b.listApplications, func(p *users.Page) {
			if p.After != "" {
				p.After = p.After[:len(p.After)-1]
			}
		})
	}},
	{"applications in the order of their names", "ApplicationsListed", func(b *broken) {
		found(&b.listApplications, func(_ users.Page, all []users.Application) []users.Application {
			slices.SortFunc(all, func(x, y users.Application) int { return len(x.Name) - len(y.Name) })
			return all
		})
	}},
	{"the apiKey can be changed", "ApplicationUpdated", func(b *broken) {
		var keys sync.Map
		answered(&b.updateApplication, func(a users.Application, err error) error {
			if err == nil {
				keys.Store(a.ID, a.APIKey)
			}
			return err
		})
		found(&b.findApplication, func(_ users.ApplicationQuery, a users.Application) users.Application {
			if key, ok := keys.Load(a.ID); ok {
				a.APIKey = key.(string)
			}
			return a
		})
	}},
	{"a disabled application stays disabled", "ApplicationUpdated", func(b *broken) {
		given(&b.updateApplication, func(a *users.Application) {
			old, _ := b.Store.FindApplication(context.Background(), users.ApplicationQuery{ID: a.ID})
			a.Disabled = a.Disabled || old.Disabled
		})
	}},
	{"the last writer of an application wins", "ApplicationUpdateStale", func(b *broken) {
		given(&b.updateApplication, func(a *users.Application) {
			old, _ := b.Store.FindApplication(context.Background(), users.ApplicationQuery{ID: a.ID})
			a.Version = old.Version
		})
	}},
	{"an update of no application is stale", "ApplicationUpdateUnknown", func(b *broken) {
		answered(&b.updateApplication, func(_ users.Application, err error) error {
			if errors.Is(err, users.ErrUnknownApplication) {
				return users.ErrStale
			}
			return err
		})
	}},
	{"versions of applications are compared before the update", "RacingApplicationUpdates", func(b *broken) {
		b.updateApplication = func(ctx context.Context, a users.Application) error {
			old, _ := b.Store.FindApplication(ctx, users.ApplicationQuery{ID: a.ID})
			untilAllHaveLooked()
			err := b.Store.UpdateApplication(ctx, a)
			if old.Version == a.Version {
				return except(users.ErrStale, err)
			}
			return err
		}
	}},
}
