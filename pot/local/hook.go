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

// hook runs a pot's program on the host, if there is one that the operator has set. As
// with pot, what becomes of it is told, and changes nothing.
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
		o.tell("%v: it is not run", err)
		return
	}
	var addr netip.Addr
	if p != nil {
		addr = p.Address()
	}
	life.HookRun{Supervisor: o.supervisor, Dir: s.dir, Pot: s.name, Env: s.Environment(ctx, addr), Timeout: hookTimeout, Tell: o.tell}.Run(ctx, h)
}

// hookTimeout bounds a hook of a pot that is started by hand.
const hookTimeout = 5 * time.Minute

func (s *Pot) readHook(h conf.Hook) ([]byte, error) {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return life.ReadHook(root, h)
}

// Environment is what programs on this host are told of the pot, as NAME=value
// (pot-reference 2.5); addr is its own where it has another than its pot.conf says.
// Values are what an image may have set, and for no shell as they are.
func (s *Pot) Environment(ctx context.Context, addr netip.Addr) []string {
	potConf, err := s.Conf()
	if err != nil {
		potConf = new(conf.Lines)
	}
	return life.HostEnvironment(ctx, s.host, s.name, potConf, addr)
}
