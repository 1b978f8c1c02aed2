package freebsd

import (
	"context"
	"errors"
	"maps"
	"path"
	"slices"
	"strings"
)

// Rename implements pot.Images.
func (d *datasets) Rename(ctx context.Context, from, to string) error {
	if err := errors.Join(valid(from), valid(to)); err != nil {
		return err
	}
	d.newestOf.Delete(from)
	return d.zfs.Rename(ctx, d.path(from), d.path(to))
}

// List implements pot.Images.
func (d *datasets) List(ctx context.Context, prefix string) ([]string, error) {
	all, err := d.zfs.Children(ctx, d.root+"/jails")
	all = slices.DeleteFunc(all, func(name string) bool { return !strings.HasPrefix(name, prefix) })
	slices.Sort(all)
	return all, err
}

// Idle implements pot.Images. A snapshot has its clones as a property
// (zfsprops(7), clones).
func (d *datasets) Idle(ctx context.Context, label string) ([]string, error) {
	jails := d.root + "/jails"
	all, err := d.zfs.WithProperty(ctx, jails, label)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	cloned, err := d.zfs.Cloned(ctx, jails)
	if err != nil {
		return nil, err
	}
	busy := map[string]bool{}
	for _, snapshot := range cloned {
		of, _, _ := strings.Cut(snapshot, "@")
		busy[of], busy[path.Dir(of)] = true, true
	}
	all = slices.DeleteFunc(all, func(name string) bool { return busy[d.path(name)] })
	slices.Sort(all)
	return all, nil
}

// SetLabels implements pot.Images.
func (d *datasets) SetLabels(ctx context.Context, name string, labels map[string]string) error {
	if err := valid(name); err != nil {
		return err
	}
	labels = maps.Clone(labels)
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if labels[key] != "" {
			continue
		}
		if err := d.zfs.Inherit(ctx, d.path(name), key); err != nil {
			return err
		}
		delete(labels, key)
	}
	if len(labels) == 0 {
		return nil
	}
	return d.zfs.Set(ctx, d.path(name), labels)
}

// Labels implements pot.Images. It reads local properties alone: a stream sets
// received ones, so no image can label itself.
func (d *datasets) Labels(ctx context.Context, name string) (map[string]string, error) {
	if err := valid(name); err != nil {
		return nil, err
	}
	labels, err := d.zfs.LocalProperties(ctx, d.path(name))
	maps.DeleteFunc(labels, func(key, _ string) bool { return !strings.HasPrefix(key, labelPrefix) })
	return labels, err
}
