package image

import (
	"bufio"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"nomad-driver-pot/image/xz"
	"nomad-driver-pot/image/zstream"
)

// files reads what the root tree is made from.
func (b *build) files(ctx context.Context) (*zstream.Files, error) {
	if b.Archive != nil {
		return b.archive(ctx, "archive", b.Archive)
	}
	info, err := os.Stat(b.From)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		if b.root, err = os.OpenRoot(b.From); err != nil {
			return nil, err
		}
		return zstream.ReadDir(ctx, b.root)
	}
	f, err := os.Open(b.From)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return b.archive(ctx, b.From, f)
}

// archive reads a tar archive.
func (b *build) archive(ctx context.Context, name string, r io.Reader) (*zstream.Files, error) {
	plain, err := decompress(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	files, err := zstream.ReadTar(ctx, plain, zstream.TarOptions{Spool: b.Spool, Missing: b.Created})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return files, nil
}

// decompress finds out by its first bytes how r is compressed.
func decompress(r io.Reader) (io.Reader, error) {
	buffered := bufio.NewReaderSize(r, 1<<20)
	magic, err := buffered.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch begins := func(s string) bool { return strings.HasPrefix(string(magic), s) }; {
	case begins("\xfd7zXZ\x00"):
		return xz.NewReader(buffered), nil
	case begins("\x1f\x8b"):
		return gzip.NewReader(buffered)
	case begins("BZh"):
		return bzip2.NewReader(buffered), nil
	case begins("\x28\xb5\x2f\xfd"):
		return nil, errors.New("compressed with zstd, which is not supported yet")
	}
	return buffered, nil
}
