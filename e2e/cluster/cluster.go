// Package cluster is a Nomad cluster of one machine, for the demo and the tests:
// a real agent as the server, another as the client with the plugin, and an image
// server, all on loopback, all of their state in one directory.
package cluster

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/nomad/api"

	"nomad-driver-pot/e2e/machine"
	"nomad-driver-pot/image/imagetest"
)

// Config is where a cluster is and what it is made of.
type Config struct {
	Dir     string // for all of its state; made if it is missing
	Nomad   string // path of the agent's program
	Plugins string // directory with nomad-driver-pot and pot-supervisor
	Network string // of the pots; "" for the driver's default
	Trace   bool   // the client and the plugin log all that they can
	Driver  string // more lines of the plugin's configuration, in HCL
	State   string // directory of the driver's state, which exists; "" for one in Dir
	Server  string // more lines of the server block, in HCL
	Client  string // more lines of the client block, in HCL

	Label    string // of the plugin's block; "" for nomad-driver-pot
	Examples bool   // have what the jobs of example-jobs need
	Sidecar  bool   // have the image SidecarName, as Examples does
}

// Cluster is a running server and client, with their image server. A method that waits is
// bounded by its context alone: callers choose how slow a machine may be.
type Cluster struct {
	*api.Client
	Images string // URL of the image server
	HTTP   string // URL of the server, and of its UI

	config Config
	ports  struct{ server, rpc, serf, client int } // server and client: HTTP
	images *http.Server
	server *agent
	agent  *agent // the client's

	zfsRoot string // of the pots, where the host has ZFS
	bridged bool   // whether removeExamples has a bridge to destroy
	remove  func() error
}

// Start starts the image server and the agents, and waits until the client's node is ready
// and the driver healthy on it. Stop must be called, whatever Start returned. The server
// and the client are two agents, so that the client can be killed and configured without
// the server.
func Start(ctx context.Context, config Config) (*Cluster, error) {
	c := &Cluster{config: config}
	for _, dir := range []string{c.StateDir(), c.path("client"), c.path("server"), c.path("images")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return c, err
		}
	}
	var err error
	if c.zfsRoot, c.remove, err = machine.Scratch(config.Dir); err != nil {
		return c, err
	}
	if err := c.serveImages(); err != nil {
		return c, err
	}
	if config.Examples || config.Sidecar {
		if err := c.buildSidecar(); err != nil {
			return c, err
		}
	}
	if config.Examples {
		if err := c.prepareExamples(); err != nil {
			return c, err
		}
	}
	if err := c.findPorts(); err != nil {
		return c, err
	}
	if c.Client, err = newClient(c.ports.server); err != nil {
		return c, err
	}
	c.HTTP = c.Address()
	if c.server, err = c.start("server"); err != nil {
		return c, err
	}
	if err := c.serves(ctx); err != nil {
		return c, err
	}
	if err := c.StartAgent(ctx); err != nil || !config.Examples {
		return c, err
	}
	return c, c.finishExamples(ctx)
}

// answerTimeout bounds an answer of an agent.
const answerTimeout = 30 * time.Second

// newClient returns a client that keeps no connection open: for each request to a node's
// agent package api clones the transport, with connections of its own, and an agent takes
// 100 from one address (limits.http_max_conns_per_client).
func newClient(port int) (*api.Client, error) {
	return api.NewClient(&api.Config{
		Address:    fmt.Sprintf("http://127.0.0.1:%d", port),
		HttpClient: &http.Client{Timeout: answerTimeout, Transport: &http.Transport{DisableKeepAlives: true}},
	})
}

// findPorts finds ports that nobody has now, for the agents to listen on. All are held
// until the last is found, so that they differ. Another process may still take one before
// the agent listens.
func (c *Cluster) findPorts() error {
	var found []net.Listener
	defer func() {
		for _, l := range found {
			l.Close()
		}
	}()
	for _, port := range []*int{&c.ports.server, &c.ports.rpc, &c.ports.serf, &c.ports.client} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		found = append(found, l)
		*port = l.Addr().(*net.TCPAddr).Port
	}
	return nil
}

// StateDir is where the driver keeps its state.
func (c *Cluster) StateDir() string {
	if c.config.State != "" {
		return c.config.State
	}
	return c.path("pot")
}

// Log is the client's log, with the plugin's lines in it.
func (c *Cluster) Log() string { return c.path("client.log") }

func (c *Cluster) path(name string) string { return filepath.Join(c.config.Dir, name) }

// serveImages serves the hello image, made by FreeBSD's own zfs, xz and
// skein1024, over HTTP.
func (c *Cluster) serveImages() error {
	for _, ending := range []string{"", ".meta", ".skein"} {
		file := filepath.Join(c.path("images"), imagetest.HelloName+"_"+imagetest.HelloTag+".xz"+ending)
		if err := os.WriteFile(file, imagetest.Hello(ending), 0o644); err != nil {
			return err
		}
	}
	return c.listenImages("127.0.0.1:0")
}

// StopImages stops the image server, as a crash would, until StartImages.
func (c *Cluster) StopImages() { c.images.Close() }

// StartImages starts the image server again, at the address that it had.
func (c *Cluster) StartImages() error {
	return c.listenImages(strings.TrimPrefix(c.Images, "http://"))
}

