//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/need"
	"nomad-driver-pot/image/imagetest"
)

// configBehaviours are the keys of a task's config block.
var configBehaviours = []behaviour{
	{"a task without a command runs the image's own", func(t *testing.T, b *bed) {
		alloc := b.runs(t, job{name: "image-command", kind: "service"}.hcl(b.Cluster))
		_, err := b.Says(ctx(t), alloc, "task", "serving on")
		must.NoError(t, err)
	}},
	{"a command is found in PATH, and each of args is one argument", func(t *testing.T, b *bed) {
		out := b.prints(t, job{name: "args", config: `
			command = "hello"
			args    = ["args", "two words", "*", "$$HOME", "", "a\"b"]`})
		must.Eq(t, `0 "/bin/hello"
1 "args"
2 "two words"
3 "*"
4 "$$HOME"
5 ""
6 "a\"b"
`, strings.Replace(out, `0 "hello"`, `0 "/bin/hello"`, 1))
	}},
	{"work_dir and hostname are the command's", func(t *testing.T, b *bed) {
		out := b.prints(t, job{name: "place", config: hello(`"id"`) + `
			work_dir = "/alloc/data"
			hostname = "behave-1"`})
		must.StrContains(t, out, "host behave-1 ")
		must.StrContains(t, out, " cwd /alloc/data\n")
	}},
	{"a digest that is not the image's is refused", func(t *testing.T, b *bed) {
		alloc := b.ends(t, job{name: "wrong-digest", config: fmt.Sprintf(`digest = "skein1024:%0256d"`, 1)}.hcl(b.Cluster),
			api.AllocClientStatusFailed)
		b.tells(t, alloc, "image is not what was asked for: want skein1024:")
	}},
	{"force_pull asks the server for an image that the client has", func(t *testing.T, b *bed) {
		server := imagetest.NewServer(t)
		gets := func(name, config string) int {
			before := server.Gets(imagetest.HelloFile + ".skein")
			b.ends(t, job{name: name, image: server.URL, config: hello(`"exit", "0"`) + config}.hcl(b.Cluster), api.AllocClientStatusComplete)
			return server.Gets(imagetest.HelloFile+".skein") - before
		}
		gets("pull-first", "")
		must.Eq(t, 0, gets("pull-known", ""))
		must.Positive(t, gets("pull-forced", "\nforce_pull = true"))
	}},
	{"user name and password of auth are sent to the image's server", guarded("auth-user", `
		auth {
			username = "puller"
			password = "s3cret"
		}`, func(r *http.Request) bool {
		user, password, ok := r.BasicAuth()
		return ok && user == "puller" && password == "s3cret"
	})},
	{"the header of auth is sent to the image's server", guarded("auth-header", `
		auth {
			header = "X-Token: s3cret"
		}`, func(r *http.Request) bool { return r.Header.Get("X-Token") == "s3cret" })},
	{"auth_soft_fail asks without credentials that were refused", guarded("auth-soft", `
		auth {
			username = "nobody"
			password = "wrong"
		}
		auth_soft_fail = true`, func(r *http.Request) bool { return r.Header.Get("Authorization") == "" })},
	{"extra_hosts are lines of the pot's hosts file", func(t *testing.T, b *bed) {
		out := b.prints(t, job{name: "hosts", config: hello(`"cat", "/etc/hosts"`) + "\n" + `extra_hosts = ["db:10.192.0.20", "db6:2001:db8::1"]`})
		must.StrContains(t, strings.Join(strings.Fields(out), " "), "10.192.0.20 db")
		must.StrContains(t, strings.Join(strings.Fields(out), " "), "2001:db8::1 db6")
	}},
	{"mount has a file of the task and a directory of the client in the pot", func(t *testing.T, b *bed) {
		alloc := b.runs(t, job{name: "mounts", config: hello(`"serve", ":8080"`) + fmt.Sprintf(`
			mount           = ["/local/motd:/etc/motd", "%s:/data"]
			mount_read_only = ["%[1]s:/seen"]`, b.data), task: `
			template {
				data        = "good morning"
				destination = "local/motd"
			}`}.hcl(b.Cluster))
		must.Eq(t, "good morning", strings.TrimSpace(b.execs(t, alloc, "task", "cat", "/etc/motd")))
		b.execs(t, alloc, "task", "write", "/data/by-mounts", "written")
		must.Eq(t, "written\n", b.execs(t, alloc, "task", "cat", "/seen/by-mounts"))
		data, err := os.ReadFile(filepath.Join(b.data, "by-mounts"))
		must.NoError(t, err)
		must.Eq(t, "written\n", string(data))
		code, out, err := b.Exec(ctx(t), alloc, "task", "/bin/hello", "write", "/seen/by-mounts", "x")
		must.NoError(t, err)
		must.Eq(t, 1, code)
		must.StrContains(t, out, "read-only file system")
	}},
	{"a directory that the operator does not allow is not mounted", func(t *testing.T, b *bed) {
		alloc := b.ends(t, job{name: "mount-refused", config: `mount = ["/etc:/data"]`}.hcl(b.Cluster), api.AllocClientStatusFailed)
		b.tells(t, alloc, "config.mount[0]: ")
	}},
	{"copy puts a file of the task into the pot, which may change it", func(t *testing.T, b *bed) {
		alloc := b.runs(t, job{name: "copy", config: hello(`"serve", ":8080"`) + "\n" + `copy = ["/local/motd:/etc/motd"]`, task: `
			template {
				data        = "good morning"
				destination = "local/motd"
			}`}.hcl(b.Cluster))
		must.Eq(t, "good morning", strings.TrimSpace(b.execs(t, alloc, "task", "cat", "/etc/motd")))
		b.execs(t, alloc, "task", "write", "/etc/motd", "changed")
		must.Eq(t, "good morning", strings.TrimSpace(b.execs(t, alloc, "task", "cat", "/local/motd")))
	}},
	{"exec_stop runs in the pot before the task is stopped", func(t *testing.T, b *bed) {
		text := job{name: "exec-stop", config: hello(`"serve", ":8080"`) + "\n" + `attributes = ["exec_stop:/bin/hello write /alloc/data/stop it ran"]`}.hcl(b.Cluster)
		alloc := b.runs(t, text)
		must.NoError(t, b.Purge(ctx(t), "exec-stop"))
		b.file(t, alloc, "alloc/data/stop", "it ran\n")
	}},
	{"an attribute that the operator does not allow is refused", func(t *testing.T, b *bed) {
		alloc := b.ends(t, job{name: "attribute", config: `attributes = ["mlock:YES"]`}.hcl(b.Cluster), api.AllocClientStatusFailed)
		b.tells(t, alloc, "config.attributes")
	}},
	{"limits.wallclock ends a command", func(t *testing.T, b *bed) {
		alloc := b.ends(t, job{name: "wallclock", config: hello(`"sleep", "1h"`) + `
			limits {
				wallclock = "1s"
			}`}.hcl(b.Cluster), api.AllocClientStatusFailed)
		b.tells(t, alloc, "wallclock")
	}},
	{"a task that takes more than its memory is killed, and an event names the limit", func(t *testing.T, b *bed) {
		needLimits(t, b)
		alloc := b.ends(t, job{name: "memory", config: hello(`"eat", "128"`)}.hcl(b.Cluster), api.AllocClientStatusFailed)
		b.tells(t, alloc, "32 MiB")
		must.StrContains(t, strings.ToLower(fmt.Sprint(terminated(t, alloc).Details)), "oom_killed:true")
	}},
	{"memory_max is what a task may take, and a task may change its own resources", func(t *testing.T, b *bed) {
		needLimits(t, b)
		text := job{name: "memory-max", config: hello(`"eat", "60"`)}.hcl(b.Cluster)
		alloc := b.runs(t, strings.Replace(text, "memory = 32", "memory = 32\nmemory_max = 128", 1))
		_, err := b.Says(ctx(t), alloc, "task", "ate 60 MiB")
		must.NoError(t, err)
	}},
	{"a task with cores has cores of its own", func(t *testing.T, b *bed) {
		if len(b.node(t).NodeResources.Cpu.ReservableCpuCores) == 0 {
			t.Skip("the agent knows no cores of this machine")
		}
		text := job{name: "cores", config: hello(`"env"`)}.hcl(b.Cluster)
		alloc := b.ends(t, strings.Replace(text, "cpu    = 20", "cores = 1", 1), api.AllocClientStatusComplete)
		out, err := b.Says(ctx(t), alloc, "task", "NOMAD_CPU_CORES=")
		must.NoError(t, err)
		must.RegexMatch(t, regexp.MustCompile(`(?m)^NOMAD_CPU_CORES=\d+$`), out)
	}},
	{"keys that a host lacks are refused by name, and others are limits", func(t *testing.T, b *bed) {
		text := job{name: "host-keys", config: hello(`"exit", "0"`) + `
			limits {
				openfiles = 1000
				readbps   = "10MiB"
				writebps  = "10MiB"
				readiops  = 500
				writeiops = 500
				disk      = "64MiB"
			}`}.hcl(b.Cluster)
		if runtime.GOOS == "freebsd" {
			needLimits(t, b)
			b.ends(t, text, api.AllocClientStatusComplete)
			return
		}
		alloc := b.ends(t, text, api.AllocClientStatusFailed)
		for _, key := range []string{"openfiles", "readbps", "writebps", "readiops", "writeiops", "disk"} {
			b.tells(t, alloc, "config.limits."+key)
		}
	}},
	{"all that is wrong with a config block is told at once, by key", func(t *testing.T, b *bed) {
		alloc := b.ends(t, job{name: "all-wrong", config: hello(`"exit", "0"`) + `
			work_dir     = "www"
			hostname     = "no name"
			extra_hosts  = ["db"]
			network_mode = "overlay"`}.hcl(b.Cluster), api.AllocClientStatusFailed)
		for _, key := range []string{"work_dir", "hostname", "extra_hosts[0]", "network_mode"} {
			b.tells(t, alloc, "config."+key+": ")
		}
	}},
}

