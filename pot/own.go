package pot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	passwd "github.com/moby/sys/user"

	"nomad-driver-pot/pot/supervise"
)

// StartOptions say how a pot is started by hand.
type StartOptions struct {
	DNS   string       // address of the pot that others resolve names by; "" is DefaultDNS
	Trust bool         // hooks and mounts are the operator's, whoever has set them
	Bare  bool         // without its command, and what comes with that
	Tell  func(string) // of what is as it should not be; may be nil
}

// DefaultDNS is POT_DNS_IP where it is not set.
const DefaultDNS = "10.192.0.2"

func (o *StartOptions) tell(format string, args ...any) {
	if o.Tell != nil {
		o.Tell(fmt.Sprintf(format, args...))
	}
}

// StartOwn starts the pot that has a dataset of its own, by its settings, after those
// that it depends on. It goes down the very steps of a task's pot, but that no dataset
// is made. One that runs is left as it is, and already is true.
func (ps *Pots) StartOwn(ctx context.Context, name Name, o StartOptions) (p *Pot, already bool, err error) {
	return ps.startOwn(ctx, name, o, map[Name]bool{})
}

func (ps *Pots) startOwn(ctx context.Context, name Name, o StartOptions, begun map[Name]bool) (p *Pot, already bool, err error) {
	begun[name] = true
	s, err := OpenSettings(ctx, ps.host, name)
	if err != nil {
		return nil, false, err
	}
	if p, err := ps.FindOwn(ctx, name); err != nil || p != nil {
		return p, true, err
	}
	if err := s.own(ctx); err != nil {
		return nil, false, err
	}
	if o.Trust {
		if err := s.Approve(ctx); err != nil {
			return nil, false, err
		}
	}
	deps, err := s.Deps()
	if err != nil {
		return nil, false, err
	}
	for _, on := range deps {
		if begun[on] || o.Bare {
			continue
		}
		if _, _, err := ps.startOwn(ctx, on, o, begun); err != nil {
			return nil, false, fmt.Errorf("pot %s, that it depends on: %w", on, err)
		}
	}
	p, err = ps.makeOwn(ctx, s, o)
	return p, false, err
}

// makeOwn makes the pot and starts its command.
func (ps *Pots) makeOwn(ctx context.Context, s *Settings, o StartOptions) (*Pot, error) {
	if o.DNS == "" {
		o.DNS = DefaultDNS
	}
	spec, err := s.Spec(ctx, o.DNS)
	if err != nil {
		return nil, err
	}
	if o.Bare {
		spec.Persistent = true // it has no command to end with
	} else {
		s.hook(ctx, PreStart, nil, o)
	}
	p, err := ps.Create(ctx, spec)
	if err != nil || o.Bare {
		return p, err
	}
	if err := p.Start(ctx, nil); err != nil {
		return nil, errors.Join(err, p.Destroy(context.WithoutCancel(ctx)))
	}
	err = s.edit(func(c *ConfLines) error {
		if c.Value("pot.attr.prunable") != "YES" {
			return nil
		}
		return c.Set("pot.attr."+readOnly, "YES")
	})
	if err != nil {
		o.tell("pot %s: mark it to be pruned: %v", s.name, err)
	}
	s.hook(ctx, PostStart, p, o)
	return p, nil
}

// FindOwn is a pot that was started by hand and is running; nil if it is not. What is
// left of one that has ended, or that a reboot ended, is taken away.
func (ps *Pots) FindOwn(ctx context.Context, name Name) (*Pot, error) {
	p, err := ps.Find(name)
	_, jailed := ps.host.Jails.Find(ctx, name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && errors.Is(jailed, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, fs.ErrNotExist) && jailed == nil:
		return nil, fmt.Errorf("pot %s: is running, and was not started here", name)
	case err != nil:
		return nil, err
	case !p.record.Spec.Own:
		return nil, fmt.Errorf("pot %s: %w", name, ErrTasks)
	case jailed == nil && (p.Persistent() || p.Signal(0) == nil):
		return p, nil
	case jailed != nil && !errors.Is(jailed, fs.ErrNotExist):
		return nil, jailed
	}
	p.keepStats(ctx)
	return nil, p.Destroy(ctx)
}

