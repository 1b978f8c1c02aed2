package driver

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/imagetest"
)

// A task with a port is started, inspected, stopped and destroyed.
func TestDriver_lifecycle(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	cfg := b.task(t, `hostname = "web.example"`, "serve", ":8080")
	cfg.Resources.Ports = ports(structs.AllocatedPortMapping{Label: "http", Value: 28080, To: 8080, HostIP: "127.0.0.1"})
	handle, network := b.start(t, cfg)
	waitForOutput(t, cfg, "serving on")

	t.Run("Nomad gets its network, and does not advertise it", func(t *testing.T) {
		must.StrHasPrefix(t, "10.213.", network.IP)
		must.Eq(t, map[string]int{"http": 8080}, network.PortMap)
		must.False(t, network.AutoAdvertise)
	})

	t.Run("its port is reachable on the host and on the bridge", func(t *testing.T) {
		for _, addr := range []string{"127.0.0.1:28080", network.IP + ":8080"} {
			res, err := http.Get("http://" + addr)
			must.NoError(t, err)
			body, err := io.ReadAll(res.Body)
			must.NoError(t, err)
			must.Eq(t, "hello from web.example GET / HTTP/1.1\n", string(body))
		}
	})

	t.Run("it is inspected as running", func(t *testing.T) {
		must.NoError(t, b.WaitUntilStarted(cfg.ID, time.Second))
		status, err := b.InspectTask(cfg.ID)
		must.NoError(t, err)
		must.Eq(t, drivers.TaskStateRunning, status.State)
		must.Eq(t, "web", status.Name)
		must.Eq(t, network.IP, status.DriverAttributes["ip"])
		must.Eq(t, b.server.URL+"/"+imagetest.HelloName+":1.0", status.DriverAttributes["image"])
		must.StrHasPrefix(t, "skein1024:", status.DriverAttributes["digest"])
		must.MapContainsKey(t, status.DriverAttributes, "pid")
		must.Between(t, 0, time.Since(status.StartedAt), time.Minute)
	})

	t.Run("its environment is the job's, and not the plugin's", func(t *testing.T) {
		env := b.exec(t, cfg.ID, "env")
		must.StrContains(t, env, "SECRET=planted-secret\n")
		must.StrContains(t, env, "NOMAD_PORT_http=8080\n")
		must.StrContains(t, env, "NOMAD_TASK_DIR=/local\n")
		must.StrNotContains(t, env, "GOCACHE=")
	})

	t.Run("the driver's part of the handle has no secret", func(t *testing.T) {
		must.StrNotContains(t, string(handle.DriverState), "planted-secret")
	})

	t.Run("it is not destroyed while it runs, without force", func(t *testing.T) {
		must.ErrorContains(t, b.DestroyTask(cfg.ID, false), "cannot destroy task: it is running")
	})

	t.Run("it is not started twice", func(t *testing.T) {
		_, _, err := b.StartTask(cfg)
		must.ErrorContains(t, err, "is already started")
	})

	testEnd(t, b, cfg)
}

// testEnd stops and destroys a task that runs.
func testEnd(t *testing.T, b *bed, cfg *drivers.TaskConfig) {
	t.Run("it can be stopped twice", func(t *testing.T) {
		began := time.Now()
		must.NoError(t, b.StopTask(cfg.ID, 10*time.Second, "SIGTERM"))
		must.Less(t, 5*time.Second, time.Since(began))
		result := b.wait(t, cfg.ID)
		must.Eq(t, 143, result.ExitCode)
		must.Eq(t, 15, result.Signal)
		must.False(t, result.OOMKilled)
		must.NoError(t, result.Err)
		must.NoError(t, b.StopTask(cfg.ID, 10*time.Second, ""))
		status, err := b.InspectTask(cfg.ID)
		must.NoError(t, err)
		must.Eq(t, drivers.TaskStateExited, status.State)
		must.Eq(t, 143, status.ExitResult.ExitCode)
		must.False(t, status.CompletedAt.IsZero())
	})

	t.Run("it can be destroyed twice", func(t *testing.T) {
		must.NoError(t, b.DestroyTask(cfg.ID, false))
		must.NoError(t, b.DestroyTask(cfg.ID, false))
		nothingLeft(t, b.dir)
		_, err := b.driver.WaitTask(t.Context(), cfg.ID)
		must.ErrorIs(t, err, drivers.ErrTaskNotFound)
		_, err = b.InspectTask(cfg.ID)
		must.ErrorContains(t, err, drivers.ErrTaskNotFound.Error())
		must.NoError(t, b.StopTask(cfg.ID, time.Second, ""))
	})
}

// Twenty tasks in a row leave nothing behind. The log has their start times.
func TestDriver_repeated(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	var times []time.Duration
	for range 20 {
		cfg := b.task(t, "", "sleep", "1h")
		began := time.Now()
		b.start(t, cfg)
		times = append(times, time.Since(began))
		must.NoError(t, b.StopTask(cfg.ID, time.Second, ""))
		must.NoError(t, b.DestroyTask(cfg.ID, true))
	}
	nothingLeft(t, b.dir)
	text, err := json.Marshal(times)
	must.NoError(t, err)
	t.Logf("starts, in ns: %s", text)
}
