package freebsd

import (
	"context"
	"os"
	"time"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/run"
)

// network gives the jail's own interfaces their addresses.
func (j jails) network(ctx context.Context, jail pot.Jail, device pairs) error {
	if jail.Network == pot.HostNetwork || jail.Network == pot.Alias {
		return nil
	}
	commands := [][]string{{"ifconfig", "lo0", "inet", "127.0.0.1/8", "up"}}
	if device.v4 != "" {
		commands = append(commands,
			[]string{"ifconfig", inner(device.v4), "inet", jail.Link.Address.String(), "up"},
			[]string{"route", "-q", "add", "default", jail.Link.Gateway.String()})
	}
	if device.v6 != "" {
		commands = append(commands, []string{"ifconfig", inner(device.v6), "inet6", "accept_rtadv", "auto_linklocal", "-ifdisabled", "up"})
	}
	for _, argv := range commands {
		if err := j.within(ctx, jail.Name, argv...); err != nil {
			return err
		}
	}
	if device.v6 != "" {
		j.solicit(ctx, jail, inner(device.v6))
	}
	return nil
}

// within runs ifconfig(8) or route(8) on the network of a jail. Where they have no
// -j yet, the jail's own are run in it.
func (j jails) within(ctx context.Context, name pot.Name, argv ...string) error {
	_, err := j.runner.Run(ctx, nil, append([]string{argv[0], "-j", string(name)}, argv[1:]...)...)
	if run.Says(err, "illegal option -- j") {
		_, err = j.runner.Run(ctx, nil, append([]string{"jexec", string(name)}, argv...)...)
	}
	return typed(err)
}

// solicitWithin bounds the wait for a router.
const solicitWithin = 3 * time.Second

// solicit asks for routers to make themselves known, by the jail's own rtsol(8): it
// knows no other network than that of its process. Without one, or without an
// answer, the jail has its address when the next advertisement comes by.
func (j jails) solicit(ctx context.Context, jail pot.Jail, device string) {
	root, err := os.OpenRoot(jail.Root)
	if err != nil {
		return
	}
	defer root.Close()
	if info, err := root.Lstat("sbin/rtsol"); err != nil || !info.Mode().IsRegular() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, solicitWithin)
	defer cancel()
	j.runner.Run(ctx, nil, "jexec", string(jail.Name), "/sbin/rtsol", device)
}
