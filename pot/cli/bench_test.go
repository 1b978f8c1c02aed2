package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/base"
	"nomad-driver-pot/e2e/bench"
	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/image/build"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/xz"
	"nomad-driver-pot/pot/hosttest"
	"nomad-driver-pot/pot/run"
)

// countVariable names the file to which the program pot logs each command that it runs.
const countVariable = "POT_TEST_COMMANDS"

// countCommands makes this process log its commands to the file in countVariable.
func countCommands() {
	file := os.Getenv(countVariable)
	if file == "" {
		return
	}
	run.Observe = func(argv []string) {
		f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			panic(err)
		}
		defer f.Close()
		fmt.Fprintln(f, strings.Join(argv, " ")) // one write: goroutines do not mix
	}
}

// benchHost is a host on which commands are measured.
type benchHost struct {
	*scratch
	shell string // program of the shell tool; "" where it is not installed
	costs bench.Costs
}

func newBenchHost(b *testing.B) *benchHost {
	b.Helper()
	need.Have(b, "root", os.Geteuid() == 0)
	hosttest.Alone(b)
	program := hosttest.Build(b, "nomad-driver-pot/pot/supervise/pot-supervisor")
	s, err := openScratch(b.TempDir(), program)
	must.NoError(b, err)
	b.Cleanup(func() { must.NoError(b, s.close()) })
	h := &benchHost{scratch: s}
	if runtime.GOOS == "freebsd" && hasShellTool() {
		h.shell, err = s.copyShellTool()
		must.NoError(b, err)
	}
	return h
}

