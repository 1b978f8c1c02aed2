package pot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// hookWithin bounds a hook.
const hookWithin = 5 * time.Minute

// maxHookText bounds what is told of what a hook has written, in bytes.
const maxHookText = 4 << 10

// runHook runs a program on the host, in the pot's directory of them (pot-reference
// 2.5), and tells what becomes of it. As with pot, that changes nothing.
func runHook(ctx context.Context, dir string, h Hook, name Name, env []string, tell func(format string, args ...any)) {
	ctx, cancel := context.WithTimeout(ctx, hookWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(dir, h.file()))
	cmd.Dir = "/"
	cmd.Env = append([]string{"PATH=/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"}, env...)
	cmd.WaitDelay = time.Second // for what it has left behind with its output open
	var out begin
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if text := strings.TrimSpace(string(out)); text != "" {
		tell("%s of pot %s: %s", h, name, text)
	}
	if err != nil {
		tell("%s of pot %s: %v", h, name, err)
	}
}

// begin keeps the first of what is written to it.
type begin []byte

func (b *begin) Write(p []byte) (int, error) {
	*b = append(*b, p[:min(len(p), maxHookText-len(*b))]...)
	return len(p), nil
}

// Notes are what the pot's user should know since this was asked last: what does not work
// in it as it should, what its hooks have said, and why they failed.
func (p *Pot) Notes() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	notes := p.notes
	p.notes = nil
	return notes
}

// RefusedHooks are programs of the image that are not run, because they are not allowed
// here.
func (p *Pot) RefusedHooks() []Hook { return p.record.RefusedHooks }

// takeHooks finds the image's programs for the host, and runs the first of those that
// the operator allows. Nothing has run in the pot that could have changed them.
func (p *Pot) takeHooks(ctx context.Context) error {
	if p.record.Spec.Own {
		return nil // its operator has set them, and StartOwn runs them
	}
	found, err := hooksIn(p.record.Dir)
	if err != nil {
		return err
	}
	p.change(func(r *record) {
		r.Hooks, r.RefusedHooks = nil, nil
		for _, h := range found {
			if slices.Contains(r.Spec.Hooks, h) {
				r.Hooks = append(r.Hooks, h)
			} else {
				r.RefusedHooks = append(r.RefusedHooks, h)
			}
		}
	})
	if err := p.save(); err != nil { // before anything is done that PostStop undoes
		return err
	}
	p.hook(ctx, PreStart)
	return ctx.Err()
}

// leaveHooks runs what comes after all else, once.
func (p *Pot) leaveHooks(ctx context.Context) error {
	if len(p.record.Hooks) == 0 {
		return nil
	}
	p.hook(ctx, PostStop)
	p.change(func(r *record) { r.Hooks = nil })
	return p.save()
}

// hook runs one of the pot's, if it has it and may.
func (p *Pot) hook(ctx context.Context, h Hook) {
	if !slices.Contains(p.record.Hooks, h) {
		return
	}
	conf, err := ParseConfLines(p.record.conf())
	if err != nil {
		conf = new(ConfLines)
	}
	env := hostEnvironment(ctx, p.host, p.name, conf, p.record.Address)
	runHook(ctx, p.record.Dir, h, p.name, env, p.note)
}

// note adds to what Notes returns.
func (p *Pot) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

// hooksIn are those of a dataset: files that can be run, as pot demands.
func hooksIn(dir string) (found []Hook, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	for _, h := range Hooks {
		info, err := root.Lstat(h.file())
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		case info.Mode().IsRegular() && info.Mode()&0o111 != 0:
			found = append(found, h)
		}
	}
	return found, nil
}
