package driver

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/imagetest"
)

// helloXZ is the real image's file.
const helloXZ = imagetest.HelloName + "_1.0.xz"

// refusedStarts are starts that must fail: a server with serve, or a job with config, args
// and change, is wrong. want is part of the error.
var refusedStarts = []struct {
	name        string
	serve       func(*imagetest.Server)
	config      string
	args        []string
	change      func(*drivers.TaskConfig)
	want        string // in the error
	recoverable bool
}{
	{name: "a digest that does not match the image", serve: func(s *imagetest.Server) { s.Put(helloXZ+".skein", imagetest.Skein(nil, nil)) },
		want: "image is not what was asked for: want skein1024:"},
	{name: "a digest that is not the job's", config: `digest = "skein1024:` + strings.Repeat("1", 256) + `"`,
		want: "image is not what was asked for: want skein1024:1111"},
	{name: "a truncated xz", serve: func(s *imagetest.Server) {
		s.Add(imagetest.HelloName, imagetest.HelloTag, imagetest.Hello("")[:400_000], imagetest.NoMeta)
	}, want: "cannot start task: decode " + helloXZ},
	{name: "garbage for xz", serve: func(s *imagetest.Server) {
		s.Add(imagetest.HelloName, imagetest.HelloTag, []byte("garbage"), imagetest.NoMeta)
	}, want: "cannot start task: decode " + helloXZ},
	{name: "an xz of something else", serve: func(s *imagetest.Server) {
		s.Add(imagetest.HelloName, imagetest.HelloTag, imagetest.XZ([]byte("this is no zfs send stream, but some text that is as long as a head")), imagetest.NoMeta)
	}, want: "cannot start task: import "},
	{name: "an image that is not there", serve: func(s *imagetest.Server) { s.Remove(helloXZ) }, want: "404"},
	{name: "a server that answers 503", serve: func(s *imagetest.Server) { s.Fail(helloXZ, imagetest.Status(503)) },
		want: "503", recoverable: true},
	{name: "a server that hangs up half way", serve: func(s *imagetest.Server) { s.Fail(helloXZ, imagetest.HangUp()) },
		want: "cannot start task: ", recoverable: true},
	{name: "a server that stalls", serve: func(s *imagetest.Server) { s.Fail(helloXZ, imagetest.Stall()) },
		want: "cannot start task: ", recoverable: true},
	{name: "an image that takes too long", config: `image_pull_timeout = "300ms"`,
		serve: func(s *imagetest.Server) { s.Fail(helloXZ, imagetest.Trickle(100*time.Millisecond)) },
		want:  "image pull timed out after 300ms", recoverable: true},
	{name: "an unknown network mode", config: `network_mode = "bridge"`, want: `config.network_mode: no such mode: "bridge"`},
	{name: "a port that is asked for twice", config: `ports = ["http", "http"]`, want: `config.ports[1]: "http" is listed twice`},
	{name: "a mount source that does not exist", config: `mount = ["/no/such:/data"]`, want: "config.mount[0]: source: no such path: /no/such"},
	{name: "a volume that does not exist", change: func(c *drivers.TaskConfig) {
		c.Mounts = []*drivers.MountConfig{{HostPath: "/no/such", TaskPath: "/data"}}
	}, want: "cannot start task: mount: /no/such on /data: "},
	{name: "a command that does not exist", config: `command = "/bin/nothing"`, want: "/bin/nothing"},
	{name: "a user that does not exist", args: []string{"sleep", "1h"}, change: func(c *drivers.TaskConfig) { c.User = "nobody-there" },
		want: `user "nobody-there"`},
	{name: "a directory that does not exist", config: `work_dir = "/nowhere"`, args: []string{"sleep", "1h"}, want: "/nowhere"},
	{name: "an image's name with a slash", config: `pot = "../x"`, want: "config.pot: must be letters"},
	{name: "a tag with a space", config: `tag = "1 0"`, want: "config.tag: must be letters"},
	{name: "a tag with a control character", config: `tag = "1\u0007"`, want: `config.tag: must be letters, digits, '.', '_' and '-', and begin with a letter, a digit or '_', not "1\a"`},
	{name: "a tag with dots", config: `tag = "1..0"`, want: "config.tag: must not have '..' in it"},
}

// A start that is refused returns a clear error, and leaves nothing behind.
func TestDriver_StartTask_refused(t *testing.T) {
	leak.Check(t, leak.Foreign)
	for _, tc := range refusedStarts {
		t.Run(tc.name+" is refused", func(t *testing.T) {
			b := newBed(t, "pull { stall_timeout = \"300ms\" }\nvolumes { enabled = true }")
			if tc.serve != nil {
				tc.serve(b.server)
			}
			b.unlogged = true
			cfg := b.task(t, tc.config, tc.args...)
			cfg.Resources.Ports = ports(structs.AllocatedPortMapping{Label: "http", Value: 28081})
			if tc.change != nil {
				tc.change(cfg)
			}
			_, _, err := b.StartTask(cfg)
			must.ErrorContains(t, err, tc.want)
			must.StrNotContains(t, err.Error(), "\n")
			must.Eq(t, tc.recoverable, structs.IsRecoverable(err), must.Sprint(err))
			nothingLeft(t, b.dir)
			cached, err := filepath.Glob(filepath.Join(b.dir, "cache", ".*"))
			must.NoError(t, err)
			cached = slices.DeleteFunc(cached, func(name string) bool { return strings.HasPrefix(filepath.Base(name), ".partial-") })
			must.SliceEmpty(t, cached)
		})
	}
}

// A port that another program holds is noticed when the command is started. That is the
// last step, so all of the pot must be destroyed again.
func TestDriver_StartTask_portTaken(t *testing.T) {
	leak.Check(t, leak.Foreign)
	b := newBed(t, "")
	b.unlogged = true
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	defer l.Close()
	cfg := b.task(t, "", "serve", ":8080")
	cfg.Resources.Ports = ports(structs.AllocatedPortMapping{
		Label: "http", Value: l.Addr().(*net.TCPAddr).Port, To: 8080, HostIP: "127.0.0.1"})
	_, _, err = b.StartTask(cfg)
	must.ErrorContains(t, err, fmt.Sprintf("%s: bind: address already in use", l.Addr()))
	nothingLeft(t, b.dir)
}
