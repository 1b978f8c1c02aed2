package hosttest

import "golang.org/x/sys/unix"

// exchange puts each in the place of the other.
func exchange(a, b string) { unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE) }
