// Package lockdir makes temporary directories that are locked while they are in use, so that
// the next process recognises, and removes, what a crash has left (flock(2)).
package lockdir
