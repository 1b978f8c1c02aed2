package life

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/supervise"
)

// Name returns the pot's name.
func (p *Pot) Name() pot.Name { return p.name }

// InPlace reports whether the pot was started by hand. All other pots belong to tasks.
func (p *Pot) InPlace() bool { return p.record.Spec.InPlace }

// Persistent reports whether the pot stays when its command has ended. A change of its
// settings counts from its next start.
func (p *Pot) Persistent() bool { return p.record.Spec.Persistent }

// Tree returns the root of the pot's files on the host. The pot controls what is in it: do
// not follow its links.
func (p *Pot) Tree() string { return filepath.Join(p.record.Dir, "m") }

// Address returns the pot's address on its bridge, or its first alias. It is not valid if
// the pot has no address of its own.
func (p *Pot) Address() netip.Addr { return p.record.Address }

// Aliases returns the addresses that the pot has on the host's interfaces.
func (p *Pot) Aliases() []pot.InterfaceAddr { return p.record.Aliases }

// Refused returns the image's attributes that were ignored because they are not allowed on
// this host.
func (p *Pot) Refused() []string { return p.record.Refused }

// Spec returns what the pot was created by. The caller must not change it.
func (p *Pot) Spec() pot.Spec { return p.record.Spec }

// Created returns when the pot was created: for a pot that was started by hand, when it was
// started.
func (p *Pot) Created() time.Time { return p.record.Created }

// Argv returns the command that was started in the pot.
func (p *Pot) Argv() []string { return p.record.Argv }

// End is how a pot's command ended.
type End struct {
	supervise.Exit
	OutOfMemory bool // the kernel killed a process of the pot for want of memory; never a guess
}

// Start starts the pot's command under a supervisor of its own, and returns when it runs.
// The command can be started once. env overrides the environment that the image's pot.conf
// sets. It is passed to the command alone and never stored.
func (p *Pot) Start(ctx context.Context, env []string) error {
	potConf, err := p.imageConf(ctx)
	if err != nil {
		return err
	}
	s := &p.record.Spec
	argv := s.Command
	var logBytes int64
	if s.InPlace {
		logBytes = maxLogBytes
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
	if err := inheritCommand(s, potConf); err != nil {
		return fmt.Errorf("image %s: %w", s.Image, err)
	}
	who, err := lookupUser(p.Tree(), s.User)
	if err != nil {
		return err
	}
	jail, err := p.host.Jails.Find(ctx, p.jailName())
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

		OutputBytes: logBytes,
	})
	if err == nil {
		p.hook(ctx, conf.PostStart)
	}
	return err
}

// inheritCommand sets who runs the command, and where, to what the image says if the spec does
// not. The caller saves the spec: further commands of a task run as its own does.
func inheritCommand(s *pot.Spec, image conf.Image) error {
	if image.WorkDir != "" && !path.IsAbs(image.WorkDir) {
		return fmt.Errorf("pot.workdir: must be an absolute path, not %.80q", image.WorkDir)
	}
	s.User, s.WorkDir = cmp.Or(s.User, image.User), cmp.Or(s.WorkDir, image.WorkDir)
	return nil
}

// imageConf returns the pot.conf of the pot's image. It is read once for a clone: an image
// does not change, and each exec needs it.
func (p *Pot) imageConf(ctx context.Context) (conf.Image, error) {
	if c := p.conf.Load(); c != nil {
		return *c, nil
	}
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
	if !p.record.Spec.InPlace {
		p.conf.Store(&potConf)
	}
	return potConf, nil
}

// forwards returns the published ports, for the supervisor to listen on.
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

// environment returns the command's environment: PATH, HOME and USER of its user, then more.
// A later value of a name replaces an earlier one.
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

// Wait waits until the command has ended and returns how. It may be called any number of
// times, before the end and after it. It returns fs.ErrNotExist if the command was never
// started, and supervise.ErrUnknownExit if no process saw its end.
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
		end.OutOfMemory, err = p.host.Limits.OutOfMemory(ctx, p.jailName())
	}
	return end, err
}

// Started returns when the command was started, and its process ID, which is only for
// people to read. It returns fs.ErrNotExist if the command was never started.
func (p *Pot) Started() (at time.Time, pid int, err error) {
	s, err := supervise.Open(p.dir)
	if err != nil {
		return time.Time{}, 0, err
	}
	return s.Started, s.PID, nil
}

