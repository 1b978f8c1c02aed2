package supervise

import "syscall"

// fionread is FIONREAD, which Linux calls by two names (asm-generic/ioctls.h).
const fionread = syscall.TIOCINQ
