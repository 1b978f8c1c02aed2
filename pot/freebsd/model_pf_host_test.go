package freebsd

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot/run"
)

func must1[T any](v T, err error) T {
	must0(err)
	return v
}

// pfHost is a host with pfctl(8), and what else its log answers.
type pfHost struct {
	*run.Log
	root  string
	loads error // of pfctl -f FILE
}

// Run implements run.Runner.
func (h *pfHost) Run(ctx context.Context, stdin io.Reader, argv ...string) (string, error) {
	text := ""
	if stdin != nil {
		text = string(must1(io.ReadAll(stdin)))
		stdin = strings.NewReader(text)
	}
	out, err := h.Log.Run(ctx, stdin, argv...)
	if argv[0] != "pfctl" || err != nil {
		return out, err
	}
	if h.loads != nil && argv[1] == "-f" {
		return "", h.loads
	}
	if argv[1] == "-f" {
		text = string(must1(os.ReadFile(argv[2])))
	}
	if argv[1] == "-n" || argv[1] == "-f" {
		if said := pfctlCheck(text, h.root, argv[2:]...); said != "" {
			return "", &run.Error{Argv: argv, Code: 1, Stderr: said}
		}
	}
	return out, nil
}

// pfctlTexts are texts, and what the model of pfctl complains about; the first path of
// the root directory is ROOT. They are whole rules, so that pfctl itself can judge them.
var pfctlTexts = map[string]string{
	"":                                                      "",
	"\n# a comment without a newline":                       "",
	"set block-policy drop\nscrub in\n":                     "",
	"nat-anchor a\nset limit states 9\n":                    "stdin:2: " + pfctlOrder,
	"nat-anchor a\nset timeout interval 10\n":               "stdin:2: " + pfctlOrder,
	"nat-anchor a\nscrub in\n":                              "stdin:2: " + pfctlOrder,
	"nat-anchor a\nno scrub in\n":                           "stdin:2: " + pfctlOrder,
	"nat-anchor a\nqueue b priority 1\n":                    "stdin:2: " + pfctlOrder,
	"nat-anchor a\nether pass\n":                            "stdin:2: " + pfctlOrder,
	"scrub in\nether pass\n":                                "stdin:2: " + pfctlOrder,
	"pass\nrdr-anchor a\n":                                  "stdin:2: " + pfctlOrder,
	"pass\nbinat-anchor a\n":                                "stdin:2: " + pfctlOrder,
	"match in\nnat-anchor a\n":                              "stdin:2: " + pfctlOrder,
	"antispoof for lo0\nno nat on lo0 from any to any\n":    "stdin:2: " + pfctlOrder,
	"pass\nset skip on lo0\n":                               "", // parse.y, option: not checked
	"pass\nset state-policy floating\n":                     "",
	"pass\ntable <a>\na = b\n":                              "",
	"set require-order no\npass\nscrub in\n":                "",
	"pass\nset require-order no\nscrub in\n":                "",
	"pass":                                                  "stdin:1: " + pfctlSyntax,
	"pass\r\n":                                              "stdin:1: " + pfctlSyntax,
	"# a\r\npass\n":                                         "",
	"pasta\n":                                               "stdin:1: " + pfctlSyntax,
	"\"pass\"\n":                                            "stdin:1: " + pfctlSyntax,
	"a = pass\n":                                            "stdin:1: " + pfctlSyntax,
	"# a \\\npass":                                          "", // all of it is the comment
	"pa\\\nss\n":                                            "",
	"pass out \\\n\n":                                       "",
	"a = 'pass in'\n$a on lo0\nscrub in\n":                  "stdin:3: " + pfctlOrder,
	"$a\n":                                                  "stdin:1: macro 'a' not defined\nstdin:1: " + pfctlSyntax,
	"include \"ROOT/rules\"\nscrub in\n":                    "stdin:2: " + pfctlOrder,
	"include \"ROOT/nowhere\"\n":                            "stdin:1: failed to include file ROOT/nowhere",
	"include \"ROOT/rules\"":                                "stdin:1: " + pfctlSyntax, // of the file that was included: no newline ends it
	"anchor a {\n nat-anchor b\n pass\n}\nscrub in\n":       "stdin:5: " + pfctlOrder,
	"anchor a {\n pass\n nat-anchor b\n}\n":                 "stdin:3: " + pfctlOrder,
	"anchor a {\n scrub in\n}\n":                            "stdin:2: " + pfctlSyntax,
	"ether anchor a {\n pass\n}\n":                          "stdin:2: " + pfctlSyntax,
	"table <a> {\n 10.0.0.1 # '}'\n}\npass on {\n lo0\n}\n": "",
	"a = 'x\ny' # isn't\npass label \"# { \\\" \" # \"\nscrub in\n": "stdin:4: " + pfctlOrder,
}

// pfctlRoot is a directory with the file that pfctlTexts include.
func pfctlRoot(t *testing.T) string {
	root := t.TempDir()
	must.NoError(t, os.WriteFile(root+"/rules", []byte("pass"), 0o644)) // without a newline
	return root
}

func TestPfctlModel(t *testing.T) {
	leak.Check(t)
	root := pfctlRoot(t)
	for text, want := range pfctlTexts {
		text = strings.ReplaceAll(text, "ROOT", "")
		must.Eq(t, strings.ReplaceAll(want, "ROOT", ""), pfctlCheck(text, root), must.Sprintf("%q", text))
	}
	must.Eq(t, "", pfctlCheck("pass on $a\n", root, "-D", "a=em0"))
	_, err := newModel(t).Run(t.Context(), strings.NewReader("pass\nnat\n"), "pfctl", "-n", "-f", "-")
	must.True(t, run.Says(err, "stdin:2: "+pfctlOrder))
	_, err = (&pfHost{Log: &run.Log{}, root: root}).Run(t.Context(), strings.NewReader("nat\nscrub\n"), "pfctl", "-n", "-f", "-")
	must.True(t, run.Says(err, "stdin:2: "+pfctlOrder))
}
