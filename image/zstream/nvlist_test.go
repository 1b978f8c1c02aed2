package zstream

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// rawPair is a pair of a list with a value as it stands there, of any type and number.
// Its size is that of all of it and of what hides behind.
func rawPair(name string, dataType, count uint32, value, hidden []byte) []byte {
	be := binary.BigEndian
	body := be.AppendUint32(be.AppendUint32(xdrBytes([]byte(name)), dataType), count)
	body = slices.Concat(body, value, hidden)
	return append(be.AppendUint32(be.AppendUint32(nil, uint32(len(body)+8)), 64), body...)
}

// rawList is a packed list of those pairs.
func rawList(flags uint32, pairs ...[]byte) []byte {
	out := binary.BigEndian.AppendUint32([]byte{1, 1, 0, 0, 0, 0, 0, 0}, flags)
	return append(append(out, slices.Concat(pairs...)...), make([]byte, 8)...)
}

// ints is numbers of 4 bytes.
func ints(all ...uint32) (out []byte) {
	for _, n := range all {
		out = binary.BigEndian.AppendUint32(out, n)
	}
	return out
}

// ambiguousLists are lists that another reader reads another way, or not at all.
func ambiguousLists() map[string][]byte {
	inner := rawList(1, rawPair("x", nvUint64, 1, ints(0, 1), nil))[4:]
	twice := rawList(1, rawPair("x", nvUint64, 1, ints(0, 1), nil), rawPair("x", nvUint64, 1, ints(0, 2), nil))[4:]
	hidden := rawPair("fss", nvUint64, 1, ints(0, 1), nil)
	return map[string][]byte{
		`list: "a" has 0 values, not 1`:                     rawList(1, rawPair("a", nvUint64, 0, ints(0, 1), nil)),
		`list: "a" has 2 values, not 1`:                     rawList(1, rawPair("a", nvString, 2, ints(0), nil)),
		`list: "a" has 1 values, not 0`:                     rawList(1, rawPair("a", nvBoolean, 1, nil, nil)),
		`list: "a" has 3 values, not 1`:                     rawList(1, rawPair("a", nvList, 3, inner, nil)),
		"list: 2 in an integer of 1 bits":                   rawList(1, rawPair("a", nvBooleanValue, 1, ints(2), nil)),
		"list: 256 in an integer of 8 bits":                 rawList(1, rawPair("a", nvUint8, 1, ints(256), nil)),
		"list: 257 in an integer of 8 bits":                 rawList(1, rawPair("a", nvByte, 1, ints(257), nil)),
		"list: 65536 in an integer of 16 bits":              rawList(1, rawPair("a", nvUint16, 1, ints(65536), nil)),
		"list: 128 in an integer of 8 bits":                 rawList(1, rawPair("a", nvInt8, 1, ints(128), nil)),
		"list: -32769 in an integer of 16 bits":             rawList(1, rawPair("a", nvInt16, 1, ints(1<<32-32769), nil)),
		"list: a value of type 0, which is not known":       rawList(1, rawPair("a", 0, 1, ints(0), nil)),
		"list: a value of type 99, which is not known":      rawList(1, rawPair("a", 99, 1, ints(0), nil)),
		"list: flags 0x0: its names need not differ":        rawList(0, rawPair("a", nvUint64, 1, ints(0, 1), nil)),
		"list: flags 0x8: its names need not differ":        rawList(8),
		"list: an array of 2 elements, and of 3":            rawList(1, rawPair("a", nvUint32Array, 2, ints(3, 1, 2, 3), nil)),
		"list: 4294967295 integers where 8 bytes are left":  rawList(1, rawPair("a", nvUint64Array, 1<<32-1, ints(1<<32-1, 0, 0), nil)),
		`list: a text with NUL in it: "b\x00c"`:             rawList(1, rawPair("a", nvStringArray, 1, xdrBytes([]byte("b\x00c")), nil)),
		`list: a text with NUL in it: "a\x00"`:              rawList(1, rawPair("a\x00", nvBoolean, 0, nil, nil)),
		`list: "a" has 32 bytes too many`:                   rawList(1, rawPair("a", nvUint64Array, 0, nil, hidden)),
		`list: "b" has 32 bytes too many`:                   rawList(1, rawPair("b", nvStringArray, 0, nil, hidden)),
		`list: "c" has 32 bytes too many`:                   rawList(1, rawPair("c", nvHrtime, 1, ints(0, 0), hidden)),
		`list: "d" has 32 bytes too many`:                   rawList(1, rawPair("d", nvListArray, 1, inner, hidden)),
		`list: "a": "x" comes twice`:                        rawList(1, rawPair("a", nvListArray, 2, slices.Concat(inner, twice), nil)),
		`list: "e": "x" comes twice`:                        rawList(1, rawPair("e", nvList, 1, twice, nil)),
		"list: 4 bytes where 0 are left":                    rawList(1, rawPair("a", nvListArray, 1<<32-1, nil, nil)),
		"list: a pair of 32 bytes where 16 are left":        rawList(1, rawPair("a", nvUint64, 1, ints(0, 1), nil))[:36],
		"list: 5 bytes where 4 are left":                    rawList(1, rawPair("a", nvByteArray, 5, ints(0), nil)),
		"list: a pair of 4 bytes where 16 are left":         rawList(1, ints(4, 64), ints(0, 0)),
		"list: a pair of 0 bytes where 16 are left":         rawList(1, ints(0, 64), ints(0, 0)),
		"list: a pair of 4294967295 bytes where 8 are left": rawList(1, ints(1<<32-1, 64)),
		"list: more than 8 within each other":               pack(deepList()),
		`list: "a" has 4 bytes too many`:                    rawList(1, rawPair("a", nvUint64, 1, ints(0, 1), ints(0))),
		"list: 2147483647 bytes where 0 are left":           rawList(1, rawPair("a", nvString, 1, ints(1<<31-1), nil)),
		`list: "fss": "x" comes twice`:                      rawList(1, rawPair("fss", nvListArray, 1, twice, nil)),
		`list: a text with NUL in it: "\x00"`:               rawList(1, rawPair("a", nvString, 1, xdrBytes([]byte{0}), nil)),
		"list: an array of 1 elements, and of 0":            rawList(1, rawPair("a", nvInt8Array, 1, ints(0), nil)),
		"list: 1073741824 integers where 4 bytes are left":  rawList(1, rawPair("a", nvBooleanArray, 1<<30, ints(1<<30, 0), nil)),
	}
}

