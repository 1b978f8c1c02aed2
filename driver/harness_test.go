package driver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/client/lib/numalib"
	"github.com/hashicorp/nomad/helper/uuid"
	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/base"
	"github.com/hashicorp/nomad/plugins/drivers"
	dtestutil "github.com/hashicorp/nomad/plugins/drivers/testutils"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/machine"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/e2e/syncbuf"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/hosttest"
	"nomad-driver-pot/pot/native"
	"nomad-driver-pot/pot/potconf"
)

// A network of its own: tests of other packages make pots at the same time.
const (
	testNetwork = "10.213.0.0/16"
	testGateway = "10.213.0.1"
)

var (
	supervisor  string        // path of pot-supervisor
	stateBefore machine.State // the machine before the test
)

func TestMain(m *testing.M) {
	os.Exit(leak.Run(func() int {
		if os.Geteuid() != 0 {
			return m.Run()
		}
		dir, err := os.MkdirTemp("", "driver-test-")
		noError(err)
		defer os.RemoveAll(dir)
		supervisor, err = hosttest.BuildIn(dir, "nomad-driver-pot/pot/supervise/pot-supervisor")
		noError(err)
		defer removeHarnessFiles()
		return m.Run()
	}, leak.Foreign))
}

// removeHarnessFiles removes what Nomad's harness leaves in the temporary directory:
// sockets, and directories, which must be empty.
func removeHarnessFiles() {
	for _, pattern := range []string{"plugin*", "nomad_driver_harness-*"} {
		found, err := filepath.Glob(filepath.Join(os.TempDir(), pattern))
		noError(err)
		for _, name := range found {
			noError(os.Remove(name))
		}
	}
}

func noError(err error) {
	if err != nil {
		panic(err)
	}
}

// bed is a driver on this machine's host, which tests call by gRPC, and a server of
// images.
type bed struct {
	*dtestutil.DriverHarness
	t      testing.TB
	driver *Driver
	server *imagetest.Server
	dir    string
	config string

	logged  syncbuf.Buffer                    // all that the drivers have
	wrap    func(*pot.Host)                   // changes the host; may be nil
	version string                            // of the drivers that are opened
	used    map[*dtestutil.DriverHarness]bool // the harnesses that have made a task, and are killed with its directories

	// unlogged makes tasks without a log collector. At its end a collector waits for
	// seconds if its task never wrote anything.
	unlogged bool
}

// newBed needs root. At the end of the test nothing of the driver's is left.
func newBed(t testing.TB, config string) *bed {
	t.Helper()
	need.Have(t, "root", os.Geteuid() == 0)
	need.Have(t, "a host for pots", native.Name != "")
	t.Cleanup(removeHarnessFiles)
	hosttest.Alone(t)
	b := &bed{t: t, server: imagetest.NewServer(t), dir: t.TempDir(), version: "1.2.3", used: map[*dtestutil.DriverHarness]bool{}}
	scratch, remove, err := machine.Scratch(t.TempDir())
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, remove()) })
	if scratch != "" {
		config += fmt.Sprintf("\nzfs_root = %q\ncache { dir = %q }", scratch, b.dir+"/cache")
	}
	stateBefore, err = machine.Look(b.dir)
	must.NoError(t, err)
	b.config = fmt.Sprintf(`
		fs_root    = %q
		network    = %q
		supervisor = %q
		%s`, b.dir, testNetwork, supervisor, config)
	t.Cleanup(func() { nothingLeft(t, b.dir) })
	b.open(t)
	return b
}

// host opens this machine's host.
func (b *bed) host(c potconf.HostConfig) (pot.Host, error) {
	h, err := native.Open(c)
	if err == nil && b.wrap != nil {
		b.wrap(&h)
	}
	return h, err
}

