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

// path is the file of an address that is taken.
func (a *Addresses) path(addr netip.Addr) string { return filepath.Join(a.Dir, addr.String()) }

// reserve takes addr unless somebody has it. The file has its content from the first: it
// is a link to a file that was written before.
func (a *Addresses) reserve(addr netip.Addr, pot pot.Name) (bool, error) {
	if owner, err := a.owner(addr, pot); err != nil || owner != "" {
		return false, err
	}
	written := filepath.Join(a.Dir, "new-"+string(pot))
	defer os.Remove(written)
	if err := os.WriteFile(written, []byte(pot), 0o600); err != nil {
		return false, err
	}
	err := os.Link(written, a.path(addr))
	if !errors.Is(err, fs.ErrExist) {
		return err == nil, err
	}
	return a.takeOver(addr, pot, written)
}

// takeOver puts what is written in the place of a damaged file that stands for no pot.
func (a *Addresses) takeOver(addr netip.Addr, pot pot.Name, written string) (bool, error) {
	unlock, err := a.lock()
	if err != nil {
		return false, err
	}
	defer unlock()
	owner, err := a.owner(addr, pot)
	if err != nil || owner != "" { // somebody else was faster
		return false, err
	}
	if a.Log != nil {
		a.Log(fmt.Sprintf("address %s: its file is damaged, and no pot has it: pot %s takes it", addr, pot))
	}
	return true, os.Rename(written, a.path(addr))
}

// lock keeps other processes from changing files that are damaged.
func (a *Addresses) lock() (unlock func(), err error) {
	return flock.Lock(context.Background(), filepath.Join(a.Dir, "damaged.lock"))
}

// owner is the pot that has addr, "" if none does. Where the file is damaged it is the one
// that has the address all the same; asking, the pot that wants it, is not among those.
func (a *Addresses) owner(addr netip.Addr, asking pot.Name) (pot.Name, error) {
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
	return a.Holder(addr, asking), nil
}

// Release gives addr back, if it is pot's: its file may have been cut.
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
	if owner, err := a.owner(addr, owner); err != nil || owner != "" {
		return err
	}
	return remove(a.path(addr))
}

// remove removes a file, which may be gone.
func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
