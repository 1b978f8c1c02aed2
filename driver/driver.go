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

	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/store"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/potconf"
)

const pluginName = "pot" // as in a job's driver = "pot"

// Native is the host for pots that this machine has, from package pot/native.
type Native struct {
	Name string // "freebsd" or "linux"; "" if there is none
	Open func(potconf.HostConfig) (pot.Host, error)
}

// Driver is a Nomad task driver. Its methods may be called concurrently.
type Driver struct {
	logger          hclog.Logger
	native          Native
	version         string
	events          *events
	tasks           tasks
	stats           statsCollector
	memory          memoryWatch
	ports           portClaims
	startReconciler sync.Once // starts reconcile
	agent           agent
	checks          checks

	// starting is read-locked by a start from when it finds its image until it has
	// cloned it, so that the image is not destroyed in between.
	starting sync.RWMutex

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

// New returns a driver that starts no tasks until SetConfig has configured it.
// The version must be one that hashicorp/go-version can parse.
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

// Configured returns a channel that is closed when SetConfig has accepted a
// configuration for the first time.
func (d *Driver) Configured() <-chan struct{} { return d.configured }

// PluginInfo implements base.BasePlugin.
func (d *Driver) PluginInfo() (*base.PluginInfoResponse, error) {
	return &base.PluginInfoResponse{
		Type:              base.PluginTypeDriver,
		PluginApiVersions: []string{drivers.ApiVersion010},
		PluginVersion:     d.version,
		Name:              pluginName,
	}, nil
}

// ConfigSchema implements base.BasePlugin.
func (d *Driver) ConfigSchema() (*hclspec.Spec, error) { return configSpec, nil }

// TaskConfigSchema implements drivers.DriverPlugin.
func (d *Driver) TaskConfigSchema() (*hclspec.Spec, error) { return taskConfigSpec, nil }

// Capabilities implements drivers.DriverPlugin. The driver makes a pot's network
// itself. Nomad must make none, which is what "host" tells it.
func (d *Driver) Capabilities() (*drivers.Capabilities, error) {
	return &drivers.Capabilities{
		SendSignals:       true,
		Exec:              true,
		FSIsolation:       fsisolation.Image,
		NetIsolationModes: []drivers.NetIsolationMode{drivers.NetIsolationModeHost},
	}, nil
}

// SetConfig implements base.BasePlugin. It changes nothing on the machine: Nomad
// also calls it in plugin processes that never run a task. An error names all
// that is wrong with the configuration, and leaves the current one in place.
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
	b.compute = c.AgentConfig.Compute() // AgentConfig may be nil
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

// Shutdown ends the goroutines of the plugin. The tasks keep running.
func (d *Driver) Shutdown(context.Context) error {
	d.stop()
	return nil
}

// backend is a configuration, and what tasks are started with under it.
type backend struct {
	settings
	compute cpustats.Compute
	pots    *life.Pots
	images  *store.Store
	openErr error // why pots and images are nil
}

// newBackend opens the host. If that fails, openErr of the backend says why.
func newBackend(s settings, native Native, log func(string)) *backend {
	b := &backend{settings: s}
	var host pot.Host
	host, b.openErr = native.Open(s.host)
	if b.openErr != nil {
		return b
	}
	c := s.potConfig
	c.AllowAttributes, c.Log = s.allowAttributes, log
	b.pots = life.Open(host, c)
	b.images = store.NewStore(fetch.NewCache(c.System.Cache, s.pull), host.Images)
	return b
}

// current returns the backend of the last configuration that was accepted.
func (d *Driver) current() *backend {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.backend
}

// ready returns the current backend if tasks can be started with it.
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

// It is the state of the plugin and no problem: the node shows the driver as undetected.
var errDisabled = errors.New("the plugin is disabled by its configuration")