// open replaces the driver by a new one, as a restart of the plugin does. The old one
// is shut down, as if killed. Its harness is not: it is killed with the directories of
// its tasks, and killing it twice at once is a race in go-plugin's server.
func (b *bed) open(t testing.TB) {
	t.Helper()
	if b.driver != nil {
		b.driver.Shutdown(context.Background())
	}
	logger := hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: &b.logged})
	b.driver = New(logger, Native{Name: native.Name, Open: b.host}, b.version)
	harness := dtestutil.NewDriverHarness(t.(*testing.T), b.driver)
	b.DriverHarness = harness
	t.Cleanup(func() {
		if !b.used[harness] { // Kill would stop go-plugin's server twice at once, which is a race
			none := uuid.Generate()
			harness.MkAllocDir(&drivers.TaskConfig{ID: none, AllocID: none, Name: "none"}, false)()
		}
	})
	t.Cleanup(func() { b.driver.Shutdown(context.Background()) })
	must.NoError(t, b.SetConfig(&base.Config{
		PluginConfig: packed(t, b.config),
		AgentConfig:  &base.AgentConfig{Driver: &base.ClientDriverConfig{Topology: numalib.Scan(numalib.PlatformScanners(false))}},
	}))
}

// task returns a task of the real image, with directories as Nomad makes them. If there
// are args its command is hello with these. It is destroyed at the end of the test.
func (b *bed) task(t testing.TB, config string, args ...string) *drivers.TaskConfig {
	t.Helper()
	text := config + "\n"
	for key, value := range map[string]string{"image": b.server.URL, "pot": imagetest.HelloName, "tag": imagetest.HelloTag} {
		if !strings.Contains(config, key+" = ") {
			text += fmt.Sprintf("%s = %q\n", key, value)
		}
	}
	return b.taskWith(t, text, args...)
}

// taskWith is task with that configuration alone.
func (b *bed) taskWith(t testing.TB, text string, args ...string) *drivers.TaskConfig {
	t.Helper()
	alloc := uuid.Generate()
	cfg := &drivers.TaskConfig{
		ID: alloc + "/web/" + uuid.Short(), Name: "web", AllocID: alloc,
		Env: map[string]string{"SECRET": "planted-secret"},
		Resources: &drivers.Resources{
			NomadResources: &structs.AllocatedTaskResources{
				Memory: structs.AllocatedMemoryResources{MemoryMB: 64},
				Cpu:    structs.AllocatedCpuResources{CpuShares: 100},
			},
			LinuxResources: &drivers.LinuxResources{},
		},
	}
	if len(args) > 0 {
		text += "\n"
		text += fmt.Sprintf("command = %q\nargs = [", "/bin/hello")
		for _, a := range args {
			text += fmt.Sprintf("%q, ", a)
		}
		text += "]\n"
	}
	must.NoError(t, cfg.EncodeDriverConfig(decode(t, taskConfigSpec, text)))
	b.used[b.DriverHarness] = true
	b.t.Cleanup(b.MkAllocDir(cfg, !b.unlogged))
	b.t.Cleanup(func() { must.NoError(b.t, b.driver.DestroyTask(cfg.ID, true)) })
	return cfg
}

// start starts a task. It fails the test if that fails.
func (b *bed) start(t testing.TB, cfg *drivers.TaskConfig) (*drivers.TaskHandle, *drivers.DriverNetwork) {
	t.Helper()
	handle, network, err := b.StartTask(cfg)
	must.NoError(t, err)
	return handle, network
}

// sleeper starts a task without a network that runs until it is stopped.
func (b *bed) sleeper(t testing.TB) *drivers.TaskConfig {
	t.Helper()
	cfg := b.task(t, `network_mode = "none"`, "sleep", "1h")
	b.start(t, cfg)
	return cfg
}

// wait returns how the task ended. It fails the test after ten seconds.
func (b *bed) wait(t testing.TB, id string) *drivers.ExitResult {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	results, err := b.WaitTask(ctx, id)
	must.NoError(t, err)
	result, ok := <-results
	must.True(t, ok)
	return result
}

