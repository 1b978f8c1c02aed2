package freebsd

import (
	"context"
	"os"
	"time"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/run"
)

// loopback gives lo0 of a VNET jail its address. A new network stack has lo0 without an
// address, and down. pot configures it by a script in the pot (share/pot/start.sh, tinirc),
// which a pot without a shell cannot run.
func (j jails) loopback(ctx context.Context, jail pot.Jail) error {
	return j.within(ctx, jail.Name, "ifconfig", "lo0", "inet", "127.0.0.1/8", "up")
}

// connect4 gives the jail's end of a pair its address, and a default route. It must come
// after the jail exists: an interface loses its addresses when it moves to another network
// stack (sys/net/if.c, if_vmove and if_detach_internal). The route comes after the address
// by which its gateway is reached.
func (j jails) connect4(ctx context.Context, jail pot.Jail, device string) error {
	if device == "" {
		return nil
	}
	err := j.within(ctx, jail.Name, "ifconfig", inner(device), "inet", jail.Link.Address.String(), "up")
	if err != nil {
		return err
	}
	return j.within(ctx, jail.Name, "route", "-q", "add", "default", jail.Link.Gateway.String())
}

// connect6 has the jail's end of a pair take its address from routers.
func (j jails) connect6(ctx context.Context, jail pot.Jail, device string) error {
	if device == "" {
		return nil
	}
	err := j.within(ctx, jail.Name, "ifconfig", inner(device), "inet6", "accept_rtadv", "auto_linklocal", "-ifdisabled", "up")
	if err != nil {
		return err
	}
	j.solicit(ctx, jail, inner(device))
	return nil
}

// within runs ifconfig(8) or route(8) on the network of a jail. Where those have no
// -j, the jail's own programs are run in it.
func (j jails) within(ctx context.Context, name pot.Name, argv ...string) error {
	_, err := j.runner.Run(ctx, nil, append([]string{argv[0], "-j", string(name)}, argv[1:]...)...)
	if run.Says(err, "illegal option -- j") {
		_, err = j.runner.Run(ctx, nil, append([]string{"jexec", string(name)}, argv...)...)
	}
	return classify(err)
}

// solicitTimeout bounds the wait for a router.
const solicitTimeout = 3 * time.Second

// solicit sends a router solicitation by the jail's own rtsol(8), which acts on the network
// of its process alone. Without rtsol(8), or without an answer, the jail gets its address
// from the next advertisement.
func (j jails) solicit(ctx context.Context, jail pot.Jail, device string) {
	root, err := os.OpenRoot(jail.Root)
	if err != nil {
		return
	}
	defer root.Close()
	if info, err := root.Lstat("sbin/rtsol"); err != nil || !info.Mode().IsRegular() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, solicitTimeout)
	defer cancel()
	j.runner.Run(ctx, nil, "jexec", string(jail.Name), "/sbin/rtsol", device)
}
