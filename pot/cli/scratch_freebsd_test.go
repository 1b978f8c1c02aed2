package cli_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"nomad-driver-pot/e2e/machine"
	"nomad-driver-pot/pot/run"
)

// open creates a pool in a file, mounted on state, and datasets for the pots whose files
// exist in state. The shell tool can read the configuration too.
func (s *scratch) open() (err error) {
	s.db = filepath.Join(s.work, "db")
	before := filepath.Join(s.work, "state.before")
	if err := os.Rename(s.state, before); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, dir := range []string{"pool", "status", "etc/pot/flavours", "db"} {
		if err := os.MkdirAll(filepath.Join(s.work, dir), 0o755); err != nil {
			return err
		}
	}
	if s.zfsRoot, s.remove, err = machine.Scratch(filepath.Join(s.work, "pool")); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.remove())
		}
	}()
	zfs := func(args ...string) error {
		_, err := run.Host{}.Run(context.Background(), nil, append([]string{"zfs"}, args...)...)
		return err
	}
	if err := zfs("set", "mountpoint="+s.state, s.zfsRoot); err != nil {
		return err
	}
	pots, err := filepath.Glob(filepath.Join(before, "jails/*"))
	if err != nil {
		return err
	}
	for _, dir := range pots {
		dataset := s.zfsRoot + "/jails/" + filepath.Base(dir)
		if err := errors.Join(zfs("create", dataset), zfs("create", dataset+"/m")); err != nil {
			return err
		}
	}
	if err := copyTree(before, s.state); err != nil {
		return err
	}
	return s.configure()
}

// copyTree moves the files of from to the same places below to.
func copyTree(from, to string) error {
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at := to + strings.TrimPrefix(path, from)
		if d.IsDir() {
			return os.MkdirAll(at, 0o755)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(at, data, 0o666)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, os.RemoveAll(from))
}

// configure writes pot.conf without quotes, which potnet would not strip.
func (s *scratch) configure() error {
	text := fmt.Sprintf("POT_ZFS_ROOT=%s\nPOT_FS_ROOT=%s\nPOT_CACHE=%s/cache\nPOT_TMP=%s/status\nPOT_GROUP=wheel\n", s.zfsRoot, s.state, s.state, s.work)
	if uplink := os.Getenv("POT_TEST_EXTIF"); uplink != "" {
		text += "POT_EXTIF=" + uplink + "\n"
	}
	return errors.Join(os.MkdirAll(filepath.Join(s.state, "cache"), 0o755), os.WriteFile(s.config, []byte(text), 0o644))
}
