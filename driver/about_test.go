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
	"github.com/hashicorp/nomad/plugins/shared/hclspec"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image"
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

// Every example job is valid.
func TestAbout_exampleJobs(t *testing.T) {
	leak.Check(t, leak.Foreign)
	files, err := filepath.Glob("../example-jobs/*.nomad.hcl")
	must.NoError(t, err)
	must.SliceNotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file)+" is valid", func(t *testing.T) {
			text, err := os.ReadFile(file)
			must.NoError(t, err)
			must.StrHasPrefix(t, "# ", string(text))
			job, err := jobspec2.Parse(file, bytes.NewReader(text))
			must.NoError(t, err)
			must.Eq(t, strings.TrimSuffix(filepath.Base(file), ".nomad.hcl"), *job.ID)
			have := keys(taskConfigSpec, "")
			for _, group := range job.TaskGroups {
				for _, task := range group.Tasks {
					must.Eq(t, pluginName, task.Driver)
					for _, key := range slices.Sorted(maps.Keys(task.Config)) {
						must.SliceContains(t, have, key)
					}
					cfg := taskOf(t, least)
					must.NoError(t, cfg.EncodeDriverConfig(value(t, taskConfigSpec, task.Config)))
					p, err := backendOf(t, "").plan(cfg)
					must.NoError(t, err)
					must.Eq(t, image.Ref{Source: "http://127.0.0.1:8000/pots", Name: "hello-linux", Tag: "1.0"}, p.ref)
				}
			}
		})
	}
}
