package supervise

// sysSetns is setns(2); package syscall has no name for it here.
const sysSetns = 308
