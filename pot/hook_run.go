package pot

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot/supervise"
)

// hookRun runs programs on the host, as root, at times of a pot's life (pot-reference 2.5).
type hookRun struct {
	supervisor string // path of pot-supervisor, which becomes the program
	dir        string // the pot's dataset, with the programs in its conf
	pot        Name
	env        []string      // what they are told of the pot: all that they have beside PATH
	timeout    time.Duration // bounds each
	tell       func(format string, args ...any)
}

// run runs the pot's program for that time, and tells what it wrote, and that it failed. As
// with pot, that changes nothing.
func (r hookRun) run(ctx context.Context, h conf.Hook) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.timeout, fmt.Errorf("it ran for longer than %s", r.timeout))
	defer cancel()
	if ctx.Err() != nil {
		r.tell("%s of pot %s: not run: %v", h, r.pot, context.Cause(ctx))
		return
	}
	cmd := supervise.HostCommand(ctx, r.supervisor, hookArgv(filepath.Join(r.dir, h.File()))...)
	cmd.Env = append([]string{"PATH=/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"}, r.env...)
	cmd.WaitDelay = time.Second // for what it has left behind with its output open
	var out begin
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if text := out.String(); text != "" {
		r.tell("%s of pot %s: %s", h, r.pot, text)
	}
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // what it has left behind goes on
	case ctx.Err() != nil:
		r.tell("%s of pot %s: killed: %v", h, r.pot, context.Cause(ctx))
	default:
		r.tell("%s of pot %s: %v", h, r.pot, err)
	}
}

// maxHookText bounds what is told of what a hook has written, in bytes.
const maxHookText = 4 << 10

// begin keeps the first of what is written to it, and one byte more than is told.
type begin []byte

func (b *begin) Write(p []byte) (int, error) {
	*b = append(*b, p[:min(len(p), maxHookText+1-len(*b))]...)
	return len(p), nil
}

// String returns it as text for a person: what an image's program writes could be for a
// terminal to obey, and gRPC takes nothing that is not UTF-8.
func (b begin) String() string {
	more := ""
	if len(b) > maxHookText {
		b, more = b[:maxHookText], "…"
	}
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(string(b), "?"))
	return strings.TrimSpace(text) + more
}
