package build

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/image/lockdir"
	"nomad-driver-pot/image/skein"
	"nomad-driver-pot/image/xz"
	"nomad-driver-pot/image/zstream"
)

// Signer signs the contents of a .skein file, as signify(1) does: Sign returns the whole
// signature file.
type Signer interface {
	Sign(message []byte) ([]byte, error)
}

// BuildOptions are the contents of a new image, and where its files go.
type BuildOptions struct {
	Name, Tag string // of the image
	Dir       string // for its files; must exist

	// From is the root tree of the pot: a directory, or a tar archive, plain or
	// compressed with xz, gzip or bzip2. Archive or Tree, if set, is read in its place.
	From    string
	Archive io.Reader
	Tree    func(context.Context, zstream.TarOptions) (*zstream.Files, error)

	Conf    conf.New
	AllRoot bool            // all files belong to root, whoever owns them in From
	Created time.Time       // of the snapshot; the zero time is now
	XZ      xz.WriteOptions // Workers 0 is all cores
	Signer  Signer          // nil: the image is not signed
	Replace bool            // replace an existing image of that name
	Spool   string          // directory for the contents of an archive; "" is os.TempDir

	Progress func(BuildProgress)  // called while file contents are written; may be nil
	Warn     func(warning string) // called for what is left out of the tree; may be nil
}

// BuildProgress is the progress of a build.
type BuildProgress struct {
	Done, Total int64 // bytes of the files' contents, without holes
	Out         int64 // bytes of the .xz
}

// Files are the files of an image.
type Files struct {
	XZ, Meta, Skein string // paths
	Signature       string // "" without a Signer

	Digest   image.Digest
	Snapshot string // of both datasets
	Bytes    int64  // of XZ
	Stream   int64  // bytes in it
	Files    int64  // names in the root tree
}

// building begins the names of the temporary directories in BuildOptions.Dir that images
// are built in.
const building = ".pot-image-build-"

// Build makes an image: the zfs send stream of a pot with its root tree, xz compressed,
// and the files beside it. They get their names when all are complete. The .skein comes
// last: without it there is no image. The same input and options, with Created set, give
// the same stream. Build needs neither root nor ZFS. Errors are *image.Error; it is also
// fs.ErrExist if a file of that image exists and Replace is not set.
func Build(ctx context.Context, o BuildOptions) (Files, error) {
	b := &build{BuildOptions: o}
	err := b.prepare()
	if err == nil {
		err = b.make(ctx)
	}
	if err != nil {
		return Files{}, &image.Error{Op: "build", What: o.Name + "_" + o.Tag, Err: err}
	}
	return b.artifacts, nil
}

// build is a build in progress.
type build struct {
	BuildOptions
	conf      string
	temp      *lockdir.Dir
	root      *os.Root // From, if it is a directory
	artifacts Files
	out       image.Counter
}

// prepare checks the options and sets defaults, before anything is read or written. It
// returns all errors of the options, each led by its field.
func (b *build) prepare() error {
	var errs []error
	for field, value := range map[string]string{"name": b.Name, "tag": b.Tag} {
		if err := image.ValidatePart(value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", field, err))
		}
	}
	if n := len(b.Name) + 1 + len(b.Tag); n > image.MaxName {
		errs = append(errs, fmt.Errorf("name: must be, with the tag, at most %d characters, not %d", image.MaxName, n))
	}
	conf, err := b.Conf.Format(b.Name)
	if errs = append(errs, err); errors.Join(errs...) != nil {
		return errors.Join(errs...)
	}
	b.conf = conf
	if b.Created.IsZero() {
		b.Created = time.Now()
	}
	if b.XZ.Workers == 0 {
		b.XZ.Workers = runtime.GOMAXPROCS(0)
	}
	b.artifacts.Snapshot = strconv.FormatInt(b.Created.Unix(), 10) // as pot names its own
	return b.checkFree()
}

// make builds the image from the root tree.
func (b *build) make(ctx context.Context) error {
	return b.withFiles(ctx, func(files *zstream.Files) error {
		return b.place(ctx, func() error { return b.compress(ctx, files) })
	})
}

// withFiles reads the root tree and calls use with it. From stays open until use returns,
// since use reads the files' contents.
func (b *build) withFiles(ctx context.Context, use func(*zstream.Files) error) (err error) {
	files, err := b.files(ctx)
	if b.root != nil {
		defer b.root.Close()
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, files.Close()) }()
	if b.Warn != nil {
		for _, w := range files.Warnings() {
			b.Warn(w)
		}
	}
	if b.AllRoot {
		files.SetOwner(0, 0)
	}
	return use(files)
}

