package password_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gousers/users/password"
)

func TestFirebaseScryptReadsAnExport(t *testing.T) {
	t.Parallel()
	const cheap = "EQ0tlNdKv5ZBDYN7ofOYlhhTEe5Tu9bueDmtDUhLPM+9dcS1u1ALgMcT6N1+U9GsDlVdd3FE2dmz37fU5Y8A9Q=="
	urlSafe := strings.NewReplacer("+", "-", "/", "_", "=", "")
	for _, c := range []struct {
		hash, salt, separator, signer string
		rounds, memCost               int
	}{
		{firebaseHash, firebaseSalt, "Bw==", firebaseSigner, 8, 14},
		{cheap, firebaseSalt, "Bw==", firebaseSigner, 4, 10},
		{urlSafe.Replace(cheap), urlSafe.Replace(firebaseSalt), "Bw", urlSafe.Replace(firebaseSigner), 4, 10},
		{"NohHtJ2FmkEqzefZ0IHnOlqTzFN8n6vXXd0EW2OIGuUh4rcwvVh7XVRDVs5yOrueoudRPIoimS6jIwf4pMW3rg==", firebaseSalt, "", firebaseSigner, 8, 14},
	} {
		h, err := password.FirebaseScrypt(c.hash, c.salt, c.separator, c.signer, c.rounds, c.memCost)
		imported(t, h, err, "user1password")
	}
}

// imported fails the test unless Legacy takes h, and pw with it.
func imported(t *testing.T, h password.Hash, err error, pw string) {
	t.Helper()
	if err != nil {
		t.Errorf("got %v", err)
		return
	}
	if err := legacy.Check(h); err != nil {
		t.Errorf("Check: %v", err)
	}
	if m, err := legacy.Verify(h, []byte(pw)); m != (password.Match{OK: true, Outdated: true}) || err != nil {
		t.Errorf("Verify: got %+v, %v, want a match that is outdated", m, err)
	}
	if m, err := legacy.Verify(h, []byte(pw+"x")); m != (password.Match{}) || err != nil {
		t.Errorf("Verify of another password: got %+v, %v, want no match", m, err)
	}
}

// notImported fails the test unless there is the error, which quotes nothing, and no hash.
func notImported(t *testing.T, h password.Hash, err, want error, secrets ...string) {
	t.Helper()
	if !errors.Is(err, want) || !h.IsZero() {
		t.Errorf("%.100q: got %q, %v, want %v", secrets, h.Reveal(), err, want)
		return
	}
	quotesNothing(t, err, secrets...)
}

func TestFirebaseScryptRefusesWhatLegacyDoes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		hash, salt, separator, signer string
		rounds, memCost               int
		want                          error
	}{
		{"", firebaseSalt, "Bw==", firebaseSigner, 8, 14, password.ErrUnknownHash},
		{firebaseHash, "", "Bw==", firebaseSigner, 8, 14, password.ErrUnknownHash},
		{firebaseHash, firebaseSalt, "Bw==", "", 8, 14, password.ErrUnknownHash},
		{firebaseHash[:64], firebaseSalt, "Bw==", firebaseSigner, 8, 14, password.ErrUnknownHash},
		{firebaseHash + "$", firebaseSalt, "Bw==", firebaseSigner, 8, 14, password.ErrUnknownHash},
		{"not base64!" + firebaseHash, firebaseSalt, "Bw==", firebaseSigner, 8, 14, password.ErrUnknownHash},
		{firebaseHash, "not base64!", "Bw==", firebaseSigner, 8, 14, password.ErrUnknownHash},
		{firebaseHash, firebaseSalt, "not base64!", firebaseSigner, 8, 14, password.ErrUnknownHash},
		{firebaseHash, firebaseSalt, "Bw==", "not base64!" + firebaseSigner, 8, 14, password.ErrUnknownHash},
		{firebaseHash, firebaseSalt + "\n", "Bw==", firebaseSigner, 8, 14, password.ErrUnknownHash},
		{firebaseHash, strings.Repeat("A", 88), "Bw==", firebaseSigner, 8, 14, password.ErrUnknownHash},
		{firebaseHash, firebaseSalt, "Bw==", firebaseSigner, 0, 14, password.ErrUnknownHash},
		{firebaseHash, firebaseSalt, "Bw==", firebaseSigner, -8, 14, password.ErrUnknownHash},
		{firebaseHash, firebaseSalt, "Bw==", firebaseSigner, 8, 0, password.ErrUnknownHash},
		{firebaseHash, firebaseSalt, "Bw==", firebaseSigner, 8, -1, password.ErrUnknownHash},
		{firebaseHash, firebaseSalt, "Bw==", firebaseSigner, 8, 20, password.ErrTooCostly},
		{firebaseHash, firebaseSalt, "Bw==", firebaseSigner, 65, 10, password.ErrTooCostly},
	} {
		h, err := password.FirebaseScrypt(c.hash, c.salt, c.separator, c.signer, c.rounds, c.memCost)
		notImported(t, h, err, c.want, c.hash, c.salt, c.separator, c.signer)
	}
}

