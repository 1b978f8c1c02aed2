package driver

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-pot/pot"
)

// Labels on a pot's dataset: whose it is.
const (
	labelAlloc = "nomad.pot:alloc"
	labelTask  = pot.LabelTask // TaskID
)

// jobLabels are those that an operator may ask for (extra_labels), by the names that
// Nomad's docker driver has for them.
var jobLabels = map[string]func(*drivers.TaskConfig) string{
	"job_name":        func(c *drivers.TaskConfig) string { return c.JobName },
	"job_id":          func(c *drivers.TaskConfig) string { return c.JobID },
	"task_group_name": func(c *drivers.TaskConfig) string { return c.TaskGroupName },
	"task_name":       func(c *drivers.TaskConfig) string { return c.Name },
	"namespace":       func(c *drivers.TaskConfig) string { return c.Namespace },
	"node_name":       func(c *drivers.TaskConfig) string { return c.NodeName },
	"node_id":         func(c *drivers.TaskConfig) string { return c.NodeID },
}

// jobLabelNames are their names, sorted.
func jobLabelNames() []string {
	var all []string
	for name := range jobLabels {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// extraLabels are the names that patterns match, each at least one.
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
			f.add(fmt.Sprintf("extra_labels[%d]", i), "must match one of %s, as %q does not", list(jobLabelNames(), "or"), pattern)
		}
	}
	return names
}

// labels are those of a task's pot. What a job calls itself may have anything in it, and
// zfs(8) lists properties in lines of fields.
func labels(cfg *drivers.TaskConfig, extra []string) map[string]string {
	all := map[string]string{labelAlloc: cfg.AllocID, labelTask: cfg.ID}
	for _, name := range extra {
		if value := jobLabels[name](cfg); value != "" {
			all["nomad.pot:"+name] = oneField(value)
		}
	}
	return all
}

// maxLabel bounds what a job's word makes of a label, in bytes: the most that a
// property holds is 8192 (zfsprops(7), User Properties).
const maxLabel = 1024

// oneField is text without what would end a field, and no longer than a label may be.
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
