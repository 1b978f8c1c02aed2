package life

import (
	"context"
	"fmt"
	"io"
	"os"

	"nomad-driver-pot/pot/supervise"
)

// Exec is a further command in a pot that runs.
type Exec struct {
	Argv    []string
	Env     []string // overrides the environment of the image's pot.conf
	User    string   // as Spec.User
	WorkDir string   // as Spec.WorkDir

	Stdin          io.Reader // nil: the command reads nothing
	Stdout, Stderr io.Writer // nil: discarded; both may be the same writer

	// Terminal gives the command a terminal. Stdout then gets both outputs, and the
	// sizes that are sent to Resize, until it is closed, are set on the terminal.
	Terminal bool
	Resize   <-chan Size
}

// Size is the size of a terminal, in characters.
type Size struct{ Rows, Cols uint16 }

// Exec runs a command in the pot. It waits until the command has ended and all of its output
// is written to e.Stdout and e.Stderr, however slow they are. If ctx ends first, Exec kills
// the command's process group and returns ctx's error. An exit code other than 0 is not an
// error. If other processes keep the command's outputs open after its end, Exec reads what
// they write for a moment (drainTimeout) and then returns.
func (p *Pot) Exec(ctx context.Context, e Exec) (supervise.Exit, error) {
	process, err := p.process(ctx, e)
	if err != nil {
		return supervise.Exit{}, err
	}
	streams := pipes
	if e.Terminal {
		streams = terminal
	}
	ours, err := streams(process, &e)
	if err != nil {
		return supervise.Exit{}, err
	}
	defer ours.close()
	started, err := process.Start()
	ours.closeTheirs()
	if err != nil {
		return supervise.Exit{}, err
	}
	return ours.run(ctx, started)
}

// Spawn starts a command in the pot that survives the end of this process. Its standard
// input is empty, its output is discarded, and its exit status is not kept.
func (p *Pot) Spawn(ctx context.Context, e Exec) error {
	process, err := p.process(ctx, e)
	if err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	process.Stdin, process.Stdout, process.Stderr, process.Terminal = null, null, null, false
	started, err := process.Start()
	if err != nil {
		return err
	}
	go started.Wait() // reaps it if it ends before this process
	return nil
}

// process returns the process for e, without its input and output.
func (p *Pot) process(ctx context.Context, e Exec) (*supervise.Process, error) {
	conf, err := p.imageConf(ctx)
	if err != nil {
		return nil, err
	}
	who, err := lookupUser(p.Tree(), e.User)
	if err != nil {
		return nil, err
	}
	jail, err := p.host.Jails.Find(ctx, p.jailName())
	if err != nil {
		return nil, fmt.Errorf("find jail: %w", err)
	}
	return &supervise.Process{
		Jail: jail, Argv: e.Argv, Env: environment(who, conf.Env, e.Env),
		Dir: e.WorkDir, Identity: who.Identity, Terminal: e.Terminal, Supervisor: p.supervisor,
	}, nil
}
