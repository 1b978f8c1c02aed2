package freebsd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	gozfs "github.com/mistifyio/go-zfs/v3"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot/run"
	"nomad-driver-pot/pot/supervise"
)

// The test program is also the zfs and the zpool that go-zfs finds in PATH, and the
// supervisor of a shared network, which starts nothing.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "run" {
		os.Exit(supervise.Run(os.Stdin, os.Stdout))
	}
	if name := filepath.Base(os.Args[0]); name == "zfs" || name == "zpool" {
		os.Exit(askServer(append([]string{name}, os.Args[1:]...)))
	}
	gozfs.SetLogger(startLogger{})
	os.Exit(leak.Run(m.Run))
}

// zfsStarts counts the commands that go-zfs starts. What happened before one did happens
// before it is answered: the race detector does not see that through another process.
var zfsStarts atomic.Int64

type startLogger struct{}

func (startLogger) Log([]string) { zfsStarts.Add(1) }

// zfsSocket is the variable that has the path of serveZFS's socket.
const zfsSocket = "POT_TEST_ZFS_SOCKET"

// zfsAnswer is what a command is to print, and its status.
type zfsAnswer struct {
	Stdout, Stderr string
	Code           int
}

// serveZFS has r answer the commands zfs and zpool of PATH until the test ends.
func serveZFS(t testing.TB, r run.Runner) {
	dir, err := os.MkdirTemp("", "z") // names of sockets are bounded
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, os.RemoveAll(dir)) })
	program, err := os.Executable()
	must.NoError(t, err)
	for _, name := range []string{"zfs", "zpool"} {
		must.NoError(t, os.Symlink(program, filepath.Join(dir, name)))
	}
	l, err := net.Listen("unix", filepath.Join(dir, "socket"))
	must.NoError(t, err)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv(zfsSocket, l.Addr().String())
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait)
	t.Cleanup(func() { must.NoError(t, l.Close()) })
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { serveCommand(t.Context(), c, r) })
		}
	})
}

func serveCommand(ctx context.Context, c net.Conn, r run.Runner) {
	defer c.Close()
	var argv []string
	if json.NewDecoder(c).Decode(&argv) != nil {
		return
	}
	zfsStarts.Load()
	out, err := r.Run(ctx, nil, argv...)
	a := zfsAnswer{Stdout: out}
	var failed *run.Error
	if errors.As(err, &failed) {
		a.Stderr, a.Code = failed.Stderr, failed.Code
	} else if err != nil {
		a.Stderr, a.Code = err.Error(), 1
	}
	json.NewEncoder(c).Encode(a)
}

// askServer is the command zfs or zpool.
func askServer(argv []string) int {
	c, err := net.Dial("unix", os.Getenv(zfsSocket))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer c.Close()
	var a zfsAnswer
	if err := errors.Join(json.NewEncoder(c).Encode(argv), json.NewDecoder(c).Decode(&a)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Print(a.Stdout)
	fmt.Fprintln(os.Stderr, a.Stderr)
	return a.Code
}
