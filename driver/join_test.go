package driver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/supervise"
)

func TestBackend_planJoin(t *testing.T) {
	leak.Check(t, leak.Foreign)
	for _, tc := range []struct{ name, plugin, config, want string }{
		{name: "a task's network", config: `network_mode = "task:db"`},
		{name: "the group's network", config: `network_mode = "group"`},
		{name: "a task must be named", config: `network_mode = "task"`,
			want: `config.network_mode: no such mode: "task": use public-bridge, private-bridge, host, none, task:NAME or group`},
		{name: "a task must have a name", config: `network_mode = "task:"`,
			want: `config.network_mode: no such mode: "task:": use public-bridge, private-bridge, host, none, task:NAME or group`},
		{name: "the pot's own word is none of a job's", config: `network_mode = "joined"`,
			want: `config.network_mode: no such mode: "joined": use public-bridge, private-bridge, host, none, task:NAME or group`},
		{name: "a task cannot join itself", config: `network_mode = "task:web"`,
			want: `config.network_mode: a task cannot join its own network: "task:web"`},
		{name: "a client may not allow a task's", plugin: `allowed_network_modes = ["public-bridge", "group"]`, config: `network_mode = "task:db"`,
			want: `config.network_mode: task is not allowed on this client: use public-bridge or group`},
		{name: "a client may not allow the group's", plugin: `allowed_network_modes = ["task"]`, config: `network_mode = "group"`,
			want: `config.network_mode: group is not allowed on this client: use task:NAME`},
		{name: "ports of a task's are named there", config: "network_mode = \"task:db\"\nports = [\"http\"]",
			want: `config.ports: cannot be set with network_mode "task:db": the task whose network it is publishes its ports: name them there`},
		{name: "ports of the group's are all of them", config: "network_mode = \"group\"\nports = []\nport_map = { http = 80 }",
			want: `config.ports: cannot be set with network_mode "group": the group's network publishes all ports of the group; ` +
				`config.port_map: cannot be set with network_mode "group": the group's network publishes all ports of the group`},
		{name: "each key of a network of its own is refused", config: "network_mode = \"group\"\nbridge = \"db\"\nip = [\"192.0.2.7\"]\nnetwork_stack = \"dual\"",
			want: `config.network_stack: comes with the network that the pot joins; config.bridge: is for network private-bridge only; config.ip: is for network alias only`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := taskOf(t, least+tc.config)
			cfg.Resources.Ports = ports(structs.AllocatedPortMapping{Label: "http", Value: 25000, To: 8080})
			p, err := backendOf(t, tc.plugin).plan(cfg)
			if tc.want != "" {
				must.EqError(t, err, tc.want)
				return
			}
			must.NoError(t, err)
			must.Eq(t, pot.Joined, p.spec.Network)
			must.SliceEmpty(t, p.spec.Ports)
			must.Eq(t, portMap{"http": 8080}, p.portMap)
			if strings.HasSuffix(tc.config, `"group"`) {
				must.Eq(t, "group_"+testAlloc, string(p.spec.Of))
				must.Len(t, 2, p.shared.Ports)
				must.True(t, isGroupPot(p.spec.Of))
				must.NoError(t, p.spec.Of.Validate())
				must.False(t, isTaskPot(p.spec.Of))
				return
			}
			must.Eq(t, "db", p.joins)
			must.Nil(t, p.shared)
		})
	}
}

