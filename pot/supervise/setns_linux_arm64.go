package supervise

import "syscall"

const sysSetns = syscall.SYS_SETNS
