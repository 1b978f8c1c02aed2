package freebsd

import (
	"fmt"
	"slices"
	"strings"
)

// pfConf is a pf.conf(5) file, split into parts that together are its text: each
// is a statement with its newline, or a line that is blank or a comment.
type pfConf struct {
	text  string
	parts []pfPart
}

// pfPart is the text from one statement's end to the next one's. It holds more
// than one statement if it includes a file.
type pfPart struct {
	from, to   int
	statements []pfStatement
	end        pfKind // what ends it: pfNewline, or in the last part pfEnd or pfCut
	includes   bool
}

// pfStatement is the first part of a statement, in the file that holds it.
type pfStatement struct {
	words []pfToken
	file  string // "" for the file itself
	line  int    // in file, from 1
}

// pfAnchor is an anchor of the main ruleset.
type pfAnchor struct{ keyword, name string }

// potAnchors are the anchors that hold pot's rules. Others do not serve: pf calls
// the children of an anchor only by a name that ends in "/*", the anchor itself
// only by another name, and "*" alone is an anchor's name like any
// (sys/netpfil/pf: pf_kanchor_setup, pf_step_into_anchor).
var potAnchors = []pfAnchor{{"nat-anchor", natAnchor}, {"rdr-anchor", rdrAnchor + "/*"}}

func (a pfAnchor) line() string { return fmt.Sprintf("%s %q\n", a.keyword, a.name) }

// Bounds on included files and on a macro's value in bytes: as much as a person keeps
// in order. pfctl alone judges text beyond them.
const (
	maxIncludeDepth = 8
	maxIncludes     = 256
	maxMacro        = 64 << 10
)

// pfReader reads pf.conf(5) and what it includes.
type pfReader struct {
	macros  map[string]string
	fixed   map[string]bool          // macros that the command line sets
	include func(path string) string // "" for a file that cannot be read
	files   int                      // included so far
}

// parsePF splits a pf.conf(5) file. defines are the macros of pfctl's option -D,
// which a file cannot change.
func parsePF(text string, defines map[string]string, include func(path string) string) pfConf {
	r := &pfReader{macros: map[string]string{}, fixed: map[string]bool{}, include: include}
	for name, value := range defines {
		r.macros[name], r.fixed[name] = value, true
	}
	return pfConf{text: text, parts: r.read(text, "", 0)}
}

// read splits the text of one file. Statements of included files are in the part
// that includes them, in pfctl's order.
func (r *pfReader) read(text, file string, depth int) []pfPart {
	lexer := &pfLexer{text: text, macros: r.macros}
	var parts []pfPart
	part := pfPart{}
	var words []pfToken
	line, counted := 1, 0
	finish := func() {
		line, counted = line+strings.Count(text[counted:part.from], "\n"), part.from
		if len(words) > 0 {
			part.statements = append(part.statements, pfStatement{words: words, file: file, line: line})
			r.define(words)
			words = nil
		}
	}
	for braces := 0; ; {
		t := lexer.token()
		switch {
		case t.kind == pfEnd || t.kind == pfCut:
			finish()
			part.to, part.end = len(text), t.kind
			if t.kind == pfEnd && braces > 0 {
				part.end = pfCut
			}
			if part.from < part.to {
				parts = append(parts, part)
			}
			return parts
		case t.kind == pfNewline && braces == 0:
			finish()
			part.to, part.end = t.end, pfNewline
			parts = append(parts, part)
			part = pfPart{from: t.end}
			continue
		case t.kind == pfNewline:
			continue
		case t.is("{"):
			braces++
		case t.is("}"):
			braces = max(0, braces-1)
		}
		words = append(words, t)
		if braces == 0 && len(words) == 2 && words[0].is("include") && t.isString() {
			finish()
			part.includes = true
			part.statements = append(part.statements, r.readIncluded(t.text, depth+1)...)
		}
	}
}

// readIncluded returns the statements of a file that is included.
func (r *pfReader) readIncluded(path string, depth int) (all []pfStatement) {
	if r.include == nil || depth > maxIncludeDepth || r.files == maxIncludes {
		return nil
	}
	r.files++
	for _, p := range r.read(r.include(path), path, depth) {
		all = append(all, p.statements...)
	}
	return all
}

// define sets the macro if words are NAME = VALUE (parse.y: varset, symset).
func (r *pfReader) define(words []pfToken) {
	if len(words) < 3 || !words[0].isString() || !words[1].is("=") || r.fixed[words[0].text] {
		return
	}
	var value []string
	for _, w := range words[2:] {
		if !w.isString() {
			return
		}
		value = append(value, w.text)
	}
	if joined := strings.Join(value, " "); len(joined) <= maxMacro {
		r.macros[words[0].text] = joined
	}
}

