package password

import (
	"context"
	"time"
)

type GateOptions struct {
	Slots   int
	Bytes   int64
	Queue   int
	MaxWait time.Duration
}
type Gate struct{}

func NewGate(o *GateOptions) (*Gate, error) { return &Gate{}, nil }
func (g *Gate) Do(ctx context.Context, share string, bytes int64, fn func() error) error {
	return fn()
}
func (g *Gate) Busy(share string) (retryAfter time.Duration, busy bool) { return 0, false }

type OverloadedError struct{ RetryAfter time.Duration }

func (e *OverloadedError) Error() string { return "password: too many passwords are being hashed" }
