//go:build linux || freebsd

package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// soon is when output must have come that was written before a command ended. A process
// that a test has left behind may keep the pipe open for ever.
func soon() time.Time { return time.Now().Add(time.Second) }

// basePath is where FreeBSD's and Debian's base systems and packages keep programs: what
// root's PATH may lack, as below sudo.
const basePath = "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"

// defaultBenchBytes is the input of benchmarks where POT_BENCH_BYTES is not set: as much
// as an emulated machine works through in a few minutes.
const defaultBenchBytes = "33554432"

// prepareHost loads what the tests need, and says in the environment what this host has:
// POT_TEST_REQUIRE, which no test may skip for want of, and POT_TEST_EXTIF, the uplink.
// What the caller has set stays. A host without limits is allowed: kern.racct.enable takes
// effect only after a restart.
func prepareHost() {
	os.Setenv("PATH", cmp.Or(os.Getenv("PATH"), basePath)+":"+basePath)
	os.Setenv("POT_BENCH_BYTES", cmp.Or(os.Getenv("POT_BENCH_BYTES"), defaultBenchBytes))
	require := "root,limits"
	if runtime.GOOS == "freebsd" {
		for _, module := range []string{"zfs", "if_bridge", "if_epair", "nullfs"} {
			said("kldload", "-n", module)
		}
		if said("sysctl", "-n", "kern.racct.enable") != "1" {
			require = "root"
		}
		if os.Getenv("POT_TEST_EXTIF") == "" {
			os.Setenv("POT_TEST_EXTIF", uplink(said("route", "-n", "get", "default")))
		}
	}
	os.Setenv("POT_TEST_REQUIRE", cmp.Or(os.Getenv("POT_TEST_REQUIRE"), require))
}

// uplink is the interface of the default route, as route(8) prints it; "" if there is none.
func uplink(route string) string {
	for line := range strings.Lines(route) {
		if key, value, found := strings.Cut(strings.TrimSpace(line), ": "); found && key == "interface" {
			return value
		}
	}
	return ""
}

// said is what a command printed, trimmed; "" if it failed. It is for facts that may be
// missing.
func said(argv ...string) string {
	out, err := exec.Command(argv[0], argv[1:]...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// describeHost keeps in results what the host is. A failure can then be read without the
// host.
func describeHost(results string) error {
	facts := [][]string{{"uname", "-a"}, {"xz", "--version"}}
	switch runtime.GOOS {
	case "freebsd":
		facts = append(facts, []string{"freebsd-version", "-ku"}, []string{"zfs", "version"}, []string{"kldstat"},
			[]string{"sysctl", "kern.racct.enable", "kern.features.vimage", "hw.model", "hw.ncpu", "hw.physmem"})
	case "linux":
		facts = append(facts, []string{"cat", "/etc/os-release"}, []string{"grep", "cgroup", "/proc/mounts"})
	}
	var text strings.Builder
	for _, argv := range facts {
		fmt.Fprintf(&text, "$ %s\n%s\n", strings.Join(argv, " "), said(argv...))
	}
	for _, name := range []string{"POT_TEST_REQUIRE", "POT_TEST_EXTIF", "POT_BENCH_BYTES"} {
		fmt.Fprintf(&text, "%s=%s\n", name, os.Getenv(name))
	}
	return os.WriteFile(filepath.Join(results, "host.log"), []byte(text.String()), 0o644)
}
