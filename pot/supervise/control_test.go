package supervise

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// After an unlisten request the supervisor no longer listens, and open connections stay.
func TestSupervisor_unlisten(t *testing.T) {
	leak.Check(t)
	server, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	defer server.Close()
	go func() {
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	f := Forward{Proto: "tcp", Listen: freeUDP(t), To: netip.MustParseAddrPort(server.Addr().String())}
	l, err := forward(f)
	must.NoError(t, err)
	s := &supervisor{forwards: map[string]io.Closer{f.key(): l}}
	client, err := net.Dial("tcp", f.Listen.String())
	must.NoError(t, err)
	defer client.Close()
	echo := func() {
		fmt.Fprint(client, "x")
		_, err := io.ReadFull(client, make([]byte, 1))
		must.NoError(t, err)
	}
	echo()
	s.serveControl(strings.NewReader("unlisten tcp/192.0.2.1:1\nfrob x\nunlisten " + f.key() + "\n"))
	echo()
	again, err := net.Listen("tcp", f.Listen.String())
	must.NoError(t, err)
	must.NoError(t, again.Close())
}
