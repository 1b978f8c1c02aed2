// Package zfs runs zfs(8) and zpool(8). Names are whole names of datasets; what may be in
// one is for the caller to check.
//
// Commands has a method for each command line that a task or an import needs. A method is
// one command, run by package run: an argument vector, the C locale, and a context whose end
// kills the command.
//
// Admin has what a person waits for, by go-zfs (github.com/mistifyio/go-zfs/v3): the health
// of a pool, the datasets of pot init and pot deinit, and snapshots of pots kept by hand.
// go-zfs has no context and no runner: it runs the zfs and zpool of PATH, to which NewAdmin
// adds /sbin, with the environment of this process, and nothing can cancel them. Ctrl-C at
// a terminal reaches them too. No locale changes errorTexts: FreeBSD has no translations of
// libzfs (cddl/compat/opensolaris/include/libintl.h, dgettext).
//
// These stay with Commands, as go-zfs v3.0.1 cannot do them:
//   - Receive: go-zfs has no -u, -h and -x, without which a stream mounts itself, keeps its
//     holds and sets properties of the host.
//   - LocalProperties, WithProperty, Properties, ChildProperties: labels are local properties,
//     and go-zfs does not read the source of a property (zfs get -s).
//   - ListSnapshots, Snapshots, GUIDs: go-zfs reads no creation, guid or logicalreferenced but
//     as text for people (zfs get without -p), one command for each, and cannot sort by
//     createtxg.
//   - Send: go-zfs has no -R, and cannot be cancelled.
//   - Space: go-zfs does not read the property mounted.
//   - Cloned, Holds, HeldSnapshots, Release, Inherit: go-zfs has none of them.
//   - Create, Clone, Destroy, Rename, Set, Mount, Tree, Children and Origin, which tasks and
//     imports need: go-zfs cannot be cancelled, adds a zfs list to most changes, sets one
//     property in a command, and clones with -p, which would create a parent that is missing.
package zfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"nomad-driver-pot/pot/run"
)

// Commands are the command lines of zfs(8) on the path of a task or an import.
type Commands struct{ Runner run.Runner }

func (c Commands) run(ctx context.Context, args ...string) (string, error) {
	out, err := c.Runner.Run(ctx, nil, append([]string{"zfs"}, args...)...)
	return out, classify(err)
}

// do runs a command whose output does not matter.
func (c Commands) do(ctx context.Context, args ...string) error {
	_, err := c.run(ctx, args...)
	return err
}

