package zstream

import (
	"errors"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// If a dataset's property normalization is not none, or casesensitivity is insensitive
// or mixed, its directories hash what u8_textprep_str makes of a name, not the name
// (OpenZFS module/zfs/u8_textprep.c; zap_impl.c, zap_normalize). This file follows that
// function, character by character, where it differs from Unicode's algorithms (UAX #15).

// Flags of a normalization (include/sys/u8_textprep.h).
const (
	normUpper     = 0x02 // U8_TEXTPREP_TOUPPER
	normCanonical = 0x10 // U8_CANON_DECOMP
	normCompat    = 0x20 // U8_COMPAT_DECOMP
	normCompose   = 0x40 // U8_CANON_COMP

	normForm = normCanonical | normCompat | normCompose
)

// Bounds: on a name that was normalized, ZAP_MAXNAMELEN with the NUL, and on the
// characters of a sequence, U8_UPPER_LIMIT_IN_A_SEQ.
const (
	maxNormalized = 256
	maxSequence   = 31
)

// graphemeJoiner ends a sequence that is too long (UAX #15, Stream-Safe Text Format).
const graphemeJoiner = "\u034f"

// checkNormalization refuses flags that no dataset has: a kernel then normalises nothing
// and uses uninitialised memory as the hash of a name.
func checkNormalization(flags uint64) error {
	form := flags & normForm
	switch {
	case flags&^(normForm|normUpper) != 0,
		form != 0 && form&^normCompose != normCanonical && form&^normCompose != normCompat:
		return errors.New("ZAP: its names are normalized in no way that is known")
	}
	return nil
}

// normalize returns the form of a name that a kernel hashes. It fails where a kernel
// fails.
func normalize(name string, flags uint64) (string, error) {
	if flags&normForm == 0 {
		if flags&normUpper != 0 {
			name = upperName(name)
		}
		return name, nil
	}
	if !utf8.ValidString(name) {
		return "", errors.New("it is no UTF-8")
	}
	n := normalizer{upper: flags&normUpper != 0, compose: flags&normCompose != 0, form: norm.NFD}
	if flags&normCompat != 0 {
		n.form = norm.NFKD
	}
	var out []byte
	for n.rest = name; n.rest != ""; {
		out = append(out, n.sequence()...)
	}
	if len(out) >= maxNormalized {
		return "", errors.New("it is too long when it is normalized")
	}
	return string(out), nil
}

// upperName converts letters to upper case. The first byte of a character gives its
// length, whatever bytes follow.
func upperName(name string) string {
	out := make([]byte, 0, len(name))
	for name != "" {
		size := min(charBytes(name[0]), len(name))
		if r, n := utf8.DecodeRuneInString(name); n == size && r != utf8.RuneError {
			out = utf8.AppendRune(out, upperRune(r))
		} else {
			out = append(out, name[:size]...)
		}
		name = name[size:]
	}
	return string(out)
}

// charBytes is u8_number_of_bytes; a byte that begins no character counts as one
// character.
func charBytes(first byte) int {
	switch {
	case first >= 0xc2 && first < 0xe0:
		return 2
	case first >= 0xe0 && first < 0xf0:
		return 3
	case first >= 0xf0 && first < 0xf5:
		return 4
	}
	return 1
}

// upperRune returns a letter's simple upper case mapping (UnicodeData.txt), or r itself.
func upperRune(r rune) rune {
	switch {
	case 'a' <= r && r <= 'z':
		return r - 'a' + 'A'
	case r >= utf8.RuneSelf && unicode.Is(unicode5, r):
		return unicode.ToUpper(r)
	}
	return r
}

// decompose returns the decomposition of a character, or the character itself if Unicode
// 5.0 has none.
func decompose(form norm.Form, r rune) string {
	if r >= utf8.RuneSelf && unicode.Is(unicode5, r) {
		return form.String(string(r))
	}
	return string(r)
}

// classOf returns the canonical combining class: 0 for a starter.
func classOf(r rune) uint8 {
	if r >= utf8.RuneSelf && unicode.Is(unicode5, r) {
		return norm.NFD.PropertiesString(string(r)).CCC()
	}
	return 0
}

// pair is two characters with a composition.
type pair struct{ first, second string }

// compositions returns all compositions in Unicode 5.0, and the characters that begin
// one. It computes them once: the library exports no table of pairs. Hangul is left out:
// see syllable.
var compositions = sync.OnceValues(func() (all map[pair]string, first map[string]bool) {
	all, first = map[pair]string{}, map[string]bool{}
	visit := func(r rune) {
		parts := []rune(norm.NFD.String(string(r)))
		last := len(parts) - 1
		if isSyllable(r) || last == 0 || norm.NFC.String(string(r)) != string(r) {
			return
		}
		begin := norm.NFC.String(string(parts[:last]))
		all[pair{begin, string(parts[last])}] = string(r)
		first[begin] = true
	}
	for _, r := range unicode5.R16 {
		for c := rune(r.Lo); c <= rune(r.Hi); c += rune(r.Stride) {
			visit(c)
		}
	}
	for _, r := range unicode5.R32 {
		for c := rune(r.Lo); c <= rune(r.Hi); c += rune(r.Stride) {
			visit(c)
		}
	}
	return all, first
})

// Hangul: syllables are made of a leading consonant, a vowel and maybe a trailing
// consonant (Unicode 3.12).
const (
	syllableFirst, syllableLast  = 0xac00, 0xd7a3
	leadingFirst, leadingLast    = 0x1100, 0x1112
	vowelFirst, vowelLast        = 0x1161, 0x1175
	trailingBefore, trailingLast = 0x11a7, 0x11c2
	vowels, trailings            = 21, 28
)

func isSyllable(r rune) bool { return r >= syllableFirst && r <= syllableLast }
func isLeading(r rune) bool  { return r >= leadingFirst && r <= leadingLast }
func isVowel(r rune) bool    { return r >= vowelFirst && r <= vowelLast }
func isTrailing(r rune) bool { return r > trailingBefore && r <= trailingLast }
