package users_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
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

// BenchmarkAuthenticateOverBareVerification measures what Authenticate adds to the
// verification of an argon2id hash, for a right password. The two take turns, so that
// whatever else the machine does falls on both alike.
func BenchmarkAuthenticateOverBareVerification(b *testing.B) {
	store, bare := memstore.New(), password.Default()
	svc := newServiceOn(b, store, users.Options{Hasher: bare, Now: time.Now})
	addUser(b, b.Context(), svc, "ann")
	hash := recordOf(b, svc, store, "ann").Hash
	pw, err := password.Normalize(password.New(secret))
	if err != nil {
		b.Fatal(err)
	}
	var verifications, signIns []float64
	verify := func() {
		begin := time.Now()
		if m, err := bare.Verify(hash, pw); err != nil || !m.OK {
			b.Fatalf("got %v, %v, want a match", m, err)
		}
		verifications = append(verifications, time.Since(begin).Seconds())
	}
	authenticate := func() {
		login, given := "ann", password.New(secret)
		begin := time.Now()
		if _, err := svc.Authenticate(b.Context(), apiKey, login, given); err != nil {
			b.Fatal(err)
		}
		signIns = append(signIns, time.Since(begin).Seconds())
	}
	authenticate() // the hash that stands for nobody's is made
	signIns = nil
	for b.Loop() {
		if len(verifications)%2 == 0 {
			verify()
			authenticate()
		} else {
			authenticate()
			verify()
		}
	}
	b.ReportMetric(sum(signIns)/sum(verifications), "signin/verify(total)")
	b.ReportMetric(median(signIns)/median(verifications), "signin/verify(median)")
}

// BenchmarkSignInsBesideCreates measures what is left of each where both ask for more
// than the machine can hash: how many of one application's are done, over how many are
// done where there is nothing but them. All take turns of a second; a half is the fair
// share.
func BenchmarkSignInsBesideCreates(b *testing.B) {
	const clients = 128
	gate, err := password.NewGate(&password.GateOptions{Queue: clients / 2})
	if err != nil {
		b.Fatal(err)
	}
	svc := newService(b, users.Options{Hasher: password.Default(), Gate: gate, Now: time.Now})
	for i := range clients {
		addUser(b, b.Context(), svc, fmt.Sprintf("member%d", i))
	}
	signIn := func(ctx context.Context, client int) error {
		_, err := svc.Authenticate(ctx, apiKey, fmt.Sprintf("member%d", client), password.New(secret))
		return err
	}
	if err := signIn(b.Context(), 0); err != nil { // the hash that stands for nobody's is made
		b.Fatal(err)
	}
	var names atomic.Int64
	create := func(ctx context.Context, _ int) error {
		_, err := svc.Create(ctx, apiKey, params(fmt.Sprintf("user%d", names.Add(1))))
		return err
	}

	var signInsAlone, createsAlone, signIns, creates float64
	for b.Loop() {
		n := servedInASecond(b, clients, signIn)
		signInsAlone += n[0]
		n = servedInASecond(b, clients, create)
		createsAlone += n[0]
		n = servedInASecond(b, clients, signIn, create)
		signIns, creates = signIns+n[0], creates+n[1]
	}
	b.ReportMetric(signIns/signInsAlone, "sign-ins/alone")
	b.ReportMetric(creates/createsAlone, "creates/alone")
	b.ReportMetric(signInsAlone/float64(b.N), "sign-ins-alone/s")
	b.ReportMetric(createsAlone/float64(b.N), "creates-alone/s")
}

// servedInASecond has clients, as many of each kind, call again and again, and returns
// how many calls of each succeed. Who is refused for the load comes again a while later.
func servedInASecond(b *testing.B, clients int, kinds ...func(ctx context.Context, client int) error) []float64 {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Second)
	defer cancel()
	served := make([]atomic.Int64, len(kinds))
	var all sync.WaitGroup
	for client := range clients {
		k := client % len(kinds)
		all.Go(func() {
			for ctx.Err() == nil {
				switch err := kinds[k](ctx, client); {
				case ctx.Err() != nil:
				case err == nil:
					served[k].Add(1)
				case errors.Is(err, users.ErrOverloaded):
					time.Sleep(100 * time.Millisecond)
				default:
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	n := make([]float64, len(kinds))
	for k := range kinds {
		n[k] = float64(served[k].Load())
	}
	return n
}
