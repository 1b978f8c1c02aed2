package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/term"

	"nomad-driver-pot/image/inspect"
	"nomad-driver-pot/image/signify"
)

// signer signs as `signify -S -s` does. pot calls signify(1) for it; here no program is
// needed, and so images can be signed on Linux.
type signer struct {
	key     signify.SecretKey
	comment string
}

// newSigner reads a secret key from a file. If it is encrypted, newSigner asks for the
// passphrase on the terminal. unasked tells a passphrase that was not given from a key that
// is damaged.
func newSigner(ctx context.Context, file string) (*signer, error) {
	var unasked error
	key, err := signify.ReadSecretKey(file, func() (words []byte, err error) {
		words, unasked = askPassphrase(ctx, file)
		return words, unasked
	})
	if unasked != nil { // the key itself may be right
		return nil, fmt.Errorf("%s: passphrase: %w", file, unasked)
	}
	if err != nil {
		return nil, err
	}
	return &signer{key, signatureComment(file, key.Comment)}, nil
}

// signatureComment returns the comment that signify writes above a signature, from which it
// later finds the public key (signify.c, createsig).
func signatureComment(file, comment string) string {
	if name, ok := strings.CutSuffix(filepath.Base(file), ".sec"); ok && name != "" {
		return "verify with " + name + ".pub"
	}
	return "signature from " + comment
}

// Sign implements build.Signer.
func (s *signer) Sign(message []byte) ([]byte, error) {
	return s.key.Sign(message).Marshal(s.comment)
}

// errNoTerminal means that the passphrase cannot be asked for.
var errNoTerminal = errors.New("no terminal to ask for it")

// askPassphrase asks for a passphrase on the controlling terminal, wherever input and
// output go, and does not echo it. Standard input may be the archive that is built.
func askPassphrase(ctx context.Context, file string) ([]byte, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, errNoTerminal
	}
	defer tty.Close()
	fd := int(tty.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	type answer struct {
		words []byte
		err   error
	}
	answers := make(chan answer, 1)
	fmt.Fprintf(tty, "passphrase for %s: ", inspect.Printable(file))
	defer fmt.Fprintln(tty)
	go func() {
		words, err := term.ReadPassword(fd)
		answers <- answer{words, err}
	}()
	select {
	case a := <-answers:
		return a.words, a.err
	case <-ctx.Done(): // ReadPassword still runs: turn the echo on again
		_ = term.Restore(fd, before)
		return nil, context.Cause(ctx)
	}
}
