package zstream

import (
	"errors"
	"fmt"
	"slices"
	"sort"
)

// objectType is dmu_object_type_t (OpenZFS include/sys/dmu.h), which has 8 bits
// in a dnode.
type objectType uint8

// The types that a file system's tree is made of.
const (
	typeACL        objectType = 33 // entries of an access control list, before ZPL version 5
	typeOldACL     objectType = 18 // the same, before version 3
	typeSysACL     objectType = 34 // of a bonus alone: those of objects of typeACL
	typeUnlinked   objectType = 22 // files that are open and have no name
	typeFUIDs      objectType = 35 // domains of foreign owners
	typeFUIDSize   objectType = 36 // of a bonus alone
	typeQuota      objectType = 40
	typeZnode      objectType = 17 // of a bonus alone, before ZPL version 5
	typePlainFile  objectType = 19
	typeDirectory  objectType = 20
	typeMaster     objectType = 21
	typeSA         objectType = 44 // of a bonus alone
	typeSAMaster   objectType = 45
	typeSARegistry objectType = 46
	typeSALayouts  objectType = 47
)

// String names the types that errors are about.
func (t objectType) String() string {
	switch t {
	case typePlainFile:
		return "a file"
	case typeDirectory:
		return "a directory"
	case typeMaster:
		return "a master node"
	case typeSAMaster:
		return "a master node of attributes"
	case typeSARegistry:
		return "a registry of attributes"
	case typeSALayouts:
		return "layouts of attributes"
	case typeUnlinked:
		return "a queue of files to remove"
	case typeQuota:
		return "a list of quotas"
	}
	return fmt.Sprintf("an object of type %d", uint8(t))
}

// home is where the content of an object is kept.
type home uint8

const (
	nowhere   home = iota // it has no use: names of foreign owners
	inJournal             // it is read again
	inFile                // it is what a file will have
)

// home is that of objects of a type, if they are no special files.
func (t objectType) home() home {
	switch t {
	case typePlainFile:
		return inFile
	case typeDirectory, typeMaster, typeSAMaster, typeSARegistry, typeSALayouts, typeACL, typeOldACL, typeUnlinked, typeQuota:
		return inJournal
	}
	return nowhere
}

// staged is one object of a dataset. There may be millions.
type staged struct {
	number    uint64
	attrs     int64 // where its bonus begins
	spillAt   int64
	size      int64  // up to the last byte that was written
	block     uint32 // bytes
	spill     uint32 // bytes of attributes, beside those of the bonus
	names     uint32 // that the tree has for it by now
	bonus     uint16
	typ       objectType
	bonusType objectType
	slots     uint8
	home      home
	data      bool // something was written to it
}

// objects are those of a dataset in order of their numbers. They are in chunks,
// so that one more never moves all.
type objects struct {
	chunks [][]staged // none is empty
	count  int64
}

const chunkObjects = 1024

// chunk is the index of the one where number is, or would be.
func (os *objects) chunk(number uint64) int {
	c := sort.Search(len(os.chunks), func(i int) bool { return os.chunks[i][0].number > number })
	return max(c-1, 0)
}

// place is the index in a chunk of number, or of the first above it.
func place(chunk []staged, number uint64) int {
	return sort.Search(len(chunk), func(i int) bool { return chunk[i].number >= number })
}

// add puts in an object of a number that none has.
func (os *objects) add(o staged) {
	os.count++
	c := os.chunk(o.number)
	if c == len(os.chunks) || c == len(os.chunks)-1 && len(os.chunks[c]) == chunkObjects && o.number > os.chunks[c][chunkObjects-1].number {
		os.chunks = append(os.chunks, append(make([]staged, 0, chunkObjects), o))
		return
	}
	if full := os.chunks[c]; len(full) == chunkObjects {
		half := append(make([]staged, 0, chunkObjects), full[chunkObjects/2:]...)
		os.chunks[c] = full[:chunkObjects/2]
		os.chunks = slices.Insert(os.chunks, c+1, half)
		if o.number > half[0].number {
			c++
		}
	}
	os.chunks[c] = slices.Insert(os.chunks[c], place(os.chunks[c], o.number), o)
}

// lookup is an object that may be there; nil without it.
func (os *objects) lookup(number uint64) *staged {
	if len(os.chunks) == 0 {
		return nil
	}
	chunk := os.chunks[os.chunk(number)]
	if i := place(chunk, number); i < len(chunk) && chunk[i].number == number {
		return &chunk[i]
	}
	return nil
}

// before is the last object whose number is below that one; nil without any.
func (os *objects) before(number uint64) *staged {
	if len(os.chunks) == 0 {
		return nil
	}
	chunk := os.chunks[os.chunk(number-1)]
	i := place(chunk, number)
	if i == 0 {
		return nil
	}
	return &chunk[i-1]
}

// find is an object that must be there.
func (os *objects) find(number uint64) (*staged, error) {
	if o := os.lookup(number); o != nil {
		return o, nil
	}
	return nil, objectError(number, errors.New("there is none of that number"))
}

// ofType is an object that must be there and of that type: what the number of a
// directory leads to is no file's content.
func (os *objects) ofType(number uint64, want objectType) (*staged, error) {
	o, err := os.find(number)
	if err == nil && o.typ != want {
		return nil, objectError(number, fmt.Errorf("it is %v, not %v", o.typ, want))
	}
	return o, err
}

// remove takes away the objects from one number up to another, after f was
// called with each.
func (os *objects) remove(from, to uint64, f func(*staged) error) error {
	for c := os.chunk(from); c < len(os.chunks) && os.chunks[c][0].number < to; {
		chunk := os.chunks[c]
		first, last := place(chunk, from), place(chunk, to)
		for i := first; i < last; i++ {
			if err := f(&chunk[i]); err != nil {
				return err
			}
		}
		os.count -= int64(last - first)
		if os.chunks[c] = slices.Delete(chunk, first, last); len(os.chunks[c]) == 0 {
			os.chunks = slices.Delete(os.chunks, c, c+1)
		} else {
			c++
		}
	}
	return nil
}

// each calls f with all of them.
func (os *objects) each(f func(*staged) error) error {
	for _, chunk := range os.chunks {
		for i := range chunk {
			if err := f(&chunk[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// objectError is err of that object.
func objectError(number uint64, err error) error { return fmt.Errorf("object %d: %w", number, err) }
