// Package secret reads flags that hold secrets.
package secret

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// Max is how many bytes a file with a secret may have: more than any token or URL
// takes. It keeps a wrong file, such as /dev/zero, from filling the memory.
const Max = 64 << 10

// Read returns what v says: itself or, if it is @FILE, what the file
// holds, without the end of its last line. Arguments can be read by everyone on
// the machine; a file need not be. Its errors name the file and never quote it.
func Read(v string) (string, error) {
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
	text, err := io.ReadAll(io.LimitReader(f, Max+1))
	if err != nil {
		return "", err
	}

	secret := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	switch {
	case secret == "":
		return "", fmt.Errorf("the file %q is empty", path)
	case len(text) > Max:
		return "", fmt.Errorf("the file %q is larger than %d bytes", path, Max)
	}
	return secret, nil
}

// Of returns the flag's value; if the flag is not given, that of the
// environment's variable. source is which of them it is, also with an error.
func Of(fs *flag.FlagSet, name, variable string) (text, source string, err error) {
	text, source = fs.Lookup(name).Value.String(), "-"+name
	if v := os.Getenv(variable); v != "" && !Given(fs, name) {
		text, source = v, variable
	}
	text, err = Read(text)
	return text, source, err
}

// Given reports whether the flag is among the arguments.
func Given(fs *flag.FlagSet, name string) (yes bool) {
	fs.Visit(func(f *flag.Flag) { yes = yes || f.Name == name })
	return yes
}
