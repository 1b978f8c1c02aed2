//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/cluster"
	"nomad-driver-pot/image/build"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/xz"
)

// bigName is an image that takes its time to be imported.
const bigName = "big"

// A plugin that is killed while it pulls an image is followed by one that goes on
// with it: the task runs, and nothing is left over.
func TestPull_killed(t *testing.T) {
	server := serveBig(t)
	file := bigName + "_1.0.xz"
	imports := func(c *cluster.Cluster) (all []string) {
		all, _ = filepath.Glob(filepath.Join(c.StateDir(), "jails", "_import-*"))
		return all
	}
	for _, phase := range []struct {
		name    string
		before  func()
		reached func(c *cluster.Cluster) error
		after   func(t *testing.T)
	}{
		{"in its download", func() { server.Fail(file, stallHalfWay) }, func(c *cluster.Cluster) error {
			got, _ := filepath.Glob(filepath.Join(c.StateDir(), "cache", ".*"))
			for _, name := range got {
				if info, err := os.Stat(name); err == nil && info.Size() > 1<<20 { // more than its description
					server.Fail(file, nil)
					return nil
				}
			}
			return fmt.Errorf("little has come: %q", got)
		}, func(t *testing.T) { must.SliceNotEmpty(t, server.Ranges(file)) }},
		{"in its import", func() {}, func(c *cluster.Cluster) error {
			if len(imports(c)) == 0 {
				return fmt.Errorf("it is not imported yet")
			}
			return nil
		}, func(*testing.T) {}},
	} {
		t.Run(phase.name, func(t *testing.T) {
			c := newClusterWith(t, cluster.Config{}, bigName+"_1_0")
			phase.before()
			id, err := c.RunHCL(job{name: "big", kind: "service", image: server.URL, pot: bigName}.hcl(c), "")
			must.NoError(t, err)
			for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
				err := phase.reached(c)
				if err == nil {
					break
				}
				must.True(t, time.Now().Before(end), must.Sprint(err, c.Tail()))
			}
			_, err = c.KillPlugin()
			must.NoError(t, err)
			alloc, err := c.Alloc(ctx(t), id, api.AllocClientStatusRunning, api.AllocClientStatusFailed)
			must.NoError(t, err)
			must.Eq(t, api.AllocClientStatusRunning, alloc.ClientStatus, must.Sprint(cluster.Story(alloc)))
			must.SliceEmpty(t, imports(c))
			phase.after(t)
			left, err := filepath.Glob(filepath.Join(c.StateDir(), "cache", ".*"))
			must.NoError(t, err)
			must.SliceEmpty(t, left)
		})
	}
}

// stallHalfWay sends half of a file and no more.
func stallHalfWay(w http.ResponseWriter, r *http.Request, data []byte) {
	w.Header().Set("ETag", imagetest.Tag(data))
	w.Header().Set("Content-Length", fmt.Sprint(len(data)))
	w.Write(data[:len(data)/2])
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

// serveBig serves an image of some thousand files and of the program of fates.
func serveBig(t *testing.T) *imagetest.Server {
	t.Helper()
	tree := imagetest.Programs(t, 40<<20)
	must.NoError(t, os.MkdirAll(tree+"/bin", 0o755))
	goBuild(t, ".", "-o", tree+"/bin/fate", "./testdata/fate")
	must.NoError(t, os.MkdirAll(tree+"/many", 0o755))
	for n := range 5000 {
		name := filepath.Join(tree, "many", fmt.Sprint(n))
		must.NoError(t, os.WriteFile(name, []byte(strings.Repeat("x", n)), 0o644))
	}
	a, err := build.Build(t.Context(), build.BuildOptions{
		Name: bigName, Tag: "1.0", Dir: t.TempDir(), From: tree,
		Conf: conf.New{Command: "/bin/fate"}, XZ: xz.WriteOptions{Workers: 2},
	})
	must.NoError(t, err)
	return serve(t, a)
}
