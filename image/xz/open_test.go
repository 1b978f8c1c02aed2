package xz_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/xz"
)

// decoding opens b.
func decoding(ctx context.Context, b []byte, o xz.Options) io.ReadCloser {
	return xz.Open(ctx, bytes.NewReader(b), int64(len(b)), o)
}

// decoded decodes all of b.
func decoded(t *testing.T, b []byte, o xz.Options) ([]byte, error) {
	t.Helper()
	r := decoding(t.Context(), b, o)
	got, err := io.ReadAll(r)
	must.NoError(t, r.Close())
	return got, err
}

// ways returns options for each way to decode.
func ways(t testing.TB) map[string]xz.Options {
	t.Helper()
	all := map[string]xz.Options{
		"serial":   {Command: "-", Workers: 1},
		"parallel": {Command: "-", Workers: 3},
	}
	found, err := exec.LookPath("xz")
	need.Have(t, "xz", err == nil)
	all["xz"] = xz.Options{Command: found, Workers: 1}
	all["two xz"] = xz.Options{Command: found, Workers: 2}
	return all
}

// text returns n bytes of moderately compressible text.
func text(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, "%x all work and no play %d\n", r.Uint64(), r.IntN(1000))
	}
	return b.Bytes()[:n]
}

// compress returns data as xz(1) compresses it with args.
func compress(t testing.TB, data []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "xz", append([]string{"-c"}, args...)...)
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.Output()
	must.NoError(t, err)
	return out
}

// TestOpen checks that every way to decode returns the same for whatever xz(1) can
// write.
func TestOpen(t *testing.T) {
	leak.Check(t)
	all := ways(t)
	data := text(1 << 20)
	some := data[:100_000]
	files := map[string]struct {
		xz   []byte
		want []byte
	}{
		"no data":           {compress(t, nil), nil},
		"one block":         {compress(t, data, "-T1"), data},
		"blocks":            {compress(t, data, "-T2", "--block-size=200KiB"), data},
		"blocks, no sizes":  {compress(t, data, "-T1", "--block-size=300KiB"), data},
		"streams":           {slices.Concat(compress(t, data, "-T2", "--block-size=400KiB"), compress(t, some), compress(t, nil), compress(t, data)), slices.Concat(data, some, data)},
		"padding":           {slices.Concat(compress(t, data, "-T2", "--block-size=400KiB"), make([]byte, 4096), compress(t, some), make([]byte, 8)), slices.Concat(data, some)},
		"different checks":  {slices.Concat(compress(t, data, "--check=crc32", "--block-size=400KiB"), compress(t, some, "--check=sha256")), slices.Concat(data, some)},
		"no check":          {compress(t, data, "--check=none", "--block-size=400KiB"), data},
		"filter x86":        {compress(t, data, "--x86", "--lzma2=preset=6", "--block-size=400KiB"), data},
		"filter arm":        {compress(t, data, "--arm", "--delta=dist=4", "--lzma2=preset=1", "--block-size=300KiB"), data},
		"level 0":           {compress(t, data, "-0", "-T2"), data},
		"level 9e":          {compress(t, data, "-9e"), data},
		"many small blocks": {compress(t, data, "-1", "--block-size=4KiB"), data},
		"tiny blocks":       {compress(t, some, "-1", "--block-size=10"), some},
		"64 KiB blocks":     {compress(t, data, "-1", "--block-size=64KiB"), data},
	}
	for name, c := range files {
		t.Run(name, func(t *testing.T) {
			for way, o := range all {
				var last, total int64
				o.Count = func(d, n int64) { last, total = d, n }
				r := decoding(t.Context(), c.xz, o)
				got, err := io.ReadAll(r)
				must.NoError(t, err, must.Sprint(way))
				must.True(t, bytes.Equal(c.want, got), must.Sprint(way))
				must.Eq(t, int64(len(c.xz)), total, must.Sprint(way))
				must.GreaterEq(t, total*9/10, last, must.Sprint(way))
				n, err := r.Read(make([]byte, 1))
				must.Eq(t, 0, n)
				must.Eq(t, io.EOF, err)
				must.NoError(t, r.Close())
				must.NoError(t, r.Close())
			}
		})
	}
	t.Run("blocks of any size are read in full", func(t *testing.T) {
		data := text(5 << 20)
		for _, size := range []string{"1028KiB", "2052KiB", "1000001", "2097153"} {
			f := compress(t, data, "-0", "--block-size="+size)
			got, err := decoded(t, f, xz.Options{})
			must.NoError(t, err)
			must.True(t, bytes.Equal(data, got))
		}
	})
	t.Run("a file can be decoded again", func(t *testing.T) {
		f := files["blocks"].xz
		for range 3 {
			got, err := decoded(t, f, xz.Options{})
			must.NoError(t, err)
			must.True(t, bytes.Equal(data, got))
		}
	})
}

