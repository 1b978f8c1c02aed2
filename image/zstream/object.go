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

// storage is where the content of an object is kept.
type storage uint8

const (
	notStored       storage = iota // it has no use: names of foreign owners
	storedInJournal                // it is read again
	storedInFile                   // it is what a file will have
)

// storage is that of objects of a type, if they are no special files.
func (t objectType) storage() storage {
	switch t {
	case typePlainFile:
		return storedInFile
	case typeDirectory, typeMaster, typeSAMaster, typeSARegistry, typeSALayouts, typeACL, typeOldACL, typeUnlinked, typeQuota:
		return storedInJournal
	}
	return notStored
}

// dnode is one object of a dataset. There may be millions.
type dnode struct {
	number    uint64
	bonusAt   int64 // where its bonus begins
	spillAt   int64
	size      int64  // up to the last byte that was written
	blockSize uint32 // bytes
	spillSize uint32 // bytes of attributes, beside those of the bonus
	nameCount uint32 // that the tree has for it by now
	bonusLen  uint16
	typ       objectType
	bonusType objectType
	slots     uint8
	storage   storage
	hasData   bool // something was written to it
}

// objset are those of a dataset in order of their numbers. They are in chunks,
// so that one more never moves all.
type objset struct {
	chunks [][]dnode // none is empty
	count  int64
}

const chunkObjects = 1024

// chunkIndex is the index of the one where number is, or would be.
func (os *objset) chunkIndex(number uint64) int {
	c := sort.Search(len(os.chunks), func(i int) bool { return os.chunks[i][0].number > number })
	return max(c-1, 0)
}

// searchChunk is the index in a chunk of number, or of the first above it.
func searchChunk(chunk []dnode, number uint64) int {
	return sort.Search(len(chunk), func(i int) bool { return chunk[i].number >= number })
}

// add puts in an object of a number that none has.
func (os *objset) add(o dnode) {
	os.count++
	c := os.chunkIndex(o.number)
	if c == len(os.chunks) || c == len(os.chunks)-1 && len(os.chunks[c]) == chunkObjects && o.number > os.chunks[c][chunkObjects-1].number {
		os.chunks = append(os.chunks, append(make([]dnode, 0, chunkObjects), o))
		return
	}
	if full := os.chunks[c]; len(full) == chunkObjects {
		half := append(make([]dnode, 0, chunkObjects), full[chunkObjects/2:]...)
		os.chunks[c] = full[:chunkObjects/2]
		os.chunks = slices.Insert(os.chunks, c+1, half)
		if o.number > half[0].number {
			c++
		}
	}
	os.chunks[c] = slices.Insert(os.chunks[c], searchChunk(os.chunks[c], o.number), o)
}

// lookup is an object that may be there; nil without it.
func (os *objset) lookup(number uint64) *dnode {
	if len(os.chunks) == 0 {
		return nil
	}
	chunk := os.chunks[os.chunkIndex(number)]
	if i := searchChunk(chunk, number); i < len(chunk) && chunk[i].number == number {
		return &chunk[i]
	}
	return nil
}

// lastBefore is the last object whose number is below that one; nil without any.
func (os *objset) lastBefore(number uint64) *dnode {
	if len(os.chunks) == 0 {
		return nil
	}
	chunk := os.chunks[os.chunkIndex(number-1)]
	i := searchChunk(chunk, number)
	if i == 0 {
		return nil
	}
	return &chunk[i-1]
}

// find is an object that must be there.
func (os *objset) find(number uint64) (*dnode, error) {
	if o := os.lookup(number); o != nil {
		return o, nil
	}
	return nil, objectError(number, errors.New("there is none of that number"))
}

// findType is an object that must be there and of that type: what the number of a
// directory leads to is no file's content.
func (os *objset) findType(number uint64, want objectType) (*dnode, error) {
	o, err := os.find(number)
	if err == nil && o.typ != want {
		return nil, objectError(number, fmt.Errorf("it is %v, not %v", o.typ, want))
	}
	return o, err
}

// remove takes away the objects from one number up to another, after f was
// called with each.
func (os *objset) remove(from, to uint64, f func(*dnode) error) error {
	for c := os.chunkIndex(from); c < len(os.chunks) && os.chunks[c][0].number < to; {
		chunk := os.chunks[c]
		first, last := searchChunk(chunk, from), searchChunk(chunk, to)
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
func (os *objset) each(f func(*dnode) error) error {
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
