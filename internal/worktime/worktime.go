// Package worktime measures, for tests, how long a function works: by the clock of
// its thread on Linux, where what else runs on the machine does not count.
package worktime

import (
	"runtime"
	"time"
)

// Of returns how long f works. What f leaves to other goroutines is not in it.
func Of(f func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begin := now()
	f()
	return now() - begin
}
