package supervise

// Numbers of setns(2) and memfd_create(2); package syscall has no names for them here.
const (
	sysSetns       = 308
	sysMemfdCreate = 319
)
