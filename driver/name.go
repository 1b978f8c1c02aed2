package driver

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"nomad-driver-pot/pot"
)

// TaskID is Nomad's, of one start of a task: ALLOC/TASK/INVOCATION, of which
// the first is a UUID and the last eight random digits.
type TaskID string

var taskIDs = regexp.MustCompile(`^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/(.*)/([0-9a-f]{8})$`)

// plainTask is a task's name that can be part of a pot's as it is. A pot's name
// is its host name too, so the whole has at most 63 bytes (RFC 1123, 2.1).
var plainTask = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{0,16}$`)

// notInNames is what no pot's name may have in it.
var notInNames = regexp.MustCompile(`[^A-Za-z0-9_-]`)

// taskPotNames are those that PotName gives.
var taskPotNames = regexp.MustCompile(`^[A-Za-z0-9_-]+_[0-9a-f]{8}_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$|^task-[0-9a-f]{48}$`)

// isTaskPot tells whether a pot has the name of a task's.
func isTaskPot(name pot.Name) bool { return taskPotNames.MatchString(string(name)) }

// taskName is the task's name in its job, or all of an ID that is none.
func (id TaskID) taskName() string {
	if parts := taskIDs.FindStringSubmatch(string(id)); parts != nil {
		return parts[2]
	}
	return string(id)
}

// PotName is the name of the task's pot: TASK_INVOCATION_ALLOC, as
// nomad-pot-driver has it. It depends on the ID alone, so that a pot can be
// found, and destroyed, by a plugin that knows nothing else of it. A task whose
// name is long or odd is told from its like by a digest.
func (id TaskID) PotName() pot.Name {
	digest := sha256.Sum256([]byte(id))
	text := hex.EncodeToString(digest[:])
	parts := taskIDs.FindStringSubmatch(string(id))
	if parts == nil {
		return pot.Name("task-" + text[:48])
	}
	alloc, task, invocation := parts[1], parts[2], parts[3]
	if !plainTask.MatchString(task) {
		task = notInNames.ReplaceAllString(task, "-")
		task = "t" + strings.TrimLeft(task, "-")
		task = task[:min(len(task), 8)] + "-" + text[:8]
	}
	return pot.Name(task + "_" + invocation + "_" + alloc)
}
