package life

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
)

func TestHookRun(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	must.NoError(t, err)
	defer root.Close()
	must.NoError(t, root.Mkdir(conf.Dir, 0o755))
	var told []string
	r := HookRun{Dir: dir, Pot: "web", Env: []string{"_POT_NAME=web"}, Timeout: time.Minute, Tell: func(format string, args ...any) {
		told = append(told, fmt.Sprintf(format, args...))
	}}
	run := func(ctx context.Context, r HookRun, program string) []string {
		must.NoError(t, WriteHook(root, conf.PreStart, []byte(program), 0o700))
		told = nil
		r.Run(ctx, conf.PreStart)
		return told
	}

	t.Run("its output and its failure are reported", func(t *testing.T) {
		must.Eq(t, []string{"prestart of pot web: web in /\nand more", "prestart of pot web: exit status 3"},
			run(t.Context(), r, "#!/bin/sh\necho $_POT_NAME in $PWD; echo and more >&2; exit 3\n"))
	})
	t.Run("a script without an interpreter line is run by /bin/sh", func(t *testing.T) {
		must.Eq(t, []string{"prestart of pot web: web"}, run(t.Context(), r, "echo $_POT_NAME\n"))
		must.SliceEmpty(t, run(t.Context(), r, ""))
	})
	t.Run("a hook that hangs is killed", func(t *testing.T) {
		short := r
		short.Timeout = 200 * time.Millisecond
		must.Eq(t, []string{"prestart of pot web: killed: it ran for longer than 200ms"}, run(t.Context(), short, "#!/bin/sh\nsleep 600\n"))
	})
	t.Run("a hook is not run when no time is left", func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 0, fmt.Errorf("the pot has 0s to stop"))
		defer cancel()
		must.Eq(t, []string{"prestart of pot web: not run: the pot has 0s to stop"}, run(ctx, r, "#!/bin/sh\necho no\n"))
	})
	t.Run("a process that it leaves behind is not a failure", func(t *testing.T) {
		fifo := filepath.Join(t.TempDir(), "fifo")
		program := "#!/bin/sh\nmkfifo " + fifo + "\n(read line < " + fifo + ") &\n"
		must.SliceEmpty(t, run(t.Context(), r, program))
		f, err := os.OpenFile(fifo, os.O_WRONLY, 0) // waits for a reader
		must.NoError(t, err)
		must.NoError(t, f.Close())
	})
	t.Run("its output is bounded, valid UTF-8 and without control characters", func(t *testing.T) {
		got := run(t.Context(), r, "#!/bin/sh\nprintf 'a\\033[31m\\377b\\n'\n")
		must.Eq(t, []string{"prestart of pot web: a?[31m?b"}, got)
		got = run(t.Context(), r, "#!/bin/sh\nyes | head -c 1000000\n")
		must.Eq(t, []string{"prestart of pot web: " + strings.TrimSpace(strings.Repeat("y\n", maxHookText/2)) + "…"}, got)
	})
}
