package signify_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/image/signify"
)

// FuzzParsePublicKey checks that a key that parses survives being written and parsed
// again.
func FuzzParsePublicKey(f *testing.F) {
	f.Add(vector(f, "plain.pub"))
	f.Add(vector(f, "plain.sec"))
	f.Fuzz(func(t *testing.T, file []byte) {
		k, err := signify.ParsePublicKey(file)
		if err != nil {
			return
		}
		must.LessEq(t, signify.MaxFileBytes, len(file))
		again, err := k.Marshal("x")
		must.NoError(t, err)
		same, err := signify.ParsePublicKey(again)
		must.NoError(t, err)
		same.Comment = k.Comment
		must.Eq(t, k, same)
	})
}

func FuzzParseSignature(f *testing.F) {
	public, err := signify.ParsePublicKey(vector(f, "plain.pub"))
	must.NoError(f, err)
	message, good := vector(f, "message"), vector(f, "message.plain.sig")
	want, err := signify.ParseSignature(good)
	must.NoError(f, err)
	f.Add(good)
	f.Add(vector(f, "message.locked.sig"))
	f.Fuzz(func(t *testing.T, file []byte) {
		s, err := signify.ParseSignature(file)
		if err != nil {
			return
		}
		if public.Verify(message, s) == nil { // only the real signature verifies
			s.Comment = want.Comment
			must.Eq(t, want, s)
		}
		again, err := s.Marshal("x")
		must.NoError(t, err)
		same, err := signify.ParseSignature(again)
		must.NoError(t, err)
		same.Comment = s.Comment
		must.Eq(t, s, same)
	})
}

func FuzzParseSecretKey(f *testing.F) {
	f.Add(vector(f, "plain.sec"))
	f.Add(vector(f, "locked.sec"))
	f.Fuzz(func(t *testing.T, file []byte) {
		k, err := signify.ParseSecretKey(file, nil)
		if err != nil {
			return
		}
		must.NoError(t, k.Public().Verify([]byte("m"), k.Sign([]byte("m"))))
		again, err := k.Marshal("x", nil)
		must.NoError(t, err)
		same, err := signify.ParseSecretKey(again, nil)
		must.NoError(t, err)
		must.Eq(t, k.Public(), same.Public())
	})
}
