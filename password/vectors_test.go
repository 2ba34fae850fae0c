package password_test

// A vector is a hash that somebody published with its password.
type vector struct{ name, hash, pw, source string }

// The sample project of github.com/firebase/scrypt.
const (
	firebaseSalt   = "42xEC+ixf3L2lw=="
	firebaseHash   = "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="
	firebaseSigner = "jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA=="
)

// Where a source has the parts of a hash alone, they are written as Legacy reads them.
var vectors = []vector{
	{"argon2id", argonVector, "password", "P-H-C/phc-winner-argon2 src/test.c"},
	{"argon2id p=2", argonVector2, "password", "P-H-C/phc-winner-argon2 src/test.c"},
	{"argon2i", "$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8", "password", "P-H-C/phc-winner-argon2 src/test.c"},
	{"argon2i p=2", "$argon2i$v=19$m=256,t=2,p=2$c29tZXNhbHQ$T/XOJ2mh1/TIpJHfCdQan76Q5esCFVoT5MAeIM1Oq2E", "password", "P-H-C/phc-winner-argon2 src/test.c"},
	{"argon2id key of 16", "$argon2id$v=19$m=32,t=2,p=4$cm94YnRVOW5jZzFzcVE4bQ$MNzk5BtR2vUhrp6qQEjRNw", "test", "ory/kratos hash/hasher_test.go"},
	{"argon2id t=5", "$argon2id$v=19$m=32,t=5,p=4$cm94YnRVOW5jZzFzcVE4bQ$fBxypOL0nP/zdPE71JtAV71i487LbX3fJI5PoTN6Lp4", "test", "ory/kratos hash/hasher_test.go"},

	{"Django argon2i", "argon2$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$YC9+jJCrQhs5R6db7LlN8Q", "secret", "django tests/auth_tests/test_hashers.py"},
	{"Django argon2id", "argon2" + argonVector, "password", "argon2id above"},
	{"LDAP argon2id", "{ARGON2}" + argonVector, "password", "argon2id above"},
	{"LDAP argon2i", "{Argon2}$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8", "password", "argon2i above"},

	{"bcrypt 2a", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U", "crypt_blowfish wrapper.c"},
	{"bcrypt 2a empty", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy", "", "crypt_blowfish wrapper.c"},
	{"bcrypt 2y", "$2y$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e", "\xff\xff\xa3", "crypt_blowfish wrapper.c"},
	{"bcrypt 2b", "$2b$04$VvlCUKbTMjaxaYJ.k5juoecpG/7IzcH1AkmqKi.lIZMVIOLClWAk.", "J8eHUDuxBB520", "passlib tests/test_handlers_bcrypt.py"},
	{"bcrypt OpenBSD", bcryptVector, "allmine", "golang.org/x/crypto bcrypt_test.go, of OpenBSD"},
	{"LDAP bcrypt", "{BCRYPT}$2b$04$VvlCUKbTMjaxaYJ.k5juoecpG/7IzcH1AkmqKi.lIZMVIOLClWAk.", "J8eHUDuxBB520", "bcrypt 2b above"},
	{"Spring bcrypt", "{bcrypt}$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U", "bcrypt 2a above"},

	{"WordPress", "$wp$2y$10$gN3SQdbNc/cVlK7DylUiVumiuujud7lR0h5J4M2ZsNRMYOFbED16q", "Test123Now!", "made by WordPress, in the tests of a public Rust API"},
	{"WordPress cheap", "$wp$2y$04$abcdefghijklmnopqrstuuvVcN26Qszf/bgHTEy5wqn1LFLMIFXUq", "password", "made with Python's hmac and libxcrypt"},
	{"WordPress hashcat", "$wp$2y$10$lzlQrRRhLSjz486bA9CKHuZRPoKz4uviT251Sq/r5OzKUBbrXwnQW", "hashcat", "hashcat example hashes, mode 35500"},

	{"scrypt RFC 7914", "$scrypt$ln=10,r=8,p=16$TmFDbA$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWIurzDZLiKjiG/xCSedmDDaxyevuUqD7m2DYMvfoswGQA", "password", "RFC 7914, section 12"},
	{"scrypt key of 32", "$scrypt$ln=10,r=8,p=16$TmFDbA$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWI", "password", "passlib tests/test_handlers_scrypt.py"},
	{"scrypt passlib", "$scrypt$ln=8,r=8,p=1$WKs1xljLudd6z9kbY0wpJQ$yCR4iDZYDKv+iEJj6yHY0lv/epnfB6f/w1EbXrsJOuQ", "password", "passlib lib/passlib.hash.scrypt.rst"},
	{"scrypt of two lanes", "$scrypt$ln=1,r=1,p=2$c2FsdA$TbUpVPbs6DDr72G2YTufHf2SGSLTKhr1txnRWmZ26K0", "password", "made with Python's hashlib"},
	{"scrypt Kratos", "$scrypt$ln=16384,r=8,p=1$2npRo7P03Mt8keSoMbyD/tKFWyUzjiQf2svUaNDSrhA=$MiCzNcIplSMqSBrm4HckjYqYhaVPPjTARTzwB1cVNYE=", "test", "ory/kratos hash/hasher_test.go"},
	{"scrypt Kratos cheap", "$scrypt$ln=1024,r=1,p=1$c2FsdA==$71+9zzwlQD6p5+VHsoERdGzJM3klYfon9WlQPDs+hC4=", "password", "made with Python's hashlib"},

	{"Firebase", "$firebasescrypt$ln=14,r=8$" + firebaseSalt + "$" + firebaseHash + "$Bw==$" + firebaseSigner, "user1password", "github.com/firebase/scrypt README"},
	{"Firebase without separator", "$firebasescrypt$ln=14,r=8$" + firebaseSalt + "$NohHtJ2FmkEqzefZ0IHnOlqTzFN8n6vXXd0EW2OIGuUh4rcwvVh7XVRDVs5yOrueoudRPIoimS6jIwf4pMW3rg==$$" + firebaseSigner, "user1password", "zitadel/passwap internal/testvalues"},
	{"Firebase cheap", "$firebasescrypt$ln=10,r=4$" + firebaseSalt + "$EQ0tlNdKv5ZBDYN7ofOYlhhTEe5Tu9bueDmtDUhLPM+9dcS1u1ALgMcT6N1+U9GsDlVdd3FE2dmz37fU5Y8A9Q==$Bw==$" + firebaseSigner, "user1password", "zitadel/passwap internal/testvalues"},
	{"Kratos", "$firescrypt$ln=14,r=8,p=1$sPtDhWcd1MfdAw==$xbSou7FOl6mChCyzpCPIQ7tku7nsQMTFtyOZSXXd7tjBa4NtimOx7v42Gv2SfzPQu1oxM2/k4SsbOu73wlKe1A==$Bw==$YE0dO4bwD4JnJafh6lZZfkp1MtKzuKAXQcDCJNJNyeCHairWHKENOkbh3dzwaCdizzOspwr/FITUVlnOAwPKyw==", "8x4WjoDbSxJZdR", "ory/kratos hash/hasher_test.go"},
	{"Firebase cheapest", "$firebasescrypt$ln=1,r=1$c2FsdA==$Joi3Y8VxxN7F9D8sxpCgX2C5XFcvZnQbEL/fwft9Iqc=$Bw==$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "password", "made with Python's hashlib and openssl enc"},
	{"Kratos cheapest", "$firescrypt$ln=1,r=1,p=2$c2FsdA==$4JwGHSK6CbY57CujcjZAypzmbW9Kt83MgmUehbakMcc=$Bw==$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "password", "made with Python's hashlib and openssl enc"},

	{"PBKDF2-SHA1 RFC 6070", "$pbkdf2$4096$c2FsdA$SwB5AbdlSJq+rUnZJvch0GWkKcE", "password", "RFC 6070, 4096 iterations"},
	{"PBKDF2-SHA1 RFC 6070 long", "$pbkdf2-sha1$i=4096,l=25$c2FsdFNBTFRzYWx0U0FMVHNhbHRTQUxUc2FsdFNBTFRzYWx0$PS7sT+QchJuAyNg2YsDkSospGpZM8vBwOA", "passwordPASSWORDpassword", "RFC 6070, 25 bytes"},
	{"PBKDF2-SHA1 RFC 6070 NUL", "$pbkdf2-sha1$i=4096,l=16$c2EAbHQ$Vvpqp1VICZ3MN9fwNCXgww", "pass\x00word", "RFC 6070, 16 bytes"},
	{"PBKDF2-SHA256 RFC 7914", "$pbkdf2-sha256$i=1,l=64$c2FsdA$VawEblbjCJ/sFpHCJUS2BflBhSFt3gRl5oudV8INrLxJypzM8Xm2RZkWZLOdd+8xfHG4RbHjC9UJESBB06GXgw", "passwd", "RFC 7914, section 11"},
	{"PBKDF2-SHA256 RFC 7914 80000", "$pbkdf2-sha256$i=80000,l=64$TmFDbA$TdzY9guYviGDDO5e8icB+WQaRBjQTAQUrv8Ih2s0q1ah1CWhIlgzVJrbhBtRybMXaicr3ruh0HhHj2Kzl/M8jQ", "Password", "RFC 7914, section 11"},
	{"PBKDF2-SHA256 passlib", "$pbkdf2-sha256$6400$.6UI/S.nXIk8jcbdHx3Fhg$98jZicV16ODfEsEZeYPGHU3kbrUrvUEXOPimVSQDD44", "password", "passlib lib/passlib.hash.pbkdf2_digest.rst"},
	{"PBKDF2-SHA256 Kratos", "$pbkdf2-sha256$i=100000,l=32$1jP+5Zxpxgtee/iPxGgOz0RfE9/KJuDElP1ley4VxXc$QJxzfvdbHYBpydCbHoFg3GJEqMFULwskiuqiJctoYpI", "test", "ory/kratos hash/hasher_test.go"},
	{"PBKDF2-SHA512 Kratos", "$pbkdf2-sha512$i=100000,l=32$bdHBpn7OWOivJMVJypy2UqR0UnaD5prQXRZevj/05YU$+wArTfv1a+bNGO1iZrmEdVjhA+lL11wF4/IxpgYfPwc", "test", "ory/kratos hash/hasher_test.go"},

	{"Django", "pbkdf2_sha256$20000$seasalt$oBSd886ysm3AqYun62DOdin8YcfbU1z9cksZSuLP9r0=", "lètmein", "django tests/auth_tests/test_hashers.py"},
	{"Django SHA1", "pbkdf2_sha1$4096$salt$SwB5AbdlSJq+rUnZJvch0GWkKcE=", "password", "RFC 6070, 4096 iterations"},
	{"Django hashcat", "pbkdf2_sha256$20000$H0dPx8NeajVu$GiC4k5kqbbR9qWBlsRgDywNqC2vd9kqfk7zdorEnNas=", "hashcat", "hashcat example hashes, mode 10000"},

	{"ASP.NET v2", "$aspnet$AAABAgMEBQYHCAkKCwwNDg+ukCEMDf0yyQ29NYubggHIVY0sdEUfdyeM+E1LtH1uJg==", "my password", "dotnet/aspnetcore Identity.Test/PasswordHasherTest.cs"},
	{"ASP.NET v3 SHA1", "$aspnet$AQAAAAAAAAD6AAAAEAhftMyfTJylOlZT+eEotFXd1elee8ih5WsjXaR3PA9M", "my password", "dotnet/aspnetcore Identity.Test/PasswordHasherTest.cs"},
	{"ASP.NET v3 SHA256", "$aspnet$AQAAAAEAA9CQAAAAIESkQuj2Du8Y+kbc5lcN/W/3NiAZFEm11P27nrSN5/tId+bR1SwV8CO1Jd72r4C08OLvplNlCDc3oQZ8efcW+jQ=", "my password", "dotnet/aspnetcore Identity.Test/PasswordHasherTest.cs"},
	{"ASP.NET v3 SHA512", "$aspnet$AQAAAAIAAAAyAAAAEOMwvh3+FZxqkdMBz2ekgGhwQ4B6pZWND6zgESBuWiHw", "my password", "dotnet/aspnetcore Identity.Test/PasswordHasherTest.cs"},
	{"ASP.NET v3 SHA512 long", "$aspnet$AQAAAAIAAAD6AAAAIJbVi5wbMR+htSfFp8fTw8N8GOS/Sje+S/4YZcgBfU7EQuqv4OkVYmc4VJl9AGZzmRTxSkP7LtVi9IWyUxX8IAAfZ8v+ZfhjCcudtC1YERSqE1OEdXLW9VukPuJWBBjLuw==", "my password", "dotnet/aspnetcore Identity.Test/PasswordHasherTest.cs"},
	{"ASP.NET v3 default", "$aspnet$AQAAAAIAAYagAAAAEAABAgMEBQYHCAkKCwwNDg/Q8A0WMKbtHQJQ2DHCdoEeeFBrgNlldq6vH4qX/CGqGQ==", "my password", "dotnet/aspnetcore Identity.Test/PasswordHasherTest.cs"},

	{"SSHA", "{SSHA}pKqkNr1tq3wtQqk+UcPyA3HnA2NsU5NJ", "password", "passlib tests/test_handlers.py, ldap_salted_sha1"},
	{"SSHA Kratos", "{SSHA}JFZFs0oHzxbMwkSJmYVeI8MnTDy/276a", "test123", "ory/kratos hash/hasher_test.go"},
	{"SSHA hashcat", "{ssha}AZKja92fbuuB9SpRlHqaoXxbTc43Mzc2MDM1Ng==", "hashcat", "hashcat example hashes, mode 111, in small letters"},
	{"SSHA256", "{SSHA256}czO44OTV17PcF1cRxWrLZLy9xHd7CWyVYplr1rOhuMlx/7IK", "test123", "ory/kratos hash/hasher_test.go"},
	{"SSHA256 hashcat", "{SSHA256}OZiz0cnQ5hgyel3Emh7NCbhBRCQ+HVBwYplQunHYnER7TLuV", "hashcat", "hashcat example hashes, mode 1411"},
	{"SSHA384", "{SSHA384}JhBd8taJ7iy7c13rUwqdA0BiYlK+mbYtvmYKgUUH/Hnzlu9+YBTxYd973pJ5gvjPc2FsdA==", "password", "made with Python's hashlib"},
	{"SSHA512", "{SSHA512}ALtwKGBdRgD+U0fPAy31C28RyKYx7+a8kmfksccsOeLknLHv2DBXYI7TDnTolQMBuPkWDISgZr2cHfnNPFjGZTEyNDU4OTkw", "hashcat", "hashcat example hashes, mode 1711"},
	{"SSHA512 Kratos", "{SSHA512}xPUl/px+1cG55rUH4rzcwxdOIPSB2TingLpiJJumN2xyDWN4Ix1WQG3ihnvHaWUE8MYNkvMi5rf0C9NYixHsE6Yh59M=", "test123", "ory/kratos hash/hasher_test.go"},
	{"LDAP crypt MD5", "{CRYPT}$1$ec6XvcoW$ghEtNK2U1MC5l.Dwgi3020", "test", "MD5-crypt below"},
	{"LDAP crypt SHA512", "{Crypt}$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1", "Hello world!", "SHA512-crypt below"},
	{"LDAP crypt bcrypt", "{CRYPT}$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U", "bcrypt above"},

	{"MD5-crypt", "$1$ec6XvcoW$ghEtNK2U1MC5l.Dwgi3020", "test", "passlib tests/test_handlers.py, md5_crypt"},
	{"MD5-crypt empty", "$1$dOHYPKoP$tnxS1T8Q6VVn3kpV8cN6o.", "", "passlib tests/test_handlers.py, md5_crypt"},
	{"MD5-crypt without salt", "$1$$I2o9Z7NcvQAKp7wyCTlia0", "password", "libxcrypt, openssl passwd"},
	{"MD5-crypt without salt, Kratos", "$1$$whuMjZj.HMFoaTaZRRtkO0", "test", "ory/kratos hash/hasher_test.go, there $md5-crypt$"},
	{"MD5-crypt hashcat", "$1$28772684$iEwNOgGugqO9.bIz5sk8k/", "hashcat", "hashcat example hashes, mode 500"},
	{"MD5-crypt Kratos", "$1$xWMlm2eL$GGTOpgZu4p2k6ORprAu3b.", "ory", "ory/kratos hash/hasher_test.go, there $md5-crypt$"},

	{"SHA256-crypt 1", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "Hello world!", "Drepper, SHA-crypt.txt, tests2"},
	{"SHA256-crypt 2", "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA", "Hello world!", "Drepper, SHA-crypt.txt, tests2"},
	{"SHA256-crypt 3", "$5$rounds=5000$toolongsaltstrin$Un/5jzAHMgOGZ5.mWJpuVolil07guHPvOW8mGRcvxa5", "This is just a test", "Drepper, SHA-crypt.txt, tests2"},
	{"SHA256-crypt 4", "$5$rounds=1400$anotherlongsalts$Rx.j8H.h8HjEDGomFU8bDkXm3XIUnzyxf12oP84Bnq1", longText, "Drepper, SHA-crypt.txt, tests2"},
	{"SHA256-crypt 5", "$5$rounds=77777$short$JiO1O3ZpDAxGJeaDIuqCoEFysAe1mZNJRs3pw0KQRd/", "we have a short salt string but not a short password", "Drepper, SHA-crypt.txt, tests2"},
	{"SHA256-crypt 6", "$5$rounds=123456$asaltof16chars..$gP3VQ/6X7UUEW3HkBn2w1/Ptq2jxPyzV/cZKmF/wJvD", "a short string", "Drepper, SHA-crypt.txt, tests2"},
	{"SHA256-crypt 7", "$5$rounds=1000$roundstoolow$yfvwcWrQ8l/K0DAWyuPMDNHpIVlTQebY9l/gL972bIC", "the minimum number is still observed", "Drepper, SHA-crypt.txt, tests2"},
	{"SHA256-crypt 7 as asked for", "$5$rounds=10$roundstoolow$yfvwcWrQ8l/K0DAWyuPMDNHpIVlTQebY9l/gL972bIC", "the minimum number is still observed", "Drepper, SHA-crypt.txt, tests2"},
	{"SHA256-crypt hashcat", "$5$rounds=5000$GX7BopJZJxPc/KEK$le16UF8I2Anb.rOrn22AUPWvzUETDGefUmAV8AZkGcD", "hashcat", "hashcat example hashes, mode 7400"},
	{"SHA256-crypt without salt", "$5$$V0edGK/GfSrNwzYCrbML4V/gvkNuNTfvn.Pt/LMSAf8", "password", "libxcrypt"},
	{"SHA256-crypt without salt, rounds", "$5$rounds=1000$$YwQnHQDOPsCJlryuA75uU221CK6G/vNP6xF0y89gq18", "password", "libxcrypt"},
	{"SHA512-crypt without salt", "$6$$bLTg4cpho8PIUrjfsE7qlU08Qx2UEfw..xOc6I1wpGVtyVYToGrr7BzRdAAnEr5lYFr1Z9WcCf1xNZ1HG9qFW1", "password", "libxcrypt"},
	{"SHA512-crypt without salt, rounds", "$6$rounds=1000$$6TFP.7u1vZP5A9fccvmUPteI8f29BLhgfqL1XEQqcrvqTSKKw5SBa2qw1sOwLEQ41Dhl1u/Jbi2hRHRYCdxuv0", "password", "libxcrypt"},
	{"SHA512-crypt 1", "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1", "Hello world!", "Drepper, SHA-crypt.txt, tests2"},
	{"SHA512-crypt 2", "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.", "Hello world!", "Drepper, SHA-crypt.txt, tests2"},
	{"SHA512-crypt 3", "$6$rounds=5000$toolongsaltstrin$lQ8jolhgVRVhY4b5pZKaysCLi0QBxGoNeKQzQ3glMhwllF7oGDZxUhx1yxdYcz/e1JSbq3y6JMxxl8audkUEm0", "This is just a test", "Drepper, SHA-crypt.txt, tests2"},
	{"SHA512-crypt 4", "$6$rounds=1400$anotherlongsalts$POfYwTEok97VWcjxIiSOjiykti.o/pQs.wPvMxQ6Fm7I6IoYN3CmLs66x9t0oSwbtEW7o7UmJEiDwGqd8p4ur1", longText, "Drepper, SHA-crypt.txt, tests2"},
	{"SHA512-crypt 5", "$6$rounds=77777$short$WuQyW2YR.hBNpjjRhpYD/ifIw05xdfeEyQoMxIXbkvr0gge1a1x3yRULJ5CCaUeOxFmtlcGZelFl5CxtgfiAc0", "we have a short salt string but not a short password", "Drepper, SHA-crypt.txt, tests2"},
	{"SHA512-crypt 6", "$6$rounds=123456$asaltof16chars..$BtCwjqMJGx5hrJhZywWvt0RLE8uZ4oPwcelCjmw2kSYu.Ec6ycULevoBK25fs2xXgMNrCzIMVcgEJAstJeonj1", "a short string", "Drepper, SHA-crypt.txt, tests2"},
	{"SHA512-crypt 7", "$6$rounds=1000$roundstoolow$kUMsbe306n21p9R.FRkW3IGn.S9NPN0x50YhH1xhLsPuWGsUSklZt58jaTfF4ZEQpyUNGc0dqbpBYYBaHHrsX.", "the minimum number is still observed", "Drepper, SHA-crypt.txt, tests2"},
	{"SHA512-crypt hashcat", "$6$52450745$k5ka2p8bFuSmoVT1tzOyyuaREkkKBcCNqoDKzYiJL9RaE8yMnPgh2XzzF0NDrUhgrcLwg78xs1w5pJiypEdFX/", "hashcat", "hashcat example hashes, mode 1800"},

	{"phpass", "$P$9IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0", "test12345", "Openwall phpass test.php"},
	{"phpass WordPress", "$P$984478476IagS59wHZvyQMArzfx58u.", "hashcat", "hashcat example hashes, mode 400"},
	{"phpass phpBB", "$H$984478476IagS59wHZvyQMArzfx58u.", "hashcat", "hashcat example hashes, mode 400"},
}

const longText = "a very much longer text to encrypt.  This one even stretches over morethan one line."
