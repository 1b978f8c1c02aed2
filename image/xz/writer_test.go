package xz_test

import (
	"bytes"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/image/xz"
)

// both calls f with each way to write xz on this machine.
func both(t *testing.T, f func(*testing.T, xz.WriteOptions)) {
	t.Run("in Go", func(t *testing.T) { f(t, xz.WriteOptions{Command: "-", Workers: 3}) })
	t.Run("by xz(1)", func(t *testing.T) {
		_, err := exec.LookPath("xz")
		need.Have(t, "xz", err == nil)
		f(t, xz.WriteOptions{Workers: 1})
	})
}

// written compresses data.
func written(t *testing.T, data []byte, o xz.WriteOptions) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := xz.NewWriter(t.Context(), &out, o)
	must.NoError(t, err)
	_, err = w.Write(data)
	must.NoError(t, err)
	must.NoError(t, w.Close())
	return out.Bytes()
}

func TestNewWriter(t *testing.T) {
	leak.Check(t)
	both(t, func(t *testing.T, o xz.WriteOptions) {
		o.Block = 64 << 10
		r := rand.New(rand.NewSource(2))
		random := make([]byte, 300_000)
		r.Read(random)
		for _, data := range [][]byte{nil, []byte("x"), random[:64<<10], random[:64<<10+1], random, bytes.Repeat([]byte("again and "), 100_000)} {
			out := written(t, data, o)
			back, err := io.ReadAll(xz.NewReader(bytes.NewReader(out)))
			must.NoError(t, err)
			must.True(t, bytes.Equal(data, back))
			checkBlocks(t, out, (len(data)+o.Block-1)/o.Block)
		}
	})
	t.Run("levels have the dictionaries of xz(1)", func(t *testing.T) {
		// xz(1): 256 KiB, 1 MiB and 8 MiB; the .xz file format, section 5.3.1.
		for level, dictionary := range map[int]byte{xz.Level0: 12, 1: 16, 0: 22, 6: 22} {
			for _, command := range []string{"", "-"} {
				out := written(t, make([]byte, 5<<20), xz.WriteOptions{Level: level, Command: command, Workers: 1})
				header := out[12:][:4*(1+int(out[12]))] // its size comes first
				must.True(t, bytes.Contains(header, []byte{0x21, 1, dictionary}), must.Sprintf("level %d of %q: % x", level, command, header))
			}
		}
	})
	t.Run("invalid options are refused", func(t *testing.T) {
		for err, o := range map[string]xz.WriteOptions{
			"xz: level must be 0 to 9, not 10":                     {Level: 10},
			"xz: level must be 0 to 9, not -2":                     {Level: -2},
			"xz: block must be of 65536 to 268435456 bytes, not 1": {Block: 1},
		} {
			_, got := xz.NewWriter(t.Context(), io.Discard, o)
			must.EqError(t, got, err)
		}
	})
}

// checkBlocks checks a file with xz(1), if there is one: the number of blocks, and both sizes
// in their headers.
func checkBlocks(t *testing.T, data []byte, blocks int) {
	t.Helper()
	if _, err := exec.LookPath("xz"); err != nil {
		return
	}
	path := filepath.Join(t.TempDir(), "x.xz")
	must.NoError(t, os.WriteFile(path, data, 0o600))
	out, err := exec.Command("xz", "--test", path).CombinedOutput()
	must.NoError(t, err, must.Sprint(string(out)))
	out, err = exec.Command("xz", "--list", "--robot", "-vv", path).Output()
	must.NoError(t, err)
	n := 0
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		switch fields[0] {
		case "block":
			n++
			must.Eq(t, "cu", fields[12], must.Sprint(line)) // flags of the header: both sizes
		case "stream":
			must.Eq(t, "CRC64", fields[8])
		}
	}
	must.Eq(t, blocks, n)
}
