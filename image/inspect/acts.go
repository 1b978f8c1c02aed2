package inspect

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"nomad-driver-pot/image/zstream"
)

// warning describes something in an image that would affect the host, or that no pot has.
// Kinds are part of the JSON output: scripts may select by them.
type warning struct {
	Kind string `json:"kind"` // hook, mount, depend, property, dataset, device, setuid, setgid, conf
	Text string `json:"text"`
}

// add adds a warning.
func (r *Report) add(kind, format string, args ...any) {
	r.Warnings = append(r.Warnings, warning{kind, fmt.Sprintf(format, args...)})
}

// warn adds a warning for everything in the image that would affect a host. Names and
// numbers come from the image: names are made printable, and lists are bounded.
func (r *Report) warn(s *zstream.Stream, seen *Seen) {
	for _, path := range seen.oddPlace.first {
		r.add("conf", "%s: unexpected type of file", path)
	}
	for _, h := range seen.hooks {
		if h.Mode.Perm()&0o111 != 0 {
			r.add("hook", "%s: %d bytes, a script that the shell tool pot runs on the host as root", Printable(h.Path), h.Size)
		} else {
			r.add("hook", "%s: %d bytes, a script that is not executable", Printable(h.Path), h.Size)
		}
	}
	if more := seen.scripts - len(seen.hooks); more > 0 {
		r.add("hook", "conf: %d more scripts", more)
	}
	r.warnOfMounts(seen)
	if r.Conf != nil {
		for _, name := range r.Conf.DependsOn {
			r.add("depend", "pot %s: the shell tool pot starts it first", Printable(name))
		}
	}
	for _, d := range s.Datasets {
		if d.Name != "" && d.Name != "m" {
			r.add("dataset", "%s: unexpected dataset", Printable(d.Name))
		}
		for _, name := range sortedKeys(d.Properties) {
			if text, acts := acting(name, d.Properties[name]); acts {
				r.add("property", "%s=%s of dataset %s", Printable(name), text, Printable(nameOf(d.Name)))
			}
		}
	}
	r.warnOf("device", seen.devices, "device nodes, which devfs(5) does not hide outside /dev")
	r.warnOf("setuid", seen.setuid, "set-user-ID files")
	r.warnOf("setgid", seen.setgid, "set-group-ID files")
}

// nameOf returns a dataset's name for display.
func nameOf(dataset string) string {
	if dataset == "" {
		return "(top)"
	}
	return dataset
}

// warnOf warns of all files of a kind at once: how many there are, and the first few names.
func (r *Report) warnOf(kind string, x examples, what string) {
	if x.count == 0 {
		return
	}
	var names []string
	for _, name := range x.first {
		names = append(names, Printable(name))
	}
	if x.count > int64(len(names)) {
		names = append(names, "…")
	}
	r.add(kind, "%d in all, %s: %s", x.count, strings.Join(names, ", "), what)
}

// maxMounts bounds the number of mounts of fscomp.conf that are shown.
const maxMounts = 32

// warnOfMounts warns of the mounts in fscomp.conf. Its lines are a source, a mount point and
// an option; a source that is not an absolute path is a dataset.
func (r *Report) warnOfMounts(seen *Seen) {
	e, there := seen.conf[fscompFile]
	if !there || !e.Mode.IsRegular() {
		return
	}
	if e.Content == nil {
		r.add("mount", "%s: %d bytes: too large to read", fscompFile, e.Size)
		return
	}
	n := 0
	for line := range strings.Lines(string(e.Content)) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if n++; n > maxMounts {
			continue
		}
		kind := "dataset "
		if strings.HasPrefix(fields[0], "/") {
			kind = ""
		}
		r.add("mount", "%s: the host's %s%s", fscompFile, kind, Printable(strings.Join(fields, " ")))
	}
	if n > maxMounts {
		r.add("mount", "%s: %d more", fscompFile, n-maxMounts)
	}
}

// property is a property of a dataset that has an effect beyond its files (zfsprops(7)).
type property struct {
	words    []string // for its numbers: OpenZFS module/zcommon/zfs_prop.c
	harmless string   // the value without effect; "": none
}

var onOff = []string{"off", "on"}

// properties are the native properties that cause a warning, unless they have their
// harmless value. In a stream, the limits have 2^64-1 for none.
var properties = map[string]property{
	"mountpoint": {nil, "none"},
	"canmount":   {[]string{"off", "on", "noauto"}, "noauto"},
	"sharenfs":   {nil, "off"}, "sharesmb": {nil, "off"},
	"setuid": {onOff, ""}, "exec": {onOff, ""}, "devices": {onOff, ""}, "readonly": {onOff, "off"},
	"jailed": {onOff, "off"}, "zoned": {onOff, "off"},
	"quota": {nil, "0"}, "refquota": {nil, "0"}, "reservation": {nil, "0"}, "refreservation": {nil, "0"},
	"filesystem_limit": {nil, "18446744073709551615"}, "snapshot_limit": {nil, "18446744073709551615"},
	"keylocation": {nil, "none"},
}

// acting reports whether a property of a dataset affects a host, and returns its value for
// display. A user property, with a colon in its name, may affect a program that reads it,
// unless it is pot's.
func acting(name string, value any) (text string, acts bool) {
	text = shownValue(name, value)
	if strings.Contains(name, ":") {
		return Printable(text), !strings.HasPrefix(name, ":pot.")
	}
	p, known := properties[name]
	return Printable(text), known && text != p.harmless
}

// shownValue returns a value in the form of zfs(8).
func shownValue(name string, value any) string {
	if n, ok := value.(uint64); ok {
		if words := properties[name].words; n < uint64(len(words)) {
			return words[n]
		}
	}
	return fmt.Sprint(value)
}

// shownProperties returns all properties of a dataset for JSON, those with words in the form
// of zfs(8), others as they are in the stream.
func shownProperties(m map[string]any) map[string]any {
	shown := map[string]any{}
	for name, value := range m {
		shown[name] = value
		if properties[name].words != nil {
			shown[name] = shownValue(name, value)
		}
	}
	return shown
}

// sortedKeys returns the keys of m in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
