package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"time"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot/life"
)

// hook runs a hook of the pot on the host, if there is one and the operator has set it. As
// with pot, its failure is reported by StartOptions.Tell and changes nothing.
func (s *Pot) hook(ctx context.Context, h conf.Hook, p *life.Pot, o StartOptions) {
	program, err := s.readHook(h)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = s.approvedAs(ctx, h.File(), program)
	} else {
		err = fmt.Errorf("pot %s: %w", s.name, err)
	}
	if err != nil {
		o.tell("%v: not run", err)
		return
	}
	var addr netip.Addr
	if p != nil {
		addr = p.Address()
	}
	life.HookRun{Supervisor: o.supervisor, Dir: s.dir, Pot: s.name, Env: s.Environment(ctx, addr), Timeout: hookTimeout, Tell: o.tell}.Run(ctx, h)
}

// hookTimeout bounds how long a hook runs. pot waits without a bound. It is longer than for
// a task's hooks: a person waits and sees what happens.
const hookTimeout = 5 * time.Minute

// readHook returns the program of a hook, fs.ErrNotExist if there is none.
func (s *Pot) readHook(h conf.Hook) ([]byte, error) {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return life.ReadHook(root, h)
}

// Environment returns the variables that describe the pot to a program on this host, as
// NAME=value: pot's own (share/pot/info.sh, -E). addr is the pot's address where it is not
// the one in pot.conf, or the zero Addr. An image may have set the values: quote them in
// shell text. A pot.conf that cannot be read gives the pot's name alone.
func (s *Pot) Environment(ctx context.Context, addr netip.Addr) []string {
	potConf, err := s.Conf()
	if err != nil {
		potConf = new(conf.Lines)
	}
	return life.HostEnvironment(ctx, s.host, s.name, s.name, potConf, addr)
}
