// Package password takes in, judges and hashes passwords. It knows nothing of
// users and can be used on its own.
//
// The steps that a new password takes:
//
//   - [Secret] holds it and refuses to print it.
//   - [Policy.Check] refuses a password that is short or easy to guess, and says why.
//   - [Normalize] returns the bytes to hash.
//   - [Gate.Do] waits until hashing them does not overload the machine.
//   - A [Hasher], usually [Default], makes the [Hash] that is stored.
//
// Verifying a password takes the same steps without Check. stored is the [Hash], pw
// what Normalize returned:
//
//	var match password.Match
//	err := gate.Do(ctx, application, hasher.Memory(stored), func() (err error) {
//		match, err = hasher.Verify(stored, pw)
//		return err
//	})
//
// [Legacy] is a [Verifier] of hashes that come from elsewhere.
//
// The package has no state and starts no goroutines of its own; argon2id hashes each lane
// of one hash on a goroutine that ends with it.
package password
