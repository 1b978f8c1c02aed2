package zstream

import "os"

// punch makes a hole from one offset up to another. That there is data, and of
// what size, the file system tells; fspacectl(2) is not in every release.
func punch(f *os.File, from, to int64) error { return zeroRange(f, from, to) }
