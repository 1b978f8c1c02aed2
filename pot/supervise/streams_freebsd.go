package supervise

// chownStreams does nothing: opening /dev/stdout, a link to /dev/fd/1, duplicates the
// descriptor, whoever owns what it is open on, with fdescfs(5) (sys/fs/fdescfs/fdesc_vnops.c,
// fdesc_open, and no vop_access) and without (sys/kern/kern_descrip.c, fdopen, dupfdopen).
func (p *Process) chownStreams() {}
