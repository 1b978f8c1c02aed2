package build_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/shoenig/test/must"
	"github.com/ulikunitz/xz/lzma"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/build"
	"nomad-driver-pot/image/imagetest"
)

// written is what a writer makes of data.
func written(t *testing.T, data []byte, open func(io.Writer) (io.WriteCloser, error)) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := open(&out)
	must.NoError(t, err)
	_, err = w.Write(data)
	must.NoError(t, err)
	must.NoError(t, w.Close())
	return out.Bytes()
}

func gzipped(t *testing.T, data []byte) []byte {
	return written(t, data, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil })
}

// buildArchive builds an image of an archive of that name, and returns the error.
func buildArchive(t *testing.T, name string, data []byte) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	must.NoError(t, os.WriteFile(path, data, 0o600))
	o := buildOptions(t, path)
	_, err := build.Build(t.Context(), o)
	if err != nil {
		must.SliceEmpty(t, imagetest.Names(t, o.Dir))
		must.SliceEmpty(t, imagetest.Names(t, o.Spool))
		return fmt.Errorf("%s", strings.ReplaceAll(err.Error(), path, "FILE"))
	}
	return nil
}

// What is no tar archive, or is compressed in a way that cannot be read, is named.
func TestBuild_otherArchives(t *testing.T) {
	leak.Check(t)
	plain := tarOf(t, webTree(t))
	unsized := written(t, plain, func(w io.Writer) (io.WriteCloser, error) { return lzma.NewWriter(w) })
	sized := written(t, plain, func(w io.Writer) (io.WriteCloser, error) {
		return lzma.WriterConfig{SizeInHeader: true, Size: int64(len(plain))}.NewWriter(w)
	})
	var zipped bytes.Buffer
	z := zip.NewWriter(&zipped)
	_, err := z.Create("a")
	must.NoError(t, err)
	must.NoError(t, z.Close())
	more := strings.Repeat("more ", 200)
	const use = " is not supported; use a tar archive, plain or compressed with xz, gzip or bzip2"
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"a.tar.lzma", unsized, "lzma compression" + use},
		{"sized.tar.lzma", sized, "lzma compression" + use},
		{"a.tar.zst", written(t, plain, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }), "zstd compression" + use},
		{"skip.tar.zst", []byte("\x5a\x2a\x4d\x18\x04\x00\x00\x00abcd" + more), "zstd or lz4 compression" + use},
		{"a.tar.lz4", written(t, plain, func(w io.Writer) (io.WriteCloser, error) { return lz4.NewWriter(w), nil }), "lz4 compression" + use},
		{"a.tar.lz", []byte("LZIP\x01\x0c" + more), "lzip compression" + use},
		{"a.tar.lrz", []byte("LRZI\x00\x06" + more), "lrzip compression" + use},
		{"a.tar.lzo", []byte("\x89LZO\x00\r\n\x1a\n" + more), "lzop compression" + use},
		{"a.tar.Z", []byte("\x1f\x9d\x90" + more), "compress(1) compression" + use},
		{"a.zip", zipped.Bytes(), "a zip archive" + use},
		{"a.7z", []byte("7z\xbc\xaf\x27\x1c\x00\x04" + more), "a 7z archive" + use},
		{"a.rar", []byte("Rar!\x1a\x07\x01\x00" + more), "a rar archive" + use},
		{"a.cpio", []byte("070701" + more), "a cpio archive" + use},
		{"odc.cpio", []byte("070707" + more), "a cpio archive" + use},
		{"bin.cpio", []byte("\xc7\x71" + more), "a cpio archive" + use},
		{"a.deb", []byte("!<arch>\ndebian-binary   " + more), "an ar archive" + use},
		{"a.tar.uu", []byte("begin 644 a.tar\n" + more), "uuencoding" + use},
		{"b.tar.uu", []byte("begin-base64 644 a.tar\n" + more), "uuencoding" + use},
		{"lzma.tar.gz", gzipped(t, unsized), "lzma compression within gzip is not supported; decompress it once"},
		{"a.tar.xz.gz", gzipped(t, imagetest.XZ(plain)), "xz within gzip is not supported; decompress it once"},
		{"a.tar.gz.gz", gzipped(t, gzipped(t, plain)), "gzip within gzip is not supported; decompress it once"},
		{"a.tgz.xz", imagetest.XZ(gzipped(t, plain)), "gzip within xz is not supported; decompress it once"},
		{"a.zip.xz", imagetest.XZ(zipped.Bytes()), "a zip archive within xz is not supported; decompress it once"},
		{"empty.tar", nil, "it is empty: it is no tar archive"},
		{"empty.txz", imagetest.XZ(nil), "it is empty: it is no tar archive"},
		{"empty.tgz", gzipped(t, nil), "it is empty: it is no tar archive"},
		{"short.txt", []byte("text"), "it is no tar archive"},
		{"long.txt", []byte(more), "it is no tar archive"},
		{"text.gz", gzipped(t, []byte(more)), "it is no tar archive"},
		{"begin.txt", []byte("begin with this " + more), "it is no tar archive"},
		{"gz.tar", []byte("\x1f\x8b"), "gzip stream is cut off: unexpected EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			must.EqError(t, buildArchive(t, c.name, c.data), "build web_1.0: FILE: "+c.want)
		})
	}
}

// A tar archive is one whatever the name of its first file begins with.
func TestBuild_tarOfAnyName(t *testing.T) {
	leak.Check(t)
	for _, name := range []string{"PK\x03\x04", "BZh9", "070701", "LZIP", "begin 644 x", "\x1f\x8b", "]"} {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		must.NoError(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Format: tar.FormatGNU}))
		must.NoError(t, w.Close())
		data := out.Bytes()
		must.StrHasPrefix(t, name, string(data))
		must.NoError(t, buildArchive(t, "a.tar", data))
	}
}

// An archive that is cut off anywhere makes nothing.
func TestBuild_cutArchives(t *testing.T) {
	leak.Check(t)
	plain := tarOf(t, webTree(t))
	whole := len(plain) - 2*512
	for _, n := range []int{1, 511, 513, 1024, 1536, 2000, len(plain) / 2, whole - 512, whole} {
		err := buildArchive(t, "cut.tar", plain[:n])
		must.Error(t, err, must.Sprintf("%d of %d bytes", n, len(plain)))
		if n > 512 {
			must.StrContains(t, err.Error(), fmt.Sprintf("the archive is cut off after %d bytes", n))
		}
	}
	must.NoError(t, buildArchive(t, "one.tar", plain[:whole+512]), must.Sprint("an end of one block"))
	for name, data := range map[string][]byte{"xz": imagetest.XZ(plain), "gzip": gzipped(t, plain)} {
		for _, n := range []int{20, len(data) / 2, len(data) - 1} {
			err := buildArchive(t, "cut", data[:n])
			must.Error(t, err)
			must.StrContains(t, err.Error(), name+" stream is cut off", must.Sprintf("%d of %d bytes", n, len(data)))
		}
	}
	bad := bytes.Clone(plain)
	bad[512+148] = 'x'
	must.StrContains(t, buildArchive(t, "bad.tar", bad).Error(), "its header is damaged")
}
