package store_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/linux"
)

// hostPlace is the directory of a host of this machine.
type hostPlace string

func newHostPlace(t *testing.T) hostPlace { return hostPlace(t.TempDir()) }

// open is the host; a process that was told where may open it as well.
func (p hostPlace) open(t *testing.T) pot.Host {
	host, err := linux.New(string(p), "/bin/true")
	must.NoError(t, err)
	return host
}

// state is all that there is below the directory: names, modes, sizes.
func (p hostPlace) state(t *testing.T) any {
	var all []string
	must.NoError(t, filepath.WalkDir(string(p), func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		size := int64(0)
		if err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
		all = append(all, fmt.Sprint(name, " ", info.Mode(), " ", size))
		return err
	}))
	return all
}

// names are those of the datasets, with what belongs to them.
func (p hostPlace) names(t *testing.T) (all []string) {
	for _, dir := range []string{"jails", "labels", "layers"} {
		entries, err := os.ReadDir(filepath.Join(string(p), dir))
		must.NoError(t, err)
		for _, e := range entries {
			all = append(all, dir+"/"+e.Name())
		}
	}
	return all
}

// namesOf are those that there are of one image alone.
func namesOf(image string) []string { return []string{"jails/" + image, "labels/" + image} }

// peakMemory is the most that this process had resident, in KiB: getrusage(2) would count
// that of the process that started it as well.
func peakMemory(t *testing.T) int {
	status, err := os.ReadFile("/proc/self/status")
	must.NoError(t, err)
	var kib int
	_, err = fmt.Sscanf(string(status[bytes.Index(status, []byte("VmHWM:")):]), "VmHWM: %d kB", &kib)
	must.NoError(t, err)
	return kib
}
