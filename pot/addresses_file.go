package pot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"nomad-driver-pot/pot/flock"
)

// path is the file of an address that is taken.
func (a *addresses) path(addr netip.Addr) string { return filepath.Join(a.dir, addr.String()) }

// reserve takes addr unless somebody has it. The file has its content from the first: it
// is a link to a file that was written before.
func (a *addresses) reserve(addr netip.Addr, pot Name) (bool, error) {
	if owner, err := a.owner(addr, pot); err != nil || owner != "" {
		return false, err
	}
	written := filepath.Join(a.dir, "new-"+string(pot))
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
func (a *addresses) takeOver(addr netip.Addr, pot Name, written string) (bool, error) {
	unlock, err := a.lock()
	if err != nil {
		return false, err
	}
	defer unlock()
	owner, err := a.owner(addr, pot)
	if err != nil || owner != "" { // somebody else was faster
		return false, err
	}
	if a.log != nil {
		a.log(fmt.Sprintf("address %s: its file is damaged, and no pot has it: pot %s takes it", addr, pot))
	}
	return true, os.Rename(written, a.path(addr))
}

// lock keeps other processes from changing files that are damaged.
func (a *addresses) lock() (unlock func(), err error) {
	return flock.Wait(context.Background(), filepath.Join(a.dir, "damaged.lock"))
}

// owner is the pot that has addr, "" if none does. Where the file is damaged it is the one
// that has the address all the same; asking, the pot that wants it, is not among those.
func (a *addresses) owner(addr netip.Addr, asking Name) (Name, error) {
	data, err := os.ReadFile(a.path(addr))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	name := Name(data)
	if name.Validate() == nil && (a.known == nil || a.known(name)) {
		return name, nil
	}
	if a.holder == nil {
		return "", nil
	}
	return a.holder(addr, asking), nil
}

// release gives addr back, if it is pot's: its file may have been cut.
func (a *addresses) release(addr netip.Addr, owner Name) error {
	data, err := os.ReadFile(a.path(addr))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case Name(data) == owner:
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
