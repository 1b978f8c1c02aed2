//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/cluster"
)

// What is wrong with a config block is told by key with what to write, through a real
// agent. A block without any key never reaches the driver: the agent refuses it with "Root
// value must be object".
func TestJobs_configWords(t *testing.T) {
	c := newCluster(t)
	cases := map[string]struct {
		config string
		want   []string
	}{
		"empty":  {`network_mode = "none"`, []string{"config.image: must be set to the URL", "config.pot: must be set", "config.tag: must be set"}},
		"number": {`tag = 1.0`, []string{`config.tag: must be a string, in quotes, as in "1.0"`}},
		"host": {"network_mode = \"private-bridge\"\nbridge = \"nothing\"\ndigest = \"sha256:00\"",
			[]string{"config.bridge: no such bridge on this client", "pot create-private-bridge -B nothing", "config.digest: must be the image's skein1024, not its sha256"}},
	}
	for name, tc := range cases {
		text := job{name: name}.hcl(c)
		from, to := strings.Index(text, "config {"), strings.Index(text, "resources {")
		_, err := c.RunHCL(text[:from]+"config {\n"+tc.config+"\n}\n"+text[to:], "")
		must.NoError(t, err)
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			alloc, err := c.Alloc(ctx(t), name, api.AllocClientStatusFailed, api.AllocClientStatusComplete)
			must.NoError(t, err)
			for _, want := range tc.want {
				must.StrContains(t, cluster.Story(alloc), want)
			}
		})
	}
}
