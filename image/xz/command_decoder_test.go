package xz

import (
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// Files in memory are reused, so each batch counts for as much as the largest. Batches
// of which two do not fit must be refused: they would wait for memory for ever.
func TestFitsFiles(t *testing.T) {
	leak.Check(t)
	block := blockInfo{size: 1 << 20, unpadded: 1<<20 + 9000, dictionary: 4096}
	small := blockInfo{size: 1 << 10, unpadded: 1 << 9, dictionary: 4096}
	all := []batch{{block}, {small, small}}
	most, takes := commandMemory(all)
	must.Eq(t, block.size, most)
	must.Eq(t, block.size+block.padded()+streamBytes+block.dictionary, takes)
	must.True(t, fitsCommand(all, 2*takes))
	must.False(t, fitsCommand(all, 2*takes-1))

	memory := 2 * (block.size + block.dictionary) // enough to decode in Go
	must.True(t, Options{Memory: memory, Workers: 2}.fitsParallel([]blockInfo{block, block}))
	must.False(t, fitsCommand([]batch{{block}, {block}}, memory))

	d := newCommandDecoder(nil, "xz", all, nil, Options{Workers: 2, Memory: 2 * takes})
	must.Eq(t, d.memory(all[0]), d.memory(all[1]))
}
