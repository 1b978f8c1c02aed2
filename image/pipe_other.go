//go:build !linux

package image

import "os"

// widen is for Linux: elsewhere pipes grow by themselves.
func widen(*os.File) {}
