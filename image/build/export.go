package build

import (
	"context"
	"io"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/xz"
	"nomad-driver-pot/image/zstream"
)

// ExportOptions are the contents of an image that is made from a stream, and where it goes.
type ExportOptions struct {
	Name, Tag string     // of the image
	Dir       string     // for its files; must exist
	Snapshot  string     // that the stream sends
	Origin    image.Meta // what it is incremental from; zero if it stands alone

	// Send writes the zfs send stream. After an error there is no image.
	Send func(ctx context.Context, w io.Writer) error

	XZ       xz.WriteOptions // Workers 0 is all cores
	Signer   Signer          // nil: the image is not signed
	Replace  bool            // replace an existing image of that name
	Progress func(n int64)   // called with the bytes of the stream so far; may be nil
}

// build returns the build of an export, not yet begun.
func (o ExportOptions) build() *build {
	return &build{BuildOptions: BuildOptions{
		Name: o.Name, Tag: o.Tag, Dir: o.Dir, XZ: o.XZ, Signer: o.Signer, Replace: o.Replace,
	}}
}

// Check returns the error with which Export would refuse o before it reads anything, for
// callers with preparations of their own. It is fs.ErrExist if an image has the name.
func (o ExportOptions) Check() error { return o.fault(o.build().prepare()) }

// fault returns err as *image.Error, or nil.
func (o ExportOptions) fault(err error) error {
	if err == nil {
		return nil
	}
	return &image.Error{Op: "export", What: o.Name + "_" + o.Tag, Err: err}
}

// Export makes the files of an image from the stream that o.Send writes, and publishes them
// as Build does. Errors are *image.Error.
func Export(ctx context.Context, o ExportOptions) (Files, error) {
	b := o.build()
	err := b.prepare()
	if err == nil {
		b.artifacts.Snapshot = o.Snapshot
		err = b.place(ctx, func() error {
			return b.pack(ctx, o.Origin, func(ctx context.Context, w io.Writer) error {
				return o.Send(ctx, &progressWriter{w: w, tell: o.Progress})
			})
		})
	}
	if err != nil {
		return Files{}, o.fault(err)
	}
	return b.artifacts, nil
}

// progressWriter reports how many bytes were written to w.
type progressWriter struct {
	w    io.Writer
	n    int64
	tell func(int64)
}

// Write implements io.Writer.
func (t *progressWriter) Write(p []byte) (int, error) {
	n, err := t.w.Write(p)
	t.n += int64(n)
	if t.tell != nil {
		t.tell(t.n)
	}
	return n, err
}

// Stream writes what Build compresses: the zfs send stream of a pot with o's root tree and
// settings. It ignores Dir and the options for compression, signing and progress. Errors are
// *image.Error.
func Stream(ctx context.Context, w io.Writer, o BuildOptions) (err error) {
	b := &build{BuildOptions: o}
	b.Replace = true // no file is written, so none can be in the way
	if err = b.prepare(); err == nil {
		err = b.withFiles(ctx, func(files *zstream.Files) error {
			top, err := b.top()
			if err != nil {
				return err
			}
			return b.writeTrees(ctx, w, top, files)
		})
	}
	if err != nil {
		return &image.Error{Op: "read", What: o.From, Err: err}
	}
	return nil
}
