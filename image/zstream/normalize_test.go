package zstream

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// Normalizations that a dataset may have, as flags.
const (
	formD  = normCanonical
	formC  = normCanonical | normCompose
	formKD = normCompat
	formKC = normCompat | normCompose
)

// What u8_textprep_str of OpenZFS made of these names (module/zfs/u8_textprep.c, built
// and run on Linux).
func TestNormalize(t *testing.T) {
	leak.Check(t)
	marks := func(n int) string { return strings.Repeat("\u0301", n) }
	for name, want := range map[string]struct{ upper, d, c, kd, kc, upperC string }{
		"plain.txt":                 {"PLAIN.TXT", "plain.txt", "plain.txt", "plain.txt", "plain.txt", "PLAIN.TXT"},
		"b\u00efg":                  {"B\u00cfG", "bi\u0308g", "b\u00efg", "bi\u0308g", "b\u00efg", "B\u00cfG"},
		"bi\u0308g":                 {"BI\u0308G", "bi\u0308g", "b\u00efg", "bi\u0308g", "b\u00efg", "B\u00cfG"},
		"stra\u00dfe":               {"STRA\u00dfE", "stra\u00dfe", "stra\u00dfe", "stra\u00dfe", "stra\u00dfe", "STRA\u00dfE"},
		"\ufb01le":                  {"\ufb01LE", "\ufb01le", "\ufb01le", "file", "file", "\ufb01LE"},
		"\u1f80":                    {"\u1f88", "\u03b1\u0313\u0345", "\u1f80", "\u03b1\u0313\u0345", "\u1f80", "\u1f88"},
		"a\u0345":                   {"A\u0399", "a\u0345", "a\u0345", "a\u0345", "a\u0345", "A\u0399"},
		"\uac01":                    {"\uac01", "\u1100\u1161\u11a8", "\uac01", "\u1100\u1161\u11a8", "\uac01", "\uac01"},
		"\u1100\u1161\u11a8":        {"\u1100\u1161\u11a8", "\u1100\u1161\u11a8", "\uac01", "\u1100\u1161\u11a8", "\uac01", "\uac01"},
		"\u212b":                    {"\u212b", "A\u030a", "\u00c5", "A\u030a", "\u00c5", "\u00c5"},
		"e\u0301\u0323":             {"E\u0301\u0323", "e\u0323\u0301", "\u1eb9\u0301", "e\u0323\u0301", "\u1eb9\u0301", "\u1eb8\u0301"},
		"a\u030a\u0301\u0305":       {"A\u030a\u0301\u0305", "a\u030a\u0301\u0305", "\u01fb\u0305", "a\u030a\u0301\u0305", "\u01fb\u0305", "\u01fa\u0305"},
		"\u09c7\u09be":              {"\u09c7\u09be", "\u09c7\u09be", "\u09cb", "\u09c7\u09be", "\u09cb", "\u09cb"},
		"\u0131":                    {"I", "\u0131", "\u0131", "\u0131", "\u0131", "I"},
		"\u0250\u1e9e":              {"\u0250\u1e9e", "\u0250\u1e9e", "\u0250\u1e9e", "\u0250\u1e9e", "\u0250\u1e9e", "\u0250\u1e9e"}, // capitals of later
		"\U00011131\U00011127":      {"\U00011131\U00011127", "\U00011131\U00011127", "\U00011131\U00011127", "\U00011131\U00011127", "\U00011131\U00011127", "\U00011131\U00011127"},
		"x" + marks(40):             {"X" + marks(40), "x" + marks(29) + "\u034f" + marks(11), "x" + marks(29) + "\u034f" + marks(11), "x" + marks(29) + "\u034f" + marks(11), "x" + marks(29) + "\u034f" + marks(11), "X" + marks(29) + "\u034f" + marks(11)},
		strings.Repeat("\u0344", 3): {strings.Repeat("\u0344", 3), strings.Repeat("\u0308\u0301", 3), strings.Repeat("\u0308\u0301", 3), strings.Repeat("\u0308\u0301", 3), strings.Repeat("\u0308\u0301", 3), strings.Repeat("\u0308\u0301", 3)},
	} {
		for flags, want := range map[uint64]string{
			0: name, normUpper: want.upper, formD: want.d, formC: want.c, formKD: want.kd, formKC: want.kc, formC | normUpper: want.upperC,
		} {
			got, err := normalize(name, flags)
			must.NoError(t, err)
			must.Eq(t, want, got, must.Sprintf("%+q by %#x", name, flags))
		}
	}
	for name, want := range map[string]string{"\xc3": "\xc3", "\xe2abz": "\xe2abZ", "a\xffz": "A\xffZ", "\xc3ab": "\xc3aB", "\xe9t\xe9": "\xe9t\xe9"} {
		got, err := normalize(name, normUpper)
		must.NoError(t, err)
		must.Eq(t, want, got)
	}
	got, err := normalize(strings.Repeat("\ufdfa", 7), formKC)
	must.NoError(t, err)
	must.Len(t, 231, []byte(got))
	for name, want := range map[string]string{
		strings.Repeat("\ufdfa", 8): "it is too long when it is normalized", "a\xff": "it is no UTF-8", "a\xe2": "it is no UTF-8", "\xed\xa0\x80": "it is no UTF-8",
	} {
		_, err := normalize(name, formKD)
		must.EqError(t, err, want)
	}
}

