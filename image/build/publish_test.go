package build_test

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/build"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/imagetest"
)

// exportOptions are for an image of that stream.
func exportOptions(dir, stream string) build.ExportOptions {
	return build.ExportOptions{
		Name: "web", Tag: "1.0", Dir: dir, Snapshot: "1795392222",
		Send: func(_ context.Context, w io.Writer) error {
			_, err := io.WriteString(w, stream)
			return err
		},
	}
}

func TestExport_taken(t *testing.T) {
	leak.Check(t)
	for _, suffix := range []string{"", ".meta", ".skein", ".skein.sig"} {
		t.Run("there is a web_1.0.xz"+suffix, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "web_1.0.xz"+suffix)
			must.NoError(t, os.WriteFile(file, []byte("published"), 0o644))
			o := exportOptions(dir, "another stream")
			must.ErrorIs(t, o.Check(), fs.ErrExist)
			_, err := build.Export(t.Context(), o)
			must.EqError(t, err, "export web_1.0: "+file+": file already exists")
			must.Eq(t, map[string]string{"web_1.0.xz" + suffix: "published"}, imagetest.Files(t, dir))

			o.Replace = true
			must.NoError(t, o.Check())
			_, err = build.Export(t.Context(), o)
			must.NoError(t, err)
			must.Eq(t, []string{"web_1.0.xz", "web_1.0.xz.meta", "web_1.0.xz.skein"}, imagetest.Names(t, dir))
			_, err = build.Export(t.Context(), exportOptions(dir, "another stream"))
			must.ErrorIs(t, err, fs.ErrExist, must.Sprint("also the very same image"))
		})
	}
	t.Run("a link to nowhere has the name", func(t *testing.T) {
		dir := t.TempDir()
		must.NoError(t, os.Symlink("nowhere", filepath.Join(dir, "web_1.0.xz")))
		_, err := build.Export(t.Context(), exportOptions(dir, "a stream"))
		must.ErrorIs(t, err, fs.ErrExist)
		must.Eq(t, []string{"web_1.0.xz"}, imagetest.Names(t, dir))
	})
}

// TestExport_takenMeanwhile has another image published while one is written.
func TestExport_takenMeanwhile(t *testing.T) {
	leak.Check(t)
	other := func(t *testing.T, dir string, signer build.Signer) map[string]string {
		t.Helper()
		o := exportOptions(dir, "the other")
		o.Signer = signer
		_, err := build.Export(t.Context(), o)
		must.NoError(t, err)
		return imagetest.Files(t, dir)
	}
	t.Run("an export", func(t *testing.T) {
		dir := t.TempDir()
		o := exportOptions(dir, "")
		var there map[string]string
		o.Send = func(_ context.Context, w io.Writer) error {
			there = other(t, t.TempDir(), signer("signed: "))
			for name, text := range there {
				must.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
			}
			_, err := io.WriteString(w, "a stream")
			return err
		}
		_, err := build.Export(t.Context(), o)
		must.ErrorIs(t, err, fs.ErrExist)
		must.Eq(t, there, imagetest.Files(t, dir))
	})
	t.Run("a build", func(t *testing.T) {
		o := buildOptions(t, webTree(t))
		var there map[string]string
		o.Progress = func(build.BuildProgress) {
			if there == nil {
				there = map[string]string{}
				all := other(t, t.TempDir(), nil)
				for name, text := range all {
					must.NoError(t, os.WriteFile(filepath.Join(o.Dir, name), []byte(text), 0o644))
				}
				there = all
			}
		}
		_, err := build.Build(t.Context(), o)
		must.ErrorIs(t, err, fs.ErrExist)
		must.Eq(t, there, imagetest.Files(t, o.Dir))
	})
	t.Run("of many at once one is published", func(t *testing.T) {
		dir := t.TempDir()
		const many = 6
		ready, start, errs := make(chan bool), make(chan bool), make(chan error)
		for i := range many {
			o := exportOptions(dir, "")
			o.Send = func(_ context.Context, w io.Writer) error {
				ready <- true
				<-start
				_, err := w.Write([]byte{byte(i)})
				return err
			}
			go func() {
				_, err := build.Export(t.Context(), o)
				errs <- err
			}()
		}
		for range many {
			<-ready
		}
		close(start)
		published := 0
		for range many {
			if err := <-errs; err == nil {
				published++
			} else {
				must.ErrorIs(t, err, fs.ErrExist)
			}
		}
		must.Eq(t, 1, published)
		must.Eq(t, []string{"web_1.0.xz", "web_1.0.xz.meta", "web_1.0.xz.skein"}, imagetest.Names(t, dir))
		at, err := fetch.ParseLocation(filepath.Join(dir, "web_1.0.xz"))
		must.NoError(t, err)
		_, err = at.Verify(t.Context(), fetch.Checks{})
		must.NoError(t, err)
	})
}
