package freebsd

import (
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"nomad-driver-pot/pot/run"
)

// Command lines of go-zfs.
const (
	goZFSColumns  = "name,origin,used,available,mountpoint,compression,type,volsize,quota,referenced,written,logicalused,usedbydataset"
	goZFSChildren = "zfs list -d 1 -t all -Hp -o " + goZFSColumns + " tank/pot"
	zpoolGet      = "zpool get -Hp name,health,allocated,size,free,readonly,dedupratio,fragmentation,freeing,leaked tank"
)

func goZFSList(name string) string { return "zfs list -Hp -o " + goZFSColumns + " " + name }

// goZFSLine is what zfs list prints to go-zfs.
func goZFSLine(name, kind string) string {
	return fmt.Sprintf("%s\t-\t4096\t8192\t-\toff\t%s\t-\t0\t4096\t4096\t4096\t4096\n", name, kind)
}

func goZFSLines(filesystems ...string) (out string) {
	for _, name := range filesystems {
		out += goZFSLine(name, "filesystem")
	}
	return out
}

// showToGoZFS is zfs list of a dataset, and with -d of its children.
func (m *model) showToGoZFS(argv []string, of string) (out string) {
	out = goZFSLine(of, "filesystem")
	for name := range m.datasets {
		if slices.Contains(argv, "-d") && path.Dir(name) == of {
			out += goZFSLine(name, "filesystem")
		}
	}
	return out
}

// createLog is a Log of a host that has the datasets that were created there.
type createLog struct{ *run.Log }

// Run implements run.Runner.
func (l createLog) Run(ctx context.Context, stdin io.Reader, argv ...string) (string, error) {
	if strings.HasPrefix(strings.Join(argv, " "), "zfs create ") {
		delete(l.Answers, goZFSList(argv[len(argv)-1]))
	}
	return l.Log.Run(ctx, stdin, argv...)
}
