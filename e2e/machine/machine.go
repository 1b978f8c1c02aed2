// Package machine finds what pots leave behind on the machine that tests run on, and
// provides what the machine lacks for tests. It knows the machine and not the driver: it
// finds nothing that an operator could not find.
package machine

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// State is what the machine has, in words, by kind.
type State map[string][]string

// Since returns what s has and before does not have, a line each, sorted. Whatever has gone
// meanwhile does not matter: other programs run on the machine too.
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

// kept reports whether a file stays on purpose: images and their cache, the directories of
// the layout, and the record of the last address. rel is relative to the state directory.
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

// files returns the paths below dir, relative to it, of what does not stay on purpose. It
// follows no links.
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
