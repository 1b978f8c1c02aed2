package driver

import (
	"context"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/potconf"
)

// backendOn returns a backend on a host of that name, whose check has found something.
func backendOn(t *testing.T, host, body string, found ...pot.CheckResult) *backend {
	t.Helper()
	b := backendOf(t, body)
	b.potConfig = potconf.Config{Dir: potconf.PathsFor(host).Dir, Bridges: t.TempDir(), Network: pot.DefaultNetwork}
	images := noImages{}
	b.pots = life.Open(pot.Host{
		Name: host, Images: images,
		Check: func(context.Context) []pot.CheckResult { return found },
	}, b.potConfig)
	return b
}

// noImages are the images of a host that has none.
type noImages struct{ pot.Images }

func (noImages) List(context.Context, string) ([]string, error) { return nil, nil }

// What a host lacks is told by key when the job is read, before anything is pulled.
func TestBackend_plan_host(t *testing.T) {
	leak.Check(t, leak.Foreign)
	const place = `add a constraint with attribute = "${attr.driver.pot.host}" and value = "freebsd"`
	const lacks = `: is for FreeBSD only, and this client's host is Linux: ` + place
	noIPv6 := pot.CheckResult{Severity: pot.Degraded, Key: "ipv6", Text: "pots cannot have IPv6: set a sysctl"}
	for _, tc := range []struct {
		name, host, plugin, config string
		found                      []pot.CheckResult
		want                       string
	}{
		{name: "limits on Linux", host: "linux", config: `limits {
				disk      = "1GiB"
				openfiles = 10
				readbps   = "1MiB"
				writebps  = "1MiB"
				readiops  = 5
				writeiops = 5
				maxproc   = 10
				wallclock = "1h"
			}`,
			want: "config.limits.disk" + lacks + "; config.limits.openfiles" + lacks + "; config.limits.readbps" + lacks +
				"; config.limits.writebps" + lacks + "; config.limits.readiops" + lacks + "; config.limits.writeiops" + lacks},
		{name: "limits on FreeBSD", host: "freebsd", config: "limits { disk = \"1GiB\" }"},
		{name: "IPv6 on Linux", host: "linux", config: `network_stack = "dual"`,
			want: `config.network_stack: dual is for FreeBSD only, and this client's host is Linux: write "ipv4", or ` + place},
		{name: "a stack of the host's network on Linux", host: "linux", config: "network_mode = \"host\"\nnetwork_stack = \"ipv4\"",
			want: `config.network_stack: cannot be set with the host's network on Linux: leave it out, or ` + place},
		{name: "an alias on Linux", host: "linux", plugin: `allowed_network_modes = ["alias"]`, config: "network_mode = \"alias\"\nip = [\"192.0.2.7\"]",
			want: `config.network_mode: alias` + strings.TrimPrefix(lacks, ":")},
		{name: "IPv6 on FreeBSD", host: "freebsd", config: `network_stack = "ipv6"`},
		{name: "IPv6 on a FreeBSD without", host: "freebsd", config: `network_stack = "ipv6"`, found: []pot.CheckResult{noIPv6},
			want: `config.network_stack: pots cannot have IPv6: set a sysctl`},
		{name: "no IPv6 on a FreeBSD without", host: "freebsd", found: []pot.CheckResult{noIPv6}},
		{name: "a bridge", host: "linux", config: "network_mode = \"private-bridge\"\nbridge = \"db\""},
		{name: "a bridge that is not there", host: "linux", config: "network_mode = \"private-bridge\"\nbridge = \"cache\"",
			want: `config.bridge: no such bridge on this client: "cache": make it there with pot create-private-bridge -B cache -S 10, for 10 pots`},
		{name: "all at once", host: "linux", config: "args = [\"x\"]\nnetwork_stack = \"ipv6\"\nlimits { disk = \"1GiB\" }",
			want: "config.args: needs command to be set; config.limits.disk" + lacks +
				`; config.network_stack: ipv6 is for FreeBSD only, and this client's host is Linux: write "ipv4", or ` + place},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := backendOn(t, tc.host, tc.plugin, tc.found...)
			_, err := b.pots.CreateBridge(t.Context(), "db", 5)
			must.NoError(t, err)
			_, err = b.plan(taskOf(t, least+tc.config))
			if tc.want == "" {
				must.NoError(t, err)
				return
			}
			must.EqError(t, err, tc.want)
		})
	}
	t.Run("the command has the directory of the plugin", func(t *testing.T) {
		b := backendOn(t, "linux", "")
		b.potConfig.Dir = "/pots"
		_, err := b.plan(taskOf(t, least+"network_mode = \"private-bridge\"\nbridge = \"db\""))
		must.ErrorContains(t, err, "with pot create-private-bridge -B db -S 10 --dir /pots, for 10 pots")
	})
}
