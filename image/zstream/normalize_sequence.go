package zstream

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// normalizer normalises a name one sequence at a time: a starter and its marks.
type normalizer struct {
	form           norm.Form // NFD or NFKD
	upper, compose bool
	rest           string // of the name
}

// char is a character of a sequence.
type char struct {
	text  string
	class uint8
}

// state says how a sequence ends so far, and so what can continue it.
type state int

const (
	other state = iota
	mark
	leading  // of a syllable of Hangul: its first part,
	open     // its first two,
	complete // or another of its parts, to which nothing can be added
)

// after returns the state after character r at the beginning of a sequence.
func (s state) after(r rune) state {
	switch {
	case isSyllable(r) && (r-syllableFirst)%trailings == 0:
		return open
	case isLeading(r):
		return leading
	case isSyllable(r), isVowel(r), isTrailing(r):
		return complete
	}
	return other
}

// sequence removes the next sequence from rest and returns it normalised (u8_textprep.c,
// collect_a_seq). Only the first letter of it is converted to upper case.
func (n *normalizer) sequence() string {
	r, size := utf8.DecodeRuneInString(n.rest)
	n.rest = n.rest[size:]
	if n.upper {
		r = upperRune(r)
	}
	all := n.chars(nil, r)
	first, ends := len(all), other.after(r)
	if ends == other && all[first-1].class != 0 {
		ends = mark
	}
	for n.rest != "" && n.rest[0] >= utf8.RuneSelf {
		r, size := utf8.DecodeRuneInString(n.rest)
		more := []char{{text: string(r)}}
		switch {
		case ends == leading && isVowel(r):
			ends = open
		case ends == open && isTrailing(r):
			ends = complete
		case classOf(r) != 0 && (ends == other || ends == mark):
			ends, more = mark, n.chars(nil, r)
		default:
			more = nil
		}
		if more == nil {
			break
		}
		if len(all) >= maxSequence || ends == mark && len(all)+len(more) >= maxSequence {
			all = append(all, char{text: graphemeJoiner})
			break
		}
		n.rest = n.rest[size:]
		if last := &more[len(more)-1]; n.upper && last.text == "\u0345" { // the iota below a letter
			last.text = "\u0399"
		}
		all = append(all, more...)
	}
	if len(all) > first {
		sortMarks(all)
	}
	if n.compose {
		return n.composed(all)
	}
	return textOf(all)
}

// chars appends the decomposition of a character.
func (n *normalizer) chars(all []char, r rune) []char {
	for _, part := range decompose(n.form, r) {
		all = append(all, char{string(part), classOf(part)})
	}
	return all
}

// sortMarks sorts the marks between starters by class, stably.
func sortMarks(all []char) {
	for i := 1; i < len(all); i++ {
		for j := i; j > 0 && all[j].class != 0 && all[j-1].class > all[j].class; j-- {
			all[j], all[j-1] = all[j-1], all[j]
		}
	}
}

func textOf(all []char) string {
	var b strings.Builder
	for _, c := range all {
		b.WriteString(c.text)
	}
	return b.String()
}

// composed composes pairs of characters (do_composition). At the end of the sequence it
// continues with the rest of the name, unnormalised.
func (n *normalizer) composed(all []char) string {
	pairs, starts := compositions()
	var out string
	last := len(all) - 1
	for i := 0; i <= last; {
		switch c := all[i]; {
		case i == last || c.class != 0:
			out, i = out+c.text, i+1
		case isLeading(runeOf(c)) && isVowel(runeOf(all[i+1])):
			var made string
			made, i = syllable(all, i)
			out += made
		case !starts[c.text]:
			out, i = out+c.text, i+1
		default:
			var made string
			made, i = composeStarter(all, i)
			out += made
		}
	}
	if all[last].class != 0 {
		return out
	}
	for n.rest != "" && n.rest[0] >= utf8.RuneSelf {
		at := max(0, len(out)-len(all[last].text))
		_, size := utf8.DecodeRuneInString(n.rest)
		made, ok := pairs[pair{out[at:], n.rest[:size]}]
		if !ok {
			break
		}
		out, n.rest = out[:at]+made, n.rest[size:]
		all[last].text = made
	}
	return out
}

func runeOf(c char) rune {
	r, _ := utf8.DecodeRuneInString(c.text)
	return r
}

// syllable returns the syllable that begins at all[i], and the index behind it.
func syllable(all []char, i int) (string, int) {
	r := syllableFirst + ((runeOf(all[i])-leadingFirst)*vowels+runeOf(all[i+1])-vowelFirst)*trailings
	if i += 2; i < len(all) && isTrailing(runeOf(all[i])) {
		r += runeOf(all[i]) - trailingBefore
		i++
	}
	return string(r), i
}

// composeStarter composes the starter at all[i], which is not the last character, with
// its marks. It returns the result with the remaining marks, and the index behind them.
func composeStarter(all []char, i int) (string, int) {
	pairs, starts := compositions()
	start, made, last := all[i].text, false, len(all)-1
	var left []char
	for {
		i++
		if c, ok := pairs[pair{start, all[i].text}]; ok {
			start, made = c, true
		} else if all[i].class == 0 {
			// The one before is written: the starter, or its only mark.
			if !made {
				return all[i-1].text, i
			}
			return start + all[i-1].text, i
		} else {
			left = append(left, all[i])
		}
		for !made && i < last && blocked(all, i+1) {
			i++
			left = append(left, all[i])
		}
		if i == last || made && !starts[start] {
			return start + textOf(left), i + 1
		}
	}
}

// blocked reports whether a mark before all[i] keeps it from its starter.
func blocked(all []char, i int) bool {
	for _, c := range all[1:i] {
		if c.class == 0 || c.class >= all[i].class {
			return true
		}
	}
	return false
}
