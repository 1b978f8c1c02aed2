// Package store imports verified image files as the datasets that pots are cloned from.
//
// Store.Ensure is where a reader begins: it reuses an image that is there (reuse.go), or pulls,
// vets (vet.go) and receives it, at most once at a time for the same image (pulls.go). An image
// that is layered on others is received on them (layers.go). The next pull removes what a crash
// has left. The package knows nothing of ZFS commands: a host's Datasets do the work.
//
// All lasting state is in labels of the datasets (imported.go, received.go), so that several
// processes can use the same datasets.
package store