func (c *Cluster) listenImages(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	c.Images = "http://" + l.Addr().String()
	c.images = &http.Server{Handler: guard(http.FileServer(http.Dir(c.path("images")))), ReadHeaderTimeout: time.Minute}
	go c.images.Serve(l)
	return nil
}

// StartAgent starts the client's agent, for the first time or again after
// KillAgent, and waits until tasks can be placed.
func (c *Cluster) StartAgent(ctx context.Context) error {
	if err := c.LaunchAgent(); err != nil {
		return err
	}
	return c.ready(ctx)
}

// LaunchAgent is StartAgent that waits for nothing. It is for tests in which the client or
// the plugin does not become healthy.
func (c *Cluster) LaunchAgent() (err error) {
	c.agent, err = c.start("client")
	return err
}

// Configure replaces Config.Driver, for client agents that are started from now on. The
// running agent keeps its own.
func (c *Cluster) Configure(driver string) { c.config.Driver = driver }

// serves waits until the server takes clients: one that comes earlier is sent away, and is
// back after 15 to 30 seconds. The server needs a leader, and the key by which it signs the
// identities of tasks.
func (c *Cluster) serves(ctx context.Context) error {
	return c.until(ctx, func() (bool, error) {
		if err := c.server.alive(); err != nil {
			return false, err
		}
		if leader, err := c.Status().Leader(); err != nil || leader == "" {
			return false, nil
		}
		keys, _, err := c.Keyring().List(nil)
		return err == nil && len(keys) > 0, nil
	}, func() string { return "the server is not ready" })
}

// ready waits until the node is ready and the driver healthy on it. The client is asked
// first: the server still has the state of a client that was killed.
func (c *Cluster) ready(ctx context.Context) error {
	own, err := newClient(c.ports.client)
	if err != nil {
		return err
	}
	why := "no answer yet"
	return c.until(ctx, func() (bool, error) {
		if err := c.agent.alive(); err != nil {
			return false, err
		}
		if health, err := own.Agent().Health(); err != nil || !health.Client.Ok {
			return false, nil
		}
		nodes, _, err := c.Nodes().List(nil)
		if err != nil || len(nodes) == 0 {
			return false, nil
		}
		node, _, err := c.Nodes().Info(nodes[0].ID, nil)
		if err != nil || node.Status != api.NodeStatusReady {
			return false, nil
		}
		info := node.Drivers["pot"]
		if info != nil {
			why = info.HealthDescription
		}
		return info != nil && info.Healthy && info.Detected, nil
	}, func() string { return "the driver did not become healthy: " + why })
}

// until waits until ok says so, or ctx ends: then late says for what in vain.
func (c *Cluster) until(ctx context.Context, ok func() (bool, error), late func() string) error {
	for {
		done, err := ok()
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", late(), context.Cause(ctx))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// KillAgent kills the client's agent, and nothing else, as a crash would.
func (c *Cluster) KillAgent() { c.agent.kill() }

// StopAgent has the client's agent end in order, as before an upgrade. Its plugin
// ends with it; tasks keep running.
func (c *Cluster) StopAgent() { c.agent.stop() }

// SignalAgent sends a signal that ends the client's agent, and waits for its end.
func (c *Cluster) SignalAgent(s syscall.Signal) { c.agent.signal(s) }

// PauseAgent stops the client's agent from running until the returned function is called.
func (c *Cluster) PauseAgent() (resume func()) {
	p := c.agent.cmd.Process
	p.Signal(syscall.SIGSTOP)
	return func() { p.Signal(syscall.SIGCONT) }
}

// AgentEnded reports whether the client's agent has ended.
func (c *Cluster) AgentEnded() bool { return c.agent.alive() != nil }

// Plugin is the process ID of the plugin. It is an error if there is not exactly one.
func (c *Cluster) Plugin() (int, error) {
	found, err := c.Plugins()
	if err != nil {
		return 0, err
	}
	if len(found) != 1 {
		return 0, fmt.Errorf("%d plugins run", len(found))
	}
	return found[0], nil
}

// Plugins are the process IDs of all plugins that run: an agent that starts has several.
func (c *Cluster) Plugins() (found []int, err error) {
	all, err := machine.Processes()
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if p.Path == filepath.Join(c.config.Plugins, "nomad-driver-pot") {
			found = append(found, p.PID)
		}
	}
	return found, nil
}

// KillPlugin kills the plugin, and nothing else, as a crash would. It returns the process
// ID that it had. The client starts another one.
func (c *Cluster) KillPlugin() (int, error) {
	pid, err := c.Plugin()
	if err != nil {
		return 0, err
	}
	return pid, syscall.Kill(pid, syscall.SIGKILL)
}

// Stop stops the agents and the image server, and destroys the pool or directory that pots
// were kept in. It may be called twice. Pots keep running: Purge their jobs first.
func (c *Cluster) Stop() error {
	c.agent.stop()
	c.server.stop()
	if c.images != nil {
		c.images.Close()
	}
	err := c.removeExamples()
	if remove := c.remove; remove != nil {
		c.remove = nil
		err = errors.Join(err, remove())
	}
	return err
}

// Tail is the end of the client's log.
func (c *Cluster) Tail() string { return tail(c.Log()) }
