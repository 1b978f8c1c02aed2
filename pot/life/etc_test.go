package life

import (
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
)

func TestWriteEtc_umask(t *testing.T) {
	leak.Check(t)
	defer syscall.Umask(syscall.Umask(0o077))
	tree := t.TempDir()
	must.NoError(t, writeEtc(tree, &pot.Spec{Name: "web"}, netip.Addr{}))
	for at, want := range map[string]fs.FileMode{"etc": 0o755, "etc/hosts": 0o644} {
		info, err := os.Stat(filepath.Join(tree, at))
		must.NoError(t, err)
		must.Eq(t, want, info.Mode().Perm())
	}
}

func TestResolvConf(t *testing.T) {
	leak.Check(t)
	text, err := resolvConf(pot.DNS{Text: "nameserver 192.0.2.1\n"})
	must.NoError(t, err)
	must.Eq(t, "nameserver 192.0.2.1\n", string(text))
	text, err = resolvConf(pot.DNS{Off: true})
	must.NoError(t, err)
	must.Nil(t, text)
}
