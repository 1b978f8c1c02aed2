package freebsd

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	needs "nomad-driver-pot/e2e/need"
	"nomad-driver-pot/pot/run"
)

// realPfctl judges text as this machine's pfctl -n -f - does.
func realPfctl(t *testing.T, text string) error {
	_, err := run.Host{}.Run(t.Context(), strings.NewReader(text), "pfctl", "-n", "-f", "-")
	return err
}

func needPfctl(t *testing.T) {
	_, err := os.Stat("/sbin/pfctl")
	needs.Have(t, "pfctl", err == nil)
}

// TestPfctlModel_pfctl holds the model to pfctl itself.
func TestPfctlModel_pfctl(t *testing.T) {
	leak.Check(t)
	needPfctl(t)
	root := pfctlRoot(t)
	for text, want := range pfctlTexts {
		text = strings.ReplaceAll(text, "ROOT", root)
		err := realPfctl(t, text)
		if (err == nil) != (want == "") || strings.Contains(want, pfctlOrder) != run.Says(err, pfctlOrder) {
			t.Errorf("%q: pfctl: %v; the model: %q", text, err, want)
		}
	}
}

// TestAnchors_pfctl has pfctl itself judge what becomes of each host of testdata/pf.
func TestAnchors_pfctl(t *testing.T) {
	leak.Check(t)
	needPfctl(t)
	for _, dir := range pfCases(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			s, _ := pfSetup(t, dir)
			withPF(t, false) // nothing is loaded into this machine's
			s.runner = run.Host{}
			// Included files are where pfctl finds them, and so do we, below s.root.
			must.NoError(t, os.MkdirAll(filepath.Dir(s.root+s.root), 0o755))
			must.NoError(t, os.Symlink(s.root, s.root+s.root))
			here := strings.NewReplacer(`"/etc/`, `"`+s.root+"/etc/", `"etc/`, `"`+s.root[1:]+"/etc/", "vtnet0", "lo0").Replace
			must.NoError(t, filepath.WalkDir(s.root+"/etc", func(path string, e fs.DirEntry, err error) error {
				if err != nil || e.IsDir() {
					return err
				}
				text, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				return os.WriteFile(path, []byte(here(string(text))), 0o644)
			}))
			was, err := readConfFile(s.root + "/etc/pf.conf") // "" if there is none
			must.NoError(t, err)
			if before := realPfctl(t, was); run.Says(before, "altq not defined") {
				t.Skip("needs altq(4) in the kernel: ", before)
			}
			err = s.anchors().make(t.Context())
			if want, missing := os.ReadFile(dir + "/want.error"); missing == nil {
				must.Error(t, err)
				must.StrContains(t, strings.ReplaceAll(err.Error(), s.root, ""), strings.TrimSpace(string(want)))
				return
			}
			must.NoError(t, err)
			want, err := os.ReadFile(dir + "/want.conf")
			must.NoError(t, err)
			must.Eq(t, here(string(want)), pfText(t, s))
			rules, err := s.readPF()
			must.NoError(t, err)
			must.NoError(t, s.judge(t.Context(), rules, rules.conf.withoutAnchors()))
		})
	}
}

// TestAnchors_base adds pot's anchors to every pf.conf(5) of this machine's base
// system: the examples, and what pfctl's own tests read if they are installed.
func TestAnchors_base(t *testing.T) {
	leak.Check(t)
	needPfctl(t)
	var all []string
	for _, pattern := range []string{"/usr/share/examples/pf/*", "/usr/tests/sbin/pfctl/files/*.in"} {
		files, err := filepath.Glob(pattern)
		must.NoError(t, err)
		all = append(all, files...)
	}
	needs.Have(t, "pf.conf examples", len(all) > 0)
	for _, file := range all {
		text, err := readConfFile(file)
		must.NoError(t, err)
		text = strings.ReplaceAll(text, `"./`, `"`+filepath.Dir(file)+"/") // pfctl runs in /
		if err := realPfctl(t, text); err != nil {
			t.Logf("%s: %v", file, err)
			continue
		}
		must.Eq(t, "", pfctlCheck(text, ""), must.Sprint(file))
		conf := parsePF(text, nil, (&setup{}).readIncluded)
		with := conf.withAnchors()
		must.NoError(t, realPfctl(t, with), must.Sprintf("%s:\n%s", file, with))
		must.Eq(t, text, parsePF(with, nil, (&setup{}).readIncluded).withoutAnchors(), must.Sprint(file))
	}
}
