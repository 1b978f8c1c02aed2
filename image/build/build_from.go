package build

import (
	"context"
	"os"

	"nomad-driver-pot/image/zstream"
)

// files reads the root tree from a directory or an archive. For a directory it sets b.root,
// which must stay open as long as the result is used, and through which no link leads out
// of the directory.
func (b *build) files(ctx context.Context) (*zstream.Files, error) {
	if b.Tree != nil {
		return b.Tree(ctx, zstream.TarOptions{Spool: b.Spool, Missing: b.Created})
	}
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
