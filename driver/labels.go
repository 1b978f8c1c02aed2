package driver

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-pot/image/conf"
)

// Labels of a pot's dataset, which name the task that the pot belongs to.
const (
	labelAlloc = "nomad.pot:alloc"
	labelTask  = conf.LabelTask // TaskID
)

// jobLabels are the labels that extra_labels of the plugin's configuration may add.
// They have the names that Nomad's docker driver gives them.
var jobLabels = map[string]func(*drivers.TaskConfig) string{
	"job_name":        func(c *drivers.TaskConfig) string { return c.JobName },
	"job_id":          func(c *drivers.TaskConfig) string { return c.JobID },
	"task_group_name": func(c *drivers.TaskConfig) string { return c.TaskGroupName },
	"task_name":       func(c *drivers.TaskConfig) string { return c.Name },
	"namespace":       func(c *drivers.TaskConfig) string { return c.Namespace },
	"node_name":       func(c *drivers.TaskConfig) string { return c.NodeName },
	"node_id":         func(c *drivers.TaskConfig) string { return c.NodeID },
}

// jobLabelNames returns the names of jobLabels, sorted.
func jobLabelNames() []string {
	var all []string
	for name := range jobLabels {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// extraLabels returns the names of jobLabels that match patterns. Each pattern must
// match at least one.
func extraLabels(f *problems, patterns []string) (names []string) {
	for i, pattern := range patterns {
		any := false
		for _, name := range jobLabelNames() {
			if ok, err := path.Match(pattern, name); err != nil || !ok {
				continue
			}
			any = true
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		if !any {
			f.add(fmt.Sprintf("extra_labels[%d]", i), "%q matches none of %s", pattern, list(jobLabelNames(), "and"))
		}
	}
	return names
}

// labels returns the labels of a task's pot: its own and those named in extra.
func labels(cfg *drivers.TaskConfig, extra []string) map[string]string {
	all := map[string]string{labelAlloc: cfg.AllocID, labelTask: cfg.ID}
	for _, name := range extra {
		if value := jobLabels[name](cfg); value != "" {
			all["nomad.pot:"+name] = oneField(value)
		}
	}
	return all
}

// maxLabel bounds a label that a job's author has chosen, in bytes. A property
// holds at most 8192 (zfsprops(7), User Properties).
const maxLabel = 1024

// oneField returns text as a label: zfs(8) lists properties in lines of fields, so
// it has no control characters, and is at most maxLabel long.
func oneField(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(text, "_"))
	if len(text) > maxLabel {
		text = strings.ToValidUTF8(text[:maxLabel], "")
	}
	return text
}
