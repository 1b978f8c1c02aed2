//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/cluster"
)

// networkBehaviours are the forms of ports and the modes of networks.
var networkBehaviours = []behaviour{
	{"a dynamic port with to leads to that port of the pot", publishes("port-to", `port "http" { to = 8080 }`, `":8080"`)},
	{"a dynamic port without to is the same port of the pot", publishes("port-same", `port "http" {}`, `":${NOMAD_PORT_http}"`)},
	{"a static port is that port of the host, and can be published again", func(t *testing.T, b *bed) {
		port := freePort(t)
		for _, name := range []string{"static-1", "static-2"} {
			id := b.register(t, job{name: name, kind: "service", config: hello(`"serve", ":8080"`), group: fmt.Sprintf(`network {
				port "http" {
					static = %d
					to     = 8080
				}
			}`, port)}.hcl(b.Cluster))
			alloc := b.running(t, id)
			must.Eq(t, port, alloc.AllocatedResources.Shared.Ports[0].Value)
			until(t, func() error { return answers(alloc) })
			must.NoError(t, b.Purge(ctx(t), id))
		}
	}},
	{"a static port without to is the same port of the pot", func(t *testing.T, b *bed) {
		port := freePort(t)
		publishes("static-same", fmt.Sprintf(`port "http" { static = %d }`, port), fmt.Sprintf(`":%d"`, port))(t, b)
	}},
	{"a job waits for a static port that another has", func(t *testing.T, b *bed) {
		port := freePort(t)
		text := func(name string) string {
			return job{name: name, kind: "service", config: hello(`"serve", ":8080"`), group: fmt.Sprintf(`network {
				port "http" {
					static       = %d
					to           = 8080
					host_network = "v4"
				}
			}`, port)}.hcl(b.Cluster)
		}
		first := b.runs(t, text("port-holder"))
		second := b.register(t, text("port-waiter"))
		b.waits(t, second, func(m *api.AllocationMetric) bool {
			return m.DimensionExhausted["network: reserved port collision http="+fmt.Sprint(port)] > 0
		})
		must.NoError(t, b.Purge(ctx(t), first.JobID))
		alloc := b.running(t, second)
		until(t, func() error { return answers(alloc) })
	}},
	{"a port of another network of the host is published at its address", func(t *testing.T, b *bed) {
		if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
			t.Skip("the machine has no ::1")
		} else {
			l.Close()
		}
		alloc := b.runs(t, job{name: "host-network-v6", kind: "service", config: hello(`"serve", ":8080"`), group: `network {
			port "http" {
				to           = 8080
				host_network = "v6"
			}
		}`}.hcl(b.Cluster))
		must.Eq(t, "::1", alloc.AllocatedResources.Shared.Ports[0].HostIP)
		until(t, func() error { return answers(alloc) })
	}},
	{"a task knows its ports by NOMAD_PORT, NOMAD_HOST_PORT and NOMAD_ADDR", func(t *testing.T, b *bed) {
		alloc := b.ends(t, job{name: "port-env", config: hello(`"env"`), group: `network {
			port "http" { to = 8080 }
			port "same" {}
		}`}.hcl(b.Cluster), api.AllocClientStatusComplete)
		ports := map[string]api.PortMapping{}
		for _, p := range alloc.AllocatedResources.Shared.Ports {
			ports[p.Label] = p
		}
		out, err := b.Says(ctx(t), alloc, "task", "USER=")
		must.NoError(t, err)
		for _, line := range []string{
			"NOMAD_PORT_http=8080", fmt.Sprintf("NOMAD_HOST_PORT_http=%d", ports["http"].Value),
			fmt.Sprintf("NOMAD_PORT_same=%d", ports["same"].Value), fmt.Sprintf("NOMAD_HOST_PORT_same=%d", ports["same"].Value),
			fmt.Sprintf("NOMAD_HOST_ADDR_http=%s:%d", ports["http"].HostIP, ports["http"].Value),
		} {
			must.StrContains(t, "\n"+out, "\n"+line+"\n")
		}
	}},
	{"a task on the host's network listens on the host's port", func(t *testing.T, b *bed) {
		alloc := b.runs(t, job{name: "host-network", kind: "service", group: `network {
			port "http" {}
		}`, config: hello(`"serve", "127.0.0.1:${NOMAD_PORT_http}"`) + "\n" + `network_mode = "host"`}.hcl(b.Cluster))
		until(t, func() error { return answers(alloc) })
		must.StrContains(t, b.execs(t, alloc, "task", "id"), "addr 127.0.0.1/8\n")
	}},
	{"inherit is another name of network_mode host", func(t *testing.T, b *bed) {
		out := b.prints(t, job{name: "inherit", config: hello(`"id"`) + "\n" + `network_mode = "inherit"`})
		for _, addr := range hostAddresses(t) {
			must.StrContains(t, out, "addr "+addr)
		}
	}},
	{"a task without a network has loopback addresses alone", func(t *testing.T, b *bed) {
		out := b.prints(t, job{name: "none", config: hello(`"id"`) + "\n" + `network_mode = "none"`})
		for line := range strings.Lines(out) {
			if addr, ok := strings.CutPrefix(line, "addr "); ok {
				ip, _, err := net.ParseCIDR(strings.TrimSpace(addr))
				must.NoError(t, err)
				must.True(t, ip.IsLoopback(), must.Sprint(out))
			}
		}
	}},
	{"tasks on the public bridge have addresses of its network that differ", func(t *testing.T, b *bed) {
		alloc := b.runs(t, `
job "two-pots" {
  group "group" {`+helloTask("one", `"serve", ":8080"`, "", "")+helloTask("two", `"serve", ":8080"`, "", "")+`
  }
}`)
		b.allRun(t, alloc)
		var all []string
		for _, name := range []string{"one", "two"} {
			for line := range strings.Lines(b.execs(t, alloc, name, "id")) {
				if strings.HasPrefix(line, "addr 10.199.") {
					all = append(all, line)
				}
			}
		}
		must.Len(t, 2, all)
		must.NotEq(t, all[0], all[1])
	}},
	{"network.dns is the pot's resolver configuration", func(t *testing.T, b *bed) {
		out := b.prints(t, job{name: "dns", config: hello(`"cat", "/etc/resolv.conf"`), group: `network {
			dns {
				servers  = ["192.0.2.53"]
				searches = ["example.org"]
				options  = ["ndots:2"]
			}
		}`})
		for _, line := range []string{"nameserver 192.0.2.53\n", "search example.org\n", "options ndots:2\n"} {
			must.StrContains(t, out, line)
		}
	}},
	{"network_mode alias has an address on the host, or is refused by name", func(t *testing.T, b *bed) {
		text := job{name: "alias", config: hello(`"id"`) + `
			network_mode = "alias"
			ip           = ["lo0|` + aliasAddress + `"]`}.hcl(b.Cluster)
		if runtime.GOOS != "freebsd" {
			b.tells(t, b.ends(t, text, api.AllocClientStatusFailed), "alias")
			return
		}
		alloc := b.ends(t, text, api.AllocClientStatusComplete)
		_, err := b.Says(ctx(t), alloc, "task", "addr "+aliasAddress+"/")
		must.NoError(t, err)
	}},
	{"network_stack dual has IPv6 in the pot, or is refused by name", func(t *testing.T, b *bed) {
		text := job{name: "dual", config: hello(`"exit", "0"`) + "\n" + `network_stack = "dual"`}.hcl(b.Cluster)
		if runtime.GOOS != "freebsd" {
			b.tells(t, b.ends(t, text, api.AllocClientStatusFailed), "config.network_stack")
			return
		}
		b.ends(t, text, api.AllocClientStatusComplete)
	}},
}

