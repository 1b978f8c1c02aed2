package supervise

import (
	"encoding/json"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// A supervisor without a command listens on its ports until it is signalled.
func TestSupervisor_holding(t *testing.T) {
	leak.Check(t)
	to, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	defer to.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	listen := netip.MustParseAddrPort(free.Addr().String())
	must.NoError(t, free.Close())

	dir := t.TempDir()
	for _, name := range []string{aliveFifo, controlFifo} {
		must.NoError(t, syscall.Mkfifo(filepath.Join(dir, name), 0o600))
	}
	s := &supervisor{forwards: map[string]io.Closer{}, task: Task{
		Dir:      dir,
		Forwards: []Forward{{Proto: "tcp", Listen: listen, To: netip.MustParseAddrPort(to.Addr().String())}},
	}}
	must.NoError(t, s.start())
	held, err := Open(dir)
	must.NoError(t, err)
	must.Eq(t, 0, held.PID)
	must.NoError(t, held.Signal(0))
	c, err := net.Dial("tcp", listen.String())
	must.NoError(t, err)
	must.NoError(t, c.Close())

	must.NoError(t, os.WriteFile(filepath.Join(dir, runningFile), []byte("{"), 0o600)) // it is not needed
	ended := make(chan error, 1)
	go func() { ended <- End(t.Context(), dir) }()
	must.Eq(t, 0, s.wait())
	s.close()
	must.NoError(t, <-ended)
	must.NoError(t, End(t.Context(), dir))
	data, err := os.ReadFile(filepath.Join(dir, exitFile))
	must.NoError(t, err)
	var exit Exit
	must.NoError(t, json.Unmarshal(data, &exit))
	must.Eq(t, int(syscall.SIGKILL), exit.Signal)
	must.Eq(t, 128+int(syscall.SIGKILL), exit.Code)
	must.ErrorIs(t, held.Signal(0), ErrEnded)

	must.NoError(t, Clear(dir))
	must.NoError(t, Clear(dir))
	must.NoError(t, End(t.Context(), dir))
	left, err := os.ReadDir(dir)
	must.NoError(t, err)
	must.SliceEmpty(t, left)
}