// guarded is a job whose image's server refuses requests that are not ok.
func guarded(name, config string, ok func(*http.Request) bool) func(*testing.T, *bed) {
	return func(t *testing.T, b *bed) {
		server := imagetest.NewServer(t)
		server.Guard(ok)
		b.ends(t, job{name: name, image: server.URL, config: hello(`"exit", "0"`) + config}.hcl(b.Cluster), api.AllocClientStatusComplete)
		alloc := b.ends(t, job{name: name + "-without", image: server.URL, config: hello(`"exit", "0"`) + `
			force_pull = true
			auth {
				header = "Authorization: Bearer wrong"
			}`}.hcl(b.Cluster), api.AllocClientStatusFailed)
		b.tells(t, alloc, "401")
	}
}

// needLimits skips the test if the host cannot limit what a pot takes.
func needLimits(t *testing.T, b *bed) {
	t.Helper()
	has := b.node(t).Attributes["driver.pot.limits"]
	need.Have(t, "limits", has != "" && has != "false")
}

// terminated returns the last event that says how the allocation's task ended.
func terminated(t *testing.T, alloc *api.Allocation) (last *api.TaskEvent) {
	t.Helper()
	for _, e := range alloc.TaskStates["task"].Events {
		if e.Type == api.TaskTerminated {
			last = e
		}
	}
	must.NotNil(t, last)
	return last
}
