package sqlstore

import (
	"context"
	"time"

	"github.com/gousers/users"
)

// beginLogin sets locked_until before failures: MySQL uses what it has assigned already.
// The power of two is never larger than what a.Max allows; see doublings.
const beginLogin = `UPDATE {users} SET locked_until = CASE
		WHEN failures + 1 < ? THEN locked_until
		WHEN failures + 1 >= ? THEN {now} + {i}
		ELSE {now} + ({i} << (failures + 1 - ?)) END,
	failures = failures + 1
	WHERE application_id = ? AND id = ? AND locked_until <= {now}`

// maxFree is a number of free failures that no user reaches: with the doublings that
// follow it fits the column.
const maxFree = 1 << 30

// BeginLogin implements [users.LoginStore]. Where database/sql or retry repeats what
// has taken effect the failure counts twice, and false may be the answer of a lock that
// the first one set: no guess is judged for nothing.
func (b *backend) BeginLogin(ctx context.Context, a users.LoginAttempt) (allowed bool, err error) {
	free := min(max(a.Free, 1), maxFree)
	first, most := max(a.First, 0).Microseconds(), max(a.Max, 0).Microseconds()
	err = b.retry(ctx, func(int) error {
		return b.statement(ctx, func(r runner) error {
			affected, err := r.exec(ctx, b.text(beginLogin),
				free, free+doublings(first, most), most, first, free, a.ApplicationID, a.UserID)
			allowed = affected > 0
			return err
		})
	})
	return allowed && err == nil, err
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
