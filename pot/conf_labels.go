package pot

// LabelTask is the label of a dataset that is a pot's, and no image's: whose it is.
const LabelTask = "nomad.pot:task"

// Labels of a dataset that is an image which was verified: what it was fetched as, and
// its digest. They are package image's.
const (
	LabelRef    = "nomad.pot:ref"
	LabelDigest = "nomad.pot:digest"
)

// LabelReceived is the label of a dataset that was received as an image, also when a
// person has changed it since: the digest, and the GUIDs, in hexadecimal, of the snapshots
// that came with it, separated by spaces. It is package image's.
const LabelReceived = "nomad.pot:received"

// Labels of an image that say who may use it, and what a person imported a pot as, until
// it is changed or started. They are package image's.
const (
	LabelSources  = "nomad.pot:sources"
	LabelImported = "nomad.pot:imported"
)

// ImportPrefix begins the names of the datasets that package image is receiving.
const ImportPrefix = "_import-"