// aliasAddress is the address of a task on the host's network stack.
const aliasAddress = "127.5.5.5"

// publishes is a job whose task serves HTTP at that address, and answers at its port.
func publishes(name, port, at string) func(*testing.T, *bed) {
	return func(t *testing.T, b *bed) {
		alloc := b.runs(t, job{name: name, kind: "service", config: hello(`"serve", ` + at),
			group: "network {\n" + port + "\n}"}.hcl(b.Cluster))
		until(t, func() error { return answers(alloc) })
	}
}

// freePort returns a port that nobody listens on now, outside of Nomad's dynamic ports.
func freePort(t *testing.T) int {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must.NoError(t, err)
		port := l.Addr().(*net.TCPAddr).Port
		must.NoError(t, l.Close())
		if port < 20000 || port > 32000 {
			return port
		}
	}
}

// hostAddresses returns the host's addresses, but for those of one link alone and those of
// pots, which come and go meanwhile.
func hostAddresses(t *testing.T) (all []string) {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	must.NoError(t, err)
	for _, a := range addrs {
		text := a.String()
		if !slices.ContainsFunc([]string{"fe80:", "10.199.", aliasAddress}, func(p string) bool { return strings.HasPrefix(text, p) }) {
			all = append(all, text)
		}
	}
	return all
}

// waits waits until an evaluation of a job has placed nothing, for a reason that is ok.
func (b *bed) waits(t *testing.T, id string, ok func(*api.AllocationMetric) bool) {
	t.Helper()
	until(t, func() error {
		evals, _, err := b.Jobs().Evaluations(id, nil)
		if err != nil {
			return err
		}
		var all []string
		for _, e := range evals {
			for _, m := range e.FailedTGAllocs {
				if ok(m) {
					return nil
				}
				all = append(all, fmt.Sprintf("%+v", *m))
			}
		}
		stubs, _, _ := b.Jobs().Allocations(id, true, nil)
		for _, s := range stubs {
			alloc, _, err := b.Allocations().Info(s.ID, nil)
			if err == nil {
				all = append(all, fmt.Sprintf("%s %+v: %s", s.ClientStatus, alloc.AllocatedResources.Shared.Ports, cluster.Story(alloc)))
			}
		}
		return fmt.Errorf("no evaluation has that reason: %q", all)
	})
}

// allRun waits until all tasks of an allocation run.
func (b *bed) allRun(t *testing.T, alloc *api.Allocation) {
	t.Helper()
	b.allocation(t, alloc.ID, func(now *api.Allocation) error {
		for name, state := range now.TaskStates {
			if state.State != "running" {
				return fmt.Errorf("task %s is %s", name, state.State)
			}
		}
		return nil
	})
}
