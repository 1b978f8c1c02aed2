package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"
	"github.com/spf13/cobra"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
)

// parsed returns the command that args name, with its flags parsed.
func parsed(t *testing.T, args ...string) *cobra.Command {
	t.Helper()
	root := New("pot")
	root.SetOut(io.Discard)
	root.SetErr(io.Discard)
	c, rest, err := root.Find(args)
	must.NoError(t, err)
	must.NoError(t, c.ParseFlags(rest))
	return c
}

func TestText(t *testing.T) {
	leak.Check(t)
	open := func(path string, err error) error { return &fs.PathError{Op: "openat", Path: path, Err: err} }
	denied := fmt.Errorf("cannot list pots: %w", open("/var/db/x/jails", syscall.EACCES))
	for name, c := range map[string]struct {
		args []string
		err  error
		root bool
		want string
	}{
		"a system call is not named": {
			[]string{"image", "verify"}, fmt.Errorf("cannot use the key: %w", open("a.pub", syscall.ENOENT)), false,
			"cannot use the key: a.pub: no such file or directory",
		},
		"nor that of a link or of a call without a path": {
			[]string{"image", "verify"}, errors.Join(&os.LinkError{Op: "rename", Old: "a", New: "b", Err: syscall.EXDEV}, os.NewSyscallError("setns", syscall.EINVAL)), false,
			"b: " + syscall.EXDEV.Error() + "; invalid argument",
		},
		"errors for programs to compare have no text": {
			[]string{"exec"}, fmt.Errorf("cannot run the command: start ls: not in the pot: %w", fs.ErrNotExist), true,
			"cannot run the command: start ls: not in the pot",
		},
		"what is there already exists": {
			[]string{"export"}, fmt.Errorf("cannot export web_1: web_1.xz: %w", fs.ErrExist), true,
			"cannot export web_1: web_1.xz already exists",
		},
		"what root can do needs root": {[]string{"ls"}, denied, false, "cannot list pots: needs root: try sudo"},
		"a mount needs root too": {
			[]string{"start"}, fmt.Errorf("cannot start the pot: mount: %w", syscall.EPERM), false, "cannot start the pot: needs root: try sudo",
		},
		"root is told what is denied": {[]string{"ls"}, denied, true, "cannot list pots: /var/db/x/jails: permission denied"},
		"a file that was typed may be anybody's": {
			[]string{"create", "web", "-b", "/home/a/base.txz"}, fmt.Errorf("cannot create the pot: read %w", open("/home/a/base.txz", syscall.EACCES)), false,
			"cannot create the pot: read /home/a/base.txz: permission denied",
		},
		"the name of a pot is no file": {
			[]string{"logs", "web"}, fmt.Errorf("cannot show the output: pot web: %w", open("/var/db/x/jails/web", syscall.EACCES)), false,
			"cannot show the output: needs root: try sudo",
		},
		"a command without a host needs no root": {
			[]string{"image", "verify", "a.xz"}, fmt.Errorf("cannot read %w", open("a.xz", syscall.EACCES)), false, "cannot read a.xz: permission denied",
		},
		"a pot that is not there": {
			[]string{"info", "web"}, fmt.Errorf("cannot show the pot: %w", pot.Reword(fs.ErrNotExist, "no such pot: %s", "web")), false, "cannot show the pot: no such pot: web",
		},
	} {
		t.Run(name, func(t *testing.T) { must.Eq(t, c.want, text(parsed(t, c.args...), c.err, c.root)) })
	}
}

// Each command has an example that names it, its Short is a sentence in the imperative, and
// its group is one of the help.
func TestHelp_each(t *testing.T) {
	leak.Check(t)
	var look func(c *cobra.Command)
	look = func(c *cobra.Command) {
		if c.HasParent() && !c.Hidden && c.Name() != "help" && c.Name() != "completion" {
			must.StrContains(t, c.Example, c.CommandPath(), must.Sprint(c.CommandPath()))
			must.StrHasPrefix(t, "  ", c.Example, must.Sprint(c.CommandPath()))
			must.RegexMatch(t, imperative, c.Short)
			if c.Parent().Name() == "pot" {
				must.NotEq(t, "", c.GroupID)
			}
		}
		for _, sub := range c.Commands() {
			look(sub)
		}
	}
	look(New("pot"))
}

// imperative matches a line that begins with a verb and is no sentence of its own.
var imperative = regexp.MustCompile(`^(Add|Apply|Build|Check|Clone|Copy|Create|Destroy|Export|Extract|Fetch|Follow|Ignored|List|Mount|Open|Print|Publish|Remove|Rename|Roll|Run|Send|Set|Show|Start|Stop|Take|Verify|Generate)\b[^.]*$`)

// Who interrupts a command is told what was interrupted, and not where in it.
func TestText_interrupted(t *testing.T) {
	leak.Check(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("interrupt signal received")
	c := parsed(t, "create", "web")
	c.SetContext(ctx)
	err := fmt.Errorf("cannot create the pot: 0 of 312 bytes: read base.txz: %w", cause)
	must.Eq(t, err.Error(), text(c, err, true))
	cancel(cause)
	must.Eq(t, "cannot create the pot: interrupted", text(c, err, true))
	must.Eq(t, "cannot create the pot: no space", text(c, errors.New("cannot create the pot: no space"), true))
}
