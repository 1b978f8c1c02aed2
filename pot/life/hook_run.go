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

// HookRun runs a pot's hooks: programs on the host, as root (pot set-hook).
type HookRun struct {
	Supervisor string // path of pot-supervisor, which executes the program
	Dir        string // directory of the pot's dataset; its conf has the programs
	Pot        pot.Name
	Env        []string      // environment beside PATH: HostEnvironment
	Timeout    time.Duration // for each hook
	Tell       func(format string, args ...any)
}

// Run runs a hook, and passes its output and its failure to r.Tell. As with pot, a hook that
// fails does not fail its caller.
func (r HookRun) Run(ctx context.Context, h conf.Hook) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.Timeout, fmt.Errorf("it ran for longer than %s", r.Timeout))
	defer cancel()
	if ctx.Err() != nil {
		r.Tell("%s of pot %s: not run: %v", h, r.Pot, context.Cause(ctx))
		return
	}
	cmd := supervise.HostCommand(ctx, r.Supervisor, hookArgv(filepath.Join(r.Dir, h.File()))...)
	cmd.Env = append([]string{"PATH=" + supervise.DefaultPath}, r.Env...)
	cmd.WaitDelay = time.Second // for processes that it leaves behind with its output open
	var out limitedText
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if text := out.String(); text != "" {
		r.Tell("%s of pot %s: %s", h, r.Pot, text)
	}
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // processes that it has left behind keep running
	case ctx.Err() != nil:
		r.Tell("%s of pot %s: killed: %v", h, r.Pot, context.Cause(ctx))
	default:
		r.Tell("%s of pot %s: %v", h, r.Pot, err)
	}
}

// maxHookText bounds the output of a hook that is passed on, in bytes.
const maxHookText = 4 << 10

// limitedText keeps the first maxHookText bytes that are written to it, and one byte more, by
// which String sees that there were more.
type limitedText []byte

func (b *limitedText) Write(p []byte) (int, error) {
	*b = append(*b, p[:min(len(p), maxHookText+1-len(*b))]...)
	return len(p), nil
}

// String returns the text with control characters replaced, since an image's program may
// write sequences that control a terminal, and as UTF-8, which gRPC requires.
func (b limitedText) String() string {
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
