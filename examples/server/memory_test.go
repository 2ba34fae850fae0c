package main

import (
	"math"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"

	"github.com/gousers/users/password"
)

func TestTheLimitOfTheContainerIsFound(t *testing.T) {
	t.Parallel()
	const v2, v1 = "sys/fs/cgroup", "sys/fs/cgroup/memory"
	for name, tt := range map[string]struct {
		groups string // /proc/self/cgroup
		files  map[string]string
		want   int64
	}{
		"no cgroups":              {"", nil, math.MaxInt64},
		"2, a container":          {"0::/\n", map[string]string{v2 + "/memory.max": "100663296\n"}, 96 << 20},
		"2, none":                 {"0::/\n", map[string]string{v2 + "/memory.max": "max\n"}, math.MaxInt64},
		"2, a service":            {"0::/system.slice/users.service\n", map[string]string{v2 + "/system.slice/users.service/memory.max": "100663296\n"}, 96 << 20},
		"2, less above":           {"0::/a/b\n", map[string]string{v2 + "/a/b/memory.max": "200663296\n", v2 + "/a/memory.max": "100663296\n"}, 96 << 20},
		"2, the name of the host": {"0::/docker/0123\n", map[string]string{v2 + "/memory.max": "100663296\n"}, 96 << 20},
		"2, a name above the top": {"0::/../0123\n", map[string]string{v2 + "/memory.max": "100663296\n"}, 96 << 20},
		"1, a container":          {"5:cpu,cpuacct:/docker/0123\n4:memory:/docker/0123\n0::/\n", map[string]string{v1 + "/memory.limit_in_bytes": "100663296\n"}, 96 << 20},
		"1, a service":            {"4:hugetlb,memory:/a\n", map[string]string{v1 + "/a/memory.limit_in_bytes": "100663296\n", v1 + "/memory.limit_in_bytes": "9223372036854771712\n"}, 96 << 20},
		"1, none":                 {"4:memory:/\n", map[string]string{v1 + "/memory.limit_in_bytes": "9223372036854771712\n"}, math.MaxInt64},
		"another controller":      {"4:cpu:/\n", map[string]string{v1 + "/memory.limit_in_bytes": "100663296\n"}, math.MaxInt64},
		"what is no number":       {"0::/\nx\n:\n\n", map[string]string{v2 + "/memory.max": "s\n"}, math.MaxInt64},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := fstest.MapFS{"proc/self/cgroup": {Data: []byte(tt.groups)}}
			if tt.groups == "" {
				root = fstest.MapFS{}
			}
			for name, text := range tt.files {
				root[name] = &fstest.MapFile{Data: []byte(text)}
			}
			if got := cgroupLimit(root); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

// printsLimits makes this test binary tell the limit that it would run with.
const printsLimits = "USERS_EXAMPLE_LIMIT"

func TestGoKnowsTheLimitUnlessItIsTold(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ limit, variable, want string }{
		"96 MiB":            {"100663296", "", "67108864"},   // 32 MiB less
		"32 MiB":            {"33554432", "", "16777216"},    // half
		"1000 MB":           {"1000000000", "", "900000000"}, // nine tenths
		"none":              {"max", "", "9223372036854775807"},
		"GOMEMLIMIT":        {"100663296", "50MiB", "52428800"},
		"GOMEMLIMIT is off": {"100663296", "off", "9223372036854775807"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), printsLimits+"="+tt.limit, "GOMEMLIMIT="+tt.variable)
			out, err := cmd.Output()
			if got := strings.TrimSpace(string(out)); err != nil || got != tt.want {
				t.Errorf("got %s (%v), want %s", got, err, tt.want)
			}
		})
	}
}

// TestASmallContainerHashesFewerPasswordsAtOnce changes the process for a
// moment, so it is not parallel.
func TestASmallContainerHashesFewerPasswordsAtOnce(t *testing.T) {
	const procs, mebi = 8, 1 << 20
	for limit, want := range map[int64]int64{20 * mebi: 1, 64 * mebi: 2, 120 * mebi: 4, math.MaxInt64: procs} {
		wasProcs, wasLimit := runtime.GOMAXPROCS(procs), debug.SetMemoryLimit(limit)
		gate, err := newGate()
		runtime.GOMAXPROCS(wasProcs)
		debug.SetMemoryLimit(wasLimit)
		if err != nil {
			t.Fatal(err)
		}

		synctest.Test(t, func(t *testing.T) {
			var running atomic.Int64
			end := make(chan struct{})
			var all sync.WaitGroup
			for range 2 * procs {
				all.Go(func() {
					gate.Do(t.Context(), "shop", password.Default().Memory(password.Hash{}), func() error {
						running.Add(1)
						<-end
						return nil
					})
				})
			}
			synctest.Wait()
			if got := running.Load(); got != want {
				t.Errorf("a limit of %d: got %d hashes at once, want %d", limit, got, want)
			}
			close(end)
			all.Wait()
		})
	}
}
