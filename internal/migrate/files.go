package migrate

import (
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"
)

// files is a file system in memory: the texts of its only directory by name.
type files map[string]string

func (f files) Open(name string) (fs.File, error) {
	text, ok := f[name]
	switch {
	case name == ".":
		d := &directory{fileInfo: fileInfo{name, 0, fs.ModeDir | 0o555}}
		for _, name := range slices.Sorted(maps.Keys(f)) {
			d.left = append(d.left, fs.FileInfoToDirEntry(fileInfo{name, int64(len(f[name])), 0o444}))
		}
		return d, nil
	case !fs.ValidPath(name):
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	case !ok:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &file{strings.NewReader(text), fileInfo{name, int64(len(text)), 0o444}}, nil
}

// file is an open file.
type file struct {
	*strings.Reader
	info fileInfo
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *file) Close() error               { return nil }

// directory is the open directory.
type directory struct {
	fileInfo
	left []fs.DirEntry
}

func (d *directory) Stat() (fs.FileInfo, error) { return d.fileInfo, nil }
func (d *directory) Close() error               { return nil }

func (d *directory) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: fs.ErrInvalid}
}

func (d *directory) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		n = len(d.left)
	} else if len(d.left) == 0 {
		return nil, io.EOF
	}
	some := d.left[:min(n, len(d.left))]
	d.left = d.left[len(some):]
	return slices.Clone(some), nil
}

// fileInfo implements fs.FileInfo.
type fileInfo struct {
	name string
	size int64
	mode fs.FileMode
}

func (i fileInfo) Name() string       { return i.name }
func (i fileInfo) Size() int64        { return i.size }
func (i fileInfo) Mode() fs.FileMode  { return i.mode }
func (i fileInfo) ModTime() time.Time { return time.Time{} }
func (i fileInfo) IsDir() bool        { return i.mode.IsDir() }
func (i fileInfo) Sys() any           { return nil }
