package freebsd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"nomad-driver-pot/pot/run"
)

// model is a FreeBSD machine as far as pots change it: the commands that are
// run act on it, and state shows the result. Their output and
// errors are FreeBSD 14.2's (testdata/errors.txt, zfs/testdata/errors.txt). Mounts are directories that are there.
type model struct {
	dir string // where datasets are mounted

	mu       sync.Mutex
	datasets map[string]*dataset
	mounts   []MountPoint
	lowers   map[[2]int32]string // what nullfs's show, by their IDs
	ifaces   map[string]*modelIface
	jails    map[string]*modelJail
	rules    map[string][]string // rctl, by subject
	anchors  map[string]string   // pf
	states   []modelState        // likewise
	messages string
	lastID   int
	lastFSID int32
	lastUnit int

	lastChange int64 // of snapshots
	commands   []string

	configure func(*Config)
	more      []string // files that images have
	bare      bool     // images do not say what release they are of

	hangs string         // commands that begin so hang until their context ends
	cut   map[string]int // kinds of interfaces: the ioctls after which the next create is killed

	failAt int  // the n-th command fails; 0 for none
	devMem bool // devfs shows all of /dev
	noJ    bool // ifconfig and route have no -j
	busy   int  // times that zfs destroy is busy
	stuck  bool // jails do not end dying

	mounting func(MountPoint) // runs before nmount(2) looks its paths up
	modelNet
	landed []MountPoint // all that nmount(2) has mounted, for however short a time
}

var errInjected = errors.New("injected")

// newModel is a machine with ZFSRoot tank/pot and an image web_1_0.
func newModel(t testing.TB) *model {
	withPF(t, true)
	m := &model{
		dir: t.TempDir(), datasets: map[string]*dataset{}, ifaces: map[string]*modelIface{},
		lowers: map[[2]int32]string{}, jails: map[string]*modelJail{}, rules: map[string][]string{}, anchors: map[string]string{},
	}
	for _, name := range []string{"tank", "tank/pot", "tank/pot/jails"} {
		m.addDataset(name)
	}
	m.addImage("web_1_0")
	return m
}

func (m *model) addImage(name string) {
	image := "tank/pot/jails/" + name
	m.addDataset(image)
	m.addDataset(image + "/m").snapshots = []string{"1700000000"}
	m.fill(m.place(image + "/m"))
	must0(os.MkdirAll(m.place(image)+"/conf", 0o755))
	must0(os.WriteFile(m.place(image)+"/conf/pot.conf", []byte("pot.cmd=/bin/hello serve\n"), 0o644))
}

// fill makes the tree of an image.
func (m *model) fill(root string) {
	for _, dir := range []string{"bin", "etc", "dev", "tmp"} {
		must0(os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	for _, file := range m.more {
		must0(os.MkdirAll(filepath.Dir(filepath.Join(root, file)), 0o755))
		must0(os.WriteFile(filepath.Join(root, file), nil, 0o755))
	}
	if !m.bare {
		must0(os.WriteFile(root+"/bin/freebsd-version", []byte("#!/bin/sh\nUSERLAND_VERSION=\"14.1-RELEASE-p5\"\n"), 0o755))
	}
	must0(os.WriteFile(root+"/etc/passwd", []byte("root:*:0:0::/root:/bin/sh\n"), 0o644))
}

func must0(err error) {
	if err != nil {
		panic(err)
	}
}

func (m *model) place(name string) string { return filepath.Join(m.dir, name) }

// state lists everything on the machine.
func (m *model) state() string {
	var all []string
	for name, d := range m.datasets {
		all = append(all, fmt.Sprint("dataset ", name, d.props, d.snapshots, d.origin))
	}
	for _, p := range m.mounts {
		all = append(all, fmt.Sprint("mount ", p))
	}
	for name, i := range m.ifaces {
		all = append(all, fmt.Sprint("interface ", name, *i))
	}
	for name, j := range m.jails {
		all = append(all, fmt.Sprint("jail ", name, *j))
	}
	for subject, r := range m.rules {
		all = append(all, fmt.Sprint("rules ", subject, r))
	}
	for anchor, r := range m.anchors {
		if anchor != natAnchor { // stays, as pot has it
			all = append(all, fmt.Sprint("anchor ", anchor, r))
		}
	}
	filepath.WalkDir(m.dir, func(path string, _ fs.DirEntry, err error) error {
		if filepath.Base(path) == ".zfs" { // snapdir=hidden: no program that lists the root sees it
			return fs.SkipDir
		}
		all = append(all, "file "+path)
		return err
	})
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// Run implements run.Runner.
func (m *model) Run(ctx context.Context, stdin io.Reader, argv ...string) (string, error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if m.hangs != "" && strings.HasPrefix(strings.Join(argv, " "), m.hangs) {
		<-ctx.Done()
		return "", context.Cause(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.commands = append(m.commands, strings.Join(argv, " "))
	if len(m.commands) == m.failAt {
		return "", &run.Error{Argv: argv, Code: 1, Stderr: "injected"}
	}
	acts := map[string]func(io.Reader, []string) (string, string){
		"zfs": m.zfsImages, "ifconfig": m.ifconfig, "route": m.route, os.Args[0]: m.supervisor, "tar": m.tar,
		"jail": m.jail, "jexec": m.ok, "/root/rules": m.hook, "rctl": m.rctl, "pfctl": m.pfctl, "sysctl": m.sysctl, "zpool": m.zpool, "cpuset": m.ok, "devfs": m.ok,
	}
	act := acts[argv[0]]
	if act == nil {
		panic("the model has no " + argv[0])
	}
	out, complaint := act(stdin, argv[1:])
	if complaint == killed {
		return "", &run.Error{Argv: argv, Code: -1}
	}
	if complaint != "" {
		return out, &run.Error{Argv: argv, Code: 1, Stderr: complaint}
	}
	return out, nil
}

func (m *model) ok(io.Reader, []string) (string, string) { return "", "" }

// hook is an operator's, of rules for published ports.
func (m *model) hook(_ io.Reader, argv []string) (string, string) {
	return "# " + strings.Join(argv, " ") + "\n\n", ""
}

func (m *model) addMount(p MountPoint) {
	m.lastFSID++
	p.ID[0] = m.lastFSID
	m.mounts = append(m.mounts, p)
}

// called takes down a call, and is whether it fails.
func (m *model) called(words ...string) bool {
	m.commands = append(m.commands, strings.Join(words, " "))
	return len(m.commands) == m.failAt
}

// Mounts implements Kernel.
func (m *model) Mounts() ([]MountPoint, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.showSnapshotDirs()
	return slices.Clone(m.mounts), nil
}

// Messages implements Kernel.
func (m *model) Messages() (string, error) { return m.messages, nil }
