package freebsd

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"nomad-driver-pot/pot"
)

// Interfaces that this driver creates have units of its choice, from the upper half of
// what if_clone(4) allows: a program that asks for any unit gets the lowest free one.
// ifconfig(8) creates an interface first, and sets its group and its description
// after that. If ifconfig is killed in between, only the unit shows that the interface
// belongs to this driver.
const (
	firstUnit = lastUnit/2 + 1
	lastUnit  = 0x7fff // IF_MAXUNIT (sys/net/if.h)
)

// unitsOf returns the units for an interface of that description, the preferred one
// first: others may have the same.
func unitsOf(description string) []int {
	sum := sha256.Sum256([]byte(description))
	var all []int
	for i := 0; i < len(sum); i += 2 {
		all = append(all, firstUnit+int(binary.BigEndian.Uint16(sum[i:]))%(lastUnit-firstUnit+1))
	}
	return all
}

// hasOurUnit reports whether a bridge, or an end of an epair, has a unit of ours.
func hasOurUnit(device string) bool {
	device = strings.TrimPrefix(strings.TrimRight(device, "ab"), "epair")
	unit, err := strconv.Atoi(strings.TrimPrefix(device, "bridge"))
	return err == nil && unit >= firstUnit && unit <= lastUnit
}

// create creates a bridge, or an epair, and returns its name: for an epair, the
// name of its end a. After an error nothing of it is left.
func (l *links) create(ctx context.Context, kind, description string, words ...string) (string, error) {
	for _, unit := range unitsOf(description) {
		cloned := fmt.Sprint(kind, unit)
		device := cloned
		if kind == "epair" {
			device += "a"
		}
		_, err := l.ifconfig(ctx, append([]string{cloned, "create"}, append(words, "group", group, "description", description, "up")...)...)
		switch {
		case err == nil:
			return device, nil
		case errors.Is(err, fs.ErrExist): // another's
		default:
			return "", errors.Join(err, pot.Undo(ctx, func(ctx context.Context) error { return l.drop(ctx, device) }))
		}
	}
	return "", fmt.Errorf("create %s for %s: all of its units are taken", kind, description)
}

// drop destroys an interface; of an epair, both ends. It returns nil if there is none.
func (l *links) drop(ctx context.Context, device string) error {
	_, err := l.ifconfig(ctx, device, "destroy")
	return ignore(fs.ErrNotExist, err)
}

// dropHalfMade destroys the epairs that an ifconfig which was killed has left without
// a description. The caller holds the lock, so none of them is being created.
func (l *links) dropHalfMade(ctx context.Context, all []*iface) error {
	here := map[string]bool{}
	for _, i := range all {
		here[i.name] = true
	}
	for _, i := range all {
		if !i.in("epair") || i.description != "" || !strings.HasSuffix(i.name, "a") || !hasOurUnit(i.name) || !here[inner(i.name)] {
			continue
		}
		if err := l.drop(ctx, i.name); err != nil {
			return err
		}
	}
	return nil
}
