package driver

import (
	"strings"
	"testing"

	"github.com/hashicorp/nomad/client/lib/cpustats"
	"github.com/hashicorp/nomad/helper/pluginutils/hclspecutils"
	"github.com/hashicorp/nomad/helper/pluginutils/hclutils"
	"github.com/hashicorp/nomad/jobspec2"
	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/base"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/hashicorp/nomad/plugins/shared/hclspec"
	"github.com/shoenig/test/must"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/msgpack"

	"nomad-driver-pot/e2e/leak"
)

const (
	testAlloc = "6f3e6b3c-8f0e-4a35-9c2c-5d5b1f0a7c11"
	testID    = testAlloc + "/web/0badcafe"
)

// least is the smallest valid config.
const least = `
	image = "https://images.example.org/pots"
	pot   = "hello"
	tag   = "1.0"
`

// decode decodes a config block as Nomad does: from a job file, by its schema.
func decode(t testing.TB, spec *hclspec.Spec, body string) cty.Value {
	t.Helper()
	job, err := jobspec2.Parse("test.nomad.hcl", strings.NewReader(
		"job \"j\" {\ngroup \"g\" {\ntask \"web\" {\ndriver = \"pot\"\nconfig {\n"+body+"\n}\n}\n}\n}"))
	must.NoError(t, err)
	return value(t, spec, job.TaskGroups[0].Tasks[0].Config)
}

// value applies a schema to a config block that Nomad has parsed.
func value(t testing.TB, spec *hclspec.Spec, config map[string]any) cty.Value {
	t.Helper()
	return valueWith(t, spec, config, nil)
}

// valueWith is value for a task with that environment.
func valueWith(t testing.TB, spec *hclspec.Spec, config map[string]any, env map[string]cty.Value) cty.Value {
	t.Helper()
	schema, diags := hclspecutils.Convert(spec)
	must.False(t, diags.HasErrors(), must.Sprint(diags))
	v, diags, _ := hclutils.ParseHclInterface(config, schema, env)
	must.False(t, diags.HasErrors(), must.Sprint(diags))
	return v
}

// taskOf returns a task with that config block, as Nomad passes it to StartTask.
func taskOf(t testing.TB, body string) *drivers.TaskConfig {
	t.Helper()
	cfg := &drivers.TaskConfig{
		ID: testID, Name: "web", AllocID: testAlloc, AllocDir: "/nomad/alloc",
		Env: map[string]string{"A": "1"}, StdoutPath: "/nomad/out", StderrPath: "/nomad/err",
		Resources: &drivers.Resources{
			NomadResources: &structs.AllocatedTaskResources{},
			LinuxResources: &drivers.LinuxResources{},
		},
	}
	must.NoError(t, cfg.EncodeDriverConfig(decode(t, taskConfigSpec, body)))
	return cfg
}

// ports returns the ports of a group.
func ports(all ...structs.AllocatedPortMapping) *structs.AllocatedPorts {
	p := structs.AllocatedPorts(all)
	return &p
}

// packed returns a config block of the plugin, as Nomad passes it to SetConfig.
func packed(t testing.TB, body string) []byte {
	t.Helper()
	v := decode(t, configSpec, body)
	data, err := msgpack.Marshal(v, v.Type())
	must.NoError(t, err)
	return data
}

// configOf returns the plugin's configuration of a config block.
func configOf(t testing.TB, body string) *Config {
	t.Helper()
	c, err := decodeConfig(packed(t, body))
	must.NoError(t, err)
	return c
}

// backendOf returns a backend with the settings of a config block, and without a host.
func backendOf(t testing.TB, body string) *backend {
	t.Helper()
	s, err := configOf(t, body).settings("linux")
	must.NoError(t, err)
	return &backend{settings: s, compute: cpustats.Compute{TotalCompute: 8000, NumCores: 4}}
}

func TestDriver_PluginInfo(t *testing.T) {
	leak.Check(t, leak.Foreign)
	info, err := (&Driver{version: "1.2.3"}).PluginInfo()
	must.NoError(t, err)
	must.Eq(t, "pot", info.Name)
	must.Eq(t, "1.2.3", info.PluginVersion)
	must.Eq(t, base.PluginTypeDriver, info.Type)
}
