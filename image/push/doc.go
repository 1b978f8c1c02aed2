// Package push publishes an image's files in a directory or on an HTTP server.
//
// Push is where a reader begins: it verifies the files, sends them in an order in which a
// client of the target sees either none or all of a version, and reads back what it sent. A
// target is a directory (dir.go) or a server (http.go).
package push
