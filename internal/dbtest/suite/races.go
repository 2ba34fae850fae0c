package suite

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/internal/dbtest/flaky"
)

// Races lets many requests race for an idempotency key whose record is dead:
// they queue for it, and no deadlock of theirs has to be sorted out by repeating.
func Races(t *testing.T, g *Target) {
	g.Share(t)
	e := g.Fresh(t)
	svc := e.service(t, users.Options{})
	ctx := context.Background()
	app, err := svc.Application(ctx, "demo")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	newUser := func(id string, expires time.Time) *users.NewUser {
		n := &users.NewUser{}
		n.ApplicationID, n.ID, n.NameKey, n.EmailKey = app.ID, id, id, id+"@example.com"
		n.CreationDate, n.DateCreated, n.DateUpdated = now, now, now
		key := users.ReplayKey{ApplicationID: app.ID, Scope: "host", Key: "key"}
		n.Replay = &users.Replay{ReplayKey: key, UserID: id, Expires: expires}
		return n
	}
	if err := e.Store.CreateUser(ctx, newUser("dead", now)); err != nil {
		t.Fatal(err)
	}
	var deadlocks, won atomic.Int64
	e.Switch.Set(&flaky.Hooks{Failed: func(_ flaky.Call, err error) {
		if strings.Contains(strings.ToLower(err.Error()), "deadlock") {
			deadlocks.Add(1)
		}
	}})
	defer e.Switch.Set(nil)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			err := e.Store.CreateUser(ctx, newUser("racer"+string(rune('a'+i)), now.Add(time.Hour)))
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, users.ErrIdempotencyKeyUsed) {
				t.Errorf("a loser: got %v, want ErrIdempotencyKeyUsed", err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || deadlocks.Load() != 0 {
		t.Errorf("got %d winners and %d deadlocks, want 1 and 0", won.Load(), deadlocks.Load())
	}
}
