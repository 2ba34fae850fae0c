package users_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/password"
)

// BenchmarkCreateOverBareHash measures what Create adds to its argon2id hash. The
// two take turns, so that whatever else the machine does falls on both alike.
func BenchmarkCreateOverBareHash(b *testing.B) {
	svc := newService(b, users.Options{Hasher: password.Default(), Now: time.Now})
	bare := password.Default()
	pw, err := password.Normalize(password.New(secret))
	if err != nil {
		b.Fatal(err)
	}
	var hashes, creates []float64
	hash := func() {
		begin := time.Now()
		if _, err := bare.Hash(pw); err != nil {
			b.Fatal(err)
		}
		hashes = append(hashes, time.Since(begin).Seconds())
	}
	create := func() {
		p := params(fmt.Sprintf("user%d", len(creates)))
		begin := time.Now()
		if _, err := svc.Create(b.Context(), apiKey, p); err != nil {
			b.Fatal(err)
		}
		creates = append(creates, time.Since(begin).Seconds())
	}
	for b.Loop() {
		if len(hashes)%2 == 0 {
			hash()
			create()
		} else {
			create()
			hash()
		}
	}
	b.ReportMetric(sum(creates)/sum(hashes), "create/hash(total)")
	b.ReportMetric(median(creates)/median(hashes), "create/hash(median)")
}

func sum(v []float64) (s float64) {
	for _, x := range v {
		s += x
	}
	return s
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// BenchmarkGate measures what the gate is for: 256 callers that create one user
// each, all at once, with the default gate and with one that lets all hash
// together. It takes 5 GB of memory.
func BenchmarkGate(b *testing.B) {
	if runtime.GOOS != "linux" {
		b.Skip("the peak of the resident memory is read from /proc")
	}
	const callers = 256
	run := func(o password.GateOptions) (perSecond, peak float64) {
		o.MaxWait = time.Hour
		gate, err := password.NewGate(&o)
		if err != nil {
			b.Fatal(err)
		}
		svc := newService(b, users.Options{Hasher: password.Default(), Gate: gate})
		resetPeak(b)
		begin := time.Now()
		var all sync.WaitGroup
		for i := range callers {
			all.Go(func() {
				if _, err := svc.Create(b.Context(), apiKey, params(fmt.Sprintf("user%d", i))); err != nil {
					b.Error(err)
				}
			})
		}
		all.Wait()
		return callers / time.Since(begin).Seconds(), peakMemory(b)
	}
	var gated, ungated, gatedPeak, ungatedPeak float64
	for b.Loop() {
		rate, peak := run(password.GateOptions{Queue: callers})
		gated, gatedPeak = gated+rate, max(gatedPeak, peak)
		rate, peak = run(password.GateOptions{Slots: callers, Bytes: 1 << 40})
		ungated, ungatedPeak = ungated+rate, max(ungatedPeak, peak)
	}
	b.ReportMetric(gated/float64(b.N), "gated/s")
	b.ReportMetric(ungated/float64(b.N), "ungated/s")
	b.ReportMetric(gated/ungated, "throughput-ratio")
	b.ReportMetric(gatedPeak/(1<<20), "gated-MiB")
	b.ReportMetric(ungatedPeak/(1<<20), "ungated-MiB")
	b.ReportMetric(ungatedPeak/gatedPeak, "memory-ratio")
}

// resetPeak returns unused memory back and starts a new peak (proc(5), clear_refs).
func resetPeak(b *testing.B) {
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		b.Skip("the peak of the resident memory can't be reset: ", err)
	}
}

// peakMemory is the largest resident memory of the process since resetPeak, in
// bytes: the whole process, not only what was allocated meanwhile.
func peakMemory(b *testing.B) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.ParseFloat(strings.Fields(rest + " x")[0], 64)
	if err != nil {
		b.Fatal(err)
	}
	return kib * 1024
}

// BenchmarkCreateWithoutHash measures all of Create but the hash.
func BenchmarkCreateWithoutHash(b *testing.B) {
	all := func(p *users.CreateUserParams) {
		p.Name, p.SendEmailNotification, p.IdempotencyKey = "Alice A.", true, p.UserName
		p.IsApproved, p.IsLockedOut, p.AllowDashboardAccess = ptr(true), ptr(false), true
		p.DashboardSettings = []byte(`{"theme":"dark","columns":[1,2,3]}`)
		p.CreationDate, p.Roles = start, []users.RoleRef{{Name: "editor"}}
	}
	for name, amend := range map[string]func(*users.CreateUserParams){
		"required": func(*users.CreateUserParams) {}, "all": all,
	} {
		b.Run(name, func(b *testing.B) {
			svc := newService(b, users.Options{})
			addRole(b, svc, "editor")
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				p := params("user" + strconv.Itoa(i))
				amend(&p)
				b.StartTimer()
				if _, err := svc.Create(b.Context(), apiKey, p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCheckCreate measures what every request pays, also one that is refused.
func BenchmarkCheckCreate(b *testing.B) {
	svc := newService(b, users.Options{})
	p := params("alice")
	b.ReportAllocs()
	for b.Loop() {
		if err := svc.CheckCreate(b.Context(), apiKey, p); err != nil {
			b.Fatal(err)
		}
	}
}
