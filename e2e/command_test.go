//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/cluster"
	"nomad-driver-pot/image/imagetest"
)

// published are commands as published job files have them, and the arguments that reach
// the program after "args", which has it print them.
var published = []struct {
	command, args string // args is HCL
	want          []string
	read          bool // by a shell's rules, as an event says
}{
	{`hello`, `["args", "-g", "'daemon off;'"]`, []string{"-g", "daemon off;"}, true},
	{`hello`, `["args", "-g 'daemon off;'"]`, []string{"-g", "daemon off;"}, true},
	{`hello`, `["args", " -g 'daemon off;'"]`, []string{"-g", "daemon off;"}, true},
	{`hello args -g 'daemon off;'`, ``, []string{"-g", "daemon off;"}, true},
	{`hello`, `["args", "server", "--config-dir /usr/local/etc/minio", "/minio"]`,
		[]string{"server", "--config-dir", "/usr/local/etc/minio", "/minio"}, true},
	{`hello args`, `[""]`, nil, true},
	{`/bin/hello`, `["args", "-h", "'Param 1'", "-n", "'Param 2'"]`, []string{"-h", "Param 1", "-n", "Param 2"}, true},
	{`/bin/hello`, `["args", "-a", "\"40 23 * * 6\""]`, []string{"-a", "40 23 * * 6"}, true},
	{`/bin/hello`, `["args", "-c", "echo 'a b'; ls"]`, []string{"-c", "echo 'a b'; ls"}, false},
	{`/bin/hello args -c ls`, ``, []string{"-c", "ls"}, true},
	{`/bin/hello`, `["args", "", "it's"]`, []string{"", "it's"}, false},
}

// Commands of published job files reach their programs as they did with
// nomad-pot-driver, through a real agent.
func TestJobs_publishedCommands(t *testing.T) {
	c := newCluster(t)
	var tasks strings.Builder
	for i, row := range published {
		config := fmt.Sprintf("command = %q\nnetwork_mode = \"none\"", row.command)
		if row.args != "" {
			config += "\nargs = " + row.args
		}
		fmt.Fprintf(&tasks, `
    task "row-%d" {
      driver = "pot"
      config {
        image = %q
        pot   = %q
        tag   = "1.0"
        %s
      }
      resources {
        cpu    = 20
        memory = 32
      }
    }`, i, c.Images, imagetest.HelloName, config)
	}
	id, err := c.RunHCL(fmt.Sprintf(`
job "published" {
  type = "batch"
  group "group" {
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }
    %s
  }
}`, tasks.String()), "")
	must.NoError(t, err)
	alloc, err := c.Alloc(ctx(t), id, api.AllocClientStatusComplete, api.AllocClientStatusFailed)
	must.NoError(t, err)
	must.Eq(t, api.AllocClientStatusComplete, alloc.ClientStatus, must.Sprint(cluster.Story(alloc)))
	for i, row := range published {
		t.Run(row.command+" "+row.args, func(t *testing.T) {
			task := fmt.Sprintf("row-%d", i)
			var want strings.Builder
			for n, arg := range append([]string{"args"}, row.want...) {
				fmt.Fprintf(&want, "%d %q\n", n+1, arg)
			}
			out, err := c.Says(ctx(t), alloc, task, want.String())
			must.NoError(t, err)
			must.StrNotContains(t, out, fmt.Sprintf("\n%d ", len(row.want)+2))
			events := 0
			for _, e := range alloc.TaskStates[task].Events {
				if strings.HasPrefix(e.DisplayMessage, "Read as a shell would") {
					events++
				}
			}
			if row.read {
				must.Eq(t, 1, events)
			} else {
				must.Eq(t, 0, events)
			}
		})
	}
}
