package image

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"

	"nomad-driver-pot/image/skein"
)

// Digest is Skein-1024-1024 of an image: of its .xz followed by its .meta, byte
// for byte. The zero value stands for any image.
type Digest [skein.Size]byte

// algorithm leads a digest where people write it.
const algorithm = "skein1024:"

// hexDigits is how long a digest is as text.
const hexDigits = 2 * skein.Size

// ParseDigest reads what Digest.String writes: "skein1024:" and 256 lower-case
// hexadecimal digits.
func ParseDigest(s string) (Digest, error) {
	digits, ok := strings.CutPrefix(s, algorithm)
	if !ok {
		return Digest{}, fmt.Errorf("must begin with %q", algorithm)
	}
	return parseHex(digits)
}

// ParseSkein reads a .skein file, which is what skein1024 -q prints: 256
// lower-case hexadecimal digits and a newline.
func ParseSkein(b []byte) (Digest, error) {
	text := string(b)
	switch line, ended := strings.CutSuffix(text, "\n"); {
	case text == "":
		return Digest{}, errors.New("empty, not a digest")
	case webPage(b):
		return Digest{}, errors.New("a web page, not a digest")
	case !ended:
		return Digest{}, errors.New("no newline after the digest")
	case strings.HasSuffix(line, "\r"):
		return Digest{}, errors.New("carriage return after the digest")
	case strings.HasSuffix(line, "\n"):
		return Digest{}, errors.New("more than one newline after the digest")
	case strings.Contains(line, "\n"):
		return Digest{}, errors.New("more than one line")
	default:
		return parseHex(line)
	}
}

// webPage tells whether b is HTML: servers send some in place of a file that
// they do not have, and call it 200 OK.
func webPage(b []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(b), []byte("<"))
}

// parseHex reads a digest's digits, and nothing about them.
func parseHex(s string) (d Digest, err error) {
	notHex := func(r rune) bool { return !strings.ContainsRune("0123456789abcdef", r) }
	switch at := strings.IndexFunc(s, notHex); {
	case strings.ContainsAny(s, "ABCDEF"):
		return d, errors.New("upper-case digits in the digest")
	case at >= 0:
		return d, fmt.Errorf("not a hexadecimal digit: %q", s[at:at+1])
	case len(s) != hexDigits:
		return d, fmt.Errorf("%d hexadecimal digits, not %d", len(s), hexDigits)
	}
	_, err = hex.Decode(d[:], []byte(s))
	return d, err
}

// String is the digest led by its algorithm.
func (d Digest) String() string { return algorithm + d.Hex() }

// Hex is the digest's digits.
func (d Digest) Hex() string { return hex.EncodeToString(d[:]) }

// short is enough of the digest to tell it from another in a message.
func (d Digest) short() string { return d.String()[:len(algorithm)+16] + "…" }

// Sum is the digest of what h has been given.
func Sum(h hash.Hash) (d Digest) {
	h.Sum(d[:0])
	return d
}

// VerifyDigest says whether an image is the one with digest want: h has been given
// the n bytes of its .xz, and meta is its .meta.
func VerifyDigest(h hash.Hash, n int64, meta []byte, want Digest) error {
	h.Write(meta)
	if got := Sum(h); got != want {
		return &DigestError{Want: want, Got: got, Bytes: n + int64(len(meta))}
	}
	return nil
}

// DigestError is an image that is not the one asked for.
type DigestError struct {
	Want, Got Digest
	Bytes     int64 // that make Got; 0: it is what the image says of itself
}

// Error shows the beginnings of both digests.
func (e *DigestError) Error() string {
	text := fmt.Sprintf("image is not what was asked for: want %s, got %s", e.Want.short(), e.Got.short())
	if e.Bytes > 0 {
		text += fmt.Sprintf(" of %d bytes", e.Bytes)
	}
	return text
}
