// Package signify reads and writes the keys and signatures of signify(1), the OpenBSD
// tool that pot signs images with.
//
// A file has two lines: a comment, which nothing protects, and a structure in base64
// (signify.c: struct pubkey, struct enckey, struct sig). All three hold the number of
// the key, so that a signature is only checked against the key that it names.
// Signatures are Ed25519 and detached: messages embedded in a signature (-e),
// signatures in gzip headers (-z) and over lists of checksums (-C) are not supported.
// The package does not decide which keys to trust.
//
// The format of a file is in this file, public keys and signatures are in public.go,
// secret keys in secret.go.
package signify

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// MaxFileBytes is the largest size of a file: signify.c, readb64file, reads no more.
const MaxFileBytes = 2047

// The beginning of the comment line and the maximum length of the comment: signify.c,
// COMMENTHDR, and COMMENTMAXLEN, which counts a NUL.
const (
	commentHeader = "untrusted comment: "
	maxComment    = 1023
)

// Sizes of the parts of the structures, in bytes: signify.c, KEYNUMLEN, and the
// widths in its structures, which have no padding.
const (
	algorithmSize = 2
	numberSize    = 8
)

// algorithm is Ed25519, the only one there is: signify.c, PKALG.
const algorithm = "Ed"

// KeyNumber identifies a key pair. It is random, not a fingerprint of the key.
type KeyNumber [numberSize]byte

// String returns the number in hexadecimal digits, in the file's order.
func (n KeyNumber) String() string { return hex.EncodeToString(n[:]) }

// decode reads a file with a structure of size bytes, which begins with the name of the
// algorithm. It accepts what signify(1) accepts, except data after the structure's
// line, which signify ignores.
func decode(file []byte, size int) (comment string, body []byte, err error) {
	if len(file) > MaxFileBytes {
		return "", nil, fmt.Errorf("%d bytes, more than the %d of any key or signature", len(file), MaxFileBytes)
	}
	first, rest, ended := bytes.Cut(file, []byte("\n"))
	comment, ok := strings.CutPrefix(strings.TrimSuffix(string(first), "\r"), commentHeader)
	switch {
	case !ok || !ended || comment == "":
		return "", nil, fmt.Errorf("line 1: must be %q and a comment", commentHeader)
	case len(comment) > maxComment:
		return "", nil, fmt.Errorf("line 1: comment of %d bytes, more than %d", len(comment), maxComment)
	case strings.ContainsRune(comment, 0):
		return "", nil, errors.New("line 1: NUL in the comment")
	}
	second, rest, ended := bytes.Cut(rest, []byte("\n"))
	switch {
	case !ended:
		return "", nil, errors.New("line 2: no newline at the end")
	case len(bytes.TrimSpace(rest)) > 0:
		return "", nil, errors.New("line 3: unexpected data after the key or signature; embedded messages are not supported")
	}
	body, err = base64.StdEncoding.Strict().DecodeString(strings.TrimSuffix(string(second), "\r"))
	switch {
	case err != nil || bytes.ContainsRune(second[:max(len(second)-1, 0)], '\r'):
		return "", nil, errors.New("line 2: not base64")
	case len(body) != size:
		return "", nil, fmt.Errorf("line 2: %d bytes in base64, not %d", len(body), size)
	case string(body[:algorithmSize]) != algorithm:
		return "", nil, fmt.Errorf("line 2: algorithm %q, not %q", body[:algorithmSize], algorithm)
	}
	return comment, body, nil
}

// encode writes a file that decode can read.
func encode(comment string, body []byte) ([]byte, error) {
	switch {
	case comment == "":
		return nil, errors.New("comment: must not be empty")
	case len(comment) > maxComment:
		return nil, fmt.Errorf("comment: %d bytes, more than %d", len(comment), maxComment)
	case strings.ContainsAny(comment, "\r\n\x00"):
		return nil, errors.New("comment: must be one line")
	}
	file := append([]byte(commentHeader), comment...)
	file = append(file, '\n')
	file = base64.StdEncoding.AppendEncode(file, body)
	return append(file, '\n'), nil
}

// readFile reads a key or a signature from disk. It refuses what is not a regular file,
// so that it never blocks.
func readFile(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	switch info, err := f.Stat(); {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: not a regular file", name)
	}
	b, err := io.ReadAll(io.LimitReader(f, MaxFileBytes+1))
	if err != nil {
		return nil, err
	}
	return b, nil
}
