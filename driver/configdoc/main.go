// Configdoc writes docs/configuration.md, for `make docs`: each key of the plugin's and of a
// task's configuration. Types come from the schemas that the driver gives to Nomad; defaults,
// meanings and examples from plugin.md and task.md beside this file; the end is nomad.md.
package main

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/hashicorp/nomad/plugins/shared/hclspec"

	"nomad-driver-pot/driver"
)

//go:embed plugin.md
var pluginTexts string

//go:embed task.md
var taskTexts string

//go:embed nomad.md
var nomadPart string // what is no key of the driver's

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: configdoc FILE")
		os.Exit(2)
	}
	page, err := document()
	if err == nil {
		err = os.WriteFile(os.Args[1], []byte(page), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "configdoc: cannot write the document:", err)
		os.Exit(1)
	}
}

const preface = `<!-- Written by "make docs" from driver/configdoc; changes here are lost. -->

# Configuration

Every key, with its type and its default. Nomad refuses other keys. Sizes are written as in ` + "`2GiB`" + `, times as in ` + "`90s`" + ` or ` + "`5m`" + `.
All problems of a configuration or of a job are reported at once, each with its key.

`

const pluginPreface = `The block that the Nomad agent's configuration has for the driver. All keys are optional:

` + "```hcl" + `
plugin "nomad-driver-pot" {
  config {
    network = "10.192.0.0/10"

    cache {
      max_size = "20GiB"
    }
  }
}
` + "```" + `

The label is the name of the program's file in ` + "`plugin_dir`" + `. Without the block, or with any other label, the agent only logs
` + "`plugin not referenced in the agent configuration file, loading skipped`" + `, and jobs find no driver.

The examples below are contents of ` + "`config`" + `. A key with a dot is in a block: ` + "`cache.dir`" + ` is ` + "`dir`" + ` in ` + "`cache { }`" + `.

`

const taskPreface = `The block ` + "`config { }`" + ` of a task with ` + "`driver = \"pot\"`" + `:

` + "```hcl" + `
task "web" {
  driver = "pot"

  config {
    image = "https://images.example.org/pots"
    pot   = "web"
    tag   = "1.0"
  }
}
` + "```" + `

The examples below are contents of ` + "`config`" + `.

`

// document returns the page.
func document() (string, error) {
	d := new(driver.Driver) // its schemas need no more
	plugin, err := d.ConfigSchema()
	if err != nil {
		return "", err
	}
	task, err := d.TaskConfigSchema()
	if err != nil {
		return "", err
	}
	pluginPart, err := section("Plugin configuration", pluginPreface, pluginTexts, keys(plugin, ""))
	if err != nil {
		return "", fmt.Errorf("plugin.md: %w", err)
	}
	taskPart, err := section("Task configuration", taskPreface, taskTexts, keys(task, ""))
	if err != nil {
		return "", fmt.Errorf("task.md: %w", err)
	}
	return preface + pluginPart + "\n" + taskPart + "\n" + nomadPart, nil
}

// key is what a schema says about a key.
type key struct {
	kind     string // as in "list(string)"
	required bool
}

// keys returns the keys of a schema, as in "cache.dir" for one in a block.
func keys(spec *hclspec.Spec, prefix string) map[string]key {
	all := map[string]key{}
	for name, of := range spec.GetObject().GetAttributes() {
		if block := of.GetBlockValue(); block != nil {
			for below, k := range keys(block.Nested, prefix+name+".") {
				all[below] = k
			}
			continue
		}
		attr := of.GetAttr()
		if d := of.GetDefault(); d != nil {
			attr = d.Primary.GetAttr()
		}
		all[prefix+name] = key{kind: attr.GetType(), required: attr.GetRequired()}
	}
	return all
}

// text is what is written about a key.
type text struct {
	key       string
	kind      string // the type, where the schema takes any
	required  bool
	byDefault string
	body      string
}

// parse returns the texts of a file. Each has a heading with the key, a line "default: ..."
// or "required", for a key that the schema gives no type a line "type: ...", and its
// meaning with examples.
func parse(file string) (all []text) {
	for part := range strings.SplitSeq("\n"+file, "\n## ") {
		name, body, _ := strings.Cut(part, "\n")
		if name == "" {
			continue
		}
		t := text{key: name}
		for {
			line, rest, _ := strings.Cut(body, "\n")
			byDefault, hasDefault := strings.CutPrefix(line, "default: ")
			kind, hasKind := strings.CutPrefix(line, "type: ")
			switch {
			case hasDefault:
				t.byDefault = byDefault
			case hasKind:
				t.kind = kind
			case line == "required":
				t.required = true
			default:
				t.body = strings.TrimSpace(body)
			}
			if t.body != "" || rest == "" {
				break
			}
			body = rest
		}
		all = append(all, t)
	}
	return all
}

// section returns the part of the page about one schema. Its error names every key without a
// text or an example, and every text without a key.
func section(title, preface, file string, schema map[string]key) (string, error) {
	var errs []error
	var table, body strings.Builder
	written := map[string]bool{}
	for _, t := range parse(file) {
		k, ok := schema[t.key]
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("no such key: %s", t.key))
		case written[t.key]:
			errs = append(errs, fmt.Errorf("%s is described twice", t.key))
		case t.required == (t.byDefault != "") || k.required && !t.required:
			errs = append(errs, fmt.Errorf("%s: a key is required or has a default", t.key))
		case t.kind != "" && t.kind != k.kind && k.kind != "any" || t.kind == "" && k.kind == "any":
			errs = append(errs, fmt.Errorf("%s: its type is %s", t.key, k.kind))
		case strings.HasPrefix(t.body, "```") || !strings.Contains(t.body, "\n```hcl\n"):
			errs = append(errs, fmt.Errorf("%s: needs a meaning and an example", t.key))
		}
		written[t.key] = true
		byDefault := "default " + t.byDefault
		if t.required {
			byDefault = "required"
		}
		if t.kind != "" {
			k.kind = t.kind
		}
		fmt.Fprintf(&table, "| [`%s`](#%s) | %s | %s |\n", t.key, anchor(t.key), k.kind, strings.TrimPrefix(byDefault, "default "))
		fmt.Fprintf(&body, "\n### `%s`\n\n%s, %s\n\n%s\n", t.key, k.kind, byDefault, t.body)
	}
	for name := range schema {
		if !written[name] {
			errs = append(errs, fmt.Errorf("%s has no text", name))
		}
	}
	return "## " + title + "\n\n" + preface + "| key | type | default |\n|---|---|---|\n" + table.String() + body.String(), errors.Join(errs...)
}

// anchor returns the fragment of the URL of a key's heading, as GitHub makes it.
func anchor(key string) string { return strings.ReplaceAll(key, ".", "") }
