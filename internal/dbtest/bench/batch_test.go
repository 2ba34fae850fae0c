package bench_test

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/sqlstore"
)

// batchSize is what a host imports at a time.
const batchSize = 500

// BenchmarkBatch measures batches of users, beside a transaction with the same rows in
// statements of 100. An op is a batch.
//
//	go test -run '^$' -bench Batch -benchtime 21x ./bench
func BenchmarkBatch(b *testing.B) {
	for _, e := range engines {
		for name, dress := range map[string]func(*users.NewUser){
			"Alone": func(*users.NewUser) {},
			"WithRolesAndNotification": func(n *users.NewUser) {
				n.Roles = []users.Role{{ID: "r1"}, {ID: "r2"}}
				n.Notifications = []users.NotificationRecord{{ID: n.ID, ApplicationID: n.ApplicationID, UserID: n.ID, Kind: users.KindAccountCreated,
					State: users.StatePending, Created: n.DateCreated, Due: n.DateCreated}}
			},
		} {
			b.Run(e.name+"/"+name, func(b *testing.B) {
				db, store := e.open(b, 1, false)
				var ratios []float64
				var inStore time.Duration
				for turn := range b.N + 1 {
					var spent [2]time.Duration
					for i := range 2 {
						which := (i + turn) % 2 // neither always goes first
						ns := make([]*users.NewUser, batchSize)
						for k := range ns {
							ns[k] = newUser()
							dress(ns[k])
						}
						start := time.Now()
						if which == 0 {
							e.batchByHand(b, db, ns)
						} else {
							createBatch(b, store, ns)
						}
						spent[which] = time.Since(start)
					}
					if turn == 0 {
						continue // to warm up
					}
					ratios = append(ratios, float64(spent[0])/float64(spent[1]))
					inStore += spent[1]
				}
				slices.Sort(ratios)
				b.ReportMetric(ratios[len(ratios)/2], "x-of-raw")
				b.ReportMetric(float64(b.N*batchSize)/inStore.Seconds(), "users/s")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// BenchmarkBatchOnceMore measures what an import that is repeated costs: all are there.
func BenchmarkBatchOnceMore(b *testing.B) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			_, store := e.open(b, 1, false)
			ns := make([]*users.NewUser, batchSize)
			for k := range ns {
				ns[k] = newUser()
			}
			createBatch(b, store, ns)
			for b.Loop() {
				again := make([]*users.NewUser, batchSize)
				for k, n := range ns {
					m := *n
					m.ID = newUser().ID
					again[k] = &m
				}
				outcomes, err := store.CreateUsers(context.Background(), again)
				if err != nil || outcomes[0] == nil {
					b.Fatalf("got %v, want conflicts", err)
				}
			}
			b.ReportMetric(float64(b.N*batchSize)/b.Elapsed().Seconds(), "users/s")
		})
	}
}

func createBatch(b *testing.B, store *sqlstore.Store, ns []*users.NewUser) {
	outcomes, err := store.CreateUsers(context.Background(), ns)
	if err != nil {
		b.Fatal(err)
	}
	for _, outcome := range outcomes {
		if outcome != nil {
			b.Fatal(outcome)
		}
	}
}

// batchByHand is the transaction of the same rows.
func (e engine) batchByHand(b *testing.B, db *sql.DB, ns []*users.NewUser) {
	tx, err := db.Begin()
	if err != nil {
		b.Fatal(err)
	}
	defer tx.Rollback()
	var rows, links, messages [][]any
	for _, n := range ns {
		args := e.args(&n.UserRecord)
		rows = append(rows, args[:len(args)-1])
		for _, r := range n.Roles {
			links = append(links, []any{n.ApplicationID, n.ID, r.ID})
		}
		for _, m := range n.Notifications {
			messages = append(messages, []any{m.ApplicationID, m.ID, m.UserID, m.Kind, m.State, 1, m.Urgent, m.Due.UnixMicro(), 0, "",
				m.Attempts, m.LastError, m.Created.UnixMicro()})
		}
	}
	e.insertRows(b, tx, "users ("+userColumns+")", rows)
	e.insertRows(b, tx, "user_roles (application_id, user_id, role_id)", links)
	e.insertRows(b, tx, "notifications (application_id, id, user_id, kind, state, pending, urgent, due_at, lease_until, lease_owner, attempts, last_error, date_created)", messages)
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
}

func (e engine) insertRows(b *testing.B, tx *sql.Tx, into string, all [][]any) {
	for rows := range slices.Chunk(all, 100) {
		var text strings.Builder
		text.WriteString("INSERT INTO " + into + " VALUES ")
		n := 0
		for i, row := range rows {
			if i > 0 {
				text.WriteString(", ")
			}
			for k := range row {
				n++
				if k == 0 {
					text.WriteString("(")
				} else {
					text.WriteString(", ")
				}
				if e.dialect == sqlstore.Postgres {
					text.WriteString("$" + strconv.Itoa(n))
				} else {
					text.WriteString("?")
				}
			}
			text.WriteString(")")
		}
		if _, err := tx.Exec(text.String(), slices.Concat(rows...)...); err != nil {
			b.Fatal(err)
		}
	}
}
