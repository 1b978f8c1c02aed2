// Package supervise runs a pot's command in a process of its own, which goes on
// when the one that asked for it (a Nomad plugin, a command line) is gone.
//
// The supervisor, pot-supervisor, is one small program per command. It holds
// the command's output open, waits for its end, and leaves an exit record in a
// directory that only root can look into. Whoever wants to know asks the
// directory: no process needs to be the supervisor's parent, and no process ID
// that the system may have given away again is ever signalled.
//
// Beside package flock it imports the standard library alone, so that hundreds of
// supervisors cost little memory.
package supervise

import (
	"errors"
	"net/netip"
	"time"
)

// Jail is where processes are started: what a host's Jails.Find answers.
type Jail struct {
	// ID is FreeBSD's jid, or the process ID of a Linux jail's first process.
	ID int `json:"id"`

	// StartTicks tells a process ID from one that was given away again: the start
	// time of the first process in clock ticks (proc(5), stat, field 22). It
	// is 0 on FreeBSD, where a jid is not reused while the jail is dying.
	StartTicks uint64 `json:"born,omitempty"`

	// Cgroups are the directories of the Linux control groups that processes
	// join before they run.
	Cgroups []string `json:"cgroups,omitempty"`
}

// Identity is whom a process runs as, by the numbers of the jail.
type Identity struct {
	UID    uint32   `json:"uid"`
	GID    uint32   `json:"gid"`
	Groups []uint32 `json:"groups,omitempty"`
}

// A Forward takes what arrives at Listen on the host to To.
type Forward struct {
	Proto  string         `json:"proto"` // "tcp" or "udp"
	Listen netip.AddrPort `json:"listen"`
	To     netip.AddrPort `json:"to"`
}

// Task is what a supervisor runs. It reaches the supervisor through a pipe and
// is never written down: Env may hold secrets.
type Task struct {
	Dir      string // the supervisor's own, root's alone: records and control
	Jail     Jail
	Argv     []string // the first is found by the PATH in Env if it has no slash
	Env      []string
	WorkDir  string // in the jail
	Identity Identity
	Stdout   string // a fifo or a file that exists, "" for /dev/null
	Stderr   string

	// OutputBytes bounds what is kept of each output, in a file: as much, and as much
	// again in another, whose name ends in RotatedSuffix. 0 is for outputs that are the
	// command's own, whatever they are.
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
	Supervisor int       `json:"supervisor"` // process ID, for people to look at
	PID        int       `json:"pid"`        // of the command, likewise
	Started    time.Time `json:"started"`
}

// Exit is the record of how a command ended.
type Exit struct {
	Code   int       `json:"code"`   // its exit status; 128 + Signal if a signal ended it
	Signal int       `json:"signal"` // 0 if none did
	Ended  time.Time `json:"ended"`

	// TimedOut is a command that was killed because Task.MaxRuntime had passed.
	TimedOut bool `json:"overdue,omitempty"`
}

// Errors that a caller tells apart.
var (
	// ErrUnknownExit is a command whose supervisor is gone without a record.
	ErrUnknownExit = errors.New("its supervisor is gone and left no exit record")

	// ErrEnded is a command that cannot be signalled: it is no more.
	ErrEnded = errors.New("it has ended")
)

// Orders are lines of the control fifo: a word and, if it has one, an argument.
const (
	signalRequest   = "signal"   // NUMBER, to the command
	unlistenRequest = "unlisten" // PROTO/ADDRESS:PORT, of a forward
	forgetRequest   = "forget"   // how the command has ended: nobody will ask
)

// Names in Task.Dir.
const (
	runningFile = "running.json"
	exitFile    = "exit.json"
	aliveFifo   = "alive"   // held open for writing while the supervisor lives; see announceExit
	controlFifo = "control" // lines that the supervisor obeys
	logFile     = "supervisor.log"
)
