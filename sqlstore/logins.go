package sqlstore

import (
	"context"
	"time"

	"github.com/gousers/users"
)

// beginLogin sets locked_until before failures: MySQL uses what it has assigned already.
// The power of two is never larger than what a.Max allows; see doublings.
const (
	lockLogin = `UPDATE {users} SET locked_until = CASE
		WHEN failures + 1 < ? THEN locked_until
		WHEN failures + 1 >= ? THEN {now} + {i}
		ELSE {now} + ({i} << (failures + 1 - ?)) END,
	failures = `
	ofUnlocked = ` WHERE application_id = ? AND id = ? AND locked_until <= {now}`

	beginLogin = lockLogin + `failures + 1` + ofUnlocked + ` RETURNING failures`
	// beginLoginMySQL answers by the id of an INSERT that never was; see runner.lastID.
	// What SELECT LAST_INSERT_ID() returned before is lost in the host's transaction.
	beginLoginMySQL = lockLogin + `LAST_INSERT_ID(failures + 1)` + ofUnlocked
)

// maxFree is a number of free failures that no user reaches: with the doublings that
// follow it fits the column.
const maxFree = 1 << 30

// BeginLogin implements [users.LoginStore]. Where database/sql or retry repeats what
// has taken effect the failure counts twice, and 0 may be the answer of a lock that the
// first one set: no guess is judged for nothing.
func (b *backend) BeginLogin(ctx context.Context, a users.LoginAttempt) (failures int, err error) {
	free := min(max(a.Free, 1), maxFree)
	first, most := max(a.First, 0).Microseconds(), max(a.Max, 0).Microseconds()
	args := []any{free, free + doublings(first, most), most, first, free, a.ApplicationID, a.UserID}
	text, count := beginLogin, runner.number
	if b.Dialect == MySQL {
		text, count = beginLoginMySQL, runner.lastID
	}

	var n int64
	err = b.retry(ctx, func(int) error {
		return b.statement(ctx, func(r runner) (err error) {
			n, err = count(r, ctx, b.text(text), args...)
			return err
		})
	})
	if err != nil {
		return 0, err
	}
	return int(n), nil
}

// doublings returns how often first can be doubled and stay below most.
func doublings(first, most int64) (n int) {
	if first == 0 && most > 0 {
		return 62 // it stays 0
	}
	for ; first < most; n++ {
		if first > most/2 {
			return n + 1
		}
		first *= 2
	}
	return n
}

const (
	endLogin = `UPDATE {users} SET failures = 0, locked_until = ?, last_login = COALESCE({i}, last_login)`
	rehash   = `, credential = CASE WHEN COALESCE(credential, '') = {t} THEN {t} ELSE credential END`
)

// EndLogin implements [users.LoginStore].
func (b *backend) EndLogin(ctx context.Context, l users.LoginEnd) error {
	text, args := endLogin, []any{never, orNull(l.Now)}
	if !l.Hash.IsZero() {
		text += rehash
		args = append(args, l.OldHash.Reveal(), l.Hash)
	}
	text = b.text(text + ` WHERE application_id = ? AND id = ?`)
	args = append(args, l.ApplicationID, l.UserID)

	return b.retry(ctx, func(int) error {
		return b.statement(ctx, func(r runner) error {
			_, err := r.exec(ctx, text, args...)
			return err
		})
	})
}

// orNull returns NULL for the zero time, for a COALESCE.
func orNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}
