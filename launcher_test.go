package main

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/nomad/plugins/base"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// agentSteps is the environment variable that makes this test binary an agent. It has the
// agent's steps, separated by blanks: configurations that the plugin refuses or accepts. After
// them the agent waits to be killed.
const agentSteps = "POT_TEST_AGENT_STEPS"

// agent loads the plugin as a Nomad agent does, and writes the plugin's address to stdout. The
// plugin inherits descriptor 3.
func agent() error {
	cmd := exec.Command(os.Args[0])
	cmd.ExtraFiles = []*os.File{os.NewFile(3, "alive")}
	client := newClient(cmd, nil)
	plugin, err := dispense(client)
	if err != nil {
		return err
	}
	for _, step := range strings.Fields(os.Getenv(agentSteps)) {
		config := map[string]any{"fs_root": "/var/empty/pot"}
		if step == "refused" {
			config["allow_hooks"] = []string{"start"}
		}
		var data []byte
		if err := base.MsgPackEncode(&data, config); err != nil {
			return err
		}
		err := plugin.SetConfig(&base.Config{PluginConfig: data, AgentConfig: &base.AgentConfig{Driver: &base.ClientDriverConfig{}}})
		if (err != nil) != (step == "refused") {
			return errors.Join(errors.New(step), err)
		}
	}
	at := client.ReattachConfig()
	if err := json.NewEncoder(os.Stdout).Encode(address{at.Pid, at.Addr.String()}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// newClient returns a client that starts the plugin by cmd, or that reattaches to it.
func newClient(cmd *exec.Cmd, reattach *goplugin.ReattachConfig) *goplugin.Client {
	return goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  base.Handshake,
		Plugins:          map[string]goplugin.Plugin{base.PluginTypeBase: &base.PluginBase{}},
		Cmd:              cmd,
		Reattach:         reattach,
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
	})
}

// dispense connects to the plugin.
func dispense(client *goplugin.Client) (base.BasePlugin, error) {
	rpc, err := client.Client()
	if err != nil {
		return nil, err
	}
	plugin, err := rpc.Dispense(base.PluginTypeBase)
	if err != nil {
		return nil, err
	}
	return plugin.(base.BasePlugin), nil
}

// address is the process and the socket of a plugin.
type address struct {
	PID    int
	Socket string
}

// loaded is a plugin that an agent has loaded.
type loaded struct {
	address
	agent *exec.Cmd
	stdin io.Closer // the agent ends by itself when it is closed
	alive *os.File  // at its end once agent and plugin have ended
}

// load starts an agent that loads the plugin.
func load(t *testing.T, steps string) loaded {
	t.Helper()
	alive, theirs, err := os.Pipe()
	must.NoError(t, err)
	t.Cleanup(func() { alive.Close() })
	self, err := os.Executable()
	must.NoError(t, err)
	l := loaded{agent: exec.Command(self), alive: alive}
	l.agent.Env = append(os.Environ(), agentSteps+"="+steps)
	l.agent.ExtraFiles = []*os.File{theirs}
	l.agent.Stderr = os.Stderr
	l.stdin, err = l.agent.StdinPipe()
	must.NoError(t, err)
	stdout, err := l.agent.StdoutPipe()
	must.NoError(t, err)
	must.NoError(t, l.agent.Start())
	t.Cleanup(func() {
		l.agent.Process.Kill()
		l.agent.Wait()
	})
	must.NoError(t, theirs.Close())
	must.NoError(t, json.NewDecoder(stdout).Decode(&l.address))
	t.Cleanup(func() {
		l.agent.Process.Kill()
		if !l.ended(t, launcherInterval) {
			syscall.Kill(l.PID, syscall.SIGKILL)
		}
	})
	return l
}

// ended waits for the end of agent and plugin, at most for timeout, and reports whether they
// have ended.
func (l loaded) ended(t *testing.T, timeout time.Duration) bool {
	t.Helper()
	must.NoError(t, l.alive.SetReadDeadline(time.Now().Add(timeout)))
	_, err := l.alive.Read(make([]byte, 1))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		must.ErrorIs(t, err, io.EOF)
	}
	return err == io.EOF
}