func TestASPNetIdentityReadsAColumn(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		if column, ok := strings.CutPrefix(v.hash, "$aspnet$"); ok {
			h, err := password.ASPNetIdentity(column)
			imported(t, h, err, v.pw)
		}
	}
	for column, want := range map[string]error{
		"": password.ErrUnknownHash, "not base64!": password.ErrUnknownHash, "$aspnet$" + aspnetV3(2, 1, 16, 32): password.ErrUnknownHash,
		aspnetV3(2, 1, 16, 8): password.ErrUnknownHash, aspnetV3(2, 3_000_001, 16, 64): password.ErrTooCostly,
	} {
		h, err := password.ASPNetIdentity(column)
		notImported(t, h, err, want, column)
	}
}

// keycloakData writes the two texts of a credential.
func keycloakData(value, salt, algorithm string, iterations int, more map[string]string) (secret, credential []byte) {
	lists := map[string][]string{}
	for name, v := range more {
		lists[name] = []string{v}
	}
	secret, _ = json.Marshal(map[string]any{"value": value, "salt": salt, "additionalParameters": map[string]any{}})
	credential, _ = json.Marshal(map[string]any{"hashIterations": iterations, "algorithm": algorithm, "additionalParameters": lists})
	return secret, credential
}

func TestKeycloakReadsAnExport(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ secret, credential, pw string }{
		// Quarkus, integration-tests/keycloak-authorization, quarkus-realm.json.
		"PBKDF2-SHA256 with a key of 64": {
			`{"value":"NICTtwsvSxJ5hL8hLAuleDUv9jwZcuXgxviMXvR++cciyPtiIEStEaJUyfA9DOir59awjPrHOumsclPVjNBplA==","salt":"T/2P5o5oxFJUEk68BRURRg==","additionalParameters":{}}`,
			`{"hashIterations":27500,"algorithm":"pbkdf2-sha256","additionalParameters":{}}`, "admin",
		},
		// Keycloak 26, in the tests of a public connector.
		"Argon2id": {
			`{"value":"xKjWvB9+0sSP6wTqI1JoEI7w+iA0x9VDhPgmrOHRG80=","salt":"LRScGShC7shkdoU5B1UgUQ==","additionalParameters":{}}`,
			`{"hashIterations":5,"algorithm":"argon2","additionalParameters":{"hashLength":["32"],"memory":["7168"],"type":["id"],"version":["1.3"],"parallelism":["1"]}}`, "secret",
		},
		// P-H-C/phc-winner-argon2 src/test.c.
		"Argon2i": {
			`{"value":"iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8=","salt":"c29tZXNhbHQ"}`,
			`{"hashIterations":2,"algorithm":"argon2","additionalParameters":{"hashLength":["32"],"memory":["256"],"type":["i"],"version":["1.3"],"parallelism":["1"]}}`, "password",
		},
		// RFC 6070.
		"PBKDF2-SHA1": {
			`{"value":"SwB5AbdlSJq+rUnZJvch0GWkKcE=","salt":"c2FsdA=="}`, `{"hashIterations":4096,"algorithm":"pbkdf2"}`, "password",
		},
		// ory/kratos hash/hasher_test.go.
		"PBKDF2-SHA512": {
			`{"value":"+wArTfv1a+bNGO1iZrmEdVjhA+lL11wF4/IxpgYfPwc=","salt":"bdHBpn7OWOivJMVJypy2UqR0UnaD5prQXRZevj/05YU="}`,
			`{"hashIterations":100000,"algorithm":"pbkdf2-sha512","additionalParameters":null,"newer":true}`, "test",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, err := password.Keycloak([]byte(c.secret), []byte(c.credential))
			imported(t, h, err, c.pw)
		})
	}
}

