package pot

import (
	"context"
	"errors"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// hookWithin bounds a hook.
const hookWithin = 5 * time.Minute

// hook runs a pot's program on the host, if there is one that the operator has set. As
// with pot, what becomes of it is told, and changes nothing.
func (s *Settings) hook(ctx context.Context, h Hook, p *Pot, o StartOptions) {
	if _, err := s.read(h.file()); errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err := s.approved(ctx, h.file()); err != nil {
		o.tell("%v: it is not run", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, hookWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(s.dir, h.file()))
	cmd.Dir, cmd.Env = "/", s.hookEnv(ctx, p)
	cmd.WaitDelay = time.Second // for what it has left behind with its output open
	out, err := cmd.CombinedOutput()
	if text := strings.TrimSpace(string(out)); text != "" {
		o.tell("%s of pot %s: %.4096s", h, s.name, text)
	}
	if err != nil {
		o.tell("%s of pot %s: %v", h, s.name, err)
	}
}

// hookEnv is what a hook is told of the pot (pot-reference 2.5).
func (s *Settings) hookEnv(ctx context.Context, p *Pot) []string {
	env := []string{"PATH=/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin", "_POT_NAME=" + string(s.name)}
	conf, err := s.Conf()
	if err != nil {
		return env
	}
	ip := strings.TrimSpace(conf.Value("ip"))
	if p != nil && p.Address().IsValid() {
		ip = p.Address().String()
	}
	env = append(env, "_POT_IP="+ip)
	if bridge := conf.Value("bridge"); bridge != "" {
		env = append(env, "_POT_BRIDGE="+bridge)
	}
	if jail, err := s.host.Jails.Find(ctx, s.name); err == nil {
		env = append(env, "_POT_JID="+strconv.Itoa(jail.ID))
	}
	return env
}
