package flavour

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Library is where flavours are looked for: where the caller is, then in the
// operator's directory, and then among those that come with the program.
type Library struct {
	WorkDir string // the caller's; "" is the process's
	Dir     string // the operator's; "" for none
	ZFSRoot string // of the file systems that mount-in -f names; "" for none
}

//go:embed builtin
var builtin embed.FS

// builtinPrefix leads the name of a file that comes with the program where it is shown.
const builtinPrefix = "builtin:"

// What a flavour may hold, in bytes.
const (
	maxCommands = 64 << 10
	maxScript   = 1 << 20
)

// file is a part of a flavour.
type file struct {
	shown string // as it was found
	dir   string // absolute, that copy-in-flv is from; "" if it comes with the program
	data  []byte
}

// find is a flavour's commands and its script, of which one may be missing. They are
// looked for each by itself, as pot does (pot-reference 5.1).
func (l *Library) find(name string) (commands, script *file, err error) {
	if name == "" || strings.ContainsRune(name, 0) {
		return nil, nil, errors.New("flavour: a name must be set")
	}
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
		return nil, nil, fmt.Errorf("no such flavour: %s: %w", name, fs.ErrNotExist)
	}
	return commands, script, nil
}

// first is the first file that there is of these names; nil if there is none.
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
		return nil, nil // a name that embed does not have, or cannot have
	}
	return &file{shown: builtinPrefix + name, data: data}, nil
}

// absolute is a path as the caller sees it.
func (l *Library) absolute(name string) string {
	if filepath.IsAbs(name) || l.WorkDir == "" {
		return name
	}
	return filepath.Join(l.WorkDir, name)
}

// open reads a file, if there is one at that path. Directories, and what would make
// its reader wait, are none.
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
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: more than %d bytes", shown, limit)
	}
	dir, err := filepath.Abs(filepath.Dir(at))
	return &file{shown: shown, dir: dir, data: data}, err
}

// readScript is what could be run.
func readScript(f *file) (*Script, error) {
	first, _, _ := bytes.Cut(f.data, []byte("\n"))
	switch {
	case len(bytes.TrimSpace(f.data)) == 0:
		return nil, fmt.Errorf("%s:1: there is nothing in it", f.shown)
	case bytes.HasSuffix(first, []byte("\r")):
		return nil, fmt.Errorf("%s:1: the line ends in a carriage return, which would be part of a name", f.shown)
	case bytes.IndexByte(first, 0) >= 0 && !bytes.HasPrefix(f.data, []byte("\x7fELF")):
		return nil, fmt.Errorf("%s:1: is no script", f.shown)
	}
	return &Script{File: f.shown, Name: path.Base(strings.TrimPrefix(f.shown, builtinPrefix)), Data: f.data}, nil
}

// A Found is a flavour by its name.
type Found struct {
	Name     string `json:"name"`
	Commands string `json:"commands,omitempty"` // file
	Script   string `json:"script,omitempty"`   // file
}

// List are the flavours of the operator's directory and those that come with the
// program, by name. Where the caller is any file might be one: those are not listed.
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

// Text is a flavour's commands and script as they are, without judging them.
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
