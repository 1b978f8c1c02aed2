package freebsd

import "strings"

// pfLexer splits the text of a pf.conf(5) file into tokens as pfctl(8) does
// (sbin/pfctl/parse.y: lgetc, yylex). It does not validate: text that pfctl rejects
// has tokens too.
type pfLexer struct {
	text   string
	next   int               // offset of the next byte
	unread []pfChar          // chars to read before text, last one first
	macros map[string]string // values by name, also from files read before
}

// pfChar is a byte of the text or of a macro's value.
type pfChar struct {
	c     int // the byte, or pfEOF
	at    int // its offset in the text
	macro bool
}

const pfEOF = -1

// pfToken is a word, a quoted string, a newline, or one other byte.
type pfToken struct {
	kind pfKind
	text string // without quotes
	end  int    // of a newline: the offset behind it
}

type pfKind int

const (
	pfEnd     pfKind = iota // the text ends
	pfCut                   // the text ends inside quotes or a macro's name
	pfNewline               // ends a statement unless braces are open
	pfWord                  // a keyword, a name or a number
	pfQuoted                // a string, never a keyword
	pfMark                  // any other byte
)

// is reports whether t is the bare word or the byte s.
func (t pfToken) is(s string) bool { return (t.kind == pfWord || t.kind == pfMark) && t.text == s }

// isString reports whether t can be a name or a part of a macro's value.
func (t pfToken) isString() bool { return t.kind == pfWord || t.kind == pfQuoted }

// read returns the next char outside quotes. A backslash before a newline joins
// two lines, in comments too; a backslash before another byte is dropped.
func (l *pfLexer) read() pfChar {
	if len(l.unread) > 0 {
		return l.readQuoted()
	}
	c := l.readQuoted()
	for c.c == '\\' {
		if c = l.readQuoted(); c.c != '\n' {
			return c
		}
		c = l.readQuoted()
	}
	return c
}

// readQuoted returns the next char without regard to backslashes.
func (l *pfLexer) readQuoted() pfChar {
	if last := len(l.unread) - 1; last >= 0 {
		c := l.unread[last]
		l.unread = l.unread[:last]
		return c
	}
	if l.next == len(l.text) {
		return pfChar{c: pfEOF, at: l.next}
	}
	l.next++
	return pfChar{c: int(l.text[l.next-1]), at: l.next - 1}
}

// put has read return c again.
func (l *pfLexer) put(c pfChar) { l.unread = append(l.unread, c) }

// token returns the next token. A macro's value is split into tokens in turn. A
// NUL byte is the end of the text: yacc(1) takes token 0 for it.
func (l *pfLexer) token() pfToken {
	for {
		c := l.read()
		for c.c == ' ' || c.c == '\t' {
			c = l.read()
		}
		if c.c == '#' {
			for c.c != '\n' && c.c != pfEOF {
				c = l.read()
			}
		}
		switch {
		case c.c == pfEOF || c.c == 0:
			return pfToken{kind: pfEnd}
		case c.c == '\n':
			return pfToken{kind: pfNewline, end: c.at + 1}
		case c.c == '$' && !c.macro:
			if t := l.expand(); t.kind != pfEnd {
				return t
			}
			continue // with the value
		case c.c == '\'' || c.c == '"':
			return l.quoted(c.c)
		case isAlnum(c.c) || c.c == ':' || c.c == '_':
			return l.word(c)
		case c.c == '-':
			return l.dash(c)
		}
		return pfToken{kind: pfMark, text: string([]byte{byte(c.c)})}
	}
}

// expand reads the name of a macro and puts its value before the text. A macro
// without a value is a mark, and pfctl rejects the line.
func (l *pfLexer) expand() pfToken {
	var name strings.Builder
	c := l.read()
	for isAlnum(c.c) || c.c == '_' {
		name.WriteByte(byte(c.c))
		c = l.read()
	}
	if c.c == pfEOF {
		return pfToken{kind: pfCut}
	}
	l.put(c)
	value, ok := l.macros[name.String()]
	if !ok {
		return pfToken{kind: pfMark, text: "$"}
	}
	for i := len(value) - 1; i >= 0; i-- {
		l.put(pfChar{c: int(value[i]), at: c.at, macro: true})
	}
	return pfToken{kind: pfEnd}
}

// quoted reads the rest of a string, which may span lines.
func (l *pfLexer) quoted(quote int) pfToken {
	var b strings.Builder
	for {
		c := l.readQuoted()
		switch {
		case c.c == pfEOF:
			return pfToken{kind: pfCut}
		case c.c == quote:
			text, _, _ := strings.Cut(b.String(), "\x00")
			return pfToken{kind: pfQuoted, text: text}
		case c.c == '\n':
			continue
		case c.c == '\\':
			switch next := l.readQuoted(); next.c {
			case quote:
				c = next
			case '\n':
				continue
			case pfEOF:
				return pfToken{kind: pfCut}
			default:
				l.put(next)
			}
		}
		b.WriteByte(byte(c.c))
	}
}

// word reads a keyword, a name or a number that begins with c.
func (l *pfLexer) word(c pfChar) pfToken {
	var b strings.Builder
	for isAlnum(c.c) || isPunct(c.c) && !strings.ContainsRune("(){}<>!=/#,", rune(c.c)) {
		b.WriteByte(byte(c.c))
		c = l.read()
	}
	l.put(c)
	return pfToken{kind: pfWord, text: b.String()}
}

// dash reads a negative number, or returns the dash alone.
func (l *pfLexer) dash(c pfChar) pfToken {
	digits := []pfChar{c}
	text := []byte{'-'}
	for c = l.read(); c.c >= '0' && c.c <= '9'; c = l.read() {
		digits, text = append(digits, c), append(text, byte(c.c))
	}
	l.put(c)
	if len(digits) > 1 && (isSpace(c.c) || c.c == pfEOF || strings.ContainsRune("),/}=", rune(c.c))) {
		return pfToken{kind: pfWord, text: string(text)}
	}
	for i := len(digits) - 1; i > 0; i-- {
		l.put(digits[i])
	}
	return pfToken{kind: pfMark, text: "-"}
}

func isAlnum(c int) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isPunct(c int) bool { return c > ' ' && c < 0x7f && !isAlnum(c) }

func isSpace(c int) bool { return c == ' ' || c >= '\t' && c <= '\r' }
