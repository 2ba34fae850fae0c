package bench_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/outbox"
)

// BenchmarkRelay drains a backlog by a notifier that answers at once: of one
// application, and of many that have a few each.
func BenchmarkRelay(b *testing.B) {
	for _, e := range engines {
		if e.name == "SQLiteFULL" {
			continue
		}
		for _, applications := range []int{1, 20, 500} {
			b.Run(fmt.Sprintf("%s/%dApplications", e.name, applications), func(b *testing.B) {
				const backlog = 2000
				db, store := e.open(b, 16, false)
				svc, err := users.New(store, nil)
				if err != nil {
					b.Fatal(err)
				}
				var delivered atomic.Int64
				relay, err := outbox.New(svc, users.NotifierFunc(func(context.Context, users.Notification) error {
					delivered.Add(1)
					return nil
				}), nil)
				if err != nil {
					b.Fatal(err)
				}
				for i := 1; i < applications; i++ {
					id := fmt.Sprintf("app%d", i)
					if err := store.CreateApplication(b.Context(), users.Application{ID: id, APIKey: id}); err != nil {
						b.Fatal(err)
					}
				}

				var took time.Duration
				rounds := 0
				for b.Loop() {
					tx, err := db.Begin()
					if err != nil {
						b.Fatal(err)
					}
					for i := range backlog {
						n := newUser()
						if app := i % applications; app > 0 {
							n.ApplicationID = fmt.Sprintf("app%d", app)
						}
						n.HostTx = true
						n.Notifications = []users.NotificationRecord{{
							ID: n.ID, ApplicationID: n.ApplicationID, UserID: n.ID, Kind: users.KindAccountCreated,
							State: users.StatePending, Created: n.DateCreated, Due: n.DateCreated.Add(-time.Minute),
						}}
						if err := store.WithTx(tx).CreateUser(b.Context(), n); err != nil {
							b.Fatal(err)
						}
					}
					if err := tx.Commit(); err != nil {
						b.Fatal(err)
					}
					begun := time.Now()
					if err := relay.Drain(b.Context()); err != nil {
						b.Fatal(err)
					}
					took += time.Since(begun)
					rounds++
				}
				if got := delivered.Load(); got != int64(rounds*backlog) {
					b.Fatalf("delivered: got %d, want %d", got, rounds*backlog)
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(delivered.Load())/took.Seconds(), "rows/s")
			})
		}
	}
}
