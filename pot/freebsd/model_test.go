package freebsd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"nomad-driver-pot/pot/run"
)

// model is a FreeBSD machine as far as pots change it: the commands that are
// run act on it, and what they leave behind shows. What they print and complain
// is FreeBSD 14.2's (testdata/errors.txt). Mounts are directories that are there.
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

type dataset struct {
	props     map[string]string
	snapshots []string
	origin    string

	modelImage
}

type modelIface struct {
	description string
	groups      []string
	inet        string
	aliases     []string
	members     []string
	jail        string
	down        bool
}

type modelJail struct {
	id    int
	path  string
	vnet  bool
	dying int // looks until it is gone
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

func (m *model) addDataset(name string) *dataset {
	d := &dataset{props: map[string]string{}}
	m.datasets[name] = d
	must0(os.MkdirAll(m.place(name), 0o755))
	m.addMount(MountPoint{Type: "zfs", From: name, On: m.place(name)})
	return d
}

// state is what the machine has, in words.
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

// Run is run.Runner's.
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

func (m *model) zfs(stdin io.Reader, argv []string) (string, string) {
	last := argv[len(argv)-1]
	d := m.datasets[last]
	missing := fmt.Sprintf("cannot open '%s': dataset does not exist", last)
	switch argv[0] {
	case "list":
		return m.zfsList(argv, last, d, missing)
	case "get":
		if slices.Contains(argv, "-d") {
			return m.withProperty(argv[len(argv)-2]), ""
		}
		if d == nil {
			return "", missing
		}
		if slices.Contains(argv, "origin") {
			return cmp.Or(d.origin, "-") + "\n", ""
		}
		out := ""
		for k, v := range d.props {
			out += k + "\t" + v + "\n"
		}
		return out, ""
	case "set":
		if d == nil {
			return "", missing
		}
		d.set(argv[1 : len(argv)-1])
	case "inherit":
		if d == nil {
			return "", missing
		}
		delete(d.props, argv[1])
	case "create", "clone":
		if d != nil {
			return "", fmt.Sprintf("cannot create '%s': dataset already exists", last)
		}
		if m.datasets[filepath.Dir(last)] == nil {
			return "", fmt.Sprintf("cannot create '%s': parent does not exist", last)
		}
		d = m.addDataset(last)
		d.set(argv)
		if argv[0] == "clone" {
			d.origin = argv[len(argv)-2]
			m.fill(m.place(last))
		}
	case "receive":
		if d != nil {
			return "", fmt.Sprintf("cannot receive new filesystem stream: destination '%s' exists\nmust specify -F to overwrite it", last)
		}
		return "", m.receive(stdin, last)
	case "rename":
		from := argv[len(argv)-2]
		if d != nil {
			return "", fmt.Sprintf("cannot rename '%s': dataset already exists", from)
		}
		m.rename(from, last)
	case "mount":
		if d == nil {
			return "", missing
		}
		m.addMount(MountPoint{Type: "zfs", From: last, On: m.place(last)})
	case "snapshot", "rollback", "send":
		return "", m.snapshot(argv[0], last)
	case "destroy":
		if strings.Contains(last, "@") {
			return "", m.snapshot(argv[0], last)
		}
		return "", m.destroy(last, missing)
	default:
		panic("the model has no zfs " + argv[0])
	}
	return "", ""
}

// withProperty are the datasets that have it.
func (m *model) withProperty(property string) (out string) {
	for name, d := range m.datasets {
		if d.props[property] != "" {
			out += name + "\n"
		}
	}
	return out
}

func (d *dataset) set(argv []string) {
	for _, a := range argv {
		if k, v, ok := strings.Cut(a, "="); ok {
			d.props[k] = v
		}
	}
}

func (m *model) zfsList(argv []string, last string, d *dataset, missing string) (string, string) {
	if of, snapshot, ok := strings.Cut(last, "@"); ok && m.datasets[of] != nil && slices.Contains(m.datasets[of].snapshots, snapshot) {
		return goZFSLine(last, "snapshot"), ""
	}
	if d == nil {
		return "", missing
	}
	out := ""
	switch {
	case slices.Contains(argv, "name,clones"):
		for name, d := range m.datasets {
			for _, s := range d.snapshots {
				clones := ""
				for other, of := range m.datasets {
					if of.origin == name+"@"+s {
						clones = other
					}
				}
				out += name + "@" + s + "\t" + clones + "\n"
			}
		}
	case slices.Contains(argv, "name,creation,used,guid,logicalreferenced"):
		out = m.showSnapshots(last)
	case slices.Contains(argv, "snapshot"):
		for _, s := range d.snapshots {
			out += last + "@" + s + "\n"
		}
	case slices.Contains(argv, goZFSColumns):
		out = m.showToGoZFS(argv, last)
	case slices.Contains(argv, "mounted,available"):
		out = "yes\t10737418240\n"
	case slices.Contains(argv, "name,type,origin"):
		for name, d := range m.datasets {
			if name == last || strings.HasPrefix(name, last+"/") {
				out += name + "\tfilesystem\t" + cmp.Or(d.origin, "-") + "\n"
			}
		}
	default:
		for name := range m.datasets {
			if name == last || filepath.Dir(name) == last && slices.Contains(argv, "-d") {
				out += name + "\n"
			}
		}
	}
	return out, ""
}

// receive makes what the stream, a word, says.
func (m *model) receive(stdin io.Reader, name string) string {
	text, err := io.ReadAll(stdin)
	must0(err)
	switch string(text) {
	case "image":
		m.unmounted(name)
		m.unmounted(name + "/m").snapshots = []string{"1"}
	case "cut": // leaves what it has made so far
		m.unmounted(name)
		return "cannot receive new filesystem stream: incomplete stream"
	case "layer of another's", "layer", "layer of its pot", "layer of another pot":
		m.unmounted(name)
		m.unmounted(name + "/m").origin = map[string]string{
			"layer": "tank/pot/jails/web_1_0/m@1700000000", "layer of another's": "tank/secrets@1",
			"layer of its pot": "tank/pot/jails/web/m@1700000000", "layer of another pot": "tank/pot/jails/db/m@1800000000",
		}[string(text)]
	case "more children":
		m.unmounted(name)
		m.unmounted(name + "/m")
		m.unmounted(name + "/other")
	default:
		return "cannot receive: failed to read from stream"
	}
	return ""
}

func (m *model) unmounted(name string) *dataset {
	d := &dataset{props: map[string]string{}}
	m.datasets[name] = d
	must0(os.MkdirAll(m.place(name), 0o755))
	return d
}

func (m *model) rename(from, to string) {
	for name, d := range m.datasets {
		if name == from || strings.HasPrefix(name, from+"/") {
			delete(m.datasets, name)
			m.datasets[to+strings.TrimPrefix(name, from)] = d
		}
	}
	must0(os.Rename(m.place(from), m.place(to)))
	for i, p := range m.mounts {
		if p.Type == "zfs" && (p.From == from || strings.HasPrefix(p.From, from+"/")) {
			m.mounts[i].From = to + strings.TrimPrefix(p.From, from)
			m.mounts[i].On = m.place(m.mounts[i].From)
		}
	}
}

func (m *model) destroy(name, missing string) string {
	if m.datasets[name] == nil {
		return missing
	}
	if complaint := m.held(name, ""); complaint != "" {
		return complaint
	}
	for other, d := range m.datasets {
		if strings.HasPrefix(d.origin, name+"/") || strings.HasPrefix(d.origin, name+"@") {
			return fmt.Sprintf("cannot destroy '%s': filesystem has dependent clones\nuse '-R' to destroy the following datasets:\n%s", name, other)
		}
	}
	if m.busy > 0 {
		m.busy--
		return fmt.Sprintf("cannot unmount '%s': pool or dataset is busy", m.place(name))
	}
	for _, p := range m.mounts {
		if p.Type != "zfs" && strings.HasPrefix(p.On, m.place(name)+"/") {
			panic("destroyed under a mount: " + p.On)
		}
	}
	for other := range m.datasets {
		if other == name || strings.HasPrefix(other, name+"/") {
			delete(m.datasets, other)
		}
	}
	m.mounts = slices.DeleteFunc(m.mounts, func(p MountPoint) bool {
		return p.Type == "zfs" && (p.From == name || strings.HasPrefix(p.From, name+"/"))
	})
	must0(os.RemoveAll(m.place(name)))
	return ""
}

func (m *model) addMount(p MountPoint) {
	m.lastFSID++
	p.ID[0] = m.lastFSID
	m.mounts = append(m.mounts, p)
}

func (m *model) ifconfig(_ io.Reader, argv []string) (string, string) {
	if refused := withoutWidth(argv); refused != "" {
		return "", refused
	}
	switch {
	case argv[0] == "-a":
		return m.showInterfaces(), ""
	case argv[0] == "-j" && m.noJ:
		return "", "ifconfig: illegal option -- j\nusage: ifconfig [-f type:format] interface"
	case argv[0] == "-j":
		if m.jails[argv[1]] == nil {
			return "", "ifconfig: jail \"" + argv[1] + "\" not found"
		}
		if i := m.ifaces[argv[2]]; argv[2] != "lo0" && (i == nil || i.jail != argv[1]) {
			return "", "ifconfig: interface " + argv[2] + " does not exist"
		}
		return "", ""
	case argv[1] == "create":
		return m.clone(argv)
	}
	i := m.ifaces[argv[0]]
	if i == nil {
		return "", "ifconfig: interface " + argv[0] + " does not exist"
	}
	switch argv[1] {
	case "addm":
		return "", m.addm(argv[0], argv[2])
	case "inet", "inet6":
		if refused := m.mayHaveAddress(argv[0]); refused != "" && argv[3] == "alias" {
			return "", refused
		}
		return "", i.alias(argv[2:])
	case "destroy":
		delete(m.ifaces, argv[0])
		delete(m.ifaces, inner(argv[0]))
		for _, b := range m.ifaces {
			b.members = slices.DeleteFunc(b.members, func(s string) bool { return s == argv[0] })
		}
	default:
		panic("the model has no ifconfig " + argv[1])
	}
	return "", ""
}

// alias gives an interface an address, or takes it away.
func (i *modelIface) alias(argv []string) string {
	if argv[1] == "alias" {
		i.aliases = append(i.aliases, argv[0])
		return ""
	}
	at := slices.IndexFunc(i.aliases, func(a string) bool { return strings.HasPrefix(a, argv[0]+"/") })
	if at < 0 {
		return "ifconfig: ioctl (SIOCDIFADDR): Can't assign requested address"
	}
	i.aliases = slices.Delete(i.aliases, at, at+1)
	return ""
}

// createInterface does as argv says, word for word: what was made before a word that
// is refused stays, and its name is printed all the same (sbin/ifconfig/ifconfig.c,
// printifnamemaybe).
func (m *model) createInterface(kind string, unit int, argv []string) (out, complaint string) {
	m.noBridge = m.noBridge && kind != "bridge"
	i := &modelIface{groups: []string{kind}}
	name := fmt.Sprint(kind, unit)
	if kind == "epair" {
		m.ifaces[name+"b"] = &modelIface{groups: []string{"epair"}}
		name += "a"
	}
	m.ifaces[name] = i
	for n := 2; n+1 < len(argv); n++ {
		switch argv[n] {
		case "group":
			i.groups = append(i.groups, argv[n+1])
		case "description":
			i.description = argv[n+1]
		case "inet":
			i.inet = argv[n+1]
		case "addm":
			if refused := m.addm(name, argv[n+1]); refused != "" {
				return name + "\n", refused
			}
		}
	}
	return name + "\n", ""
}

func (m *model) showInterfaces() string {
	var b strings.Builder
	for name, i := range m.ifaces {
		if i.jail != "" {
			continue
		}
		flags := map[bool]string{true: "BROADCAST", false: "UP,BROADCAST"}[i.down]
		fmt.Fprintf(&b, "%s: flags=1008843<%s> metric 0 mtu 1500\n", name, flags)
		if i.description != "" {
			fmt.Fprintf(&b, "\tdescription: %s\n", i.description)
		}
		fmt.Fprintf(&b, "\toptions=0\n\tgroups: %s\n", strings.Join(i.groups, " "))
		b.WriteString(i.showAddresses())
		for _, member := range i.members {
			fmt.Fprintf(&b, "\tmember: %s flags=143<LEARNING,DISCOVER>\n\t        port 5 priority 128 path cost 2000\n", member)
		}
	}
	return b.String()
}

func (m *model) route(_ io.Reader, argv []string) (string, string) {
	if m.noJ {
		return "", "route: illegal option -- j\nroute: usage: route [-46dnqtv] command [[modifiers] args]"
	}
	if j := m.jails[argv[1]]; j == nil || !j.vnet {
		return "", "route: jail \"" + argv[1] + "\" not found"
	}
	return "", ""
}

func (m *model) jail(_ io.Reader, argv []string) (string, string) {
	p := map[string]string{}
	for _, a := range argv[1:] {
		k, v, _ := strings.Cut(a, "=")
		p[k] = v
	}
	name := p["name"]
	if m.jails[name] != nil {
		return "", fmt.Sprintf("jail: %q already exists", name)
	}
	if _, err := os.Stat(p["path"]); err != nil {
		return "", "jail: path " + p["path"] + ": No such file or directory"
	}
	_, vnet := p["vnet"]
	m.lastID++
	m.jails[name] = &modelJail{id: m.lastID, path: p["path"], vnet: vnet}
	for _, a := range argv {
		device, ok := strings.CutPrefix(a, "vnet.interface=")
		if !ok {
			continue
		}
		if m.ifaces[device] == nil {
			return "", fmt.Sprintf("ifconfig: interface %s does not exist\njail: /sbin/ifconfig %s vnet %s: failed", device, device, name)
		}
		m.ifaces[device].jail = name
	}
	return "", ""
}

func (m *model) rctl(_ io.Reader, argv []string) (string, string) {
	if len(argv) > 0 && argv[0] == "-a" {
		for _, rule := range argv[1:] {
			subject := strings.Join(strings.Split(rule, ":")[:2], ":")
			m.rules[subject] = append(m.rules[subject], rule)
		}
		return "", ""
	}
	if len(argv) == 0 {
		return strings.Join(slices.Concat(slices.Collect(maps.Values(m.rules))...), "\n"), ""
	}
	if m.rules[argv[1]] == nil {
		return "", "rctl: failed to remove rule '" + argv[1] + "': No such process"
	}
	delete(m.rules, argv[1])
	return "", ""
}

func (m *model) pfctl(stdin io.Reader, argv []string) (string, string) {
	if missing := noDevice(argv); missing != "" {
		return "", missing
	}
	if complaint := m.pfctlRefuses(argv); complaint != "" {
		return "", complaint
	}
	m.killWire(argv)
	at := slices.Index(argv, "-a")
	switch {
	case slices.Contains(argv, "Anchors"):
		return m.listAnchors(argv[at+1])
	case argv[0] == "-n":
		return "", pfctlCheck(string(must1(io.ReadAll(stdin))), m.dir, argv...)
	case slices.Contains(argv, "-f"):
		text, err := io.ReadAll(stdin)
		must0(err)
		if at >= 0 {
			m.anchors[argv[at+1]] = string(text)
		}
	case slices.Contains(argv, "-F"):
		delete(m.anchors, argv[at+1])
	case slices.Contains(argv, "-s"):
		return m.showPF(argv), ""
	}
	return "", ""
}

// JailID is Kernel's.
func (m *model) JailID(name string, dying bool) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	j := m.jails[name]
	if j == nil || j.dying > 0 && !dying {
		return 0, fs.ErrNotExist
	}
	if j.dying > 0 && !m.stuck {
		if j.dying--; j.dying == 0 {
			delete(m.jails, name)
			for _, i := range m.ifaces {
				if i.jail == name {
					i.jail = ""
				}
			}
		}
	}
	return j.id, nil
}

