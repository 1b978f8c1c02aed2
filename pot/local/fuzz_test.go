package local

import (
	"bytes"
	"strings"
	"testing"

	"nomad-driver-pot/image/conf"
)

// A change of a pot.conf changes nothing else, whatever the value and the file, which may have
// come with an image.
func FuzzConfLines(f *testing.F) {
	f.Add([]byte(potConfText), "pot.cmd", "sh -c 'a=b'")
	f.Add([]byte("a=1\n\na = 2\na.b=3"), "a", "")
	f.Add([]byte("a=1\r\nb=2\r\n"), "b", "x\npot.depend=y")
	f.Fuzz(func(t *testing.T, data []byte, key, value string) {
		c, err := conf.ParseLines(data)
		if err != nil || key == "" || key != strings.TrimSpace(key) || strings.ContainsAny(key, "=\n\x00") {
			return
		}
		others := func(c *conf.Lines) (all []string) {
			if err := conf.Each(bytes.NewReader(c.Bytes()), func(k, v string) {
				if k != key {
					all = append(all, k+"="+v)
				}
			}); err != nil {
				t.Fatalf("cannot be read after the change: %v", err)
			}
			return all
		}
		before := strings.Join(others(c), "\n")
		if err := c.Set(key, value); err != nil {
			return
		}
		if after := strings.Join(others(c), "\n"); after != before {
			t.Fatalf("%q became %q", before, after)
		}
		again, err := conf.ParseLines(c.Bytes())
		if err != nil || len(again.Values(key)) != 1 || again.Values(key)[0] != value {
			t.Fatalf("%q is %q, not %q: %v", key, again.Values(key), value, err)
		}
	})
}

// A fscomp.conf that was read and written is read as the same mounts, and no mount loses its
// source or its target.
func FuzzParseFSMounts(f *testing.F) {
	f.Add([]byte("/a /b ro\n\n/opt/pot/jails/x/m/c /d\ntank/x /y zfs-remount\n"))
	f.Add([]byte("/ \n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := conf.ParseFSMounts(data)
		if err != nil {
			return
		}
		again, err := conf.ParseFSMounts(conf.FormatFSMounts(all))
		if err != nil || len(again) != len(all) {
			t.Fatalf("%+v became %+v: %v", all, again, err)
		}
		for i := range all {
			if all[i] != again[i] || all[i].Source == "" || all[i].Target == "" {
				t.Fatalf("%+v became %+v", all[i], again[i])
			}
		}
	})
}
