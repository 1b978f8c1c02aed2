package freebsd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/freebsd/zfs"
	"nomad-driver-pot/pot/run"
)

// setup gives a host what pots need, as pot init does (share/pot/init.sh), one
// thing after the other. It leaves alone what exists already.
type setup struct {
	pot.SetupOptions
	runner run.Runner
	admin  *zfs.Admin
	kernel Kernel
	config Config
	root   string // "" but in tests: /etc and /boot are below it
}

// needs lists what a host must have, in order. The group is before the directories that it
// gets, the root dataset before its children. The root dataset is not mounted
// (canmount=off): FSRoot is a directory of the file system above, as with pot.
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
	all = append(all, s.dataset(root, map[string]string{"mountpoint": s.FSRoot, "canmount": "off", "compression": "lz4", "atime": "off"}))
	for _, child := range []string{"bases", "jails", "fscomp"} {
		all = append(all, s.dataset(root+"/"+child, nil))
	}
	cache := s.dataset(root+"/cache", map[string]string{"mountpoint": s.Cache, "compression": "off"})
	return append(all, cache, s.directories(), s.devfs())
}

// need is one thing that a host must have.
type need struct {
	what string // as in "dataset zroot/pot"
	have func(ctx context.Context) (bool, error)
	make func(ctx context.Context) error
	plan func(ctx context.Context) error // makes nothing and returns the error that make would; may be nil
}

// run implements pot.Host's Setup.
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
			if n.plan != nil {
				if err := n.plan(ctx); err != nil {
					return fmt.Errorf("%s: %w", n.what, err)
				}
			}
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

// setting is a line of a file of the host's. The operator's files that are read
// after it may set the key again.
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

func (s *setup) dataset(name string, properties map[string]string) need {
	return need{
		what: "dataset " + name,
		have: func(ctx context.Context) (bool, error) { return s.admin.Exists(ctx, name) },
		make: func(ctx context.Context) error { return s.admin.Create(ctx, name, properties) },
	}
}

// directories creates the directories beside datasets. Users outside the group cannot read
// pots, whose files and settings may hold secrets (issues 218 and 240 of
// github.com/bsdpot/pot).
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

// devfs is the ruleset of jails. It is in the kernel only after rc.d/devfs has loaded it, and
// without it a jail would see all of /dev.
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
