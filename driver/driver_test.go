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

// least is the least that a config can be.
const least = `
	image = "https://images.example.org/pots"
	pot   = "hello"
	tag   = "1.0"
`

// decode takes a config block the way that Nomad does: out of a job file, and
// through the schema.
func decode(t testing.TB, spec *hclspec.Spec, body string) cty.Value {
	t.Helper()
	job, err := jobspec2.Parse("test.nomad.hcl", strings.NewReader(
		"job \"j\" {\ngroup \"g\" {\ntask \"web\" {\ndriver = \"pot\"\nconfig {\n"+body+"\n}\n}\n}\n}"))
	must.NoError(t, err)
	return value(t, spec, job.TaskGroups[0].Tasks[0].Config)
}

func value(t testing.TB, spec *hclspec.Spec, config map[string]any) cty.Value {
	t.Helper()
	schema, diags := hclspecutils.Convert(spec)
	must.False(t, diags.HasErrors(), must.Sprint(diags))
	v, diags, _ := hclutils.ParseHclInterface(config, schema, nil)
	must.False(t, diags.HasErrors(), must.Sprint(diags))
	return v
}

// taskOf is what Nomad gives StartTask for a config block.
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

// ports are a group's.
func ports(all ...structs.AllocatedPortMapping) *structs.AllocatedPorts {
	p := structs.AllocatedPorts(all)
	return &p
}

// configOf is the plugin's configuration for a config block.
func configOf(t testing.TB, body string) *Config {
	t.Helper()
	v := decode(t, configSpec, body)
	packed, err := msgpack.Marshal(v, v.Type())
	must.NoError(t, err)
	c, err := decodeConfig(packed)
	must.NoError(t, err)
	return c
}

// backendOf has the settings of a config block, and no host.
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
