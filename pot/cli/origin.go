package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/zstream"
)

// originFiles are the arguments of --origin: the images that another one is layered on.
type originFiles []string

// addOrigins adds --origin to c.
func addOrigins(c *cobra.Command) *originFiles {
	o := &originFiles{}
	c.Flags().StringArrayVar((*[]string)(o), "origin", nil, "`FILE` of the image that this one is layered on; may be repeated, the oldest first")
	return o
}

// places parses the arguments. It opens no file, so that its error is a usage error.
func (o originFiles) places() ([]fetch.Location, error) {
	var all []fetch.Location
	for _, file := range o {
		p, err := fetch.ParseLocation(file)
		if err != nil {
			return nil, fmt.Errorf("--origin: %w", err)
		}
		all = append(all, p)
	}
	return all, nil
}

// openOrigins opens the streams of the images that an image is layered on, verified as t
// asks. The caller must call done when it has read them. Each is a stream to be read once,
// while the image above it is read.
func (t trust) openOrigins(ctx context.Context, places []fetch.Location, dir string, bar *progress) (streams []io.Reader, done func(), err error) {
	var opened []io.Closer
	done = func() {
		for _, c := range slices.Backward(opened) {
			c.Close()
		}
	}
	for _, p := range places {
		f, err := t.open(ctx, p, dir, bar)
		if err != nil {
			done()
			return nil, nil, fmt.Errorf("origin: %w", err)
		}
		d := openDecoded(ctx, f, nil)
		opened = append(opened, f, d)
		streams = append(streams, d)
	}
	return streams, done, nil
}

// decodeFault returns the error of decoding one of the streams, if there was one, and
// otherwise err: a stream that could not be decoded also looks damaged to its reader.
func decodeFault(err error, streams []io.Reader) error {
	for _, r := range streams {
		if d := r.(*decoded); d.err != nil && d.err != io.EOF {
			err = d.err
		}
	}
	return err
}

// hintOrigin adds a hint to zstream.ErrNoOrigin: the image that --origin must give.
func hintOrigin(err error, on image.Meta, given int) error {
	if !errors.Is(err, zstream.ErrNoOrigin) {
		return err
	}
	return hinted{err, noOrigin(on, given)}
}

// noOrigin returns that hint. given is the number of origins that were given.
func noOrigin(on image.Meta, given int) string {
	switch {
	case on == image.Meta{} && given == 0:
		return "it is layered on another image: add --origin FILE"
	case on == image.Meta{}:
		return "it is layered on a different image than --origin gives"
	case given == 0:
		return fmt.Sprintf("it is layered on %s_%s, at snapshot %s: add --origin FILE for that image", on.Name, on.Tag, on.Snapshot)
	}
	return fmt.Sprintf("it is layered on %s_%s, at snapshot %s: --origin gives a different image", on.Name, on.Tag, on.Snapshot)
}
