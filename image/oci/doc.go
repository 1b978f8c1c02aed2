// Package oci reads container images, which package build makes into images of pots: the files
// of all layers as one tree, and the configuration as a pot.conf.
//
// It knows where images are kept (layout.go, docker_archive.go, registry.go), which of them is
// for a platform (choose.go), and what a pot can have of a configuration (conf.go). Files and
// their layers are package zstream's: this package verifies the layers and decompresses them
// (layers.go). Whatever it reads is hostile: sizes are bounded, digests are verified, and what
// it does not carry out is refused or named in a warning.
//
// Begin with Open.
package oci
