package signify_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/signify"
)

// passphrase encrypts locked.sec. The keys and signatures in testdata, of a key without
// and one with a passphrase, were made by OpenBSD's signify as Debian packages it
// (version 31).
const passphrase = "correct horse"

// vector returns a file of testdata.
func vector(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	must.NoError(t, err)
	return b
}

// say returns a prompt that answers with words.
func say(words string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(words), nil }
}

func TestVectors(t *testing.T) {
	t.Parallel()
	message := vector(t, "message")
	for _, name := range []string{"plain", "locked"} {
		t.Run(name, func(t *testing.T) {
			public, err := signify.ReadPublicKey(filepath.Join("testdata", name+".pub"))
			must.NoError(t, err)
			file := vector(t, "message."+name+".sig")
			s, err := signify.ParseSignature(file)
			must.NoError(t, err)
			must.NoError(t, public.Verify(message, s))
			must.Eq(t, "verify with "+name+".pub", s.Comment)

			asked := 0
			secret, err := signify.ReadSecretKey(filepath.Join("testdata", name+".sec"), func() ([]byte, error) {
				asked++
				return []byte(passphrase), nil
			})
			must.NoError(t, err)
			must.Eq(t, name == "locked", asked == 1)
			must.Eq(t, name+" secret key", secret.Comment)

			// Ed25519 has one signature of a message by a key: ours is signify's.
			own, err := secret.Sign(message).Marshal(s.Comment)
			must.NoError(t, err)
			must.Eq(t, string(file), string(own))
			pub, err := secret.Public().Marshal(public.Comment)
			must.NoError(t, err)
			must.Eq(t, string(vector(t, name+".pub")), string(pub))
		})
	}
}

func TestPublicKey_Verify(t *testing.T) {
	leak.Check(t)
	public, err := signify.ParsePublicKey(vector(t, "plain.pub"))
	must.NoError(t, err)
	file := vector(t, "message.plain.sig")
	s, err := signify.ParseSignature(file)
	must.NoError(t, err)

	t.Run("a changed message does not verify", func(t *testing.T) {
		message := vector(t, "message")
		for i := range message {
			message[i] ^= 1
			must.ErrorIs(t, public.Verify(message, s), signify.ErrSignature)
			message[i] ^= 1
		}
		must.ErrorIs(t, public.Verify(nil, s), signify.ErrSignature)
		must.NoError(t, public.Verify(message, s))
	})
	t.Run("a signature by another key names both keys", func(t *testing.T) {
		other, err := signify.ParseSignature(vector(t, "message.locked.sig"))
		must.NoError(t, err)
		err = public.Verify(vector(t, "message"), other)
		var wrong *signify.KeyError
		must.True(t, errors.As(err, &wrong))
		must.Eq(t, public.Number, wrong.Want)
		must.EqError(t, err, fmt.Sprintf("signed with key %s, not with %s", other.Number, public.Number))
	})
	t.Run("a signature by another key with this key's number does not verify", func(t *testing.T) {
		forged, err := signify.ParseSignature(vector(t, "message.locked.sig"))
		must.NoError(t, err)
		forged.Number = public.Number
		must.ErrorIs(t, public.Verify(vector(t, "message"), forged), signify.ErrSignature)
	})
}

func TestReadPublicKey(t *testing.T) {
	leak.Check(t)
	_, err := signify.ReadPublicKey("testdata/none.pub")
	must.EqError(t, err, "open testdata/none.pub: no such file or directory")
	_, err = signify.ReadPublicKey("testdata")
	must.EqError(t, err, "testdata: not a regular file")
	_, err = signify.ReadPublicKey("testdata/plain.sec")
	must.EqError(t, err, "testdata/plain.sec: not a signify public key: line 2: 104 bytes in base64, not 42")
	large := filepath.Join(t.TempDir(), "large.pub")
	must.NoError(t, os.WriteFile(large, make([]byte, 1<<20), 0o600))
	_, err = signify.ReadPublicKey(large)
	must.EqError(t, err, large+": not a signify public key: 2048 bytes, more than the 2047 of any key or signature")
}

// TestParsePublicKey_faults checks the message for each kind of damage.
func TestParsePublicKey_faults(t *testing.T) {
	leak.Check(t)
	good := string(vector(t, "plain.pub"))
	comment, key, _ := strings.Cut(good, "\n")
	for name, c := range map[string]struct{ file, want string }{
		"an empty file":      {"", `line 1: must be "untrusted comment: " and a comment`},
		"another comment":    {"trusted comment: a\n" + key, `line 1: must be "untrusted comment: " and a comment`},
		"no comment":         {"untrusted comment: \n" + key, `line 1: must be "untrusted comment: " and a comment`},
		"one line":           {comment, `line 1: must be "untrusted comment: " and a comment`},
		"a long comment":     {comment + strings.Repeat("x", 1024) + "\n" + key, "line 1: comment of 1040 bytes, more than 1023"},
		"NUL in the comment": {comment + "\x00\n" + key, "line 1: NUL in the comment"},
		"no key":             {comment + "\n", "line 2: no newline at the end"},
		"no newline":         {strings.TrimSuffix(good, "\n"), "line 2: no newline at the end"},
		"more after the key": {good + "x", "line 3: unexpected data after the key or signature; embedded messages are not supported"},
		"not base64":         {comment + "\n!" + key[1:], "line 2: not base64"},
		"a broken line":      {comment + "\n" + key[:9] + "\r" + key[9:], "line 2: not base64"},
		"half a key":         {comment + "\n" + key[:28] + "\n", "line 2: 21 bytes in base64, not 42"},
		"another algorithm":  {comment + "\nUl" + key[2:], `line 2: algorithm "RT", not "Ed"`},
		"a large file":       {good + strings.Repeat("\n", 2048), "2141 bytes, more than the 2047 of any key or signature"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := signify.ParsePublicKey([]byte(c.file))
			must.EqError(t, err, c.want)
		})
	}
	for name, file := range map[string]string{
		"lines that end as on Windows": strings.ReplaceAll(good, "\n", "\r\n"),
		"empty lines at the end":       good + "\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			want, err := signify.ParsePublicKey([]byte(good))
			must.NoError(t, err)
			got, err := signify.ParsePublicKey([]byte(file))
			must.NoError(t, err)
			must.Eq(t, want, got)
		})
	}
}
