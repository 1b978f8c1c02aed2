package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/lockdir"
	"nomad-driver-pot/image/zstream"
)

// LabelReceived is the label of a dataset that a Store received. The dataset keeps it when
// a person changes it and it is no longer an image. The value is the digest and, in
// hexadecimal, the GUIDs of the snapshots that came with it, separated by spaces. ZFS
// receives a layered image on whatever snapshot of the pool has the GUID of its origin,
// and a stream can claim any GUID: so no two images may share one. A user property has at
// most 8191 bytes (zfsprops(7)), enough for three times maxSnapshots in each dataset.
const LabelReceived = "nomad.pot:received"

// receipt is the value of LabelReceived.
type receipt struct {
	digest string // of the image
	guids  []uint64
}

// String returns the text of LabelReceived.
func (r receipt) String() string {
	words := []string{r.digest}
	for _, guid := range r.guids {
		words = append(words, strconv.FormatUint(guid, 16))
	}
	return strings.Join(words, " ")
}

// parseReceipt reads what receipt.String writes.
func parseReceipt(label string) (r receipt, err error) {
	words := strings.Fields(label)
	if len(words) == 0 {
		return r, errors.New("is empty")
	}
	r.digest = words[0]
	for _, word := range words[1:] {
		guid, err := strconv.ParseUint(word, 16, 64)
		if err != nil {
			return r, fmt.Errorf("%q is no GUID", word)
		}
		r.guids = append(r.guids, guid)
	}
	return r, nil
}

// receiptOf returns the receipt of an image with that digest and stream.
func receiptOf(digest string, s *zstream.Stream) receipt {
	r := receipt{digest: digest}
	for _, dataset := range s.Datasets {
		for _, snapshot := range dataset.Snapshots {
			r.guids = append(r.guids, snapshot.GUID)
		}
	}
	slices.Sort(r.guids)
	return r
}

// shared returns a GUID that both receipts have, if their digests differ.
func (r receipt) shared(other receipt) (guid uint64, found bool) {
	if r.digest == other.digest {
		return 0, false
	}
	for _, guid := range r.guids {
		if slices.Contains(other.guids, guid) {
			return guid, true
		}
	}
	return 0, false
}

// receiptFile is the name of the receipt in the directory of an import.
const receiptFile = "received"

// claim reserves the GUIDs of r for the import t of ref, until t is removed: by then the
// dataset has its label. It fails if an image with another digest has one of them, imported
// or being imported, so two concurrent imports do not both succeed. If that image has ref's
// name and no clones, claim destroys it instead of failing.
func (s *Store) claim(ctx context.Context, t *lockdir.Dir, ref reference, r receipt) error {
	if err := s.claimAmongImports(ctx, t, r); err != nil {
		return err
	}
	images, err := s.receipts(ctx)
	if err != nil {
		return &image.Error{Op: "list", What: "images", Err: err}
	}
	for _, name := range slices.Sorted(maps.Keys(images)) {
		guid, found := r.shared(images[name])
		switch {
		case !found:
		case name == ref.Dataset() || strings.HasPrefix(name, besideStem(ref)+"-"):
			if err := s.makeRoom(ctx, name, guid); err != nil {
				return err
			}
		default:
			return fmt.Errorf("its snapshot with GUID %#x is also in image %s, which has another digest; destroy that one, or export the image anew, with one snapshot", guid, name)
		}
	}
	return nil
}

// makeRoom destroys an image that cannot be kept beside a new one because both have a
// snapshot with that GUID, as two exports of one snapshot do.
func (s *Store) makeRoom(ctx context.Context, name string, guid uint64) error {
	fault := func(why string) error {
		return &image.Error{Op: "replace", What: "image " + name, Retryable: true,
			Err: fmt.Errorf("%s, and it cannot be beside the new image: both have the snapshot with GUID %#x", why, guid)}
	}
	labels, err := s.datasets.Labels(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if labels[LabelRef] == "" {
		return fault("it is a pot that was imported by hand: destroy it (pot destroy)")
	}
	idle, err := s.datasets.Idle(ctx, LabelRef)
	if err != nil {
		return err
	}
	if !slices.Contains(idle, name) {
		return fault("pots are cloned from it")
	}
	return s.datasets.Destroy(ctx, name)
}

// claimAmongImports is claim among the imports in progress, of all processes that use the
// cache: each has its receipt in its directory. The cache's lock makes comparing and writing
// one step.
func (s *Store) claimAmongImports(ctx context.Context, t *lockdir.Dir, r receipt) error {
	unlock, err := lockdir.LockShared(ctx, s.cache.Dir)
	if err != nil {
		return s.cache.Fault(err)
	}
	defer unlock()
	entries, err := os.ReadDir(s.cache.Dir)
	if err != nil {
		return s.cache.Fault(err)
	}
	for _, e := range entries {
		dir := filepath.Join(s.cache.Dir, e.Name())
		if !strings.HasPrefix(e.Name(), lockdir.Importing) || e.Name() == filepath.Base(t.Path) {
			continue
		}
		label, err := os.ReadFile(filepath.Join(dir, receiptFile))
		if errors.Is(err, fs.ErrNotExist) { // it has no claim yet, or has ended
			continue
		}
		other, parseErr := parseReceipt(string(label))
		err = errors.Join(err, parseErr)
		guid, found := r.shared(other)
		switch {
		case err == nil && !found, ended(dir): // a crash may have left half of a receipt
		case err != nil:
			return s.cache.Fault(err)
		default:
			return &image.Error{Op: "receive", What: fmt.Sprintf("snapshot with GUID %#x", guid), Retryable: true,
				Err: errors.New("an image with another digest, which has it too, is being imported")}
		}
	}
	if err := os.WriteFile(filepath.Join(t.Path, receiptFile), []byte(r.String()), 0o600); err != nil {
		return s.cache.Fault(err)
	}
	return nil
}

// ended reports whether the import of that directory has ended; a crash leaves it unlocked.
func ended(dir string) bool {
	left, err := lockdir.Lock(dir, syscall.LOCK_NB)
	if err == nil {
		left.Lock.Close()
	}
	return err == nil || errors.Is(err, fs.ErrNotExist)
}

// receipts returns the receipts, by dataset name, of all images and of pots that were
// images. An image that an earlier version imported has none; receipts adds it.
func (s *Store) receipts(ctx context.Context) (map[string]receipt, error) {
	labels, err := s.datasets.Labelled(ctx, LabelReceived, LabelDigest)
	if err != nil {
		return nil, err
	}
	all := map[string]receipt{}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		received, digest := labels[name][LabelReceived], labels[name][LabelDigest]
		switch {
		case strings.HasPrefix(name, tempPrefix): // has a claim, or is left of a crash
		case received != "":
			if all[name], err = parseReceipt(received); err != nil {
				return nil, fmt.Errorf("%s: %s %w", name, LabelReceived, err)
			}
		default:
			r, err := s.receiptFor(ctx, name, digest)
			if errors.Is(err, fs.ErrNotExist) { // destroyed meanwhile
				continue
			}
			if err != nil {
				return nil, err
			}
			all[name] = r
		}
	}
	return all, nil
}

// receiptFor makes the receipt of an image that has none, from its snapshots, labels the
// image with it and returns it.
func (s *Store) receiptFor(ctx context.Context, name, digest string) (receipt, error) {
	r := receipt{digest: digest}
	var err error
	if r.guids, err = s.datasets.GUIDs(ctx, name); err != nil {
		return r, err
	}
	slices.Sort(r.guids)
	return r, s.datasets.SetLabels(ctx, name, map[string]string{LabelReceived: r.String()})
}
