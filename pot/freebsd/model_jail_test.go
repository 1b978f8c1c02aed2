package freebsd

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

type modelJail struct {
	id    int
	path  string
	vnet  bool
	dying int // looks until it is gone
	allow []string
}

// parameter returns the value that a jail was created with, or none.
func (j *modelJail) parameter(name, none string) string {
	for _, p := range j.allow {
		if value, ok := strings.CutPrefix(p, name+"="); ok {
			return value
		}
	}
	return none
}

func (m *model) jail(_ io.Reader, argv []string) (string, string) {
	p := map[string]string{}
	for _, a := range argv[1:] {
		k, v, _ := strings.Cut(a, "=")
		p[k] = v
	}
	name := p["name"]
	if argv[0] == "-m" {
		m.jails[name].allow = append(m.jails[name].allow, argv[2:]...)
		return "", ""
	}
	if parent, _, ok := strings.Cut(name, "."); ok {
		if complaint := m.child(parent, p); complaint != "" {
			return "", complaint
		}
	}
	if m.jails[name] != nil {
		return "", fmt.Sprintf("jail: %q already exists", name)
	}
	if _, err := os.Stat(p["path"]); err != nil {
		return "", "jail: path " + p["path"] + ": No such file or directory"
	}
	_, vnet := p["vnet"]
	m.lastID++
	m.jails[name] = &modelJail{id: m.lastID, path: p["path"], vnet: vnet, allow: argv[1:]}
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

// child is what jail(8) complains of a child of a jail. It has no addresses unless it
// inherits them, and may do no more than its parent (sys/kern/kern_jail.c, kern_jail_set;
// sysv_shm.c, shm_prison_check, and its siblings).
func (m *model) child(parent string, p map[string]string) string {
	of := m.jails[parent]
	if of == nil || of.dying > 0 {
		return fmt.Sprintf("jail: %s: jail \"%s\" not found", p["name"], parent)
	}
	if p["ip4"] != "inherit" || p["ip6"] != "inherit" {
		panic("the jail would have no addresses")
	}
	const refused = "jail: jail_set: Operation not permitted"
	for k, v := range p {
		if strings.HasPrefix(k, "allow.") && v == "true" && !slices.Contains(of.allow, k+"=true") {
			return refused
		}
		if strings.HasPrefix(k, "sysv") && v != "disable" && of.parameter(k, "disable") == "disable" {
			return refused
		}
	}
	if p["enforce_statfs"] < of.parameter("enforce_statfs", "0") { // of one digit
		return refused
	}
	if most, err := strconv.Atoi(p["children.max"]); err == nil {
		if has, err := strconv.Atoi(of.parameter("children.max", "0")); err != nil || most >= has {
			return refused
		}
	}
	return ""
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

// JailID implements Kernel.
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

// RemoveJail implements Kernel. A jail, and its children with it, is dying for two more
// calls of JailID.
func (m *model) RemoveJail(id int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, j := range m.jails {
		if j.id != id {
			continue
		}
		j.dying = 2
		for child, j := range m.jails {
			if strings.HasPrefix(child, name+".") {
				j.dying = 2
			}
		}
	}
	return nil
}

// Usage implements Kernel.
func (m *model) Usage(jail string) (string, error) {
	if m.jails[jail] == nil {
		return "cputime=0,memoryuse=0,maxproc=0", nil
	}
	return "cputime=7,datasize=0,memoryuse=1048576,maxproc=2,swapuse=4096,pcpu=50", nil
}
