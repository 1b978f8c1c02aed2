package driver

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"nomad-driver-pot/pot"
)

// TaskID is Nomad's ID of one start of a task: ALLOC/TASK/INVOCATION. ALLOC is a
// UUID, INVOCATION eight random hexadecimal digits.
type TaskID string

var taskIDs = regexp.MustCompile(`^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/(.*)/([0-9a-f]{8})$`)

// plainTask matches a task's name that can be part of a pot's name unchanged. A
// pot's name is also its host name, so the whole has at most 63 bytes (RFC 1123,
// 2.1).
var plainTask = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{0,16}$`)

// notInNames matches a character that a pot's name must not have.
var notInNames = regexp.MustCompile(`[^A-Za-z0-9_-]`)

// taskPotNames matches the names that PotName returns.
var taskPotNames = regexp.MustCompile(`^[A-Za-z0-9_-]+_[0-9a-f]{8}_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$|^task-[0-9a-f]{48}$`)

// isTaskPot reports whether a pot is named like a task's pot.
func isTaskPot(name pot.Name) bool { return taskPotNames.MatchString(string(name)) }

// groupPots matches the names that groupPotName returns.
var groupPots = regexp.MustCompile(`^group_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// groupPotName returns the name of the network that tasks of an allocation share.
func groupPotName(alloc string) pot.Name { return pot.Name("group_" + alloc) }

// isGroupPot reports whether a pot is named like the network of a group.
func isGroupPot(name pot.Name) bool { return groupPots.MatchString(string(name)) }

// taskName returns the task's name in its job. It returns all of an ID that Nomad
// has not made.
func (id TaskID) taskName() string {
	if parts := taskIDs.FindStringSubmatch(string(id)); parts != nil {
		return parts[2]
	}
	return string(id)
}

// PotName returns the name of the task's pot: TASK_INVOCATION_ALLOC, as in
// nomad-pot-driver. It depends on the ID alone, so that a plugin that knows
// nothing else can find and destroy the pot. The name of a task that is too long
// or has other characters is replaced by its beginning and a digest of the ID.
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
