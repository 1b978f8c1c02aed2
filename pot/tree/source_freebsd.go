package tree

// openPath opens a file as a reference, for neither reading nor writing (open(2) and
// sys/fcntl.h: O_PATH, since 13.1).
const openPath = 0x00400000
