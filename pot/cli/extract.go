package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/xz"
	"nomad-driver-pot/image/zstream"
)

// extractCommand makes an image's trees in a directory.
func extractCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "extract FILE DIR",
		Short: "make an image's files in a directory",
		Long: `Makes the files of an image in DIR, which must be empty or not there: those of the
pot in DIR itself (conf), those of its file system in DIR/m. No ZFS is needed, and
nothing is made before all of the image is verified, as by image verify. After an
error, what was made is gone again.

An image that is layered on another has only what has changed: that one is given
with --origin.

Without root, owners and devices are left out, and that is said.`,
		Example: `    pot image extract hello_1.0.xz hello
    pot image extract -C pots.pub https://images.example.org/pots/hello_1.0.xz hello`,
		Args: arguments("FILE", "DIR"),
	}
	trust := addTrust(c)
	below := addOrigins(c)
	output := addOutput(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := trust.check(); err != nil {
			return err
		}
		if args[1] == "" {
			return errors.New("DIR: must be a path")
		}
		p, err := place(args[0])
		if err != nil {
			return err
		}
		origins, err := below.places()
		if err != nil {
			return err
		}
		return runE(func(c *cobra.Command, _ []string) error {
			e := &extract{from: p, origins: origins, to: args[1], trust: *trust, bar: newProgress(c.ErrOrStderr())}
			e.warn = func(text string) {
				e.bar.done()
				fmt.Fprintf(c.ErrOrStderr(), "%s: %s\n", c.Root().Name(), text)
			}
			defer e.bar.done()
			stream, err := e.run(c.Context())
			e.bar.done()
			if err != nil {
				return err
			}
			all := extractedTo(args[1], stream)
			return output.tell(c.OutOrStdout(), all, func(w io.Writer) error { return extractedText(w, all) })
		})(c, args)
	}
	return c
}

// extract is an extraction.
type extract struct {
	from    image.Place
	origins []image.Place
	to      string
	trust   trust
	bar     *progress
	warn    func(string)
}

func (e *extract) run(ctx context.Context) (_ *zstream.Stream, err error) {
	made, err := e.free()
	if err != nil {
		return nil, fmt.Errorf("cannot extract to %s: %w", e.to, err)
	}
	f, err := e.open(ctx, made)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	stream, err := e.extract(ctx, f, made)
	if err != nil {
		err = fmt.Errorf("cannot extract %s: %w", e.from, err)
		return nil, hintOrigin(err, f.Meta, len(e.origins))
	}
	return stream, nil
}

// free says whether the directory is there, and is an error if it is not empty.
func (e *extract) free() (there bool, err error) {
	there = true
	all, err := os.ReadDir(e.to)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return there, cause(err)
	case len(all) > 0:
		return there, errors.New("directory is not empty")
	}
	return there, nil
}

// cause is err without the path that is named already.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// open is the image, verified if it is to be. One from a server is kept where
// its files will be.
func (e *extract) open(ctx context.Context, there bool) (*image.File, error) {
	return e.trust.open(ctx, e.from, e.keep(there), e.bar)
}

// keep is the directory for files that have no name.
func (e *extract) keep(there bool) string {
	if there {
		return e.to
	}
	return filepath.Dir(e.to)
}

// extract makes the files of f. The directory is removed after an error, unless
// it was there.
func (e *extract) extract(ctx context.Context, f *image.File, there bool) (_ *zstream.Stream, err error) {
	if !there {
		if err := os.Mkdir(e.to, 0o700); err != nil {
			return nil, err
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, os.Remove(e.to))
			}
		}()
	}
	dir, err := os.OpenRoot(e.to)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	origins, done, err := e.trust.openOrigins(ctx, e.origins, e.keep(there), e.bar)
	if err != nil {
		return nil, err
	}
	defer done()
	top := openDecoded(ctx, f, e.bar.of("extracting"))
	defer top.Close()
	stream, err := zstream.Extract(ctx, top, dir, zstream.Options{Warn: e.warn, Origins: origins})
	if err != nil {
		err = decodeFault(err, append(origins, top))
	}
	return stream, err
}

// decoded remembers what reading the decoded image ended with.
type decoded struct {
	io.ReadCloser
	err error
}

func openDecoded(ctx context.Context, f *image.File, count image.Count) *decoded {
	return &decoded{ReadCloser: f.Open(ctx, xz.Options{Count: count})}
}

func (d *decoded) Read(p []byte) (int, error) {
	n, err := d.ReadCloser.Read(p)
	if err != nil {
		d.err = err
	}
	return n, err
}

// extracted is a file system whose files were made.
type extracted struct {
	Dir      string `json:"dir"`
	Snapshot string `json:"snapshot"`
	Files    int64  `json:"files"`
	Bytes    int64  `json:"bytes"`
}

// extractedTo is what was made of a stream in dir.
func extractedTo(dir string, s *zstream.Stream) []extracted {
	all := []extracted{}
	for _, d := range s.Datasets {
		all = append(all, extracted{filepath.Join(dir, d.Name), d.Snapshot, int64(d.Files), int64(d.Bytes)})
	}
	return all
}

func extractedText(w io.Writer, all []extracted) error {
	for _, d := range all {
		if _, err := fmt.Fprintf(w, "%s: snapshot %s, %d files, %d bytes\n", d.Dir, d.Snapshot, d.Files, d.Bytes); err != nil {
			return err
		}
	}
	return nil
}
