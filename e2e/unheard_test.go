//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/cluster"
	"nomad-driver-pot/e2e/machine"
	"nomad-driver-pot/image/imagetest"
)

// An agent that is killed while it waits for a start never learns what became of it,
// and the plugin outlives it. The next agent starts the task again, and then there is one:
// the one that Nomad knows.
func TestStart_agentKilled(t *testing.T) {
	const xz = imagetest.HelloName + "_" + imagetest.HelloTag + ".xz"
	argv := []string{"/bin/hello", "signals"}
	c := newClusterWith(t, cluster.Config{Driver: `
		gc {
			interval       = "1s"
			creation_grace = "5s"
		}`})
	server := imagetest.NewServer(t)
	release := make(chan struct{})
	released := sync.OnceFunc(func() { close(release) })
	t.Cleanup(released) // a server that holds an answer does not end
	server.Fail(xz, func(w http.ResponseWriter, r *http.Request, file []byte) {
		<-release
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file))
	})
	id, err := c.RunHCL(job{name: "twice", kind: "service", image: server.URL, config: hello(`"signals"`)}.hcl(c), "")
	must.NoError(t, err)
	until(t, func() error {
		if server.Gets(xz) == 0 {
			return fmt.Errorf("the image is not fetched yet")
		}
		return nil
	})
	plugin, err := c.Plugin()
	must.NoError(t, err)
	c.KillAgent()
	released()
	var first int
	until(t, func() error {
		found := pidsOf(t, argv)
		if len(found) != 1 {
			return fmt.Errorf("%d are started", len(found))
		}
		first = found[0]
		return nil
	})

	must.NoError(t, c.StartAgent(ctx(t)))
	now, err := c.Plugin()
	must.NoError(t, err)
	must.Eq(t, plugin, now)
	alloc, err := c.Alloc(ctx(t), id, api.AllocClientStatusRunning, api.AllocClientStatusFailed)
	must.NoError(t, err)
	must.Eq(t, api.AllocClientStatusRunning, alloc.ClientStatus, must.Sprint(cluster.Story(alloc)))
	until(t, func() error {
		if found := pidsOf(t, argv); len(found) != 1 || found[0] == first {
			return fmt.Errorf("%d was started first, and there are %d", first, found)
		}
		return nil
	})
	alloc, err = c.Alloc(ctx(t), id, api.AllocClientStatusRunning)
	must.NoError(t, err)
	_, err = c.Says(ctx(t), alloc, "task", "ready")
	must.NoError(t, err)
	code, out, err := c.Exec(ctx(t), alloc, "task", "/bin/hello", "id")
	must.NoError(t, err)
	must.Eq(t, 0, code, must.Sprint(out))
}

// pidsOf are the process IDs of all on this machine with this command line.
func pidsOf(t *testing.T, argv []string) (found []int) {
	t.Helper()
	all, err := machine.Processes()
	must.NoError(t, err)
	for _, p := range all {
		if slices.Equal(p.Argv, argv) {
			found = append(found, p.PID)
		}
	}
	return found
}
