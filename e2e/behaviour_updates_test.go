//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/image/build"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/image/xz"
)

// versions is the name of the images that updates change between: their file /version has
// the directory below the image server, and the tag.
const versions = "versions"

// updateBehaviours are deployments: how a new version of a job replaces the old one.
var updateBehaviours = []behaviour{
	{"a rolling update replaces allocations one by one by those with a new tag", updates("new-tag", "a", "2.0", "a 2.0\n")},
	{"a new URL with the same name and tag is another image", updates("new-url", "b", "1.0", "b 1.0\n")},
	{"a canary runs beside the old version until it is promoted", func(t *testing.T, b *bed) {
		id := b.register(t, versioned("promoted", "1", "canary = 1"))
		deployed(t, b.Cluster, id, 0)
		b.register(t, versioned("promoted", "2", "canary = 1"))
		var deployment *api.Deployment
		until(t, func() (err error) {
			deployment, _, err = b.Jobs().LatestDeployment(id, nil)
			if err == nil && (deployment.JobVersion != 1 || deployment.TaskGroups["group"].HealthyAllocs != 1) {
				err = fmt.Errorf("no healthy canary: %+v", deployment.TaskGroups["group"])
			}
			return err
		})
		must.Eq(t, []string{"1", "1", "2"}, b.versions(t, id))
		_, _, err := b.Deployments().PromoteAll(deployment.ID, nil)
		must.NoError(t, err)
		deployed(t, b.Cluster, id, 1)
		must.Eq(t, []string{"2", "2"}, b.versions(t, id))
	}},
	{"as many canaries as allocations are a blue and a green version", func(t *testing.T, b *bed) {
		const update = "canary = 2\nauto_promote = true"
		id := b.register(t, versioned("blue-green", "1", update))
		deployed(t, b.Cluster, id, 0)
		b.register(t, versioned("blue-green", "2", update))
		deployed(t, b.Cluster, id, 1)
		must.Eq(t, []string{"2", "2"}, b.versions(t, id))
	}},
	{"an update that fails is reverted by auto_revert", func(t *testing.T, b *bed) {
		const update = "auto_revert = true"
		id := b.register(t, versioned("reverted-auto", "1", update))
		deployed(t, b.Cluster, id, 0)
		bad := strings.Replace(versioned("reverted-auto", "2", update), `"/bin/hello"`, `"/bin/nothing"`, 1)
		b.register(t, bad)
		deployed(t, b.Cluster, id, 2)
		must.Eq(t, []string{"1", "1"}, b.versions(t, id))
	}},
	{"an update whose image does not exist leaves the old version running", func(t *testing.T, b *bed) {
		id := b.register(t, versioned("no-image", "1", ""))
		deployed(t, b.Cluster, id, 0)
		b.register(t, strings.Replace(versioned("no-image", "2", ""), `"1.0"`, `"9.9"`, 1))
		until(t, func() error {
			d, _, err := b.Jobs().LatestDeployment(id, nil)
			if err == nil && (d.JobVersion != 1 || d.Status != api.DeploymentStatusFailed) {
				err = fmt.Errorf("version %d is %s", d.JobVersion, d.Status)
			}
			return err
		})
		must.Eq(t, []string{"1"}, b.versions(t, id))
	}},
	{"a job is reverted to an earlier version", func(t *testing.T, b *bed) {
		id := b.register(t, versioned("reverted", "1", ""))
		deployed(t, b.Cluster, id, 0)
		b.register(t, versioned("reverted", "2", ""))
		deployed(t, b.Cluster, id, 1)
		_, _, err := b.Jobs().Revert(id, 0, nil, nil, "", "")
		must.NoError(t, err)
		deployed(t, b.Cluster, id, 2)
		must.Eq(t, []string{"1", "1"}, b.versions(t, id))
	}},
	{"an update that changes no task leaves the allocation as it is", func(t *testing.T, b *bed) {
		text := func(tag string) string {
			return service("in-place", `
    service {
      name     = "in-place"
      provider = "nomad"
      port     = "http"
      tags     = ["`+tag+`"]
    }`+webPort+helloTask("main", `"serve", ":8080"`, "", ""))
		}
		old := b.runs(t, text("one"))
		id := b.register(t, text("two"))
		b.service(t, "in-place", func(s *api.ServiceRegistration) error {
			if !slices.Equal(s.Tags, []string{"two"}) {
				return fmt.Errorf("tags %q", s.Tags)
			}
			return nil
		})
		now := b.running(t, id)
		must.Eq(t, old.ID, now.ID)
		must.Eq(t, 0, now.TaskStates["main"].Restarts)
	}},
}

