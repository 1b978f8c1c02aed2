// Package build makes an image's files from a tree, a tar archive or a pot's stream.
//
// Build is where a reader begins, Export is the same for the stream of a pot. The files get
// their names when all of them are complete, so that no reader sees a part of an image
// (publish.go). Nothing here is uploaded: package push does that.
package build
