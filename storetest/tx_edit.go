package storetest

import (
	"errors"
	"time"

	"github.com/gousers/users"
)

func txEditCases() []txCase {
	const (
		durable = "Writes become durable only when the host commits, and not if it rolls back"
		usable  = "A call that returns an error has written nothing, even if the host ignores the error and " +
			"commits … An error other than ErrRetryTx and ErrUnavailable leaves the transaction usable"
	)
	return []txCase{
		{"EditInside", withEditor, editInside, durable},
		{"DeleteInside", withEditor, deleteInside, durable},
		{"FailedEditInside", withEditor, failedEditInside, usable},
		{"RolesInside", withRoleEditor, rolesInside, durable},
		{"FailedRolesInside", withRoleEditor, failedRolesInside, usable},
		{"RedeemInside", withTokens, redeemInside, durable},
		{"FailedRedemptionInside", withTokens, failedRedemptionInside, usable},
		{"BatchInside", withBatches, batchInside, durable},
		{"FailedBatchInside", withBatches, failedBatchInside, usable},
		{"BatchRefusesWhoDoesNotKnow", withBatches, batchRefusesWhoDoesNotKnow, "A NewUser without HostTx is refused"},
		{"EditsRacing", withEditor, editsRacing, raceClause},
		{"RenamesRacing", withEditor, renamesRacing, raceClause},
	}
}

// editor returns what tx has of it; see txCase.check.
func editor(tx Tx) users.UserEditor {
	e, _ := users.StoreAs[users.UserEditor](tx.Store)
	return e
}

func roleEditor(tx Tx) users.RoleEditor {
	e, _ := users.StoreAs[users.RoleEditor](tx.Store)
	return e
}

// eachEnd rolls the transaction back that do returns, and commits the one that it
// returns then. After the end it calls check.
func (x *txProbe) eachEnd(do func(committed bool) (tx Tx, check func())) {
	for _, commit := range []bool{false, true} {
		tx, check := do(commit)
		if commit {
			x.must("Commit", tx.Commit())
		} else {
			x.must("Rollback", tx.Rollback())
		}
		check()
	}
}

// seen returns the users of an application that tx sees by these ids.
func (x *txProbe) seen(tx Tx, app string, ids ...string) []users.UserRecord {
	found, err := tx.Store.FindUsers(x.ctx, users.UserQuery{ApplicationID: app, IDs: ids})
	x.must("FindUsers in the transaction", err)
	return found
}

// editInside changes a user twice, with what lies in tables of its own. The transaction
// reads its own writes, and nobody else does.
func editInside(x *txProbe) {
	a := x.app()
	r, s := x.role(a, "r"), x.role(a, "s")
	x.eachEnd(func(committed bool) (Tx, func()) {
		n := x.create(x.full(a, r))
		var token users.TokenRecord
		if x.tokens != nil {
			token = newToken(n, 0, time.Hour)
			copy(token.Sum[:], x.id())
			x.must("CreateToken", x.tokens.CreateToken(x.ctx, token))
		}
		first := x.spoiled(n.UserRecord, s)
		tx := x.begin()
		x.must("EditUser", editor(tx).EditUser(x.ctx, first))
		second := editOf(first.UserRecord, func(e *users.UserEdit) {
			e.Version, e.Name = 2, "later"
			e.Roles = []users.Role{r, s}
		})
		x.must("EditUser", editor(tx).EditUser(x.ctx, second))

		want := second.UserRecord
		want.Version = 3
		x.wantEqual("user seen in the transaction", []users.UserRecord{want}, x.seen(tx, a.ID, n.ID))
		x.wantUser("user seen outside", n.UserRecord)
		return tx, func() {
			rows := rowIDs(n.Notifications)
			if committed {
				x.wantUser("user after the commit", want)
				rows = append(rows, rowIDs(first.Notifications)...)
			} else {
				x.wantUser("user after the rollback", n.UserRecord)
				x.wantKeys(a.ID, n.NameKey, n.EmailKey, n.ID)
			}
			if x.outbox != nil {
				x.wantStrings("notifications", rowIDs(x.rowsOf(n)), rows)
			}
			if x.tokens != nil && committed {
				x.wantNoToken(token)
			} else if x.tokens != nil {
				x.wantToken(token)
			}
		}
	})
}

// deleteInside deletes a user and gives its keys to another in the same transaction.
func deleteInside(x *txProbe) {
	a := x.app()
	r := x.role(a, "r")
	x.eachEnd(func(committed bool) (Tx, func()) {
		n, heir := x.create(x.full(a, r)), x.full(a, r)
		heir.NameKey, heir.EmailKey = n.NameKey, n.EmailKey
		tx := x.begin()
		x.must("DeleteUser", editor(tx).DeleteUser(x.ctx, deletion(n.UserRecord)))
		x.must("CreateUser with its keys", tx.Store.CreateUser(x.ctx, heir))

		x.wantEqual("users seen in the transaction", []users.UserRecord{heir.UserRecord}, x.seen(tx, a.ID, n.ID, heir.ID))
		x.wantStored(n)
		x.wantAbsent(heir)
		return tx, func() {
			if !committed {
				x.wantStored(n)
				x.wantAbsent(heir)
				return
			}
			x.wantGone(n)
			x.wantStored(heir)
			if x.outbox != nil && len(x.rowsOf(n)) > 0 {
				x.errorf("a notification of the deleted user is there")
			}
		}
	})
}

