package local

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"nomad-driver-pot/image/conf"
)

// A pot's hooks are programs that the host runs as root, and its fscomp.conf mounts
// directories of the host. An image can contain both: pot export sends conf with the tree.
// Therefore a label of the dataset holds the digest of each such file that this host's
// operator has set: no image can contain a label.

// ErrNotApproved is returned for a hook or a fscomp.conf that the operator has not set.
var ErrNotApproved = errors.New("was not set on this host, and may have come with an image")

// approvalLabel returns the name of the label for a file of conf.
func approvalLabel(file string) string {
	return "nomad.pot:" + strings.ReplaceAll(strings.TrimSuffix(path.Base(file), path.Ext(file)), ".", "-")
}

// approve stores the digest of data as the approved content of a file of conf.
func (s *Pot) approve(ctx context.Context, file string, data []byte) error {
	sum := sha256.Sum256(data)
	return s.host.Images.SetLabels(ctx, string(s.name), map[string]string{approvalLabel(file): hex.EncodeToString(sum[:])})
}

// approved returns nil if a file of conf has its approved content, is empty or does not exist,
// and ErrNotApproved if not.
func (s *Pot) approved(ctx context.Context, file string) error {
	data, err := s.read(file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(bytes.TrimSpace(data)) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	return s.approvedAs(ctx, file, data)
}

// approvedAs is approved for data that was read from the file: what is then used is what was
// checked.
func (s *Pot) approvedAs(ctx context.Context, file string, data []byte) error {
	labels, err := knownLabels(ctx, s.host, s.name)
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(data); labels[approvalLabel(file)] != hex.EncodeToString(sum[:]) {
		return fmt.Errorf("%s of pot %s: %w", file, s.name, ErrNotApproved)
	}
	return nil
}

// Approve approves the present content of the pot's hooks and its fscomp.conf.
func (s *Pot) Approve(ctx context.Context) error {
	files := []string{conf.FSCompConf}
	for _, h := range conf.Hooks {
		files = append(files, h.File())
	}
	var errs []error
	for _, file := range files {
		data, err := s.read(file)
		if err == nil {
			err = s.approve(ctx, file, data)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