// Keycloak 22 and later write pbkdf2 with 1,300,000 iterations and a key of 64 bytes.
func TestKeycloakTakesWhatItWritesItself(t *testing.T) {
	t.Parallel()
	const salt = "LRScGShC7shkdoU5B1UgUQ=="
	key := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 64)))
	for algorithm, iterations := range map[string]int{"pbkdf2": 1_300_000, "pbkdf2-sha256": 600_000, "pbkdf2-sha512": 210_000} {
		h, err := password.Keycloak(keycloakData(key, salt, algorithm, iterations, nil))
		if err != nil || legacy.Check(h) != nil {
			t.Errorf("%s, %d iterations: got %v", algorithm, iterations, err)
		}
	}
}

func TestKeycloakRefusesWhatLegacyDoes(t *testing.T) {
	t.Parallel()
	const value, salt = "xKjWvB9+0sSP6wTqI1JoEI7w+iA0x9VDhPgmrOHRG80=", "LRScGShC7shkdoU5B1UgUQ=="
	argon2 := map[string]string{"hashLength": "32", "memory": "7168", "type": "id", "version": "1.3", "parallelism": "1"}
	with := func(name, v string) map[string]string {
		m := map[string]string{name: v}
		for k, old := range argon2 {
			if k != name {
				m[k] = old
			}
		}
		return m
	}
	for _, c := range []struct {
		value, salt, algorithm string
		iterations             int
		more                   map[string]string
		want                   error
	}{
		{value, salt, "argon2", 5, nil, password.ErrUnknownHash},
		{value, salt, "argon2", 5, with("type", "d"), password.ErrUnknownHash},
		{value, salt, "argon2", 5, with("type", "id$v=19$m=8,t=1,p=1$c29tZXNhbHQ"), password.ErrUnknownHash},
		{value, salt, "argon2", 5, with("version", "1.0"), password.ErrUnknownHash},
		{value, salt, "argon2", 5, with("hashLength", "31"), password.ErrUnknownHash},
		{value, salt, "argon2", 5, with("memory", "7168,t=1"), password.ErrUnknownHash},
		{value, salt, "argon2", 5, with("memory", "1048576"), password.ErrTooCostly},
		{value, salt, "argon2", 5, with("parallelism", "65"), password.ErrTooCostly},
		{value, salt, "argon2", 0, argon2, password.ErrUnknownHash},
		{value, salt, "argon2", -5, argon2, password.ErrUnknownHash},
		{value, salt, "", 5, nil, password.ErrUnknownHash},
		{value, salt, "bcrypt", 5, nil, password.ErrUnknownHash},
		{value, salt, "pbkdf2-sha384", 5, nil, password.ErrUnknownHash},
		{value, salt, "pbkdf2-sha256", 0, nil, password.ErrUnknownHash},
		{value, salt, "pbkdf2-sha256", -1, nil, password.ErrUnknownHash},
		{value, salt, "pbkdf2-sha256", 6_000_001, nil, password.ErrTooCostly},
		{"", salt, "pbkdf2-sha256", 5, nil, password.ErrUnknownHash},
		{value[:20], salt, "pbkdf2-sha256", 5, nil, password.ErrUnknownHash},
		{value, "", "pbkdf2-sha256", 5, nil, password.ErrUnknownHash},
		{"not base64!", salt, "pbkdf2-sha256", 5, nil, password.ErrUnknownHash},
		{value, "not base64!", "pbkdf2-sha256", 5, nil, password.ErrUnknownHash},
		{value, salt + "\n", "pbkdf2-sha256", 5, nil, password.ErrUnknownHash},
	} {
		secret, credential := keycloakData(c.value, c.salt, c.algorithm, c.iterations, c.more)
		h, err := password.Keycloak(secret, credential)
		notImported(t, h, err, c.want, c.value, c.salt, c.more["type"], c.more["memory"])
	}
	secret, credential := keycloakData(value, salt, "pbkdf2-sha256", 5, nil)
	for _, broken := range []string{"", "null", "[]", "7", `{"value":7,"salt":7,"hashIterations":"7"}`, string(secret) + "x", string(secret)[:40], `{"value":"` + value + `","salt":"` + "\xff"} {
		h, err := password.Keycloak([]byte(broken), credential)
		notImported(t, h, err, password.ErrUnknownHash, value, salt)
		h, err = password.Keycloak(secret, []byte(strings.ReplaceAll(broken, "value", "algorithm")))
		notImported(t, h, err, password.ErrUnknownHash, value, salt)
	}
}

