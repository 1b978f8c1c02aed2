package cluster

import (
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"text/template"
	"time"
)

//go:embed agent.hcl.tmpl
var agentTemplate string

// agent is a Nomad process in a process group of its own, so that it gets no signal of the
// terminal. The methods of an agent that was never started do nothing.
type agent struct {
	cmd    *exec.Cmd
	log    string
	exited chan struct{} // closed when cmd has been waited for
}

// start starts an agent as role, client or server, with its log beside its configuration.
// The log is appended to: one file has all lives of an agent.
func (c *Cluster) start(role string) (*agent, error) {
	t, err := template.New(role).Parse(agentTemplate)
	if err != nil {
		return nil, err
	}
	data := ""
	if c.config.Examples {
		data = c.exampleData()
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{
		"Server": role == "server", "DataDir": c.path(role),
		"ServerHTTP": c.ports.server, "RPC": c.ports.rpc, "Serf": c.ports.serf, "ClientHTTP": c.ports.client,
		"PluginDir": c.config.Plugins, "StateDir": c.StateDir(), "Network": c.config.Network,
		"ZFSRoot": c.zfsRoot, "Loopback": loopback(), "Trace": c.config.Trace, "Driver": c.config.Driver, "Data": data, "Label": c.config.Label,
		"ServerLines": c.config.Server, "ClientLines": c.config.Client,
	})
	if err != nil {
		return nil, err
	}
	config := c.path(role + ".hcl")
	if err := os.WriteFile(config, b.Bytes(), 0o600); err != nil {
		return nil, err
	}
	a := &agent{log: c.path(role + ".log"), exited: make(chan struct{})}
	log, err := os.OpenFile(a.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	a.cmd = exec.Command(c.config.Nomad, "agent", "-config", config)
	a.cmd.Stdout, a.cmd.Stderr = log, log
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is not for it
	if err := a.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the %s: %w", role, err)
	}
	go func() {
		a.cmd.Wait()
		close(a.exited)
	}()
	return a, nil
}

// loopback is the name of the interface.
func loopback() string {
	if runtime.GOOS == "linux" {
		return "lo"
	}
	return "lo0"
}

// alive is an error when the agent has ended. Waiting for an agent that cannot start its
// plugin would otherwise take the whole timeout.
func (a *agent) alive() error {
	select {
	case <-a.exited:
		return fmt.Errorf("an agent has ended:\n%s", tail(a.log))
	default:
		return nil
	}
}

// kill ends the agent as a crash would.
func (a *agent) kill() {
	if a != nil {
		a.signal(syscall.SIGKILL)
	}
}

// signal sends a signal that ends the agent, and waits for its end.
func (a *agent) signal(s syscall.Signal) {
	a.cmd.Process.Signal(s) // one that has ended already is as good
	<-a.exited
}

// stop has the agent end in order, or kills it if it does not. A client that ends in order
// closes its plugin; tasks are left alone (leave_on_interrupt is not set).
func (a *agent) stop() {
	if a == nil {
		return
	}
	a.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-a.exited:
	case <-time.After(20 * time.Second):
		a.kill()
	}
}

// tail is the end of a log.
func tail(log string) string {
	f, err := os.Open(log)
	if err != nil {
		return ""
	}
	defer f.Close()
	const end = 4 << 10
	f.Seek(-end, io.SeekEnd)
	data, _ := io.ReadAll(f)
	return string(data)
}
