package freebsd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"nomad-driver-pot/pot/run"
)

// defaultPF is pf_rules of /etc/defaults/rc.conf.
const defaultPF = "/etc/pf.conf"

// pfRules is the file of pf's rules, as rc.d/pf loads it.
type pfRules struct {
	path  string
	flags []string // pf_flags of rc.conf(5)
	conf  pfConf
}

// readPF reads pf's rules; a missing file is empty.
func (s *setup) readPF() (pfRules, error) {
	rc, err := readConfFile(s.root + "/etc/rc.conf")
	if err != nil {
		return pfRules{}, err
	}
	r := pfRules{path: s.root + defaultPF}
	if path, ok := readSetting(rc, "pf_rules"); ok && filepath.IsAbs(path) {
		r.path = s.root + path
	}
	flags, _ := readSetting(rc, "pf_flags")
	r.flags = strings.Fields(flags)
	text, err := readConfFile(r.path)
	if err != nil {
		return pfRules{}, err
	}
	r.conf = parsePF(text, r.defines(), s.readIncluded)
	return r, nil
}

// readIncluded returns the text of a file that pf's rules include. rc(8) runs
// pfctl in /. pfctl itself reports a file that cannot be read.
func (s *setup) readIncluded(path string) string {
	text, _ := readConfFile(s.root + filepath.Join("/", path))
	return text
}

// defines returns the macros that pf_flags sets, with -D NAME=VALUE.
func (r pfRules) defines() map[string]string {
	defines := map[string]string{}
	for i, flag := range r.flags {
		define, ok := strings.CutPrefix(flag, "-D")
		if ok && define == "" && i+1 < len(r.flags) {
			define = r.flags[i+1]
		}
		if eq := strings.LastIndexByte(define, '='); ok && eq >= 0 { // pfctl.c: pfctl_cmdline_symset
			defines[define[:eq]] = define[eq+1:]
		}
	}
	return defines
}

// pfctl runs pfctl(8) on rules as rc.d/pf does, with pf_flags.
func (s *setup) pfctl(ctx context.Context, r pfRules, stdin string, argv ...string) error {
	_, err := s.runner.Run(ctx, strings.NewReader(stdin), append(append([]string{"pfctl"}, argv...), r.flags...)...)
	if errors.Is(err, run.ErrNotFound) {
		return fmt.Errorf("pfctl(8) is not installed, and nothing else can check pf's rules: %w; -m leaves pf alone", err)
	}
	var failed *run.Error
	if errors.As(err, &failed) {
		return complaints{failed}
	}
	return err
}

// anchors is pot's lines in pf.conf(5). They are written only if pfctl accepts the
// whole, and a pf that is loaded gets them at once.
func (s *setup) anchors() need {
	return need{
		what: "anchors in pf.conf",
		have: func(context.Context) (bool, error) {
			r, err := s.readPF()
			return len(r.conf.lacks()) == 0, err
		},
		make: func(ctx context.Context) error {
			r, err := s.readPF()
			if err != nil {
				return err
			}
			text := r.conf.withAnchors()
			if err := s.judge(ctx, r, text); err != nil {
				return err
			}
			return s.replaceRules(ctx, r, text)
		},
		plan: func(ctx context.Context) error {
			r, err := s.readPF()
			if err != nil {
				return err
			}
			return s.judge(ctx, r, r.conf.withAnchors())
		},
	}
}

// judge returns nil if pfctl accepts text in place of r. With -n, pfctl does so
// whether or not pf is loaded: it opens /dev/pf only if it can (pfctl.c, main).
func (s *setup) judge(ctx context.Context, r pfRules, text string) error {
	err := s.pfctl(ctx, r, text, "-n", "-f", "-")
	var refused *run.Error
	if !errors.As(err, &refused) {
		return err
	}
	var before *run.Error // lines of the operator's text are easier to find than ours
	if errors.As(s.pfctl(ctx, r, r.conf.text, "-n", "-f", "-"), &before) {
		return fmt.Errorf("%s: pfctl rejects this file as it is: %w", r.path, complaints{before})
	}
	err = fmt.Errorf("%s: pfctl rejects this file with the change: %w", r.path, err)
	if _, first := r.conf.firstRule(); first != nil && first.file != "" {
		var lines []string
		for _, a := range r.conf.lacks() {
			lines = append(lines, strings.TrimSpace(a.line()))
		}
		err = fmt.Errorf("%w; add %s by hand before line %d of %s", err, strings.Join(lines, " and "), first.line, first.file)
	}
	return err
}

// complaints is an error of pfctl, which shows its first messages. They name file
// and line; the text that was fed to pfctl is "stdin".
type complaints struct{ failed *run.Error }

// Unwrap returns the command's error.
func (c complaints) Unwrap() error { return c.failed }

// Error implements error.
func (c complaints) Error() string {
	if c.failed.Stderr == "" {
		return c.failed.Error()
	}
	const most = 3
	lines := strings.Split(c.failed.Stderr, "\n")
	if len(lines) > most {
		lines = append(lines[:most], fmt.Sprintf("and %d more", len(lines)-most))
	}
	return strings.Join(lines, "; ")
}

// replaceRules writes text, which pfctl accepts, and loads it if pf is loaded. If
// that fails, the file is put back.
func (s *setup) replaceRules(ctx context.Context, r pfRules, text string) error {
	_, missing := os.Stat(r.path)
	if err := writeConfFile(r.path, text); err != nil || !havePF() {
		return err
	}
	err := s.pfctl(ctx, r, "", "-f", r.path)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: pfctl does not load this file, which is as before: %w", r.path, err)
	if errors.Is(missing, fs.ErrNotExist) {
		return errors.Join(err, os.Remove(r.path))
	}
	return errors.Join(err, writeConfFile(r.path, r.conf.text))
}

// dropAnchors removes the rules in pot's anchors, and then replaces pf's rules by
// text, which does not call them.
func (s *setup) dropAnchors(ctx context.Context, r pfRules, text string) error {
	if havePF() {
		if _, err := s.runner.Run(ctx, nil, "pfctl", "-a", natAnchor, "-F", "nat"); err != nil {
			return err
		}
	}
	return s.replaceRules(ctx, r, text)
}

// tellIncluded names the included files that call pot's anchors: pot does not
// change them.
func (s *setup) tellIncluded(r pfRules) {
	for _, p := range r.conf.parts {
		for _, statement := range p.statements {
			if a, ok := statement.anchor(); ok && statement.file != "" && slices.Contains(potAnchors, a) {
				s.Tell(fmt.Sprintf("left alone: %s %q in line %d of %s", a.keyword, a.name, statement.line, statement.file))
			}
		}
	}
}
