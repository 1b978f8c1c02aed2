package main

import (
	"os"
	"syscall"
	"unsafe"

	"nomad-driver-pot/pot/supervise/inside"
)

// prSetName is PR_SET_NAME of linux/prctl.h.
const prSetName = 15

func init() {
	// The process was executed by a descriptor, whose number would be its name. An init
	// function runs on the first thread, whose name ps(1) shows.
	name := [...]byte{'p', 'o', 't', '-', 's', 'u', 'p', 'e', 'r', 'v', 'i', 's', 'o', 'r', 0}
	syscall.RawSyscall(syscall.SYS_PRCTL, prSetName, uintptr(unsafe.Pointer(&name)), 0)
	modes["jail"] = func([]string) int { return inside.Run(os.Stdin, os.Stdout) }
}
