package freebsd

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// pfctlModel judges pf.conf(5) as pfctl -n -f - of FreeBSD 14.2 does, as far as the
// rules of sbin/pfctl/parse.y go that decide where a line may be: how text becomes
// tokens (lgetc, yylex), which newline ends a statement, that the last one needs its
// own (ruleset), the order of statements (check_rulestate), macros (symget) and
// included files (pushfile, popfile). It does not know what each rule may say.
type pfctlModel struct {
	root  string // where absolute paths of included files are
	files []*pfctlFile
	value string // what is left of a macro's value
	again []int  // chars to read again
	// macros are values by name; those of -D are fixed.
	macros, fixed map[string]string

	state    pfctlState
	anyOrder bool // set require-order no
	said     []string
}

type pfctlFile struct {
	name, text string
	at, line   int
}

type pfctlState int

const (
	pfctlNone pfctlState = iota
	pfctlOption
	pfctlEther
	pfctlScrub
	pfctlQueue
	pfctlNAT
	pfctlFilter
)

// states are what statements of a first word need.
var pfctlStates = map[string]pfctlState{
	"set": pfctlOption, "ether": pfctlEther, "scrub": pfctlScrub, "altq": pfctlQueue, "queue": pfctlQueue,
	"nat": pfctlNAT, "rdr": pfctlNAT, "binat": pfctlNAT, "nat-anchor": pfctlNAT, "rdr-anchor": pfctlNAT, "binat-anchor": pfctlNAT,
	"pass": pfctlFilter, "block": pfctlFilter, "match": pfctlFilter, "anchor": pfctlFilter, "antispoof": pfctlFilter,
	"table": pfctlNone, "load": pfctlNone,
}

// anywhere are the options that parse.y does not check the order of.
var pfctlAnywhere = []string{"ruleset-optimization", "hostid", "require-order", "state-policy", "skip", "state-defaults", "keepcounters", "syncookies"}

const (
	pfctlOrder  = "Rules must be in order: options, ethernet, normalization, queueing, translation, filtering"
	pfctlSyntax = "syntax error"
)

// pfctlCheck returns what pfctl -n -f - complains about; nothing if it accepts text.
func pfctlCheck(text, root string, flags ...string) string {
	m := &pfctlModel{root: root, files: []*pfctlFile{{name: "stdin", text: text, line: 1}}, macros: map[string]string{}, fixed: map[string]string{}}
	for i, flag := range flags {
		if flag == "-D" {
			name, value, _ := strings.Cut(flags[i+1], "=")
			m.macros[name], m.fixed[name] = value, value
		}
	}
	for m.statement() {
	}
	return strings.Join(m.said, "\n")
}

func (m *pfctlModel) complain(what string) {
	m.complainAt(m.files[len(m.files)-1].line, what)
}

func (m *pfctlModel) complainAt(line int, what string) {
	f := m.files[len(m.files)-1]
	m.said = append(m.said, fmt.Sprintf("%s:%d: %s", f.name, line, what))
}

// raw is the next byte of the files, -1 at the end of the last.
func (m *pfctlModel) raw() int {
	f := m.files[len(m.files)-1]
	if f.at == len(f.text) {
		return -1
	}
	f.at++
	return int(f.text[f.at-1])
}

func (m *pfctlModel) get(quoted bool) int {
	if m.value != "" {
		c := int(m.value[0])
		m.value = m.value[1:]
		return c
	}
	if n := len(m.again); n > 0 {
		c := m.again[n-1]
		m.again = m.again[:n-1]
		return c
	}
	c := m.raw()
	for !quoted && c == '\\' {
		if c = m.raw(); c != '\n' {
			break
		}
		m.files[len(m.files)-1].line++
		c = m.raw()
	}
	for c == -1 && len(m.files) > 1 && !quoted {
		m.files = m.files[:len(m.files)-1]
		c = m.raw()
	}
	return c
}

func (m *pfctlModel) unget(c int) {
	switch {
	case c == -1:
	case m.value != "":
		m.value = string([]byte{byte(c)}) + m.value
	default:
		m.again = append(m.again, c)
	}
}

// A pfctlToken is "\n", "" at the end of all, a mark, or a word; quoted ones are led
// by a quote, and no mark is a letter.
type pfctlToken string

func (t pfctlToken) name() (string, bool) {
	s := strings.TrimPrefix(string(t), `"`)
	return s, s != string(t) || len(s) > 0 && (isAlnum(int(s[0])) || s[0] == '_' || s[0] == ':')
}

// next is yylex. Macros are not looked for in macros' values.
func (m *pfctlModel) next() pfctlToken {
	inValue := m.value != ""
	c := m.get(false)
	for c == ' ' || c == '\t' {
		inValue = m.value != ""
		c = m.get(false)
	}
	if c == '#' {
		for c != '\n' && c != -1 {
			c = m.get(false)
		}
	}
	switch {
	case c == -1 || c == 0:
		return ""
	case c == '$' && !inValue:
		name := ""
		for c = m.get(false); isAlnum(c) || c == '_'; c = m.get(false) {
			name += string(rune(c))
		}
		if c == -1 {
			return ""
		}
		m.unget(c)
		value, ok := m.macros[name]
		if !ok {
			m.complain("macro '" + name + "' not defined")
			return "\r"
		}
		m.value = value
		return m.next()
	case c == '"' || c == '\'':
		return m.quoted(c)
	}
	if !isAlnum(c) && c != ':' && c != '_' {
		return pfctlToken(string([]byte{byte(c)}))
	}
	word := ""
	for c > ' ' && c < 0x7f && !strings.Contains("(){}<>!=/#,", string(rune(c))) {
		word += string(rune(c))
		c = m.get(false)
	}
	m.unget(c)
	return pfctlToken(word)
}

