//go:build !linux

package worktime

import "time"

var begin = time.Now()

func now() time.Duration { return time.Since(begin) }
