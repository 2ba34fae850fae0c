package password_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gousers/users/password"
)

func BenchmarkGateUncontended(b *testing.B) {
	g := newGate(b, password.GateOptions{Slots: 1})
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		_ = g.Do(ctx, "A", 1, func() error { return nil })
	}
}

// One argon2id hash, alone and through a free gate, by turns so that both see
// the same machine.
func BenchmarkHashThroughTheGate(b *testing.B) {
	g := newGate(b, password.GateOptions{})
	ctx, hasher, pw := b.Context(), password.Default(), []byte("correct horse battery staple")
	hash := func() error {
		_, err := hasher.Hash(pw)
		return err
	}
	var bare, gated time.Duration
	for b.Loop() {
		start := time.Now()
		_ = hash()
		middle := time.Now()
		_ = g.Do(ctx, "A", hasher.Memory(password.Hash{}), hash)
		bare, gated = bare+middle.Sub(start), gated+time.Since(middle)
	}
	b.ReportMetric(float64(bare.Microseconds())/1000/float64(b.N), "bare-ms")
	b.ReportMetric(float64(gated.Microseconds())/1000/float64(b.N), "gated-ms")
	b.ReportMetric(float64(gated)/float64(bare), "gated/bare")
}

// 256 callers hash again and again for ten seconds, with the gate and without.
// It takes about 5 GiB without.
func BenchmarkHash256Callers(b *testing.B) {
	const callers, span = 256, 10 * time.Second
	for _, gated := range []bool{true, false} {
		b.Run(fmt.Sprintf("gated=%v", gated), func(b *testing.B) {
			for b.Loop() {
				g := newGate(b, password.GateOptions{Queue: callers, MaxWait: time.Hour})
				hasher, pw := password.Default(), []byte("correct horse battery staple")
				runtime.GC()
				var took []time.Duration
				var mu sync.Mutex
				stop, peak := make(chan bool), watchMemory()
				start := time.Now()
				var wg sync.WaitGroup
				for range callers {
					wg.Go(func() {
						for {
							select {
							case <-stop:
								return
							default:
							}
							hash := func() error { _, err := hasher.Hash(pw); return err }
							begin := time.Now()
							if gated {
								_ = g.Do(context.Background(), "A", hasher.Memory(password.Hash{}), hash)
							} else {
								_ = hash()
							}
							mu.Lock()
							took = append(took, time.Since(begin))
							mu.Unlock()
						}
					})
				}
				time.Sleep(span)
				close(stop)
				wg.Wait()
				all := time.Since(start)
				slices.Sort(took)
				b.ReportMetric(float64(len(took))/all.Seconds(), "hashes/s")
				b.ReportMetric(took[len(took)*99/100].Seconds(), "p99-s")
				b.ReportMetric(float64(peak())/(1<<20), "peak-MiB")
			}
		})
	}
}

// watchMemory returns a function that ends the watch and returns the most memory
// that the process had in use meanwhile, resident if the system tells.
func watchMemory() func() int64 {
	var most atomic.Int64
	stop, done := make(chan bool), make(chan bool)
	go func() {
		defer close(done)
		for {
			most.Store(max(most.Load(), memoryInUse()))
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() int64 { close(stop); <-done; return most.Load() }
}

func memoryInUse() int64 {
	var size, resident int64
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		if _, err := fmt.Sscan(string(b), &size, &resident); err == nil {
			return resident * int64(os.Getpagesize())
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys)
}

func BenchmarkPolicyCheck(b *testing.B) {
	for name, s := range map[string]string{
		"phrase": "correct horse battery staple", "random": "x7#kQ9pzLm2!vTw", "common": "password12345678",
		"1024 random": varied(1024, "abcdefghijklmnopqrstuvwxyz0123456789 "), "1024 hostile": strings.Repeat("p@ssw0rd", 127) + "x",
	} {
		b.Run(name, func(b *testing.B) {
			text := password.New(s)
			for b.Loop() {
				_ = (&password.Policy{}).Check(text, "grace.wilhelmina@navy.example.com", "gw.hopper")
			}
		})
	}
}

func BenchmarkBcrypt10(b *testing.B) {
	hasher, err := password.Bcrypt(10)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		_, _ = hasher.Hash([]byte("correct horse battery staple"))
	}
}

// The costliest hash of each scheme that Legacy takes, in verifications of a hash of
// Default: the fastest of each, by turns, so that what else runs on the machine counts
// little. Run it with -benchtime 3x.
func BenchmarkCostliestHash(b *testing.B) {
	hasher := password.Default()
	usual, err := hasher.Hash([]byte("correct horse battery staple"))
	if err != nil {
		b.Fatal(err)
	}
	for _, bound := range bounds() {
		b.Run(strings.ReplaceAll(bound.name, " ", "-"), func(b *testing.B) {
			pw := []byte(strings.Repeat("x", bound.pw))
			var least, most time.Duration
			for b.Loop() {
				for range 16 {
					least = faster(b, least, hasher, usual, pw)
				}
				most = faster(b, most, legacy, password.NewHash(bound.at), pw)
			}
			b.ReportMetric(most.Seconds()/least.Seconds(), "x-default")
		})
	}
}

// faster verifies a hash that does not match and returns how long that took, or best if
// that is less and not 0.
func faster(b *testing.B, best time.Duration, v password.Verifier, h password.Hash, pw []byte) time.Duration {
	b.Helper()
	start := time.Now()
	m, err := v.Verify(h, pw)
	took := time.Since(start)
	if m.OK || err != nil {
		b.Fatal(m, err)
	}
	if best == 0 {
		return took
	}
	return min(best, took)
}
