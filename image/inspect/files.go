package inspect

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"nomad-driver-pot/image/zstream"
)

// Lister returns a function for zstream.Index that writes each file to w, as a line of
// ls -ln or as a JSON object on a line.
func Lister(w io.Writer, asJSON bool) func(zstream.Entry) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return func(entry zstream.Entry) error { return e.Encode(newListed(entry)) }
	}
	return func(e zstream.Entry) error {
		_, err := fmt.Fprintln(w, lsLine(e))
		return err
	}
}

// listed is a file in JSON. Its keys are an interface: add to them, but do not rename them.
type listed struct {
	Dataset   string    `json:"dataset"`
	Path      string    `json:"path"`                 // begins with the dataset
	PathBytes []byte    `json:"path_bytes,omitempty"` // set if Path is not UTF-8
	Type      string    `json:"type"`
	Mode      string    `json:"mode"` // octal, as for chmod(1)
	UID       uint32    `json:"uid"`
	GID       uint32    `json:"gid"`
	Size      int64     `json:"bytes"`
	Links     uint64    `json:"links"`
	Modified  time.Time `json:"modified"`
	Target    string    `json:"target,omitempty"`
	Hardlink  string    `json:"hardlink,omitempty"` // another path of the same file in the dataset
	Major     *uint32   `json:"major,omitempty"`
	Minor     *uint32   `json:"minor,omitempty"`
	Flags     string    `json:"flags,omitempty"` // as for chflags(1)
	ACL       bool      `json:"acl,omitempty"`   // has entries that the mode does not express
	Xattrs    []string  `json:"xattrs,omitempty"`
}

// newListed returns the JSON form of a file. encoding/json would replace bytes of a path that
// are no UTF-8: PathBytes has them.
func newListed(e zstream.Entry) listed {
	l := listed{
		Dataset: e.Dataset, Path: pathOf(e), Type: typeOf(e.Mode), Mode: fmt.Sprintf("%04o", bits(e.Mode)),
		UID: e.UID, GID: e.GID, Size: e.Size, Links: e.Links, Modified: e.Modified,
		Target: e.Target, Hardlink: e.Hardlink, ACL: e.ACL != nil,
	}
	if !utf8.ValidString(l.Path) {
		l.PathBytes = []byte(l.Path)
	}
	if e.Mode&fs.ModeDevice != 0 {
		l.Major, l.Minor = &e.Major, &e.Minor
	}
	if flags := e.Flags.String(); flags != "-" {
		l.Flags = flags
	}
	for _, x := range e.Xattrs {
		l.Xattrs = append(l.Xattrs, x.Namespace+"."+x.Name)
	}
	return l
}

// pathOf returns a file's path below the directory that the image would be extracted to.
func pathOf(e zstream.Entry) string { return path.Join(e.Dataset, e.Path) }

// kinds are the types of files, with their letters in ls(1).
var kinds = []struct {
	mode   fs.FileMode
	name   string
	letter byte
}{
	{0, "file", '-'}, {fs.ModeDir, "directory", 'd'}, {fs.ModeSymlink, "link", 'l'}, {fs.ModeNamedPipe, "fifo", 'p'},
	{fs.ModeSocket, "socket", 's'}, {fs.ModeDevice | fs.ModeCharDevice, "character device", 'c'}, {fs.ModeDevice, "block device", 'b'},
}

func typeOf(m fs.FileMode) string {
	for _, k := range kinds {
		if m.Type() == k.mode {
			return k.name
		}
	}
	return "unknown"
}

// bits returns the permissions as chmod(1) numbers them; package fs has other bits for
// set-user-ID, set-group-ID and sticky.
func bits(m fs.FileMode) uint32 {
	b := uint32(m.Perm())
	for mode, bit := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if m&mode != 0 {
			b |= bit
		}
	}
	return b
}

// lsMode returns a mode in the form of ls(1), such as drwxr-sr-t. An upper-case S or T means
// that the execute permission below it is missing.
func lsMode(m fs.FileMode) string {
	b := []byte("?rwxrwxrwx")
	for _, k := range kinds {
		if m.Type() == k.mode {
			b[0] = k.letter
		}
	}
	for i := range 9 {
		if m&(1<<(8-i)) == 0 {
			b[1+i] = '-'
		}
	}
	for _, s := range []struct {
		mode     fs.FileMode
		at       int
		alone, x byte
	}{{fs.ModeSetuid, 3, 'S', 's'}, {fs.ModeSetgid, 6, 'S', 's'}, {fs.ModeSticky, 9, 'T', 't'}} {
		switch {
		case m&s.mode == 0:
		case b[s.at] == '-':
			b[s.at] = s.alone
		default:
			b[s.at] = s.x
		}
	}
	return string(b)
}

// lsLine returns a file in the form of `ls -ln`, with its full time. Names come from an
// image and are quoted if they are not printable.
func lsLine(e zstream.Entry) string {
	size := strconv.FormatInt(e.Size, 10)
	if e.Mode&fs.ModeDevice != 0 {
		size = fmt.Sprintf("%d, %d", e.Major, e.Minor)
	}
	name := Printable(pathOf(e))
	switch {
	case e.Hardlink != "":
		name += " = " + Printable(path.Join(e.Dataset, e.Hardlink))
	case e.Mode&fs.ModeSymlink != 0:
		name += " -> " + Printable(e.Target)
	}
	return fmt.Sprintf("%s %3d %5d %5d %11s %s %s", lsMode(e.Mode), e.Links, e.UID, e.GID, size,
		e.Modified.UTC().Format("2006-01-02 15:04:05"), name)
}

// Printable returns s, quoted unless all of it is printable: text from an image must not
// control the terminal.
func Printable(s string) string {
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return strconv.Quote(s)
		}
	}
	return s
}