// reattach returns the client of the next agent.
func (l loaded) reattach() *goplugin.Client {
	return newClient(nil, &goplugin.ReattachConfig{
		Protocol: goplugin.ProtocolGRPC, Pid: l.PID, Addr: &net.UnixAddr{Net: "unix", Name: l.Socket},
	})
}

// patience bounds the wait for an end that must come, on a slow machine too.
const patience = time.Minute

// A plugin that no agent could configure ends with its agent, and removes its socket.
func TestPlugin_endsWithAgent(t *testing.T) {
	leak.Check(t)
	kill := func(l loaded) error { return l.agent.Process.Kill() }
	for _, tc := range []struct {
		name, steps string
		end         func(loaded) error
	}{
		{"its agent is killed before it configures the plugin", "", kill},
		{"its agent is killed after a refused configuration", "refused", kill},
		{"its agent exits after refused configurations", "refused refused", func(l loaded) error { return l.stdin.Close() }},
	} {
		t.Run("it ends when "+tc.name, func(t *testing.T) {
			l := load(t, tc.steps)
			must.False(t, l.ended(t, 2*launcherInterval), must.Sprint("the plugin ends while its agent runs"))
			must.NoError(t, tc.end(l))
			must.True(t, l.ended(t, patience), must.Sprint("the plugin stays without its agent"))
			_, err := os.Lstat(l.Socket)
			must.ErrorIs(t, err, fs.ErrNotExist)
		})
	}
}

// An agent may be killed while it starts the plugin. Then nobody reads the plugin's output when
// it first checks, and another process is its parent, here this one.
func TestPlugin_agentGoneFirst(t *testing.T) {
	leak.Check(t)
	self, err := os.Executable()
	must.NoError(t, err)
	r, w, err := os.Pipe()
	must.NoError(t, err)
	must.NoError(t, r.Close())
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), base.Handshake.MagicCookieKey+"="+base.Handshake.MagicCookieValue, "PLUGIN_PROTOCOL_VERSIONS=2")
	cmd.Stdout = w
	must.NoError(t, cmd.Start())
	must.NoError(t, w.Close())
	killed := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	must.NoError(t, cmd.Wait())
	must.True(t, killed.Stop())
}

// A plugin whose output is not a pipe ends when its parent changes.
func TestPlugin_parentGone(t *testing.T) {
	leak.Check(t)
	r, w, err := os.Pipe()
	must.NoError(t, err)
	defer r.Close()
	self, err := os.Executable()
	must.NoError(t, err)
	cmd := exec.Command("/bin/sh", "-c", `"$0" >/dev/null 3>&- 4>&- & read end`, self)
	cmd.Env = append(os.Environ(), base.Handshake.MagicCookieKey+"="+base.Handshake.MagicCookieValue)
	cmd.Stderr = w
	stdin, err := cmd.StdinPipe()
	must.NoError(t, err)
	must.NoError(t, cmd.Start())
	must.NoError(t, w.Close())
	log := json.NewDecoder(r)
	var line any
	must.NoError(t, log.Decode(&line)) // it serves
	must.NoError(t, stdin.Close())
	must.Error(t, cmd.Wait()) // read(1) has seen the end
	must.NoError(t, r.SetReadDeadline(time.Now().Add(patience)))
	_, err = io.Copy(io.Discard, r)
	must.NoError(t, err)
}

// A plugin that was configured waits for the next agent: tasks may need it.
func TestPlugin_outlivesAgent(t *testing.T) {
	leak.Check(t)
	l := load(t, "refused accepted refused")
	next := l.reattach()
	must.NoError(t, l.agent.Process.Kill())
	must.False(t, l.ended(t, 3*launcherInterval), must.Sprint("the plugin ends with its agent"))
	plugin, err := dispense(next)
	must.NoError(t, err)
	info, err := plugin.PluginInfo()
	must.NoError(t, err)
	must.Eq(t, "pot", info.Name)
	next.Kill()
	must.True(t, l.ended(t, patience))
}
