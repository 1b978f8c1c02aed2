package flavour

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"nomad-driver-pot/pot"
)

// pot splits each line at blanks, and then has its shell expand patterns of file
// names in the caller's directory; a quote is a character like any other, and there
// are no variables (pot-reference 5.2). What is understood here is what that leaves
// as it is. Comments and empty lines, of which pot complains, are passed over, and the
// last line counts though no newline ends it.

// Commands are those that a flavour can have, sorted.
var Commands = []string{
	"add-dep", "copy-in", "copy-in-flv", "export-ports", "mount-in", "set-attribute", "set-cmd", "set-env", "set-rss",
}

// parse is all of a file, or all that is wrong with it.
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

// each are the errors that err is made of.
func each(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// line is a step, or nil for a line that says nothing.
func (l *Library) line(line string, f *file) (*Step, error) {
	if line == "" || line[0] == '#' {
		return nil, nil
	}
	if err := printable(line); err != nil {
		return nil, err
	}
	words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
	command := words[0]
	var setting pot.Setting
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

// printable is an error for what no line can have in it.
func printable(line string) error {
	switch {
	case strings.HasSuffix(line, "\r"):
		return errors.New("the line ends in a carriage return, which would be part of its last word")
	case !utf8.ValidString(line):
		return errors.New("is no UTF-8")
	}
	if i := strings.IndexFunc(line, func(r rune) bool { return r != '\t' && unicode.IsControl(r) }); i >= 0 {
		return fmt.Errorf("has a control character in it: %q", line[i:i+1])
	}
	return nil
}

// setCmd is a line whose rest is the command, as it stands there.
func setCmd(line string) (pot.Setting, error) {
	text, ok := strings.CutPrefix(line, "set-cmd -c ")
	if !ok {
		return nil, errors.New(`set-cmd: must be "set-cmd -c COMMAND", with one blank between each: all that follows is the command`)
	}
	return pot.SetCmd{Command: text}, nil
}

// literal is an error for words that are not for sure what they look like.
func literal(words []string) error {
	for _, w := range words {
		switch i := strings.IndexAny(w, "\"'\\*?[$`"); {
		case i < 0:
		case strings.ContainsRune(`"'\`, rune(w[i])):
			return fmt.Errorf("%s in %q quotes nothing: lines are split at blanks, and no value can have one", w[i:i+1], w)
		case strings.ContainsRune("*?[", rune(w[i])):
			return fmt.Errorf("%s in %q: patterns of file names are not expanded here, and are by pot", w[i:i+1], w)
		default:
			return fmt.Errorf("%s in %q: variables are not expanded here, and are by pot when the pot starts", w[i:i+1], w)
		}
	}
	return nil
}

// setting is any other line.
func (l *Library) setting(command string, words []string, f *file) (pot.Setting, error) {
	flags, ok := grammar[command]
	switch {
	case command == "set-attr":
		return nil, errors.New("no such command in a flavour: set-attr: it is set-attribute here")
	case !ok:
		return nil, fmt.Errorf("no such command in a flavour: %s: there are %s", command, strings.Join(Commands, ", "))
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

// grammar are the flags of each command, as getopts(1) takes them. -v, of which pot
// says more, is one of all.
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

// options are flags that were given, and their values, in order.
type options map[byte][]string

// last is a flag's value, of which the last one counts.
func (o options) last(flag byte) string {
	if all := o[flag]; len(all) > 0 {
		return all[len(all)-1]
	}
	return ""
}

// parseOptions reads flags as getopts(1) does. Words that are neither flags nor theirs
// would end that, and hide all behind them.
func parseOptions(flags string, words []string) (options, error) {
	o := options{}
	for i := 0; i < len(words); i++ {
		w := words[i]
		if len(w) < 2 || w[0] != '-' || w == "--" {
			return nil, fmt.Errorf("%q is no flag, nor of one", w)
		}
		for j := 1; j < len(w); j++ {
			at := strings.IndexByte(flags, w[j])
			switch {
			case w[j] == 'p':
				return nil, errors.New("-p: the pot is the one that the flavour is for")
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

// build is what a line asks for.
func (l *Library) build(command string, o options, f *file) (pot.Setting, error) {
	switch command {
	case "add-dep":
		return pot.AddDep{On: pot.Name(o.last('P'))}, nil
	case "export-ports":
		return pot.ExportPorts{Ports: o['e']}, nil
	case "set-attribute":
		return pot.SetAttribute{Name: o.last('A'), Value: o.last('V')}, nil
	case "set-env":
		return pot.SetEnv{Vars: o['E']}, nil
	case "set-rss":
		return pot.SetRSS{CPUs: o.last('C'), Memory: o.last('M')}, nil
	case "mount-in":
		return l.mountIn(o)
	}
	source, from := o.last('s'), l.WorkDir
	if command == "copy-in-flv" {
		if from = f.dir; from == "" {
			return nil, errors.New("copy-in-flv: there are no files beside a flavour that comes with the program")
		}
	}
	source, err := absoluteFrom(from, source)
	return pot.CopyIn{
		Copy:    pot.Copy{Source: source, Target: o.last('d')},
		Parents: len(o['c']) > 0, Running: len(o['F']) > 0,
	}, err
}

// mountIn is a line with one of the three kinds of sources.
func (l *Library) mountIn(o options) (pot.Setting, error) {
	m := pot.MountIn{Dataset: o.last('z'), Target: o.last('m'), ReadOnly: len(o['r']) > 0, Remount: len(o['w']) > 0}
	var err error
	if m.Dir, err = absoluteFrom(l.WorkDir, o.last('d')); err != nil {
		return nil, err
	}
	if name := o.last('f'); name != "" {
		if m.Dataset != "" {
			return nil, errors.New("-f and -z: only one of them can be meant")
		}
		if m.Dataset, err = pot.FSComponent(l.ZFSRoot, name); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// absoluteFrom is a path as it is seen from dir, "" being where the process is; none
// stays none.
func absoluteFrom(dir, name string) (string, error) {
	switch {
	case name == "" || filepath.IsAbs(name):
		return name, nil
	case dir == "":
		return filepath.Abs(name)
	}
	return filepath.Join(dir, name), nil
}
