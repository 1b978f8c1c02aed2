//go:build !linux

package hosttest

import "os"

// exchange puts each in the place of the other, one after the other.
func exchange(a, b string) {
	os.Rename(a, a+".x")
	os.Rename(b, a)
	os.Rename(a+".x", b)
}
