package cli_test

import "nomad-driver-pot/pot/potconf"

// open has nothing to create: datasets are directories in the state directory.
func (s *scratch) open() error {
	s.db, s.zfsRoot, s.remove = s.state, potconf.DefaultZFSRoot, func() error { return nil }
	return nil
}
