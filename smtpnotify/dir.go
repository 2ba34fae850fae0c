package smtpnotify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gousers/users"
)

// Dir returns a [users.Notifier] for development, which writes each message to a
// file in dir, named after the id of the notification, with ".eml". A file
// appears as a whole; a repeat replaces it. dir is created if it does not exist.
// Only its owner can read it and the files, because they hold tokens.
//
// o may be nil; of its fields Templates and Domain count. The notifier is safe
// for concurrent use. Its errors are a [*Error], the context's or that of a file.
func Dir(dir, from string, o *Options) (users.Notifier, error) {
	if dir == "" {
		return nil, errors.New("smtpnotify: Dir: dir is empty")
	}
	if o == nil {
		o = &Options{}
	}
	c, err := newComposer(from, o)
	if err != nil {
		return nil, fmt.Errorf("smtpnotify: Dir: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("smtpnotify: Dir: %w", err)
	}

	return users.NotifierFunc(func(ctx context.Context, n users.Notification) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		m, err := c.compose(n)
		if err != nil {
			return final(err)
		}
		if err := writeFile(dir, n.ID+".eml", m.data); err != nil {
			return fmt.Errorf("smtpnotify: %w", err)
		}
		return nil
	}), nil
}

// writeFile writes a file that others see as a whole or not at all.
func writeFile(dir, name string, data []byte) (err error) {
	f, err := os.CreateTemp(dir, ".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()

	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(dir, name))
}
