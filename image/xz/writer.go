package xz

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// DefaultLevel is what xz(1) and pot have too.
const DefaultLevel = 6

// Level0 is xz's own level 0: a Level of 0 is the default.
const Level0 = -1

// DefaultBlock is how much an .xz holds in one block, in bytes. Blocks are
// decoded in parallel, each in its own memory; xz's own default, three times the
// dictionary, is larger by far and the file smaller by some 2 %.
const DefaultBlock = 8 << 20

// WriteOptions are for NewWriter.
type WriteOptions struct {
	// Command is xz(1). "" is the one in PATH, and Go without any; "-" is Go,
	// which is no slower, but whose files are some 20 % larger.
	Command string

	Level   int // 1 to 9, or Level0; 0 is DefaultLevel
	Block   int // bytes; 0 is DefaultBlock
	Workers int // cores; must be set
}

// Bounds on a block: memory is for two of each for every core.
const (
	minBlock = 64 << 10
	maxBlock = 256 << 20
)

// withDefaults is o with nothing left at zero, and the command found.
func (o WriteOptions) withDefaults() (WriteOptions, error) {
	if o.Block == 0 {
		o.Block = DefaultBlock
	}
	o.Workers = max(o.Workers, 1)
	if o.Command == "" {
		o.Command = "-"
		if found, err := exec.LookPath("xz"); err == nil {
			o.Command = found
		}
	}
	switch {
	case o.Level == 0:
		o.Level = DefaultLevel
	case o.Level == Level0:
		o.Level = 0
	}
	switch {
	case o.Level < 0 || o.Level > 9:
		return o, fmt.Errorf("xz: level must be 0 to 9, not %d", o.Level)
	case o.Block < minBlock || o.Block > maxBlock:
		return o, fmt.Errorf("xz: block must be of %d to %d bytes, not %d", minBlock, maxBlock, o.Block)
	}
	return o, nil
}

// NewWriter compresses what is written to it into w: one stream, whose blocks
// say in their headers how large they are, with CRC64 as the check. Close ends
// it; when ctx is done nothing more is written.
func NewWriter(ctx context.Context, w io.Writer, o WriteOptions) (io.WriteCloser, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if o.Command == "-" {
		return newBlockWriter(ctx, w, o)
	}
	return newWriteCommand(ctx, w, o)
}

// writeCommand is xz(1) at work.
type writeCommand struct {
	io.WriteCloser
	cmd    *exec.Cmd
	stderr bytes.Buffer
	ctx    context.Context
}

// newWriteCommand starts it. With one thread it would leave the sizes out of the
// headers, so it has two at least.
func newWriteCommand(ctx context.Context, w io.Writer, o WriteOptions) (*writeCommand, error) {
	cmd := exec.CommandContext(ctx, o.Command, "--compress", "--stdout", "--quiet", "--check=crc64",
		"--threads="+strconv.Itoa(max(2, o.Workers)), "--block-size="+strconv.Itoa(o.Block), "-"+strconv.Itoa(o.Level))
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "XZ_") // its options of the user's
	})
	x := &writeCommand{cmd: cmd, ctx: ctx}
	cmd.Stdout, cmd.Stderr = w, &x.stderr
	var err error
	if x.WriteCloser, err = cmd.StdinPipe(); err == nil {
		err = cmd.Start()
	}
	return x, err
}

// Close waits for its end.
func (x *writeCommand) Close() error {
	err := x.WriteCloser.Close()
	if errors.Is(err, os.ErrClosed) { // it ended by itself, and says why
		err = nil
	}
	if ended := x.cmd.Wait(); ended != nil {
		err = fmt.Errorf("%s: %w: %s", x.cmd.Path, ended, strings.TrimSpace(x.stderr.String()))
	}
	if x.ctx.Err() != nil {
		err = context.Cause(x.ctx)
	}
	return err
}