// failedEditInside lets the host ignore each error and commit.
func failedEditInside(x *txProbe) {
	a := x.app()
	r := x.role(a, "r")
	n, taken := x.create(x.full(a)), x.create(x.full(a, r))
	tx := x.begin()
	edit := func(change func(*users.UserEdit)) error {
		e := x.spoiled(n.UserRecord, r)
		change(e)
		return editor(tx).EditUser(x.ctx, e)
	}
	x.wantErr("EditUser of nobody", edit(func(e *users.UserEdit) { e.ID = x.id() }), users.ErrNotFound)
	x.wantErr("EditUser of another version", edit(func(e *users.UserEdit) { e.Version = 7 }), users.ErrStale)
	err := edit(func(e *users.UserEdit) { e.NameKey, e.EmailKey = taken.NameKey, taken.EmailKey })
	x.wantConflict("EditUser to taken keys", err, "userName", "email")
	err = edit(func(e *users.UserEdit) { e.Roles = []users.Role{r, {ID: x.id()}} })
	x.wantErr("EditUser to an unknown role", err, users.ErrUnknownRole)

	d := deletion(n.UserRecord)
	d.IfVersion = 7
	x.wantErr("DeleteUser of another version", editor(tx).DeleteUser(x.ctx, d), users.ErrStale)
	d.ID = x.id()
	x.wantErr("DeleteUser of nobody", editor(tx).DeleteUser(x.ctx, d), users.ErrNotFound)

	x.wantUsable(tx, a)
	x.wantStored(n)
	x.wantStored(taken)
	if x.outbox != nil {
		x.wantStrings("notifications", rowIDs(x.rowsOf(n)), rowIDs(n.Notifications))
	}
}

// wantUsable notes a transaction that can't go on, and commits it.
func (x *txProbe) wantUsable(tx Tx, a users.Application) {
	other := x.full(a)
	x.must("CreateUser after the errors, in the same transaction", tx.Store.CreateUser(x.ctx, other))
	x.must("Commit", tx.Commit())
	x.wantStored(other)
}

func tokenStore(tx Tx) users.TokenStore {
	s, _ := users.StoreAs[users.TokenStore](tx.Store)
	return s
}

// redeemInside sets a password, and tells the user in the same transaction.
func redeemInside(x *txProbe) {
	a := x.app()
	sum := byte(0)
	x.eachEnd(func(committed bool) (Tx, func()) {
		sum++
		n := x.create(x.user(a))
		token := x.token(n, sum, time.Hour)
		tx := x.begin()
		r := x.notify(n, redemption(token, "$chosen", base.Add(time.Hour)))
		x.must("RedeemToken", tokenStore(tx).RedeemToken(x.ctx, r))
		x.wantErr("RedeemToken again", tokenStore(tx).RedeemToken(x.ctx, r), users.ErrBadToken)

		want := n.UserRecord
		want.Hash, want.Version = r.Hash, 2
		want.PasswordChanged, want.DateUpdated, want.EmailVerified = r.Now, r.Now, r.Now
		x.wantEqual("user seen in the transaction", []users.UserRecord{want}, x.seen(tx, a.ID, n.ID))
		x.wantStored(n)
		x.wantTold(n)
		return tx, func() {
			if committed {
				x.wantUser("user after the commit", want)
				x.wantNoToken(token)
				x.wantTold(n, r.Notifications...)
				return
			}
			x.wantStored(n)
			x.wantToken(token)
			x.wantTold(n)
		}
	})
}

// failedRedemptionInside lets the host ignore the errors and commit.
func failedRedemptionInside(x *txProbe) {
	a := x.app()
	n := x.create(x.user(a))
	token, ended := x.token(n, 1, time.Hour), x.token(n, 2, 0)
	tx := x.begin()
	for what, r := range map[string]users.Redemption{
		"that has ended":  redemption(ended, "$late", base),
		"that is unknown": redemption(newToken(n, 3, time.Hour), "$late", base),
	} {
		x.wantErr("RedeemToken of a token "+what, tokenStore(tx).RedeemToken(x.ctx, x.notify(n, r)), users.ErrBadToken)
	}

	x.wantUsable(tx, a)
	x.wantStored(n)
	x.wantToken(token)
	x.wantTold(n)
}

