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
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/xz"
	"nomad-driver-pot/image/zstream"
	"nomad-driver-pot/schema"
)

// extractCommand extracts an image's files into a directory. pot has no such command: it
// can only receive the stream into ZFS. A directory that did not exist is gone after an
// error; one that existed is empty again.
func extractCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "extract FILE DIR",
		Short: "Extract an image into a directory",
		Long: `Extracts an image into DIR, which must be empty or not exist: the pot's own files into
DIR itself (conf), the files of its file system into DIR/m. It needs no ZFS. All of the
image is verified first, as by image verify. After an error the extracted files are
removed.

An image that is layered on another contains only what has changed; --origin gives the
other one.

Without root, owners and devices are left out, with a warning.`,
		Example: `  pot image extract hello_1.0.xz hello
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
			e.warn = aboveBar(e.bar, c)
			defer e.bar.done()
			stream, err := e.run(c.Context())
			e.bar.done()
			if err != nil {
				return err
			}
			all := extractedTo(args[1], stream)
			return output.print(c.OutOrStdout(), all, func(w io.Writer) error { return extractedText(w, all) })
		})(c, args)
	}
	return c
}

// extract is an extraction: its arguments and flags.
type extract struct {
	from    fetch.Location
	origins []fetch.Location
	to      string
	trust   trust
	bar     *progress
	warn    func(string)
}

// The directory is checked before the download: a reader should not learn after an hour
// that it is not empty.
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

// free reports whether the directory exists. It returns an error if it is not empty.
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

// cause returns err without the path of an fs.PathError: the caller names it.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// open returns the image, verified unless --no-verify is set. An image from a server is
// kept on the disk that it will be extracted to.
func (e *extract) open(ctx context.Context, there bool) (*image.File, error) {
	return e.trust.open(ctx, e.from, e.keep(there), e.bar)
}

// keep returns the directory for downloads, which are files without a name.
func (e *extract) keep(there bool) string {
	if there {
		return e.to
	}
	return filepath.Dir(e.to)
}

// extract extracts the files of f. After an error it removes the directory, unless that
// existed before.
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

// decoded remembers the error that reading the decoded image ended with. The readers above
// it report a stream that ends early as a damaged image, although the reason is a failed
// download or a wrong checksum of xz.
type decoded struct {
	io.ReadCloser
	err error
}

// openDecoded opens the decoded stream of an image. The caller must close it before f.
func openDecoded(ctx context.Context, f *image.File, count image.ProgressFunc) *decoded {
	return &decoded{ReadCloser: f.Open(ctx, xz.Options{Count: count})}
}

func (d *decoded) Read(p []byte) (int, error) {
	n, err := d.ReadCloser.Read(p)
	if err != nil {
		d.err = err
	}
	return n, err
}

// extractedTo returns the file systems of a stream that was extracted to dir.
func extractedTo(dir string, s *zstream.Stream) []schema.Extracted {
	all := []schema.Extracted{}
	for _, d := range s.Datasets {
		all = append(all, schema.Extracted{Dir: filepath.Join(dir, d.Name), Snapshot: d.Snapshot, FileCount: int64(d.Files), Bytes: int64(d.Bytes)})
	}
	return all
}

// extractedText prints a line for each dataset: the pot's own and its tree.
func extractedText(w io.Writer, all []schema.Extracted) error {
	for _, d := range all {
		if _, err := fmt.Fprintf(w, "%s: snapshot %s, %d files, %d bytes\n", d.Dir, d.Snapshot, d.FileCount, d.Bytes); err != nil {
			return err
		}
	}
	return nil
}