// Persistent tells whether the pot stays when its command has ended. What its settings
// say since it was started is for the next time.
func (p *Pot) Persistent() bool { return p.record.Spec.Persistent }

// StopOwn stops a pot that was started by hand, and takes away all of it but its
// dataset. One that does not run is no error.
func (ps *Pots) StopOwn(ctx context.Context, name Name, o StartOptions) (stopped bool, err error) {
	s, err := OpenSettings(ctx, ps.host, name)
	if err != nil {
		return false, err
	}
	p, err := ps.FindOwn(ctx, name)
	if err != nil || p == nil {
		return false, err
	}
	began := p.Signal(0) == nil || p.exited(ctx) != nil
	if began {
		s.hook(ctx, PreStop, p, o)
	}
	grace := s.grace()
	if p.Signal(0) != nil {
		p.endAll(ctx, grace)
	}
	if err := p.Stop(ctx, syscall.SIGTERM, grace); err != nil {
		return false, err
	}
	p.keepStats(ctx)
	if err := p.Destroy(ctx); err != nil {
		return false, err
	}
	if began {
		s.hook(ctx, PostStop, p, o)
	}
	return true, nil
}

// grace is how long a pot has to end by itself (the attribute stop_timeout).
func (s *Settings) grace() time.Duration {
	value, _ := s.Attribute("stop_timeout")
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		n, _ = strconv.ParseUint(attributes["stop_timeout"].initial, 10, 31)
	}
	return time.Duration(n) * time.Second
}

// endAll asks all that a command has left behind to end, as jail(8) does, and waits for
// that. It is done from within, where kill(2) knows who all are; a pot without a shell
// has no daemons that would mind.
func (p *Pot) endAll(ctx context.Context, grace time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	const script = `kill -TERM -1 2>/dev/null; while kill -0 -1 2>/dev/null; do sleep 0.1; done`
	p.Exec(ctx, Exec{Argv: []string{"/bin/sh", "-c", script}})
}

