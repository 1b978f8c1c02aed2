// Package inspect describes an image, and what in it would affect the host that imports it:
// hooks, mounts of the host's directories, properties, devices, set-user-ID files.
//
// It extracts nothing and needs neither ZFS nor root. Reading and verifying the image is the
// caller's: New begins a Report, Seen collects what zstream.Index visits, AddFile and AddStream
// complete it, and Text writes it for people.
package inspect
