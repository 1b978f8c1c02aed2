package freebsd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/run"
)

// datasets are ZFS's. Names are relative to ZFSRoot/jails.
type datasets struct {
	runner run.Runner
	kernel Kernel
	root   string

	newestOf sync.Map // name of an image to newestKnown
}

// labelPrefix begins the user properties (zfsprops(7)) that are labels.
const labelPrefix = "nomad.pot:"

// names are those of datasets that are not paths: zfs(8) takes more.
var names = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}$`)

func valid(name string) error {
	if !names.MatchString(name) || strings.Contains(name, "..") {
		return fmt.Errorf("no name of a dataset: %.300q", name)
	}
	return nil
}

func (d *datasets) path(name string) string { return d.root + "/jails/" + name }

// zfs runs zfs(8) and makes its errors of a kind.
func (d *datasets) zfs(ctx context.Context, argv ...string) (string, error) {
	out, err := d.runner.Run(ctx, nil, append([]string{"zfs"}, argv...)...)
	return out, classify(err)
}

// refused are properties of a stream that are not received: what reaches beyond
// the image, or would keep it from being what pots are cloned from, and how the
// host stores and caches what it has. Their values become those of the datasets
// above. OpenZFS takes them all, and sharenfs at once (zfs-receive(8), -x).
var refused = []string{
	"mountpoint", "canmount", "sharenfs", "sharesmb", "exec", "setuid", "readonly", "jailed",
	"quota", "refquota", "reservation", "refreservation", "filesystem_limit", "snapshot_limit",

	"checksum", "copies", "dedup", "logbias", "primarycache", "redundant_metadata", "secondarycache", "snapdir",
	"special_small_blocks", "sync",
}

// Receive is pot.Images'. It takes nothing of a stream but file systems NAME and
// NAME/m.
func (d *datasets) Receive(ctx context.Context, name string, stream io.Reader) error {
	return d.receive(ctx, name, "-", stream)
}

// ReceiveLayer is pot.Images'. It goes to whatever snapshot in the pool has the right
// guid: that is to be the one that is meant.
func (d *datasets) ReceiveLayer(ctx context.Context, name, origin, snapshot string, stream io.Reader,
	_ func(context.Context) ([]io.ReadCloser, error)) error {
	if err := errors.Join(valid(origin), valid(snapshot)); err != nil {
		return err
	}
	return d.receive(ctx, name, d.path(origin)+"/m@"+snapshot, stream)
}

// receive receives what is on origin, "-" for what is on none.
func (d *datasets) receive(ctx context.Context, name, origin string, stream io.Reader) (err error) {
	if err := valid(name); err != nil {
		return err
	}
	argv := []string{"zfs", "receive", "-u", "-h"} // -h: a snapshot with holds could not be destroyed
	for _, property := range refused {
		argv = append(argv, "-x", property)
	}
	defer func() {
		// A receive that fails leaves what it has made so far.
		if err != nil && !errors.Is(err, fs.ErrExist) {
			err = errors.Join(err, d.undo(ctx, name))
		}
	}()
	if _, err := d.runner.Run(ctx, stream, append(argv, d.path(name))...); err != nil {
		return classify(err)
	}
	if err := d.checkReceived(ctx, name, origin); err != nil {
		return err
	}
	return d.mountReceived(ctx, name)
}

// undo destroys what could not be made as a whole.
func (d *datasets) undo(ctx context.Context, name string) error {
	return pot.Undo(ctx, func(ctx context.Context) error { return d.Destroy(ctx, name) })
}

// checkReceived refuses what is no image of a pot, or is on something else than the
// origin of its tree.
func (d *datasets) checkReceived(ctx context.Context, name, origin string) error {
	out, err := d.zfs(ctx, "list", "-Hp", "-r", "-t", "filesystem,volume", "-o", "name,type,origin", d.path(name))
	if err != nil {
		return err
	}
	want := map[string]string{d.path(name) + "\tfilesystem": "-", d.path(name) + "/m\tfilesystem": origin}
	got := map[string]string{}
	for line := range strings.Lines(out) {
		i := strings.LastIndexByte(line, '\t')
		got[line[:max(i, 0)]] = strings.TrimSpace(line[i+1:])
	}
	if !slices.Equal(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))) {
		return fmt.Errorf("no image of a pot: it is to be a file system with a child m, not %q", slices.Sorted(maps.Keys(got)))
	}
	for dataset, on := range got {
		if on == want[dataset] {
			continue
		}
		if want[dataset] == "-" {
			return fmt.Errorf("it is a layer on %s, and is to be on none", on)
		}
		if err := d.checkOrigin(ctx, on, want[dataset]); err != nil {
			return err
		}
	}
	return nil
}

// mount mounts an image and its tree, as the shell tool has them. What is
// mounted already is no error.
func (d *datasets) mount(ctx context.Context, name string) error {
	for _, dataset := range []string{d.path(name), d.path(name) + "/m"} {
		if _, err := d.zfs(ctx, "mount", dataset); err != nil && !run.Says(err, "already mounted") {
			return err
		}
	}
	return nil
}

// Rename is pot.Images'.
func (d *datasets) Rename(ctx context.Context, from, to string) error {
	if err := errors.Join(valid(from), valid(to)); err != nil {
		return err
	}
	d.newestOf.Delete(from)
	_, err := d.zfs(ctx, "rename", d.path(from), d.path(to))
	return err
}

// mountReceived mounts what was received, as the shell tool has its images. No command
// is needed where the parent is mounted; the properties of the dataset say how it is
// mounted (module/os/freebsd/zfs/zfs_vfsops.c, zfs_register_callbacks).
func (d *datasets) mountReceived(ctx context.Context, name string) error {
	jails, err := d.mountpoint(d.root + "/jails")
	if errors.Is(err, fs.ErrNotExist) {
		return d.mount(ctx, name)
	}
	if err != nil {
		return err
	}
	dir := filepath.Join(jails, name)
	for _, p := range []MountPoint{{Type: "zfs", From: d.path(name), On: dir}, {Type: "zfs", From: d.path(name) + "/m", On: dir + "/m"}} {
		if err := os.Mkdir(p.On, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := d.kernel.Mount(p); err != nil {
			return fmt.Errorf("mount %s: %w", p.From, err)
		}
	}
	return nil
}

// List is pot.Images'.
func (d *datasets) List(ctx context.Context, prefix string) ([]string, error) {
	out, err := d.zfs(ctx, "list", "-H", "-d", "1", "-t", "filesystem", "-o", "name", d.root+"/jails")
	if err != nil {
		return nil, err
	}
	var all []string
	for line := range strings.Lines(out) {
		name, below := strings.CutPrefix(strings.TrimSuffix(line, "\n"), d.root+"/jails/")
		if below && strings.HasPrefix(name, prefix) {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all, nil
}

// Idle is pot.Images'. What is cloned from a snapshot is a property of it
// (zfsprops(7), clones).
func (d *datasets) Idle(ctx context.Context, label string) ([]string, error) {
	jails := d.root + "/jails"
	out, err := d.zfs(ctx, "get", "-H", "-d", "1", "-t", "filesystem", "-s", "local", "-o", "name", label, jails)
	if err != nil {
		return nil, err
	}
	labelled := strings.Fields(out)
	if len(labelled) == 0 {
		return nil, nil
	}
	if out, err = d.zfs(ctx, "list", "-H", "-r", "-d", "3", "-t", "snapshot", "-o", "name,clones", jails); err != nil {
		return nil, err
	}
	busy := map[string]bool{}
	for line := range strings.Lines(out) {
		snapshot, clones, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if of, _, _ := strings.Cut(snapshot, "@"); clones != "" && clones != "-" {
			busy[of], busy[filepath.Dir(of)] = true, true
		}
	}
	var all []string
	for _, name := range labelled {
		if !busy[name] && filepath.Dir(name) == jails {
			all = append(all, filepath.Base(name))
		}
	}
	slices.Sort(all)
	return all, nil
}

// SetLabels is pot.Images'.
func (d *datasets) SetLabels(ctx context.Context, name string, labels map[string]string) error {
	if err := valid(name); err != nil {
		return err
	}
	labels = maps.Clone(labels)
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if labels[key] != "" {
			continue
		}
		if _, err := d.zfs(ctx, "inherit", key, d.path(name)); err != nil {
			return err
		}
		delete(labels, key)
	}
	set := assignments(labels)
	if len(set) == 0 {
		return nil
	}
	_, err := d.zfs(ctx, append(append([]string{"set"}, set...), d.path(name))...)
	return err
}

// assignments are labels as property=value, sorted.
func assignments(labels map[string]string) []string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		all = append(all, key+"="+labels[key])
	}
	return all
}

// Labels is pot.Images'. What a stream brought is received, not local: it can
// say nothing in our name.
func (d *datasets) Labels(ctx context.Context, name string) (map[string]string, error) {
	if err := valid(name); err != nil {
		return nil, err
	}
	out, err := d.zfs(ctx, "get", "-Hp", "-s", "local", "-o", "property,value", "all", d.path(name))
	if err != nil {
		return nil, err
	}
	labels := map[string]string{}
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if strings.HasPrefix(key, labelPrefix) {
			labels[key] = value
		}
	}
	return labels, nil
}

// Clone is pot.Datasets'. The newest snapshot of the image is what is cloned.
// A quota is of what is written, in the tree and beside it (zfsprops(7), quota):
// what the image holds does not count.
func (d *datasets) Clone(ctx context.Context, c pot.Clone) (dir string, err error) {
	if err := errors.Join(valid(c.Origin), valid(c.Name)); err != nil {
		return "", err
	}
	create := []string{"create"}
	for _, set := range assignments(c.Labels) {
		create = append(create, "-o", set)
	}
	if c.QuotaBytes > 0 {
		create = append(create, "-o", fmt.Sprintf("quota=%d", c.QuotaBytes))
	}
	if _, err = d.zfs(ctx, append(create, d.path(c.Name))...); err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.undo(ctx, c.Name))
		}
	}()
	if err := d.cloneTree(ctx, c); err != nil {
		return "", err
	}
	if dir, err = d.place(c.Name); err != nil {
		return "", err
	}
	return dir, os.Mkdir(filepath.Join(dir, "conf"), 0o755)
}

// cloneTree clones an image's tree.
func (d *datasets) cloneTree(ctx context.Context, c pot.Clone) error {
	image, name := c.Origin, c.Name
	if c.Snapshot != "" {
		if err := valid(c.Snapshot); err != nil {
			return err
		}
		_, err := d.zfs(ctx, "clone", d.path(image)+"/m@"+c.Snapshot, d.path(name)+"/m")
		return err
	}
	snapshot, found := d.knownNewest(image)
	if found {
		_, err := d.zfs(ctx, "clone", snapshot, d.path(name)+"/m")
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	snapshot, err := d.newest(ctx, image)
	if err != nil {
		return fmt.Errorf("image %s: %w", image, err)
	}
	_, err = d.zfs(ctx, "clone", snapshot, d.path(name)+"/m")
	return err
}

// place is where a dataset that is mounted is: the mount table knows without a
// command.
func (d *datasets) place(name string) (string, error) { return d.mountpoint(d.path(name)) }

// mountpoint is where a dataset of that whole name is mounted.
func (d *datasets) mountpoint(dataset string) (string, error) {
	table, err := d.kernel.Mounts()
	if err != nil {
		return "", fmt.Errorf("read mounts: %w", err)
	}
	for _, m := range table {
		if m.Type == "zfs" && m.From == dataset {
			return m.On, nil
		}
	}
	return "", &fs.PathError{Op: "find", Path: dataset, Err: fs.ErrNotExist}
}

// Dir is pot.Datasets'. What is not mounted, as after a reboot without zfs mount
// -a, is mounted.
func (d *datasets) Dir(ctx context.Context, name string) (string, error) {
	if err := valid(name); err != nil {
		return "", err
	}
	dir, err := d.place(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	if err := d.mount(ctx, name); err != nil {
		return "", err
	}
	return d.place(name)
}

// Destroy is pot.Datasets' and pot.Images'. It is forced, as a jail's end lags
// behind its removal, and so it looks for other mounts first.
func (d *datasets) Destroy(ctx context.Context, name string) error {
	if err := valid(name); err != nil {
		return err
	}
	if err := d.notMountedOn(name); err != nil {
		return err
	}
	d.newestOf.Delete(name)
	return retryBusy(ctx, func() error {
		_, err := d.zfs(ctx, "destroy", "-rf", d.path(name))
		if isHeld(err) {
			err = d.releaseImport(ctx, name, err)
		}
		return ignore(fs.ErrNotExist, err)
	})
}

// notMountedOn is an error when something that is not the dataset's own is
// mounted in it.
func (d *datasets) notMountedOn(name string) error {
	dir, err := d.place(name)
	if err != nil {
		return ignore(fs.ErrNotExist, err)
	}
	table, err := d.kernel.Mounts()
	if err != nil {
		return fmt.Errorf("read mounts: %w", err)
	}
	for _, m := range table {
		own := m.Type == "zfs" && (m.From == d.path(name) || strings.HasPrefix(m.From, d.path(name)+"/"))
		if !own && strings.HasPrefix(m.On, dir+"/") {
			return fmt.Errorf("destroy %s: still mounted in it: %s on %s", d.path(name), m.From, m.On)
		}
	}
	return nil
}

var _ interface {
	pot.Images
	pot.Datasets
} = (*datasets)(nil)
