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

// A pot's hooks are programs that the host runs as root, and its fscomp.conf has
// directories of the host mounted; an image can bring both (pot-reference 2.5, 2.3).
// What this host's operator has set is known by its digest, in a label of the dataset,
// which no image can bring.

// ErrNotApproved is what may have come with an image, and would act on the host.
var ErrNotApproved = errors.New("was not set on this host, and may have come with an image")

// approvalLabel is the label for a file of conf.
func approvalLabel(file string) string {
	return "nomad.pot:" + strings.ReplaceAll(strings.TrimSuffix(path.Base(file), path.Ext(file)), ".", "-")
}

// approve remembers what a file of conf is to be.
func (s *Pot) approve(ctx context.Context, file string, data []byte) error {
	sum := sha256.Sum256(data)
	return s.host.Images.SetLabels(ctx, string(s.name), map[string]string{approvalLabel(file): hex.EncodeToString(sum[:])})
}

// approved is nil if a file of conf is what approve was told, or does nothing.
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

// approvedAs is approved, of what was read from the file.
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

// Approve takes the pot's hooks and its fscomp.conf for the operator's, as they are.
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
