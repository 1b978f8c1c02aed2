package xz

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// minVersion is the oldest xz(1) in use, as `xz --robot --version` prints it: 5.2.0.
// Other programs of that name, such as busybox's, have no limit on their memory.
const minVersion = 50020000

// versions caches the version of each xz(1): versionKey to int.
var versions sync.Map

// versionKey identifies a command's file. An upgrade changes it.
type versionKey struct {
	path    string
	changed time.Time
	size    int64
}

// command returns the path of the xz(1) to decode with, or "" for none.
func (o Options) command(ctx context.Context) string {
	switch o.Command {
	case "-":
		return ""
	case "":
		found, err := exec.LookPath("xz")
		if err != nil || version(ctx, found) < minVersion {
			return ""
		}
		return found
	}
	return o.Command
}

// version returns the version as xz(1) prints it, 50040012 for 5.4.1, or 0 if it is
// unknown. It runs each xz(1) once, as long as its file stays the same.
func version(ctx context.Context, path string) int {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	key := versionKey{path, info.ModTime(), info.Size()}
	if known, ok := versions.Load(key); ok {
		return known.(int)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--robot", "--version")
	cmd.Env = commandEnv
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
	versions.Store(key, version)
	return version
}

// commandEnv is the whole environment of xz(1): XZ_OPT and XZ_DEFAULTS must not apply.
var commandEnv = []string{"LC_ALL=C"}

// decodeCommand returns an xz(1) that decodes stdin to stdout within memory bytes. It is
// killed when ctx ends. It writes no holes: --no-sparse.
func decodeCommand(ctx context.Context, path string, memory int64) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, "-dc", "-T1", "--no-sparse", "--memlimit-decompress="+strconv.FormatInt(memory, 10))
	cmd.Env = commandEnv
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// stderrText keeps the first 4 KiB that a command writes to stderr.
type stderrText struct{ text []byte }

// Write implements io.Writer. It never fails: xz(1) must not be blocked by its messages.
func (l *stderrText) Write(p []byte) (int, error) {
	l.text = append(l.text, p[:min(len(p), 4096-len(l.text))]...)
	return len(p), nil
}

// lastLine returns the last line without the name of the command: its reason for failing.
func (l *stderrText) lastLine() string {
	text := strings.TrimSpace(string(l.text))
	return strings.TrimPrefix(strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:]), "xz: ")
}
