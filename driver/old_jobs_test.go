package driver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/hashicorp/nomad/jobspec2"
	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/tree"
)

// Job files written for nomad-pot-driver 0.10 mean the same to this driver.
func TestOldJobs(t *testing.T) {
	leak.Check(t, leak.Foreign)
	here := t.TempDir()
	for _, name := range []string{"web.conf", "www", "certs", "data"} {
		must.NoError(t, os.Mkdir(filepath.Join(here, name), 0o755))
	}
	must.NoError(t, os.WriteFile(filepath.Join(here, "web.conf/one.conf"), nil, 0o644))
	text, err := os.ReadFile("testdata/old.nomad.hcl")
	must.NoError(t, err)
	job, err := jobspec2.Parse("old.nomad.hcl", strings.NewReader(strings.ReplaceAll(string(text), "HERE", here)))
	must.NoError(t, err)
	plans := map[string]*plan{}
	for _, task := range job.TaskGroups[0].Tasks {
		cfg := taskOf(t, least)
		must.NoError(t, cfg.EncodeDriverConfig(value(t, taskConfigSpec, task.Config)))
		// As Nomad has it for a network that is asked for among a task's resources.
		cfg.Resources.NomadResources.Networks = structs.Networks{{
			IP: "192.0.2.1", DynamicPorts: []structs.Port{{Label: "http", Value: 25000}},
		}}
		if static := staticPorts(task); len(static) > 0 {
			cfg.Resources.NomadResources.Networks = structs.Networks{{IP: "192.0.2.1", ReservedPorts: static}}
		}
		p, err := backendOf(t, `volumes { enabled = true }
			allow_attributes = ["mlock"]`).plan(cfg)
		must.NoError(t, err, must.Sprint(task.Name))
		plans[task.Name] = p
	}

	block := plans["block"].spec
	must.Eq(t, []string{"web", "-g", "daemon off;", "two words", "plain"}, plans["block"].line.argv())
	must.Eq(t, pot.PublicBridge, block.Network)
	must.Eq(t, []tree.Copy{{Source: here + "/web.conf", Target: "/usr/local/etc/web/web.conf", Resolved: true}}, block.Copies)
	must.SliceContains(t, block.Mounts, pot.Mount{Source: here + "/www", Target: "/mnt", Resolved: true})
	must.SliceContains(t, block.Mounts, pot.Mount{Source: here + "/certs", Target: "/certs", ReadOnly: true, Resolved: true})
	must.Eq(t, "db", block.Hosts[0].Name)
	must.Eq(t, "2001:db8::7", block.Hosts[1].Addr.String())
	must.Eq(t, conf.Attributes{"mlock": "YES", "no-rc-script": "YES"}, block.Attributes)
	for _, name := range []string{"block", "attribute"} {
		must.Len(t, 2, plans[name].spec.Ports) // of both transports
		must.Eq(t, "192.0.2.1:25000", plans[name].spec.Ports[0].Host.String())
		must.Eq(t, 80, plans[name].spec.Ports[0].To)
		must.Eq(t, portMap{"http": 80}, plans[name].portMap)
	}
	must.Eq(t, pot.HostNetwork, plans["host"].spec.Network)

	static := plans["static"]
	must.Eq(t, "mail-nomad-amd64-13_1_1_1_13", static.spec.Image)
	must.Eq(t, []string{"cook"}, static.line.argv())
	must.Eq(t, portMap{"smtp": 25, "http": 80, "https": 443}, static.portMap)
	must.Len(t, 6, static.spec.Ports)
	for _, p := range static.spec.Ports {
		must.Eq(t, p.Host.Port(), p.To)
		must.Eq(t, "192.0.2.1", p.Host.Addr().String())
	}
	must.SliceContains(t, static.spec.Mounts, pot.Mount{Source: here + "/data", Target: "/var/mail", Resolved: true})
	must.SliceContains(t, static.spec.Mounts, pot.Mount{Source: here + "/web.conf/one.conf", Target: "/usr/local/etc/mail.conf", Resolved: true})
}

// staticPorts returns the ports that a task asks for by number among its resources.
func staticPorts(task *api.Task) []structs.Port {
	var all []structs.Port
	if task.Resources == nil {
		return nil
	}
	for _, n := range task.Resources.Networks {
		for _, p := range n.ReservedPorts {
			all = append(all, structs.Port{Label: p.Label, Value: p.Value})
		}
	}
	return all
}
