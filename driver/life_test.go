package driver

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/image/imagetest"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
)

func TestDriver_life(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	cfg := b.task(t, `hostname = "web.example"`, "serve", ":8080")
	cfg.Resources.Ports = ports(structs.AllocatedPortMapping{Label: "http", Value: 28080, To: 8080, HostIP: "127.0.0.1"})
	handle, network := b.start(t, cfg)
	says(t, cfg, "serving on")

	t.Run("its network is told", func(t *testing.T) {
		must.StrHasPrefix(t, "10.213.", network.IP)
		must.Eq(t, map[string]int{"http": 8080}, network.PortMap)
		must.False(t, network.AutoAdvertise)
	})

	t.Run("its port is published", func(t *testing.T) {
		for _, addr := range []string{"127.0.0.1:28080", network.IP + ":8080"} {
			res, err := http.Get("http://" + addr)
			must.NoError(t, err)
			body, err := io.ReadAll(res.Body)
			must.NoError(t, err)
			must.Eq(t, "hello from web.example GET / HTTP/1.1\n", string(body))
		}
	})

	t.Run("it is running", func(t *testing.T) {
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

	t.Run("its environment is its own", func(t *testing.T) {
		env := b.exec(t, cfg.ID, "env")
		must.StrContains(t, env, "SECRET=planted-secret\n")
		must.StrContains(t, env, "NOMAD_PORT_http=8080\n")
		must.StrContains(t, env, "NOMAD_TASK_DIR=/local\n")
		must.StrNotContains(t, env, "GOCACHE=")
	})

	t.Run("the handle has no secret in it but Nomad's own words", func(t *testing.T) {
		must.StrNotContains(t, string(handle.DriverState), "planted-secret")
	})

	t.Run("a running task is not destroyed unless it is forced", func(t *testing.T) {
		must.ErrorContains(t, b.DestroyTask(cfg.ID, false), "cannot destroy task: it is running")
	})

	t.Run("it is not started twice", func(t *testing.T) {
		_, _, err := b.StartTask(cfg)
		must.ErrorContains(t, err, "is started already")
	})

	testEnd(t, b, cfg)
}

// testEnd stops and destroys a task that runs.
func testEnd(t *testing.T, b *bed, cfg *drivers.TaskConfig) {
	t.Run("it stops, and then again", func(t *testing.T) {
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

	t.Run("it is destroyed, and then again", func(t *testing.T) {
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

func TestDriver_mounts(t *testing.T) {
	leak.Check(t, leak.Foreign)
	volume, err := filepath.EvalSymlinks(t.TempDir())
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(volume+"/there", []byte("from the host\n"), 0o644))
	b := newBed(t, "volumes { enabled = true }")
	cfg := b.task(t, fmt.Sprintf("mount_read_only = [%q]", volume+":/by-path"), "sleep", "1h")
	cfg.Mounts = []*drivers.MountConfig{{HostPath: volume, TaskPath: "/volume"}}
	b.start(t, cfg)

	for target, dir := range map[string]string{
		"/alloc/data": filepath.Join(cfg.TaskDir().SharedAllocDir, "data"),
		"/local":      cfg.TaskDir().LocalDir,
		"/secrets":    cfg.TaskDir().SecretsDir,
		"/volume":     volume,
	} {
		t.Run("what is written to "+target+" is there", func(t *testing.T) {
			b.exec(t, cfg.ID, "write", target+"/new", "written in the pot")
			data, err := os.ReadFile(dir + "/new")
			must.NoError(t, err)
			must.Eq(t, "written in the pot\n", string(data))
		})
	}
	for _, target := range []string{"/alloc/logs", "/by-path"} {
		t.Run("nothing can be written to "+target, func(t *testing.T) {
			r, err := b.ExecTask(cfg.ID, []string{"/bin/hello", "write", target + "/new", "x"}, time.Minute)
			must.NoError(t, err)
			must.Eq(t, 1, r.ExitResult.ExitCode)
			must.StrContains(t, string(r.Stderr), "read-only file system")
		})
	}
	must.Eq(t, "from the host\n", b.exec(t, cfg.ID, "cat", "/by-path/there"))
}

func TestDriver_ends(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	for _, tc := range []struct {
		args         []string
		code, signal int
	}{
		{[]string{"exit", "0"}, 0, 0},
		{[]string{"exit", "3"}, 3, 0},
		{[]string{"kill", "15"}, 143, 15},
		{[]string{"kill", "9"}, 137, 9},
	} {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			cfg := b.task(t, `network_mode = "none"`, tc.args...)
			_, network := b.start(t, cfg)
			must.Nil(t, network)
			for range 2 { // at its end, and after
				result := b.wait(t, cfg.ID)
				must.Eq(t, tc.code, result.ExitCode)
				must.Eq(t, tc.signal, result.Signal)
				must.False(t, result.OOMKilled)
				must.NoError(t, result.Err)
			}
		})
	}
}

func TestDriver_waiters(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	cfg := b.task(t, `network_mode = "none"`, "sleep", "1h")
	b.start(t, cfg)

	t.Run("a waiter that gives up gets nothing", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		results, err := b.driver.WaitTask(ctx, cfg.ID)
		must.NoError(t, err)
		_, ok := <-results
		must.False(t, ok)
	})

	t.Run("each waiter gets one result, also when the task is destroyed", func(t *testing.T) {
		var got sync.WaitGroup
		for range 5 {
			results, err := b.driver.WaitTask(t.Context(), cfg.ID)
			must.NoError(t, err)
			got.Go(func() {
				result := <-results
				must.Eq(t, 137, result.ExitCode)
				_, more := <-results
				must.False(t, more)
			})
		}
		must.NoError(t, b.DestroyTask(cfg.ID, true))
		got.Wait()
	})
}

func TestDriver_signals(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	cfg := b.task(t, `network_mode = "none"`, "signals")
	b.start(t, cfg)
	says(t, cfg, "ready")

	t.Run("a signal arrives", func(t *testing.T) {
		must.NoError(t, b.SignalTask(cfg.ID, "SIGHUP"))
		says(t, cfg, "got hangup")
		must.NoError(t, b.SignalTask(cfg.ID, "usr1"))
		says(t, cfg, "got user defined signal 1")
	})

	t.Run("one that does not exist is refused", func(t *testing.T) {
		must.ErrorContains(t, b.SignalTask(cfg.ID, "SIGNOT"), `cannot signal task: no such signal: "SIGNOT"`)
	})

	t.Run("who does not listen is killed when the time is over", func(t *testing.T) {
		began := time.Now()
		must.NoError(t, b.StopTask(cfg.ID, time.Second, ""))
		must.Between(t, time.Second, time.Since(began), 3*time.Second)
		says(t, cfg, "got terminated")
		must.Eq(t, 137, b.wait(t, cfg.ID).ExitCode)
	})

	t.Run("one that has ended cannot be signalled", func(t *testing.T) {
		must.ErrorContains(t, b.SignalTask(cfg.ID, "SIGHUP"), "cannot signal task: the command: it has ended")
	})

	t.Run("a kill_signal that does not exist ends the task all the same", func(t *testing.T) {
		cfg := b.task(t, `network_mode = "none"`, "sleep", "1h")
		b.start(t, cfg)
		must.NoError(t, b.StopTask(cfg.ID, 5*time.Second, "SIGNOT"))
		must.Eq(t, 143, b.wait(t, cfg.ID).ExitCode)
	})

	t.Run("kill_signal is sent", func(t *testing.T) {
		cfg := b.task(t, `network_mode = "none"`, "signals")
		b.start(t, cfg)
		says(t, cfg, "ready")
		must.NoError(t, b.StopTask(cfg.ID, 5*time.Second, "SIGUSR2"))
		must.Eq(t, 0, b.wait(t, cfg.ID).ExitCode)
	})
}

func TestDriver_memory(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	need.Have(t, "limits", !slices.Contains([]string{"", "false"}, b.look(t, "driver.pot.limits")))
	cfg := b.task(t, `network_mode = "none"`, "eat", "200")
	b.start(t, cfg)
	result := b.wait(t, cfg.ID)
	must.Eq(t, 137, result.ExitCode)
	must.True(t, result.OOMKilled)
}

func TestDriver_ofOneImage(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	var all sync.WaitGroup
	for range 5 {
		cfg := b.task(t, `network_mode = "none"`, "sleep", "1h")
		all.Go(func() {
			_, _, err := b.StartTask(cfg)
			must.NoError(t, err)
		})
	}
	all.Wait()
	must.Eq(t, 1, b.server.Gets(imagetest.HelloName+"_1.0.xz"))
}

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
