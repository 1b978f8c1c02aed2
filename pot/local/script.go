package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/tree"
)

// A Script is run in a pot that runs nothing else.
type Script struct {
	Name string                                  // of its file
	Data []byte                                  // its text
	Argv func(at string, name pot.Name) []string // returns the command that runs the file at, a path in the pot
}

// RunScript starts the pot without its command, runs a script in it as root with stdout and
// stderr going to out, and stops the pot. It returns an error if the exit status is not 0.
// The pot is made as for a start, since scripts install packages and need its network and
// mounts; its command would be in the way. It is stopped after an error too.
func RunScript(ctx context.Context, ps *life.Pots, name pot.Name, script Script, out io.Writer, o StartOptions) (err error) {
	o.NoCommand = true
	p, already, err := Start(ctx, ps, name, o)
	if err != nil {
		return err
	}
	if already {
		return fmt.Errorf("pot %s: %w", name, ErrRunning)
	}
	defer func() {
		err = errors.Join(err, pot.Undo(ctx, func(ctx context.Context) error {
			return errors.Join(p.Host().Jails.Remove(ctx, name), p.Destroy(ctx))
		}))
	}()
	root, err := os.OpenRoot(p.Tree())
	if err != nil {
		return err
	}
	defer root.Close()
	at := "tmp/" + filepath.Base(script.Name)
	if err := writeScript(root, at, script.Data); err != nil {
		return err
	}
	defer root.Remove(at) // on tmpfs it goes with the mount anyway
	exit, err := p.Exec(ctx, life.Exec{Argv: script.Argv("/"+at, name), Stdout: out, Stderr: out})
	if err == nil && exit.Code != 0 {
		err = fmt.Errorf("exit status %d", exit.Code)
	}
	return err
}

// writeScript writes an executable file into a pot's directory for temporary files. /tmp
// may be missing: an image need not have one, and no-tmpfs leaves it to the image.
func writeScript(root *os.Root, at string, data []byte) error {
	switch err := root.Mkdir(path.Dir(at), 0o777); {
	case err == nil:
		if err := root.Chmod(path.Dir(at), 0o777|fs.ModeSticky); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	if err := tree.Replace(root, at, data); err != nil {
		return err
	}
	return root.Chmod(at, 0o755)
}
