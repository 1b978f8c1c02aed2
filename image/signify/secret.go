package signify

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dchest/bcrypt_pbkdf"
)

// SecretKey signs messages.
type SecretKey struct {
	Number  KeyNumber
	Comment string // for people; nothing protects it
	key     [ed25519.PrivateKeySize]byte
}

// String names the key and shows nothing secret.
func (k SecretKey) String() string { return "secret key " + k.Number.String() }

// GoString is String, so that %#v shows nothing secret either.
func (k SecretKey) GoString() string { return k.String() }

// kdf is bcrypt_pbkdf(3), the only key derivation function: signify.c, KDFALG.
const kdf = "BK"

// Offsets in the secret key on disk: signify.c, struct enckey. The checksum is the
// beginning of SHA-512 of the key.
const (
	kdfAt      = algorithmSize
	roundsAt   = kdfAt + 2 // big endian; 0: not encrypted
	saltAt     = roundsAt + 4
	checksumAt = saltAt + 16
	numberAt   = checksumAt + 8
	keyAt      = numberAt + numberSize
	secretSize = keyAt + ed25519.PrivateKeySize
)

// Rounds of bcrypt_pbkdf(3), of some milliseconds each. signify uses 42. The maximum
// keeps a hostile key file from costing hours.
const (
	rounds    = 42
	maxRounds = 1000
)

// maxPassphrase is the largest length of a passphrase in bytes: the buffer's in signify.c,
// kdf.
const maxPassphrase = 1023

// Reasons why a secret key cannot be used.
var (
	ErrEncrypted  = errors.New("encrypted, and no passphrase was given")
	ErrPassphrase = errors.New("incorrect passphrase")
)

// ParseSecretKey reads a .sec file. If the key is encrypted, it calls passphrase and
// overwrites the result after use. It returns ErrEncrypted if passphrase is nil then,
// and ErrPassphrase if the passphrase is wrong.
func ParseSecretKey(file []byte, passphrase func() ([]byte, error)) (SecretKey, error) {
	comment, b, err := decode(file, secretSize)
	if err != nil {
		return SecretKey{}, err
	}
	defer clear(b)
	if got := string(b[kdfAt:roundsAt]); got != kdf {
		return SecretKey{}, fmt.Errorf("line 2: encrypted by %q, not by %q", got, kdf)
	}
	k := SecretKey{Number: KeyNumber(b[numberAt:]), Comment: comment, key: [ed25519.PrivateKeySize]byte(b[keyAt:])}
	n := binary.BigEndian.Uint32(b[roundsAt:])
	switch {
	case n > maxRounds:
		return SecretKey{}, fmt.Errorf("line 2: %d rounds of encryption, more than %d", n, maxRounds)
	case n > 0 && passphrase == nil:
		return SecretKey{}, ErrEncrypted
	case n > 0:
		words, err := passphrase()
		if err != nil {
			return SecretKey{}, fmt.Errorf("passphrase: %w", err)
		}
		defer clear(words)
		if err := k.encrypt(words, b[saltAt:checksumAt], int(n)); err != nil {
			return SecretKey{}, err
		}
	}
	return k, k.verifyChecksum(b[checksumAt:numberAt], n > 0)
}

// verifyChecksum returns an error unless k matches its checksum and its halves belong
// together. A wrong passphrase is the likely cause if the key was encrypted.
func (k SecretKey) verifyChecksum(checksum []byte, encrypted bool) error {
	sum := sha512.Sum512(k.key[:])
	switch {
	case subtle.ConstantTimeCompare(sum[:len(checksum)], checksum) == 1:
	case encrypted:
		return ErrPassphrase
	default:
		return errors.New("line 2: the key does not match its checksum")
	}
	// A key with a foreign public half would give away its secret half when it signs.
	own := ed25519.NewKeyFromSeed(k.key[:ed25519.SeedSize])
	if subtle.ConstantTimeCompare(own, k.key[:]) != 1 {
		return errors.New("line 2: the two halves of the key do not belong together")
	}
	return nil
}

// encrypt encrypts the key, or decrypts it: it is an exclusive or.
func (k *SecretKey) encrypt(passphrase, salt []byte, rounds int) error {
	if len(passphrase) == 0 || len(passphrase) > maxPassphrase {
		return fmt.Errorf("passphrase: must have from 1 to %d bytes, not %d", maxPassphrase, len(passphrase))
	}
	mask, err := bcrypt_pbkdf.Key(passphrase, salt, rounds, len(k.key))
	if err != nil {
		return err
	}
	defer clear(mask)
	subtle.XORBytes(k.key[:], k.key[:], mask)
	return nil
}

// ReadSecretKey is ParseSecretKey for the .sec file name. Its errors begin with name.
func ReadSecretKey(name string, passphrase func() ([]byte, error)) (SecretKey, error) {
	b, err := readFile(name)
	if err != nil {
		return SecretKey{}, err
	}
	defer clear(b)
	k, err := ParseSecretKey(b, passphrase)
	switch {
	case errors.Is(err, ErrEncrypted), errors.Is(err, ErrPassphrase):
		return SecretKey{}, fmt.Errorf("%s: %w", name, err)
	case err != nil:
		return SecretKey{}, fmt.Errorf("%s: not a signify secret key: %w", name, err)
	}
	return k, nil
}

// NewKey generates a key and its number.
func NewKey() (SecretKey, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return SecretKey{}, err
	}
	defer clear(key)
	k := SecretKey{key: [ed25519.PrivateKeySize]byte(key)}
	rand.Read(k.Number[:]) // never fails
	return k, nil
}

// Public returns the public key of k.
func (k SecretKey) Public() PublicKey {
	return PublicKey{Number: k.Number, key: [ed25519.PublicKeySize]byte(k.key[ed25519.SeedSize:])}
}

// Sign signs message. It is deterministic.
func (k SecretKey) Sign(message []byte) Signature {
	value := ed25519.Sign(k.key[:], message)
	return Signature{Number: k.Number, value: [ed25519.SignatureSize]byte(value)}
}

// Marshal returns k as a .sec file with that comment, encrypted unless passphrase is
// nil. It fails only if the comment or the passphrase is invalid.
func (k SecretKey) Marshal(comment string, passphrase []byte) ([]byte, error) {
	b := make([]byte, secretSize)
	defer clear(b)
	copy(b, algorithm+kdf)
	rand.Read(b[saltAt:checksumAt])
	sum := sha512.Sum512(k.key[:])
	copy(b[checksumAt:numberAt], sum[:])
	copy(b[numberAt:], k.Number[:])
	if passphrase != nil {
		binary.BigEndian.PutUint32(b[roundsAt:], rounds)
		if err := k.encrypt(passphrase, b[saltAt:checksumAt], rounds); err != nil {
			return nil, err
		}
	}
	copy(b[keyAt:], k.key[:])
	return encode(comment, b)
}
