package freebsd_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/freebsd"
	"nomad-driver-pot/pot/hosttest"
	"nomad-driver-pot/pot/hosttest/need"
	"nomad-driver-pot/pot/run"
)

const supervisor = "nomad-driver-pot/pot/supervise/pot-supervisor"

// TestHost holds this machine to what every host must do, with a pool of its
// own in a file.
func TestHost(t *testing.T) {
	need.Have(t, "root", os.Geteuid() == 0)
	hosttest.Alone(t)
	program := hosttest.Build(t, supervisor)
	root, dir := scratch(t)
	hosttest.Run(t, func(t testing.TB) hosttest.Bed {
		h := freebsd.New(run.Host{}, freebsd.Native{}, freebsd.Config{
			ZFSRoot: root, Network: pot.DefaultNetwork, Interface: os.Getenv("POT_TEST_EXTIF"),
			Supervisor: program, LockFile: filepath.Join(dir, "lock"),
		})
		return hosttest.Bed{
			Host: h, Dir: t.TempDir(), Supervisor: program, Tick: time.Second,
			Stream: func() io.Reader { return image.NewXZReader(bytes.NewReader(imagetest.Hello(""))) },
			State:  func(t testing.TB) hosttest.State { return state(t, root) },
		}
	})
}

// command runs one of the base system's.
func command(t testing.TB, argv ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := run.Host{}.Run(ctx, nil, argv...)
	must.NoError(t, err)
	return out
}

// scratch is a dataset for pots in a pool of its own, and a directory beside it.
func scratch(t testing.TB) (root, dir string) {
	dir = t.TempDir()
	file := filepath.Join(dir, "pool")
	must.NoError(t, os.WriteFile(file, nil, 0o600))
	must.NoError(t, os.Truncate(file, 2<<30))
	pool := fmt.Sprintf("pottest%d", os.Getpid())
	command(t, "zpool", "create", "-m", "none", pool, file)
	t.Cleanup(func() { command(t, "zpool", "destroy", "-f", pool) })
	root = pool + "/pot"
	command(t, "zfs", "create", "-o", "mountpoint="+filepath.Join(dir, "root"), "-o", "atime=off", root)
	command(t, "zfs", "create", root+"/jails")
	return root, dir
}

// jails are those that there are. One whose connections are still being closed
// is dying until they are: twice the sysctl net.inet.tcp.msl, 30 s.
func jails(t testing.TB) []string {
	var all []string
	for end := time.Now().Add(75 * time.Second); time.Now().Before(end); time.Sleep(time.Second) {
		all = strings.Fields(command(t, "jls", "-d", "name"))
		if len(all) == len(strings.Fields(command(t, "jls", "name"))) {
			break
		}
	}
	return all
}

// state is what pots could leave behind, as the base system's commands show it.
func state(t testing.TB, root string) hosttest.State {
	lines := func(argv ...string) []string { return strings.Split(strings.TrimSpace(command(t, argv...)), "\n") }
	s := hosttest.State{
		"mount":     lines("mount", "-p"),
		"interface": strings.Fields(command(t, "ifconfig", "-l")),
		"jail":      jails(t),
		"dataset":   lines("zfs", "list", "-H", "-r", "-t", "all", "-o", "name", root),
		"rule":      lines("rctl"),
		"process":   {},
	}
	if _, err := os.Stat("/dev/pf"); err == nil {
		s["redirect"] = lines("pfctl", "-a", "pot-rdr/*", "-sn")
	}
	for _, line := range lines("ps", "-axo", "jid,pid,comm") {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] != "JID" && (fields[0] != "0" || fields[2] == "pot-supervisor") {
			s["process"] = append(s["process"], line)
		}
	}
	return s
}
