package driver

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/jobspec2"
	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/shared/hclspec"
	"github.com/shoenig/test/must"
	"github.com/zclconf/go-cty/cty"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/image/xz"
	"nomad-driver-pot/pot/potconf"
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

// documented are the parts of docs/configuration.md, by title: what it has for each key.
func documented(t *testing.T, title string) map[string]document {
	t.Helper()
	text, err := os.ReadFile("../docs/configuration.md")
	must.NoError(t, err)
	_, body, found := strings.Cut(string(text), "\n## "+title+"\n")
	must.True(t, found, must.Sprint(title))
	body, _, _ = strings.Cut(body, "\n## ")
	all := map[string]document{}
	for _, part := range strings.Split(body, "\n### `")[1:] {
		key, rest, _ := strings.Cut(part, "`\n\n")
		kind, rest, _ := strings.Cut(rest, "\n")
		_, rest, _ = strings.Cut(rest, "\n```hcl\n")
		example, _, _ := strings.Cut(rest, "\n```")
		_, byDefault, _ := strings.Cut(kind, ", default ")
		all[key] = document{byDefault: byDefault, example: example}
	}
	return all
}

// document is what docs/configuration.md has for a key.
type document struct{ byDefault, example string }

// docs/configuration.md has each key of the plugin. An example is accepted as it is, but for
// the files that it names, and a default in one word is the default.
func TestAbout_pluginDocumented(t *testing.T) {
	leak.Check(t, leak.Foreign)
	all := documented(t, "Plugin configuration")
	must.Eq(t, keys(configSpec, ""), slices.Sorted(maps.Keys(all)))
	settingsOf := func(t *testing.T, text, host string) settings {
		s, err := configOf(t, text).settings(host)
		must.NoError(t, err)
		s.pull.Decode.Memory = cmp.Or(s.pull.Decode.Memory, xz.DefaultMemory) // as package xz does
		return s
	}
	defaults := 0
	for key, doc := range all {
		t.Run("the example of "+key, func(t *testing.T) {
			_, err := configOf(t, doc.example).settings("freebsd")
			if err != nil { // of a file that is not here
				must.StrHasPrefix(t, key+": ", err.Error())
				must.StrContains(t, err.Error(), "no such file")
			}
		})
		literal, ok := strings.CutPrefix(doc.byDefault, "`")
		literal, rest, _ := strings.Cut(literal, "`")
		if !ok || rest != "" {
			continue
		}
		defaults++
		t.Run("the default of "+key, func(t *testing.T) {
			value := literal
			if attributeOf(configSpec, key) == "string" {
				value = strconv.Quote(literal)
			}
			text := key + " = " + value
			if block, below, nested := strings.Cut(key, "."); nested {
				text = fmt.Sprintf("%s {\n%s = %s\n}", block, below, value)
			}
			must.Eq(t, settingsOf(t, "", "freebsd"), settingsOf(t, text, "freebsd"))
		})
	}
	must.Greater(t, 15, defaults)
	for _, host := range []string{"freebsd", "linux"} {
		s := settingsOf(t, "", host)
		must.StrContains(t, all["fs_root"].byDefault, "`"+s.host.Dir+"`")
		must.StrContains(t, all["cache.dir"].byDefault, "`"+strings.TrimPrefix(s.potConfig.System.Cache, s.host.Dir+"/")+"`")
		must.StrContains(t, all["pot_config"].byDefault, potconf.PathsFor(host).PotConfig)
	}
}

// attributeOf returns the type of a key of a schema.
func attributeOf(spec *hclspec.Spec, key string) string {
	name, below, nested := strings.Cut(key, ".")
	of := spec.GetObject().GetAttributes()[name]
	if nested {
		return attributeOf(of.GetBlockValue().Nested, below)
	}
	return of.GetAttr().GetType()
}

// docs/configuration.md has each key of a task, with an example that is a valid job.
func TestAbout_taskDocumented(t *testing.T) {
	leak.Check(t, leak.Foreign)
	all := documented(t, "Task configuration")
	must.Eq(t, keys(taskConfigSpec, ""), slices.Sorted(maps.Keys(all)))
	b := backendOf(t, "volumes { enabled = true }\nallowed_network_modes = [\"public-bridge\", \"private-bridge\", \"host\", \"alias\", \"task\", \"group\"]")
	b.allowAttributes = conf.TaskAttributes()
	for key, doc := range all {
		t.Run("the example of "+key, func(t *testing.T) {
			body := doc.example
			for line := range strings.Lines(strings.TrimSpace(least)) {
				if strings.Fields(line)[0] != strings.Fields(doc.example)[0] {
					body += "\n" + line
				}
			}
			body = strings.ReplaceAll(body, "skein1024:DIGITS", "skein1024:"+strings.Repeat("0a", 128))
			cfg := taskOf(t, body)
			cfg.AllocDir = t.TempDir()
			local := cfg.TaskDir().LocalDir
			must.NoError(t, os.MkdirAll(filepath.Join(local, "www"), 0o700))
			for _, file := range []string{"nginx.conf", "motd"} {
				must.NoError(t, os.WriteFile(filepath.Join(local, file), nil, 0o600))
			}
			cfg.Resources.LinuxResources.PercentTicks = 0.1
			cfg.Resources.Ports = ports(structs.AllocatedPortMapping{Label: "http", Value: 20000})
			_, err := b.plan(cfg)
			if err != nil { // of a file that is not here
				must.StrHasPrefix(t, "config."+key+": ", err.Error())
				must.StrContains(t, err.Error(), "no such file")
			}
		})
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
		allowed_network_modes = ["public-bridge", "private-bridge", "alias", "task", "group"]
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
					cfg.ID = testAlloc + "/" + task.Name + "/0badcafe"
					env := map[string]cty.Value{"IMAGES_TOKEN": cty.StringVal("token")} // of a template
					must.NoError(t, cfg.EncodeDriverConfig(valueWith(t, taskConfigSpec, task.Config, env)))
					cfg.Resources.LinuxResources.PercentTicks = 0.1
					cfg.Resources.Ports = ports(
						structs.AllocatedPortMapping{Label: "http", Value: 25000, To: 8080},
						structs.AllocatedPortMapping{Label: "metrics", Value: 25001, To: 9090},
						structs.AllocatedPortMapping{Label: "proxy", Value: 25002, To: 9090})
					p, err := operator.plan(cfg)
					must.NoError(t, err)
					must.SliceContains(t, []string{"http://127.0.0.1:8000/pots/hello-linux:1.0", "http://127.0.0.1:8000/pots/sidecar:1.0"}, p.ref.String())
				}
			}
		})
	}
}
