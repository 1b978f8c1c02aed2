//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/cluster"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/oci/ocitest"
	"nomad-driver-pot/image/xz"
	"nomad-driver-pot/image/zstream"
)

// containerImage returns a container image for this system that serves on port 8080 as user www.
func containerImage(t *testing.T) v1.Image {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	must.NoError(t, err)
	defer root.Close()
	_, err = zstream.Extract(t.Context(), xz.NewReader(bytes.NewReader(imagetest.Hello(""))), root, zstream.Options{})
	must.NoError(t, err)
	must.NoError(t, root.MkdirAll("m/etc", 0o755))
	must.NoError(t, root.WriteFile("m/etc/passwd", []byte("root:*:0:0::/root:/bin/sh\nwww:*:80:80::/nonexistent:/bin/sh\n"), 0o644))
	return ocitest.New(runtime.GOOS, runtime.GOARCH, v1.Config{
		Entrypoint: []string{"/bin/hello"}, Cmd: []string{"serve", ":8080"}, User: "www", WorkingDir: "/srv/app",
		Env: []string{"GREETING=from the image"}, ExposedPorts: map[string]struct{}{"8080/tcp": {}},
	}, ocitest.Layer(ocitest.Tree(filepath.Join(dir, "m"))))
}

// A container image of a registry runs as its configuration says, and is pulled once.
func TestJobs_containerImage(t *testing.T) {
	registry := ocitest.NewRegistry(t)
	image := containerImage(t)
	digest := registry.Push("team/app:1.0", image)
	c := newClusterWith(t, cluster.Config{}, "app_sha256-"+digest[len("sha256:"):][:16])
	layers, err := image.Layers()
	must.NoError(t, err)
	layer, err := layers[0].Digest()
	must.NoError(t, err)
	const group = `network {
		port "http" { to = 8080 }
	}`
	for _, tc := range []job{
		{name: "by-tag", pot: "app", tag: "1.0", image: "docker://" + registry.Host + "/team/app"},
		{name: "by-digest", pot: "app", tag: "1.0", image: "docker://" + registry.Host + "/team/app:1.0", config: fmt.Sprintf("digest = %q", digest)},
	} {
		tc.kind, tc.group = "service", group
		id, err := c.RunHCL(tc.hcl(c), "")
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
		code, said, err := c.Exec(ctx(t), alloc, "task", "/bin/hello", "id")
		must.NoError(t, err)
		must.Eq(t, 0, code)
		must.StrContains(t, said, "uid 80 gid 80 ")
		must.StrContains(t, said, "cwd /srv/app\n")
		_, said, err = c.Exec(ctx(t), alloc, "task", "/bin/hello", "env")
		must.NoError(t, err)
		must.StrContains(t, said, "GREETING=from the image\n")
		must.NoError(t, c.Purge(ctx(t), id))
		must.Eq(t, 1, registry.Gets(layer.String()))
	}
	id, err := c.RunHCL(job{name: "no-such-tag", pot: "app", tag: "2.0", image: "docker://" + registry.Host + "/team/app"}.hcl(c), "")
	must.NoError(t, err)
	alloc, err := c.Alloc(ctx(t), id, api.AllocClientStatusFailed)
	must.NoError(t, err)
	must.StrContains(t, cluster.Story(alloc), "/team/app:2.0: the registry has no such image")
}
