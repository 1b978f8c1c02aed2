package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/need"
)

// seenRow is a row of SEEN.md, as the bundle's run prints it.
var seenRow = regexp.MustCompile(`^\| (\d{4}-\d{2}-\d{2} \d{2}:\d{2}) \| ([0-9a-f]{12}) \| (\d+\.\d+-\w+(?:-p\d+)?) \| (amd64|arm64) \| ([^|]+) \| (\d+/\d+/\d+) \| (.*) \|$`)

// seenStep is a step in a row, with its tests passed/failed/skipped.
var seenStep = regexp.MustCompile(`^(unit|host|cli|driver|e2e|demo|bench) (\d+)/(\d+)/(\d+)$`)

// seenFailure is a test that failed in the run of a row.
var seenFailure = regexp.MustCompile(`^- (\S+ \S+ [0-9a-f]{12}): (\w+): \S`)

// parseSeen returns the commits of a table of runs, in order, or what is wrong with it.
func parseSeen(text string) (commits []string, err error) {
	_, table, found := strings.Cut(text, "\n|---|---|---|---|---|---|---|\n")
	if !found {
		return nil, errors.New("no table of seven columns")
	}
	table, below, found := strings.Cut(table, "\n## Failed\n")
	if !found {
		return nil, errors.New(`no heading "Failed"`)
	}
	wrong := func(line, format string, args ...any) {
		err = errors.Join(err, fmt.Errorf("%s: %s", line, fmt.Sprintf(format, args...)))
	}
	named := map[string]int{} // failures below the table, by run and step
	for line := range strings.Lines(below) {
		line = strings.TrimSpace(line)
		switch m := seenFailure.FindStringSubmatch(line); {
		case m != nil:
			named[m[1]+" "+m[2]]++
		case line != "":
			wrong(line, "not the line of a test that failed")
		}
	}
	for line := range strings.Lines(table) {
		if line = strings.TrimSuffix(line, "\n"); line == "" {
			continue
		}
		m := seenRow.FindStringSubmatch(line)
		if m == nil {
			wrong(line, "not a row of a run; one of a tree with changes has no place here")
			continue
		}
		commits = append(commits, m[2])
		var total [3]int
		for _, text := range strings.Split(m[5], ", ") {
			s := seenStep.FindStringSubmatch(text)
			if s == nil {
				wrong(line, "%q is not a step with its counts", text)
				continue
			}
			for i := range total {
				n, _ := strconv.Atoi(s[2+i])
				total[i] += n
				if run := m[1] + " " + m[2] + " " + s[1]; i == 1 && named[run] != n {
					wrong(line, "%d tests of step %s failed, and %d are named below the table", n, s[1], named[run])
				}
			}
		}
		if sum := fmt.Sprintf("%d/%d/%d", total[0], total[1], total[2]); sum != m[6] {
			wrong(line, "the steps have %s, and the total is %s", sum, m[6])
		}
	}
	return commits, err
}

// The table of runs on FreeBSD is as the runs print it, each of a commit of this history.
func TestSeen(t *testing.T) {
	text, err := os.ReadFile("SEEN.md")
	must.NoError(t, err)
	commits, err := parseSeen(string(text))
	must.NoError(t, err)
	_, err = exec.LookPath("git")
	need.Have(t, "git", err == nil)
	git := func(args ...string) (string, error) {
		out, err := exec.Command("git", args...).Output()
		return strings.TrimSpace(string(out)), err
	}
	shallow, err := git("rev-parse", "--is-shallow-repository")
	if err != nil || shallow != "false" {
		t.Skip("needs the whole history of the repository")
	}
	for _, commit := range commits {
		_, err := git("merge-base", "--is-ancestor", commit, "HEAD")
		must.NoError(t, err, must.Sprintf("%s: not a commit of this history", commit))
	}
}

func TestParseSeen(t *testing.T) {
	table := func(lines ...string) string {
		return "# Runs\n\n| date |\n|---|---|---|---|---|---|---|\n" + strings.Join(lines, "\n") + "\n"
	}
	const good = "| 2026-11-27 09:05 | fb981e2ab123 | 14.2-RELEASE | amd64 | unit 10/0/2, host 5/1/0 | 15/1/2 | Life 9 commands/op |"
	const failure = "- 2026-11-27 09:05 fb981e2ab123: host: TestHost/Ports: see results/host.log"
	commits, err := parseSeen(table(good, "\n## Failed\n\n"+failure))
	must.NoError(t, err)
	must.Eq(t, []string{"fb981e2ab123"}, commits)

	for name, tc := range map[string]struct{ text, err string }{
		"no table":                 {"# Runs\n", "no table of seven columns"},
		"no failures' heading":     {table(good), `no heading "Failed"`},
		"a tree with changes":      {table(strings.Replace(good, "ab123", "ab123-dirty", 1), "\n## Failed\n"), "not a row of a run"},
		"a row by hand":            {table("| today | fb981e2 | 14.2 | amd64 | all | all passed | fast |", "\n## Failed\n"), "not a row of a run"},
		"a step nobody knows":      {table(strings.Replace(good, "unit", "everything", 1), "\n## Failed\n", failure), `"everything 10/0/2" is not a step`},
		"a total that is not it":   {table(strings.Replace(good, "15/1/2", "15/0/2", 1), "\n## Failed\n", failure), "the steps have 15/1/2, and the total is 15/0/2"},
		"a failure without a name": {table(good, "\n## Failed\n"), "1 tests of step host failed, and 0 are named below"},
		"anything else":            {table(good, "\n## Failed\n", failure, "it was the network"), "not the line of a test that failed"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseSeen(tc.text)
			must.ErrorContains(t, err, tc.err)
		})
	}
}
