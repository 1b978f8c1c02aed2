package conf

// LabelTask marks the dataset of a task's pot. Its value identifies the task.
const LabelTask = "nomad.pot:task"

// LabelRef and LabelDigest mark the dataset of a verified image: what it was pulled as, and
// its digest. Package image sets them.
const (
	LabelRef    = "nomad.pot:ref"
	LabelDigest = "nomad.pot:digest"
)

// LabelManifest is, in place of LabelDigest, the digest of the manifest of a container image:
// "sha256:...". Package image sets it.
const LabelManifest = "nomad.pot:manifest"

// LabelReceived marks a dataset that was received as an image, also if a person has changed it
// since. Its value is the digest, and the GUIDs, in hexadecimal, of the snapshots that came with
// it, separated by spaces. Package image sets it.
const LabelReceived = "nomad.pot:received"

// LabelSources says who may use an image. LabelImported says what a person imported a pot as,
// until it is changed or started. Package image sets them.
const (
	LabelSources  = "nomad.pot:sources"
	LabelImported = "nomad.pot:imported"
)

// ImportPrefix begins the names of datasets that package image has not finished receiving.
const ImportPrefix = "_import-"
