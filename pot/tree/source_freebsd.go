package tree

// openPath is for a descriptor that stands for a file, and does nothing to it. (open(2),
// sys/fcntl.h, O_PATH, since 13.1)
const openPath = 0x00400000
