package driver

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
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
	"github.com/zclconf/go-cty/cty/msgpack"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/machine"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/e2e/syncbuf"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/hosttest"
	"nomad-driver-pot/pot/native"
)

// A network of this package's own: other packages' tests have pots too.
const (
	testNetwork = "10.213.0.0/16"
	testGateway = "10.213.0.1"
)

var (
	supervisor string        // path of a pot-supervisor
	before     machine.State // as the machine was before the bed was used
)

func TestMain(m *testing.M) {
	os.Exit(leak.Run(func() int {
		if os.Geteuid() != 0 {
			return m.Run()
		}
		dir, err := os.MkdirTemp("", "driver-test-")
		must0(err)
		defer os.RemoveAll(dir)
		supervisor, err = hosttest.BuildIn(dir, "nomad-driver-pot/pot/supervise/pot-supervisor")
		must0(err)
		defer removeOfHarness()
		return m.Run()
	}, leak.Foreign))
}

// removeOfHarness removes what Nomad's harness leaves of its own: sockets, and
// directories, which must be empty.
func removeOfHarness() {
	for _, pattern := range []string{"plugin*", "nomad_driver_harness-*"} {
		found, err := filepath.Glob(filepath.Join(os.TempDir(), pattern))
		must0(err)
		for _, name := range found {
			must0(os.Remove(name))
		}
	}
}

func must0(err error) {
	if err != nil {
		panic(err)
	}
}

// bed is a driver on this machine's host, spoken to by gRPC, and a server of
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
	used    map[*dtestutil.DriverHarness]bool // those that hang up with their tasks

	// unlogged tasks have no log collector, which at its end waits for seconds
	// for a task that never began to write.
	unlogged bool
}

// newBed needs root. At the end of the test nothing of the driver's is left.
func newBed(t testing.TB, config string) *bed {
	t.Helper()
	need.Have(t, "root", os.Geteuid() == 0)
	need.Have(t, "a host for pots", native.Name != "")
	t.Cleanup(removeOfHarness)
	hosttest.Alone(t)
	b := &bed{t: t, server: imagetest.NewServer(t), dir: t.TempDir(), version: "1.2.3", used: map[*dtestutil.DriverHarness]bool{}}
	scratch, remove, err := machine.Scratch(t.TempDir())
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, remove()) })
	if scratch != "" {
		config += fmt.Sprintf("\nzfs_root = %q\ncache { dir = %q }", scratch, b.dir+"/cache")
	}
	before, err = machine.Look(b.dir)
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

// host is this machine's.
func (b *bed) host(c pot.HostConfig) (pot.Host, error) {
	h, err := native.Open(c)
	if err == nil && b.wrap != nil {
		b.wrap(&h)
	}
	return h, err
}

// open makes another driver over the same pots: what a restart of the agent
// does. The one before is shut down, as if killed. Its harness is not: that
// hangs up when a task's directories go, and twice at once is a race in
// go-plugin's server.
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
		if !b.used[harness] { // Kill stops go-plugin's server twice at once, which is a race in it
			none := uuid.Generate()
			harness.MkAllocDir(&drivers.TaskConfig{ID: none, AllocID: none, Name: "none"}, false)()
		}
	})
	t.Cleanup(func() { b.driver.Shutdown(context.Background()) })
	v := decode(t, configSpec, b.config)
	packed, err := msgpack.Marshal(v, v.Type())
	must.NoError(t, err)
	must.NoError(t, b.SetConfig(&base.Config{
		PluginConfig: packed,
		AgentConfig:  &base.AgentConfig{Driver: &base.ClientDriverConfig{Topology: numalib.Scan(numalib.PlatformScanners(false))}},
	}))
}

// task is one of the real image, with directories as Nomad makes them, which is
// destroyed with the bed: the harness hangs up when it takes the directories away.
func (b *bed) task(t testing.TB, config string, args ...string) *drivers.TaskConfig {
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
	text := config + "\n"
	for key, value := range map[string]string{"image": b.server.URL, "pot": imagetest.HelloName, "tag": imagetest.HelloTag} {
		if !strings.Contains(config, key+" = ") {
			text += fmt.Sprintf("%s = %q\n", key, value)
		}
	}
	if len(args) > 0 {
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

// start starts a task that must start.
func (b *bed) start(t testing.TB, cfg *drivers.TaskConfig) (*drivers.TaskHandle, *drivers.DriverNetwork) {
	t.Helper()
	handle, network, err := b.StartTask(cfg)
	must.NoError(t, err)
	return handle, network
}

// wait is how the task ended, within ten seconds.
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

// exec runs hello in the task, and returns what it printed.
func (b *bed) exec(t testing.TB, id string, args ...string) string {
	t.Helper()
	r, err := b.ExecTask(id, append([]string{"/bin/hello"}, args...), 10*time.Second)
	must.NoError(t, err)
	must.Eq(t, 0, r.ExitResult.ExitCode, must.Sprint(string(r.Stderr)))
	return string(r.Stdout)
}

// says waits until the task has written text to stdout.
func says(t testing.TB, cfg *drivers.TaskConfig, text string) {
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

// eventually waits, within ten seconds, until there is no error.
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

// nothingLeft fails the test if there is anything of a pot below dir, or anything
// else of one that the machine had not before. Images and their cache stay.
func nothingLeft(t testing.TB, dir string) {
	t.Helper()
	eventually(t, func() error {
		now, err := machine.Look(dir, imagetest.HelloName+"_1_0", builtName+"_1_0")
		if err != nil {
			return err
		}
		left := slices.DeleteFunc(now.Since(before), harnessMount)
		if len(left) > 0 {
			return fmt.Errorf("left behind: %s", strings.Join(left, ", "))
		}
		return nil
	})
}

// harnessMount tells whether a mount is of the harness's own, which on Linux has
// a task's secrets on one.
func harnessMount(left string) bool {
	return runtime.GOOS == "linux" && strings.HasPrefix(left, "mount "+os.TempDir()+"/nomad_driver_harness-")
}

// look is an attribute of the fingerprint, as text.
func (b *bed) look(t testing.TB, key string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	looks, err := b.Fingerprint(ctx)
	must.NoError(t, err)
	f := <-looks
	must.Eq(t, drivers.HealthStateHealthy, f.Health, must.Sprint(f.HealthDescription))
	if a := f.Attributes[key]; a != nil {
		return a.GoString()
	}
	return ""
}