// exec runs hello in the task, and returns its output.
func (b *bed) exec(t testing.TB, id string, args ...string) string {
	t.Helper()
	r, err := b.ExecTask(id, append([]string{"/bin/hello"}, args...), 10*time.Second)
	must.NoError(t, err)
	must.Eq(t, 0, r.ExitResult.ExitCode, must.Sprint(string(r.Stderr)))
	return string(r.Stdout)
}

// waitForOutput waits until the task has written text to stdout.
func waitForOutput(t testing.TB, cfg *drivers.TaskConfig, text string) {
	t.Helper()
	log := filepath.Join(cfg.TaskDir().LogDir, "web.stdout.0")
	eventually(t, func() error {
		data, err := os.ReadFile(log)
		if err == nil && !bytes.Contains(data, []byte(text)) {
			err = fmt.Errorf("it says %q", data)
		}
		return err
	})
}

// eventually waits until check returns nil. It fails the test after ten seconds.
func eventually(t testing.TB, check func() error) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		must.True(t, time.Now().Before(deadline), must.Sprint(err))
	}
}

// nothingLeft fails the test if a pot has left anything below dir, or on the machine. Images
// and their cache may stay.
func nothingLeft(t testing.TB, dir string) {
	t.Helper()
	eventually(t, func() error {
		now, err := machine.Look(dir, imagetest.HelloName+"_1_0", builtName+"_1_0")
		if err != nil {
			return err
		}
		left := slices.DeleteFunc(now.Since(stateBefore), harnessMount)
		if len(left) > 0 {
			return fmt.Errorf("left behind: %s", strings.Join(left, ", "))
		}
		return nil
	})
}

// harnessMount reports whether a mount is the harness's: on Linux it mounts a file system
// for a task's secrets.
func harnessMount(left string) bool {
	return runtime.GOOS == "linux" && strings.HasPrefix(left, "mount "+os.TempDir()+"/nomad_driver_harness-")
}

// attribute returns an attribute of the fingerprint as text, or "" if there is none.
func (b *bed) attribute(t testing.TB, key string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	fingerprints, err := b.Fingerprint(ctx)
	must.NoError(t, err)
	f := <-fingerprints
	must.Eq(t, drivers.HealthStateHealthy, f.Health, must.Sprint(f.HealthDescription))
	if a := f.Attributes[key]; a != nil {
		return a.GoString()
	}
	return ""
}

// needLimits skips the test if the host cannot limit memory.
func (b *bed) needLimits(t testing.TB) {
	t.Helper()
	need.Have(t, "limits", !slices.Contains([]string{"", "false"}, b.attribute(t, "driver.pot.limits")))
}

// afterRestart returns a handle as an agent has it after a restart: without the task's
// config block.
func afterRestart(t testing.TB, h *drivers.TaskHandle) *drivers.TaskHandle {
	t.Helper()
	h = h.Copy()
	old := h.Config
	h.Config = &drivers.TaskConfig{
		ID: old.ID, Name: old.Name, AllocID: old.AllocID, AllocDir: old.AllocDir,
		Env: old.Env, User: old.User, StdoutPath: old.StdoutPath, StderrPath: old.StderrPath,
	}
	must.Error(t, h.Config.DecodeDriverConfig(new(TaskConfig)))
	return h
}

// killAll kills the task's supervisor and its command, as a power failure would.
func killAll(t testing.TB, b *bed, h *drivers.TaskHandle) {
	t.Helper()
	s, err := readState(h)
	must.NoError(t, err)
	data, err := os.ReadFile(filepath.Join(b.dir, "pots", s.Pot, "running.json"))
	must.NoError(t, err)
	var running struct{ Supervisor, PID int }
	must.NoError(t, json.Unmarshal(data, &running))
	for _, pid := range []int{running.Supervisor, running.PID} {
		must.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	}
}
