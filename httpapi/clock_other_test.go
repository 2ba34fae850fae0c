//go:build !linux

package httpapi_test

import "time"

var begin = time.Now()

// worked is how long the test has run, where the time of a thread is not known.
func worked() time.Duration { return time.Since(begin) }
