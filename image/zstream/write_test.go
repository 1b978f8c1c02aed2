package zstream

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"
)

// written is the stream of an image whose tree is that of dir.
func written(t testing.TB, dir string) []byte {
	t.Helper()
	root, err := os.OpenRoot(dir)
	must.NoError(t, err)
	defer root.Close()
	files, err := ReadDir(t.Context(), root)
	must.NoError(t, err)
	var out bytes.Buffer
	_, err = Write(t.Context(), &out, writeOptions, conf(t), FileSystem{"m", files})
	must.NoError(t, err)
	return out.Bytes()
}

var writeOptions = WriteOptions{Dataset: "zroot/jails/web", Snapshot: "1795392222", Created: time.Unix(1795392222, 0)}

// conf is the top dataset of an image.
func conf(t testing.TB) FileSystem {
	t.Helper()
	files, err := NewFiles(map[string]string{
		"conf/pot.conf": "pot.level=0\n", "conf/fscomp.conf": "", "m/": "",
	}, time.Unix(1795392222, 0))
	must.NoError(t, err)
	return FileSystem{"", files}
}

func TestWrite_small(t *testing.T) {
	src := t.TempDir()
	must.NoError(t, os.WriteFile(filepath.Join(src, "hello"), []byte("hello\n"), 0o644))
	dir, s, err := extract(t, written(t, src), Options{})
	must.NoError(t, err)
	must.Len(t, 2, s.Datasets)
	must.FileContains(t, filepath.Join(dir, "conf/pot.conf"), "pot.level=0")
	must.FileContains(t, filepath.Join(dir, "m/hello"), "hello")
}

var _ = []any{context.Background, fmt.Sprint, io.EOF, strings.Cut, syscall.Stat, unix.Stat}
