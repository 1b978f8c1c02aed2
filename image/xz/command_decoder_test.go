package xz

import (
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/pot/hosttest/leak"
)

// Files in memory are used again, so each counts as what the largest batch needs; what
// there is no room for twice is not begun: it would wait for room for ever.
func TestFitsFiles(t *testing.T) {
	leak.Check(t)
	block := part{size: 1 << 20, unpadded: 1<<20 + 9000, dictionary: 4096}
	small := part{size: 1 << 10, unpadded: 1 << 9, dictionary: 4096}
	all := []batch{{block}, {small, small}}
	most, takes := room(all)
	must.Eq(t, block.size, most)
	must.Eq(t, block.size+block.padded()+streamBytes+block.dictionary, takes)
	must.True(t, fitsFiles(all, 2*takes))
	must.False(t, fitsFiles(all, 2*takes-1))

	memory := 2 * (block.size + block.dictionary) // enough to be decoded in Go
	must.True(t, Options{Memory: memory, Workers: 2}.fits([]part{block, block}))
	must.False(t, fitsFiles([]batch{{block}, {block}}, memory))

	d := newCommandDecoder(nil, "xz", all, nil, Options{Workers: 2, Memory: 2 * takes})
	must.Eq(t, d.memory(all[0]), d.memory(all[1]))
}