// A task has the network of another: it waits for it, ends with it, and is otherwise a task
// as any other.
func TestDriver_joinTask(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	b.unlogged = true
	events := b.events(t)
	g := newGroup(t, b)
	web, side := g.member(t, "main", `ports = ["http"]`), g.serves(t, "side", ":9090", `network_mode = "task:main"`)

	began := make(chan error, 1)
	var network *drivers.DriverNetwork
	var handle *drivers.TaskHandle
	go func() {
		var err error
		handle, network, err = b.StartTask(side)
		began <- err
	}()
	must.Eq(t, `Waiting for task "main", whose network this task joins`, eventOf(t, events, side, "Waiting"))
	_, of := b.start(t, web)
	must.NoError(t, <-began)
	must.Eq(t, of.IP, network.IP)
	must.Eq(t, map[string]int{"http": 8080, "metrics": 8080}, network.PortMap)
	must.False(t, network.AutoAdvertise)
	must.StrContains(t, b.exec(t, side.ID, "id"), "addr "+of.IP)

	webHandle := handleOf(t, b, web)
	b.open(t)
	events = b.events(t)
	t.Run("it is recovered", func(t *testing.T) {
		must.NoError(t, b.RecoverTask(afterRestart(t, handle)))
		must.NoError(t, b.RecoverTask(afterRestart(t, webHandle)))
		must.StrContains(t, b.exec(t, side.ID, "id"), "addr "+of.IP)
	})
	t.Run("a network that is not the task's own cannot be joined", func(t *testing.T) {
		_, _, err := b.StartTask(g.member(t, "third", `network_mode = "task:side"`))
		must.EqError(t, err, `rpc error: code = Unknown desc = cannot start task: config.network_mode: the network of task "side" is not its own: join the task or the group whose network it is`)
	})
	t.Run("it ends with the other, and is started again after it", func(t *testing.T) {
		must.NoError(t, b.StopTask(web.ID, time.Second, "SIGKILL"))
		result := b.wait(t, side.ID)
		must.Eq(t, int(syscall.SIGKILL), result.Signal)
		must.False(t, result.OOMKilled)
		eventOf(t, events, side, "Killed with the task whose network this one has joined")
		must.NoError(t, b.DestroyTask(web.ID, true))
		must.NoError(t, b.DestroyTask(side.ID, true))
		again := g.member(t, "main", `ports = ["http"]`)
		b.start(t, again)
		b.start(t, g.serves(t, "side", ":9090", `network_mode = "task:main"`))
	})
	t.Run("a start that waits is cancelled", func(t *testing.T) {
		waits := g.member(t, "waits", `network_mode = "task:nosuch"`)
		go func() {
			_, _, err := b.StartTask(waits)
			began <- err
		}()
		eventually(t, func() error {
			must.NoError(t, b.StopTask(waits.ID, 0, ""))
			select {
			case err := <-began:
				must.ErrorContains(t, err, "start cancelled")
				return nil
			default:
				return errors.New("it waits")
			}
		})
	})
}

// handleOf returns the handle of a running task, as the driver makes it.
func handleOf(t *testing.T, b *bed, cfg *drivers.TaskConfig) *drivers.TaskHandle {
	t.Helper()
	task := b.driver.tasks.find(TaskID(cfg.ID))
	must.NotNil(t, task)
	h, err := task.state.handle(cfg)
	must.NoError(t, err)
	return h
}

// The tasks of a group share a network. Its ports are published once. It outlives each of
// them, and plugins, and goes with the last.
func TestDriver_joinGroup(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	b.unlogged = true
	g := newGroup(t, b)
	const mode = `network_mode = "group"`
	web, db := g.serves(t, "web", ":8080", mode), g.serves(t, "db", "127.0.0.1:5432", mode)
	began := make(chan error)
	for _, cfg := range []*drivers.TaskConfig{web, db} {
		go func() {
			_, _, err := b.StartTask(cfg)
			began <- err
		}()
	}
	must.NoError(t, errors.Join(<-began, <-began))
	g.answers(t, "web", "web")
	network := b.driver.tasks.find(TaskID(web.ID)).state.network()
	must.Eq(t, network.IP, b.driver.tasks.find(TaskID(db.ID)).state.network().IP)
	must.Eq(t, map[string]int{"http": 8080, "metrics": 8080}, network.PortMap)

	t.Run("another task of the allocation publishes none of its ports", func(t *testing.T) {
		_, _, err := b.StartTask(g.member(t, "own", `ports = ["http"]`))
		must.ErrorContains(t, err, `config.ports: the group's network already publishes port "http"`)
	})
	must.NoError(t, b.DestroyTask(web.ID, true))
	handle := handleOf(t, b, db)
	b.open(t)
	events := b.events(t)
	t.Run("one that names no ports is told so", func(t *testing.T) {
		silent := g.member(t, "silent", "")
		b.start(t, silent)
		must.Eq(t, `Did not publish port "http" and port "metrics": the group's network does`, eventOf(t, events, silent, "Did not publish"))
		must.NoError(t, b.DestroyTask(silent.ID, true))
	})
	t.Run("a task is started again, after a plugin too", func(t *testing.T) {
		must.NoError(t, b.RecoverTask(afterRestart(t, handle)))
		web = g.serves(t, "web", ":8080", mode)
		_, again := b.start(t, web)
		must.Eq(t, network.IP, again.IP)
		g.answers(t, "web", "web")
	})
	t.Run("the reconciler keeps it, and mends it", func(t *testing.T) {
		name := groupPotName(g.alloc)
		s, err := supervise.Open(filepath.Join(b.dir, "pots", string(name)))
		must.NoError(t, err)
		must.NoError(t, syscall.Kill(s.Supervisor, syscall.SIGKILL))
		_, err = s.Wait(t.Context())
		must.ErrorIs(t, err, supervise.ErrUnknownExit)
		r, back, now := newReconciler(b.driver), b.driver.current(), time.Now()
		for i := range 3 {
			r.reconcileOnce(t.Context(), back, now.Add(time.Duration(i)*time.Hour))
		}
		g.answers(t, "web", "web")
	})
	t.Run("the reconciler destroys what a killed plugin has left of it", func(t *testing.T) {
		back := b.driver.current()
		left := groupPotName("6f3e6b3c-8f0e-4a35-9c2c-5d5b1f0a7c11")
		_, err := back.pots.Create(t.Context(), pot.Spec{Name: left, Image: "x", Bare: true, Network: pot.PublicBridge})
		must.NoError(t, err)
		r, now := newReconciler(b.driver), time.Now()
		r.reconcileOnce(t.Context(), back, now)
		_, err = back.pots.Find(left)
		must.NoError(t, err)
		r.reconcileOnce(t.Context(), back, now.Add(time.Hour))
		_, err = back.pots.Find(left)
		must.ErrorIs(t, err, fs.ErrNotExist)
		g.answers(t, "web", "web")
	})
	t.Run("it goes with the last task", func(t *testing.T) {
		must.NoError(t, b.DestroyTask(db.ID, true))
		must.NoError(t, b.DestroyTask(web.ID, true))
		nothingLeft(t, b.dir)
	})
}

