//go:build e2e

package e2e

import "testing"

// otherTests are behaviours that have a test, and mostly a cluster, of their own.
var otherTests = map[string]func(*testing.T){
	"digest and signify_pubkey name the image and its key":                 TestExampleJobs,
	"a token of auth comes from a Nomad variable":                          TestExampleJobs,
	"mount_read_only mounts a directory of the client":                     TestExampleJobs,
	"tasks on a private bridge reach each other, and are discovered":       TestExampleJobs,
	"a job with port_map and ports of its resources runs unchanged":        TestExampleJobs,
	"cpu_hard_limit, limits.maxproc and no-tmpfs are the pot's":            TestExampleJobs,
	"a canary is promoted when its checks pass":                            TestExampleJobs,
	"a periodic job is launched by force":                                  TestExampleJobs,
	"image_pull_timeout ends a pull":                                       TestJobs_refused,
	"each task of a group publishes its own ports":                         TestJobs_groupPorts,
	"tasks of one image share one import":                                  TestJobs_sameImage,
	"address_mode driver is the pot's address":                             TestWords,
	"a task and its execs run as the task's user":                          TestWords,
	"a template that changes signals the task, or runs a script in it":     TestWords,
	"a dynamic host volume is mounted, and read-only where it says so":     TestWords,
	"kill_signal is the signal that a task gets, and logs can be disabled": TestWords_noLogs,
	"a task survives the death of plugin and agent":                        TestRestart,
	"how a task ended while no agent ran is reported":                      TestRestart_endsMeanwhile,
	"tasks survive an upgrade of the plugin":                               TestUpgrade,
	"an upgrade of the plugin can be taken back":                           TestDowngrade,
	"a start that the agent did not live to see is repeated":               TestStart_agentKilled,
}
