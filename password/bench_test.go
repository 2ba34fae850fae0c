package password_test

import (
	"bytes"
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
// Default, by turns. On Linux that is the time of all cores, in which what else runs on
// the machine counts little.
func BenchmarkCostliestHash(b *testing.B) {
	const turns = 32 // of the usual hash, half of them before and half after
	hasher := password.Default()
	usual, err := hasher.Hash([]byte("correct horse battery staple"))
	if err != nil {
		b.Fatal(err)
	}
	verify := func(b *testing.B, v password.Verifier, h password.Hash, pw []byte, times int) time.Duration {
		start := worked()
		for range times {
			if m, err := v.Verify(h, pw); m.OK || err != nil {
				b.Fatal(m, err)
			}
		}
		return worked() - start
	}
	for _, bound := range bounds() {
		b.Run(strings.ReplaceAll(bound.name, " ", "-"), func(b *testing.B) {
			pw := []byte(bound.pw)
			var usually, most time.Duration
			for b.Loop() {
				usually += verify(b, hasher, usual, pw, turns/2)
				most += verify(b, legacy, password.NewHash(bound.at), pw, 1)
				usually += verify(b, hasher, usual, pw, turns/2)
			}
			b.ReportMetric(turns*most.Seconds()/usually.Seconds(), "x-default")
		})
	}
}

// began is when the clock of worked began, where the system does not tell; never written to.
var began = time.Now()

// worked returns the time that the process has worked on all cores if the system tells,
// else the time that has passed.
func worked() time.Duration {
	const tick = 10 * time.Millisecond // USER_HZ is 100 (proc(5))
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return time.Since(began)
	}
	_, rest, _ := bytes.Cut(b, []byte(") ")) // behind the name, which may hold anything
	fields := bytes.Fields(rest)
	var user, system time.Duration
	if len(fields) < 13 {
		return time.Since(began)
	}
	_, err1 := fmt.Sscan(string(fields[11]), &user)
	_, err2 := fmt.Sscan(string(fields[12]), &system)
	if err1 != nil || err2 != nil {
		return time.Since(began)
	}
	return (user + system) * tick
}
