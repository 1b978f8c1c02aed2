package imagetest

import (
	"bytes"
	"os/exec"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
)

func TestXZ(t *testing.T) {
	leak.Check(t)
	xz, err := exec.LookPath("xz")
	need.Have(t, "xz", err == nil)
	for _, n := range []int{0, 1, 2, 3, 4, 65535, 65536, 65537, 300000} {
		data := bytes.Repeat([]byte{'x'}, n)
		cmd := exec.CommandContext(t.Context(), xz, "-dc")
		cmd.Stdin = bytes.NewReader(XZ(data))
		got, err := cmd.Output()
		must.NoError(t, err, must.Sprintf("%d bytes", n))
		must.True(t, bytes.Equal(data, got), must.Sprintf("%d bytes", n))
	}
}

func TestHello(t *testing.T) {
	leak.Check(t)
	must.Eq(t, string(Hello(".skein")), string(Skein(Hello(""), Hello(".meta"))))
	must.Eq(t, NoMeta, string(Hello(".meta")))
}

func TestDatasets_Receive(t *testing.T) {
	leak.Check(t)
	d := NewDatasets()
	must.NoError(t, d.Receive(t.Context(), "a", bytes.NewReader(Stream("x"))))
	must.EqError(t, d.Receive(t.Context(), "b", bytes.NewReader([]byte("x"))),
		"zfs receive: invalid stream (bad magic number)")
	must.Eq(t, []string{"a"}, d.Names())
	must.Eq(t, 1, d.Received())
}
