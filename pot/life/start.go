package life

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/supervise"
)

// Name is the pot's name.
func (p *Pot) Name() pot.Name { return p.name }

// InPlace tells whether somebody started the pot by hand: others are tasks'.
func (p *Pot) InPlace() bool { return p.record.Spec.InPlace }

// Persistent reports whether the pot stays when its command has ended. What its settings
// say since it was started is for the next time.
func (p *Pot) Persistent() bool { return p.record.Spec.Persistent }

// Tree is the root of the pot's files, seen from the host; nothing that the pot controls is
// safe to be followed there.
func (p *Pot) Tree() string { return filepath.Join(p.record.Dir, "m") }

// Address is the pot's on the public network; it is not valid when the pot has
// none of its own.
func (p *Pot) Address() netip.Addr { return p.record.Address }

// Aliases are the addresses that the pot has on the host's interfaces.
func (p *Pot) Aliases() []pot.InterfaceAddr { return p.record.Aliases }

// Refused are the image's attributes that the pot does not have, because they are
// not allowed here.
func (p *Pot) Refused() []string { return p.record.Refused }

// Argv is what was started in the pot.
func (p *Pot) Argv() []string { return p.record.Argv }

// End is how a pot's command ended.
type End struct {
	supervise.Exit
	OutOfMemory bool // the kernel killed for want of memory: proven
}

// Start runs the pot's command under a supervisor of its own, and returns when
// it runs. The command can be started once. env goes to the command and nowhere
// else; it comes after, and wins over, what the image's pot.conf sets.
func (p *Pot) Start(ctx context.Context, env []string) error {
	potConf, err := p.imageConf(ctx)
	if err != nil {
		return err
	}
	s := &p.record.Spec
	argv := s.Command
	var most int64
	if s.InPlace {
		most = maxLogBytes
		if s.Stdout, s.Stderr, err = p.createLogs(); err != nil {
			return err
		}
	}
	if len(argv) == 0 {
		argv = potConf.Argv()
	}
	if len(argv) == 0 {
		return fmt.Errorf("no command: the job sets none, and neither does pot.cmd of image %s", s.Image)
	}
	who, err := lookupUser(p.Tree(), s.User)
	if err != nil {
		return err
	}
	jail, err := p.host.Jails.Find(ctx, p.name)
	if err != nil {
		return fmt.Errorf("find jail: %w", err)
	}
	p.change(func(r *record) { r.Argv = argv })
	if err := p.save(); err != nil {
		return err
	}
	_, err = supervise.Start(ctx, p.supervisor, supervise.Task{
		Dir:        p.dir,
		Jail:       jail,
		Argv:       argv,
		Env:        environment(who, potConf.Env, env),
		WorkDir:    s.WorkDir,
		Identity:   who.Identity,
		Stdout:     s.Stdout,
		Stderr:     s.Stderr,
		Forwards:   p.forwards(),
		MaxRuntime: s.WallClock,
		OnExit:     s.OnExit,

		OutputBytes: most,
	})
	if err == nil {
		p.hook(ctx, conf.PostStart)
	}
	return err
}

func (p *Pot) imageConf(ctx context.Context) (conf.Image, error) {
	if p.recordErr != nil {
		return conf.Image{}, fmt.Errorf("the pot's record cannot be read: %w", p.recordErr)
	}
	dir, err := p.host.Datasets.Dir(ctx, p.record.Spec.Image)
	if err != nil {
		return conf.Image{}, fmt.Errorf("image %s: %w", p.record.Spec.Image, err)
	}
	potConf, err := conf.ReadDir(dir)
	if err != nil {
		return conf.Image{}, fmt.Errorf("image %s: %w", p.record.Spec.Image, err)
	}
	return potConf, nil
}

// forwards are the published ports, as the supervisor carries them out.
func (p *Pot) forwards() []supervise.Forward {
	var all []supervise.Forward
	for _, port := range p.record.Spec.Ports {
		all = append(all, supervise.Forward{
			Proto:  string(port.Proto),
			Listen: port.Host,
			To:     netip.AddrPortFrom(p.record.Address, port.To),
		})
	}
	return all
}

// environment is the command's: what its user implies, then each of more; of
// two settings of one name the later counts.
func environment(who user, more ...[]string) []string {
	all := []string{"PATH=" + supervise.DefaultPath, "HOME=" + who.home}
	if who.name != "" {
		all = append(all, "USER="+who.name)
	}
	at := map[string]int{}
	var env []string
	for _, set := range append([][]string{all}, more...) {
		for _, kv := range set {
			name, _, _ := strings.Cut(kv, "=")
			if i, ok := at[name]; ok {
				env[i] = kv
				continue
			}
			at[name] = len(env)
			env = append(env, kv)
		}
	}
	return env
}