// isRule reports whether s is a translation or a filter rule: anchors of
// translation cannot come after filter rules, and options, ethernet rules,
// normalization and queues cannot come after anchors (parse.y: check_rulestate).
// Macros, tables, includes and "load anchor" may be anywhere.
func (s pfStatement) isRule() bool {
	first := s.words[0]
	if first.is("no") && len(s.words) > 1 {
		first = s.words[1]
	}
	for _, keyword := range []string{
		"nat", "rdr", "binat", "nat-anchor", "rdr-anchor", "binat-anchor", // translation
		"pass", "block", "match", "anchor", "antispoof", // filtering
	} {
		if first.is(keyword) {
			return true
		}
	}
	return false
}

// anchor returns the translation anchor that s calls, wherever its conditions
// ("on em0") limit it to: they are the operator's choice.
func (s pfStatement) anchor() (pfAnchor, bool) {
	if len(s.words) < 2 || !s.words[0].is("nat-anchor") && !s.words[0].is("rdr-anchor") {
		return pfAnchor{}, false
	}
	var name []string
	for _, w := range s.words[1:] {
		if !w.isString() || w.kind == pfWord && isCondition(w.text) {
			break
		}
		name = append(name, w.text) // pfctl joins several strings to one name
	}
	// A leading slash is the main ruleset's own.
	return pfAnchor{s.words[0].text, strings.TrimLeft(strings.Join(name, " "), "/")}, true
}

// isCondition reports whether word ends the name of a translation anchor (parse.y:
// NATANCHOR string interface af proto fromto rtable).
func isCondition(word string) bool {
	switch word {
	case "on", "inet", "inet6", "proto", "all", "from", "to", "os", "rtable":
		return true
	}
	return false
}

// lacks returns the anchors of pot that the file and its includes do not call.
func (c pfConf) lacks() []pfAnchor {
	called := map[pfAnchor]bool{}
	for _, p := range c.parts {
		for _, s := range p.statements {
			if a, ok := s.anchor(); ok {
				called[a] = true
			}
		}
	}
	var lacks []pfAnchor
	for _, a := range potAnchors {
		if !called[a] {
			lacks = append(lacks, a)
		}
	}
	return lacks
}

// firstRule returns the first translation or filter rule, and the index of the
// part that holds it; without one, the number of parts.
func (c pfConf) firstRule() (int, *pfStatement) {
	for i, p := range c.parts {
		for _, s := range p.statements {
			if s.isRule() {
				return i, &s
			}
		}
	}
	return len(c.parts), nil
}

// withAnchors returns the text with the anchors of pot that it lacks, before
// the first translation or filter rule and the comment above that. A last statement
// without a newline gets one: pfctl rejects rules that lack it.
func (c pfConf) withAnchors() string {
	var lines string
	for _, a := range c.lacks() {
		lines += a.line()
	}
	if lines == "" {
		return c.text
	}
	i, _ := c.firstRule()
	text := c.text
	if n := len(c.parts); n > 0 && c.parts[n-1].end != pfNewline {
		if c.endsInStatement() {
			text += "\n"
		} else {
			i = min(i, n-1)
		}
	}
	for i > 0 && i < len(c.parts) && c.isComment(c.parts[i-1]) {
		i--
	}
	at := len(text)
	if i < len(c.parts) {
		at = c.parts[i].from
	}
	return text[:at] + lines + text[at:]
}

// endsInStatement reports whether the text ends with a statement that only a
// newline completes.
func (c pfConf) endsInStatement() bool {
	last := c.parts[len(c.parts)-1]
	return last.end == pfEnd && len(last.statements) > 0 &&
		!strings.HasSuffix(c.text, `\`) && !strings.Contains(c.text[last.from:], "\x00")
}

// isComment reports whether p is a comment, which may go over several lines.
func (c pfConf) isComment(p pfPart) bool {
	return len(p.statements) == 0 && strings.HasPrefix(strings.TrimLeft(c.text[p.from:p.to], " \t"), "#")
}

// withoutAnchors returns the text without the statements that call pot's anchors,
// in whatever spelling. Included files are the operator's.
func (c pfConf) withoutAnchors() string {
	var b strings.Builder
	for _, p := range c.parts {
		if !p.callsPot() {
			b.WriteString(c.text[p.from:p.to])
		}
	}
	return b.String()
}

// callsPot reports whether p is a statement that calls one of pot's anchors.
func (p pfPart) callsPot() bool {
	if p.includes || len(p.statements) != 1 {
		return false
	}
	a, ok := p.statements[0].anchor()
	return ok && slices.Contains(potAnchors, a)
}
