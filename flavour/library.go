package flavour

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/tree"
)

// Library finds flavours: in the caller's directory, then in the operator's, and then among
// those built into the program. The order is pot's, with the built-in ones added. A file of
// the caller's directory wins over an installed flavour of its name.
type Library struct {
	WorkDir string // the caller's directory; "" is the process's
	Dir     string // the operator's directory; "" if there is none
	ZFSRoot string // dataset above those that mount-in -f names; "" if there is none
}

//go:embed builtin
var builtin embed.FS

// builtinPrefix leads the names of built-in files in messages and lists.
const builtinPrefix = "builtin:"

// Maximum sizes of a flavour's files, in bytes.
const (
	maxCommands = 64 << 10
	maxScript   = 1 << 20
)

// file is a part of a flavour.
type file struct {
	shown string // its path in messages
	dir   string // absolute; copy-in-flv is relative to it; "" if the file is built in
	data  []byte
}

// find returns a flavour's commands and its script. One of them may be nil. Each is found by
// itself, perhaps in different directories, as in pot (share/pot/common-flv.sh).
func (l *Library) find(name string) (commands, script *file, err error) {
	if name == "" || strings.ContainsRune(name, 0) {
		return nil, nil, errors.New("flavour name must not be empty")
	}
	// A name that ends in .sh is a script's: it has no commands of its own.
	scripts := []string{name + ".sh"}
	if strings.HasSuffix(name, ".sh") {
		scripts = []string{name, name + ".sh"}
	} else if commands, err = l.first(maxCommands, name); err != nil {
		return nil, nil, err
	}
	if script, err = l.first(maxScript, scripts...); err != nil {
		return nil, nil, err
	}
	if commands == nil && script == nil {
		return nil, nil, pot.Reword(fs.ErrNotExist, "no such flavour: %s", name)
	}
	return commands, script, nil
}

// Places returns where flavours are looked for, for a message.
func (l *Library) Places() string {
	text := cmp.Or(l.WorkDir, "the working directory")
	if l.Dir != "" {
		text += ", in " + l.Dir
	}
	return text + " and among the flavours of this program"
}

// first returns the first of these files that exists, or nil if none does. A name with a
// slash is a path in each directory; an absolute one is tried as it is.
func (l *Library) first(limit int64, names ...string) (*file, error) {
	for _, name := range names {
		if f, err := open(l.absolute(name), name, limit); f != nil || err != nil {
			return f, err
		}
	}
	name := names[len(names)-1]
	if l.Dir != "" && !filepath.IsAbs(name) {
		at := filepath.Join(l.Dir, name)
		if f, err := open(at, at, limit); f != nil || err != nil {
			return f, err
		}
	}
	data, err := builtin.ReadFile("builtin/" + name)
	if err != nil {
		return nil, nil // embed does not have this name, or cannot have it
	}
	return &file{shown: builtinPrefix + name, data: data}, nil
}

// absolute returns a path that is relative to the caller's directory.
func (l *Library) absolute(name string) string {
	if filepath.IsAbs(name) || l.WorkDir == "" {
		return name
	}
	return filepath.Join(l.WorkDir, name)
}

// open reads a file. It returns nil if there is none: a directory, or a FIFO or device,
// which could block a reader, does not count as one.
func open(at, shown string, limit int64) (*file, error) {
	f, err := os.OpenFile(at, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENAMETOOLONG) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, err
	}
	data, err := tree.ReadAtMost(f, shown, limit)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(filepath.Dir(at))
	return &file{shown: shown, dir: dir, data: data}, err
}

// readScript checks that a file is a script. An empty script is an error: pot would run it
// as well, and the mistake would not show.
func readScript(f *file) (*Script, error) {
	first, _, _ := bytes.Cut(f.data, []byte("\n"))
	switch {
	case len(bytes.TrimSpace(f.data)) == 0:
		return nil, fmt.Errorf("%s:1: empty script", f.shown)
	case bytes.HasSuffix(first, []byte("\r")):
		return nil, fmt.Errorf("%s:1: line ends in a carriage return, which would be part of the interpreter's name", f.shown)
	case bytes.IndexByte(first, 0) >= 0 && !bytes.HasPrefix(f.data, []byte("\x7fELF")):
		return nil, fmt.Errorf("%s:1: not a script", f.shown)
	}
	return &Script{File: f.shown, Name: path.Base(strings.TrimPrefix(f.shown, builtinPrefix)), Data: f.data}, nil
}

// A Found is a flavour in a list.
type Found struct {
	Name     string
	Commands string // path, or "builtin:NAME"; "" for none
	Script   string // likewise
}

// List returns the flavours of the operator's directory and the built-in ones, sorted by
// name. It leaves out the caller's directory, where any file might be a flavour.
func (l *Library) List() ([]Found, error) {
	all := map[string]*Found{}
	add := func(dir, name string) {
		base, isScript := strings.CutSuffix(name, ".sh")
		f := all[base]
		if f == nil {
			f = &Found{Name: base}
			all[base] = f
		}
		to := &f.Commands
		if isScript {
			to = &f.Script
		}
		if *to == "" {
			*to = dir + name
		}
	}
	if l.Dir != "" {
		entries, err := os.ReadDir(l.Dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			at := filepath.Join(l.Dir, e.Name())
			if info, err := os.Stat(at); err == nil && info.Mode().IsRegular() && e.Name()[0] != '.' {
				add(l.Dir+"/", e.Name())
			}
		}
	}
	entries, err := builtin.ReadDir("builtin")
	for _, e := range entries {
		add(builtinPrefix, e.Name())
	}
	var list []Found
	for _, f := range all {
		list = append(list, *f)
	}
	slices.SortFunc(list, func(a, b Found) int { return strings.Compare(a.Name, b.Name) })
	return list, err
}

// Text returns a flavour's commands and script unchanged and unchecked.
func (l *Library) Text(name string) (commands, script []byte, err error) {
	c, s, err := l.find(name)
	if err != nil {
		return nil, nil, err
	}
	if c != nil {
		commands = c.data
	}
	if s != nil {
		script = s.data
	}
	return commands, script, nil
}