// TestOpen_damaged checks that every way to decode refuses a file that is not xz from
// its first byte to its last.
func TestOpen_damaged(t *testing.T) {
	leak.Check(t)
	all := ways(t)
	data := text(40_000)
	good := compress(t, data, "-T2", "--block-size=64KiB")
	refused := func(t *testing.T, b []byte, what string) {
		t.Helper()
		for way, o := range all {
			got, err := decoded(t, b, o)
			if err == nil && bytes.Equal(data, got) {
				continue // the first byte of LZMA's range coder carries no data
			}
			must.Error(t, err, must.Sprint(way, what))
		}
	}
	t.Run("a truncated file is refused", func(t *testing.T) {
		for n := 0; n < len(good); n += 1 + n/7 {
			refused(t, good[:n], fmt.Sprintf(": %d of %d bytes", n, len(good)))
		}
	})
	t.Run("a flipped bit in header, index or footer is refused", func(t *testing.T) {
		for i := range 8 * 160 {
			at := i
			if i >= 8*40 { // the first bits are in the first block's header, the others at the end
				at = 8*len(good) - (i - 8*40) - 1
			}
			if i%7 != 0 {
				continue
			}
			bad := slices.Clone(good)
			bad[at/8] ^= 1 << (at % 8)
			refused(t, bad, fmt.Sprintf(": bit %d", at))
		}
	})
	for name, bad := range map[string][]byte{
		"text":                   {'t', 'e', 'x', 't'},
		"garbage before it":      append([]byte("garb"), good...),
		"garbage after it":       append(slices.Clone(good), "garbage"...),
		"odd padding":            append(slices.Clone(good), 0, 0),
		"padding before":         append(make([]byte, 8), good...),
		"half a stream after it": append(slices.Clone(good), good[:60]...),
		"only its end":           good[len(good)-200:],
		"another file's index":   append(slices.Clone(good[:len(good)-40]), compress(t, data)[len(compress(t, data))-40:]...),
	} {
		t.Run(name, func(t *testing.T) { refused(t, bad, "") })
	}
}

// TestOpen_memory checks that decoding keeps to its memory, whatever a file claims.
func TestOpen_memory(t *testing.T) {
	leak.Check(t)
	data := text(2 << 20)
	all := ways(t)
	t.Run("a dictionary larger than the memory is refused", func(t *testing.T) {
		f := compress(t, data, "-9")
		for way, o := range all {
			o.Memory = 1 << 20
			_, err := decoded(t, f, o)
			must.Error(t, err)
			must.StrContains(t, err.Error(), "1.0 MiB", must.Sprint(way))
		}
	})
	t.Run("blocks of which two do not fit are decoded one after the other", func(t *testing.T) {
		f := compress(t, data, "-1", "--block-size=1500KiB")
		for way, o := range all {
			o.Memory = 3 << 20 // with the dictionary of 1 MiB
			got, err := decoded(t, f, o)
			must.NoError(t, err, must.Sprint(way))
			must.True(t, bytes.Equal(data, got), must.Sprint(way))
		}
	})
}

// TestOpen_cancelled checks that decoding ends with its context and with Close.
func TestOpen_cancelled(t *testing.T) {
	leak.Check(t)
	f := compress(t, text(8<<20), "-0", "--block-size=256KiB")
	gone := errors.New("nobody waits")
	for way, o := range ways(t) {
		t.Run(way, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			r := decoding(ctx, f, o)
			_, err := io.ReadFull(r, make([]byte, 1000))
			must.NoError(t, err)
			cancel(gone)
			_, err = io.Copy(io.Discard, r)
			must.ErrorIs(t, err, gone)
			must.NoError(t, r.Close())
		})
		t.Run(way+", closed", func(t *testing.T) {
			r := decoding(t.Context(), f, o)
			_, err := io.ReadFull(r, make([]byte, 1000))
			must.NoError(t, err)
			must.NoError(t, r.Close())
			_, err = r.Read(make([]byte, 1))
			must.Error(t, err)
			must.NotEq(t, io.EOF, err)
		})
	}
}

