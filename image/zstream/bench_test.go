package zstream

import (
	"bytes"
	"os"
	"testing"

	"github.com/shoenig/test/must"
)

func BenchmarkExtract(b *testing.B) {
	for _, name := range []string{"hello-linux_1.0.xz", "plain_1.0.xz"} {
		b.Run(name, func(b *testing.B) {
			data := stream(b, name)
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				b.StopTimer()
				dir := b.TempDir()
				root, err := os.OpenRoot(dir)
				must.NoError(b, err)
				b.StartTimer()
				_, err = Extract(b.Context(), bytes.NewReader(data), root, Options{})
				must.NoError(b, err)
				b.StopTimer()
				must.NoError(b, root.Close())
				must.NoError(b, os.RemoveAll(dir))
				b.StartTimer()
			}
		})
	}
}

func BenchmarkFletcher4(b *testing.B) {
	block := bytes.Repeat([]byte("0123456789abcdef"), oldMaxBlock/16)
	b.SetBytes(int64(len(block)))
	var sum fletcher4
	for b.Loop() {
		sum.Write(block, order{})
	}
}