// table runs a command that prints lines of that many words, with tabs between them.
// Only the last word may have tabs in it.
func (c Commands) table(ctx context.Context, columns int, args ...string) (rows [][]string, err error) {
	out, err := c.run(ctx, args...)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(out) {
		row := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", columns)
		if len(row) != columns {
			return nil, unexpected(args, line, fmt.Errorf("want %d columns", columns))
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// unexpected is the error of output that cannot be read.
func unexpected(args []string, line string, err error) error {
	return fmt.Errorf("zfs %s %s: %q: %w", args[0], args[len(args)-1], strings.TrimSpace(line), err)
}

// Create creates a file system with these properties.
func (c Commands) Create(ctx context.Context, dataset string, properties map[string]string) error {
	args := []string{"create"}
	for _, p := range assignments(properties) {
		args = append(args, "-o", p)
	}
	return c.do(ctx, append(args, dataset)...)
}

// Clone creates a file system that is a clone of snapshot.
func (c Commands) Clone(ctx context.Context, snapshot, dataset string) error {
	return c.do(ctx, "clone", snapshot, dataset)
}

// Destroy destroys a dataset with its snapshots and all that is below it, and unmounts them
// by force.
func (c Commands) Destroy(ctx context.Context, dataset string) error {
	return c.do(ctx, "destroy", "-rf", dataset)
}

// Mount mounts a file system. It returns nil if that is mounted already.
func (c Commands) Mount(ctx context.Context, dataset string) error {
	err := c.do(ctx, "mount", dataset)
	if run.Says(err, "already mounted") {
		return nil
	}
	return err
}

// Rename gives a dataset, and all below it, the name to.
func (c Commands) Rename(ctx context.Context, from, to string) error {
	return c.do(ctx, "rename", from, to)
}

// Receive receives a stream of zfs send -R as dataset, mounts nothing, and leaves out these
// properties of the stream, and its holds: a snapshot with holds could not be destroyed.
func (c Commands) Receive(ctx context.Context, dataset string, exclude []string, stream io.Reader) error {
	argv := []string{"zfs", "receive", "-u", "-h"}
	for _, property := range exclude {
		argv = append(argv, "-x", property)
	}
	_, err := c.Runner.Run(ctx, stream, append(argv, dataset)...)
	return classify(err)
}

// Send writes the stream of a snapshot, and of all before it.
func (c Commands) Send(ctx context.Context, snapshot string, w io.Writer) error {
	r, ok := c.Runner.(run.Streamer)
	if !ok {
		return errors.New("internal error: what runs commands cannot stream")
	}
	return classify(r.Stream(ctx, w, "zfs", "send", "-R", snapshot))
}

// Dataset is a line of Tree.
type Dataset struct {
	Name   string
	Type   string // "filesystem" or "volume"
	Origin string // the snapshot that it is a clone of; "-" for none
}

// Tree lists dataset and all below it.
func (c Commands) Tree(ctx context.Context, dataset string) (all []Dataset, err error) {
	rows, err := c.table(ctx, 3, "list", "-Hp", "-r", "-t", "filesystem,volume", "-o", "name,type,origin", dataset)
	for _, row := range rows {
		all = append(all, Dataset{row[0], row[1], row[2]})
	}
	return all, err
}

// Children lists the file systems in dataset, by the last part of their names.
func (c Commands) Children(ctx context.Context, dataset string) ([]string, error) {
	out, err := c.run(ctx, "list", "-H", "-d", "1", "-t", "filesystem", "-o", "name", dataset)
	return below(dataset, out), err
}

// Created returns when each file system in dataset was created, by the last part of its name.
func (c Commands) Created(ctx context.Context, dataset string) (map[string]time.Time, error) {
	args := []string{"list", "-Hp", "-d", "1", "-t", "filesystem", "-o", "name,creation", dataset}
	rows, err := c.table(ctx, 2, args...)
	all := map[string]time.Time{}
	for _, row := range rows {
		name, isBelow := strings.CutPrefix(row[0], dataset+"/")
		if !isBelow {
			continue
		}
		seconds, err := strconv.ParseInt(row[1], 10, 64)
		if err != nil {
			return nil, unexpected(args, strings.Join(row, "\t"), err)
		}
		all[name] = time.Unix(seconds, 0)
	}
	return all, err
}

// below returns those names of a list that are in dataset, without its name.
func below(dataset, list string) (names []string) {
	for line := range strings.Lines(list) {
		if name, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), dataset+"/"); ok {
			names = append(names, name)
		}
	}
	return names
}

// Space reads whether a file system is mounted, and how many bytes can be written to it.
func (c Commands) Space(ctx context.Context, dataset string) (mounted bool, freeBytes uint64, err error) {
	args := []string{"list", "-Hp", "-o", "mounted,available", dataset}
	rows, err := c.table(ctx, 2, args...)
	if err != nil {
		return false, 0, err
	}
	if len(rows) != 1 {
		return false, 0, unexpected(args, "", fmt.Errorf("want one line, not %d", len(rows)))
	}
	freeBytes, err = strconv.ParseUint(rows[0][1], 10, 64)
	if err != nil {
		err = unexpected(args, rows[0][1], err)
	}
	return rows[0][0] == "yes", freeBytes, err
}

// Snapshot is a line of ListSnapshots.
type Snapshot struct {
	Name                   string // with its dataset's
	Created                time.Time
	UsedBytes              int64 // by it alone
	LogicalReferencedBytes int64
	GUID                   uint64
}

// ListSnapshots lists the snapshots of dataset and of its children, the oldest first.
func (c Commands) ListSnapshots(ctx context.Context, dataset string) (all []Snapshot, err error) {
	args := []string{"list", "-Hp", "-d", "2", "-t", "snapshot", "-s", "createtxg", "-s", "name",
		"-o", "name,creation,used,guid,logicalreferenced", dataset}
	rows, err := c.table(ctx, 5, args...)
	for _, row := range rows {
		created, err1 := strconv.ParseInt(row[1], 10, 64)
		used, err2 := strconv.ParseInt(row[2], 10, 64)
		guid, err3 := strconv.ParseUint(row[3], 10, 64)
		referenced, err4 := strconv.ParseInt(row[4], 10, 64)
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			return nil, unexpected(args, strings.Join(row, "\t"), err)
		}
		all = append(all, Snapshot{row[0], time.Unix(created, 0), used, referenced, guid})
	}
	return all, err
}

// Snapshots lists the names of the snapshots of dataset, the oldest first.
func (c Commands) Snapshots(ctx context.Context, dataset string) ([]string, error) {
	out, err := c.run(ctx, "list", "-Hp", "-d", "1", "-t", "snapshot", "-s", "createtxg", "-o", "name", dataset)
	return strings.Fields(out), err
}

// GUIDs lists the GUIDs of the snapshots of dataset and of all below it.
func (c Commands) GUIDs(ctx context.Context, dataset string) (all []uint64, err error) {
	args := []string{"list", "-Hp", "-r", "-t", "snapshot", "-o", "guid", dataset}
	rows, err := c.table(ctx, 1, args...)
	for _, row := range rows {
		guid, err := strconv.ParseUint(row[0], 10, 64)
		if err != nil {
			return nil, unexpected(args, row[0], err)
		}
		all = append(all, guid)
	}
	return all, err
}

