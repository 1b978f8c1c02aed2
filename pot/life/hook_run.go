package life

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
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/supervise"
)

// HookRun runs programs on the host, as root, at times of a pot's life (pot-reference 2.5).
type HookRun struct {
	Supervisor string // path of pot-supervisor, which becomes the program
	Dir        string // the pot's dataset, with the programs in its conf
	Pot        pot.Name
	Env        []string      // what they are told of the pot: all that they have beside PATH
	Timeout    time.Duration // bounds each
	Tell       func(format string, args ...any)
}

// Run runs the pot's program for that time, and tells what it wrote, and that it failed. As
// with pot, that changes nothing.
func (r HookRun) Run(ctx context.Context, h conf.Hook) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.Timeout, fmt.Errorf("it ran for longer than %s", r.Timeout))
	defer cancel()
	if ctx.Err() != nil {
		r.Tell("%s of pot %s: not run: %v", h, r.Pot, context.Cause(ctx))
		return
	}
	cmd := supervise.HostCommand(ctx, r.Supervisor, hookArgv(filepath.Join(r.Dir, h.File()))...)
	cmd.Env = append([]string{"PATH=" + supervise.DefaultPath}, r.Env...)
	cmd.WaitDelay = time.Second // for what it has left behind with its output open
	var out begin
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if text := out.String(); text != "" {
		r.Tell("%s of pot %s: %s", h, r.Pot, text)
	}
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // what it has left behind goes on
	case ctx.Err() != nil:
		r.Tell("%s of pot %s: killed: %v", h, r.Pot, context.Cause(ctx))
	default:
		r.Tell("%s of pot %s: %v", h, r.Pot, err)
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
