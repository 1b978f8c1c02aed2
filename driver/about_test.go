package driver

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/jobspec2"
	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/shared/hclspec"
	"github.com/shoenig/test/must"
	"github.com/zclconf/go-cty/cty"

	"nomad-driver-pot/e2e/leak"
)

// keys returns the keys of a schema, as in "cache.dir" for one in a block.
func keys(spec *hclspec.Spec, prefix string) []string {
	var all []string
	for key, of := range spec.GetObject().GetAttributes() {
		if block := of.GetBlockValue(); block != nil {
			all = append(all, keys(block.Nested, prefix+key+".")...)
			continue
		}
		all = append(all, prefix+key)
	}
	slices.Sort(all)
	return all
}

// tags returns the codec tags of a struct, in the same form.
func tags(t reflect.Type, prefix string) []string {
	var all []string
	for i := range t.NumField() {
		tag := t.Field(i).Tag.Get("codec")
		if inner := t.Field(i).Type; inner.Kind() == reflect.Struct {
			all = append(all, tags(inner, prefix+tag+".")...)
			continue
		}
		all = append(all, prefix+tag)
	}
	slices.Sort(all)
	return all
}

// The schema and the struct have the same keys.
func TestAbout_keys(t *testing.T) {
	leak.Check(t, leak.Foreign)
	must.Eq(t, keys(configSpec, ""), tags(reflect.TypeFor[Config](), ""))
	must.Eq(t, keys(taskConfigSpec, ""), tags(reflect.TypeFor[TaskConfig](), ""))
}

// The README describes each key, and no other.
func TestAbout_readme(t *testing.T) {
	leak.Check(t, leak.Foreign)
	text, err := os.ReadFile("../README.md")
	must.NoError(t, err)
	for section, spec := range map[string]*hclspec.Spec{"Plugin configuration": configSpec, "Task configuration": taskConfigSpec} {
		_, body, found := strings.Cut(string(text), "\n## "+section+"\n")
		must.True(t, found, must.Sprint(section))
		body, _, _ = strings.Cut(body, "\n## ")
		var described []string
		for line := range strings.Lines(body) {
			if item, ok := strings.CutPrefix(line, "- `"); ok {
				key, _, _ := strings.Cut(item, "`")
				described = append(described, key)
			}
		}
		slices.Sort(described)
		must.Eq(t, keys(spec, ""), described, must.Sprint(section))
	}
}

// Every key of nomad-pot-driver 0.10 is still one of a task's config.
func TestAbout_oldKeys(t *testing.T) {
	leak.Check(t, leak.Foreign)
	have := keys(taskConfigSpec, "")
	for _, key := range []string{"image", "pot", "tag", "command", "args", "port_map", "network_mode", "mount", "copy", "mount_read_only", "extra_hosts", "attributes"} {
		must.SliceContains(t, have, key)
	}
}

// Every example job is valid, says how to run it, and has an image that can be replaced.
func TestAbout_exampleJobs(t *testing.T) {
	leak.Check(t, leak.Foreign)
	files, err := filepath.Glob("../example-jobs/*.nomad.hcl")
	must.NoError(t, err)
	must.SliceNotEmpty(t, files)
	readme, err := os.ReadFile("../README.md")
	must.NoError(t, err)
	data := t.TempDir()
	operator := backendOf(t, `
		allowed_network_modes = ["public-bridge", "private-bridge", "alias"]
		allow_attributes      = ["exec_stop", "no-tmpfs"]
		volumes { enabled = true }`)
	for _, file := range files {
		base := filepath.Base(file)
		t.Run(base+" is valid", func(t *testing.T) {
			text, err := os.ReadFile(file)
			must.NoError(t, err)
			must.StrHasPrefix(t, "# ", string(text))
			must.StrContains(t, string(text), "\n#     nomad job run -var image=URL -var pot=NAME ")
			must.StrContains(t, string(text), " example-jobs/"+base+"\n")
			must.StrContains(t, string(readme), "(example-jobs/"+base+")")
			parse := &jobspec2.ParseConfig{Path: file, Body: text, Strict: true}
			if bytes.Contains(text, []byte(`variable "data"`)) {
				parse.ArgVars = []string{"data=" + data}
			}
			job, err := jobspec2.ParseWithConfig(parse)
			must.NoError(t, err)
			must.Eq(t, strings.TrimSuffix(base, ".nomad.hcl"), *job.ID)
			have := keys(taskConfigSpec, "")
			for _, group := range job.TaskGroups {
				for _, task := range group.Tasks {
					must.Eq(t, pluginName, task.Driver)
					for _, key := range slices.Sorted(maps.Keys(task.Config)) {
						must.True(t, slices.ContainsFunc(have, func(k string) bool { return k == key || strings.HasPrefix(k, key+".") }), must.Sprint(key))
					}
					cfg := taskOf(t, least)
					env := map[string]cty.Value{"IMAGES_TOKEN": cty.StringVal("token")} // of a template
					must.NoError(t, cfg.EncodeDriverConfig(valueWith(t, taskConfigSpec, task.Config, env)))
					cfg.Resources.LinuxResources.PercentTicks = 0.1
					cfg.Resources.Ports = ports(
						structs.AllocatedPortMapping{Label: "http", Value: 25000, To: 8080},
						structs.AllocatedPortMapping{Label: "metrics", Value: 25001, To: 9090})
					p, err := operator.plan(cfg)
					must.NoError(t, err)
					must.Eq(t, "http://127.0.0.1:8000/pots/hello-linux:1.0", p.ref.String())
				}
			}
		})
	}
}