// Cloned lists the snapshots of dataset, and of what is up to two levels below it, that have
// clones (zfsprops(7), clones).
func (c Commands) Cloned(ctx context.Context, dataset string) (snapshots []string, err error) {
	rows, err := c.table(ctx, 2, "list", "-H", "-r", "-d", "3", "-t", "snapshot", "-o", "name,clones", dataset)
	for _, row := range rows {
		if row[1] != "" && row[1] != "-" {
			snapshots = append(snapshots, row[0])
		}
	}
	return snapshots, err
}

// Origin returns the snapshot that dataset is a clone of, "" if it is none.
func (c Commands) Origin(ctx context.Context, dataset string) (string, error) {
	out, err := c.run(ctx, "get", "-Hp", "-o", "value", "origin", dataset)
	if out = strings.TrimSpace(out); out == "-" {
		out = ""
	}
	return out, err
}

// HeldSnapshots lists the snapshots of dataset, and of all below it, that have holds.
func (c Commands) HeldSnapshots(ctx context.Context, dataset string) (snapshots []string, err error) {
	rows, err := c.table(ctx, 2, "list", "-H", "-r", "-t", "snapshot", "-o", "name,userrefs", dataset)
	for _, row := range rows {
		if row[1] != "0" && row[1] != "-" {
			snapshots = append(snapshots, row[0])
		}
	}
	return snapshots, err
}

// Hold keeps a snapshot from being destroyed (zfs-hold(8)).
type Hold struct{ Snapshot, Tag string }

// Holds lists the holds of snapshots.
func (c Commands) Holds(ctx context.Context, snapshots ...string) (all []Hold, err error) {
	rows, err := c.table(ctx, 2, append([]string{"holds", "-H"}, snapshots...)...)
	for _, row := range rows {
		i := strings.LastIndexByte(row[1], '\t') // then comes a time
		if tag := row[1][:max(i, 0)]; tag != "" {
			all = append(all, Hold{row[0], tag})
		}
	}
	return all, err
}

// Release releases a hold.
func (c Commands) Release(ctx context.Context, h Hold) error {
	return c.do(ctx, "release", "--", h.Tag, h.Snapshot)
}

// Set sets properties of dataset.
func (c Commands) Set(ctx context.Context, dataset string, properties map[string]string) error {
	return c.do(ctx, append(append([]string{"set"}, assignments(properties)...), dataset)...)
}

// Inherit unsets a property of dataset.
func (c Commands) Inherit(ctx context.Context, dataset, property string) error {
	return c.do(ctx, "inherit", property, dataset)
}

// assignments are properties as property=value, sorted.
func assignments(properties map[string]string) (all []string) {
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		all = append(all, key+"="+properties[key])
	}
	return all
}

// LocalProperties reads the properties that were set on dataset itself, neither inherited nor
// received with a stream.
func (c Commands) LocalProperties(ctx context.Context, dataset string) (map[string]string, error) {
	out, err := c.run(ctx, "get", "-Hp", "-s", "local", "-o", "property,value", "all", dataset)
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for line := range strings.Lines(out) {
		property, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		all[property] = value
	}
	return all, nil
}

// WithProperty lists the file systems in dataset on which property was set, by the last part
// of their names.
func (c Commands) WithProperty(ctx context.Context, dataset, property string) ([]string, error) {
	out, err := c.run(ctx, "get", "-H", "-d", "1", "-t", "filesystem", "-s", "local", "-o", "name", property, dataset)
	return below(dataset, out), err
}

// Properties reads properties of datasets and snapshots: values that were set there, and
// the values of properties that nobody can set, as guid.
func (c Commands) Properties(ctx context.Context, properties []string, datasets ...string) (map[string]map[string]string, error) {
	return c.properties(ctx, append([]string{"get", "-Hp", "-s", "local,none", "-o", "name,property,value",
		strings.Join(properties, ",")}, datasets...))
}

// ChildProperties reads the values of properties that were set on dataset and on the file
// systems in it.
func (c Commands) ChildProperties(ctx context.Context, dataset string, properties ...string) (map[string]map[string]string, error) {
	return c.properties(ctx, []string{"get", "-Hp", "-d", "1", "-t", "filesystem", "-s", "local", "-o", "name,property,value",
		strings.Join(properties, ","), dataset})
}

// properties reads lines of a name, a property and a value: by name, the properties that have
// a value.
func (c Commands) properties(ctx context.Context, args []string) (map[string]map[string]string, error) {
	out, err := c.run(ctx, args...)
	if err != nil {
		return nil, err
	}
	all := map[string]map[string]string{}
	for line := range strings.Lines(out) {
		words := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 3)
		if len(words) != 3 || words[2] == "-" {
			continue // a second line of a value has no tabs
		}
		if all[words[0]] == nil {
			all[words[0]] = map[string]string{}
		}
		all[words[0]][words[1]] = words[2]
	}
	return all, nil
}
