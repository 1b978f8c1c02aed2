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

// group makes tasks of one allocation that have the same ports, http and metrics, on loopback.
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

// member returns a task of the group that serves HTTP.
func (g *group) member(t *testing.T, name, config string) *drivers.TaskConfig {
	return g.serves(t, name, ":8080", config)
}

// serves is member for a task that serves HTTP at another address in its pot.
func (g *group) serves(t *testing.T, name, at, config string) *drivers.TaskConfig {
	cfg := g.task(t, config, "serve", at)
	cfg.AllocID, cfg.ID = g.alloc, g.alloc+"/"+name+"/"+uuid.Short()
	cfg.Resources.Ports = ports(g.ports...)
	return cfg
}

// who returns the task that answers at a port, or "" if none does.
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

// Nomad gives each task of a group all of its ports.
func TestDriver_StartTask_groupPorts(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	events := b.events(t)
	stop := func(cfg *drivers.TaskConfig) {
		must.NoError(t, b.StopTask(cfg.ID, time.Second, "SIGKILL"))
		must.NoError(t, b.DestroyTask(cfg.ID, true))
	}
	t.Run("each task publishes the ports that it names", func(t *testing.T) {
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
		must.ErrorContains(t, err, `cannot start task: config.ports: task "one" of this allocation already publishes port "http"`)
		stop(one)
		b.start(t, third) // the port is free again
		g.answers(t, "three", "two")
		stop(two)
		stop(third)
	})
	t.Run("a task that names no ports publishes those that are left", func(t *testing.T) {
		g := newGroup(t, b)
		one, two := g.member(t, "one", ""), g.member(t, "two", "")
		b.start(t, one)
		b.start(t, two)
		must.Eq(t, `Did not publish port "http" and port "metrics": task "one" does; set config.ports to choose`, eventOf(t, events, two, "Did not publish"))
		g.answers(t, "one", "one")
		stop(one)
		g.answers(t, "", "")
		stop(two)
		b.start(t, g.member(t, "two", ""))
		g.answers(t, "two", "two")
	})
	t.Run("a task that names no ports releases one to a task that names it", func(t *testing.T) {
		g := newGroup(t, b)
		silent, names := g.member(t, "silent", ""), g.member(t, "names", `ports = ["http"]`)
		handle, _ := b.start(t, silent)
		g.answers(t, "silent", "silent")
		b.start(t, names)
		must.Eq(t, fmt.Sprintf(`Unpublished 127.0.0.1:%d: the config of task "web" names it`, g.ports[0].Value), eventOf(t, events, silent, "Unpublished"))
		g.answers(t, "names", "silent")

		b.open(t) // the plugin is restarted
		must.NoError(t, b.RecoverTask(afterRestart(t, handle)))
		again := g.member(t, "again", "")
		b.start(t, again)
		g.answers(t, "names", "silent")
		last := g.member(t, "last", `ports = ["metrics"]`)
		b.start(t, last)
		g.answers(t, "names", "last")
	})
}

// Another program may hold a port for UDP that the job needs for TCP alone.
func TestDriver_StartTask_portHeldForUDP(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	events := b.events(t)
	g := newGroup(t, b)
	at := fmt.Sprintf("127.0.0.1:%d", g.ports[0].Value)
	held, err := net.ListenPacket("udp", at)
	must.NoError(t, err)
	defer held.Close()
	cfg := g.member(t, "one", "")
	b.start(t, cfg)
	must.Eq(t, "Port "+at+" is published over TCP only: another program uses it for UDP", eventOf(t, events, cfg, "UDP"))
	g.answers(t, "one", "one")
	must.NoError(t, b.DestroyTask(cfg.ID, true))

	l, err := net.Listen("tcp", at)
	must.NoError(t, err)
	defer l.Close()
	_, _, err = b.StartTask(g.member(t, "two", ""))
	must.ErrorContains(t, err, "address already in use")
}
