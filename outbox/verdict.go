package outbox

// verdict is an error of a notifier that says more than "try again later".
type verdict struct {
	status status
	err    error
}

func (v *verdict) Error() string { return v.err.Error() }

func (v *verdict) Unwrap() error { return v.err }

// Discard returns an error that wraps err, for a [users.Notifier] to return when
// another attempt would fail in the same way, such as a mail server's permanent
// refusal of the address. The relay then discards the notification at once, with
// the text of err, as it does after MaxAttempts. Further wrapping keeps the
// meaning. Discard(nil) is nil.
func Discard(err error) error { return newVerdict(discarded, err) }

// Release returns an error that wraps err, for a [users.Notifier] to return when
// it did not begin to deliver, such as when all its connections were busy. The
// relay then takes the attempt back and tries again, however often this happens,
// after about as long as the notification has waited already: a second at first, an
// hour at most. Further wrapping keeps the meaning. Release(nil) is nil.
func Release(err error) error { return newVerdict(postponed, err) }

func newVerdict(s status, err error) error {
	if err == nil {
		return nil
	}
	return &verdict{s, err}
}
