package freebsd

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// modelImage is what images and snapshots are to the model, beside their names.
type modelImage struct {
	guids    map[string]uint64   // of snapshots; one that is not here has its name's number
	holds    map[string][]string // tags, by snapshot
	received map[string]string   // properties

	shown   string // the snapshots that .zfs/snapshot has shown
	changed int64  // and when those changed
}

func (d *dataset) guid(snapshot string) uint64 {
	if guid, ok := d.guids[snapshot]; ok {
		return guid
	}
	n, _ := strconv.ParseUint(snapshot, 10, 64)
	return n
}

// modelStream is a package of zfs send -R as the model receives it, in JSON.
type modelStream struct {
	Holds bool // feature HOLDS
	Sent  []modelSent
}

// modelSent is a snapshot of a dataset in it.
type modelSent struct {
	Child    string // "" or "m"
	Snapshot string
	GUID     uint64
	From     uint64 // GUID of what it is incremental from
	Clone    bool   // DRR_FLAG_CLONE
	Props    map[string]string
	Holds    []string
}

func (s modelStream) reader() io.Reader {
	data, err := json.Marshal(s)
	must0(err)
	return strings.NewReader(string(data))
}

// zfsImages is zfs(8), as far as GUIDs, holds and the sources of properties matter.
func (m *model) zfsImages(stdin io.Reader, argv []string) (string, string) {
	last := argv[len(argv)-1]
	switch {
	case argv[0] == "receive" && m.datasets[last] == nil:
		text, err := io.ReadAll(stdin)
		must0(err)
		var s modelStream
		if json.Unmarshal(text, &s) == nil {
			return "", m.receivePackage(argv, last, s)
		}
		stdin = strings.NewReader(string(text))
	case argv[0] == "holds":
		return m.showHolds(argv[2:]), ""
	case argv[0] == "release":
		return "", m.release(argv[len(argv)-2], last)
	case slices.Contains(argv, "name,userrefs"):
		return m.ofSnapshots(last, func(d *dataset, name, snapshot string) string {
			return fmt.Sprintf("%s@%s\t%d\n", name, snapshot, len(d.holds[snapshot]))
		})
	case argv[0] == "list" && slices.Contains(argv, "guid"):
		return m.ofSnapshots(last, func(d *dataset, _, snapshot string) string { return fmt.Sprintln(d.guid(snapshot)) })
	case slices.Contains(argv, "name,property,value"):
		return m.showProperties(argv)
	}
	return m.zfs(stdin, argv)
}

// receivePackage is zfs_receive_package (OpenZFS lib/libzfs/libzfs_sendrecv.c).
func (m *model) receivePackage(argv []string, dest string, s modelStream) string {
	for _, sent := range s.Sent {
		if complaint := m.receiveOne(argv, dest, s.Holds, sent); complaint != "" {
			return complaint
		}
	}
	return ""
}

// receiveOne is zfs_receive_one. It puts a clone on any snapshot with the GUID, and what is
// incremental and no clone into any dataset that has one, if its own is not there yet.
// Properties are received, but for those of -x; with the feature HOLDS so are holds, unless
// -h is given (flags->skipholds).
func (m *model) receiveOne(argv []string, dest string, holds bool, sent modelSent) string {
	name := strings.TrimSuffix(dest+"/"+sent.Child, "/")
	d := m.datasets[name]
	switch {
	case sent.From == 0 && d == nil:
		d = m.unmounted(name)
	case sent.From == 0:
		return fmt.Sprintf("cannot receive new filesystem stream: destination '%s' exists\nmust specify -F to overwrite it", name)
	case sent.Clone:
		origin := m.guidToName(name, sent.From)
		if origin == "" {
			return "cannot receive: local origin for clone " + name + "@" + sent.Snapshot + " does not exist"
		}
		d = m.unmounted(name)
		d.origin = origin
	case d == nil:
		origin, _, _ := strings.Cut(m.guidToName(name, sent.From), "@")
		if d = m.datasets[origin]; d == nil {
			return fmt.Sprintf("cannot receive incremental stream: destination '%s' does not exist", name)
		}
	}
	d.snapshots = append(d.snapshots, sent.Snapshot)
	set(&d.guids, sent.Snapshot, sent.GUID)
	for property, value := range sent.Props {
		if at := slices.Index(argv, property); at < 0 || argv[at-1] != "-x" {
			set(&d.received, property, value)
		}
	}
	if holds && !slices.Contains(argv, "-h") {
		set(&d.holds, sent.Snapshot, sent.Holds)
	}
	return ""
}

func set[K comparable, V any](of *map[K]V, key K, value V) {
	if *of == nil {
		*of = map[K]V{}
	}
	(*of)[key] = value
}