func TestUnpackList_misread(t *testing.T) {
	leak.Check(t)
	for want, data := range ambiguousLists() {
		l, err := unpackNvlist(data)
		if err == nil {
			if err = l.checkUniqueDeep(); err != nil {
				err = fmt.Errorf("list: %w", err)
			}
		}
		must.EqError(t, err, want)
	}
}

// What nothing here has a use for is read nevertheless, as far as it goes.
func TestUnpackList_arrays(t *testing.T) {
	leak.Check(t)
	inner := rawList(1, rawPair("x", nvUint64, 1, ints(0, 1), nil))[4:]
	l, err := unpackNvlist(rawList(2,
		rawPair("a", nvUint64Array, 2, ints(2, 0, 1, 0, 2), nil), rawPair("b", nvInt16Array, 1, ints(1, 7), nil),
		rawPair("c", nvStringArray, 2, slices.Concat(xdrBytes([]byte("one")), xdrBytes(nil)), nil),
		rawPair("d", nvListArray, 2, slices.Concat(inner, inner), nil), rawPair("e", nvHrtime, 1, ints(0, 1), nil),
		rawPair("f", nvBooleanArray, 0, nil, nil), rawPair("g", nvUint8, 1, ints(255), nil), rawPair("h", nvInt8, 1, ints(1<<32-128), nil),
	))
	must.NoError(t, err)
	must.NoError(t, l.checkUniqueDeep())
	must.Eq(t, uint64(255), l.find("g").(uint64))
	must.Eq(t, int64(-128), l.find("h").(int64))
	must.Eq(t, nvlist{{"x", uint64(1)}}, l.find("d").(opaque).lists[1])
}

