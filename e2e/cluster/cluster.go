// Package cluster is a Nomad cluster of one machine, for the demo and the tests:
// a real agent with the plugin, and an image server, all on loopback, all of
// their state in one directory.
package cluster

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
	"time"

	"github.com/hashicorp/nomad/api"

	"nomad-driver-pot/image/imagetest"
)

// Config is where a cluster is and what it is made of.
type Config struct {
	Dir     string // for all of its state; made if it is missing
	Nomad   string // path of the agent's program
	Plugins string // directory with nomad-driver-pot and pot-supervisor
	Network string // of the pots; "" for the driver's default
}

// Cluster is a running agent with its image server.
type Cluster struct {
	*api.Client
	Images string // URL of the image server
	HTTP   string // URL of the agent, and of its UI

	config Config
	ports  [3]int // http, rpc, serf
	images *http.Server
	agent  *exec.Cmd
	exited chan struct{} // closed when agent has been waited for
}

//go:embed agent.hcl.tmpl
var agentTemplate string

// Start starts the image server and an agent, and waits until the agent's node
// is ready and the driver healthy on it. Stop must be called, whatever Start
// returned.
func Start(ctx context.Context, config Config) (*Cluster, error) {
	c := &Cluster{config: config}
	for _, dir := range []string{c.StateDir(), c.path("data"), c.path("images")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return c, err
		}
	}
	if err := c.serveImages(); err != nil {
		return c, err
	}
	if err := c.findPorts(); err != nil {
		return c, err
	}
	c.HTTP = fmt.Sprintf("http://127.0.0.1:%d", c.ports[0])
	var err error
	if c.Client, err = api.NewClient(&api.Config{Address: c.HTTP}); err != nil {
		return c, err
	}
	if err := c.writeConfig(); err != nil {
		return c, err
	}
	return c, c.StartAgent(ctx)
}

// findPorts finds ports that nobody has now, for the agent to listen on.
func (c *Cluster) findPorts() error {
	var found []net.Listener
	defer func() {
		for _, l := range found {
			l.Close()
		}
	}()
	for i := range c.ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		found = append(found, l)
		c.ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return nil
}

// StateDir is where the driver keeps its state.
func (c *Cluster) StateDir() string { return c.path("pot") }

// Log is the agent's log, with the plugin's lines in it.
func (c *Cluster) Log() string { return c.path("agent.log") }

func (c *Cluster) path(name string) string { return filepath.Join(c.config.Dir, name) }

// serveImages serves the hello image, made by FreeBSD's own zfs, xz and
// skein1024, over HTTP.
func (c *Cluster) serveImages() error {
	for _, ending := range []string{"", ".meta", ".skein"} {
		file := filepath.Join(c.path("images"), "hello-linux_1.0.xz"+ending)
		if err := os.WriteFile(file, imagetest.Hello(ending), 0o644); err != nil {
			return err
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	c.Images = "http://" + l.Addr().String()
	c.images = &http.Server{Handler: http.FileServer(http.Dir(c.path("images"))), ReadHeaderTimeout: time.Minute}
	go c.images.Serve(l)
	return nil
}

func (c *Cluster) writeConfig() error {
	t, err := template.New("agent").Parse(agentTemplate)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{
		"DataDir": c.path("data"), "PluginDir": c.config.Plugins, "StateDir": c.StateDir(),
		"HTTP": c.ports[0], "RPC": c.ports[1], "Serf": c.ports[2], "Network": c.config.Network,
	})
	if err != nil {
		return err
	}
	return os.WriteFile(c.path("agent.hcl"), b.Bytes(), 0o600)
}

// StartAgent starts the agent, for the first time or again after KillAgent, and
// waits until tasks can be placed.
func (c *Cluster) StartAgent(ctx context.Context) error {
	log, err := os.OpenFile(c.Log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	c.agent = exec.Command(c.config.Nomad, "agent", "-config", c.path("agent.hcl"))
	c.agent.Stdout, c.agent.Stderr = log, log
	c.agent.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is not for it
	if err := c.agent.Start(); err != nil {
		return fmt.Errorf("start agent: %w", err)
	}
	exited := make(chan struct{})
	c.exited = exited
	agent := c.agent
	go func() {
		agent.Wait()
		close(exited)
	}()
	return c.ready(ctx)
}

// ready waits until the node is ready and the driver healthy on it.
func (c *Cluster) ready(ctx context.Context) error {
	why := "no answer yet"
	return c.until(ctx, func() (bool, error) {
		select {
		case <-c.exited:
			return false, fmt.Errorf("the agent has ended:\n%s", c.Tail())
		default:
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

// KillAgent kills the agent, and nothing else, as a crash would.
func (c *Cluster) KillAgent() {
	c.agent.Process.Kill()
	<-c.exited
}

// KillPlugin kills the plugin, and nothing else, and returns its process ID.
func (c *Cluster) KillPlugin() (int, error) {
	pids, err := Processes("nomad-driver-po", c.config.Plugins) // comm(5) is cut at 15
	if err != nil || len(pids) == 0 {
		return 0, errors.Join(err, errors.New("no plugin runs"))
	}
	return pids[0], syscall.Kill(pids[0], syscall.SIGKILL)
}

// Stop stops the agent and the image server. It may be called twice.
func (c *Cluster) Stop() {
	if c.agent != nil {
		c.agent.Process.Signal(syscall.SIGINT)
		select {
		case <-c.exited:
		case <-time.After(20 * time.Second):
			c.KillAgent()
		}
	}
	if c.images != nil {
		c.images.Close()
	}
}

// Processes are those with this name that were started from a file below dir.
func Processes(name, dir string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		var pid int
		if n, _ := fmt.Sscanf(e.Name(), "%d", &pid); n != 1 {
			continue
		}
		comm, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "comm"))
		exe, _ := os.Readlink(filepath.Join("/proc", e.Name(), "exe"))
		if strings.TrimSpace(string(comm)) == name && strings.HasPrefix(exe, dir+"/") {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// Tail is the end of the agent's log.
func (c *Cluster) Tail() string {
	f, err := os.Open(c.Log())
	if err != nil {
		return ""
	}
	defer f.Close()
	const end = 4 << 10
	f.Seek(-end, io.SeekEnd)
	data, _ := io.ReadAll(f)
	return string(data)
}
