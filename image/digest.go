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

// Digest is the Skein-1024-1024 hash of an image: of the bytes of its .xz followed by its
// .meta. The zero value stands for any image.
type Digest [skein.Size]byte

// algorithm begins the text of a digest.
const algorithm = "skein1024:"

// hexDigits is the number of hexadecimal digits of a digest.
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

// ParseSkein reads a .skein file, in the format of skein1024 -q: 256 lower-case hexadecimal
// digits and a newline.
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

// webPage reports whether b is HTML: some servers send a page with status 200 OK for a file
// that they do not have.
func webPage(b []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(b), []byte("<"))
}

// parseHex reads the digits of a digest.
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

// String returns the algorithm, a colon and the digits.
func (d Digest) String() string { return algorithm + d.Hex() }

// Hex returns the digits.
func (d Digest) Hex() string { return hex.EncodeToString(d[:]) }

// short returns enough of the digest for a message.
func (d Digest) short() string { return d.String()[:len(algorithm)+16] + "…" }

// Sum returns the digest of the bytes written to h.
func Sum(h hash.Hash) (d Digest) {
	h.Sum(d[:0])
	return d
}

// VerifyDigest returns a *DigestError unless an image has the digest want: the n bytes of
// its .xz were written to h, and meta is its .meta. It writes meta to h.
func VerifyDigest(h hash.Hash, n int64, meta []byte, want Digest) error {
	h.Write(meta)
	if got := Sum(h); got != want {
		return &DigestError{Want: want, Got: got, Bytes: n + int64(len(meta))}
	}
	return nil
}

// DigestError means that an image has another digest than the wanted one.
type DigestError struct {
	Want, Got Digest
	Bytes     int64 // that Got was computed from; 0: Got is what the .skein says
}

// Error shows the beginnings of both digests.
func (e *DigestError) Error() string {
	text := fmt.Sprintf("image is not what was asked for: want %s, got %s", e.Want.short(), e.Got.short())
	if e.Bytes > 0 {
		text += fmt.Sprintf(" of %d bytes", e.Bytes)
	}
	return text
}
