package freebsd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot/run"
)

// pfCases are hosts in testdata/pf: etc is their /etc, want.conf is /etc/pf.conf
// after pot init, want.error is a part of the error that leaves it as it was.
func pfCases(t testing.TB) []string {
	dirs, err := filepath.Glob("testdata/pf/*")
	must.NoError(t, err)
	must.Greater(t, 20, len(dirs))
	return dirs
}

// pfSetup is the host of a case, in a directory of its own.
func pfSetup(t testing.TB, dir string) (*setup, *pfHost) {
	log := &run.Log{}
	s, _ := newSetup(t, log)
	if _, err := os.Stat(dir + "/etc"); err == nil {
		must.NoError(t, os.Remove(s.root+"/etc"))
		must.NoError(t, os.CopyFS(s.root+"/etc", os.DirFS(dir+"/etc")))
	}
	host := &pfHost{Log: log, root: s.root}
	s.runner = host
	return s, host
}

func TestAnchors(t *testing.T) {
	leak.Check(t)
	for _, dir := range pfCases(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			s, host := pfSetup(t, dir)
			before, err := readConfFile(s.root + "/etc/pf.conf")
			must.NoError(t, err)
			had, err := s.readPF()
			must.NoError(t, err)
			lacked := len(had.conf.lacks())
			if want, err := os.ReadFile(dir + "/want.error"); err == nil {
				plan, make := s.anchors().plan(t.Context()), s.anchors().make(t.Context())
				must.StrContains(t, strings.ReplaceAll(make.Error(), s.root, ""), strings.TrimSpace(string(want)))
				must.EqError(t, plan, make.Error())
				after, err := readConfFile(s.root + "/etc/pf.conf")
				must.NoError(t, err)
				must.Eq(t, before, after)
				must.StrNotContains(t, host.String(), "pfctl -f ")
				return
			}
			want, err := os.ReadFile(dir + "/want.conf")
			must.NoError(t, err)
			have, err := s.anchors().have(t.Context())
			must.NoError(t, err)
			must.Eq(t, lacked == 0, have)
			must.NoError(t, s.anchors().plan(t.Context()))
			must.NoError(t, s.anchors().make(t.Context()))
			after, err := readConfFile(s.root + "/etc/pf.conf")
			must.NoError(t, err)
			must.Eq(t, string(want), after)
			have, err = s.anchors().have(t.Context())
			must.NoError(t, err)
			must.True(t, have)
			must.StrContains(t, host.String(), "pfctl -n -f -")

			if lacked < len(potAnchors) {
				return
			}
			if strings.HasPrefix(filepath.Base(dir), "no-newline") && !strings.HasSuffix(after, "# the end") {
				before += "\n"
			}
			rules, err := s.readPF()
			must.NoError(t, err)
			must.Eq(t, before, rules.conf.withoutAnchors())
		})
	}
}

func TestPfConf_withoutAnchors(t *testing.T) {
	leak.Check(t)
	for text, want := range map[string]string{
		"nat-anchor pot-nat\nrdr-anchor \"pot-rdr/*\" # pots\npass":                                 "pass",
		"a = 'pot-nat'\nnat-anchor \\\n $a on em0 \\\n inet\nrdr-anchor \"/pot-rdr/*\" all\npass\n": "a = 'pot-nat'\npass\n",
		"# nat-anchor \"pot-nat\"\nnat-anchor pot-nat x\nnat-anchor \"*\"\nrdr-anchor pot-rdr\n":    "# nat-anchor \"pot-nat\"\nnat-anchor pot-nat x\nnat-anchor \"*\"\nrdr-anchor pot-rdr\n",
		"anchor a {\n nat-anchor pot-nat\n}\n":                                                      "anchor a {\n nat-anchor pot-nat\n}\n",
		"nat-anchor pot-nat":                                                                        "",
		"nat-anchor \"pot-nat":                                                                      "nat-anchor \"pot-nat",
		"a = \"\nnat-anchor pot-nat\n\"\n":                                                          "a = \"\nnat-anchor pot-nat\n\"\n",
		"# \\\nnat-anchor pot-nat\n":                                                                "# \\\nnat-anchor pot-nat\n",
	} {
		must.Eq(t, want, parsePF(text, nil, nil).withoutAnchors(), must.Sprintf("%q", text))
	}
}