// own is a host's verifier of what begins with a word. It knows one password.
type own struct{ prefix, pw string }

func (o own) Check(h password.Hash) error {
	switch rest, ok := strings.CutPrefix(h.Reveal(), o.prefix); {
	case !ok:
		return password.ErrUnknownHash
	case rest == "costly":
		return password.ErrTooCostly
	}
	return nil
}

func (o own) Verify(h password.Hash, pw []byte) (password.Match, error) {
	if err := o.Check(h); err != nil {
		return password.Match{}, fmt.Errorf("own: %w", err)
	}
	return password.Match{OK: string(pw) == o.pw}, nil
}

func (o own) Memory(h password.Hash) int64 {
	if o.Check(h) != nil {
		return 0
	}
	return int64(len(o.prefix))
}

func TestLegacyAsksTheHostsOwnFirst(t *testing.T) {
	t.Parallel()
	owns := []password.Verifier{own{"a", "first"}, own{"ab", "second"}, own{"$1$", "third"}}
	v := password.Legacy(owns...)
	clear(owns) // they are the caller's
	for _, c := range []struct {
		hash, pw string
		memory   int64
		ok       bool
		err      error
	}{
		{"a-hash", "first", 1, true, nil},
		{"a-hash", "second", 1, false, nil},
		{"ab", "first", 1, true, nil}, // the first that knows it
		{"ab", "second", 1, false, nil},
		{"acostly", "first", 0, false, password.ErrTooCostly},
		{"$1$ec6XvcoW$ghEtNK2U1MC5l.Dwgi3020", "third", 3, true, nil},
		{"$1$ec6XvcoW$ghEtNK2U1MC5l.Dwgi3020", "test", 3, false, nil},
		{"{SSHA}pKqkNr1tq3wtQqk+UcPyA3HnA2NsU5NJ", "password", 4096, true, nil},
		{"b", "first", 0, false, password.ErrUnknownHash},
	} {
		h := password.NewHash(c.hash)
		if err := v.Check(h); !errors.Is(err, c.err) {
			t.Errorf("%s: Check: got %v, want %v", c.hash, err, c.err)
		}
		m, err := v.Verify(h, []byte(c.pw))
		if m != (password.Match{OK: c.ok, Outdated: c.ok}) || !errors.Is(err, c.err) {
			t.Errorf("%s: Verify: got %+v, %v, want %v, %v", c.hash, m, err, c.ok, c.err)
		}
		if got := v.Memory(h); got != c.memory {
			t.Errorf("%s: Memory: got %d, want %d", c.hash, got, c.memory)
		}
	}
}

