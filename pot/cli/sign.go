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

// signer signs as `signify -S -s` does.
type signer struct {
	key     signify.SecretKey
	comment string
}

// newSigner reads the secret key in a file. If it is encrypted, the passphrase is
// asked for on the terminal.
func newSigner(ctx context.Context, file string) (*signer, error) {
	var unasked error
	key, err := signify.ReadSecretKey(file, func() (words []byte, err error) {
		words, unasked = askPassphrase(ctx, file)
		return words, unasked
	})
	if unasked != nil { // of the key nothing is known to be wrong
		return nil, fmt.Errorf("%s: passphrase: %w", file, unasked)
	}
	if err != nil {
		return nil, err
	}
	return &signer{key, signatureComment(file, key.Comment)}, nil
}

// signatureComment is what signify writes over a signature, which tells it later
// where the public key is: signify.c, createsig.
func signatureComment(file, comment string) string {
	if name, ok := strings.CutSuffix(filepath.Base(file), ".sec"); ok && name != "" {
		return "verify with " + name + ".pub"
	}
	return "signature from " + comment
}

// Sign is image.Signer's.
func (s *signer) Sign(message []byte) ([]byte, error) {
	return s.key.Sign(message).Marshal(s.comment)
}

// errNoTerminal is nobody to ask.
var errNoTerminal = errors.New("there is no terminal to ask for it on")

// askPassphrase asks on the terminal that the command was started from, wherever
// its input and output go, and shows nothing of what is typed.
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
	fmt.Fprintf(tty, "passphrase of %s: ", inspect.Printable(file))
	defer fmt.Fprintln(tty)
	go func() {
		words, err := term.ReadPassword(fd)
		answers <- answer{words, err}
	}()
	select {
	case a := <-answers:
		return a.words, a.err
	case <-ctx.Done(): // what is typed from now on is to be seen again
		_ = term.Restore(fd, before)
		return nil, context.Cause(ctx)
	}
}
