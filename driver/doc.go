// Package driver is Nomad's task driver for pots. It translates what Nomad's
// agent asks of a driver into images (package image) and pots (package pot),
// and translates back what becomes of them. Nomad's words (task, allocation,
// handle, fingerprint) are used here and nowhere else.
//
// The package is not a container runtime: it knows neither ZFS nor jails. It
// reaches them through a pot.Host, so its tests run on Linux as they do on
// FreeBSD. It does not start the plugin either: that is the main package.
//
// The plugin keeps no state that it could lose. A pot's name is derived from its
// task's ID (name.go), and everything else about a pot is on disk beside it. So
// the plugin may be killed, restarted or replaced while its tasks run.
//
// # Where to begin
//
// Each RPC of Nomad's plugins/base and plugins/drivers is in the file that has
// the code behind it:
//
//	PluginInfo, Capabilities, SetConfig   driver.go
//	ConfigSchema                          plugin_config.go: the operator's keys
//	TaskConfigSchema                      config.go: the job's keys
//	Fingerprint                           fingerprint.go
//	StartTask                             start.go: image, pot, command, in this order
//	RecoverTask                           recover.go, with the handle in state.go
//	WaitTask, InspectTask                 inspect.go
//	StopTask, DestroyTask                 stop.go
//	SignalTask                            signal.go
//	TaskStats                             stats.go, stats_collector.go
//	TaskEvents                            events.go
//	ExecTask, ExecTaskStreaming           exec.go
//
// StartTask first translates a job's task into a plan (plan.go), which has all
// that is wrong with the job (problems.go) or a pot.Spec. The parts of a plan
// have files of their own: ports.go, mounts.go, limits.go, labels.go, pull.go.
//
// Three things run beside the RPCs: the reconciler, which destroys pots that
// Nomad does not know and unused images (reconcile.go, unused_images.go); the
// watch for processes killed for want of memory (memory.go); and the collector
// of samples for TaskStats. All of them end with the plugin.
package driver