// light is own that takes next to no memory.
type light struct{ own }

func (light) Memory(password.Hash) int64 { return 0 }

// The verifier that decides about a hash says what it takes, and no other.
func TestLegacyTellsTheMemoryOfWhoeverVerifies(t *testing.T) {
	t.Parallel()
	const costly = "$argon2id$v=19$m=1048576,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	insecure, err := password.InsecureForTests().Hash([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		own   password.Verifier
		hash  password.Hash
		want  int64
		check error
	}{
		{"Default, no hash", password.Default(), password.Hash{}, 0, password.ErrUnknownHash},
		{"Default, a hash of many lanes", password.Default(), password.NewHash(argonVector2), 256<<10 + 16<<10, nil},
		{"Default, which verifies what it would not import", password.Default(), password.NewHash(costly), 1 << 30, password.ErrTooCostly},
		{"nobody's own, too costly", own{"a", "x"}, password.NewHash(costly), 0, password.ErrTooCostly},
		{"own of no memory", light{own{"$1$", "x"}}, password.NewHash("$1$ec6XvcoW$ghEtNK2U1MC5l.Dwgi3020"), 0, nil},
		{"InsecureForTests", password.InsecureForTests(), insecure, 0, nil},
	} {
		v := password.Legacy(c.own)
		if err := v.Check(c.hash); !errors.Is(err, c.check) {
			t.Errorf("%s: Check: got %v, want %v", c.name, err, c.check)
		}
		if got := v.Memory(c.hash); got != c.want {
			t.Errorf("%s: Memory: got %d, want %d", c.name, got, c.want)
		}
	}
}

// undecided knows a hash, and then again it does not.
type undecided struct{ own }

func (undecided) Verify(password.Hash, []byte) (password.Match, error) {
	return password.Match{}, password.ErrUnknownHash
}

func TestLegacyLeavesAHashToTheOneThatKnowsIt(t *testing.T) {
	t.Parallel()
	v := password.Legacy(undecided{own{"$1$", "x"}})
	m, err := v.Verify(password.NewHash("$1$ec6XvcoW$ghEtNK2U1MC5l.Dwgi3020"), []byte("test"))
	if m != (password.Match{}) || !errors.Is(err, password.ErrUnknownHash) {
		t.Errorf("got %+v, %v, want ErrUnknownHash", m, err)
	}
}

// Own verifiers see what the others do not look at.
func TestLegacyHandsItsOwnPasswordsOfAnyLength(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 2*password.MaxTextBytes)
	if m, err := password.Legacy(own{"a", long}).Verify(password.NewHash("a"), []byte(long)); !m.OK || err != nil {
		t.Errorf("got %+v, %v, want a match", m, err)
	}
}

