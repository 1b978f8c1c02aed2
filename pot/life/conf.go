package life

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"strconv"
	"strings"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/tree"
)

// writeConf writes the conf directory of a pot anew. Nothing in it is from the image, whose
// hooks and mounts act on the host; copyHooks adds the hooks that are allowed. The shell
// tool pot can read it.
func writeConf(dir string, r *record) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := tree.Mkdir(root, "conf"); err != nil {
		return err
	}
	if err := root.WriteFile("conf/pot.conf", r.potConf(), 0o644); err != nil {
		return err
	}
	return root.WriteFile("conf/fscomp.conf", nil, 0o644)
}

// potConf returns the text of the pot's pot.conf.
func (r *record) potConf() []byte {
	s := &r.Spec
	var b bytes.Buffer
	line := func(key, value string) { fmt.Fprintf(&b, "%s=%s\n", key, value) }
	line("pot.level", "0")
	line("pot.type", "single")
	line("pot.dns", "off")
	line("host.hostname", `"`+hostname(s)+`"`)
	for _, name := range conf.AllAttributes() {
		if value := r.Attributes.Value(name); value != "" {
			line("pot.attr."+name, value)
		}
	}
	line("pot.stack", string(cmp.Or(s.Stack, pot.IPv4)))
	network := s.Network
	if network == pot.HostNetwork || network == pot.NoNetwork || network == pot.Joined {
		network = "inherit" // pot has no mode without a network, or with another pot's
	}
	line("network_type", string(network))
	line("vnet", strconv.FormatBool(s.Network.VNET()))
	switch {
	case len(s.Aliases) > 0:
		var all []string
		for _, a := range s.Aliases {
			all = append(all, a.String())
		}
		line("ip", strings.Join(all, " "))
	case r.Address.IsValid() && s.Network != pot.Joined:
		line("ip", r.Address.String())
	}
	if s.Bridge != "" {
		line("bridge", s.Bridge)
	}
	return b.Bytes()
}

// maxHostname is the default of POT_HOSTNAME_MAX_LENGTH (etc/pot/pot.default.conf): some
// programs accept no longer name (issue 118 of github.com/bsdpot/pot).
const maxHostname = 64

// hostname returns the pot's host name: the spec's, or one made from the pot's name.
func hostname(s *pot.Spec) string {
	if s.Hostname != "" {
		return s.Hostname
	}
	name := string(s.Name)
	return strings.TrimRight(name[:min(len(name), maxHostname)], "-_")
}
