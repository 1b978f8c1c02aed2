//go:build linux

package linux

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"nomad-driver-pot/image/zstream"
)

// Receive implements pot.Images.
func (d datasets) Receive(ctx context.Context, name string, stream io.Reader) error {
	return d.receive(ctx, name, stream, nil)
}

// ReceiveLayer implements pot.Images. A directory is not what an increment can be put on: it
// names objects by their numbers.
func (d datasets) ReceiveLayer(ctx context.Context, name, origin, snapshot string, stream io.Reader,
	below func(context.Context) ([]io.ReadCloser, error)) error {
	if err := valid(origin); err != nil {
		return err
	}
	if _, err := os.Lstat(d.path(origin)); err != nil {
		return fmt.Errorf("origin: %w", err)
	}
	streams, err := below(ctx)
	if err != nil {
		return err
	}
	var readers []io.Reader
	for _, s := range streams {
		defer s.Close()
		readers = append(readers, s)
	}
	return d.receive(ctx, name, stream, readers)
}

// receive receives an image that is layered on the streams below, if there are any. Creating
// its directory reserves the name: of two calls one gets fs.ErrExist.
func (d datasets) receive(ctx context.Context, name string, stream io.Reader, below []io.Reader) (err error) {
	if err := errors.Join(valid(name), d.prepare()); err != nil {
		return err
	}
	if err := os.Mkdir(d.path(name), 0o755); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(d.path(name)))
		}
	}()
	// A crash in a rename may have left an image's labels under the name.
	if err := os.RemoveAll(d.label(name)); err != nil {
		return err
	}
	root, err := os.OpenRoot(d.path(name))
	if err != nil {
		return err
	}
	defer root.Close()
	if _, err := zstream.Extract(ctx, stream, root, zstream.Options{Origins: below}); err != nil {
		return err
	}
	if info, err := root.Lstat("m"); err != nil || !info.IsDir() {
		return errors.New("no image of a pot: there is no dataset m in it")
	}
	return nil
}