// exited is how the command ended, nil if it has not, or was never started.
func (p *Pot) exited(ctx context.Context) *supervise.Exit {
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

// runStats is what the pot's command ended with, as pot keeps it.
type runStats struct{ ExitCode int }

const runStatsFile = confDir + "/.last_run_stats"

// keepStats keeps how the command ended beside the pot, where it outlives what there
// was of it. What cannot be kept is not missed.
func (p *Pot) keepStats(ctx context.Context) {
	exit := p.exited(ctx)
	dir, err := p.host.Datasets.Dir(ctx, string(p.name))
	if exit == nil || err != nil {
		return
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return
	}
	defer root.Close()
	replace(root, runStatsFile, fmt.Appendf(nil, "{ \"ExitCode\": %d }\n", exit.Code))
}

// LastRun is the exit code that the pot's command ended with when it last did. One that
// never has is fs.ErrNotExist.
func (ps *Pots) LastRun(ctx context.Context, name Name) (code int, err error) {
	s, err := OpenSettings(ctx, ps.host, name)
	if err != nil {
		return 0, err
	}
	if p, err := ps.Find(name); err == nil && p.record.Spec.Own {
		if exit := p.exited(ctx); exit != nil {
			return exit.Code, nil
		}
	}
	data, err := s.read(runStatsFile)
	if err != nil {
		return 0, err
	}
	var stats runStats
	if err := json.Unmarshal(data, &stats); err != nil {
		return 0, fmt.Errorf("%s: %w", runStatsFile, err)
	}
	return stats.ExitCode, nil
}

// ownOutput makes the files that the command of a pot writes to whose outputs nobody
// else has asked for.
func (p *Pot) ownOutput() (stdout, stderr string, err error) {
	stdout, stderr = p.Output()
	for _, name := range []string{stdout, stderr} {
		if e := os.WriteFile(name, nil, 0o600); e != nil {
			err = errors.Join(err, e)
		}
	}
	return stdout, stderr, err
}

// Output is where a pot that was started by hand writes to.
func (p *Pot) Output() (stdout, stderr string) {
	return filepath.Join(p.dir, "stdout.log"), filepath.Join(p.dir, "stderr.log")
}

// A Script is run in a pot, before there is anything else in it.
type Script struct {
	Name string                             // of its file
	Data []byte                             // its text
	Argv func(at string, pot Name) []string // what runs it, when it is there
}

// RunScript starts the pot without its command, runs a script in it as root, with both
// outputs going to out, and stops it again. A script that ends with anything but 0 is an
// error.
func (ps *Pots) RunScript(ctx context.Context, name Name, script Script, out io.Writer, o StartOptions) (err error) {
	o.Bare = true
	p, already, err := ps.StartOwn(ctx, name, o)
	if err != nil {
		return err
	}
	if already {
		return fmt.Errorf("pot %s: %w", name, ErrRunning)
	}
	defer func() {
		after := context.WithoutCancel(ctx)
		err = errors.Join(err, p.host.Jails.Remove(after, name), p.Destroy(after))
	}()
	root, err := os.OpenRoot(p.tree())
	if err != nil {
		return err
	}
	defer root.Close()
	at := "tmp/" + filepath.Base(script.Name)
	if err := putScript(root, at, script.Data); err != nil {
		return err
	}
	defer root.Remove(at) // in memory it is gone anyway
	exit, err := p.Exec(ctx, Exec{Argv: script.Argv("/"+at, name), Stdout: out, Stderr: out})
	if err == nil && exit.Code != 0 {
		err = fmt.Errorf("exit status %d", exit.Code)
	}
	return err
}

// putScript makes a program in a pot's directory for temporary files.
func putScript(root *os.Root, at string, data []byte) error {
	switch err := root.Mkdir(path.Dir(at), 0o777); {
	case err == nil:
		if err := root.Chmod(path.Dir(at), 0o777|fs.ModeSticky); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	if err := replace(root, at, data); err != nil {
		return err
	}
	return root.Chmod(at, 0o755)
}

// Running names all pots that run: those of tasks, and any other.
func (ps *Pots) Running(ctx context.Context) ([]Name, error) {
	all, err := ps.host.Images.List(ctx, "")
	if err != nil {
		return nil, err
	}
	var running []Name
	for _, text := range all {
		name := Name(text)
		if name.Validate() != nil {
			continue
		}
		_, err := ps.host.Jails.Find(ctx, name)
		switch {
		case err == nil:
			running = append(running, name)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	return running, nil
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

// RunsRC tells whether the pot's command is FreeBSD's own, which starts services and
// ends: the attribute no-rc-script says that it is not.
func (p *Pot) RunsRC(ctx context.Context) bool {
	s, err := OpenSettings(ctx, p.host, p.name)
	if err != nil {
		return false
	}
	value, err := s.Attribute("no-rc-script")
	return err == nil && value != "YES"
}

// Shell is the vector of root's shell, by the pot's own passwd(5).
func (p *Pot) Shell() ([]string, error) {
	root, err := os.OpenRoot(p.tree())
	if err != nil {
		return nil, err
	}
	defer root.Close()
	users, err := openBounded(root, "etc/passwd")
	if err != nil {
		return nil, err
	}
	defer users.Close()
	found, err := passwd.ParsePasswdFilter(users, func(u passwd.User) bool { return u.Uid == 0 })
	if err != nil {
		return nil, err
	}
	for _, u := range found {
		if u.Name == "root" && path.IsAbs(u.Shell) {
			return []string{u.Shell}, nil
		}
	}
	return []string{"/bin/sh"}, nil
}
