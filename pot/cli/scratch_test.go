package cli_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"nomad-driver-pot/e2e/machine"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/native"
	"nomad-driver-pot/pot/potconf"
)

// scratch is a host of pots in a directory. The environment of pot's commands keeps it apart
// from this machine's own pots.
type scratch struct {
	work       string
	state      string // POT_FS_ROOT: jails are in state/jails
	db         string // POT_DIR; on Linux it is state
	config     string // POT_CONFIG
	zfsRoot    string
	supervisor string
	remove     func() error
}

// openScratch creates a scratch in work.
func openScratch(work, supervisor string) (*scratch, error) {
	s := &scratch{work: work, state: filepath.Join(work, "state"), config: filepath.Join(work, "etc/pot/pot.conf"), supervisor: supervisor}
	if err := s.open(); err != nil {
		return nil, err
	}
	return s, nil
}

// env is the environment by which pot's commands use s.
func (s *scratch) env() map[string]string {
	return map[string]string{
		"POT_DIR": s.db, "POT_CONFIG": s.config, "POT_SUPERVISOR": s.supervisor,
		"DB": s.db, "ZFS_ROOT": s.zfsRoot,
	}
}

// close destroys its pots, whatever their state, and removes all mounts in it.
func (s *scratch) close() error {
	return errors.Join(s.destroyPots(), machine.UnmountBelow(s.state), s.remove())
}

// destroyPots destroys running pots.
func (s *scratch) destroyPots() error {
	host, err := native.Open(potconf.HostConfig{
		Dir: s.db, Supervisor: s.supervisor, Network: pot.DefaultNetwork, ZFSRoot: s.zfsRoot,
		Interface: os.Getenv("POT_TEST_EXTIF"), StatusDir: filepath.Join(s.work, "status"),
	})
	if err != nil {
		return err
	}
	ps := life.Open(host, potconf.Config{Dir: s.db, Network: pot.DefaultNetwork, Supervisor: s.supervisor})
	names, err := ps.List()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, ps.Destroy(context.Background(), name))
	}
	return errors.Join(errs...)
}
