package inspect

import (
	"io/fs"
	"path"
	"strings"

	"nomad-driver-pot/image/zstream"
)

// Seen collects what a report needs to know of an image's files: counts, and a bounded number
// of names and contents. It is not safe for concurrent use.
type Seen struct {
	files map[string]int64 // number of names by dataset; a skipped dataset has no entry

	conf     map[string]zstream.Entry // the files of isConf
	scripts  int                      // scripts in conf
	hooks    []zstream.Entry          // the first maxHooks of them
	devices  examples
	setuid   examples
	setgid   examples
	oddPlace examples // in conf, but not of the type that belongs there
}

// NewSeen returns a Seen without files.
func NewSeen() *Seen { return &Seen{files: map[string]int64{}, conf: map[string]zstream.Entry{}} }

// examples counts files of one kind, and keeps the first few names.
type examples struct {
	count int64
	first []string
}

// maxExamples bounds the names that examples keeps.
const maxExamples = 3

func (x *examples) add(name string) {
	if x.count++; len(x.first) < maxExamples {
		x.first = append(x.first, name)
	}
}

// maxHooks bounds the scripts that are listed.
const maxHooks = 32

// maxConf bounds each file of conf that is read, in bytes.
const maxConf = 1 << 20

// Options returns the options to read an image's stream with for a report: Add needs the
// contents of pot's own files.
func Options() zstream.Options {
	return zstream.Options{Content: &zstream.ContentFilter{Match: isConf, MaxBytes: maxConf}}
}

// isConf reports whether pot reads this file of the top dataset.
func isConf(path string) bool { return path == potConfFile || path == fscompFile }

const (
	potConfFile = "conf/pot.conf"
	fscompFile  = "conf/fscomp.conf"
)

// Add records a file. It is a visit function for zstream.Index, and never fails. It counts
// each name, but a file with several names only once as a device or a set-user-ID file.
func (s *Seen) Add(e zstream.Entry) error {
	if e.Path != "." {
		s.files[e.Dataset]++
	} else if _, there := s.files[e.Dataset]; !there {
		s.files[e.Dataset] = 0
	}
	if e.Hardlink != "" {
		return nil
	}
	name := pathOf(e)
	if e.Mode&fs.ModeDevice != 0 {
		s.devices.add(name)
	}
	if e.Mode.IsRegular() && e.Mode&fs.ModeSetuid != 0 {
		s.setuid.add(name)
	}
	if e.Mode.IsRegular() && e.Mode&fs.ModeSetgid != 0 {
		s.setgid.add(name)
	}
	if e.Dataset == "" {
		s.addTop(e)
	}
	return nil
}

// addTop records a file of the top dataset, which holds pot's own files. Scripts in conf may
// be hooks: the shell tool runs prestart.sh and the like.
func (s *Seen) addTop(e zstream.Entry) {
	isDir := e.Mode.IsDir()
	switch dir, base := path.Split(e.Path); {
	case e.Path == "conf" && !isDir:
		s.oddPlace.add(e.Path)
	case isConf(e.Path):
		s.conf[e.Path] = e
		if !e.Mode.IsRegular() {
			s.oddPlace.add(e.Path)
		}
	case dir == "conf/" && strings.HasSuffix(base, ".sh"):
		if s.scripts++; len(s.hooks) < maxHooks {
			s.hooks = append(s.hooks, e)
		}
	}
}
