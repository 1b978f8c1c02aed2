package life

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/exact"
)

// record is what has been made of a pot. It is on disk before each part is
// made, so that whatever a crash leaves can be unmade; and it says enough to
// take the pot up again in another process.
type record struct {
	Version int         `json:"version"`
	Spec    pot.Spec    `json:"spec"`
	Dir     string      `json:"dir,omitempty"`    // of the dataset, once it is cloned
	Address netip.Addr  `json:"address,omitzero"` // of the pot: on its bridge, or its first alias
	Network pot.Network `json:"network,omitzero"` // of the bridge that Address is on

	Attributes   conf.Attributes     `json:"attributes,omitempty"`    // of the image and the spec
	Refused      []string            `json:"refused,omitempty"`       // attributes of the image that are not allowed
	Hooks        []conf.Hook         `json:"hooks,omitempty"`         // of the image that are allowed, until PostStop was run
	RefusedHooks []conf.Hook         `json:"refused_hooks,omitempty"` // of the image that are not
	Release      string              `json:"release,omitempty"`       // osrelease of the image's pot.conf
	Aliases      []pot.InterfaceAddr `json:"aliases,omitempty"`       // that the jail has
	Added        []pot.InterfaceAddr `json:"added,omitempty"`         // those of them that were not there before

	// Anchor is Redirects.Anchor when the pot's ports were published. It is "" of no
	// ports, and of those that a version published which did not write it down.
	Anchor string `json:"anchor,omitempty"`

	Argv    []string  `json:"argv,omitempty"` // what was started
	Created time.Time `json:"created"`
}

// recordVersion is the layout of record. One that is newer is refused.
const recordVersion = 1

// maxRecord bounds what is read back; a spec comes from a job file.
const maxRecord = 4 << 20

const recordFile = "record.json"

// write puts the record into dir, whole or not at all.
func (r *record) write(dir string) error {
	data, err := exact.Marshal(r)
	if err != nil {
		return fmt.Errorf("internal error: encode record: %w", err)
	}
	path := filepath.Join(dir, recordFile)
	if err := os.WriteFile(path+".new", append(data, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// readRecord reads back what write wrote. None is fs.ErrNotExist.
func readRecord(dir string) (*record, error) {
	path := filepath.Join(dir, recordFile)
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxRecord {
		return nil, DamagedRecord{fmt.Errorf("%s: %d bytes are no record", path, info.Size())}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := new(record)
	if err := exact.Unmarshal(data, r); err != nil {
		return nil, DamagedRecord{fmt.Errorf("%s: %w", path, err)}
	}
	if r.Version != recordVersion {
		return nil, fmt.Errorf("%s: is of version %d: this driver knows %d", path, r.Version, recordVersion)
	}
	return r, nil
}

// DamagedRecord is what is wrong with a record that is empty, cut or something else.
type DamagedRecord struct{ error }

func (d DamagedRecord) Unwrap() error { return d.error }

// forget removes the directory of a pot that is no more. A directory that is
// gone is no error.
func forget(dir string) error {
	err := os.RemoveAll(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