// Running reports whether the command runs. It is also false if that is not known.
func (p *Pot) Running() bool { return p.Signal(0) == nil }

// Signal sends sig to the command. It returns supervise.ErrEnded if the command has ended or
// was never started.
func (p *Pot) Signal(sig syscall.Signal) error {
	s, err := supervise.Open(p.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return supervise.ErrEnded
	}
	if err != nil {
		return err
	}
	if sig == syscall.SIGKILL {
		p.markKilled("")
	}
	return s.Signal(sig)
}

// killedMarker is created in the pot's directory when this package kills its command. It has
// the name of the pot that this one is killed with, or nothing.
const killedMarker = "killed"

// markKilled records that the command, if it runs, is killed on request: then Wait does not
// take an earlier kill of another process of the pot, for want of memory, for the reason.
// with is the pot whose network it has joined, if it is killed because that goes. Best
// effort: a failed write must not stop the kill.
func (p *Pot) markKilled(with pot.Name) {
	if p.Running() {
		os.WriteFile(filepath.Join(p.dir, killedMarker), []byte(with), 0o600)
	}
}

// KilledWith returns the pot whose network the pot had joined, if the command was killed
// because that network went.
func (p *Pot) KilledWith() pot.Name {
	with, err := os.ReadFile(filepath.Join(p.dir, killedMarker))
	if name := pot.Name(with); err == nil && name.Validate() == nil {
		return name
	}
	return ""
}

// killed reports whether this package has killed the command, in whichever process.
func (p *Pot) killed() bool {
	_, err := os.Stat(filepath.Join(p.dir, killedMarker))
	return err == nil
}

// killTimeout bounds the wait for the supervisor to record the end of a killed command.
const killTimeout = 10 * time.Second

// Stop ends all that runs in the pot. It runs the prestop hook and the command of the
// exec_stop attribute, sends sig to the pot's command, and gives it what is left of grace to
// end. Then it kills all processes that are left. When it returns nil, nothing runs in the
// pot. It returns nil if nothing ran.
func (p *Pot) Stop(ctx context.Context, sig syscall.Signal, grace time.Duration) error {
	waiting, cancel := context.WithTimeoutCause(ctx, grace, fmt.Errorf("the pot has %s to stop", grace))
	defer cancel()
	if p.Running() {
		p.hook(waiting, conf.PreStop)
	}
	p.execStop(waiting)
	if err := p.Signal(sig); err == nil { // a command that cannot be signalled is killed
		p.Wait(waiting)
	}
	p.markKilled("")
	if err := p.removeJail(ctx); err != nil {
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

// execStop runs the command of the exec_stop attribute in the pot, as jail(8) does. Its
// failure does not fail the stop, which also has to end pots that do not end by themselves:
// jail(8) gives up on it, and pot then leaves a jail that still runs (share/pot/stop.sh).
func (p *Pot) execStop(ctx context.Context) {
	text := p.record.Attributes.Value("exec_stop")
	if text == "" || !p.Running() {
		return
	}
	p.Exec(ctx, Exec{Argv: conf.ShellArgv(text, "")})
}

// SignalAll sends SIGTERM to all processes of the pot, as jail(8) does, and waits at most
// grace for their end. It runs a shell in the pot, where kill(2) with -1 means the pot's
// processes. It does nothing in a pot without a shell, which has no daemons to end.
func (p *Pot) SignalAll(ctx context.Context, grace time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	const script = `kill -TERM -1 2>/dev/null; while kill -0 -1 2>/dev/null; do sleep 0.1; done`
	p.Exec(ctx, Exec{Argv: []string{"/bin/sh", "-c", script}})
}

// Exited returns how the command ended; nil if it runs or was never started.
func (p *Pot) Exited(ctx context.Context) *supervise.Exit {
	if p.Running() {
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

// Usage returns what the pot uses now and has used since it was created.
func (p *Pot) Usage(ctx context.Context) (pot.Usage, error) {
	u, err := p.host.Limits.Usage(ctx, p.jailName())
	if err != nil || !p.host.JoinedCount {
		return u, err
	}
	return u.Less(p.joinedUsage(ctx)), nil
}
