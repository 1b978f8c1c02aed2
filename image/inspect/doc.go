// Package inspect describes an image, and what in it would affect the host that imports it:
// hooks, mounts of the host's directories, properties, devices, set-user-ID files.
//
// It extracts nothing and needs neither ZFS nor root. The caller reads and verifies the image:
// New begins a Report, Seen collects what zstream.Index visits, AddFile and AddStream complete
// the report, and Text prints it for people. A Report encodes as JSON for programs.
package inspect