// TestExtract_listTypes has values of other types where a name is known.
func TestExtract_listTypes(t *testing.T) {
	leak.Check(t)
	inM := func(change func(m nvlist) nvlist) func(e testStream) testStream {
		return func(e testStream) testStream {
			return editList(t, e, func(l nvlist) nvlist {
				all := l.find("fss").(nvlist)
				all[1].value = change(all[1].value.(nvlist))
				return l
			})
		}
	}
	set := func(name string, value any) func(e testStream) testStream {
		return inM(func(m nvlist) nvlist {
			m = slices.DeleteFunc(m, func(p nvpair) bool { return p.name == name })
			return append(m, nvpair{name, value})
		})
	}
	top := func(name string, value any) func(e testStream) testStream {
		return func(e testStream) testStream {
			return editList(t, e, func(l nvlist) nvlist {
				l = slices.DeleteFunc(l, func(p nvpair) bool { return p.name == name })
				return append(l, nvpair{name, value})
			})
		}
	}
	const m = `list: dataset "zroot/fx/hello-linux/m": `
	testRefusals(t, []refusal{
		{"tosnap as a number", top("tosnap", uint64(1)), `list: "tosnap" has the wrong type`},
		{"fromsnap as a list", top("fromsnap", nvlist{}), `list: "fromsnap" has the wrong type`},
		{"fss as a text", top("fss", "x"), "list: it has no datasets"},
		{"an origin as a text", set("origin", "7"), m + `"origin" has the wrong type`},
		{"an origin that is signed", set("origin", int64(7)), m + `"origin" has the wrong type`},
		{"a parent as a text", set("parentfromsnap", "7"), m + `"parentfromsnap" has the wrong type`},
		{"an encryption root as a number", set("is_encroot", uint64(0)), m + `"is_encroot" has the wrong type`},
		{"properties as a text", set("props", "x"), m + `"props" has the wrong type`},
		{"properties that are bytes", set("props", []byte{1}), m + `"props" has the wrong type`},
		{"snapshots as a number", set("snaps", uint64(1)), m + `"snaps" has the wrong type`},
		{"a GUID as a text", set("snaps", nvlist{{"1795390000", "7"}}), m + `snapshot "1795390000" has no GUID`},
		{"a snapshot of another dataset", set("snaps", nvlist{{"m@1795390000", uint64(7)}}), m + `no name of a snapshot: "m@1795390000"`},
		{"a snapshot without a name", set("snaps", nvlist{{"", uint64(7)}}), m + `no name of a snapshot: ""`},
		{"properties of snapshots as a text", set("snapprops", "x"), m + `"snapprops" has the wrong type`},
		{"properties of a snapshot as a number", set("snapprops", nvlist{{"1795390000", uint64(1)}}), m + `properties of snapshot "1795390000" have the wrong type`},
		{"a property that is a flag", set("props", nvlist{{"atime", nil}}), m + `property "atime" is neither a number nor a text`},
		{"a property that is signed", set("props", nvlist{{"quota", int64(-1)}}), m + `property "quota" is neither a number nor a text`},
		{"a property that is bytes", set("props", nvlist{{"org:note", []byte("x")}}), m + `property "org:note" is neither a number nor a text`},
		{"a value that is a list", set("props", nvlist{{"atime", nvlist{{"value", nvlist{}}}}}), m + `property "atime" is neither a number nor a text`},
		{"a value that is a flag", set("props", nvlist{{"atime", nvlist{{"value", nil}}}}), m + `property "atime" is neither a number nor a text`},
		{"a property of a snapshot that is true", set("snapprops", nvlist{{"1795390000", nvlist{{"org:note", true}}}}), m + `snapshot "1795390000": property "org:note" is neither a number nor a text`},
		{"names twice in what is not known", set("later", nvlist{{"a", uint64(1)}, {"a", uint64(2)}}), `"later": "a" comes twice`},
		{"names twice at the top", top("later", nvlist{{"a", nvlist{{"b", nil}, {"b", nil}}}}), `list: "later": "a": "b" comes twice`},
	})
}