// RemoveJail is Kernel's. A jail is dying for two more looks.
func (m *model) RemoveJail(id int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, j := range m.jails {
		if j.id == id {
			j.dying = 2
		}
	}
	return nil
}

// Usage is Kernel's.
func (m *model) Usage(jail string) (string, error) {
	if m.jails[jail] == nil {
		return "cputime=0,memoryuse=0,maxproc=0", nil
	}
	return "cputime=7,datasize=0,memoryuse=1048576,maxproc=2,swapuse=4096,pcpu=50", nil
}

// called takes down a call, and is whether it fails.
func (m *model) called(words ...string) bool {
	m.commands = append(m.commands, strings.Join(words, " "))
	return len(m.commands) == m.failAt
}

// Mounts is Kernel's.
func (m *model) Mounts() ([]MountPoint, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.showSnapshotDirs()
	return slices.Clone(m.mounts), nil
}

// Interfaces is Kernel's.
func (m *model) Interfaces() (map[netip.Addr]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := map[netip.Addr]string{}
	for name, i := range m.ifaces {
		for _, text := range append(i.aliases, i.inet) {
			if prefix, err := netip.ParsePrefix(text); err == nil {
				names[prefix.Addr()] = name
			}
		}
	}
	return names, nil
}

// Messages is Kernel's.
func (m *model) Messages() (string, error) { return m.messages, nil }
