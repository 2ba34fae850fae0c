package httpapi

// KnownMembers returns the names in the tables of the requests, by operation.
func KnownMembers() map[string][]string {
	return map[string][]string{
		"createUser":      createUserMembers.names(),
		"createRole":      createRoleMembers.names(),
		"recoverPassword": recoverMembers.names(),
		"setPassword":     setPasswordMembers.names(),
	}
}

func (all members[T]) names() (names []string) {
	for _, m := range all {
		names = append(names, m.name)
	}
	return names
}
