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
)

// parts are the datasets that pot init creates below ZFSRoot.
var parts = []string{"bases", "cache", "fscomp", "jails"}

// undo implements pot.Host's Teardown: it removes pot's lines of pf.conf, the datasets, and the
// directories beside them. It names the settings that it leaves, as others may need them.
func (s *setup) undo(ctx context.Context) error {
	root := s.config.ZFSRoot
	if !strings.Contains(root, "/") {
		return fmt.Errorf("dataset %s: is a whole pool, which is never destroyed", root)
	}
	below, there, err := s.below(ctx, root)
	if err != nil {
		return err
	}
	for _, name := range below {
		if !slices.Contains(parts, name) {
			return fmt.Errorf("dataset %s/%s: was not made by pot: move it away, or destroy %s by hand", root, name, root)
		}
	}
	type act struct {
		what string
		do   func() error
	}
	var acts []act
	if s.PF {
		rules, err := s.readPF()
		if err != nil {
			return err
		}
		s.tellIncluded(rules)
		if without := rules.conf.withoutAnchors(); without != rules.conf.text {
			if err := s.judge(ctx, rules, without); err != nil {
				return fmt.Errorf("anchors from pf.conf: %w", err)
			}
			acts = append(acts, act{"anchors from pf.conf", func() error { return s.dropAnchors(ctx, rules, without) }})
		}
	}
	for _, name := range below {
		acts = append(acts, act{"dataset " + root + "/" + name, func() error { return s.destroy(ctx, root+"/"+name, true) }})
	}
	if there {
		acts = append(acts, act{"dataset " + root, func() error { return s.destroy(ctx, root, false) }})
	}
	bridges := filepath.Join(s.FSRoot, "bridges")
	if _, err := os.Lstat(bridges); err == nil {
		acts = append(acts, act{bridges, func() error { return os.RemoveAll(bridges) }})
	}
	for _, a := range acts {
		if s.DryRun {
			s.Tell("would remove " + a.what)
			continue
		}
		if err := a.do(); err != nil {
			return fmt.Errorf("%s: %w", a.what, err)
		}
		s.Tell("removed " + a.what)
	}
	if !s.DryRun {
		os.Remove(s.FSRoot) // fails if others have files in it
	}
	s.Tell(fmt.Sprintf("left alone: group %s; gateway_enable and pf_enable in /etc/rc.conf, kern.racct.enable in /boot/loader.conf", s.Group))
	return nil
}

// below returns the children of a dataset, and whether it exists.
func (s *setup) below(ctx context.Context, dataset string) (names []string, there bool, err error) {
	names, err = s.admin.Children(ctx, dataset)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	slices.Sort(names)
	return names, err == nil, err
}

func (s *setup) destroy(ctx context.Context, dataset string, recursive bool) error {
	return ignore(fs.ErrNotExist, s.admin.Destroy(ctx, dataset, recursive))
}
