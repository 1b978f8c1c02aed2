package tree

import "golang.org/x/sys/unix"

// openPath is for a descriptor that stands for a file, and does nothing to it. (open(2))
const openPath = unix.O_PATH
