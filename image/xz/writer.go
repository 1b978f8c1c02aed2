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

// DefaultLevel is also the default of xz(1) and of pot.
const DefaultLevel = 6

// Level0 selects level 0 of xz(1): a Level of 0 means the default.
const Level0 = -1

// DefaultBlock is the uncompressed size of a block, in bytes. Blocks are decoded in
// parallel, each in memory of its own. The default of xz(1), three times the
// dictionary, is far larger, for a file that is some 2 % smaller.
const DefaultBlock = 8 << 20

// WriteOptions are the options of NewWriter.
type WriteOptions struct {
	// Command is the path of xz(1). "" means the one in PATH, or Go if there is none;
	// "-" means Go, which is as fast but makes files some 20 % larger.
	Command string

	Level   int // 1 to 9, or Level0; 0 means DefaultLevel
	Block   int // bytes; 0 means DefaultBlock
	Workers int // cores; must be set
}

// Bounds on a block. Each core needs memory for two.
const (
	minBlock = 64 << 10
	maxBlock = 256 << 20
)

// withDefaults returns o with its defaults filled in and the command looked up.
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

// NewWriter compresses into w: one stream with CRC64 as its check, whose block headers
// hold the sizes of the blocks, so that it can be decoded in parallel. The caller must
// call Close once, which ends the stream and returns the error of writing to w. Nothing is
// written after ctx is done.
func NewWriter(ctx context.Context, w io.Writer, o WriteOptions) (io.WriteCloser, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if o.Command == "-" {
		return newBlockWriter(ctx, w, o)
	}
	return newCommandWriter(ctx, w, o)
}

// commandWriter compresses by xz(1). A Write after it has exited is a broken pipe; Close
// returns why.
type commandWriter struct {
	io.WriteCloser
	cmd    *exec.Cmd
	stderr bytes.Buffer
	ctx    context.Context
}

// newCommandWriter starts xz(1), with at least two threads: with one it would leave the
// sizes out of the block headers.
func newCommandWriter(ctx context.Context, w io.Writer, o WriteOptions) (*commandWriter, error) {
	cmd := exec.CommandContext(ctx, o.Command, "--compress", "--stdout", "--quiet", "--check=crc64",
		"--threads="+strconv.Itoa(max(2, o.Workers)), "--block-size="+strconv.Itoa(o.Block), "-"+strconv.Itoa(o.Level))
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "XZ_") // the user's XZ_OPT and XZ_DEFAULTS
	})
	x := &commandWriter{cmd: cmd, ctx: ctx}
	cmd.Stdout, cmd.Stderr = w, &x.stderr
	var err error
	if x.WriteCloser, err = cmd.StdinPipe(); err == nil {
		err = cmd.Start()
	}
	return x, err
}

// Close waits for the command to exit.
func (x *commandWriter) Close() error {
	err := x.WriteCloser.Close()
	if errors.Is(err, os.ErrClosed) { // it exited early; Wait returns why
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
