package main

import (
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/gousers/users/password"
)

// uncounted is what the process takes beside the memory that Go counts: the
// caches of SQLite, and the program itself.
const uncounted = 32 << 20

// limitMemory tells Go of the limit that the process's cgroup has, which is the
// container's, unless GOMEMLIMIT does. Go would otherwise let the memory of
// hashes that are done lie about until the kernel ends the process.
func limitMemory(root fs.FS) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	if limit := cgroupLimit(root); limit < math.MaxInt64 {
		debug.SetMemoryLimit(min(limit/10*9, max(limit-uncounted, limit/2)))
	}
}

// newGate makes a gate that leaves a third of the memory limit, if there is one,
// for everything but hashes: a small container on a machine with many cores
// hashes fewer passwords at once instead of being killed.
func newGate() (*password.Gate, error) {
	var o password.GateOptions
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		o.Bytes = limit / 3 * 2
	}
	return password.NewGate(&o)
}

// cgroupLimit returns the least memory limit in bytes of the process's cgroup and
// those above it, of version 2 or 1; math.MaxInt64: none. In a container the
// names in /proc/self/cgroup may be the host's, and the only files are those at the top.
func cgroupLimit(root fs.FS) int64 {
	least := int64(math.MaxInt64)
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return least
	}
	for line := range strings.Lines(string(text)) {
		controllers, group, _ := strings.Cut(strings.TrimSpace(line[strings.Index(line, ":")+1:]), ":") // after the number of the hierarchy
		var top, name string
		switch {
		case controllers == "":
			top, name = "sys/fs/cgroup", "memory.max"
		case strings.Contains(","+controllers+",", ",memory,"):
			top, name = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		for dir := path.Join("/", group); ; dir = path.Dir(dir) {
			if limit, ok := readLimit(root, path.Join(top, dir, name)); ok {
				least = min(least, limit)
			}
			if dir == "/" {
				break
			}
		}
	}
	return least
}

func readLimit(root fs.FS, name string) (int64, bool) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // "max" is no number
	return limit, err == nil && limit > 0 && limit < 1<<62                  // version 1 says none with a number near 1<<63
}
