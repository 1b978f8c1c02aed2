// Package driver is Nomad's side of pots: it translates what Nomad asks of a
// task driver into images and pots, and back. Nomad's words are used here and
// nowhere else.
//
// A pot's name is derived from its task's ID, and what is known of a pot is on
// disk beside it, so the plugin keeps nothing that it could lose: it may be
// killed, restarted or replaced while its tasks run.
package driver

import (
	"context"
	"errors"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/client/lib/cpustats"
	"github.com/hashicorp/nomad/plugins/base"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/hashicorp/nomad/plugins/drivers/fsisolation"
	"github.com/hashicorp/nomad/plugins/shared/hclspec"

	"nomad-driver-pot/image"
	"nomad-driver-pot/pot"
)

const pluginName = "pot" // as in a job's driver = "pot"

// Native is the host that this machine has: what package pot/native says.
type Native struct {
	Name string // "freebsd" or "linux"; "" if there is none
	Open func(pot.HostConfig) (pot.Host, error)
}

// Driver is a Nomad task driver.
type Driver struct {
	logger          hclog.Logger
	native          Native
	version         string
	events          *events
	tasks           tasks
	stats           statsCollector
	memory          memoryWatch
	ports           portClaims
	startReconciler sync.Once // begins reconcile
	agent           agent
	checks          checks

	starting sync.RWMutex // is read-locked from finding an image until it is cloned

	ctx  context.Context // ends with the plugin
	stop context.CancelFunc

	mu         sync.RWMutex
	backend    *backend
	configured chan struct{} // closed with the first configuration
}

var (
	_ drivers.DriverPlugin            = (*Driver)(nil)
	_ drivers.ExecTaskStreamingDriver = (*Driver)(nil)
)

// New is a driver with no configuration yet, of a version that
// hashicorp/go-version can read.
func New(logger hclog.Logger, native Native, version string) *Driver {
	logger = logger.Named(pluginName)
	ctx, stop := context.WithCancel(context.Background())
	return &Driver{
		logger:  logger,
		native:  native,
		version: version,
		events:  newEvents(ctx, logger),
		stats:   statsCollector{measure: potUsage},
		ctx:     ctx,
		stop:    stop,
		backend: &backend{openErr: errors.New("not configured yet")},

		configured: make(chan struct{}),
	}
}

// Configured is closed when SetConfig has accepted a configuration for the first time.
func (d *Driver) Configured() <-chan struct{} { return d.configured }

// PluginInfo is base.BasePlugin's.
func (d *Driver) PluginInfo() (*base.PluginInfoResponse, error) {
	return &base.PluginInfoResponse{
		Type:              base.PluginTypeDriver,
		PluginApiVersions: []string{drivers.ApiVersion010},
		PluginVersion:     d.version,
		Name:              pluginName,
	}, nil
}

// ConfigSchema is base.BasePlugin's.
func (d *Driver) ConfigSchema() (*hclspec.Spec, error) { return configSpec, nil }

// TaskConfigSchema is drivers.DriverPlugin's.
func (d *Driver) TaskConfigSchema() (*hclspec.Spec, error) { return taskConfigSpec, nil }

// Capabilities is drivers.DriverPlugin's. The network is made by the driver
// itself, so "host" is all that Nomad is to do about it.
func (d *Driver) Capabilities() (*drivers.Capabilities, error) {
	return &drivers.Capabilities{
		SendSignals:       true,
		Exec:              true,
		FSIsolation:       fsisolation.Image,
		NetIsolationModes: []drivers.NetIsolationMode{drivers.NetIsolationModeHost},
	}, nil
}

// SetConfig is base.BasePlugin's. It changes nothing on the machine: Nomad
// calls it in plugin processes that never run a task.
func (d *Driver) SetConfig(c *base.Config) error {
	config, err := decodeConfig(c.PluginConfig)
	if err != nil {
		return err
	}
	s, err := config.settings(d.native.Name)
	if err != nil {
		return err
	}
	b := newBackend(s, d.native, func(message string) { d.logger.Warn(message) })
	b.compute = c.AgentConfig.Compute() // of a nil one too
	d.mu.Lock()
	defer d.mu.Unlock()
	d.backend = b
	select {
	case <-d.configured:
	default:
		close(d.configured)
	}
	return nil
}

// Shutdown ends what the plugin does; the tasks go on.
func (d *Driver) Shutdown(context.Context) error {
	d.stop()
	return nil
}

// backend is what tasks are started with.
type backend struct {
	settings
	compute cpustats.Compute
	pots    *pot.Pots
	images  *image.Store
	openErr error // why there are none of those
}

func newBackend(s settings, native Native, log func(string)) *backend {
	b := &backend{settings: s}
	var host pot.Host
	host, b.openErr = native.Open(s.host)
	if b.openErr != nil {
		return b
	}
	b.pots = pot.Open(host, pot.Config{
		Dir: s.host.Dir, Network: s.host.Network, Supervisor: s.host.Supervisor,
		Bridges: s.bridges, Reserved: s.reserved, AllowAttributes: s.allowAttributes, Log: log,
	})
	b.images = image.NewStore(image.NewCache(s.cacheDir, s.pull), host.Images)
	return b
}

// current is the configuration that counts now.
func (d *Driver) current() *backend {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.backend
}

// ready is current, if tasks can be started with it.
func (d *Driver) ready() (*backend, error) {
	b := d.current()
	switch {
	case b.openErr != nil:
		return nil, b.openErr
	case !b.enabled:
		return nil, errDisabled
	}
	return b, nil
}

var errDisabled = errors.New("the plugin is disabled by its configuration")
