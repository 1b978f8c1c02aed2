package tree

import "golang.org/x/sys/unix"

// openPath opens a file as a reference, for neither reading nor writing (open(2)).
const openPath = unix.O_PATH
