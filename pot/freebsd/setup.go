package freebsd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/run"
)

// setup gives a host what pots need, as pot init does (pot-reference 1.3), one
// thing after the other. What is there already is left alone.
type setup struct {
	pot.SetupOptions
	runner run.Runner
	kernel Kernel
	config Config
	root   string // "" but in tests: /etc and /boot are below it
}

// needs are what a host is to have, in order.
func (s *setup) needs() []need {
	all := []need{
		s.setting("/boot/loader.conf", "kern.racct.enable", "1", "; limits work after the next restart"),
		s.setting("/etc/rc.conf", "gateway_enable", "YES", ""),
		s.group(),
	}
	if s.PF {
		all = append(all, s.setting("/etc/rc.conf", "pf_enable", "YES", "; service pf start"), s.anchors())
	}
	root := s.config.ZFSRoot
	all = append(all, s.dataset(root, "mountpoint="+s.FSRoot, "canmount=off", "compression=lz4", "atime=off"))
	for _, child := range []string{"bases", "jails", "fscomp"} {
		all = append(all, s.dataset(root+"/"+child))
	}
	return append(all, s.dataset(root+"/cache", "mountpoint="+s.Cache, "compression=off"), s.directories(), s.devfs())
}

// need is one thing that a host is to have.
type need struct {
	what string // as in "dataset zroot/pot"
	have func(ctx context.Context) (bool, error)
	make func(ctx context.Context) error
}

// run is Host.Setup.
func (s *setup) run(ctx context.Context) error {
	for _, n := range s.needs() {
		have, err := n.have(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", n.what, err)
		}
		switch {
		case have:
			continue
		case s.DryRun:
			s.Tell("would make " + n.what)
			continue
		}
		if err := n.make(ctx); err != nil {
			return fmt.Errorf("%s: %w", n.what, err)
		}
		s.Tell("made " + n.what)
	}
	return nil
}

// setting is a line of a file of the host's. Files that are read after it are the
// operator's own affair.
func (s *setup) setting(file, key, value, then string) need {
	path := s.root + file
	return need{
		what: fmt.Sprintf("%s=%q in %s%s", key, value, file, then),
		have: func(context.Context) (bool, error) {
			text, err := readConfFile(path)
			got, _ := readSetting(text, key)
			return strings.EqualFold(got, value), err
		},
		make: func(context.Context) error {
			text, err := readConfFile(path)
			if err != nil {
				return err
			}
			return writeConfFile(path, writeSetting(text, key, value))
		},
	}
}

func (s *setup) group() need {
	return need{
		what: "group " + s.Group,
		have: func(ctx context.Context) (bool, error) {
			_, err := s.runner.Run(ctx, nil, "pw", "groupshow", s.Group)
			if run.Says(err, "unknown group") {
				return false, nil
			}
			return err == nil, err
		},
		make: func(ctx context.Context) error {
			_, err := s.runner.Run(ctx, nil, "pw", "groupadd", s.Group)
			return err
		},
	}
}

// defaultPF is where pf's rules are if rc.conf(5) does not say.
const defaultPF = "/etc/pf.conf"

// anchorLines are what pf's rules are to have, before those of the host.
var anchorLines = []string{`nat-anchor "` + natAnchor + `"`, `rdr-anchor "` + rdrAnchor + `/*"`}

// pfFile is where pf's rules are.
func (s *setup) pfFile() (string, error) {
	text, err := readConfFile(s.root + "/etc/rc.conf")
	if err != nil {
		return "", err
	}
	if path, ok := readSetting(text, "pf_rules"); ok && filepath.IsAbs(path) {
		return path, nil
	}
	return defaultPF, nil
}

// anchors are pot's lines of pf.conf(5). Rules that pf would not take are not put
// there, and those of a pf that runs are loaded.
func (s *setup) anchors() need {
	return need{
		what: "anchors in pf.conf",
		have: func(context.Context) (bool, error) {
			path, err := s.pfFile()
			if err != nil {
				return false, err
			}
			text, err := readConfFile(s.root + path)
			return withAnchors(text) == text, err
		},
		make: func(ctx context.Context) error {
			path, err := s.pfFile()
			if err != nil {
				return err
			}
			path = s.root + path
			text, err := readConfFile(path)
			if err != nil {
				return err
			}
			text = withAnchors(text)
			if havePF() {
				if _, err := s.runner.Run(ctx, strings.NewReader(text), "pfctl", "-n", "-f", "-"); err != nil {
					return fmt.Errorf("%s with pot's anchors is not what pf takes: %w", path, err)
				}
			}
			if err := writeConfFile(path, text); err != nil || !havePF() {
				return err
			}
			_, err = s.runner.Run(ctx, nil, "pfctl", "-f", path)
			return err
		},
	}
}

// withAnchors is pf.conf(5) with those lines of pot's that it lacks, first.
func withAnchors(text string) string {
	lacks := ""
	for _, line := range anchorLines {
		has := false
		for l := range strings.Lines(text) {
			has = has || strings.HasPrefix(strings.Join(strings.Fields(l), " "), line)
		}
		if !has {
			lacks += line + "\n"
		}
	}
	return lacks + text
}

func (s *setup) dataset(name string, properties ...string) need {
	return need{
		what: "dataset " + name,
		have: func(ctx context.Context) (bool, error) {
			_, err := s.runner.Run(ctx, nil, "zfs", "list", "-H", "-o", "name", name)
			if err = typed(err); errors.Is(err, fs.ErrNotExist) {
				return false, nil
			}
			return err == nil, err
		},
		make: func(ctx context.Context) error {
			argv := []string{"zfs", "create"}
			for _, p := range properties {
				argv = append(argv, "-o", p)
			}
			_, err := s.runner.Run(ctx, nil, append(argv, name)...)
			return typed(err)
		},
	}
}

// directories are those beside datasets. Others do not look into pots, whose
// files and settings may hold secrets (pot-reference 1.3).
func (s *setup) directories() need {
	const mode = 0o750
	bridges := filepath.Join(s.FSRoot, "bridges")
	return need{
		what: fmt.Sprintf("%s, of group %s and closed to others", bridges, s.Group),
		have: func(context.Context) (bool, error) {
			info, err := os.Stat(s.FSRoot)
			_, inside := os.Stat(bridges)
			return err == nil && inside == nil && info.Mode().Perm() == mode, nil
		},
		make: func(ctx context.Context) error {
			if err := os.MkdirAll(bridges, 0o755); err != nil {
				return err
			}
			if _, err := s.runner.Run(ctx, nil, "chgrp", s.Group, s.FSRoot); err != nil {
				return err
			}
			return os.Chmod(s.FSRoot, mode)
		},
	}
}

func (s *setup) devfs() need {
	return need{
		what: "devfs ruleset " + ruleset,
		have: func(ctx context.Context) (bool, error) {
			out, err := s.runner.Run(ctx, nil, "devfs", "rule", "-s", ruleset, "show")
			return strings.TrimSpace(out) != "", err
		},
		make: func(ctx context.Context) error {
			_, err := s.runner.Run(ctx, nil, "service", "devfs", "restart")
			return err
		},
	}
}