// measure runs a program with h's environment, and adds its cost to the costs of name, with
// the number of commands that it ran if it is pot.
func (h *benchHost) measure(b *testing.B, name, program string, args ...string) {
	b.Helper()
	noted := filepath.Join(h.work, "commands")
	must.NoError(b, os.WriteFile(noted, nil, 0o600))
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = h.work, append(os.Environ(), countVariable+"="+noted)
	for key, value := range h.env() {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	defer func() {
		if b.Failed() {
			b.Logf("%s: %s", name, said.String())
		}
	}()
	h.costs.Run(b, name, cmd)
	commands, err := os.ReadFile(noted)
	must.NoError(b, err)
	h.costs.Of(name).Commands = bytes.Count(commands, []byte("\n"))
}

// shellOut measures a shell command, and discards its output.
func (h *benchHost) shellOut(b *testing.B, name, command string) {
	b.Helper()
	h.measure(b, name, "sh", "-c", command+" >/dev/null")
}

// dataset creates a dataset and returns its mount point.
func (h *benchHost) dataset(b *testing.B, name string) string {
	b.Helper()
	dir := filepath.Join(h.state, name)
	if runtime.GOOS != "freebsd" {
		must.NoError(b, os.MkdirAll(dir, 0o755))
		return dir
	}
	h.zfs(b, "create", h.zfsRoot+"/"+name)
	return dir
}

// undataset destroys a dataset.
func (h *benchHost) undataset(b *testing.B, name string) {
	b.Helper()
	if runtime.GOOS != "freebsd" {
		must.NoError(b, os.RemoveAll(filepath.Join(h.state, name)))
		return
	}
	h.zfs(b, "destroy", "-rf", h.zfsRoot+"/"+name)
}

func (h *benchHost) zfs(b *testing.B, args ...string) {
	b.Helper()
	_, err := run.Host{}.Run(b.Context(), nil, append([]string{"zfs"}, args...)...)
	must.NoError(b, err)
}

// BenchmarkImport compares pot import of a cached image with xz(1) decoding it with one
// thread and with all, and on FreeBSD with zfs(8) receiving it from a file, and with
// the shell tool: "xwall" is the time of an import as a multiple of `xz -dc -T1`,
// "sys/user" its system time as a multiple of its user time.
func BenchmarkImport(b *testing.B) {
	leak.Check(b)
	_, err := exec.LookPath("xz")
	need.Have(b, "xz", err == nil)
	h := newBenchHost(b)
	tree := imagetest.Programs(b, bench.Bytes(b, 160<<20))
	// Blocks as the shell tool exports: xz -T0 -6, of three times the dictionary (xz(1)).
	a, err := build.Build(b.Context(), build.BuildOptions{
		Name: "bench", Tag: "1.0", Dir: h.work, From: tree, XZ: xz.WriteOptions{Workers: 2, Block: 24 << 20},
	})
	must.NoError(b, err)
	file, stream := filepath.Join(h.work, "bench_1.0.xz"), filepath.Join(h.work, "stream")
	onFreeBSD := runtime.GOOS == "freebsd"
	if onFreeBSD {
		h.shellOut(b, "xz -dc > FILE", "xz -dc "+file+" > "+stream+" ;")
	}
	importWith := func(name, program string) {
		h.measure(b, name, program, "import", "-p", "bench", "-t", "1.0", "-U", "file://"+h.work)
		h.measure(b, "destroy", "pot", "destroy", "-p", "bench_1_0")
	}
	importWith("first import", "pot")
	for b.Loop() {
		for range bench.Rounds() {
			h.shellOut(b, "xz -dc -T1", "exec xz -dc -T1 "+file)
			h.shellOut(b, "xz -dc -T0", "exec xz -dc -T0 "+file)
			importWith("import", "pot")
			if onFreeBSD {
				h.shellOut(b, "zfs receive < FILE", "exec zfs receive -u "+h.zfsRoot+"/received < "+stream)
				h.undataset(b, "received")
			}
			if h.shell != "" {
				importWith("shell tool's import", h.shell)
			}
		}
	}
	b.Logf("%d bytes of %d%s", a.Bytes, a.Stream, h.costs.Table("xz -dc -T1"))
	cost := h.costs.Of("import")
	b.ReportMetric(h.costs.Ratio("import", "xz -dc -T1"), "xwall")
	b.ReportMetric(h.costs.Ratio("import", "xz -dc -T0"), "xwall-T0")
	b.ReportMetric(bench.Median(cost.System).Seconds()/bench.Median(cost.User).Seconds(), "sys/user")
	if onFreeBSD {
		b.ReportMetric(float64(cost.Commands), "commands")
		b.ReportMetric(h.costs.Ratio("import", "zfs receive < FILE"), "xreceive")
	}
	if h.shell != "" {
		b.ReportMetric(h.costs.Ratio("import", "shell tool's import"), "xshell")
	}
}

// BenchmarkCreate compares pot create from an archive of this machine's own files with
// tar(1) extracting it into a dataset of the same pool: "xtar" is the multiple.
func BenchmarkCreate(b *testing.B) {
	leak.Check(b)
	for _, program := range []string{"tar", "xz"} {
		_, err := exec.LookPath(program)
		need.Have(b, program, err == nil)
	}
	h := newBenchHost(b)
	f, err := os.Create(filepath.Join(h.work, "base.tar"))
	must.NoError(b, err)
	n, err := base.Write(f, bench.Bytes(b, 160<<20))
	must.NoError(b, err)
	must.NoError(b, f.Close())
	h.shellOut(b, "xz", "xz -T0 -3 base.tar")
	must.NoError(b, os.Rename(filepath.Join(h.work, "base.tar.xz"), filepath.Join(h.work, "base.txz")))
	for b.Loop() {
		for range bench.Rounds() {
			h.measure(b, "tar -x", "tar", "-C", h.dataset(b, "tar"), "-xpf", "base.txz")
			h.undataset(b, "tar")
			h.measure(b, "create", "pot", "create", "-p", "bench", "-t", "single", "-b", "./base.txz")
			h.measure(b, "destroy", "pot", "destroy", "-p", "bench")
		}
	}
	b.Logf("%d bytes of files%s", n, h.costs.Table("tar -x"))
	b.ReportMetric(h.costs.Ratio("create", "tar -x"), "xtar")
	if runtime.GOOS == "freebsd" {
		b.ReportMetric(float64(h.costs.Of("create").Commands), "commands")
	}
}

// BenchmarkStart measures the commands that start a pot, sample its usage and stop it, on
// the host's network, and those of the shell tool, if it is installed, on the same pot.
// "xshell" are multiples of the shell tool's times.
func BenchmarkStart(b *testing.B) {
	leak.Check(b)
	h := newBenchHost(b)
	tree := b.TempDir()
	must.NoError(b, makeTree(tree, "sleep", "cat"))
	if version, err := os.ReadFile("/bin/freebsd-version"); err == nil { // the shell tool reads a pot's release there
		must.NoError(b, os.WriteFile(filepath.Join(tree, "bin/freebsd-version"), version, 0o755))
	}
	if h.shell != "" { // jail(8) starts it as root, which is looked up in there (exec.jail_user)
		accounts := "root::0:0::0:0:root:/root:/bin/sh\n"
		must.NoError(b, os.WriteFile(filepath.Join(tree, "etc/master.passwd"), []byte(accounts), 0o600))
		h.measure(b, "pwd_mkdb", "pwd_mkdb", "-d", filepath.Join(tree, "etc"), filepath.Join(tree, "etc/master.passwd"))
	}
	h.measure(b, "tar", "tar", "-C", tree, "-cf", "base.tar", ".")
	for _, args := range [][]string{
		{"create", "-p", "bench", "-t", "single", "-b", "./base.tar"},
		{"set-cmd", "-p", "bench", "-c", "cat /dev/null"}, // it is persistent: its jail stays
		{"set-attr", "-p", "bench", "-A", "no-rc-script", "-V", "YES"},
	} {
		h.measure(b, "prepare", "pot", args...)
	}
	programs := map[string]string{"": "pot"}
	if h.shell != "" {
		programs["shell tool's "] = h.shell
	}
	for b.Loop() {
		for range bench.Rounds() {
			for who, program := range programs {
				h.measure(b, who+"start", program, "start", "-p", "bench")
				if hasLimits() {
					h.measure(b, who+"sample", program, "get-rss", "-p", "bench", "-J")
				}
				h.measure(b, who+"stop", program, "stop", "-p", "bench")
			}
		}
	}
	b.Log(h.costs.Table("start"))
	for _, what := range []string{"start", "sample", "stop"} {
		cost := h.costs.Of(what)
		if len(cost.Wall) == 0 {
			continue
		}
		b.ReportMetric(float64(bench.Median(cost.Wall).Milliseconds()), what+"-ms")
		if runtime.GOOS == "freebsd" {
			b.ReportMetric(float64(cost.Commands), what+"-commands")
		}
		if h.shell != "" {
			b.ReportMetric(h.costs.Ratio(what, "shell tool's "+what), what+"-xshell")
		}
	}
}
