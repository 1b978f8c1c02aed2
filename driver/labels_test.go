package driver

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestLabels(t *testing.T) {
	leak.Check(t, leak.Foreign)
	cfg := taskOf(t, least)
	cfg.JobName, cfg.JobID, cfg.TaskGroupName, cfg.Namespace = "a job\nnomad.pot:task\tx", "job", strings.Repeat("é", 600), "\xff"
	cfg.NodeName, cfg.NodeID = "node", ""
	labels := func(config string) map[string]string {
		p, err := backendOf(t, config).plan(cfg)
		must.NoError(t, err)
		return p.spec.Labels
	}
	least := map[string]string{labelAlloc: testAlloc, labelTask: testID}
	must.Eq(t, least, labels(""))
	least["nomad.pot:job_id"] = "job"
	least["nomad.pot:job_name"] = "a job_nomad.pot:task_x"
	must.Eq(t, least, labels(`extra_labels = ["job_*"]`))
	least["nomad.pot:task_group_name"] = strings.Repeat("é", 512)
	least["nomad.pot:task_name"] = cfg.Name
	least["nomad.pot:namespace"] = "_"
	least["nomad.pot:node_name"] = "node"
	must.Eq(t, least, labels(`extra_labels = ["job_name", "*"]`), must.Sprint("an empty value is not a label"))
}
