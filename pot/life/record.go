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

// record is the state of a pot on disk. It is written before each part is made, so that
// whatever a crash leaves can be removed, and another process can find the pot by it.
type record struct {
	Version int         `json:"version"`
	Spec    pot.Spec    `json:"spec"`
	Dir     string      `json:"dir,omitempty"`    // of the dataset, once it is cloned
	Address netip.Addr  `json:"address,omitzero"` // of the pot: on its bridge, or its first alias
	Network pot.Network `json:"network,omitzero"` // of the bridge that Address is on

	Attributes   conf.Attributes     `json:"attributes,omitempty"`    // of the image and the spec, merged
	Refused      []string            `json:"refused,omitempty"`       // the image's attributes that are not allowed
	Hooks        []conf.Hook         `json:"hooks,omitempty"`         // the image's hooks that are allowed, until PostStop was run
	RefusedHooks []conf.Hook         `json:"refused_hooks,omitempty"` // the image's hooks that are not allowed
	Release      string              `json:"release,omitempty"`       // osrelease of the image's pot.conf
	Aliases      []pot.InterfaceAddr `json:"aliases,omitempty"`       // the jail's addresses on the host's interfaces
	Added        []pot.InterfaceAddr `json:"added,omitempty"`         // the Aliases that the pot added to an interface

	// Anchor is Redirects.Anchor when the pot's ports were published. It is "" if the
	// pot publishes none, or if they were published by a version that did not record it.
	Anchor string `json:"anchor,omitempty"`

	Argv    []string  `json:"argv,omitempty"` // the command that was started
	Created time.Time `json:"created"`
}

// recordVersion is the version of record's layout. Records of other versions are refused.
const recordVersion = 1

// maxRecord bounds the size of a record, in bytes; its spec comes from a job file.
const maxRecord = 4 << 20

const recordFile = "record.json"

// write writes the record into dir, whole or not at all.
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

// readRecord reads the record in dir. It returns fs.ErrNotExist if there is none.
func readRecord(dir string) (*record, error) {
	path := filepath.Join(dir, recordFile)
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxRecord {
		return nil, DamagedRecord{fmt.Errorf("%s: must be at most %d bytes, not %d", path, maxRecord, info.Size())}
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
		return nil, fmt.Errorf("%s: version %d is not supported: this driver reads version %d", path, r.Version, recordVersion)
	}
	return r, nil
}

// DamagedRecord is the error for a record that is empty, cut short or not a record.
type DamagedRecord struct{ error }

func (d DamagedRecord) Unwrap() error { return d.error }

// forget removes the directory of a pot that is destroyed. It returns nil if there is none.
func forget(dir string) error {
	err := os.RemoveAll(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
