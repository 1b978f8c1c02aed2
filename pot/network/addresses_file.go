package network

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/flock"
)

// path returns the file of an address.
func (a *Addresses) path(addr netip.Addr) string { return filepath.Join(a.Dir, addr.String()) }

// reserve creates the file of addr for owner, and reports whether it has. Nobody sees the file
// without its content: it is a link to a file that was written before.
func (a *Addresses) reserve(addr netip.Addr, owner pot.Name) (bool, error) {
	if holder, err := a.holder(addr, owner); err != nil || holder != "" {
		return false, err
	}
	written := filepath.Join(a.Dir, "new-"+string(owner))
	defer os.Remove(written)
	if err := os.WriteFile(written, []byte(owner), 0o600); err != nil {
		return false, err
	}
	err := os.Link(written, a.path(addr))
	if !errors.Is(err, fs.ErrExist) {
		return err == nil, err
	}
	return a.replaceDamaged(addr, owner, written)
}

// replaceDamaged renames written over a damaged file of an address that no pot has.
func (a *Addresses) replaceDamaged(addr netip.Addr, owner pot.Name, written string) (bool, error) {
	unlock, err := a.lock()
	if err != nil {
		return false, err
	}
	defer unlock()
	holder, err := a.holder(addr, owner)
	if err != nil || holder != "" { // another process was faster
		return false, err
	}
	if a.Log != nil {
		a.Log(fmt.Sprintf("address %s: replaced a damaged file that belonged to no pot; pot %s has the address now", addr, owner))
	}
	return true, os.Rename(written, a.path(addr))
}

// lock keeps other processes from replacing or removing damaged files.
func (a *Addresses) lock() (unlock func(), err error) {
	return flock.Wait(context.Background(), filepath.Join(a.Dir, "damaged.lock"))
}

// holder returns the pot that has addr, "" if none has. If the file is damaged, Holder decides, and
// other is no candidate.
func (a *Addresses) holder(addr netip.Addr, other pot.Name) (pot.Name, error) {
	data, err := os.ReadFile(a.path(addr))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	name := pot.Name(data)
	if name.Validate() == nil && (a.Known == nil || a.Known(name)) {
		return name, nil
	}
	if a.Holder == nil {
		return "", nil
	}
	return a.Holder(addr, other), nil
}

// Release releases addr if owner has it. The file may be cut: then owner must begin with what is
// left, and no other pot may have the address.
func (a *Addresses) Release(addr netip.Addr, owner pot.Name) error {
	data, err := os.ReadFile(a.path(addr))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case pot.Name(data) == owner:
		return remove(a.path(addr))
	case !strings.HasPrefix(string(owner), string(data)):
		return nil
	}
	unlock, err := a.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if holder, err := a.holder(addr, owner); err != nil || holder != "" {
		return err
	}
	return remove(a.path(addr))
}

// remove removes a file. It returns nil if there is none.
func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
