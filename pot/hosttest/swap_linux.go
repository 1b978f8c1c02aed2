package hosttest

import "golang.org/x/sys/unix"

// exchange swaps the names of two files, atomically.
func exchange(a, b string) { unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE) }