// Wait returns how the command ended, when it has. It may be called any number
// of times, before and after. A command that was never started is
// fs.ErrNotExist; one whose end nobody saw is supervise.ErrUnknownExit.
func (p *Pot) Wait(ctx context.Context) (End, error) {
	s, err := supervise.Open(p.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return End{}, err
	case err != nil:
		return End{}, fmt.Errorf("%w that can be read: %w", supervise.ErrUnknownExit, err)
	}
	exit, err := s.Wait(ctx)
	if err != nil {
		return End{}, err
	}
	end := End{Exit: exit}
	if exit.Signal == int(syscall.SIGKILL) && !exit.TimedOut && !p.killed() {
		end.OutOfMemory, err = p.host.Limits.OutOfMemory(ctx, p.name)
	}
	return end, err
}

// Started is when the command was started, and its process ID for people to
// look at. A command that was never started is fs.ErrNotExist.
func (p *Pot) Started() (at time.Time, pid int, err error) {
	s, err := supervise.Open(p.dir)
	if err != nil {
		return time.Time{}, 0, err
	}
	return s.Started, s.PID, nil
}

// Signal sends sig to the command; 0 is for whether it is there. One that has ended is supervise.ErrEnded.
func (p *Pot) Signal(sig syscall.Signal) error {
	s, err := supervise.Open(p.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return supervise.ErrEnded
	}
	if err != nil {
		return err
	}
	if sig == syscall.SIGKILL {
		p.markKilled()
	}
	return s.Signal(sig)
}

// killedFile is in the directory of a pot whose command was killed from here.
const killedMarker = "killed"

// willKill writes down that the command is about to be killed, if it has not ended:
// that something else in the pot was killed for want of memory, maybe days ago, is
// not why. It is no reason to let a pot live that it cannot be written.
func (p *Pot) markKilled() {
	if s, err := supervise.Open(p.dir); err == nil && s.Signal(0) == nil {
		os.WriteFile(filepath.Join(p.dir, killedMarker), nil, 0o600)
	}
}

func (p *Pot) killed() bool {
	_, err := os.Stat(filepath.Join(p.dir, killedMarker))
	return err == nil
}

// killTimeout bounds the wait for a record of a command that was killed.
const killTimeout = 10 * time.Second

// Stop ends all that runs in the pot: it runs the prestop hook, and what the exec_stop attribute says,
// sends sig to the command, gives it what is left of grace to end, and then, or
// when it has ended, kills whatever is left. When it returns nil nothing runs any
// more. A pot where nothing runs is no error.
func (p *Pot) Stop(ctx context.Context, sig syscall.Signal, grace time.Duration) error {
	waiting, cancel := context.WithTimeoutCause(ctx, grace, fmt.Errorf("the pot has %s to stop", grace))
	defer cancel()
	if p.Signal(0) == nil {
		p.hook(waiting, conf.PreStop)
	}
	p.execStop(waiting)
	if err := p.Signal(sig); err == nil { // who cannot be told is killed
		p.Wait(waiting)
	}
	p.markKilled()
	if err := p.host.Jails.Remove(ctx, p.name); err != nil {
		return err
	}
	killed, done := context.WithTimeout(ctx, killTimeout)
	defer done()
	_, err := p.Wait(killed)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, supervise.ErrUnknownExit) {
		return nil
	}
	return err
}

// execStop runs a pot's own way to end, in the pot, as jail(8) does. A stop goes on whatever becomes of it: a pot that will not end by itself is what
// stops are for (pot-reference 7.6).
func (p *Pot) execStop(ctx context.Context) {
	text := p.record.Attributes.Value("exec_stop")
	if text == "" || p.Signal(0) != nil {
		return
	}
	p.Exec(ctx, Exec{Argv: conf.ShellArgv(text, "")})
}

// SignalAll sends SIGTERM to all processes of the pot, as jail(8) does, and waits at most
// grace for their end. It runs in the pot, where kill(2) knows who all are; a pot without a
// shell has no daemons that would mind.
func (p *Pot) SignalAll(ctx context.Context, grace time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	const script = `kill -TERM -1 2>/dev/null; while kill -0 -1 2>/dev/null; do sleep 0.1; done`
	p.Exec(ctx, Exec{Argv: []string{"/bin/sh", "-c", script}})
}

// Exited returns how the command ended; nil if it runs, or was never started.
func (p *Pot) Exited(ctx context.Context) *supervise.Exit {
	if p.Signal(0) == nil {
		return nil
	}
	s, err := supervise.Open(p.dir)
	if err != nil {
		return nil
	}
	exit, err := s.Wait(ctx)
	if err != nil {
		return nil
	}
	return &exit
}

// Usage is what the pot uses and has used.
func (p *Pot) Usage(ctx context.Context) (pot.Usage, error) {
	return p.host.Limits.Usage(ctx, p.name)
}
