//go:build e2e

package e2e

func init() {
	otherTests["tasks that join the network of another or of their group have one localhost"] = TestJobs_joined
	otherTests["a task ends with its machine, and starts again after a reboot"] = TestRecovery
	otherTests["secrets of a task are in no file, log or event of the driver"] = TestSecrets
	otherTests["a pull that was killed is continued"] = TestPull_killed
}
