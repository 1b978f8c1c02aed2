// Package machine looks at the machine that tests run on, for what pots could
// leave behind there, and gives them what it lacks. It knows the machine, not
// the driver: what it finds, any operator could.
package machine

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// State is what the machine holds, in words, by kind.
type State map[string][]string

// Since is what s has and before has not, a line each, sorted.
func (s State) Since(before State) []string {
	var all []string
	for kind, now := range s {
		for _, what := range now {
			if !slices.Contains(before[kind], what) {
				all = append(all, fmt.Sprintf("%s %s", kind, what))
			}
		}
	}
	slices.Sort(all)
	return all
}

// kept is what stays on purpose: images and their cache, the directories of the
// layout, and which address was given out last.
func kept(rel string, images []string) bool {
	for _, i := range images {
		if rel == "labels/"+i || rel == "jails/"+i || strings.HasPrefix(rel, "jails/"+i+"/") {
			return true
		}
	}
	switch rel {
	case ".", "host/jails":
		return true
	}
	if strings.HasPrefix(rel, "addresses/last-") {
		return true
	}
	top, _, deep := strings.Cut(rel, "/")
	return !deep || top == "cache"
}

func files(dir string, images []string) ([]string, error) {
	var all []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if !kept(rel, images) {
			all = append(all, rel)
		}
		return nil
	})
	return all, err
}