// Whoever imports asks Check; what a Hasher would make itself is not too costly for it.
func TestHashersCheckWhatAHashWouldCost(t *testing.T) {
	t.Parallel()
	const (
		rest   = "$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
		bcrypt = "$KBCwKxOzLha2MUDJNZgjquKO0nZYzhyBrZ9FOfBLjhF6bkX0A5mIa"
	)
	argon2 := func(memory, passes int) string {
		return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=1%s", memory, passes, rest)
	}
	insecure, err := password.InsecureForTests().Hash([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	lanes := func(n int) string { return fmt.Sprintf("$argon2id$v=19$m=4096,t=1,p=%d%s", n, rest) }
	large := password.Argon2id{MemoryKiB: 1 << 20, Time: 3}
	wide := password.Argon2id{Threads: 80}
	for _, c := range []struct {
		name   string
		hasher password.Hasher
		hash   string
		want   error
	}{
		{"Default", password.Default(), argon2(19456, 2), nil},
		{"Default", password.Default(), argon2(1<<20, 1), nil},
		{"Default", password.Default(), argon2(1<<10, 1<<10), nil},
		{"Default", password.Default(), lanes(64), nil},
		{"Default", password.Default(), lanes(65), password.ErrTooCostly},
		{"Argon2id of 80 lanes", wide, lanes(80), nil},
		{"Argon2id of 80 lanes", wide, lanes(81), password.ErrTooCostly},
		{"Default", password.Default(), argon2(1<<20+1, 1), password.ErrTooCostly},
		{"Default", password.Default(), argon2(1<<20, 2), password.ErrTooCostly},
		{"Default", password.Default(), argon2(2<<20, 4), password.ErrTooCostly},
		{"Default", password.Default(), argon2(2<<20, 5), password.ErrUnknownHash}, // nor does Verify take it
		{"Default", password.Default(), argon2(2<<20+1, 1), password.ErrUnknownHash},
		{"Default", password.Default(), "$argon2i" + strings.TrimPrefix(argon2(256, 2), "$argon2id"), password.ErrUnknownHash},
		{"Default", password.Default(), "", password.ErrUnknownHash},
		{"Argon2id of 3 GiB", large, argon2(1<<20, 3), nil},
		{"Argon2id of 3 GiB", large, argon2(2<<20, 1), nil},
		{"Argon2id of 3 GiB", large, argon2(1<<20, 4), password.ErrTooCostly},
		{"Bcrypt 10", newBcrypt(t, 10), "$2a$15" + bcrypt, nil},
		{"Bcrypt 10", newBcrypt(t, 10), "$2a$04" + bcrypt, nil},
		{"Bcrypt 10", newBcrypt(t, 10), "$2a$16" + bcrypt, password.ErrTooCostly},
		{"Bcrypt 10", newBcrypt(t, 10), "$2a$17" + bcrypt, password.ErrUnknownHash},
		{"Bcrypt 10", newBcrypt(t, 10), "$2x$10" + bcrypt, password.ErrUnknownHash},
		{"Bcrypt 16", newBcrypt(t, 16), "$2a$16" + bcrypt, nil},
		{"Bcrypt 16", newBcrypt(t, 16), "$2a$17" + bcrypt, password.ErrUnknownHash},
		{"InsecureForTests", password.InsecureForTests(), insecure.Reveal(), nil},
		{"InsecureForTests", password.InsecureForTests(), "$insecure-for-tests$", password.ErrUnknownHash},
		{"InsecureForTests", password.InsecureForTests(), bcryptVector, password.ErrUnknownHash},
	} {
		err := c.hasher.Check(password.NewHash(c.hash))
		if !errors.Is(err, c.want) {
			t.Errorf("%s, %s: got %v, want %v", c.name, c.hash, err, c.want)
		} else if err != nil {
			quotesNothing(t, err, rest, bcrypt)
		}
	}
}

// What Hash makes, Check takes, up to the largest parameters that Hash takes.
func TestHashersCheckTakesWhatTheyMake(t *testing.T) {
	t.Parallel()
	for _, hasher := range []password.Hasher{cheap, password.InsecureForTests(), newBcrypt(t, 4)} {
		h, err := hasher.Hash([]byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		if err := hasher.Check(h); err != nil {
			t.Errorf("%T: got %v", hasher, err)
		}
	}
}

// Verifiers are shared by all requests.
func TestLegacyIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	all := slices.DeleteFunc(oneOfEach(t), func(v vector) bool { return v.name == "WordPress" || v.name == "Kratos" })
	v := password.Legacy(own{"own:", "x"})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for _, c := range all {
				if m, err := v.Verify(password.NewHash(c.hash), []byte(c.pw)); !m.OK || err != nil {
					t.Errorf("%s: got %+v, %v", c.name, m, err)
				}
			}
		})
	}
	wg.Wait()
}
