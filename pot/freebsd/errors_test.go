package freebsd

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot/run"
)

// Messages of a real FreeBSD are classified.
func TestClassify_real(t *testing.T) {
	leak.Check(t)
	text, err := os.ReadFile("testdata/errors.txt")
	must.NoError(t, err)
	known := map[string]error{"exist": fs.ErrExist, "not exist": fs.ErrNotExist}
	n := 0
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.SplitN(strings.TrimSpace(line), " | ", 3)
		must.Len(t, 3, fields, must.Sprint(line))
		n++
		plain := &run.Error{Argv: []string{fields[0], "x"}, Code: 1, Stderr: strings.ReplaceAll(fields[2], "|", "\n")}
		got := classify(plain)
		for kind, is := range known {
			must.Eq(t, kind == fields[1], errors.Is(got, is), must.Sprint(line, kind))
		}
		must.True(t, errors.As(got, new(*run.Error)))
	}
	must.Eq(t, 10, n)
}

// FreeBSD 15's ifconfig(8) adds what the kernel says to its complaints, which are
// classified alike (lib/libc/gen/err.c, vexterr).
func TestClassify_extended(t *testing.T) {
	leak.Check(t)
	for complaint, kind := range map[string]error{
		"ifconfig: BRDGADD em9: No such file or directory (extended error No such interface)":                  fs.ErrNotExist,
		"ifconfig: ioctl (SIOCDIFADDR): Can't assign requested address (extended error No such address)":       fs.ErrNotExist,
		"ifconfig: BRDGADD em0: Invalid argument (extended error Member interface may not have an IP address)": nil,
	} {
		err := classify(&run.Error{Argv: []string{"ifconfig", "x"}, Code: 1, Stderr: complaint})
		must.Eq(t, kind != nil, errors.Is(err, fs.ErrNotExist), must.Sprint(complaint))
		must.StrHasSuffix(t, complaint, err.Error())
	}
}

// An interface is what `ifconfig -a` of a FreeBSD 14.2 says it is.
func TestParseInterfaces(t *testing.T) {
	leak.Check(t)
	text, err := os.ReadFile("testdata/ifconfig.txt")
	must.NoError(t, err)
	all := parseInterfaces(string(text))
	got := map[string]*iface{}
	for _, i := range all {
		got[i.name] = i
	}
	must.MapContainsKeys(t, got, []string{"vtnet0", "lo0"})
	must.Eq(t, pairs{v4: "epair0a"}, of(all, "web"))
	must.Eq(t, pairs{}, of(all, "we"))
	bridge := got["bridge0"]
	must.NotNil(t, bridge)
	must.True(t, bridge.in("bridge") && bridge.in("pot"))
	must.Eq(t, ourBridges+"public bridge", bridge.description)
	must.Eq(t, []string{of(all, "web").v4}, bridge.members)
}

func FuzzParseInterfaces(f *testing.F) {
	text, err := os.ReadFile("testdata/ifconfig.txt")
	must.NoError(f, err)
	f.Add(string(text))
	f.Add("\tmember:\n")
	f.Add("x: flags=1<\n\tinet 1.2.3.4 netmask 0xg\n\tinet 1.2.3.4/33\n\tinet ::1 netmask 0xff\n")
	f.Add("x: \n\tmember: \n groups:\n")
	f.Fuzz(func(t *testing.T, text string) {
		all := parseInterfaces(text)
		of(all, "web")
		for _, i := range all {
			for _, p := range i.inet {
				must.True(t, p.IsValid())
			}
		}
	})
}

func FuzzParseUsage(f *testing.F) {
	f.Add("cputime=0,datasize=0,memoryuse=1048576,pcpu=124")
	f.Add("")
	f.Fuzz(func(t *testing.T, line string) {
		if _, err := parseUsage(line); err != nil {
			must.StrContains(t, err.Error(), "no number in ")
		}
	})
}
