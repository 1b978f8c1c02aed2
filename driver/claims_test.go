package driver

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/nomad/helper/uuid"
	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// group is tasks of one allocation with the same ports, http and metrics, on loopback.
type group struct {
	*bed
	alloc string
	ports []structs.AllocatedPortMapping
}

func newGroup(t *testing.T, b *bed) *group {
	g := &group{bed: b, alloc: uuid.Generate()}
	for _, label := range []string{"http", "metrics"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must.NoError(t, err)
		defer l.Close()
		g.ports = append(g.ports, structs.AllocatedPortMapping{Label: label, Value: l.Addr().(*net.TCPAddr).Port, To: 8080, HostIP: "127.0.0.1"})
	}
	return g
}

// member is a task of the group that serves.
func (g *group) member(t *testing.T, name, config string) *drivers.TaskConfig {
	cfg := g.task(t, config, "serve", ":8080")
	cfg.AllocID, cfg.ID = g.alloc, g.alloc+"/"+name+"/"+uuid.Short()
	cfg.Resources.Ports = ports(g.ports...)
	return cfg
}

// who is the pot that answers at a port; "" if none does.
func (g *group) who(label string) string {
	i := slices.IndexFunc(g.ports, func(p structs.AllocatedPortMapping) bool { return p.Label == label })
	c := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get(fmt.Sprintf("http://127.0.0.1:%d/", g.ports[i].Value))
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	text := make([]byte, 64)
	n, _ := resp.Body.Read(text)
	words := strings.Fields(string(text[:n])) // hello from POT …
	name, _, _ := strings.Cut(words[2], "_")
	return name
}

// answers waits until the tasks named publish the ports: http, metrics.
func (g *group) answers(t *testing.T, want ...string) {
	t.Helper()
	eventually(t, func() error {
		if got := []string{g.who("http"), g.who("metrics")}; !slices.Equal(got, want) {
			return fmt.Errorf("%q publish http and metrics, not %q", got, want)
		}
		return nil
	})
}

// Each task of a group is given all of its ports.
func TestDriver_groupPorts(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	events, err := b.driver.TaskEvents(t.Context())
	must.NoError(t, err)
	stop := func(cfg *drivers.TaskConfig) {
		must.NoError(t, b.StopTask(cfg.ID, time.Second, "SIGKILL"))
		must.NoError(t, b.DestroyTask(cfg.ID, true))
	}
	t.Run("each publishes what it names", func(t *testing.T) {
		g := newGroup(t, b)
		one, two := g.member(t, "one", `ports = ["http"]`), g.member(t, "two", `port_map = { metrics = "8080" }`)
		var all sync.WaitGroup
		for _, cfg := range []*drivers.TaskConfig{one, two} {
			all.Go(func() {
				_, _, err := b.StartTask(cfg)
				must.NoError(t, err)
			})
		}
		all.Wait()
		g.answers(t, "one", "two")
		third := g.member(t, "three", `ports = ["http"]`)
		_, _, err := b.StartTask(third)
		must.ErrorContains(t, err, `cannot start task: config.ports: task "one" of this allocation publishes port "http" already`)
		stop(one)
		b.start(t, third) // a port comes back with the end of the task that had it
		g.answers(t, "three", "two")
		stop(two)
		stop(third)
	})
	t.Run("one that names none has what is left", func(t *testing.T) {
		g := newGroup(t, b)
		one, two := g.member(t, "one", ""), g.member(t, "two", "")
		b.start(t, one)
		b.start(t, two)
		must.Eq(t, `Left port "http" and port "metrics" to task "one", which publishes it; set config.ports to say who does`, eventOf(t, events, two, "Left"))
		g.answers(t, "one", "one")
		stop(one)
		g.answers(t, "", "")
		stop(two)
		b.start(t, g.member(t, "two", ""))
		g.answers(t, "two", "two")
	})
	t.Run("and gives it up to one that names it", func(t *testing.T) {
		g := newGroup(t, b)
		silent, names := g.member(t, "silent", ""), g.member(t, "names", `ports = ["http"]`)
		handle, _ := b.start(t, silent)
		g.answers(t, "silent", "silent")
		b.start(t, names)
		must.Eq(t, fmt.Sprintf(`Gave 127.0.0.1:%d up to task "web", whose config names it`, g.ports[0].Value), eventOf(t, events, silent, "Gave"))
		g.answers(t, "names", "silent")

		b.open(t) // whichever plugin is there
		must.NoError(t, b.RecoverTask(forgotten(t, handle)))
		again := g.member(t, "again", "")
		b.start(t, again)
		g.answers(t, "names", "silent")
		last := g.member(t, "last", `ports = ["metrics"]`)
		b.start(t, last)
		g.answers(t, "names", "last")
	})
}

// Another program may have a port for UDP, of which nobody has spoken.
func TestDriver_portHeldForUDP(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	events, err := b.driver.TaskEvents(t.Context())
	must.NoError(t, err)
	g := newGroup(t, b)
	at := fmt.Sprintf("127.0.0.1:%d", g.ports[0].Value)
	held, err := net.ListenPacket("udp", at)
	must.NoError(t, err)
	defer held.Close()
	cfg := g.member(t, "one", "")
	b.start(t, cfg)
	must.Eq(t, "Port "+at+" is published over TCP alone: another program has it for UDP", eventOf(t, events, cfg, "UDP"))
	g.answers(t, "one", "one")
	must.NoError(t, b.DestroyTask(cfg.ID, true))

	l, err := net.Listen("tcp", at)
	must.NoError(t, err)
	defer l.Close()
	_, _, err = b.StartTask(g.member(t, "two", ""))
	must.ErrorContains(t, err, "address already in use")
}