// All characters of the planes that have letters, alone and among others: the sums are
// those of what u8_textprep_str made of them. They do not depend on which version of
// Unicode Go has.
func TestNormalize_all(t *testing.T) {
	leak.Check(t)
	sum := func(flags []uint64, name func(c string) string) string {
		h := sha256.New()
		for _, flag := range flags {
			for c := rune(0x80); c < 0x30000; c++ {
				if !utf8.ValidRune(c) {
					continue
				}
				got, err := normalize(name(string(c)), flag)
				must.NoError(t, err)
				io.WriteString(h, got+"\n")
			}
		}
		return hex.EncodeToString(h.Sum(nil))
	}
	must.Eq(t, "84257fab7c23daa3cdfcb43cc2ef7449ddc3edd2bedc038746f5ff8d84de114e",
		sum([]uint64{normUpper, formD, formC, formKD, formKC, formC | normUpper}, func(c string) string { return c }))
	must.Eq(t, "a6304d9cd36cc5ec6ff355a9470fcc64cc30f104fd3aaede207405cd09fd5c61",
		sum([]uint64{formD, formC, formKC | normUpper, formKC}, func(c string) string {
			return "\u1100" + c + "\u0323" + c + "\u0301\u0345" + c
		}))
}

func TestCheckNormalization(t *testing.T) {
	leak.Check(t)
	for _, form := range []uint64{0, formD, formC, formKD, formKC} {
		must.NoError(t, checkNormalization(form))
		must.NoError(t, checkNormalization(form|normUpper))
	}
	for _, flags := range []uint64{1, 4, normCompose, normCanonical | normCompat, normForm, 0x100, 1 << 63} {
		must.EqError(t, checkNormalization(flags), "ZAP: its names are normalized in no way that is known")
	}
}

// setNormalization is a change that gives the directory /etc of dataset m a normalization, and
// its first files those names.
func setNormalization(flags uint64, names ...string) func(e testStream) testStream {
	return func(e testStream) testStream {
		p := e.at(1, drrWrite, etcDir)
		binary.LittleEndian.PutUint64(p.payload[16:], flags)
		for i, name := range names {
			p.setName(i, name)
		}
		return e
	}
}

// A directory whose names are normalized has its names as they were given.
func TestExtract_normalized(t *testing.T) {
	leak.Check(t)
	for _, flags := range []uint64{formD, formC, formKD, formKC, normUpper, formD | normUpper, formC | normUpper, formKC | normUpper} {
		data := setNormalization(flags, "b\u00efg\u1e9e\ufb01")(small(t)).encode()
		dir, _, err := extract(t, data, Options{})
		must.NoError(t, err)
		must.FileExists(t, filepath.Join(dir, "m/etc/b\u00efg\u1e9e\ufb01"))
		_, _, err = copyVerified(t, data, nil)
		must.NoError(t, err, must.Sprint("a kernel is given it"))
	}
	dir, _, err := extract(t, setNormalization(normUpper, "\xe9t\xe9")(small(t)).encode(), Options{})
	must.NoError(t, err)
	must.FileExists(t, filepath.Join(dir, "m/etc/\xe9t\xe9"))
	testRefusals(t, []refusal{
		{"flags that are none", setNormalization(0x30), "ZAP: its names are normalized in no way that is known"},
		{"a name that is no UTF-8", setNormalization(formC, "\xe9t\xe9"), `ZAP: "\xe9t\xe9" cannot be normalized: it is no UTF-8`},
		{"a name that becomes too long", setNormalization(formKC, strings.Repeat("\ufdfa", 16)), "cannot be normalized: it is too long when it is normalized"},
	})
}

// Names that are one when they are normalized are told apart by their numbers.
func TestMicroOrder_normalized(t *testing.T) {
	leak.Check(t)
	for flags, names := range map[uint64][2]string{
		formC: {"b\u00efg", "bi\u0308g"}, formD: {"b\u00efg", "bi\u0308g"}, formKC: {"\ufb01le", "file"}, formKD: {"\u00bd", "1\u20442"},
		normUpper: {"\u00e9t\u00e9", "\u00c9T\u00c9"}, formD | normUpper: {"\u00c9t", "e\u0301T"},
	} {
		m, err := newMzapIndex(binary.LittleEndian.AppendUint64(append(make([]byte, 8), 7, 0, 0, 0, 0, 0, 0, 0), flags), byteOrder{})
		must.NoError(t, err)
		must.NoError(t, m.add([]byte(names[0]), 0))
		must.NoError(t, m.add([]byte(names[1]), 1))
		must.EqError(t, m.add([]byte(names[1]), 0), "ZAP: two names of one hash and one number")
	}
}

func FuzzNormalize(f *testing.F) {
	for _, name := range []string{"b\u00efg", "a\u0345", "\u1100\u1161\u11a8", "e\u0301\u0323", "\u09c7\u09be", strings.Repeat("\u0344", 20), "\xe9"} {
		f.Add(name, uint8(formC|normUpper))
	}
	f.Fuzz(func(t *testing.T, name string, flags uint8) {
		if checkNormalization(uint64(flags)) != nil {
			return
		}
		got, err := normalize(name, uint64(flags))
		if err == nil && uint64(flags) != normUpper && utf8.ValidString(name) {
			must.True(t, utf8.ValidString(got))
		}
	})
}
