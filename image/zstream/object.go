package zstream

import (
	"errors"
	"fmt"
	"slices"
	"sort"
)

// objectType is dmu_object_type_t (OpenZFS include/sys/dmu.h), of which a dnode holds 8
// bits.
type objectType uint8

// The object types of a file system.
const (
	typeACL        objectType = 33 // entries of an access control list, before ZPL version 5
	typeOldACL     objectType = 18 // the same, before version 3
	typeSysACL     objectType = 34 // of a bonus only: the bonus of typeACL objects
	typeUnlinked   objectType = 22 // the unlinked set: open files without a name
	typeFUIDs      objectType = 35 // FUID table: domains of Windows owners
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

// String describes the type for error messages.
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

// storage says where the stage keeps the content of an object.
type storage uint8

const (
	notStored       storage = iota // content that is not read: FUID tables
	storedInJournal                // content that is parsed later
	storedInFile                   // content of an extracted file
)

// storage returns where content of objects of type t is kept, symbolic links and
// extended attributes aside: see stage.storageOf.
func (t objectType) storage() storage {
	switch t {
	case typePlainFile:
		return storedInFile
	case typeDirectory, typeMaster, typeSAMaster, typeSARegistry, typeSALayouts, typeACL, typeOldACL, typeUnlinked, typeQuota:
		return storedInJournal
	}
	return notStored
}

// dnode is a staged object. There may be millions.
type dnode struct {
	number    uint64
	bonusAt   int64 // offset of its bonus in the journal
	spillAt   int64
	size      int64  // end of the last block written
	blockSize uint32 // bytes
	spillSize uint32 // bytes in the spill block
	nameCount uint32 // names found in directories so far
	bonusLen  uint16
	typ       objectType
	bonusType objectType
	slots     uint8
	storage   storage
	hasData   bool // a block was written to it
}

// objset holds the dnodes of a dataset in order of object number, in chunks so that an
// insertion moves one chunk at most. A pointer to a dnode is valid until the next add or
// remove. The zero value is empty.
type objset struct {
	chunks [][]dnode // none is empty
	count  int64
}

// chunkObjects is the most dnodes in a chunk.
const chunkObjects = 1024

// chunkIndex returns the index of the chunk where number is, or belongs.
func (os *objset) chunkIndex(number uint64) int {
	c := sort.Search(len(os.chunks), func(i int) bool { return os.chunks[i][0].number > number })
	return max(c-1, 0)
}

// searchChunk returns the index in chunk of number, or of the first number above it.
func searchChunk(chunk []dnode, number uint64) int {
	return sort.Search(len(chunk), func(i int) bool { return chunk[i].number >= number })
}

// add inserts a dnode whose number is not in use.
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

// lookup returns the dnode of an object, or nil if there is none.
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

// lastBefore returns the dnode with the highest number below the given one, or nil if
// there is none.
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

// find returns the dnode of an object, or an error if there is none.
func (os *objset) find(number uint64) (*dnode, error) {
	if o := os.lookup(number); o != nil {
		return o, nil
	}
	return nil, objectError(number, errors.New("there is none of that number"))
}

// findType returns the dnode of an object, or an error if there is none or it has
// another type: a directory's number must not lead to a file's content.
func (os *objset) findType(number uint64, want objectType) (*dnode, error) {
	o, err := os.find(number)
	if err == nil && o.typ != want {
		return nil, objectError(number, fmt.Errorf("it is %v, not %v", o.typ, want))
	}
	return o, err
}

// remove calls f with each dnode in [from, to) and removes it. An error of f ends it and
// is returned.
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

// each calls f with every dnode, in order of number. f may change the dnode, and must not
// add or remove any.
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

// objectError adds an object's number to err.
func objectError(number uint64, err error) error { return fmt.Errorf("object %d: %w", number, err) }
