package image

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// parallelXZ is the first version of xz(1) that decodes on several cores, as
// xz --robot --version tells it.
const parallelXZ = 50040000

// xzVersions are those of commands that were asked.
var xzVersions sync.Map // path to int

// command is the path of the xz(1) that decodes, "" for none.
func (o DecodeOptions) command(ctx context.Context) string {
	switch o.Command {
	case "-":
		return ""
	case "":
		found, err := exec.LookPath("xz")
		if err != nil || xzVersion(ctx, found) < parallelXZ {
			return ""
		}
		return found
	}
	return o.Command
}

// xzVersion is 50040012 for 5.4.1, and 0 for what is not known.
func xzVersion(ctx context.Context, path string) int {
	if known, ok := xzVersions.Load(path); ok {
		return known.(int)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--robot", "--version")
	cmd.Env = xzEnv
	out, err := cmd.Output()
	if err != nil {
		return 0
	}
	version := 0
	for line := range strings.Lines(string(out)) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "XZ_VERSION="); ok {
			version, _ = strconv.Atoi(text)
		}
	}
	xzVersions.Store(path, version)
	return version
}

// xzEnv is all the environment that xz(1) has: XZ_OPT and the like are not for it.
var xzEnv = []string{"LC_ALL=C"}

// xzDecoder is an xz(1) that decodes.
type xzDecoder struct {
	ctx    context.Context
	cancel context.CancelFunc
	cmd    *exec.Cmd
	out    io.ReadCloser
	again  io.Reader // decodes the same, and knows what is wrong with it
	stderr limitedText
	waited bool
	err    error // what every Read returns from now on
}

// startXZ has xz(1) decode r. Why it fails is for again to find out, which says the
// same of the same file, and more of it.
func startXZ(ctx context.Context, path string, r, again io.Reader, o DecodeOptions) io.ReadCloser {
	ctx, cancel := context.WithCancel(ctx)
	limit := strconv.FormatInt(o.Memory, 10)
	x := &xzDecoder{ctx: ctx, cancel: cancel, again: again}
	x.cmd = exec.CommandContext(ctx, path, "-dc", "-T"+strconv.Itoa(o.Workers), "--no-adjust",
		"--memlimit-decompress="+limit, "--memlimit-mt-decompress="+limit)
	x.cmd.Env, x.cmd.Stdin, x.cmd.Stderr = xzEnv, r, &x.stderr
	x.cmd.WaitDelay = 10 * time.Second
	out, err := x.cmd.StdoutPipe()
	if err == nil {
		x.out, err = out, x.cmd.Start()
	}
	if err != nil {
		x.waited, x.err = true, fmt.Errorf("start xz: %w", err)
	}
	return x
}

func (x *xzDecoder) Read(p []byte) (n int, err error) {
	if x.err != nil || len(p) == 0 {
		return 0, x.err
	}
	n, err = x.out.Read(p)
	if err != nil {
		x.err = x.wait(err)
	}
	if n > 0 {
		return n, nil
	}
	return 0, x.err
}

// wait is what the end of the output means.
func (x *xzDecoder) wait(read error) error {
	x.waited = true
	err := x.cmd.Wait()
	switch {
	case x.ctx.Err() != nil:
		return context.Cause(x.ctx)
	case err == nil && read != io.EOF:
		return fmt.Errorf("read from xz: %w", read)
	case err == nil:
		return io.EOF
	}
	if _, found := io.Copy(io.Discard, x.again); found != nil {
		return found
	}
	if said := strings.TrimPrefix(x.stderr.lastLine(), "xz: "); said != "" {
		return fmt.Errorf("xz: %s", said)
	}
	return fmt.Errorf("xz: %w", err)
}

// Close ends the decoding, and waits for that. It may be called twice.
func (x *xzDecoder) Close() error {
	x.cancel()
	if !x.waited {
		x.waited = true
		x.cmd.Wait()
	}
	x.err = cmpErr(x.err, io.ErrClosedPipe)
	return nil
}

// limitedText is the beginning of what a command says.
type limitedText struct{ text []byte }

func (l *limitedText) Write(p []byte) (int, error) {
	l.text = append(l.text, p[:min(len(p), 4096-len(l.text))]...)
	return len(p), nil
}

func (l *limitedText) lastLine() string {
	text := strings.TrimSpace(string(l.text))
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}
