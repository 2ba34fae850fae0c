package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxSecret is more than any token or URL takes. It keeps a wrong file, such as
// /dev/zero, from filling the memory.
const maxSecret = 64 << 10

// readSecret returns what v says: itself or, if it is @FILE, what the file
// holds, without the end of its last line. Arguments can be read by everyone on
// the machine; a file need not be. Its errors name the file and never quote it.
func readSecret(v string) (string, error) {
	path, isFile := strings.CutPrefix(v, "@")
	if !isFile {
		return v, nil
	}
	if path == "" {
		return "", errors.New("@ must be followed by the name of a file")
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", err
	}

	secret := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	switch {
	case secret == "":
		return "", fmt.Errorf("the file %q is empty", path)
	case len(text) > maxSecret:
		return "", fmt.Errorf("the file %q is larger than %d bytes", path, maxSecret)
	}
	return secret, nil
}
