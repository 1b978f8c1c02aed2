//go:build e2e

package e2e

import (
	"fmt"
	"syscall"
	"time"

	"github.com/shoenig/test/must"
)

func init() {
	faults = append(faults,
		fault{name: "plugin killed", do: killPluginFault},
		fault{name: "plugin paused", do: pausePlugin},
		fault{name: "agent killed", do: killAgent},
		fault{name: "agent paused", do: pauseAgent},
		fault{name: "agent and plugin killed", do: killBoth},
		fault{name: "image server killed", do: killImages},
	)
}

func killPluginFault(x *chaos) {
	_, err := x.KillPlugin()
	must.NoError(x, err)
}

func pausePlugin(x *chaos) {
	pid, err := x.Plugin()
	must.NoError(x, err)
	must.NoError(x, syscall.Kill(pid, syscall.SIGSTOP))
	x.pause(3 * time.Second)
	must.NoError(x, syscall.Kill(pid, syscall.SIGCONT))
}

func killAgent(x *chaos) {
	x.KillAgent()
	x.pause(time.Second)
	must.NoError(x, x.StartAgent(ctx(x.T)))
}

func pauseAgent(x *chaos) {
	resume := x.PauseAgent()
	x.pause(3 * time.Second)
	resume()
}

func killBoth(x *chaos) {
	x.KillAgent()
	killPlugin(x.T, x.Cluster)
	must.NoError(x, x.StartAgent(ctx(x.T)))
}

// killImages has the image server away while a task needs it: its image is pulled anew.
func killImages(x *chaos) {
	x.StopImages()
	x.count++
	name := fmt.Sprintf("batch-%d", x.count)
	_, err := x.RunHCL(job{name: name, config: hello(fmt.Sprintf(`"exit", "%d"`, batchCode)) + "\nforce_pull = true"}.hcl(x.Cluster), "")
	must.NoError(x, err)
	x.batches = append(x.batches, name)
	x.pause(2 * time.Second)
	must.NoError(x, x.StartImages())
}
