package password_test

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/gousers/users/password"
)

// key64 is a key of 64 bytes, and crypt64 is that in the alphabet of crypt(3).
var (
	key64   = base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("k", 64)))
	salt64  = base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("s", 64)))
	crypt64 = strings.Repeat("zzzz", 21) + "z1"
)

// A bound is the costliest hash of a scheme that Legacy takes, as far as one parameter
// goes, and the next one.
type bound struct {
	name       string
	at, beyond string
	memory     int64 // of at
	pw         int   // bytes of the costliest password
}

func bounds() []bound {
	const (
		bcrypt = "$KBCwKxOzLha2MUDJNZgjquKO0nZYzhyBrZ9FOfBLjhF6bkX0A5mIa"
		light  = 4 << 10
	)
	key32, key16 := key64[:43-1]+"g", key64[:21]+"w"
	both := func(format string, at, beyond any) (string, string) {
		return fmt.Sprintf(format, at), fmt.Sprintf(format, beyond)
	}
	var all []bound
	add := func(name, format string, at, beyond any, memory int64, pw int) {
		a, b := both(format, at, beyond)
		all = append(all, bound{name, a, b, memory, pw})
	}
	for _, v := range []string{"argon2id", "argon2i"} {
		add(v+" memory", "$"+v+"$v=19$m=%d,t=1,p=1$"+salt64+"$"+key64, 1<<20, 1<<20+1, 1<<30, 1024)
		add(v+" passes", "$"+v+"$v=19$m=8,t=%d,p=1$"+salt64+"$"+key64, 1<<17, 1<<17+1, 8<<10, 1024)
		add(v+" passes over 19 MiB", "$"+v+"$v=19$m=19456,t=%d,p=1$"+salt64+"$"+key64, 53, 54, 19<<20, 1024)
		add(v+" lanes", "$"+v+"$v=19$m=16384,t=64,p=%d$"+salt64+"$"+key64, 64, 65, 16<<20, 1024)
		add(v+" passes of many lanes", "$"+v+"$v=19$m=512,t=%d,p=64$"+salt64+"$"+key64, 2048, 2049, 512<<10, 1024)
	}
	add("bcrypt", "$2b$%d"+bcrypt, 15, 16, 8<<10, 72)
	add("WordPress", "$wp$2y$%d"+bcrypt, 15, 16, 8<<10, 1024)
	add("crypt bcrypt", "{CRYPT}$2a$%d"+bcrypt, 15, 16, 8<<10, 72)
	add("scrypt N", "$scrypt$ln=%d,r=8,p=1$"+salt64+"$"+key64, 19, 20, 1024*(1<<19+3), 1024)
	add("scrypt N of the least blocks", "$scrypt$ln=%d,r=2,p=1$"+salt64+"$"+key64, 21, 22, 256*(1<<21+3), 1024)
	add("scrypt p", "$scrypt$ln=13,r=8,p=%d$"+salt64+"$"+key64, 64, 65, 1024*(1<<13+66), 1024)
	add("scrypt r", "$scrypt$ln=16,r=%d,p=1$"+salt64+"$"+key64, 64, 65, 8192*(1<<16+3), 1024)
	add("scrypt r and p", "$scrypt$ln=%d,r=64,p=64$"+salt64+"$"+key64, 10, 11, 8192*(1<<10+66), 1024)
	add("Firebase", "$firebasescrypt$ln=%d,r=8$"+salt64+"$"+key64+"$"+salt64+"$"+key64, 19, 20, 1024*(1<<19+3), 1024)
	add("Kratos", "$firescrypt$ln=13,r=8,p=%d$"+salt64+"$"+key64+"$"+salt64+"$"+key64, 64, 65, 1024*(1<<13+66), 1024)
	add("PBKDF2-SHA1", "$pbkdf2$i=%d$"+salt64+"$"+key16, 3_000_000, 3_000_001, light, 1024)
	add("PBKDF2-SHA1 of 4 blocks", "$pbkdf2-sha1$i=%d$"+salt64+"$"+key64, 750_000, 750_001, light, 1024)
	add("PBKDF2-SHA256", "$pbkdf2-sha256$i=%d,l=32$"+salt64+"$"+key32, 3_000_000, 3_000_001, light, 1024)
	add("PBKDF2-SHA256 of 2 blocks", "$pbkdf2-sha256$i=%d,l=64$"+salt64+"$"+key64, 1_500_000, 1_500_001, light, 1024)
	add("PBKDF2-SHA512", "$pbkdf2-sha512$i=%d,l=64$"+salt64+"$"+key64, 3_000_000, 3_000_001, light, 1024)
	add("PBKDF2 of passlib", "$pbkdf2-sha512$%d$"+salt64+"$"+key64, 3_000_000, 3_000_001, light, 1024)
	add("Django", "pbkdf2_sha256$%d$"+strings.Repeat("s", 64)+"$"+key32, 3_000_000, 3_000_001, light, 1024)
	add("Django SHA1", "pbkdf2_sha1$%d$"+strings.Repeat("s", 64)+"$"+key16, 3_000_000, 3_000_001, light, 1024)
	add("ASP.NET", "$aspnet$%s", aspnetV3(2, 3_000_000, 64, 64), aspnetV3(2, 3_000_001, 64, 64), light, 1024)
	add("SHA256-crypt", "$5$rounds=%d$ssssssssssssssss$"+crypt64[:42]+"1", 800_000, 800_001, light, 512)
	add("SHA512-crypt", "$6$rounds=%d$ssssssssssssssss$"+crypt64, 800_000, 800_001, light, 512)
	add("LDAP SHA512-crypt", "{crypt}$6$rounds=%d$ssssssssssssssss$"+crypt64, 800_000, 800_001, light, 512)
	add("phpass", "$P$%sssssssss"+crypt64[:21]+"1", "G", "H", light, 1024)
	add("phpass of phpBB", "$H$%sssssssss"+crypt64[:21]+"1", "G", "H", light, 1024)
	return all
}

// aspnetV3 is a hash of ASP.NET Identity, version 3, in base64.
func aspnetV3(prf, iterations, salt, key int) string {
	b := []byte{1}
	for _, n := range []int{prf, iterations, salt} {
		b = append(b, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	b = append(b, strings.Repeat("s", salt)+strings.Repeat("k", key)...)
	return base64.StdEncoding.EncodeToString(b)
}

var legacy = password.Legacy()
