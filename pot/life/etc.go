package life

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/resolvconf"
	"nomad-driver-pot/pot/tree"
)

// writeEtc writes the hosts(5) and resolver(5) files of a pot's tree. The tree comes from
// the image and is not trusted: a link in the place of a file is replaced and never
// followed, and no path leaves the tree.
func writeEtc(treeRoot string, s *pot.Spec, addr netip.Addr) error {
	root, err := os.OpenRoot(treeRoot)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := tree.Mkdir(root, "etc"); err != nil {
		return err
	}
	if err := tree.Replace(root, "etc/hosts", hosts(s, addr)); err != nil {
		return err
	}
	resolv, err := resolvConf(s.DNS)
	if err != nil || resolv == nil {
		return err
	}
	return tree.Replace(root, "etc/resolv.conf", resolv)
}

// hosts returns the text of hosts(5), anew for each start: the lines that an image has name
// other hosts. pot replaces the file too.
func hosts(s *pot.Spec, addr netip.Addr) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "::1 localhost\n127.0.0.1 localhost\n")
	if addr.IsValid() {
		fmt.Fprintf(&b, "%s %s\n", addr, hostname(s))
	} else {
		fmt.Fprintf(&b, "127.0.0.1 %s\n", hostname(s))
	}
	for _, h := range s.Hosts {
		fmt.Fprintf(&b, "%s %s\n", h.Addr, h.Name)
	}
	return []byte(b.String())
}

// resolvConf returns the text of the pot's resolver(5) file, which is the host's if d is
// empty. It returns nil if the file in the pot's tree must stay as it is: d.Off, or a host
// without the file.
func resolvConf(d pot.DNS) ([]byte, error) {
	switch {
	case d.Off:
		return nil, nil
	case d.Text != "":
		return []byte(d.Text), nil
	case len(d.Servers)+len(d.Searches)+len(d.Options) == 0:
		data, err := os.ReadFile(hostResolvConf)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return data[:min(len(data), resolvconf.MaxBytes)], err
	}
	var b strings.Builder
	if len(d.Searches) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(d.Searches, " "))
	}
	for _, s := range d.Servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	if len(d.Options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(d.Options, " "))
	}
	return []byte(b.String()), nil
}
