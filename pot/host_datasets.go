package pot

import (
	"context"
	"io"
	"time"
)

// Images are the datasets that pots are cloned from: NAME, which holds conf/, and its
// child NAME/m, the root tree. Pots with a dataset of their own look the same.
type Images interface {
	Receiver
	Catalog
	Labels
}

// A Receiver creates, renames and destroys images.
type Receiver interface {
	// Receive creates name and its children from a zfs send stream that the caller has
	// verified. After an error nothing of name is left.
	Receive(ctx context.Context, name string, stream io.Reader) error

	// ReceiveLayer is Receive for a stream that is incremental from a snapshot of the
	// tree of origin, which exists. A stream that ZFS receives on another snapshot is
	// refused, unless that is the same: of an image with the digest of origin, or of a
	// pot of this host that has LabelReceived and no LabelDigest. A host that keeps no
	// snapshots calls below for the streams of origin and of its own origins, the oldest
	// first, and closes them.
	ReceiveLayer(ctx context.Context, name, origin, snapshot string, stream io.Reader,
		below func(context.Context) ([]io.ReadCloser, error)) error

	// Rename renames from, with all its children. If to exists it is fs.ErrExist, and
	// from stays.
	Rename(ctx context.Context, from, to string) error

	// Destroy removes name and all its children.
	Destroy(ctx context.Context, name string) error
}

// A Catalog lists datasets.
type Catalog interface {
	// List names the datasets that begin with prefix, sorted.
	List(ctx context.Context, prefix string) ([]string, error)

	// Idle names the datasets that have the label and no clones, sorted.
	Idle(ctx context.Context, label string) ([]string, error)

	// Created returns when each dataset was created, by its name. A dataset is left out if
	// its time is not known.
	Created(ctx context.Context) (map[string]time.Time, error)

	// GUIDs returns the GUIDs of the snapshots of name and of its tree, nil on a host
	// that does not keep them. A dataset that does not exist is fs.ErrNotExist.
	GUIDs(ctx context.Context, name string) ([]uint64, error)
}

// Labels are texts that stay with a dataset, also when it is renamed.
type Labels interface {
	// SetLabels adds labels to the labels of name. A label that is "" is removed.
	SetLabels(ctx context.Context, name string, labels map[string]string) error

	// Labels returns the labels of name, empty if there are none. A dataset that does not
	// exist is fs.ErrNotExist. Labels that were lost are fs.ErrInvalid.
	Labels(ctx context.Context, name string) (map[string]string, error)

	// Labelled returns the given labels of each dataset that has any, by its name.
	Labelled(ctx context.Context, labels ...string) (map[string]map[string]string, error)
}

// A Cloner makes the datasets that pots run in.
type Cloner interface {
	// Clone creates the dataset of a pot from an image: DIR/conf, empty, and DIR/m, a
	// writable copy of the image's root tree. It returns DIR.
	Clone(ctx context.Context, c Clone) (dir string, err error)

	// Dir returns the directory of name, mounted or not. A dataset that does not exist
	// is fs.ErrNotExist.
	Dir(ctx context.Context, name string) (string, error)

	// Destroy removes name and all its children. Other file systems that are mounted
	// in it are an error, and are never followed.
	Destroy(ctx context.Context, name string) error
}

// A Clone is what the dataset of a pot is made from.
type Clone struct {
	Origin, Name string
	Snapshot     string // of the origin; "" for the newest
	Labels       map[string]string
	QuotaBytes   int64 // that may be written to the clone; 0 for no quota
}

// Snapshots are snapshots of pots with a dataset of their own. NAME and its child
// NAME/m have each snapshot together, under one name, without the @. A pot that does
// not exist is fs.ErrNotExist.
type Snapshots interface {
	SnapshotStreams

	// Take makes a snapshot. A name that is taken is fs.ErrExist.
	Take(ctx context.Context, pot, snapshot string) error

	// List returns all snapshots, the oldest first; at the same time NAME's are before
	// NAME/m's.
	List(ctx context.Context, pot string) ([]Snapshot, error)

	// Destroy removes a snapshot. A snapshot with clones is an error.
	Destroy(ctx context.Context, pot, snapshot string) error

	// Rollback reverts the pot to its newest snapshot, whose name is given.
	Rollback(ctx context.Context, pot, snapshot string) error
}

// SnapshotStreams write pots for other hosts.
type SnapshotStreams interface {
	// Send writes the zfs send stream of a snapshot and all before it, as zfs send -R
	// does. The stream of a clone is incremental, on a host whose clones are. After an
	// error the bytes that were written are no stream.
	Send(ctx context.Context, pot, snapshot string, w io.Writer) error

	// Origin returns the pot, and its snapshot, that the tree is cloned from; "" if it
	// is no clone, as on a host whose copies depend on nothing.
	Origin(ctx context.Context, pot string) (of, snapshot string, err error)
}

// A Snapshot is a snapshot of one dataset.
type Snapshot struct {
	Child                  string // "" for the pot's dataset, "m" for its tree
	Name                   string // without the @
	Created                time.Time
	UsedBytes              int64  // that only this snapshot holds
	LogicalReferencedBytes int64  // of all that is in it, not compressed: about the length of its stream
	GUID                   uint64 // 0 on a host that has none
}

// Mounts put directories and files of the host into a pot's tree.
type Mounts interface {
	// Mount makes m.Target below root, if it is missing, and mounts m.Source on it. A
	// link on the way from root to the target is an error, and is never followed.
	Mount(ctx context.Context, root string, m Mount) error

	// UnmountAll unmounts all that is mounted below root, in reverse order. A mount on
	// root itself stays.
	UnmountAll(ctx context.Context, root string) error
}