// updates is a job whose two allocations are updated to the image of that tag below dir.
func updates(name, dir, tag, want string) func(*testing.T, *bed) {
	return func(t *testing.T, b *bed) {
		text := func(dir, tag string) string {
			text := strings.NewReplacer("var.image", fmt.Sprintf("%q", b.Images+"/"+dir), "var.pot", fmt.Sprintf("%q", versions),
				`"1.0"`, fmt.Sprintf("%q", tag)).Replace(versioned(name, "", ""))
			return text
		}
		id := b.register(t, text("a", "1.0"))
		deployed(t, b.Cluster, id, 0)
		b.register(t, text(dir, tag))
		deployed(t, b.Cluster, id, 1)
		all := running(t, b.Cluster, id)
		must.Len(t, 2, all)
		for _, alloc := range all {
			must.Eq(t, want, b.execs(t, alloc, "main", "cat", "/version"))
		}
	}
}

// versioned is a job with two allocations, of that version, and more lines of its update
// block.
func versioned(name, version, update string) string {
	return `
job "` + name + `" {
  update {
    max_parallel     = 1
    health_check     = "task_states"
    min_healthy_time = "100ms"
    healthy_deadline = "50s"
    # One failed allocation is a failed deployment.
    progress_deadline = "0s"
    ` + update + `
  }
  group "group" {
    count = 2
    restart {
      attempts = 0
      mode     = "fail"
    }` + helloTask("main", `"serve"`, "", `env { VERSION = "`+version+`" }`) + `
  }
}`
}

// versions returns the versions of the allocations of a job that run, sorted.
func (b *bed) versions(t *testing.T, id string) (all []string) {
	t.Helper()
	for _, alloc := range running(t, b.Cluster, id) {
		for line := range strings.Lines(b.execs(t, alloc, "main", "env")) {
			if version, ok := strings.CutPrefix(line, "VERSION="); ok {
				all = append(all, strings.TrimSpace(version))
			}
		}
	}
	slices.Sort(all)
	return all
}

// serveVersions builds the images of updates, with the program of a pot that runs, and has
// the image server serve them. It writes the names of the datasets that the client will have
// of them into names.
func (b *bed) serveVersions(t *testing.T, names []string) {
	t.Helper()
	alloc := b.runs(t, job{name: versions, kind: "service", config: hello(`"serve"`)}.hcl(b.Cluster))
	program := b.execs(t, alloc, "task", "cat", "/bin/hello")
	for i, v := range [][2]string{{"a", "1.0"}, {"a", "2.0"}, {"b", "1.0"}} {
		tree := t.TempDir()
		must.NoError(t, os.Mkdir(filepath.Join(tree, "bin"), 0o755))
		must.NoError(t, os.WriteFile(filepath.Join(tree, "bin/hello"), []byte(program), 0o755))
		must.NoError(t, os.WriteFile(filepath.Join(tree, "version"), []byte(v[0]+" "+v[1]+"\n"), 0o644))
		dir := filepath.Join(b.images, v[0])
		must.NoError(t, os.MkdirAll(dir, 0o755))
		files, err := build.Build(t.Context(), build.BuildOptions{
			Name: versions, Tag: v[1], Dir: dir, From: tree, AllRoot: true, Created: time.Unix(1_700_000_000, 0),
			Conf: conf.New{Command: "/bin/hello"}, XZ: xz.WriteOptions{Workers: 1, Level: 1},
		})
		must.NoError(t, err)
		name := versions + "_" + strings.ReplaceAll(v[1], ".", "_")
		if slices.Contains(names, name) {
			_, digits, _ := strings.Cut(files.Digest.String(), ":")
			name += "-" + digits[:16]
		}
		names[i] = name
	}
}