// TestOpen_command checks which xz(1) is used and that its errors are reported.
func TestOpen_command(t *testing.T) {
	leak.Check(t)
	program := func(text string) string {
		name := filepath.Join(t.TempDir(), "xz")
		must.NoError(t, os.WriteFile(name, []byte("#!/bin/sh\n"+text), 0o755))
		return name
	}
	f := imagetest.XZ([]byte("content"))
	t.Run("an old xz(1) is not used", func(t *testing.T) {
		old := program(`[ "$1" = --robot ] && echo XZ_VERSION=50010122 && exit; echo "not to be run" >&2; exit 1`)
		t.Setenv("PATH", filepath.Dir(old)+":"+os.Getenv("PATH"))
		got, err := decoded(t, f, xz.Options{})
		must.NoError(t, err)
		must.Eq(t, "content", string(got))
	})
	t.Run("the message of a failed xz(1) is reported", func(t *testing.T) {
		for says, want := range map[string]string{
			"echo xz: disk quota exceeded >&2; exit 1": "xz: disk quota exceeded",
			"kill -9 $$": "xz: signal: killed",
			"exit 2":     "xz: exit status 2",
		} {
			_, err := decoded(t, f, xz.Options{Command: program(says)})
			must.EqError(t, err, want)
		}
		_, err := decoded(t, f, xz.Options{Command: "/nonexistent/xz"})
		must.ErrorContains(t, err, "start xz: ")
	})
	t.Run("a command of several that fails, or writes too little or too much, is reported", func(t *testing.T) {
		f := compress(t, text(20<<20), "-0", "--block-size=1200KiB")
		for does, want := range map[string]string{
			"mkdir %s && exec xz \"$@\"; echo xz: disk quota exceeded >&2; exit 1": "xz: disk quota exceeded",
			"mkdir %s || exec xz \"$@\"; xz -dc | head -c 2000000":                 "xz: data is corrupt: unexpected EOF",
			"xz -dc; { echo more; } 2>/dev/null; exit 0":                           "xz: data is corrupt", // the last batch is shorter
			"exit 0": "xz: data is corrupt: unexpected EOF",
		} {
			does = strings.ReplaceAll(does, "%s", filepath.Join(t.TempDir(), "first")+" 2>/dev/null")
			_, err := decoded(t, f, xz.Options{Command: program(does), Workers: 3})
			must.EqError(t, err, want, must.Sprint(does))
		}
	})
	t.Run("endless output is stopped at the size of the batch", func(t *testing.T) {
		_, err := decoded(t, compress(t, text(1<<20), "-0", "--block-size=200KiB"), xz.Options{Command: program("exec cat /dev/zero")})
		must.RegexMatch(t, regexp.MustCompile("^xz: cat: .*Operation not permitted$"), err.Error())
	})
	t.Run("options in the environment do not apply", func(t *testing.T) {
		t.Setenv("XZ_OPT", "--nonsense")
		t.Setenv("XZ_DEFAULTS", strings.Repeat("-k ", 3))
		got, err := decoded(t, f, xz.Options{})
		must.NoError(t, err)
		must.Eq(t, "content", string(got))
	})
}

// FuzzOpen checks that the ways to decode in Go agree on any input.
func FuzzOpen(f *testing.F) {
	f.Add(imagetest.XZ([]byte("content")))
	f.Add(slices.Concat(imagetest.XZ([]byte("a")), imagetest.XZ([]byte("b")), make([]byte, 4)))
	if _, err := exec.LookPath("xz"); err == nil {
		f.Add(compress(f, text(9000), "-T2", "--block-size=4096"))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		read := func(workers int) ([]byte, error) {
			r := decoding(t.Context(), b, xz.Options{Command: "-", Workers: workers, Memory: 8 << 20})
			defer r.Close()
			return io.ReadAll(io.LimitReader(r, 1<<20))
		}
		serial, err := read(1)
		parallel, err2 := read(3)
		must.Eq(t, err == nil, err2 == nil, must.Sprint(err, err2))
		if err == nil {
			must.True(t, bytes.Equal(serial, parallel))
		}
	})
}
