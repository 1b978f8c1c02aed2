package freebsd

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

type dataset struct {
	props     map[string]string
	snapshots []string
	origin    string

	modelImage
}

func (m *model) addDataset(name string) *dataset {
	d := &dataset{props: map[string]string{}}
	m.datasets[name] = d
	must0(os.MkdirAll(m.place(name), 0o755))
	m.addMount(MountPoint{Type: "zfs", From: name, On: m.place(name)})
	return d
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
	case slices.Contains(argv, "name,creation"):
		for name := range m.datasets {
			if name == last || filepath.Dir(name) == last {
				out += name + "\t1795818793\n"
			}
		}
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

// receive creates the datasets that the stream, a word, stands for.
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
