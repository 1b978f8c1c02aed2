// Package e2e runs jobs as a user does: a real Nomad agent, the built plugin, real pots.
// It also holds the tests of the source tree as a whole.
//
// It is not for what one package can test alone. The behaviour of a task belongs to
// driver's tests, a host's to package hosttest, a command's to the scripts in
// pot/cli/testdata. A test is here if it needs the agent: recovery after a crash or an
// upgrade, signals and exec through Nomad's API, secrets, several tasks in a group.
//
// # Running
//
// The jobs need root and the build tag e2e:
//
//	make e2e                                      # build all, run all
//	make build nomad                              # then one test:
//	POT_BIN=$PWD/bin go test -tags e2e -count=1 -run TestRestart ./e2e
//
// POT_BIN is the directory with the agent (nomad), nomad-driver-pot and pot-supervisor.
// Each test has its own agents, ports and state directory, and fails if the machine has
// a mount, interface, process, dataset or file afterwards that it did not have before.
// One test at a time runs on a machine: others wait in hosttest.Alone.
//
// Without the tag, go test ./e2e checks the sources: which package imports which
// (tree_test.go; a new package needs a line there), that every test looks for what it
// leaks (leaks_test.go), the phrases that comments and messages avoid (prose_test.go),
// the table of runs on FreeBSD (seen_test.go), and README and docs/: their links, commands,
// keys, messages, and the blocks of commands that can be run (docs_*test.go); and CI's
// workflows (workflows_test.go).
//
// TestBehaviours has most of what jobs can ask for, on one cluster: a behaviour that needs
// no agent of its own is an entry of a list in behaviour_*_test.go.
//
// # Where to begin
//
// Read restart_test.go: it is short and uses most helpers. Job files come from the type
// job in cluster_test.go; package cluster starts agents and asks them. For a new test,
// copy one that is close. A test that needs Linux's files ends in _linux_test.go, and
// what a machine may lack is asked for with need.Have, so that CI cannot skip it.
//
// # Directories
//
//	agent    the module that the Nomad agent is built from
//	bundle   all tests in one archive, for a FreeBSD or Linux host without Go; SEEN.md lists its runs
//	cluster  agents, image server and job control, for these tests and the demo
//	demo     make demo: a job from start to end, for a reader
//	fuzz     make fuzz: each Fuzz function of the tree
//	linux    the bundle in a Debian of its own, in QEMU
//	report   make e2e-report: writes RESULTS.md
//	results  what long tests have measured, as files
//	steps    make ci: targets of make, and the seconds that each takes
//	tree     make tree: measures the sources
//	vm       machines for linux and zfs
//	zfs      images received by OpenZFS on Linux, in QEMU
package e2e
