//go:build linux

package linux

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// SetLabels implements pot.Images. The whole file is replaced: a crash leaves either the
// old labels or the new.
func (d datasets) SetLabels(ctx context.Context, name string, labels map[string]string) error {
	if _, err := d.Dir(ctx, name); err != nil {
		return err
	}
	f, err := d.readLabels(name)
	if errors.Is(err, errDamaged) {
		err = nil // these take the place of what is lost
	}
	if err = errors.Join(err, d.prepare()); err != nil {
		return err
	}
	if f.Labels == nil {
		f.Labels = map[string]string{}
	}
	for k, v := range labels {
		f.Labels[k] = v
		if v == "" {
			delete(f.Labels, k)
		}
	}
	return d.writeLabels(name, f)
}

// Labels implements pot.Images.
func (d datasets) Labels(ctx context.Context, name string) (map[string]string, error) {
	if _, err := d.Dir(ctx, name); err != nil {
		return nil, err
	}
	f, err := d.readLabels(name)
	return f.Labels, err
}

// Labelled implements pot.Images.
func (d datasets) Labelled(ctx context.Context, labels ...string) (map[string]map[string]string, error) {
	known, err := names(filepath.Join(d.dir, "labels"))
	if err != nil {
		return nil, err
	}
	all := map[string]map[string]string{}
	for _, name := range known {
		f, err := d.readLabels(string(name))
		if err != nil {
			continue // of a dataset that is half made, or damaged
		}
		maps.DeleteFunc(f.Labels, func(label, _ string) bool { return !slices.Contains(labels, label) })
		if len(f.Labels) > 0 {
			all[string(name)] = f.Labels
		}
	}
	return all, nil
}

// readLabels returns the content of a label file, empty if there is none. A damaged file is
// restored from its copy, if that can be.
func (d datasets) readLabels(name string) (f labelFile, err error) {
	data, err := os.ReadFile(d.label(name))
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return f, err
	}
	if json.Unmarshal(data, &f) != nil {
		return d.healLabels(name)
	}
	return f, nil
}

// writeLabels writes the labels and, before them, their copy. The copy is best effort: the
// file is what counts.
func (d datasets) writeLabels(name string, f labelFile) error {
	data, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("internal error: encode labels: %w", err)
	}
	d.copyLabels(name, data)
	return replaceFile(d.label(name), data)
}

// moveLabels gives the labels of from, if it has any, to a name that nothing has.
func (d datasets) moveLabels(from, to string) error {
	data, err := os.ReadFile(d.label(from))
	if errors.Is(err, fs.ErrNotExist) {
		return os.RemoveAll(d.label(to))
	}
	if err != nil {
		return err
	}
	return replaceFile(d.label(to), data)
}
