package skein

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// descending returns the message of the specification's test vectors: FF FE FD ...
func descending(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(255 - i)
	}
	return b
}

// Skein 1.3, appendix C.3.
func TestSum_specification(t *testing.T) {
	leak.Check(t)
	for n, want := range map[int]string{
		1:   "e62c05802ea0152407cdd8787fda9e35703de862a4fbc119cff8590afe79250bccc8b3faf1bd2422ab5c0d263fb2f8afb3f796f048000381531b6f00d85161bc0fff4bef2486b1ebcd3773fabf50ad4ad5639af9040e3f29c6c931301bf79832e9da09857e831e82ef8b4691c235656515d437d2bda33bcec001c67ffde15ba8",
		128: "1f3e02c46fb80a3fcd2dfbbc7c173800b40c60c2354af551189ebf433c3d85f9ff1803e6d920493179ed7ae7fce69c3581a5a2f82d3e0c7a295574d0cd7d217c484d2f6313d59a7718ead07d0729c24851d7e7d2491b902d489194e6b7d369db0ab7aa106f0ee0a39a42efc54f18d93776080985f907574f995ec6a37153a578",
		256: "842a53c99c12b0cf80cf69491be5e2f7515de8733b6ea9422dfd676665b5fa42ffb3a9c48c217777950848cecdb48f640f81fb92bef6f88f7a85c1f7cd1446c9161c0afe8f25ae444f40d3680081c35aa43f640fd5fa3c3c030bcc06abac01d098bcc984ebd8322712921e00b1ba07d6d01f26907050255ef2c8e24f716c52a5",
	} {
		t.Run(fmt.Sprintf("%d bytes", n), func(t *testing.T) {
			sum := Sum(descending(n))
			must.Eq(t, want, hex.EncodeToString(sum[:]))
		})
	}
}

// Each line of testdata/skein1024.txt is a message and the digest that FreeBSD's
// skein1024(1) prints for it.
func TestSum_freebsd(t *testing.T) {
	leak.Check(t)
	f, err := os.Open("testdata/skein1024.txt")
	must.NoError(t, err)
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, want, _ := strings.Cut(lines.Text(), " ")
		t.Run(name, func(t *testing.T) {
			sum := Sum(message(t, name))
			must.Eq(t, want, hex.EncodeToString(sum[:]))
		})
	}
	must.NoError(t, lines.Err())
}

// message returns the message that a name in skein1024.txt stands for.
func message(t *testing.T, name string) []byte {
	if name == "1MiB-zeros" {
		return make([]byte, 1<<20)
	}
	if times, ok := strings.CutPrefix(name, "a*"); ok {
		n, err := strconv.Atoi(times)
		must.NoError(t, err)
		return bytes.Repeat([]byte("a"), n)
	}
	s, err := strconv.Unquote(name)
	must.NoError(t, err)
	return []byte(s)
}

func TestSum_plain(t *testing.T) {
	leak.Check(t)
	for n := range 3*BlockSize + 2 {
		message := descending(n)
		sum := Sum(message)
		must.Eq(t, plainSum(message), sum[:], must.Sprintf("%d bytes", n))
	}
}

func TestHash(t *testing.T) {
	leak.Check(t)
	t.Run("Sum does not change what is hashed", func(t *testing.T) {
		message := descending(1000)
		h := New()
		for i, b := range message {
			h.Write([]byte{b})
			must.Eq(t, h.Sum(nil), h.Sum(nil))
			must.Eq(t, plainSum(message[:i+1]), h.Sum(nil))
		}
	})
	t.Run("Sum appends to its argument", func(t *testing.T) {
		h := New()
		must.Eq(t, append([]byte("before"), plainSum(nil)...), h.Sum([]byte("before")))
	})
	t.Run("Reset forgets what was written", func(t *testing.T) {
		h := New()
		h.Write(descending(300))
		h.Reset()
		must.Eq(t, plainSum(nil), h.Sum(nil))
	})
	t.Run("Size and BlockSize match the digest", func(t *testing.T) {
		must.Eq(t, Size, New().Size())
		must.Eq(t, BlockSize, New().BlockSize())
		must.Len(t, Size, New().Sum(nil))
	})
}

// FuzzHash compares with the plain implementation. Each byte of cuts is the length of a
// Write.
func FuzzHash(f *testing.F) {
	f.Add([]byte(nil), []byte(nil))
	f.Add(descending(128), []byte{128})
	f.Add(descending(129), []byte{0, 128, 1})
	f.Add(descending(600), []byte{1, 127, 128, 255, 3})
	f.Fuzz(func(t *testing.T, message, cuts []byte) {
		h := New()
		rest := message
		for _, cut := range cuts {
			n := min(int(cut), len(rest))
			h.Write(rest[:n])
			rest = rest[n:]
		}
		h.Write(rest)
		must.Eq(t, plainSum(message), h.Sum(nil))
	})
}

// BenchmarkHash also measures SHA-256, to tell a slow machine from slow code.
func BenchmarkHash(b *testing.B) {
	leak.Check(b)
	for name, h := range map[string]hash.Hash{"skein1024": New(), "sha256": sha256.New()} {
		b.Run(name, func(b *testing.B) {
			data := make([]byte, 64<<10)
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				h.Write(data)
			}
		})
	}
}
