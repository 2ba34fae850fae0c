package password

func Bcrypt(cost int) (Hasher, error) { return Argon2id{}, nil }
