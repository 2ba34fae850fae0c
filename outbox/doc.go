// Package outbox delivers the notifications that creating a user left in the
// store: a [Relay] claims the rows that are due, has a [users.Notifier] deliver
// them, and stores the outcome.
//
//	relay, err := outbox.New(service, notifier, &outbox.Options{
//		SetPasswordURL: func(app users.Application, token string) string {
//			return "https://example.com/set-password#" + token
//		},
//	})
//	go relay.Run(ctx)
//
// Every notification is attempted at least once, with the same id each time, and
// never for a user that was not committed. Any number of relays in any number of
// processes share the work: a row belongs to one of them for the time of a lease,
// which the store's clock alone judges.
//
// Applications share the relays: they take turns, and none has more than half of
// the workers of a relay, so that what one has to send, or a mail server of one that
// hangs, does not hold up the messages of another. What a user waits for goes before
// other messages of the same application.
//
// An error of the notifier is a failed attempt, which is repeated later. A notifier
// that knows better says so with [Discard], if no repeat can succeed, or with
// [Release], if it had no time to begin.
//
// [Recorder] and [Log] are notifiers for tests and for development.
package outbox
