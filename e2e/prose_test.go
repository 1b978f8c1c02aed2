package e2e

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// phrase is a regular expression, which matches whole words, and the usual words for it.
type phrase struct {
	pattern string
	instead string
}

// phrases are refused in comments and in messages.
var phrases = []phrase{
	{`tells? whether`, "reports whether"},
	{`(?:is|are|was|were) had`, "is pulled, is fetched"},
	{`t(?:ake|akes|aken|aking|ook) (?:\w+ )?away`, "removes, destroys"},
	{`(?:is|are|was|were|be) passed over`, "is ignored, is skipped"},
	{`(?:is|are) no error`, "returns nil if"},
	{`One (?:that|who|whose)`, "a noun"},
	{`(?:^|[.:;] )Those (?:that|who|whose|with)`, "a noun"},
	{`(?:^|[.:;] )What (?:is|are|was|were|has|have)`, "a noun"},
	{`(?:^|[.:;] |(?:to|for|by|of|from|with|and|if|when|as) )[Ww]ho`, "the caller, the server, the reader"},
	{`[Tt](?:hose|hat) of`, "the ... of"},
	{`(?:is|are|was|were) of(?: (?:[^tv]|t[^y]|v[^e])\S*|\W*$)`, "belongs to, is from, is for"}, // but "is of type", "of version"
	{`(?:is|are) to be`, "must be, will be"},
	{`is (?:\w+\.)?[A-Z]\w*'s(?:\.|$)`, "implements X.Y"},
	{`(?:is|are) there already`, "already exists"},
	{`less than nothing`, "negative"},
	{`can be meant`, "are mutually exclusive"},
	{`no more to say`, "ignored; kept for compatibility"},
	{`who asks`, "the caller, the server, the reader"},
	{`heed(?:s|ed)?`, "handle, ignore"},
	{`settle[sd]?`, "finish"},
	{`(?:goes|go|went) on`, "continues, survives"},
}

// messagePhrases are refused in messages alone: strings of more than one word.
var messagePhrases = []phrase{
	{`lstat|openat|ParseAddr|ParsePrefix`, "what the user asked for"},
	{`no (?:pot|image|bridge|flavour|snapshot|command|network|dataset|file|directory|hook|attribute)s? (?:named |called )?%[sqv]`, "no such pot: web"},
	{`%[sqv]: no such \w+$`, "no such pot: web"},
	{`taken off`, "stripped, removed"},
	{`found again`, "reattached"},
	{`no more$`, "remove"},
	{`not understood`, "usage error"},
	{`[Ss]ay what`, "list, show"},
}

// found is a refused phrase.
type found struct {
	at, text string
	message  bool // in a message, not in a comment
}

// TestProse keeps comments and messages in the usual words of Go, Nomad and FreeBSD.
func TestProse(t *testing.T) {
	needSources(t)
	for _, f := range findPhrases(t, "..") {
		kind := "comment"
		if f.message {
			kind = "message"
		}
		t.Errorf("%s: %s: %s", f.at, kind, f.text)
	}
}

// findPhrases returns the refused phrases in the Go files below dir, sorted by file.
// Tests and testdata are not searched.
func findPhrases(t *testing.T, dir string) (all []found) {
	t.Helper()
	inMessages := slices.Concat(phrases, messagePhrases)
	compiled := compile(inMessages)
	must.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == ".git") {
			return fs.SkipDir
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		search := func(message bool, lines []string, pos token.Pos, list []phrase) {
			match(lines, list, compiled[:len(list)], func(line int, text string) {
				all = append(all, found{fmt.Sprintf("%s:%d", filepath.ToSlash(rel), files.Position(pos).Line+line), text, message})
			})
		}
		for _, group := range file.Comments {
			search(false, commentLines(group), group.Pos(), phrases)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ImportSpec:
				return false
			case *ast.Field:
				n.Tag = nil
			case *ast.BasicLit:
				text, err := strconv.Unquote(n.Value)
				if n.Kind == token.STRING && err == nil && strings.Contains(text, " ") {
					search(true, strings.Split(text, "\n"), n.Pos(), inMessages)
				}
			}
			return true
		})
		return nil
	}))
	return all
}

func compile(list []phrase) (compiled []*regexp.Regexp) {
	for _, p := range list {
		// A phrase may begin or end with "%s" or a full stop, where there is no \b.
		compiled = append(compiled, regexp.MustCompile(`(?:^|\b|\s)(`+p.pattern+`)(?:\b|\W|$)`))
	}
	return compiled
}

// match calls add for each of the phrases in lines, with the line that it begins on.
func match(lines []string, phrases []phrase, compiled []*regexp.Regexp, add func(line int, text string)) {
	var text string
	var ends []int // offsets in text
	for _, line := range lines {
		text = strings.TrimLeft(text+" "+strings.TrimSpace(line), " ")
		ends = append(ends, len(text))
	}
	for i, re := range compiled {
		for _, at := range re.FindAllStringSubmatchIndex(text, -1) {
			line, _ := slices.BinarySearch(ends, at[2]+1)
			add(line, fmt.Sprintf("%q; rather: %s", strings.Trim(text[at[2]:at[3]], " .:;"), phrases[i].instead))
		}
	}
}

// commentLines returns the lines of a comment without their marks.
func commentLines(group *ast.CommentGroup) (lines []string) {
	for _, c := range group.List {
		text := strings.TrimPrefix(strings.TrimPrefix(c.Text, "//"), "/*")
		lines = append(lines, strings.Split(strings.TrimSuffix(text, "*/"), "\n")...)
	}
	return lines
}

func TestProse_finds(t *testing.T) {
	dir := t.TempDir()
	must.NoError(t, os.WriteFile(filepath.Join(dir, "a.go"), []byte(`
// Package a tells
// whether a pot runs. One that runs, who waits and a path that is passed over.
package a

import "fmt"

type t struct {
	A int `+"`x:\"is passed over\"`"+`
}

/* Those of a pot.
It is no error. Errors are of type t, and f is of a pot. */
func f(name string) error {
	fmt.Println("lstat", "nobody tells whether") // takes it away
	return fmt.Errorf(`+"`two lines:\nno pot %s, -f and -g: only one of them can be meant`"+`, name)
}
`), 0o600))
	must.NoError(t, os.WriteFile(filepath.Join(dir, "a_test.go"), []byte("package a // one that tells whether\n"), 0o600))
	var lines []string
	for _, f := range findPhrases(t, dir) {
		text, _, _ := strings.Cut(f.text, ";")
		lines = append(lines, fmt.Sprintln(f.at, f.message, text))
	}
	must.Eq(t, []string{
		"a.go:2 false \"tells whether\"\n",
		"a.go:3 false \"is passed over\"\n",
		"a.go:3 false \"One that\"\n",
		"a.go:13 false \"is no error\"\n",
		"a.go:12 false \"Those of\"\n",
		"a.go:13 false \"is of a\"\n",
		"a.go:15 false \"takes it away\"\n",
		"a.go:15 true \"tells whether\"\n",
		"a.go:17 true \"can be meant\"\n",
		"a.go:17 true \"no pot %s\"\n",
	}, lines)
}