func TestParsePF_includes(t *testing.T) {
	leak.Check(t)
	read := 0
	include := func(string) string { read++; return "include '/a'\ninclude '/a'\ninclude '/a'\npass\n" }
	conf := parsePF("set skip on lo0\ninclude \"/a\"\nblock\n", nil, include)
	must.Eq(t, maxIncludes, read) // of more than 3 to the power of 7
	at, first := conf.firstRule()
	must.Eq(t, 1, at)
	must.Eq(t, "/a", first.file)
	must.Eq(t, 4, first.line)
}

// TestPfLexer holds the lexer to parse.y where text of the fuzz test seldom goes.
func TestPfLexer(t *testing.T) {
	leak.Check(t)
	macros := map[string]string{"m": "a b", "empty": "", "quoted": `"x y" $m`}
	for text, want := range map[string]string{
		"pass in on $m:0":       "pass in on a b:0",
		"a$m":                   "a$m",
		"$empty$empty pass":     "pass",
		"$quoted ":              "'x y' $ m",
		"$none ":                "$",
		"$m":                    "",
		"->-5 -5a -":            "- > -5 - 5a -",
		"10.0.0.0/8 80:90":      "10.0.0.0 / 8 80:90",
		"isn't":                 "isn't",
		`"isn't" 'a \' "'`:      `'isn't' 'a ' "'`,
		`"a\b" \p\a\s\s`:        `'a\b' pass`,
		"pa\\\nss # x \\\n y":   "pass",
		"pass\x00 no":           "pass",
		"nat-anchor{a}(b)!c=d,": "nat-anchor { a } ( b ) ! c = d ,",
	} {
		l := &pfLexer{text: text, macros: macros}
		var got []string
		for {
			token := l.token()
			if token.kind == pfEnd || token.kind == pfCut {
				break
			}
			if token.kind == pfQuoted {
				token.text = "'" + token.text + "'"
			}
			got = append(got, token.text)
		}
		must.Eq(t, want, strings.Join(got, " "), must.Sprintf("%q", text))
	}
}

// FuzzPfConf checks that text which pfctl accepts is accepted with pot's anchors,
// that anchors are added once, and that no byte of the text is lost or changed.
func FuzzPfConf(f *testing.F) {
	for _, dir := range pfCases(f) {
		text, _ := readConfFile(dir + "/etc/pf.conf")
		f.Add(text)
	}
	for _, text := range []string{
		"$", "\\", "pass \\", "a = \"", "table <a> {\n", "}\n{\npass\n}\n", "include \"/rules\" pass\nscrub in\n", "include \"/rules\"", "pass\x00\n",
		"a=\"pass\"\n$a$a\n", "a='{'\n$a\nb='}'\n$b\n", "# x \\\n", "-\n", "pass\\\n\\\n", " \\\n# x\npass",
	} {
		f.Add(text)
	}
	root := f.TempDir()
	must.NoError(f, os.WriteFile(root+"/rules", []byte("x = \"in\"\npass $x"), 0o644))
	include := func(path string) string {
		text, _ := readConfFile(root + filepath.Join("/", path))
		return text
	}
	f.Fuzz(func(t *testing.T, text string) {
		conf := parsePF(text, nil, include)
		parts := ""
		for _, p := range conf.parts {
			parts += text[p.from:p.to]
		}
		must.Eq(t, text, parts)
		with := conf.withAnchors()
		again := parsePF(with, nil, include)
		must.SliceEmpty(t, again.lacks())
		must.Eq(t, with, again.withAnchors())
		if len(conf.lacks()) == len(potAnchors) {
			if without := again.withoutAnchors(); without != text {
				must.Eq(t, text+"\n", without)
				must.True(t, conf.endsInStatement())
			}
		}
		if pfctlCheck(text, root) == "" {
			must.Eq(t, "", pfctlCheck(with, root), must.Sprintf("%q", with))
		}
	})
}