// place makes a temporary directory in Dir, where a rename to the final name is atomic, calls
// write to write the files there, and publishes them. It also removes the directories that
// crashed builds have left in Dir.
func (b *build) place(ctx context.Context, write func() error) (err error) {
	_ = lockdir.RemoveStale(b.Dir, building, func(*lockdir.Dir) error { return nil })
	if b.temp, err = lockdir.New(b.Dir, building); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.temp.Remove()) }()
	if err := write(); err != nil {
		return err
	}
	return b.publish(ctx)
}

// compress writes the files of an image with that root tree.
func (b *build) compress(ctx context.Context, files *zstream.Files) error {
	top, err := b.top()
	if err != nil {
		return err
	}
	return b.pack(ctx, image.Meta{}, func(ctx context.Context, w io.Writer) error {
		return b.writeTrees(ctx, w, top, files)
	})
}

// top returns the files of the top dataset, as pot create makes them: conf, and the
// directory m on which the child dataset with the root tree is mounted.
func (b *build) top() (*zstream.Files, error) {
	return zstream.NewFiles(map[string]string{
		"conf/pot.conf": b.conf, "conf/fscomp.conf": "", "m/": "",
	}, b.Created)
}

// pack writes the files of an image: the stream that send writes, compressed, its .meta,
// its .skein and its signature. The digest covers the .xz and then the .meta, as in pot
// since 0.13 (share/pot/export.sh).
func (b *build) pack(ctx context.Context, meta image.Meta, send func(context.Context, io.Writer) error) error {
	digest := skein.New()
	err := b.writeFile("", func(f io.Writer) error {
		return b.writeStream(ctx, io.MultiWriter(f, digest, &b.out), send)
	})
	if err != nil {
		return err
	}
	b.artifacts.Bytes = b.out.Load()
	origin := meta.String() + "\n"
	digest.Write([]byte(origin))
	b.artifacts.Digest = image.Sum(digest)
	text := []byte(hex.EncodeToString(b.artifacts.Digest[:]) + "\n")
	err = errors.Join(b.writeBytes(".meta", []byte(origin)), b.writeBytes(".skein", text))
	if err != nil || b.Signer == nil {
		return err
	}
	signature, err := b.Signer.Sign(text)
	if err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	return b.writeBytes(".skein.sig", signature)
}

// writeStream writes the stream that send writes, compressed, to w. If the compressor ends
// early, send fails with a broken pipe: writeStream then returns the compressor's error.
func (b *build) writeStream(ctx context.Context, w io.Writer, send func(context.Context, io.Writer) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	z, err := xz.NewWriter(ctx, w, b.XZ)
	if err != nil {
		return err
	}
	var size image.Counter
	err = send(ctx, io.MultiWriter(z, &size))
	if err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, io.ErrClosedPipe) {
		cancel() // stops the compressor, whose error does not matter
		_ = z.Close()
		return err
	}
	if closed := z.Close(); closed != nil {
		err = closed
	}
	b.artifacts.Stream = size.Load()
	return err
}

// writeTrees writes the zfs send stream of a pot with those two datasets.
func (b *build) writeTrees(ctx context.Context, w io.Writer, top, files *zstream.Files) error {
	o := zstream.WriteOptions{
		// The default dataset of a pot; only the names below it count.
		Dataset: "zroot/pot/jails/" + image.Ref{Name: b.Name, Tag: b.Tag}.Dataset(), Snapshot: b.artifacts.Snapshot, Created: b.Created,
	}
	if b.Progress != nil {
		o.Progress = func(done, total int64) { b.Progress(BuildProgress{done, total, b.out.Load()}) }
	}
	s, err := zstream.Write(ctx, w, o,
		zstream.FileSystem{Name: "", Files: top}, zstream.FileSystem{Name: "m", Files: files})
	if err == nil {
		b.artifacts.Files = s.Datasets[1].Files
	}
	return err
}

// writeBytes writes one of the small files.
func (b *build) writeBytes(suffix string, data []byte) error {
	return b.writeFile(suffix, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// writeFile writes and syncs a file of the image under its temporary name. It fails if the
// file exists.
func (b *build) writeFile(suffix string, write func(io.Writer) error) error {
	f, err := os.OpenFile(b.temporary(suffix), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (b *build) temporary(suffix string) string { return filepath.Join(b.temp.Path, "image.xz"+suffix) }