// guidToName is guid_to_name_redact_snaps: it looks from the dataset that is to be made
// upwards, in all that is below each. The order of children is not ours to choose; the
// model has that of their names.
func (m *model) guidToName(parent string, guid uint64) string {
	for at := parent; at != "."; at = path.Dir(at) {
		for _, name := range slices.Sorted(maps.Keys(m.datasets)) {
			if name != at && !strings.HasPrefix(name, at+"/") {
				continue
			}
			for _, snapshot := range m.datasets[name].snapshots {
				if m.datasets[name].guid(snapshot) == guid {
					return name + "@" + snapshot
				}
			}
		}
	}
	return ""
}

// held is why the snapshots below name that end so cannot be destroyed: one with a hold
// is EBUSY (module/zfs/dsl_destroy.c, dsl_destroy_snapshot_check_impl, ds_userrefs).
func (m *model) held(below, ending string) string {
	for _, name := range slices.Sorted(maps.Keys(m.datasets)) {
		if name != below && !strings.HasPrefix(name, below+"/") {
			continue
		}
		for snapshot, tags := range m.datasets[name].holds {
			if len(tags) > 0 && strings.HasSuffix("@"+snapshot, ending) {
				return fmt.Sprintf("cannot destroy snapshot %s@%s: pool or dataset is busy", name, snapshot)
			}
		}
	}
	return ""
}

func (m *model) showHolds(snapshots []string) (out string) {
	for _, at := range snapshots {
		name, snapshot, _ := strings.Cut(at, "@")
		for _, tag := range m.datasets[name].holds[snapshot] {
			out += at + "\t" + tag + "\tFri Nov 27  8:00 2026\n"
		}
	}
	return out
}

// release is zfs_release: a tag that is not there is EZFS_REFTAG_RELE.
func (m *model) release(tag, at string) string {
	name, snapshot, _ := strings.Cut(at, "@")
	tags := m.datasets[name].holds[snapshot]
	i := slices.Index(tags, tag)
	if i < 0 {
		return fmt.Sprintf("cannot release hold from snapshot '%s': no such tag on this dataset", at)
	}
	m.datasets[name].holds[snapshot] = slices.Delete(tags, i, i+1)
	return ""
}

// ofSnapshots is zfs list -r -t snapshot.
func (m *model) ofSnapshots(below string, line func(d *dataset, name, snapshot string) string) (out, complaint string) {
	if m.datasets[below] == nil {
		return "", fmt.Sprintf("cannot open '%s': dataset does not exist", below)
	}
	for _, name := range slices.Sorted(maps.Keys(m.datasets)) {
		if name != below && !strings.HasPrefix(name, below+"/") {
			continue
		}
		for _, snapshot := range m.datasets[name].snapshots {
			out += line(m.datasets[name], name, snapshot)
		}
	}
	return out, ""
}

// showProperties is zfs get -o name,property,value of what is local, and with -s none of
// what has no source, as a guid, or no value, which is "-".
func (m *model) showProperties(argv []string) (out, complaint string) {
	at := slices.Index(argv, "name,property,value") + 1
	names, none := argv[at+1:], slices.Contains(argv, "local,none")
	if slices.Contains(argv, "-d") {
		names = slices.DeleteFunc(slices.Sorted(maps.Keys(m.datasets)), func(name string) bool {
			return name != names[0] && path.Dir(name) != names[0]
		})
	}
	for _, name := range names {
		of, snapshot, isSnapshot := strings.Cut(name, "@")
		d := m.datasets[of]
		if d == nil || isSnapshot && !slices.Contains(d.snapshots, snapshot) {
			return "", fmt.Sprintf("cannot open '%s': dataset does not exist", name)
		}
		for _, property := range strings.Split(argv[at], ",") {
			value := d.props[property]
			if isSnapshot { // what it inherits is of another source
				value = ""
			}
			if property == "guid" {
				value = fmt.Sprint(d.guid(snapshot))
			}
			if value == "" && none && d.received[property] == "" {
				value = "-"
			}
			if value != "" {
				out += name + "\t" + property + "\t" + value + "\n"
			}
		}
	}
	return out, ""
}

// showSnapshotDirs has .zfs/snapshot of each file system with snapshots say when they
// changed last, as stat(2) says it (module/os/freebsd/zfs/zfs_ctldir.c,
// zfsctl_snapdir_getattr).
func (m *model) showSnapshotDirs() {
	for _, p := range m.mounts {
		d := m.datasets[p.From]
		if p.Type != "zfs" || d == nil || len(d.snapshots) == 0 {
			continue
		}
		dir := filepath.Join(p.On, ".zfs", "snapshot")
		if now := fmt.Sprint(d.snapshots, d.guids); d.shown != now {
			m.lastChange++
			d.shown, d.changed = now, m.lastChange
		}
		must0(os.MkdirAll(dir, 0o755))
		at := time.Unix(1_700_000_000, d.changed)
		must0(os.Chtimes(dir, at, at))
	}
}

// value is what a property of a dataset is: what is set there, or else what came.
func (m *model) value(name, property string) string {
	return cmp.Or(m.datasets[name].props[property], m.datasets[name].received[property])
}
