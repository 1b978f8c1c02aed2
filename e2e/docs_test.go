package e2e

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/shoenig/test/must"
)

// page is a document of the project.
type page struct {
	file   string // as seen from the project's root
	blocks []block
	prose  string // without its blocks
	anchor map[string]bool
}

// block is a fenced block of a page.
type block struct {
	file string
	line int
	info []string // the language, and what TestDocs_run does with it
	text string
}

func (b block) language() string { return slices.Concat(b.info, []string{""})[0] }

// pages returns the project's documents.
func pages(t *testing.T) (all []page) {
	t.Helper()
	needSources(t)
	for _, pattern := range []string{"../*.md", "../docs/*.md", "../e2e/*.md"} {
		files, err := filepath.Glob(pattern)
		must.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			must.NoError(t, err)
			all = append(all, parsePage(strings.TrimPrefix(file, "../"), string(text)))
		}
	}
	must.Greater(t, 8, len(all))
	return all
}

func parsePage(file, text string) page {
	p := page{file: file, anchor: map[string]bool{}}
	var open *block
	var prose strings.Builder
	n := 0
	for line := range strings.Lines(text) {
		n++
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case open != nil && isFence:
			p.blocks, open = append(p.blocks, *open), nil
		case open != nil:
			open.text += line
		case isFence:
			open = &block{file: file, line: n, info: strings.Fields(fence)}
		default:
			if title := strings.TrimLeft(line, "#"); title != line {
				p.anchor[anchorOf(title)] = true
			}
			prose.WriteString(line)
		}
	}
	p.prose = prose.String()
	return p
}

// anchorOf returns the anchor that GitHub gives a heading.
func anchorOf(title string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(title))
}

var (
	links = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	spans = regexp.MustCompile("`([^`]+)`")
)

// Each link between documents leads to a file, and to a heading in it.
func TestDocs_links(t *testing.T) {
	all := pages(t)
	anchors := map[string]map[string]bool{}
	for _, p := range all {
		anchors[p.file] = p.anchor
	}
	found := 0
	for _, p := range all {
		for _, m := range links.FindAllStringSubmatch(spans.ReplaceAllString(p.prose, ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			found++
			file, anchor, _ := strings.Cut(m[1], "#")
			target := p.file
			if file != "" {
				target = path.Join(path.Dir(p.file), file)
			}
			if _, err := os.Stat(filepath.Join("..", target)); err != nil {
				t.Errorf("%s: no such file: %s", p.file, m[1])
			} else if anchor != "" && !anchors[target][anchor] {
				t.Errorf("%s: no such heading: %s", p.file, m[1])
			}
		}
	}
	must.Greater(t, 30, found)
}

// Each document can be reached from the README.
func TestDocs_reachable(t *testing.T) {
	all := pages(t)
	reached := map[string]bool{"README.md": true, "CHANGELOG.md": true}
	for range all {
		for _, p := range all {
			if !reached[p.file] {
				continue
			}
			for _, m := range links.FindAllStringSubmatch(p.prose, -1) {
				file, _, _ := strings.Cut(m[1], "#")
				reached[path.Join(path.Dir(p.file), file)] = true
			}
		}
	}
	for _, p := range all {
		if !reached[p.file] {
			t.Errorf("%s: no document has a link to it", p.file)
		}
	}
}

// Code is in fenced blocks that name their language, so that the tests here see it.
func TestDocs_fences(t *testing.T) {
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if !slices.Contains([]string{"sh", "hcl", "json", "text"}, b.language()) {
				t.Errorf("%s:%d: a block of language %q: use sh, hcl, json or text", b.file, b.line, b.language())
			}
		}
		before, list := "", false
		for line := range strings.Lines(p.prose) {
			switch {
			case strings.HasPrefix(line, "- ") || strings.HasPrefix(line, "* "):
				list = true
			case line != "\n" && !strings.HasPrefix(line, " "):
				list = false
			case before == "\n" && strings.HasPrefix(line, "    ") && !list:
				t.Errorf("%s: an indented block: %s", p.file, strings.TrimSpace(line))
			}
			before = line
		}
	}
}

func TestParsePage(t *testing.T) {
	p := parsePage("a.md", "# One `two.three`: four\n\nText.\n\n```sh run\npot ps\n```\nMore.\n")
	must.Eq(t, map[string]bool{"one-twothree-four": true}, p.anchor)
	must.Eq(t, []block{{file: "a.md", line: 5, info: []string{"sh", "run"}, text: "pot ps\n"}}, p.blocks)
	must.Eq(t, "# One `two.three`: four\n\nText.\n\nMore.\n", p.prose)
}
