package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
	"gopkg.in/yaml.v3"
)

// workflow is what the tests read of a file of .github/workflows.
type workflow struct {
	Permissions *map[string]string
	Concurrency *map[string]any
	Jobs        map[string]struct {
		Uses        string
		Timeout     int `yaml:"timeout-minutes"`
		Permissions *map[string]string
		Steps       []struct {
			Uses, Run string
			With      map[string]any
		}
	}
}

// workflows returns the workflows by the names of their files.
func workflows(t *testing.T) map[string]workflow {
	t.Helper()
	needSources(t)
	files, err := filepath.Glob("../.github/workflows/*.yml")
	must.NoError(t, err)
	must.SliceNotEmpty(t, files)
	all := map[string]workflow{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		must.NoError(t, err)
		var w workflow
		must.NoError(t, yaml.Unmarshal(data, &w), must.Sprint(file))
		all[filepath.Base(file)] = w
	}
	return all
}

// Workflows have no permissions but those that a job names, run no code that can change
// below them, end, and expand nothing of an event in a script.
func TestWorkflows(t *testing.T) {
	commit := regexp.MustCompile(`^[\w.-]+/[\w.-]+@[0-9a-f]{40}$`)
	for file, w := range workflows(t) {
		must.NotNil(t, w.Permissions, must.Sprint(file))
		must.MapEmpty(t, *w.Permissions, must.Sprint(file))
		must.NotNil(t, w.Concurrency, must.Sprint(file))
		for name, job := range w.Jobs {
			where := must.Sprintf("%s: %s", file, name)
			must.NotNil(t, job.Permissions, where)
			must.MapNotContainsKey(t, *job.Permissions, "actions", where)
			if job.Uses != "" {
				must.StrHasPrefix(t, "./.github/workflows/", job.Uses, where)
				continue
			}
			must.Positive(t, job.Timeout, where)
			builds := false
			for _, s := range job.Steps {
				if s.Uses != "" {
					must.RegexMatch(t, commit, s.Uses, where)
				}
				script, _ := s.With["run"].(string)
				must.StrNotContains(t, s.Run+script, "${{", where)
				builds = builds || strings.HasPrefix(s.Uses, "actions/checkout@")
			}
			if builds {
				must.Eq(t, map[string]string{"contents": "read"}, *job.Permissions, where)
			}
		}
	}
}

// Each target that a workflow makes exists, and the jobs of ci.yml make all steps of make ci.
func TestWorkflows_targets(t *testing.T) {
	data, err := os.ReadFile("../GNUmakefile")
	must.NoError(t, err)
	makefile := string(data)
	calls := regexp.MustCompile(`\bmake ([a-z][a-z0-9-]*)(?: [A-Z]+="?([a-z0-9 -]*)"?)?`)
	var steps []string
	for file, w := range workflows(t) {
		for _, job := range w.Jobs {
			for _, s := range job.Steps {
				for _, call := range calls.FindAllStringSubmatch(s.Run, -1) {
					must.StrContains(t, makefile, "\n"+call[1]+":", must.Sprintf("%s: %s", file, s.Run))
					if file == "ci.yml" && call[1] == "ci" {
						steps = append(steps, strings.Fields(call[2])...)
					}
				}
			}
		}
	}
	all := regexp.MustCompile(`(?m)^CI_STEPS := (.*)$`).FindStringSubmatch(makefile)
	must.Len(t, 2, all)
	slices.Sort(steps)
	want := strings.Fields(all[1])
	slices.Sort(want)
	must.Eq(t, want, slices.Compact(steps))
}

// fuzz.sh finds each function that go test can fuzz.
func TestFuzz_list(t *testing.T) {
	needSources(t)
	out, err := exec.Command("fuzz/fuzz.sh", "list").Output()
	must.NoError(t, err)
	listed := strings.Count(string(out), "\n")
	declared, err := exec.Command("git", "-C", "..", "grep", "-hE", `^func Fuzz.*testing\.F\)`, "--", "*_test.go").Output()
	if err != nil {
		t.Skip("needs git and its tree")
	}
	must.Eq(t, strings.Count(string(declared), "\n"), listed)
	must.StrContains(t, string(out), module+"/image/zstream FuzzExtract\n")
}
