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

// oldest is the first version of xz(1) that is used, as xz --robot --version tells
// it: 5.2.0. What else is called xz, as in busybox, has no bound on its memory.
const oldest = 50020000

// versions are those of commands that were asked: asked to int.
var versions sync.Map

// asked is a command as it was then: an upgrade puts another in its place.
type asked struct {
	path    string
	changed time.Time
	size    int64
}

// command is the path of the xz(1) that decodes, "" for none.
func (o Options) command(ctx context.Context) string {
	switch o.Command {
	case "-":
		return ""
	case "":
		found, err := exec.LookPath("xz")
		if err != nil || version(ctx, found) < oldest {
			return ""
		}
		return found
	}
	return o.Command
}

// version is 50040012 for 5.4.1, and 0 for what is not known.
func version(ctx context.Context, path string) int {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	key := asked{path, info.ModTime(), info.Size()}
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

// commandEnv is all the environment that xz(1) has: XZ_OPT and the like are not for it.
var commandEnv = []string{"LC_ALL=C"}

// decoding is an xz(1) that decodes its input, within that many bytes of memory.
func decoding(ctx context.Context, path string, memory int64) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, "-dc", "-T1", "--no-sparse", "--memlimit-decompress="+strconv.FormatInt(memory, 10))
	cmd.Env = commandEnv
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// limitedText is the beginning of what a command says.
type limitedText struct{ text []byte }

func (l *limitedText) Write(p []byte) (int, error) {
	l.text = append(l.text, p[:min(len(p), 4096-len(l.text))]...)
	return len(p), nil
}

func (l *limitedText) lastLine() string {
	text := strings.TrimSpace(string(l.text))
	return strings.TrimPrefix(strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:]), "xz: ")
}
