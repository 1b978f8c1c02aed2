package life

import (
	"context"
	"fmt"
	"io"
	"os"

	"nomad-driver-pot/pot/supervise"
)

// Exec is one more command in a pot that runs.
type Exec struct {
	Argv    []string
	Env     []string // as of Start
	User    string   // as in Spec
	WorkDir string

	Stdin          io.Reader // nil is nothing to read
	Stdout, Stderr io.Writer // nil is thrown away; may be the same

	// Terminal gives the command a terminal: Stdout then has both outputs,
	// and Resize, until it is closed, the terminal's sizes.
	Terminal bool
	Resize   <-chan Size
}

// Size is a terminal's.
type Size struct{ Rows, Cols uint16 }

// Exec runs a command in the pot and waits for its end and until all that it has written
// is with e.Stdout and e.Stderr, however slowly they take it. When ctx ends first, the
// command is killed with its process group, and ctx's error returned. A command that ends
// with a code other than 0 is not an error. What others in the pot write to the command's
// outputs after its end is read for a moment more.
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

// Spawn runs a command in the pot that goes on when this process ends. It has nothing
// to read, and what it writes is thrown away; nobody knows how it ends.
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
	go started.Wait() // so that it is no zombie while this process is there
	return nil
}

// process is a command of the pot, with neither input nor output yet.
func (p *Pot) process(ctx context.Context, e Exec) (*supervise.Process, error) {
	conf, err := p.imageConf(ctx)
	if err != nil {
		return nil, err
	}
	who, err := lookupUser(p.Tree(), e.User)
	if err != nil {
		return nil, err
	}
	jail, err := p.host.Jails.Find(ctx, p.name)
	if err != nil {
		return nil, fmt.Errorf("find jail: %w", err)
	}
	return &supervise.Process{
		Jail: jail, Argv: e.Argv, Env: environment(who, conf.Env, e.Env),
		Dir: e.WorkDir, Identity: who.Identity, Terminal: e.Terminal, Supervisor: p.supervisor,
	}, nil
}
