// Command report writes e2e/RESULTS.md from the files that long tests leave.
//
//	report DIR FILE
package main

import (
	"bytes"
	"fmt"
	"os"

	"nomad-driver-pot/e2e/results"
)

const intro = `# Results

What the long tests measured, each with its machine, commit and date. ` + "`make e2e-report`" + ` writes this file from
the results of ` + "`make chaos`" + `; do not edit it.
`

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: report DIR FILE")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func write(dir, file string) error {
	all, err := results.Read(dir)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("no results in %s: run make chaos", dir)
	}
	b := bytes.NewBufferString(intro)
	kind := ""
	for _, r := range all {
		if r.Kind != kind {
			kind = r.Kind
			fmt.Fprintf(b, "\n## %s\n", kind)
		}
		fmt.Fprintln(b)
		r.WriteMarkdown(b)
	}
	return os.WriteFile(file, b.Bytes(), 0o644)
}
