// Package lockdir makes temporary directories that are locked while their work goes on, so that
// what a crash leaves is recognised, and removed, by the next process that looks (flock(2)).
package lockdir
