package driver

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/tree"
)

// The targets of the task's own directories in a pot, as Nomad has them for a
// driver with fsisolation.Image (client/allocdir).
const (
	allocTarget   = "/alloc"
	logsTarget    = "/alloc/logs"
	localTarget   = "/local"
	secretsTarget = "/secrets"
)

// mounts returns the mounts of a pot: the task's own directories, Nomad's volumes,
// and the job's mount and mount_read_only. places are the job's keys for each.
func (c *TaskConfig) mounts(f *problems, cfg *drivers.TaskConfig, volumes VolumesConfig) (all []pot.Mount, places []string) {
	all = taskMounts(cfg)
	for _, m := range all {
		places = append(places, m.Target)
	}
	add := func(where string, m pot.Mount) {
		if more := appendMount(f, where, all, m); len(more) > len(all) {
			all, places = more, append(places, where)
		}
	}
	for i, m := range cfg.Mounts {
		where := fmt.Sprintf("volume_mount[%d]", i)
		if m.PropagationMode != "" && m.PropagationMode != "private" {
			f.add(where+".propagation_mode", "must be private, not %q", m.PropagationMode)
		}
		if m.SELinuxLabel != "" {
			f.add(where+".selinux_label", "not supported: %q", m.SELinuxLabel)
		}
		add(where, pot.Mount{Source: m.HostPath, Target: m.TaskPath, ReadOnly: m.Readonly})
	}
	for _, set := range []struct {
		key      string
		mounts   []string
		readOnly bool
	}{{"mount", c.Mount, false}, {"mount_read_only", c.MountReadOnly, true}} {
		pathPairs(f, set.key, set.mounts, newJobPaths(cfg, volumes), func(where, source, target string) {
			add(where, pot.Mount{Source: source, Target: target, ReadOnly: set.readOnly, Resolved: true})
		})
	}
	return all, places
}

// taskMounts returns the mounts of the task's own directories.
//
// The path of the allocation's directory may have links in it. Below it the tasks
// of the allocation write, whatever their driver: a link there is not followed.
// The logs are read-only: a task that could replace the fifos there by links would
// have root open what they point to.
func taskMounts(cfg *drivers.TaskConfig) []pot.Mount {
	at := &drivers.TaskConfig{AllocDir: cfg.AllocDir, Name: cfg.Name}
	if real, err := filepath.EvalSymlinks(cfg.AllocDir); err == nil {
		at.AllocDir = real
	}
	dir := at.TaskDir()
	return []pot.Mount{
		{Source: dir.SharedAllocDir, Target: allocTarget, Resolved: true},
		{Source: dir.LogDir, Target: logsTarget, ReadOnly: true, Resolved: true},
		{Source: dir.LocalDir, Target: localTarget, Resolved: true},
		{Source: dir.SecretsDir, Target: secretsTarget, Resolved: true},
	}
}

// copies returns what the job has copied into the pot. It may copy what it may
// mount. places are the job's keys for each.
func (c *TaskConfig) copies(f *problems, cfg *drivers.TaskConfig, volumes VolumesConfig) (all []tree.Copy, places []string) {
	pathPairs(f, "copy", c.Copy, newJobPaths(cfg, volumes), func(where, source, target string) {
		if !path.IsAbs(target) || path.Clean(target) == "/" {
			f.add(where, "target must be an absolute path below /, not %q", target)
			return
		}
		all, places = append(all, tree.Copy{Source: source, Target: target, Resolved: true}), append(places, where)
	})
	return all, places
}

// pathPairs calls each for every SOURCE:TARGET in texts, with the source resolved.
func pathPairs(f *problems, key string, texts []string, paths *jobPaths, each func(where, source, target string)) {
	for i, text := range texts {
		where := fmt.Sprintf("config.%s[%d]", key, i)
		source, target, ok := strings.Cut(text, ":")
		if !ok || strings.Contains(target, ":") {
			f.add(where, "must be SOURCE:TARGET, not %q", text)
			continue
		}
		source, err := paths.resolve(source)
		if err != nil {
			f.add(where, "source: %w", err)
		}
		each(where, source, target)
	}
}

// newJobPaths returns the paths that a task's job may name.
func newJobPaths(cfg *drivers.TaskConfig, volumes VolumesConfig) *jobPaths {
	dir := cfg.TaskDir()
	return &jobPaths{volumes: volumes, taskDirs: map[string]string{localTarget: dir.LocalDir, secretsTarget: dir.SecretsDir}}
}

// appendMount appends m to all, unless its target is invalid or already used.
func appendMount(f *problems, where string, all []pot.Mount, m pot.Mount) []pot.Mount {
	if !path.IsAbs(m.Target) || path.Clean(m.Target) == "/" {
		f.add(where, "target must be an absolute path below /, not %q", m.Target)
		return all
	}
	for _, other := range all {
		if path.Clean(other.Target) == path.Clean(m.Target) {
			f.add(where, "target %s is already used by another mount", m.Target)
			return all
		}
	}
	return append(all, m)
}

// jobPaths are the paths of the host that a job may name.
type jobPaths struct {
	volumes  VolumesConfig
	taskDirs map[string]string // the task's directories on the host, by target
}

// resolve returns source with all links followed, if a job may mount it. A source
// in the task's own directories is always allowed. It is written as the task sees
// it, which is what ${NOMAD_TASK_DIR} stands for.
func (p *jobPaths) resolve(source string) (string, error) {
	if !path.IsAbs(source) {
		return "", fmt.Errorf("must be an absolute path, not %q", source)
	}
	source = path.Clean(source)
	for target, dir := range p.taskDirs {
		if isWithin(target, source) {
			return resolveBelow(dir, filepath.Join(dir, strings.TrimPrefix(source, target)), source)
		}
	}
	if !p.volumes.Enabled {
		return "", fmt.Errorf("host paths are disabled on this client: %s; set volumes { enabled = true } in its plugin configuration", source)
	}
	real, err := followLinks(source, source)
	if err != nil {
		return "", err
	}
	if len(p.volumes.AllowedPaths) == 0 {
		return real, nil
	}
	for _, allowed := range p.volumes.AllowedPaths {
		if allowed, err := filepath.EvalSymlinks(allowed); err == nil && isWithin(allowed, real) {
			return real, nil
		}
	}
	return "", fmt.Errorf("%s is not below this client's volumes.allowed_paths: %s",
		real, strings.Join(p.volumes.AllowedPaths, ", "))
}

// resolveBelow returns source with all links followed, if it does not lead out of
// dir: the task may have made a link there before it was restarted. name is what
// the job calls source.
func resolveBelow(dir, source, name string) (string, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", err
	}
	real, err := followLinks(source, name)
	if err != nil {
		return "", err
	}
	if !isWithin(dir, real) {
		return "", fmt.Errorf("%s leads out of the task's directory", name)
	}
	return real, nil
}

// followLinks returns a path with all links followed. name is what the job calls
// the path, for the error.
func followLinks(path, name string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	var at *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("no such path: %s", name)
	case errors.As(err, &at): // names the system call, and a part of the path
		err = at.Err
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return real, nil
}

// isWithin reports whether p is dir or below it.
func isWithin(dir, p string) bool {
	rest, ok := strings.CutPrefix(p, strings.TrimSuffix(dir, "/"))
	return ok && (rest == "" || rest[0] == '/')
}
