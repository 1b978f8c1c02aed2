package store

import (
	"context"
	"errors"
	"io"
	"time"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/build"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/lockdir"
	"nomad-driver-pot/image/oci"
	"nomad-driver-pot/image/zstream"
)

// importContainer reads the layers, imports the tree that they make under a temporary name, and
// renames it when all else has succeeded. It returns fs.ErrExist if the final name is taken.
func (s *Store) importContainer(ctx context.Context, c image.Container, opened *oci.Image, p image.StatusFunc) (im Imported, err error) {
	c.Digest = opened.Digest
	err = s.withImport(ctx, c, func(t *lockdir.Dir) error {
		settings, warnings, err := opened.Conf(conf.New{NoCommand: true})
		if err == nil {
			err = settings.Validate()
		}
		if err != nil {
			return containerError(ctx, c, err)
		}
		for _, w := range warnings {
			p.Report("container image: %s", w)
		}
		files, err := s.layers(ctx, c, opened, t, p)
		if err != nil {
			return err
		}
		p.Report("importing %s", c.Reference())
		received, err := s.receiveTree(ctx, c, t, settings, opened.Created(), files)
		if err != nil {
			return err
		}
		labels := map[string]string{LabelReceived: received.String(), LabelRef: c.String(), LabelManifest: opened.Digest}
		if opened.WithCredentials {
			labels[LabelLogin] = "required"
		}
		temporary := tempPrefix + t.ID()
		if err := s.datasets.SetLabels(ctx, temporary, labels); err != nil {
			return s.importError(ctx, c, err)
		}
		if err := s.datasets.Rename(ctx, temporary, c.Dataset()); err != nil {
			return s.importError(ctx, c, err)
		}
		im = Imported{Name: c.Dataset(), Manifest: opened.Digest}
		return nil
	})
	return im, err
}

// withImport calls do with a temporary directory, whose ID is in the temporary name of the
// dataset. After an error it destroys that dataset; if that fails too, or the process is
// killed, removeStale does.
func (s *Store) withImport(ctx context.Context, ref reference, do func(*lockdir.Dir) error) error {
	if err := s.removeStale(ctx); err != nil {
		return s.cache.Fault(err)
	}
	if err := s.removeStaleImports(ctx); err != nil {
		return s.importError(ctx, ref, err)
	}
	t, err := lockdir.New(s.cache.Dir, lockdir.Importing)
	if err != nil {
		return s.cache.Fault(err)
	}
	if err = do(t); err == nil || s.undo(ctx, t) == nil {
		return errors.Join(err, t.Remove())
	}
	t.Release()
	return err
}

// layers downloads and verifies the layers, and returns the tree that they make, in t. The
// caller must close it.
func (s *Store) layers(ctx context.Context, c image.Container, opened *oci.Image, t *lockdir.Dir, p image.StatusFunc) (*zstream.Files, error) {
	ctx, done, err := s.cache.Begin(ctx, c.Reference(), c.String(), p)
	if err != nil {
		return nil, err
	}
	defer done()
	files, err := opened.Tree(ctx, zstream.TarOptions{Spool: t.Path, Missing: opened.Created()}, reportLayers(c, p))
	if err != nil {
		return nil, containerError(ctx, c, err)
	}
	return files, nil
}

// reportEvery is the time between two reports on layers.
const reportEvery = 20 * time.Second

// reportLayers returns a function that reports the progress of a download, now and then.
func reportLayers(c image.Container, p image.StatusFunc) func(done, total int64) {
	var last time.Time
	return func(done, total int64) {
		now := time.Now()
		switch {
		case last.IsZero():
			p.Report("downloading the layers of %s: %s", c.Reference(), image.FormatSize(total))
		case now.Sub(last) < reportEvery:
			return
		default:
			p.Report("downloading the layers of %s: %s of %s", c.Reference(), image.FormatSize(done), image.FormatSize(total))
		}
		last = now
	}
}

// readAll downloads and verifies the layers, and keeps nothing.
func (s *Store) readAll(ctx context.Context, c image.Container, opened *oci.Image, p image.StatusFunc) error {
	return s.withImport(ctx, c, func(t *lockdir.Dir) error {
		files, err := s.layers(ctx, c, opened, t, p)
		if err != nil {
			return err
		}
		return files.Close()
	})
}

// receiveTree imports a tree with those settings under t's temporary name. It closes the tree.
func (s *Store) receiveTree(ctx context.Context, c image.Container, t *lockdir.Dir, settings conf.New, created time.Time, files *zstream.Files) (receipt, error) {
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := build.Stream(ctx, w, build.BuildOptions{
			Name: c.Pot, Tag: c.DatasetTag(), Dir: t.Path, Conf: settings, Created: created, From: c.String(),
			Tree: func(context.Context, zstream.TarOptions) (*zstream.Files, error) { return files, nil },
		})
		w.CloseWithError(err)
		written <- err
	}()
	received, err := s.receive(ctx, c, t, c.Digest, fetch.NewContextReader(ctx, r), nil)
	r.CloseWithError(io.ErrClosedPipe)
	if failed := <-written; failed != nil && !errors.Is(failed, io.ErrClosedPipe) {
		return received, s.importError(ctx, c, failed)
	}
	return received, err
}
