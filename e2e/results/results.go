// Package results has what long tests have measured, as files that e2e/RESULTS.md is
// written from.
package results

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/host"
	"github.com/shirou/gopsutil/v3/mem"
)

// Result is one run of a long test.
type Result struct {
	Kind    string // such as "chaos"
	Key     string // what tells it from other runs of the kind, such as its seed
	Text    string // a line on how it ran and how it ended
	Machine string
	Commit  string // with "-dirty" if files were changed
	Date    time.Time
	Columns []string
	Rows    [][]string
}

// New returns a result of this machine and commit, with the time. root is the directory
// of the sources, or of the bundle.
func New(root, kind, key string) Result {
	return Result{Kind: kind, Key: key, Machine: machine(), Commit: commit(root), Date: time.Now().UTC()}
}

// Write writes the result into a file of dir. It replaces the result of the same kind, key
// and system.
func (r Result) Write(dir string) error {
	data, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	name := fmt.Sprintf("%s-%s-%s-%s.json", r.Kind, r.Key, runtime.GOOS, runtime.GOARCH)
	return os.WriteFile(filepath.Join(dir, name), append(data, '\n'), 0o644)
}

// Read returns the results in dir, by kind, machine and key.
func Read(dir string) ([]Result, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var all []Result
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var r Result
		if err := json.Unmarshal(data, &r); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Result) int {
		return strings.Compare(a.Kind+"\x00"+a.Machine+"\x00"+a.Key, b.Kind+"\x00"+b.Machine+"\x00"+b.Key)
	})
	return all, nil
}

// WriteMarkdown writes the table of the result, with a heading.
func (r Result) WriteMarkdown(w io.Writer) {
	fmt.Fprintf(w, "### %s %s\n\n%s\n\n", r.Kind, r.Key, r.Text)
	fmt.Fprintf(w, "%s UTC, commit %s, %s\n\n", r.Date.Format("2006-01-02 15:04"), r.Commit, r.Machine)
	row := func(cells []string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")) }
	row(r.Columns)
	row(slices.Repeat([]string{"---"}, len(r.Columns)))
	for _, cells := range r.Rows {
		row(cells)
	}
}

// machine returns what is known of this machine.
func machine() string {
	parts := []string{runtime.GOOS + "/" + runtime.GOARCH}
	if release, err := host.KernelVersion(); err == nil {
		parts = append(parts, release)
	}
	if info, err := cpu.Info(); err == nil && len(info) > 0 {
		parts = append(parts, info[0].ModelName)
	}
	parts = append(parts, fmt.Sprintf("%d cores", runtime.NumCPU()))
	if memory, err := mem.VirtualMemory(); err == nil {
		parts = append(parts, fmt.Sprintf("%.0f GiB", float64(memory.Total)/(1<<30)))
	}
	return strings.Join(parts, ", ")
}

// commit returns the commit of the sources or of the bundle in root.
func commit(root string) string {
	if data, err := os.ReadFile(filepath.Join(root, "commit")); err == nil {
		return strings.TrimSpace(string(data))
	}
	out, err := exec.Command("git", "-C", root, "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	commit := strings.TrimSpace(string(out))
	if changed, err := exec.Command("git", "-C", root, "status", "--porcelain").Output(); err != nil || len(changed) > 0 {
		commit += "-dirty"
	}
	return commit
}
