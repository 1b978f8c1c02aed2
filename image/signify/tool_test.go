package signify_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/image/signify"
)

// tool runs signify(1). On Debian another program has that name.
func tool(t testing.TB) func(stdin string, args ...string) (string, error) {
	names := []string{"signify-openbsd"}
	if runtime.GOOS != "linux" {
		names = append(names, "signify")
	}
	var path string
	for _, name := range names {
		if found, err := exec.LookPath(name); err == nil {
			path = found
		}
	}
	need.Have(t, "signify", path != "")
	return func(stdin string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), path, args...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
}

// write writes files to a new directory.
func write(t testing.TB, files map[string][]byte) (path func(string) string) {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		must.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
	return func(name string) string { return filepath.Join(dir, name) }
}

// TestTool_readsOurs checks that signify(1) accepts our keys and signatures, and
// refuses another message.
func TestTool_readsOurs(t *testing.T) {
	t.Parallel()
	run := tool(t)
	for name, words := range map[string][]byte{"without a passphrase": nil, "with a passphrase": []byte(passphrase)} {
		t.Run(name, func(t *testing.T) {
			k, err := signify.NewKey()
			must.NoError(t, err)
			message := []byte("what is signed\n")
			sec, err := k.Marshal("own secret key", words)
			must.NoError(t, err)
			pub, err := k.Public().Marshal("own public key")
			must.NoError(t, err)
			sig, err := k.Sign(message).Marshal("verify with own.pub")
			must.NoError(t, err)
			path := write(t, map[string][]byte{
				"own.sec": sec, "own.pub": pub, "m": message, "m.sig": sig, "other": []byte("not what is signed\n"),
			})

			out, err := run("", "-V", "-p", path("own.pub"), "-m", path("m"))
			must.NoError(t, err, must.Sprint(out))
			must.Eq(t, "Signature Verified\n", out)
			_, err = run("", "-V", "-p", path("own.pub"), "-m", path("other"), "-x", path("m.sig"))
			must.Error(t, err)

			out, err = run(passphrase+"\n", "-S", "-s", path("own.sec"), "-m", path("m"), "-x", path("theirs.sig"))
			must.NoError(t, err, must.Sprint(out))
			theirs, err := os.ReadFile(path("theirs.sig"))
			must.NoError(t, err)
			must.Eq(t, string(sig), string(theirs))
		})
	}
}

// TestTool_madeTheirs checks that we accept the keys and signatures of signify(1).
func TestTool_madeTheirs(t *testing.T) {
	t.Parallel()
	run := tool(t)
	for name, args := range map[string][]string{"without a passphrase": {"-n"}, "with a passphrase": {}} {
		t.Run(name, func(t *testing.T) {
			message := []byte("what is signed\n")
			path := write(t, map[string][]byte{"m": message})
			out, err := run(passphrase+"\n", append([]string{"-G", "-p", path("k.pub"), "-s", path("k.sec")}, args...)...)
			must.NoError(t, err, must.Sprint(out))
			out, err = run(passphrase+"\n", "-S", "-s", path("k.sec"), "-m", path("m"))
			must.NoError(t, err, must.Sprint(out))

			public, err := signify.ReadPublicKey(path("k.pub"))
			must.NoError(t, err)
			file, err := os.ReadFile(path("m.sig"))
			must.NoError(t, err)
			s, err := signify.ParseSignature(file)
			must.NoError(t, err)
			must.NoError(t, public.Verify(message, s))

			secret, err := signify.ReadSecretKey(path("k.sec"), say(passphrase))
			must.NoError(t, err)
			must.Eq(t, s.Number, secret.Number)
			own, err := secret.Sign(message).Marshal(s.Comment)
			must.NoError(t, err)
			must.Eq(t, string(file), string(own))
		})
	}
}

// TestTool_isNoLooser checks that we verify nothing that signify(1) refuses, whatever
// is changed in the signature or the key.
func TestTool_isNoLooser(t *testing.T) {
	t.Parallel()
	run := tool(t)
	message := vector(t, "message")
	pub, sig := vector(t, "plain.pub"), vector(t, "message.plain.sig")
	verifies := func(pub, sig []byte) bool {
		k, err := signify.ParsePublicKey(pub)
		if err != nil {
			return false
		}
		s, err := signify.ParseSignature(sig)
		return err == nil && k.Verify(message, s) == nil
	}
	both := 0
	compare := func(pub, sig []byte) {
		t.Helper()
		path := write(t, map[string][]byte{"k.pub": pub, "m": message, "m.sig": sig})
		out, err := run("", "-V", "-p", path("k.pub"), "-m", path("m"))
		if verifies(pub, sig) {
			must.NoError(t, err, must.Sprintf("%s: signify refuses\n%s\n%s", out, pub, sig))
			both++
		}
	}
	edits := []func([]byte, int) []byte{
		func(b []byte, at int) []byte { b[at] ^= 1; return b },
		func(b []byte, at int) []byte { return append(b[:at], b[at+1:]...) },
		func(b []byte, at int) []byte { return append(b[:at], append([]byte("\r"), b[at:]...)...) },
		func(b []byte, at int) []byte { return append(b[:at], append([]byte("\n"), b[at:]...)...) },
	}
	for _, edit := range edits {
		for at := 0; at < len(pub); at += 7 {
			compare(edit([]byte(string(pub)), at), sig)
		}
		for at := 0; at < len(sig); at += 7 {
			compare(pub, edit([]byte(string(sig)), at))
		}
	}
	compare(pub, sig)
	must.Greater(t, 1, both, must.Sprint("a changed comment still verifies"))
}
