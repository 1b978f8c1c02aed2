// Package supervise runs a pot's command under a supervisor process that survives the
// process that started it (a Nomad plugin, a command line).
//
// There is one supervisor for each command: the small program pot-supervisor, whose main
// package calls Run. It starts the command in the jail, holds its outputs open, forwards
// its ports, waits for its end, and writes an exit record to Task.Dir, a directory that
// only root can read. Other processes learn about the command from that directory. Nobody
// needs to be the supervisor's parent, and no process ID that the system may have reused is
// ever signalled.
//
// The package also starts every other command in a jail (Process) and on the host
// (HostCommand), so that all of them inherit the same state. It does not create jails: that
// is the work of a pot.Host.
//
// Start reading at Start and Run, the two ends of the pipe that a Task goes through; then
// Supervised, how other processes see a command, and Process.Start, how a command enters
// its jail.
//
// The package imports only the standard library and packages exact and flock, so that
// hundreds of supervisors need little memory.
package supervise

import (
	"errors"
	"net/netip"
	"time"
)

// Jail names a running jail that processes can be started in. A host's Jails.Find returns
// it.
type Jail struct {
	// ID is FreeBSD's jid, or the process ID of the first process of a Linux jail.
	ID int `json:"id"`

	// StartTicks is the start time of the first process in clock ticks since boot (proc(5),
	// stat, field 22). With ID it identifies a process even after the ID was reused. It is
	// 0 on FreeBSD, where a jid is not reused while its jail is dying.
	StartTicks uint64 `json:"born,omitempty"`

	// Cgroups are the directories of the Linux control groups that a process joins before
	// it executes a command.
	Cgroups []string `json:"cgroups,omitempty"`
}

// Identity is the user and the groups of a process, by the numbers that the jail uses.
type Identity struct {
	UID    uint32   `json:"uid"`
	GID    uint32   `json:"gid"`
	Groups []uint32 `json:"groups,omitempty"`
}

// A Forward relays what arrives at Listen on the host to To.
type Forward struct {
	Proto  string         `json:"proto"` // "tcp" or "udp"
	Listen netip.AddrPort `json:"listen"`
	To     netip.AddrPort `json:"to"`
}

// Task is what a supervisor runs. It reaches the supervisor through a pipe and is never
// written to disk: Env may hold secrets.
//
// It is encoded as JSON, and the supervisor may be of another version than the caller: the
// names of members must not change (see TestWireFormat).
type Task struct {
	Dir      string // the supervisor's directory, for root only: records and control
	Jail     Jail
	Argv     []string // looked up in the PATH of Env if the first has no slash; empty: no command, see holding
	Env      []string
	WorkDir  string // in the jail
	Identity Identity
	Stdout   string // an existing fifo or file, "" for /dev/null
	Stderr   string // likewise

	// OutputBytes bounds what is kept of each output: Stdout and Stderr are files of at
	// most this size, and a full file is renamed to its name with RotatedSuffix. 0 writes
	// to Stdout and Stderr as they are.
	OutputBytes int64

	Forwards []Forward

	// MaxRuntime is how long the command may run before it is killed; 0: no limit.
	MaxRuntime time.Duration `json:"Within"`

	// OnExit is the argument vector of the program that the supervisor executes once the
	// command's exit record is on disk; the first element is a path. If it is empty, the
	// supervisor ends. The program gets no environment but a PATH, and its standard error
	// is the supervisor's log.
	OnExit []string `json:"Then"`
}

// Running is the record of a command that was started.
type Running struct {
	Supervisor int       `json:"supervisor"` // process ID, for people only: it may be reused
	PID        int       `json:"pid"`        // of the command, likewise
	Started    time.Time `json:"started"`
}

// Exit is the record of how a command ended.
type Exit struct {
	Code   int       `json:"code"`   // exit status; 128 + Signal if a signal ended the command
	Signal int       `json:"signal"` // 0 if the command exited
	Ended  time.Time `json:"ended"`

	// TimedOut reports that the command was killed because it ran for Task.MaxRuntime.
	TimedOut bool `json:"overdue,omitempty"`
}

// Errors that callers test for.
var (
	// ErrUnknownExit means that the supervisor ended without writing an exit record.
	ErrUnknownExit = errors.New("its supervisor is gone and left no exit record")

	// ErrEnded means that the command cannot be signalled because it has ended.
	ErrEnded = errors.New("it has ended")
)

// Requests are lines on the control fifo: a word and, after a space, an argument if the
// request has one.
const (
	signalRequest   = "signal"   // NUMBER: send this signal to the command
	unlistenRequest = "unlisten" // PROTO/ADDRESS:PORT: close this forward
	forgetRequest   = "forget"   // stop trying to write the exit record: nobody will read it
)

// Names in Task.Dir.
const (
	runningFile = "running.json"
	exitFile    = "exit.json"
	aliveFifo   = "alive"          // open for writing while the supervisor lives; see announceExit
	controlFifo = "control"        // requests to the supervisor
	logFile     = "supervisor.log" // the supervisor's standard error
)
