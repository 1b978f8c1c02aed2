package supervise

import "syscall"

// Numbers of setns(2) and memfd_create(2).
const (
	sysSetns       = syscall.SYS_SETNS
	sysMemfdCreate = syscall.SYS_MEMFD_CREATE
)
