package signify_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/signify"
)

func TestParseSecretKey_encrypted(t *testing.T) {
	t.Parallel() // key derivation is slow, above all under the race detector
	locked := vector(t, "locked.sec")
	_, err := signify.ParseSecretKey(locked, nil)
	must.ErrorIs(t, err, signify.ErrEncrypted)
	_, err = signify.ReadSecretKey("testdata/locked.sec", say("wrong horse"))
	must.ErrorIs(t, err, signify.ErrPassphrase)
	must.EqError(t, err, "testdata/locked.sec: incorrect passphrase")
	_, err = signify.ParseSecretKey(locked, say(""))
	must.EqError(t, err, "passphrase: must have from 1 to 1023 bytes, not 0")
	_, err = signify.ParseSecretKey(locked, say(strings.Repeat("x", 1024)))
	must.EqError(t, err, "passphrase: must have from 1 to 1023 bytes, not 1024")
	_, err = signify.ParseSecretKey(locked, func() ([]byte, error) { return nil, io.ErrUnexpectedEOF })
	must.ErrorIs(t, err, io.ErrUnexpectedEOF)

	words := []byte(passphrase)
	_, err = signify.ParseSecretKey(locked, func() ([]byte, error) { return words, nil })
	must.NoError(t, err)
	must.Eq(t, make([]byte, len(passphrase)), words, must.Sprint("the passphrase is overwritten after use"))
}

// changed returns a file of testdata with byte at of its structure xored with x.
func changed(t testing.TB, name string, at int, x byte) []byte {
	t.Helper()
	comment, line, _ := strings.Cut(string(vector(t, name)), "\n")
	b, err := base64.StdEncoding.DecodeString(line)
	must.NoError(t, err)
	b[at] ^= x
	return []byte(comment + "\n" + base64.StdEncoding.EncodeToString(b) + "\n")
}

func TestParseSecretKey_damaged(t *testing.T) {
	leak.Check(t)
	const mismatch = "line 2: the key does not match its checksum"
	for at, want := range map[int]string{
		0:  `line 2: algorithm "Dd", not "Ed"`,
		2:  `line 2: encrypted by "CK", not by "BK"`,
		4:  "line 2: 16777216 rounds of encryption, more than 1000",
		24: mismatch, 40: mismatch, 103: mismatch,
	} {
		_, err := signify.ParseSecretKey(changed(t, "plain.sec", at, 1), nil)
		must.EqError(t, err, want, must.Sprintf("byte %d", at))
	}
}

// A key with the public half of another would sign in two ways, from which the secret
// half can be computed.
func TestParseSecretKey_mixed(t *testing.T) {
	leak.Check(t)
	public, err := signify.NewKey()
	must.NoError(t, err)
	file, err := signify.WithForeignPublicHalf(public).Marshal("mixed", nil)
	must.NoError(t, err)
	_, err = signify.ParseSecretKey(file, nil)
	must.EqError(t, err, "line 2: the two halves of the key do not belong together")
}

func TestReadSecretKey(t *testing.T) {
	leak.Check(t)
	_, err := signify.ReadSecretKey("testdata/none.sec", nil)
	must.EqError(t, err, "open testdata/none.sec: no such file or directory")
	_, err = signify.ReadSecretKey("testdata/locked.sec", nil)
	must.EqError(t, err, "testdata/locked.sec: encrypted, and no passphrase was given")
	_, err = signify.ReadSecretKey("testdata/plain.pub", nil)
	must.EqError(t, err, "testdata/plain.pub: not a signify secret key: line 2: 42 bytes in base64, not 104")
}

func TestNewKey(t *testing.T) {
	t.Parallel()
	k, err := signify.NewKey()
	must.NoError(t, err)
	other, err := signify.NewKey()
	must.NoError(t, err)
	must.NotEq(t, k.Number, other.Number)
	must.NoError(t, k.Public().Verify([]byte("a"), k.Sign([]byte("a"))))
	must.ErrorIs(t, k.Public().Verify([]byte("b"), k.Sign([]byte("a"))), signify.ErrSignature)
	for _, words := range [][]byte{nil, []byte(passphrase)} {
		file, err := k.Marshal("own", words)
		must.NoError(t, err)
		again, err := signify.ParseSecretKey(file, say(passphrase))
		must.NoError(t, err)
		must.Eq(t, k.Public(), again.Public())
		must.Eq(t, k.Sign([]byte("a")), again.Sign([]byte("a")))
	}
	_, err = k.Marshal("own", []byte{})
	must.EqError(t, err, "passphrase: must have from 1 to 1023 bytes, not 0")
}

// TestSecretKey_String checks that no way of printing a key shows it.
func TestSecretKey_String(t *testing.T) {
	leak.Check(t)
	k, err := signify.ReadSecretKey("testdata/plain.sec", nil)
	must.NoError(t, err)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		must.Eq(t, "secret key "+k.Number.String(), fmt.Sprintf(verb, k))
		must.Eq(t, "secret key "+k.Number.String(), fmt.Sprintf(verb, &k))
	}
}

func TestMarshal_comments(t *testing.T) {
	leak.Check(t)
	k, err := signify.NewKey()
	must.NoError(t, err)
	s := k.Sign(nil)
	for comment, want := range map[string]string{
		"":                        "comment: must not be empty",
		"two\nlines":              "comment: must be one line",
		"a\rb":                    "comment: must be one line",
		"a\x00b":                  "comment: must be one line",
		strings.Repeat("x", 1024): "comment: 1024 bytes, more than 1023",
	} {
		_, a := k.Marshal(comment, nil)
		_, b := k.Public().Marshal(comment)
		_, c := s.Marshal(comment)
		for _, err := range []error{a, b, c} {
			must.EqError(t, err, want)
		}
	}
	longest := strings.Repeat("x", 1023)
	file, err := k.Marshal(longest, nil)
	must.NoError(t, err)
	must.LessEq(t, signify.MaxFileBytes, len(file))
	again, err := signify.ParseSecretKey(file, nil)
	must.NoError(t, err)
	must.Eq(t, longest, again.Comment)
	must.False(t, errors.Is(err, signify.ErrEncrypted))
}