// rolesInside renames a role and deletes another.
func rolesInside(x *txProbe) {
	x.eachEnd(func(committed bool) (Tx, func()) {
		a := x.app()
		r, gone := x.role(a, "r"), x.role(a, "gone")
		n := x.create(x.full(a, r, gone))
		tx := x.begin()
		x.must("UpdateRole", roleEditor(tx).UpdateRole(x.ctx, users.RoleUpdate{
			ApplicationID: a.ID, ID: r.ID, DateUpdated: base.Add(time.Hour),
			Name: &users.RoleName{Name: "later", NameKey: "later"},
		}))
		x.must("DeleteRole", roleEditor(tx).DeleteRole(x.ctx, a.ID, gone.ID))

		want := n.UserRecord
		want.Roles = []users.Role{r}
		want.Roles[0].Name, want.Roles[0].DateUpdated = "later", base.Add(time.Hour)
		x.wantEqual("user seen in the transaction", []users.UserRecord{want}, x.seen(tx, a.ID, n.ID))
		x.wantStored(n)
		return tx, func() {
			if !committed {
				x.wantStored(n)
				return
			}
			x.wantUser("user after the commit", want)
			x.wantStrings("roles after the commit", roleIDs(x.listRoles(a.ID, users.Page{})), []string{r.ID})
		}
	})
}

// failedRolesInside lets the host ignore each error and commit.
func failedRolesInside(x *txProbe) {
	a := x.app()
	r, taken := x.role(a, "r"), x.role(a, "taken")
	n := x.create(x.full(a, r))
	tx := x.begin()
	u := users.RoleUpdate{
		ApplicationID: a.ID, ID: r.ID, DateUpdated: base.Add(time.Hour),
		Name: &users.RoleName{Name: "taken", NameKey: "taken"}, Description: new("late"),
	}
	x.wantConflict("UpdateRole to a taken name", roleEditor(tx).UpdateRole(x.ctx, u), "name")
	u.ID = x.id()
	x.wantErr("UpdateRole of none", roleEditor(tx).UpdateRole(x.ctx, u), users.ErrNotFound)
	x.wantErr("DeleteRole of none", roleEditor(tx).DeleteRole(x.ctx, a.ID, x.id()), users.ErrNotFound)

	x.wantUsable(tx, a)
	x.wantStored(n)
	x.wantStrings("roles", roleIDs(x.listRoles(a.ID, users.Page{})), []string{r.ID, taken.ID})
}

// editsRacing lets two transactions change one user from one version.
func editsRacing(x *txProbe) {
	x.racingEdits(isError(users.ErrStale), func(a users.Application) (first, second *users.UserEdit) {
		u := x.create(x.user(a)).UserRecord
		first = editOf(u, func(e *users.UserEdit) { e.Name = "first" })
		second = editOf(u, func(e *users.UserEdit) { e.Name = "second" })
		return first, second
	})
}

// renamesRacing lets two transactions give one name to two users.
func renamesRacing(x *txProbe) {
	x.racingEdits(isConflict("userName"), func(a users.Application) (first, second *users.UserEdit) {
		rename := func(e *users.UserEdit) { e.NameKey = "the name" }
		return editOf(x.create(x.user(a)).UserRecord, rename), editOf(x.create(x.user(a)).UserRecord, rename)
	})
}

// racingEdits begins the second edit while the first one's transaction is open. If that
// is rolled back nothing is in the way of the second, and otherwise it gets lost.
func (x *txProbe) racingEdits(lost func(error) bool, edits func(users.Application) (first, second *users.UserEdit)) {
	for _, commit := range []bool{false, true} {
		a := x.app()
		first, second := edits(a)
		tx, err := x.secondEdit(first, second, commit)
		if x.mayRetry && errors.Is(err, users.ErrRetryTx) {
			_ = tx.Rollback() // the engine may have done that already
			tx = x.begin()
			err = editor(tx).EditUser(x.ctx, second)
		}

		winner := second
		if commit {
			winner = first
			if !lost(err) {
				x.errorf("EditUser of the second, after the commit of the first: got error %v", err)
			}
		} else {
			x.must("EditUser of the second, after the rollback of the first", err)
		}
		x.wantUsable(tx, a)
		want := winner.UserRecord
		want.Version++
		x.wantUser("user after the race", want)
		x.wantStrings("who has its name", userIDs(x.users(users.UserQuery{
			ApplicationID: a.ID, NameKeys: []string{want.NameKey},
		})), []string{want.ID})
	}
}

// secondEdit returns the transaction of the second, which waits for the first if it is
// one that waits, and its answer.
func (x *txProbe) secondEdit(first, second *users.UserEdit, commit bool) (tx Tx, err error) {
	tx1 := x.begin()
	x.must("EditUser of the first", editor(tx1).EditUser(x.ctx, first))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if tx, err = x.tryBegin(); err == nil {
			err = editor(tx).EditUser(x.ctx, second)
		}
	}()
	x.untilItWaits(done)

	end := tx1.Rollback
	if commit {
		end = tx1.Commit
	}
	x.must("the end of the first transaction", end())
	<-done
	if tx.Store == nil {
		x.must("Begin of the second", err)
	}
	x.open = append(x.open, tx)
	return tx, err
}
