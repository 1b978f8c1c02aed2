package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"nomad-driver-pot/pot/run"
)

// Look records mounts, network interfaces, jails, datasets, rules of rctl and pf, processes
// of pots, and the files below dir, the driver's state directory. It leaves out the
// datasets of the named images. It uses commands of the base system and none of the
// driver's code, which may be wrong in the same way twice.
func Look(dir string, images ...string) (State, error) {
	s := State{}
	var errs []error
	lines := func(argv ...string) []string {
		out, err := command(argv...)
		errs = append(errs, err)
		return strings.Split(strings.TrimSpace(out), "\n") // of nothing: one, empty
	}
	for _, line := range lines("mount", "-p") {
		if !ofImage(line, images) {
			s["mount"] = append(s["mount"], line)
		}
	}
	for _, line := range lines("zfs", "list", "-H", "-t", "all", "-o", "name") {
		if !ofImage(line, images) {
			s["dataset"] = append(s["dataset"], line)
		}
	}
	s["interface"] = strings.Fields(strings.Join(lines("ifconfig", "-l"), " "))
	s["jail"] = jails(lines)
	s["rule"] = lines("rctl")
	if _, err := os.Stat("/dev/pf"); err == nil {
		s["redirect"] = lines("pfctl", "-a", "pot-rdr/*", "-sn")
	}
	for _, line := range lines("ps", "-axo", "jid,pid,comm")[1:] {
		fields := strings.Fields(line)
		if len(fields) == 3 && (fields[0] != "0" || fields[2] == "pot-supervisor") {
			s["process"] = append(s["process"], strings.Join(fields, " "))
		}
	}
	var err error
	s["file"], err = files(dir, images)
	return s, errors.Join(append(errs, err)...)
}

// ofImage reports whether a line is about an image's dataset. Mounts of an image have its
// dataset's path in them too.
func ofImage(line string, images []string) bool {
	for _, field := range strings.Fields(line) {
		_, name, found := strings.Cut(field, "/jails/")
		if i := strings.IndexAny(name, "/@"); i >= 0 {
			name = name[:i]
		}
		if found && slices.Contains(images, name) {
			return true
		}
	}
	return false
}

// jails returns the jails, without dying ones: a jail whose connections are still being
// closed is dying for net.inet.tcp.finwait2_timeout and twice net.inet.tcp.msl, 60 s each.
func jails(lines func(...string) []string) (all []string) {
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(time.Second) {
		all = strings.Fields(strings.Join(lines("jls", "-d", "name"), " "))
		if len(all) == len(strings.Fields(strings.Join(lines("jls", "name"), " "))) {
			break
		}
	}
	return all
}

// command runs a command of the base system.
func command(argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return run.Host{}.Run(ctx, nil, argv...)
}

// scratchBytes bounds a pool of Scratch.
const scratchBytes = 2 << 30

// Scratch creates a dataset for pots, in a pool of its own in a file in dir; remove
// destroys the pool. A pool of its own keeps tests out of the machine's, and is destroyed
// even if a test has left datasets in it. The file is sparse.
func Scratch(dir string) (zfsRoot string, remove func() error, err error) {
	file := filepath.Join(dir, "pool")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Truncate(file, scratchBytes)); err != nil {
		return "", nil, err
	}
	pool := fmt.Sprintf("pottest%d", os.Getpid())
	remove = func() error {
		_, err := command("zpool", "destroy", "-f", pool)
		return errors.Join(err, os.Remove(file))
	}
	zfsRoot = pool + "/pot"
	for _, argv := range [][]string{
		{"zpool", "create", "-m", "none", pool, file},
		{"zfs", "create", "-o", "mountpoint=" + filepath.Join(dir, "root"), "-o", "atime=off", zfsRoot},
		{"zfs", "create", zfsRoot + "/jails"},
	} {
		if _, err := command(argv...); err != nil {
			return "", nil, errors.Join(err, remove())
		}
	}
	return zfsRoot, remove, nil
}