// The kernel ends all tasks of a group's network with its jail. The next one makes it anew.
func TestDriver_joinGroup_afterReboot(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	b.unlogged = true
	g := newGroup(t, b)
	const mode = `network_mode = "group"`
	web := g.serves(t, "web", ":8080", mode)
	handle, _ := b.start(t, web)
	host, name := b.driver.current().pots.Host(), groupPotName(g.alloc)
	s, err := supervise.Open(filepath.Join(b.dir, "pots", string(name)))
	must.NoError(t, err)
	must.NoError(t, syscall.Kill(s.Supervisor, syscall.SIGKILL))
	killAll(t, b, handle)
	must.NoError(t, host.Jails.Remove(context.Background(), name+"."+TaskID(web.ID).PotName()))
	must.NoError(t, host.Jails.Remove(context.Background(), name))
	must.NoError(t, host.Links.Detach(context.Background(), name))

	b.open(t)
	must.NoError(t, b.RecoverTask(afterRestart(t, handle)))
	must.Error(t, b.wait(t, web.ID).Err)
	must.NoError(t, b.DestroyTask(web.ID, true))
	again := g.serves(t, "web", ":8080", mode)
	b.start(t, again)
	g.answers(t, "web", "web")
	must.NoError(t, b.DestroyTask(again.ID, true))
	nothingLeft(t, b.dir)
}

// The network of a group publishes no port that another task of the allocation does.
func TestDriver_joinGroup_beside(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	b.unlogged = true
	g := newGroup(t, b)
	b.start(t, g.member(t, "own", `ports = ["http"]`))
	web := g.member(t, "web", `network_mode = "group"`)
	b.start(t, web)
	g.answers(t, "own", "web")
	_, _, err := b.StartTask(g.member(t, "third", `network_mode = "task:web"`))
	must.ErrorContains(t, err, `the network of task "web" is not its own: join the task or the group whose network it is`)
}

// Nomad calls StartTask again if the plugin dies during a start: what that has left of the
// pot, and of the network that was made for it, is made anew.
func TestDriver_joinGroup_again(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	b.unlogged = true
	g := newGroup(t, b)
	web, side := g.member(t, "web", `network_mode = "group"`), g.serves(t, "side", ":9090", `network_mode = "group"`)
	b.start(t, web)
	b.open(t)
	b.start(t, web)
	g.answers(t, "web", "web")
	b.start(t, side)
	b.open(t)
	b.start(t, side)
	must.StrContains(t, b.exec(t, side.ID, "id"), "addr "+b.driver.tasks.find(TaskID(side.ID)).state.IP)
	g.answers(t, "web", "web")
}

// Many tasks of one allocation start and end at once.
func TestDriver_joinGroup_atOnce(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	b.unlogged = true
	g := newGroup(t, b)
	done := make(chan error)
	var all []*drivers.TaskConfig
	for i := range 6 {
		all = append(all, g.serves(t, fmt.Sprint("t", i), fmt.Sprint(":", 7000+i), `network_mode = "group"`))
	}
	for _, cfg := range all {
		go func() {
			_, _, err := b.StartTask(cfg)
			done <- errors.Join(err, b.DestroyTask(cfg.ID, true))
		}()
	}
	for range all {
		must.NoError(t, <-done)
	}
	nothingLeft(t, b.dir)
}
