package driver

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-pot/pot"
)

// Where a task finds its directories (Nomad's client/allocdir, for a driver
// with the isolation of an image).
const (
	allocTarget   = "/alloc"
	logsTarget    = "/alloc/logs"
	localTarget   = "/local"
	secretsTarget = "/secrets"
)

// mounts are what a pot gets to see of the host: the task's own directories,
// Nomad's volumes, and what the job mounts by path. The logs are read-only: who
// could swap the fifos there for links would have root open what they point to.
// places are where the job asks for each.
func (c *TaskConfig) mounts(f *problems, cfg *drivers.TaskConfig, volumes VolumesConfig) (all []pot.Mount, places []string) {
	all = taskMounts(cfg)
	for _, own := range all {
		places = append(places, own.Target)
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
		pathPairs(f, set.key, set.mounts, jobPathsOf(cfg, volumes), func(where, source, target string) {
			add(where, pot.Mount{Source: source, Target: target, ReadOnly: set.readOnly, Resolved: true})
		})
	}
	return all, places
}

// taskMounts returns the mounts of the task's own directories. The allocation's directory
// may be reached by links. Below it tasks of the allocation write, with whatever driver:
// a link there is not followed.
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

// copies are what is copied into the pot, of what the job may mount.
func (c *TaskConfig) copies(f *problems, cfg *drivers.TaskConfig, volumes VolumesConfig) (all []pot.Copy, places []string) {
	pathPairs(f, "copy", c.Copy, jobPathsOf(cfg, volumes), func(where, source, target string) {
		if !path.IsAbs(target) || path.Clean(target) == "/" {
			f.add(where, "target must be an absolute path below /, not %q", target)
			return
		}
		all, places = append(all, pot.Copy{Source: source, Target: target, Resolved: true}), append(places, where)
	})
	return all, places
}

// pathPairs are those of SOURCE:TARGET, with the sources as they really are.
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
			f.add(where, "source %w", err)
		}
		each(where, source, target)
	}
}

// jobPathsOf are those that a task's job may name.
func jobPathsOf(cfg *drivers.TaskConfig, volumes VolumesConfig) *jobPaths {
	dir := cfg.TaskDir()
	return &jobPaths{volumes: volumes, own: map[string]string{localTarget: dir.LocalDir, secretsTarget: dir.SecretsDir}}
}

// appendMount adds m to all, unless its target is wrong or taken.
func appendMount(f *problems, where string, all []pot.Mount, m pot.Mount) []pot.Mount {
	if !path.IsAbs(m.Target) || path.Clean(m.Target) == "/" {
		f.add(where, "target must be an absolute path below /, not %q", m.Target)
		return all
	}
	for _, other := range all {
		if path.Clean(other.Target) == path.Clean(m.Target) {
			f.add(where, "target %s is taken already", m.Target)
			return all
		}
	}
	return append(all, m)
}

// jobPaths are the paths of the host that a job may name.
type jobPaths struct {
	volumes VolumesConfig
	own     map[string]string // the task's directories by their targets
}

// resolve is where source really is, with all links followed, if a job may
// mount that. A source in the task's own directories is named as the task sees
// it, which is what ${NOMAD_TASK_DIR} stands for, and is always allowed.
func (p *jobPaths) resolve(source string) (string, error) {
	if !path.IsAbs(source) {
		return "", fmt.Errorf("must be an absolute path, not %q", source)
	}
	source = path.Clean(source)
	for target, dir := range p.own {
		if within(target, source) {
			return below(dir, filepath.Join(dir, strings.TrimPrefix(source, target)), source)
		}
	}
	if !p.volumes.Enabled {
		return "", fmt.Errorf("%s: host paths are off on this client: its plugin's volumes block must have enabled = true", source)
	}
	real, err := filepath.EvalSymlinks(source)
	if err != nil {
		return "", err
	}
	if len(p.volumes.AllowedPaths) == 0 {
		return real, nil
	}
	for _, allowed := range p.volumes.AllowedPaths {
		if allowed, err := filepath.EvalSymlinks(allowed); err == nil && within(allowed, real) {
			return real, nil
		}
	}
	return "", fmt.Errorf("%s: is not below %s, which is all that this client allows",
		real, list(p.volumes.AllowedPaths, "or"))
}

// below is what source, called name by the job, really is, if it does not lead
// out of dir. What the task wrote there in an earlier life may be a link.
func below(dir, source, name string) (string, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(source)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	if !within(dir, real) {
		return "", fmt.Errorf("%s: leads out of the task's directory", name)
	}
	return real, nil
}

// within tells whether p is dir, or below it.
func within(dir, p string) bool {
	rest, ok := strings.CutPrefix(p, strings.TrimSuffix(dir, "/"))
	return ok && (rest == "" || rest[0] == '/')
}
