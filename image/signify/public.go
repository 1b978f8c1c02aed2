package signify

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
)

// PublicKey verifies the signatures of its secret key.
type PublicKey struct {
	Number  KeyNumber
	Comment string // for people; nothing protects it
	key     [ed25519.PublicKeySize]byte
}

// ErrSignature means that the signature was not made by the key, or not for this
// message.
var ErrSignature = errors.New("signature does not match")

// KeyError means that the signature names another key.
type KeyError struct {
	Want, Got KeyNumber
}

// Error names both keys.
func (e *KeyError) Error() string {
	return fmt.Sprintf("signed with key %s, not with %s", e.Got, e.Want)
}

// ParsePublicKey reads a .pub file (struct pubkey: algorithm, number, key).
func ParsePublicKey(file []byte) (PublicKey, error) {
	comment, b, err := decode(file, algorithmSize+numberSize+ed25519.PublicKeySize)
	if err != nil {
		return PublicKey{}, err
	}
	return PublicKey{
		Number:  KeyNumber(b[algorithmSize:]),
		Comment: comment,
		key:     [ed25519.PublicKeySize]byte(b[algorithmSize+numberSize:]),
	}, nil
}

// ReadPublicKey reads the .pub file name. Its errors begin with name.
func ReadPublicKey(name string) (PublicKey, error) {
	b, err := readFile(name)
	if err != nil {
		return PublicKey{}, err
	}
	k, err := ParsePublicKey(b)
	if err != nil {
		return PublicKey{}, fmt.Errorf("%s: not a signify public key: %w", name, err)
	}
	return k, nil
}

// Verify returns nil if s is k's signature of message, a *KeyError if s names another
// key, and ErrSignature otherwise.
func (k PublicKey) Verify(message []byte, s Signature) error {
	switch {
	case s.Number != k.Number:
		return &KeyError{Want: k.Number, Got: s.Number}
	case !ed25519.Verify(k.key[:], message, s.value[:]):
		return ErrSignature
	}
	return nil
}

// Fingerprint identifies k: "sha256:" and the digest of its number and key, in
// hexadecimal digits.
func (k PublicKey) Fingerprint() string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256(append(k.Number[:], k.key[:]...)))
}

// Marshal returns k as a .pub file with that comment. It fails only if the comment is
// invalid.
func (k PublicKey) Marshal(comment string) ([]byte, error) {
	b := append([]byte(algorithm), k.Number[:]...)
	return encode(comment, append(b, k.key[:]...))
}

// Signature is a detached signature.
type Signature struct {
	Number  KeyNumber // of the key that verifies it
	Comment string    // for people: signify writes "verify with NAME.pub"
	value   [ed25519.SignatureSize]byte
}

// ParseSignature reads a .sig file (struct sig: algorithm, number, signature).
func ParseSignature(file []byte) (Signature, error) {
	comment, b, err := decode(file, algorithmSize+numberSize+ed25519.SignatureSize)
	if err != nil {
		return Signature{}, err
	}
	return Signature{
		Number:  KeyNumber(b[algorithmSize:]),
		Comment: comment,
		value:   [ed25519.SignatureSize]byte(b[algorithmSize+numberSize:]),
	}, nil
}

// Marshal returns s as a .sig file with that comment. It fails only if the comment is
// invalid.
func (s Signature) Marshal(comment string) ([]byte, error) {
	b := append([]byte(algorithm), s.Number[:]...)
	return encode(comment, append(b, s.value[:]...))
}
