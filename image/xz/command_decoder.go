package xz

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// commandDecoder decodes each batch of blocks by one xz(1), which reads a file in
// memory and writes another. A pipe would cost a context switch for each 8 KiB.
type commandDecoder struct {
	r           io.ReaderAt // the file
	path        string      // of xz(1)
	memlimit    int64       // bytes of memory for each xz(1)
	maxBatch    int64       // bytes of the largest batch, decoded; the size of each output file
	batchMemory int64       // bytes that each batch counts for: files are reused, so each is as large as the largest needs
	serial      io.Reader   // decodes the same file in Go, for its better error messages

	inputs, outputs chan *memoryFile // idle, for reuse

	mu    sync.Mutex
	files []*memoryFile // all that close must close
}

// memoryFile is an anonymous file in memory.
type memoryFile struct {
	*os.File
	mapped []byte // its content; nil if the size is not fixed
}

// newCommandDecoder returns a decoder of batches, which must fit o.Memory (fitsCommand).
// again decodes the same file, for explain.
func newCommandDecoder(r io.ReaderAt, path string, batches []batch, again io.Reader, o Options) *commandDecoder {
	d := &commandDecoder{
		r: r, path: path, memlimit: o.Memory, serial: again,
		inputs: make(chan *memoryFile, o.Workers), outputs: make(chan *memoryFile, len(batches)),
	}
	d.maxBatch, d.batchMemory = commandMemory(batches)
	return d
}

// commandMemory returns the decoded bytes of the largest batch, and the bytes that one
// xz(1) and its files take for any batch.
func commandMemory(batches []batch) (most, takes int64) {
	var packed, dictionary int64
	for _, b := range batches {
		var n int64
		for _, block := range b {
			n += block.padded() + streamBytes
			dictionary = max(dictionary, block.dictionary)
		}
		most, packed = max(most, b.size()), max(packed, n)
	}
	return most, most + packed + dictionary
}

// fitsCommand reports whether memory bytes suffice for two xz(1) and their files.
func fitsCommand(batches []batch, memory int64) bool {
	_, takes := commandMemory(batches)
	return takes <= memory/2
}

// streamBytes bounds what surrounds a block in a stream of its own: header, index and
// footer (The .xz File Format 1.2, sections 2.1 and 4).
const streamBytes = headerBytes + 32 + footerBytes

// batchBytes is how much a batch of small blocks holds, decoded: enough to outweigh the
// start of an xz(1).
const batchBytes = 8 << 20

// groupBlocks joins adjacent blocks into batches of at most batchBytes and a quarter of
// memory. A larger block is a batch alone.
func groupBlocks(blocks []blockInfo, memory int64) (all []batch) {
	most := min(batchBytes, memory/4)
	for begin := 0; begin < len(blocks); {
		end, size := begin+1, blocks[begin].size
		for end < len(blocks) && size+blocks[end].size <= most {
			size += blocks[end].size
			end++
		}
		all = append(all, blocks[begin:end])
		begin = end
	}
	return all
}

func (d *commandDecoder) memory(batch) int64 { return d.batchMemory }

// decode implements blockDecoder. Its result is read from mapped memory, without a copy.
func (d *commandDecoder) decode(ctx context.Context, b batch) decodedBatch {
	out, err := d.acquireFile(d.outputs, d.maxBatch)
	if err != nil {
		return decodedBatch{err: err}
	}
	if err := d.decodeTo(ctx, b, out); err != nil {
		recycle(d.outputs, out)
		return decodedBatch{err: err}
	}
	return decodedBatch{Reader: bytes.NewReader(out.mapped[:b.size()]), free: func() { recycle(d.outputs, out) }}
}

// decodeTo runs xz(1) to decode a batch to the beginning of out. The file's size is fixed, so
// that a damaged block cannot fill memory; xz(1) fails when it writes more.
func (d *commandDecoder) decodeTo(ctx context.Context, b batch, out *memoryFile) error {
	in, err := d.acquireFile(d.inputs, 0)
	if err != nil {
		return err
	}
	defer recycle(d.inputs, in)
	if err := d.writeStreams(in, b); err != nil {
		return err
	}
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		return err
	}
	var stderr stderrText
	cmd := decodeCommand(ctx, d.path, d.memlimit)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in.File, out.File, &stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start xz: %w", err)
	}
	ended := cmd.Wait()
	n, err := out.Seek(0, io.SeekCurrent) // both processes share the offset
	switch size := b.size(); {
	case err != nil:
		return err
	case n > size:
		return errCorrupt
	case ended != nil:
		return commandError(ended, &stderr)
	case n < size:
		return truncated(io.EOF)
	}
	return nil
}

// writeStreams replaces the content of in by the blocks of a batch, each as a stream,
// and rewinds it.
func (d *commandDecoder) writeStreams(in *memoryFile, b batch) error {
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return err
	}
	var n int64
	buffer := make([]byte, 256<<10)
	for _, block := range b {
		written, err := io.CopyBuffer(struct{ io.Writer }{in}, struct{ io.Reader }{block.asStream(d.r)}, buffer)
		if err != nil {
			return err
		}
		n += written
	}
	if err := in.Truncate(n); err != nil {
		return err
	}
	_, err := in.Seek(0, io.SeekStart)
	return err
}

// acquireFile returns an idle file in memory, or else a new one of size bytes. A size
// of 0 means not fixed.
func (d *commandDecoder) acquireFile(used chan *memoryFile, size int64) (*memoryFile, error) {
	select {
	case f := <-used:
		return f, nil
	default:
	}
	f, err := newMemoryFile()
	if err != nil {
		return nil, fmt.Errorf("file in memory: %w", err)
	}
	m := &memoryFile{File: f}
	if err := m.setSize(size); err != nil {
		f.Close()
		return nil, fmt.Errorf("file in memory: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files = append(d.files, m)
	return m, nil
}

// setSize fixes the size of the file and maps it. It does nothing if size is 0.
func (f *memoryFile) setSize(size int64) (err error) {
	if size == 0 {
		return nil
	}
	if err := f.Truncate(size); err != nil {
		return err
	}
	if err := sealSize(f.File); err != nil {
		return err
	}
	f.mapped, err = unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	return os.NewSyscallError("mmap", err)
}

func (f *memoryFile) close() {
	if f.mapped != nil {
		unix.Munmap(f.mapped)
	}
	f.Close()
}

// explain implements blockDecoder: it decodes the file again in Go, whose errors are more
// precise, and returns that error, or err if there is none.
func (d *commandDecoder) explain(err error) error {
	if _, found := io.Copy(io.Discard, d.serial); found != nil {
		return found
	}
	return err
}

func (d *commandDecoder) close() {
	for _, f := range d.files {
		f.close()
	}
	d.files = nil
}
