// Package tree reads and writes files in the tree of a pot, which nobody trusts: an image may
// contain any link, and the processes of a pot may change the tree at any time. No function of
// this package follows a symbolic link out of the tree.
//
// It knows neither pots nor images, and it mounts nothing: callers mount on a Target.
//
// Begin with OpenTarget (a mount point), CopyIn and CopyOut (files) and Replace (one file).
// OpenSource opens a path of the host that a job names.
package tree
