// Package schema is the JSON that the command line prints with -o json. Each thing has one
// name and one type, whichever command prints it: docs/json.md lists them.
//
// Lists are plural nouns, their lengths end in _count, sizes in _bytes, and times follow RFC
// 3339 in UTC. A list is never null. A value that is not known is left out if its tag has
// omitempty, and otherwise null.
package schema

import "time"

// Pot is a pot in a list: pot list and pot ps.
type Pot struct {
	Name     string     `json:"name"`
	Image    string     `json:"image"` // NAME:TAG, the pot that it was cloned from, or "" for none
	State    string     `json:"state"` // Running, Stopped or Image
	Task     bool       `json:"task"`  // it belongs to a Nomad task
	Network  Network    `json:"network"`
	Ports    []Port     `json:"ports"`
	Created  *time.Time `json:"created"`   // null: not known
	Started  *time.Time `json:"started"`   // null: not running
	ExitCode *int       `json:"exit_code"` // of the last run; null: none, or still running
}

// States of a pot.
const (
	Running = "running"
	Stopped = "stopped"
	Image   = "image"
)

// Network says how a pot is connected.
type Network struct {
	Mode      string   `json:"mode"`             // inherit, public-bridge, private-bridge, alias or none
	Stack     string   `json:"stack,omitempty"`  // ipv4, ipv6 or dual
	Bridge    string   `json:"bridge,omitempty"` // name of a private bridge
	Addresses []string `json:"addresses"`
}

// Port is a port that a pot publishes.
type Port struct {
	Protocol string `json:"protocol"`  // tcp or udp
	Port     uint16 `json:"port"`      // in the pot
	HostPort uint16 `json:"host_port"` // on the host; 0: chosen when the pot is started
}

// PotInfo describes a pot: pot info.
type PotInfo struct {
	Pot
	Type        string            `json:"type"`
	Base        string            `json:"base"` // FreeBSD release
	Level       string            `json:"level"`
	Hostname    string            `json:"hostname"`
	DNS         string            `json:"dns,omitempty"`
	Command     string            `json:"command"`            // as for a shell
	User        string            `json:"user,omitempty"`     // of the command, by the pot's passwd(5); "" is root
	WorkDir     string            `json:"work_dir,omitempty"` // of the command; "" is /
	Environment []Variable        `json:"environment"`        // names
	DependsOn   []string          `json:"depends_on"`         // pots
	Limits      Limits            `json:"limits"`
	Datasets    []string          `json:"datasets"`
	Snapshots   []Snapshot        `json:"snapshots"`
	Attributes  map[string]string `json:"attributes"`
}

// Variable is an environment variable.
type Variable struct {
	Name  string  `json:"name"`
	Value *string `json:"value,omitempty"` // left out unless values are asked for
}

// Limits are limits of a pot; 0 is none.
type Limits struct {
	CPUs        int   `json:"cpus"`
	MemoryBytes int64 `json:"memory_bytes"`
}

// Snapshot is a snapshot of a pot.
type Snapshot struct {
	Dataset   string    `json:"dataset"`
	Snapshot  string    `json:"snapshot"` // without the dataset's name
	Created   time.Time `json:"created"`
	UsedBytes int64     `json:"used_bytes"`
}

// Usage is what a pot uses: pot show and pot get-rss.
type Usage struct {
	Name         string  `json:"name"`
	MemoryBytes  int64   `json:"memory_bytes"`
	SwapBytes    int64   `json:"swap_bytes"`
	ProcessCount int     `json:"process_count"`
	CPUSeconds   float64 `json:"cpu_seconds"`
	CPUPercent   float64 `json:"cpu_percent"` // 100 is one core
}

// LastRun is how the last run of a pot ended: pot last-run-stats.
type LastRun struct {
	Name     string `json:"name"`
	ExitCode *int   `json:"exit_code"` // null: it never ended
}

// PotSnapshot is a snapshot that was taken, destroyed or rolled back to.
type PotSnapshot struct {
	Name     string `json:"name"` // of the pot
	Snapshot string `json:"snapshot"`
}

// Attribute is an attribute of a pot: pot get-attribute.
type Attribute struct {
	Name      string `json:"name"` // of the pot
	Attribute string `json:"attribute"`
	Value     string `json:"value"` // "": not set
}

