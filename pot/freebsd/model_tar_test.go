package freebsd

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// tar is bsdtar(1), for plain archives of directories and files.
func (m *model) tar(stdin io.Reader, argv []string) (string, string) {
	dir := argv[slices.Index(argv, "-C")+1]
	r := tar.NewReader(stdin)
	for n := 0; ; n++ {
		h, err := r.Next()
		switch {
		case err == io.EOF && n > 0:
			return "", ""
		case err != nil:
			return "", "tar: Error opening archive: Unrecognized archive format"
		case slices.Contains(strings.Split(h.Name, "/"), ".."):
			// libarchive, archive_write_disk_posix.c, SECURE_NODOTDOT.
			return "", fmt.Sprintf("%s: Path contains '..': Unknown error: -1\ntar: Error exit delayed from previous errors.", h.Name)
		}
		path := filepath.Join(dir, h.Name)
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o755)
		} else {
			var data []byte
			data, err = io.ReadAll(r)
			err = errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o644))
		}
		must0(err)
	}
}
