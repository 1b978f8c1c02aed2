package build

import (
	"context"
	"io"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/xz"
	"nomad-driver-pot/image/zstream"
)

// ExportOptions say what an image is made of that is a stream already, and where.
type ExportOptions struct {
	Name, Tag string     // of the image
	Dir       string     // where its files go, which is there already
	Snapshot  string     // whose stream it is
	Origin    image.Meta // what it is incremental from; zero if it stands alone

	// Send writes the zfs send stream. After an error there is no image.
	Send func(ctx context.Context, w io.Writer) error

	XZ       xz.WriteOptions // Workers 0 is all cores
	Signer   Signer          // nil: the image is not signed
	Replace  bool            // an image of that name may be there: it is replaced
	Progress func(n int64)   // told how many bytes of the stream there were; may be nil
}

// build is an export that is not begun.
func (o ExportOptions) build() *build {
	return &build{BuildOptions: BuildOptions{
		Name: o.Name, Tag: o.Tag, Dir: o.Dir, XZ: o.XZ, Signer: o.Signer, Replace: o.Replace,
	}}
}

// Check returns the error with which Export would refuse o before it reads anything,
// for callers who have something to do before. An image that has the name already is
// fs.ErrExist.
func (o ExportOptions) Check() error { return o.fault(o.build().prepare()) }

// fault is err as *Error.
func (o ExportOptions) fault(err error) error {
	if err == nil {
		return nil
	}
	return &image.Error{Op: "export", What: o.Name + "_" + o.Tag, Err: err}
}

// Export makes the files of an image, as Build does.
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

// told is a writer that tells how much went through it.
type progressWriter struct {
	w    io.Writer
	n    int64
	tell func(int64)
}

func (t *progressWriter) Write(p []byte) (int, error) {
	n, err := t.w.Write(p)
	t.n += int64(n)
	if t.tell != nil {
		t.tell(t.n)
	}
	return n, err
}

// Stream writes what Build compresses: the zfs send stream of a pot with o's root
// tree and settings. Of o, Dir and what is of compression, signing and progress does
// not count.
func Stream(ctx context.Context, w io.Writer, o BuildOptions) (err error) {
	b := &build{BuildOptions: o}
	b.Replace, b.Progress = true, nil // there is nothing to be in the way
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
