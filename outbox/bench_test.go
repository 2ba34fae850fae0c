package outbox_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/outbox"
	"github.com/gousers/users/password"
)

// BenchmarkCreateBesideASilentNotifier compares the 99th percentile of Create
// beside a relay all of whose workers wait for a notifier that never answers,
// with that beside no relay. They take turns, create by create, so that whatever
// else the machine does falls on both alike, for rounds of so many creates each.
// A ratio is the median over the rounds; "control" is that of a second Service
// without a relay to the first one: it tells what is noise.
func BenchmarkCreateBesideASilentNotifier(b *testing.B) {
	const none, again, silent, sides = 0, 1, 2, 3
	for _, hash := range []struct {
		name    string
		make    func() password.Hasher
		creates int
	}{{"argon2id", password.Default, 100}, {"stub", password.InsecureForTests, 2000}} {
		b.Run(hash.name, func(b *testing.B) {
			var ratios, controls, p99s []float64
			for b.Loop() {
				var c [sides]*creator
				for side := range c {
					c[side] = newCreator(b, hash.make())
				}
				end := c[silent].block()
				var took [sides][]time.Duration
				for i := range hash.creates * sides {
					side := (i + i/sides) % sides // another one begins each time
					took[side] = append(took[side], c[side].create())
				}
				end()
				ratios = append(ratios, p99(took[silent])/p99(took[none]))
				controls = append(controls, p99(took[again])/p99(took[none]))
				p99s = append(p99s, 1e3*p99(took[silent]))
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(p99s), "p99-ms")
			b.ReportMetric(median(ratios), "silent/none")
			b.ReportMetric(median(controls), "control")
		})
	}
}

// p99 is in seconds, by nearest rank.
func p99(took []time.Duration) float64 {
	slices.Sort(took)
	return took[(len(took)*99+99)/100-1].Seconds()
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// creator creates users who ask for mail, one after the other.
type creator struct {
	*testing.B
	svc  *users.Service
	made int
}

func newCreator(b *testing.B, hasher password.Hasher) *creator {
	svc, err := users.New(memstore.New(), &users.Options{Hasher: hasher})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := svc.CreateApplication(b.Context(), users.Application{APIKey: apiKey}); err != nil {
		b.Fatal(err)
	}
	return &creator{B: b, svc: svc}
}

func (c *creator) create() (took time.Duration) {
	c.made++
	p := users.CreateUserParams{
		UserName: fmt.Sprintf("user%d", c.made), Email: fmt.Sprintf("user%d@example.com", c.made),
		Password: password.New("lime hat under 4 umbrellas"), SendEmailNotification: true,
	}
	p.ConfirmPassword = p.Password
	begun := time.Now()
	if _, err := c.svc.Create(c.Context(), apiKey, p); err != nil {
		c.Fatal(err)
	}
	return time.Since(begun)
}

// block runs a relay whose notifier answers nobody until end is called. When it
// returns, all workers wait that one application has.
func (c *creator) block() (end func()) {
	const workers = (outbox.DefaultWorkers + 1) / 2
	calls, release := make(chan struct{}, workers), make(chan struct{})
	r, err := outbox.New(c.svc, users.NotifierFunc(func(context.Context, users.Notification) error {
		select {
		case calls <- struct{}{}:
		default:
		}
		<-release
		return nil
	}), nil)
	if err != nil {
		c.Fatal(err)
	}
	for range workers {
		c.create()
	}
	stop := run(r)
	for range workers {
		<-calls
	}
	return func() { close(release); stop() }
}
