package pot

import (
	"context"
	"errors"
	"io/fs"
	"os/exec"
	"path/filepath"
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
