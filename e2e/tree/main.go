// Tree measures the sources: what a newcomer has to read, and in which order.
//
//	go run ./e2e/tree [DIR]
//
// It prints three tables, of DIR or of the current directory. It needs Go, and no
// network once the module's dependencies are there, and changes nothing.
//
// # Packages
//
// One row for each package: its files and lines without tests, of these lines how many
// have code and how many nothing but a comment, their quotient, the lines of its
// tests, and its exported names (types, functions, constants and variables; no
// methods or fields). Then median, 90th centile and maximum of the lines of a file
// and of a function. Files of every system are counted.
//
// # Houses
//
// A house is a directory with more than ten files, or with Go files and packages
// below it. Its rooms are its entries: each file is a room, and each directory is one
// room, however many packages it holds. Tests are not counted.
//
// An arrow runs from a room that uses a name (a type, function, method, field,
// constant or variable) to the room that declares it, once for each pair of rooms.
//
//	up     the longest way up: rooms on the longest chain of arrows, a cycle counting as one room
//	knot   rooms in the largest cycle: none of them can be understood without the others
//	back   arrows that run back up: a depth-first walk in the order of names meets
//	       them leading to a room that it has not left yet; none if there is no cycle
//
// Arrows are what FreeBSD and Linux, each with its files, have together. On commit
// fb981e2 the house pot has 54 rooms, 334 arrows and 56 that run back up.
//
// # Longest
//
// Where the longest file and the longest function of each package are.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// minFiles is how many files a package has to have to be a house of its own.
const minFiles = 10

func main() {
	flag.Parse()
	dir := cmp.Or(flag.Arg(0), ".")
	if err := write(os.Stdout, dir); err != nil {
		fmt.Fprintln(os.Stderr, "tree: cannot measure "+dir+":", err)
		os.Exit(1)
	}
}

func write(w io.Writer, dir string) error {
	packages, err := measure(dir)
	if err != nil {
		return err
	}
	uses := map[use]bool{}
	for _, system := range []string{"freebsd", "linux"} {
		if err := addUses(uses, dir, system); err != nil {
			return err
		}
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "files\tlines\tcode\tcomment\tratio\ttest\texported\tfile 50%\t90%\tmax\tfunc 50%\t90%\tmax\t  package")
	all := pkg{path: "all"}
	for _, p := range packages {
		row(out, p)
		all.add(p)
	}
	row(out, all)
	fmt.Fprintln(out, "\nrooms\tup\tknot\tarrows\tback\t  house")
	for _, h := range housesOf(packages, uses) {
		fmt.Fprintf(out, "%d\t%d\t%d\t%d\t%d\t  %s\n", h.rooms, h.up, h.knot, h.arrows, h.back, h.path)
	}
	fmt.Fprintln(out, "\nlongest\t  file or function")
	for _, p := range packages {
		for _, extents := range [][]extent{p.files, p.functions} {
			if len(extents) > 0 {
				longest := slices.MaxFunc(extents, byLines)
				fmt.Fprintf(out, "%d\t  %s\n", longest.lines, longest.where)
			}
		}
	}
	return out.Flush()
}

func row(w io.Writer, p pkg) {
	file50, file90, fileMax := spread(p.files)
	func50, func90, funcMax := spread(p.functions)
	fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%.2f\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t  %s\n",
		len(p.files), p.lines, p.code, p.comment, float64(p.comment)/float64(max(p.code, 1)), p.test, p.exported,
		file50, file90, fileMax, func50, func90, funcMax, cmp.Or(p.path, "."))
}

func byLines(a, b extent) int { return a.lines - b.lines }

// spread returns the median, the 90th centile and the maximum of lines.
func spread(all []extent) (median, most, longest int) {
	if len(all) == 0 {
		return 0, 0, 0
	}
	sorted := slices.SortedFunc(slices.Values(all), byLines)
	at := func(percent int) int { return sorted[(len(sorted)-1)*percent/100].lines }
	return at(50), at(90), at(100)
}

// housesOf returns the houses of a module, sorted by path.
func housesOf(packages []pkg, uses map[use]bool) []house {
	var all []house
	for _, p := range packages {
		rooms := map[string]bool{}
		for _, other := range packages {
			for _, f := range other.files {
				if r, ok := room(p.path, f.where); ok {
					rooms[r] = true
				}
			}
		}
		if p.path == "" || len(p.files) == 0 || len(p.files) <= minFiles && len(rooms) == len(p.files) {
			continue
		}
		graph := map[string]map[string]bool{}
		for r := range rooms {
			graph[r] = map[string]bool{}
		}
		for u := range uses {
			from, isFrom := room(p.path, u.from)
			to, isTo := room(p.path, u.to)
			if isFrom && isTo && from != to {
				graph[from][to] = true
			}
		}
		all = append(all, survey(p.path, graph))
	}
	return all
}

// room returns the entry of dir that file is or lies in.
func room(dir, file string) (string, bool) {
	below, ok := strings.CutPrefix(file, dir+"/")
	name, _, _ := strings.Cut(below, "/")
	return name, ok
}

// house is a directory as a graph of its rooms.
type house struct {
	path                          string
	rooms, up, knot, arrows, back int
}

// survey measures a graph: from each room the rooms that it uses.
func survey(path string, graph map[string]map[string]bool) house {
	h := house{path: path, rooms: len(graph)}
	s := walk{graph: graph, number: map[string]int{}, low: map[string]int{}, knotOf: map[string]int{}}
	for _, r := range slices.Sorted(maps.Keys(graph)) {
		h.arrows += len(graph[r])
		if s.number[r] == 0 {
			s.visit(r)
		}
	}
	h.back = s.back
	for i, n := range s.sizes {
		h.knot, h.up = max(h.knot, n), max(h.up, s.ups[i])
	}
	return h
}

// walk finds the strongly connected components of a graph by Tarjan's algorithm: a
// component is complete after all those that it leads to.
type walk struct {
	graph       map[string]map[string]bool
	number, low map[string]int
	entered     []string       // not yet in a component
	knotOf      map[string]int // index of a room's component + 1
	sizes, ups  []int          // by component: rooms in it, length of the longest chain from it
	path        []string       // from the start of the walk to the room that it is in
	back        int
}

func (s *walk) visit(r string) {
	s.number[r] = len(s.number) + 1
	s.low[r] = s.number[r]
	s.entered, s.path = append(s.entered, r), append(s.path, r)
	for _, to := range slices.Sorted(maps.Keys(s.graph[r])) {
		switch {
		case s.number[to] == 0:
			s.visit(to)
			s.low[r] = min(s.low[r], s.low[to])
		case s.knotOf[to] == 0:
			s.low[r] = min(s.low[r], s.number[to])
			if slices.Contains(s.path, to) {
				s.back++
			}
		}
	}
	s.path = s.path[:len(s.path)-1]
	if s.low[r] < s.number[r] { // an earlier room completes its component
		return
	}
	start := slices.Index(s.entered, r)
	members, up := s.entered[start:], 0
	for _, m := range members {
		for to := range s.graph[m] {
			if k := s.knotOf[to]; k > 0 {
				up = max(up, s.ups[k-1])
			}
		}
	}
	s.sizes, s.ups = append(s.sizes, len(members)), append(s.ups, up+1)
	for _, m := range members {
		s.knotOf[m] = len(s.sizes)
	}
	s.entered = s.entered[:start]
}
