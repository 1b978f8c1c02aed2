//go:build !linux

package hosttest

import "os"

// exchange swaps the names of two files, by three renames.
func exchange(a, b string) {
	os.Rename(a, a+".x")
	os.Rename(b, a)
	os.Rename(a+".x", b)
}