// NewPot is a pot that was created: pot create and pot clone.
type NewPot struct {
	Name         string `json:"name"`
	Base         string `json:"base,omitempty"`          // FreeBSD release, if it is known
	SourceDigest string `json:"source_digest,omitempty"` // of the container image: "sha256:..."
	Of           string `json:"of,omitempty"`            // the pot that it is a clone of
}

// Created is a pot that was created: pot import and pot prepare.
type Created struct {
	Name  string `json:"name"`
	Image string `json:"image"` // NAME:TAG
}

// LocalImage is an image on this host: pot image list.
type LocalImage struct {
	Name     string     `json:"name"`  // of its dataset
	Image    string     `json:"image"` // NAME:TAG
	URL      string     `json:"url"`   // of the directory that it was fetched from
	Digest   string     `json:"digest,omitempty"`
	Bytes    int64      `json:"bytes,omitempty"` // of its files; left out if not known
	InUse    bool       `json:"in_use"`          // pots are cloned from it
	Imported bool       `json:"imported"`        // by pot import: it is a pot too
	Created  *time.Time `json:"created"`
}

// Built is an image that was written: pot image build and pot export.
type Built struct {
	Image        string   `json:"image"` // NAME:TAG
	Files        []string `json:"files"` // paths
	Digest       string   `json:"digest"`
	Snapshot     string   `json:"snapshot"`
	SourceDigest string   `json:"source_digest,omitempty"` // of the container image that it was built from
	KeyNumber    string   `json:"key_number,omitempty"`    // of the signing key
	Bytes        int64    `json:"bytes"`                   // of the .xz
	StreamBytes  int64    `json:"stream_bytes"`
	FileCount    *int64   `json:"file_count,omitempty"` // in the tree; left out for an export
}

// Verified is what was verified of an image: pot image verify.
type Verified struct {
	File       string   `json:"file"`   // path or URL of the .xz
	Bytes      int64    `json:"bytes"`  // of the .xz
	Digest     string   `json:"digest"` // image.Digest
	Covers     []string `json:"covers"` // the files that the digest covers
	ClonedFrom string   `json:"cloned_from,omitempty"`
	KeyNumber  string   `json:"key_number,omitempty"` // of the key whose signature was verified
}

// Pushed is a published image: pot image push.
type Pushed struct {
	File    string `json:"file"` // path or URL of the .xz
	To      string `json:"to"`
	Digest  string `json:"digest"`
	Bytes   int64  `json:"bytes"`   // of the .xz
	Already bool   `json:"already"` // nothing was sent: it was published before
}

// Extracted is a file system that was extracted: pot image extract.
type Extracted struct {
	Dir       string `json:"dir"`
	Snapshot  string `json:"snapshot"`
	FileCount int64  `json:"file_count"`
	Bytes     int64  `json:"bytes"`
}

// Flavour is a flavour in a list.
type Flavour struct {
	Name     string `json:"name"`
	Commands string `json:"commands_file,omitempty"` // path, or "builtin:NAME"
	Script   string `json:"script_file,omitempty"`   // likewise
}

// FlavourText is a flavour's files: pot flavour show.
type FlavourText struct {
	Name     string `json:"name"`
	Commands string `json:"commands"`
	Script   string `json:"script"`
}

// FlavourCheck is a flavour without errors: pot flavour check.
type FlavourCheck struct {
	Name         string `json:"name"`
	CommandCount int    `json:"command_count"`
	HasScript    bool   `json:"has_script"`
}

// Bridge is a private bridge.
type Bridge struct {
	Name    string `json:"name"`
	Prefix  string `json:"prefix"` // in CIDR notation
	Gateway string `json:"gateway"`
}

// ConfigItem is an item of pot's configuration: pot config.
type ConfigItem struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Check is the result of a check of the host: pot doctor.
type Check struct {
	Severity string `json:"weight"` // has, lacks or needs
	Key      string `json:"key"`
	Text     string `json:"text"`
}

// Version is the version of the program.
type Version struct {
	Version string `json:"version"`
}

// File is a file that was fetched: pot create-base.
type File struct {
	File string `json:"file"` // path
}

// Message is a line of standard error: an error, with its hint and the exit status, or a
// note.
type Message struct {
	Error  string `json:"error,omitempty"`
	Hint   string `json:"hint,omitempty"`
	Status int    `json:"status,omitempty"`
	Note   string `json:"note,omitempty"`
}