func (m *pfctlModel) quoted(quote int) pfctlToken {
	b := []byte{'"'}
	for {
		c := m.get(true)
		if c == '\\' {
			next := m.get(true)
			switch {
			case next == quote:
				b = append(b, byte(next))
				continue
			case next == '\n':
				m.files[len(m.files)-1].line++
				continue
			}
			m.unget(next)
		}
		switch c {
		case -1:
			m.complain("reached end of file while parsing quoted string")
			return ""
		case quote:
			text, _, _ := strings.Cut(string(b), "\x00")
			return pfctlToken(text)
		case '\n':
			m.files[len(m.files)-1].line++
		default:
			b = append(b, byte(c))
		}
	}
}

// statement reads one statement, and reports whether there may be another.
func (m *pfctlModel) statement() bool {
	var all []pfctlToken
	var lines []int // of each
	for depth := 0; ; {
		t := m.next()
		all, lines = append(all, t), append(lines, m.files[len(m.files)-1].line)
		switch t {
		case "":
			if len(all) > 1 {
				m.complain(pfctlSyntax)
			}
			return false
		case "{":
			depth++
		case "}":
			depth--
		case "\n":
			if depth <= 0 {
				m.judge(all, lines)
				m.files[len(m.files)-1].line++
				return true
			}
			m.files[len(m.files)-1].line++
		}
		if path, ok := t.name(); ok && len(all) == 2 && all[0] == "include" {
			m.include(path)
			return true
		}
	}
}

// include has the file read next, before what is left of the line. A newline is pushed
// back before it, so that all its lines are counted one too high (parse.y, include).
func (m *pfctlModel) include(path string) {
	text, err := os.ReadFile(m.root + filepath.Join("/", path))
	if err != nil || len(m.files) > 20 {
		m.complain("failed to include file " + path)
		return
	}
	m.files = append(m.files, &pfctlFile{name: path, text: string(text), line: 2})
}

// judge looks at a statement, of which the last token is the newline.
func (m *pfctlModel) judge(all []pfctlToken, lines []int) {
	line := lines[len(all)-1]
	all = all[:len(all)-1]
	if len(all) == 0 {
		return
	}
	braces := 0
	for _, t := range all {
		switch {
		case t == "{":
			braces++
		case t == "}":
			braces--
		}
		if len(t) == 1 && t != "\n" && (t[0] < ' ' || t[0] >= 0x7f) || braces < 0 {
			m.complainAt(line, pfctlSyntax) // such as a carriage return
			return
		}
	}
	first := all[0]
	if name, ok := first.name(); ok && len(all) > 2 && all[1] == "=" && (first[0] == '"' || !slices.Contains([]string{"no", "include"}, name)) {
		m.define(line, name, all[2:])
		return
	}
	if first == "no" && len(all) > 1 {
		first = all[1]
	}
	state, ok := pfctlStates[string(first)]
	switch {
	case !ok:
		m.complainAt(line, pfctlSyntax)
	case first == "set" && len(all) > 1 && slices.Contains(pfctlAnywhere, string(all[1])):
		if all[1] == "require-order" {
			m.anyOrder = len(all) > 2 && all[2] == "no"
		}
	case state != pfctlNone:
		if first == "anchor" || first == "ether" && len(all) > 1 && all[1] == "anchor" {
			m.inner(all, lines)
		}
		m.order(line, state)
	}
}

// order is check_rulestate.
func (m *pfctlModel) order(line int, state pfctlState) {
	if !m.anyOrder && m.state > state {
		m.complainAt(line, pfctlOrder)
		return
	}
	m.state = state
}

// inner judges the rules of an inline anchor, which are parsed before the anchor is
// known to be one (parse.y: pfa_anchor).
func (m *pfctlModel) inner(all []pfctlToken, lines []int) {
	open := slices.Index(all, "{")
	if open < 0 || open+1 >= len(all) || all[open+1] != "\n" {
		return
	}
	within := []string{"pass", "block", "match", "anchor", "nat-anchor", "rdr-anchor", "binat-anchor"}
	if all[0] == "ether" {
		within = []string{"ether"}
	}
	var rule []pfctlToken
	depth := 0
	for i, t := range all[open+1 : len(all)-1] {
		switch t {
		case "{":
			depth++
		case "}":
			depth--
		}
		if rule = append(rule, t); t == "\n" && depth == 0 {
			end := open + 2 + i
			if rule[0] != "\n" && !slices.Contains(within, string(rule[0])) {
				m.complainAt(lines[end-1], pfctlSyntax)
			} else {
				m.judge(rule, lines[end-len(rule):end])
			}
			rule = nil
		}
	}
}

func (m *pfctlModel) define(line int, name string, value []pfctlToken) {
	var words []string
	for _, t := range value {
		word, ok := t.name()
		if _, keyword := pfctlStates[string(t)]; !ok || keyword {
			m.complainAt(line, pfctlSyntax)
			return
		}
		words = append(words, word)
	}
	if _, ok := m.fixed[name]; !ok {
		m.macros[name] = strings.Join(words, " ")
	}
}
