package flavour

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/local"
	"nomad-driver-pot/pot/tree"
)

// The shell tool pot splits each line at blanks, and has its shell expand file name patterns
// in the caller's directory. Quotes are ordinary characters, and there are no variables
// (share/pot/common-flv.sh). This parser accepts lines that this leaves unchanged. It ignores
// comments and empty lines, of which pot complains, and reads a last line without a newline.

// Commands are the commands that a flavour can have, sorted.
var Commands = []string{
	"add-dep", "copy-in", "copy-in-flv", "export-ports", "mount-in", "set-attribute", "set-cmd", "set-env", "set-rss",
}

// parse returns the steps of a file, or all of its errors. Reading continues after an
// error, so that all are found in one run.
func (l *Library) parse(f *file) ([]Step, error) {
	var steps []Step
	var errs []error
	n := 0
	for line := range strings.Lines(string(f.data)) {
		n++
		line = strings.TrimSuffix(line, "\n")
		step, err := l.line(strings.Trim(line, " \t"), f)
		for _, err := range each(err) {
			errs = append(errs, fmt.Errorf("%s:%d: %w", f.shown, n, err))
		}
		if step != nil {
			step.Line = n
			steps = append(steps, *step)
		}
	}
	return steps, errors.Join(errs...)
}

// each returns the errors that errors.Join has joined in err.
func each(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// line parses a line. It returns nil for a comment or an empty line.
func (l *Library) line(line string, f *file) (*Step, error) {
	if line == "" || line[0] == '#' {
		return nil, nil
	}
	if err := printable(line); err != nil {
		return nil, err
	}
	words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
	command := words[0]
	var setting local.Change
	var err error
	if command == "set-cmd" {
		setting, err = setCmd(line)
	} else {
		setting, err = l.setting(command, words[1:], f)
	}
	if err == nil {
		err = setting.Validate()
	}
	if err != nil {
		return nil, err
	}
	return &Step{Command: command, Setting: setting}, nil
}

// printable returns an error for bytes that no line may have. A control character would be
// invisible in the pot.conf that the line ends in.
func printable(line string) error {
	switch {
	case strings.HasSuffix(line, "\r"):
		return errors.New("line ends in a carriage return, which would be part of its last word")
	case !utf8.ValidString(line):
		return errors.New("not valid UTF-8")
	}
	if i := strings.IndexFunc(line, func(r rune) bool { return r != '\t' && unicode.IsControl(r) }); i >= 0 {
		return fmt.Errorf("control character %q", line[i:i+1])
	}
	return nil
}

// setCmd parses set-cmd. The rest of its line is the command, unchanged. pot cuts it off in
// the same way, without splitting it.
func setCmd(line string) (local.Change, error) {
	text, ok := strings.CutPrefix(line, "set-cmd -c ")
	if !ok {
		return nil, errors.New(`set-cmd: must be "set-cmd -c COMMAND" with single blanks; the rest of the line is the command`)
	}
	return local.SetCmd{Command: text}, nil
}

// literal returns an error for words that a shell would change, or that seem to be quoted.
func literal(words []string) error {
	for _, w := range words {
		switch i := strings.IndexAny(w, "\"'\\*?[$`"); {
		case i < 0:
		case strings.ContainsRune(`"'\`, rune(w[i])):
			return fmt.Errorf("%s in %q does not quote: lines are split at blanks, and a value cannot have one", w[i:i+1], w)
		case strings.ContainsRune("*?[", rune(w[i])):
			return fmt.Errorf("%s in %q: file name patterns are not supported: pot would expand them", w[i:i+1], w)
		default:
			return fmt.Errorf("%s in %q: variables are not supported: pot would expand them when the pot starts", w[i:i+1], w)
		}
	}
	return nil
}

// setting parses any command but set-cmd. set-attr is in published flavours, and pot
// ignores such a line with a message.
func (l *Library) setting(command string, words []string, f *file) (local.Change, error) {
	flags, ok := grammar[command]
	switch {
	case command == "set-attr":
		return nil, errors.New("no such flavour command: set-attr; use set-attribute")
	case !ok:
		return nil, fmt.Errorf("no such flavour command: %s; use one of %s", command, strings.Join(Commands, ", "))
	}
	if err := literal(words); err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	o, err := parseOptions(flags, words)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	return l.build(command, o, f)
}

// grammar has the flags of each command, in the form of getopts(1). All commands have -v,
// which makes pot verbose and does nothing here.
var grammar = map[string]string{
	"add-dep":       "vP:",
	"copy-in":       "vs:d:Fc",
	"copy-in-flv":   "vs:d:Fc",
	"export-ports":  "ve:",
	"mount-in":      "vf:d:z:m:wr",
	"set-attribute": "vA:V:",
	"set-env":       "vE:",
	"set-rss":       "vC:M:",
}

// options are the values of each flag of a line, in order.
type options map[byte][]string

// last returns the last value of a flag, or "" if it is not set.
func (o options) last(flag byte) string {
	if all := o[flag]; len(all) > 0 {
		return all[len(all)-1]
	}
	return ""
}

// parseOptions parses flags as getopts(1) does. getopts would stop at a word that is
// neither a flag nor a value, and ignore all flags after it: such a word is refused. A flag
// may be repeated; the caller decides what that means.
func parseOptions(flags string, words []string) (options, error) {
	o := options{}
	for i := 0; i < len(words); i++ {
		w := words[i]
		if len(w) < 2 || w[0] != '-' || w == "--" {
			return nil, fmt.Errorf("unexpected argument: %q", w)
		}
		for j := 1; j < len(w); j++ { // flags in one word, as in -cF or -e80
			at := strings.IndexByte(flags, w[j])
			switch {
			case w[j] == 'p':
				return nil, errors.New("no such flag: -p; a flavour changes the pot that it is applied to")
			case at < 0 || w[j] == ':':
				return nil, fmt.Errorf("no such flag: -%c", w[j])
			case at+1 == len(flags) || flags[at+1] != ':':
				o[w[j]] = append(o[w[j]], "")
				continue
			case j+1 < len(w):
				o[w[j]] = append(o[w[j]], w[j+1:])
			case i+1 < len(words):
				i++
				o[w[j]] = append(o[w[j]], words[i])
			default:
				return nil, fmt.Errorf("-%c: needs a value", w[j])
			}
			break
		}
	}
	return o, nil
}

// build returns the setting of a command with flags o. f is the file that it is in.
func (l *Library) build(command string, o options, f *file) (local.Change, error) {
	switch command {
	case "add-dep":
		return local.AddDep{On: pot.Name(o.last('P'))}, nil
	case "export-ports":
		return local.ExportPorts{Ports: o['e']}, nil
	case "set-attribute":
		return local.SetAttribute{Name: o.last('A'), Value: o.last('V')}, nil
	case "set-env":
		return local.SetEnv{Vars: o['E']}, nil
	case "set-rss":
		return local.SetRSS{CPUs: o.last('C'), Memory: o.last('M')}, nil
	case "mount-in":
		return l.mountIn(o)
	}
	// copy-in is relative to the caller's directory, copy-in-flv to the flavour's.
	source, from := o.last('s'), l.WorkDir
	if command == "copy-in-flv" {
		if from = f.dir; from == "" {
			return nil, errors.New("copy-in-flv: a built-in flavour has no files beside it")
		}
	}
	source, err := absoluteFrom(from, source)
	return local.CopyIn{
		Copy:    tree.Copy{Source: source, Target: o.last('d')},
		Parents: len(o['c']) > 0, Running: len(o['F']) > 0,
	}, err
}

// mountIn returns the setting of mount-in, which has one of three kinds of source.
func (l *Library) mountIn(o options) (local.Change, error) {
	m := local.MountIn{Dataset: o.last('z'), Target: o.last('m'), ReadOnly: len(o['r']) > 0, Remount: len(o['w']) > 0}
	var err error
	if m.Dir, err = absoluteFrom(l.WorkDir, o.last('d')); err != nil {
		return nil, err
	}
	if name := o.last('f'); name != "" {
		if m.Dataset != "" {
			return nil, errors.New("-f and -z are mutually exclusive")
		}
		if m.Dataset, err = local.FSComponent(l.ZFSRoot, name); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// absoluteFrom returns a path that is relative to dir, or to the process's directory if dir
// is "". An empty path stays empty. Changes need absolute paths: they are made later,
// perhaps from another directory.
func absoluteFrom(dir, name string) (string, error) {
	switch {
	case name == "" || filepath.IsAbs(name):
		return name, nil
	case dir == "":
		return filepath.Abs(name)
	}
	return filepath.Join(dir, name), nil
}
