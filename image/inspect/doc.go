// Package inspect reports what an image is, and what of it would act on the host that imports it:
// hooks, mounts of the host's directories, properties, devices, set-user-ID files.
//
// It extracts nothing and needs neither ZFS nor root. The caller opens and verifies the image.
// New begins a Report, Seen collects what zstream.Index visits, AddFile and AddStream complete
// the report, and Text writes it for people.
package inspect
