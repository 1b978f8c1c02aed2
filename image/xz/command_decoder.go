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

// commandDecoder decodes blocks by xz(1), one for each batch, which reads a file in
// memory and writes another: with a pipe, its 8 KiB at a time would cost a change of
// processes each.
type commandDecoder struct {
	r      io.ReaderAt // the file
	path   string      // of xz(1)
	limit  int64       // of its memory, in bytes
	most   int64       // bytes of the largest batch, decoded
	takes  int64       // bytes that any batch is counted as: files are as large as the largest needs
	reread io.Reader   // decodes the same in Go, and knows what is wrong with it

	ins, outs chan *memoryFile // to be used again

	mu  sync.Mutex
	all []*memoryFile // to be closed
}

// memoryFile is a file that is in memory, and has no name.
type memoryFile struct {
	*os.File
	mapped []byte // what is in it; nil for a file without a fixed size
}

func newCommandDecoder(r io.ReaderAt, path string, batches []batch, again io.Reader, o Options) *commandDecoder {
	d := &commandDecoder{
		r: r, path: path, limit: o.Memory, reread: again,
		ins: make(chan *memoryFile, o.Workers), outs: make(chan *memoryFile, len(batches)),
	}
	d.most, d.takes = room(batches)
	return d
}

// room returns the bytes of the largest batch, decoded, and what one xz(1) and its files
// take for whichever of them.
func room(batches []batch) (most, takes int64) {
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

// fitsFiles reports whether memory bytes have room for two xz(1) and their files.
func fitsFiles(batches []batch, memory int64) bool {
	_, takes := room(batches)
	return takes <= memory/2
}

// streamBytes is what a block has around it as a stream of its own, at most: header,
// index and footer (the .xz file format, version 1.2, sections 2.1 and 4).
const streamBytes = headerBytes + 32 + footerBytes

// batchBytes is how much a batch of small blocks has, decoded: the start of an xz(1) is
// little beside that.
const batchBytes = 8 << 20

// together has small blocks that follow each other be one batch, within memory bytes.
func together(blocks []part, memory int64) (all []batch) {
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

func (d *commandDecoder) memory(batch) int64 { return d.takes }

func (d *commandDecoder) decode(ctx context.Context, b batch) decoded {
	out, err := d.file(d.outs, d.most)
	if err != nil {
		return decoded{err: err}
	}
	if err := d.run(ctx, b, out); err != nil {
		keep(d.outs, out)
		return decoded{err: err}
	}
	return decoded{Reader: bytes.NewReader(out.mapped[:b.size()]), free: func() { keep(d.outs, out) }}
}

// run has xz(1) decode a batch to out, from its first byte on.
func (d *commandDecoder) run(ctx context.Context, b batch, out *memoryFile) error {
	in, err := d.file(d.ins, 0)
	if err != nil {
		return err
	}
	defer keep(d.ins, in)
	if err := d.write(in, b); err != nil {
		return err
	}
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		return err
	}
	var stderr limitedText
	cmd := decoding(ctx, d.path, d.limit)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in.File, out.File, &stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start xz: %w", err)
	}
	ended := cmd.Wait()
	n, err := out.Seek(0, io.SeekCurrent) // the command writes where we do
	switch size := b.size(); {
	case err != nil:
		return err
	case n > size:
		return errCorrupt
	case ended != nil:
		return commandError(ended, &stderr)
	case n < size:
		return whole(io.EOF)
	}
	return nil
}

// write has in be the streams of a batch, to be read from their first byte on.
func (d *commandDecoder) write(in *memoryFile, b batch) error {
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return err
	}
	var n int64
	buffer := make([]byte, 256<<10)
	for _, block := range b {
		written, err := io.CopyBuffer(struct{ io.Writer }{in}, struct{ io.Reader }{block.alone(d.r)}, buffer)
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

// file returns a file in memory, used before or new. A new one has that size, which
// stays what it is unless it is 0.
func (d *commandDecoder) file(used chan *memoryFile, size int64) (*memoryFile, error) {
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
	if err := m.fix(size); err != nil {
		f.Close()
		return nil, fmt.Errorf("file in memory: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, m)
	return m, nil
}

// fix gives the file a size that it keeps, and maps it. A size of 0 is none.
func (f *memoryFile) fix(size int64) (err error) {
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

func (d *commandDecoder) explain(err error) error {
	if _, found := io.Copy(io.Discard, d.reread); found != nil {
		return found
	}
	return err
}

func (d *commandDecoder) close() {
	for _, f := range d.all {
		f.close()
	}
	d.all = nil
}
