package smtpnotify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gousers/users"
)

// Dir makes a Notifier that writes each message to a file in dir, for development:
// the id of the notification and ".eml". A file appears all at once; a
// repeat replaces it. dir is made if it does not exist; only its owner may
// read it and the files, because they hold tokens. Of o, which may be nil,
// Templates and Domain count.
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
			return err
		}
		if err := writeFile(dir, n.ID+".eml", m.data); err != nil {
			return fmt.Errorf("smtpnotify: %w", err)
		}
		return nil
	}), nil
}

// writeFile makes a file that is there as a whole or not at all.
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
