package supervise

// chownStreams does nothing. Opening /dev/stdout, a link to /dev/fd/1, duplicates the
// descriptor whoever owns the file, with fdescfs(5) (sys/fs/fdescfs/fdesc_vnops.c,
// fdesc_open, and no vop_access) and without it (sys/kern/kern_descrip.c, fdopen,
// dupfdopen).
func (p *Process) chownStreams() {}
