package zstream

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// entriesOf are what a stream of a tree has, by path.
func entriesOf(t *testing.T, files *Files) map[string]Entry {
	t.Helper()
	all := map[string]Entry{}
	_, err := Index(t.Context(), bytes.NewReader(writeStream(t, files)), Options{Scratch: t.TempDir()}, func(e Entry) error {
		all[strings.TrimPrefix(e.Path, "/")] = e
		return nil
	})
	must.NoError(t, err)
	return all
}

// withRecords is a file with an extended header.
func withRecords(name string, records map[string]string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Format: tar.FormatPAX, PAXRecords: records}
}

// Both ways in which archives have extended attributes, and what bsdtar(1) makes of names
// with = in them: the plain record is torn there.
func TestReadTar_xattrs(t *testing.T) {
	leak.Check(t)
	binary := string([]byte{0, 1, 2, 0xff, '\n', '='})
	coded := base64.RawStdEncoding.EncodeToString([]byte(binary))
	files := filesOfTar(t, archiveOf(t,
		withRecords("coded", map[string]string{"LIBARCHIVE.xattr.user.colour": "cmVk"}),
		withRecords("padded", map[string]string{"LIBARCHIVE.xattr.user.colour": "Ymx1ZQ=="}),
		withRecords("both", map[string]string{"SCHILY.xattr.user.bin": binary, "LIBARCHIVE.xattr.user.bin": coded}),
		withRecords("each", map[string]string{"SCHILY.xattr.user.a": "1", "LIBARCHIVE.xattr.user.b": "Mg"}),
		withRecords("names", map[string]string{
			"LIBARCHIVE.xattr.user.caf%C3%A9%20100%25": "", "LIBARCHIVE.xattr.user.100%": "MQ",
			"LIBARCHIVE.xattr.user.a%3Db%3Dc": "Mw", "SCHILY.xattr.user.a": "b=c=3", "SCHILY.xattr.user.d": "x=y",
		}),
		tar.Header{Name: "dir/", Typeflag: tar.TypeDir, Mode: 0o755, Format: tar.FormatPAX, PAXRecords: map[string]string{"LIBARCHIVE.xattr.user.kind": "ZGly"}},
	))
	must.SliceEmpty(t, files.Warnings())
	got := map[string]map[string]string{}
	for path, e := range entriesOf(t, files) {
		for _, x := range e.Xattrs {
			if got[path] == nil {
				got[path] = map[string]string{}
			}
			got[path][x.Namespace+":"+x.Name] = string(x.Value)
		}
	}
	must.Eq(t, map[string]map[string]string{
		"coded": {"user:colour": "red"}, "padded": {"user:colour": "blue"}, "both": {"user:bin": binary},
		"each":  {"user:a": "1", "user:b": "2"},
		"names": {"user:caf\u00e9 100%": "", "user:100%": "1", "user:a=b=c": "3", "user:d": "x=y"},
		"dir":   {"user:kind": "dir"},
	}, got, must.Sprint(slices.Sorted(maps.Keys(got))))
}

// What cannot be taken is told.
func TestReadTar_xattrsLeft(t *testing.T) {
	leak.Check(t)
	files := filesOfTar(t, archiveOf(t,
		withRecords("a", map[string]string{"LIBARCHIVE.xattr.system.note": "eA", "LIBARCHIVE.xattr.com.apple.quarantine": "eA", "LIBARCHIVE.xattr.user.kept": "eA"}),
		withRecords("b", map[string]string{"LIBARCHIVE.xattr.security.selinux": "eA"}),
		withRecords("c", map[string]string{"LIBARCHIVE.xattr.system.posix1e.acl_access": "eA"}),
		tar.Header{Name: "link", Typeflag: tar.TypeSymlink, Linkname: "a", Format: tar.FormatPAX, PAXRecords: map[string]string{"LIBARCHIVE.xattr.user.x": "eA"}},
		withRecords("large", map[string]string{"LIBARCHIVE.xattr.user.x": strings.Repeat("AAAA", 11<<10)}),
	))
	must.Eq(t, []string{
		"left out: access control lists (of 1 files)",
		"left out: extended attributes of links and devices (of 1 files)",
		"left out: extended attributes of more than 32 KiB, or 64 KiB in all (of 1 files)",
		"left out: extended attributes of other namespaces than user (of 1 files)",
	}, files.Warnings())
	must.Len(t, 1, entriesOf(t, files)["a"].Xattrs)

	for key, want := range map[string]string{
		"LIBARCHIVE.xattr.user.bad":                     `tar: entry 0: "f": extended attribute "user.bad": its value is not in Base64`,
		"LIBARCHIVE.xattr.user.a%00b":                   `tar: entry 0: "f": extended attribute "user.a\x00b": its name has NUL in it`,
		"LIBARCHIVE.xattr.":                             `tar: entry 0: "f": extended attribute "": it has no name`,
		"SCHILY.xattr.user.":                            `tar: entry 0: "f": extended attribute "user.": it has no name`,
		"SCHILY.xattr.user." + strings.Repeat("n", 251): `tar: entry 0: "f": extended attribute "user.` + strings.Repeat("n", 251) + `": its name is longer than 255 bytes`,
	} {
		value := "eA"
		if strings.HasSuffix(key, ".bad") {
			value = "no Base64!"
		}
		_, err := ReadTar(t.Context(), bytes.NewReader(archiveOf(t, withRecords("f", map[string]string{key: value}))), TarOptions{Spool: t.TempDir()})
		must.EqError(t, err, want)
	}
}
