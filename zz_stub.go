package users

import "errors"

const keyVersion = 1

type ruleError struct{ code, detail string }

func (e *ruleError) Error() string { return e.detail }

func userNameKey(s string) (string, error) { return s, nil }
func emailKey(s string) (string, error)    { return s, errors.ErrUnsupported }
func roleNameKey(s string) (string, error) { return s, nil }
func checkDisplayName(s string) error      { return nil }
