package password

func InsecureForTests() Hasher { return Argon2id{} }
