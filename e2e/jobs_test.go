//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/cluster"
	"nomad-driver-pot/e2e/machine"
	"nomad-driver-pot/image/imagetest"
)

// Jobs that come and go leave the machine as it was.
func TestJobs_comeAndGo(t *testing.T) {
	const (
		times = 20
		group = `network {
			port "http" { to = 8080 }
		}`
	)
	c := newCluster(t)
	before, err := machine.Look(c.StateDir())
	must.NoError(t, err)
	for i := range times {
		name := fmt.Sprintf("come-%d", i)
		id, err := c.RunHCL(job{name: name, kind: "service", group: group, config: hello(`"serve", ":8080"`)}.hcl(c), "")
		must.NoError(t, err)
		alloc, err := c.Alloc(ctx(t), id, api.AllocClientStatusRunning, api.AllocClientStatusFailed)
		must.NoError(t, err)
		must.Eq(t, api.AllocClientStatusRunning, alloc.ClientStatus, must.Sprint(cluster.Story(alloc)))
		port := alloc.AllocatedResources.Shared.Ports[0]
		until(t, func() error {
			resp, err := http.Get("http://" + net.JoinHostPort(port.HostIP, fmt.Sprint(port.Value)))
			if err == nil {
				resp.Body.Close()
			}
			return err
		})
		must.NoError(t, c.Purge(ctx(t), id))
	}
	must.NoError(t, c.Collect(ctx(t)))
	mustBeAsBefore(t, c, before)
}

// What cannot be started says why in the task's events, and leaves nothing.
func TestJobs_refused(t *testing.T) {
	const xz = imagetest.HelloName + "_" + imagetest.HelloTag + ".xz"
	c := newCluster(t)
	before, err := machine.Look(c.StateDir())
	must.NoError(t, err)
	// serve is an image server that is as change makes it.
	serve := func(change func(*imagetest.Server)) string {
		s := imagetest.NewServer(t)
		change(s)
		return s.URL
	}
	// An ill image has a name of its own: the file of another job's, with the same
	// digest, would do in its place.
	ill := func(name string, f imagetest.Fault) string {
		return serve(func(s *imagetest.Server) {
			s.Add(name, imagetest.HelloTag, imagetest.Hello(""), imagetest.NoMeta)
			s.Fail(name+"_"+imagetest.HelloTag+".xz", f)
		})
	}
	is := func(data []byte) string {
		return serve(func(s *imagetest.Server) { s.Add(imagetest.HelloName, imagetest.HelloTag, data, imagetest.NoMeta) })
	}
	text := strings.Repeat("this is no zfs send stream, but some text that is longer than a record. ", 10)
	type refusedCase struct {
		job
		want string
	}
	refused := []refusedCase{
		{job{name: "digest", image: serve(func(s *imagetest.Server) { s.Put(xz+".skein", imagetest.Skein(nil, nil)) })},
			"image is not what was asked for: want skein1024:"},
		{job{name: "garbage", image: is([]byte("garbage"))}, "cannot start task: decode " + xz},
		{job{name: "text", image: is(imagetest.XZ([]byte(text)))}, "cannot start task: import "},
		{job{name: "missing", pot: "nothing"}, "404"},
		{job{name: "hangs-up", pot: "hangs-up", image: ill("hangs-up", imagetest.HangUp())}, "cannot start task: "},
		{job{name: "stalls", pot: "stalls", image: ill("stalls", imagetest.Stall()), config: `image_pull_timeout = "1s"`}, "image pull timed out after 1s"},
		{job{name: "mode", config: `network_mode = "bridge"`}, `config.network_mode: no such mode: "bridge"`},
		{job{name: "port", config: `ports = ["http", "http"]`, group: `network {
			port "http" {}
		}`}, `config.ports[1]: "http" is listed twice`},
		{job{name: "mount", config: `mount = ["/no/such:/data"]`}, "config.mount[0]: "},
		{job{name: "command", config: `command = "/bin/nothing"`}, "/bin/nothing"},
		{job{name: "slash", pot: "a/b"}, "config.pot: must be letters"},
		{job{name: "dots", tag: "1..0"}, "config.tag: must not have '..' in it"},
		{job{name: "space", tag: "1 0"}, "config.tag: must be letters"},
	}
	for _, tc := range refused { // all at once: each has seconds to wait in Nomad
		_, err := c.RunHCL(tc.hcl(c), "")
		must.NoError(t, err)
	}
	for i, tc := range append(refused, refusedCase{
		job{name: "truncated", image: is(imagetest.Hello("")[:400_000])}, "cannot start task: decode " + xz,
	}) {
		if i == len(refused) { // alone: two images with one snapshot are not imported at once
			_, err := c.RunHCL(tc.hcl(c), "")
			must.NoError(t, err)
		}
		t.Run(tc.name, func(t *testing.T) {
			alloc, err := c.Alloc(ctx(t), tc.name, api.AllocClientStatusFailed, api.AllocClientStatusComplete)
			must.NoError(t, err)
			must.Eq(t, api.AllocClientStatusFailed, alloc.ClientStatus)
			var said []string
			for _, e := range alloc.TaskStates["task"].Events {
				if e.Type == api.TaskDriverFailure {
					said = append(said, e.DisplayMessage)
				}
			}
			must.StrContains(t, strings.Join(said, "\n"), tc.want, must.Sprint(cluster.Story(alloc)))
		})
	}
	stopJobs(ctx(t), t, c)
	mustBeAsBefore(t, c, before)
}

// Two tasks of an image that is not there yet share one import.
func TestJobs_sameImage(t *testing.T) {
	c := newCluster(t)
	var ids []string
	for _, name := range []string{"one", "two", "three"} {
		id, err := c.RunHCL(job{name: name, config: hello(`"exit", "0"`)}.hcl(c), "")
		must.NoError(t, err)
		ids = append(ids, id)
	}
	begun := time.Now()
	for _, id := range ids {
		alloc, err := c.Alloc(ctx(t), id, api.AllocClientStatusComplete, api.AllocClientStatusFailed)
		must.NoError(t, err)
		must.Eq(t, api.AllocClientStatusComplete, alloc.ClientStatus, must.Sprint(cluster.Story(alloc)))
	}
	t.Logf("three tasks ended after %s", time.Since(begun))
}
