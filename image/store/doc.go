// Package store imports verified image files as the datasets that pots are cloned from.
//
// Store.Ensure is where a reader begins: it reuses an image that is there, or pulls, vets and
// receives it, at most once at a time for the same image (pulls.go). An image that is layered
// on others is received on them (layers.go). What a crash leaves is removed by the next pull.
// The package knows nothing of ZFS commands: a host's Datasets do the work.
package store
