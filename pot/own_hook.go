package pot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"time"
)

// hook runs a pot's program on the host, if there is one that the operator has set. As
// with pot, what becomes of it is told, and changes nothing.
func (s *Settings) hook(ctx context.Context, h Hook, p *Pot, o StartOptions) {
	program, err := s.readHook(h)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = s.approvedAs(ctx, h.file(), program)
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
	hookRun{supervisor: o.supervisor, dir: s.dir, pot: s.name, env: s.Environment(ctx, addr), timeout: hookTimeout, tell: o.tell}.run(ctx, h)
}

// hookTimeout bounds a hook of a pot that is started by hand.
const hookTimeout = 5 * time.Minute

func (s *Settings) readHook(h Hook) ([]byte, error) {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return readHook(root, h)
}

// Environment is what programs on this host are told of the pot, as NAME=value
// (pot-reference 2.5); addr is its own where it has another than its pot.conf says.
// Values are what an image may have set, and for no shell as they are.
func (s *Settings) Environment(ctx context.Context, addr netip.Addr) []string {
	conf, err := s.Conf()
	if err != nil {
		conf = new(ConfLines)
	}
	return hostEnvironment(ctx, s.host, s.name, conf, addr)
}
