package life

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	passwd "github.com/moby/sys/user"

	"nomad-driver-pot/pot/supervise"
)

// user is the user that a command runs as, by the pot's own passwd(5) and group(5).
type user struct {
	supervise.Identity
	name string // "" if it has none
	home string
}

// maxPasswd bounds what is read of the image's passwd(5) and group(5), in bytes of each.
const maxPasswd = 4 << 20

// lookupUser returns the user who in the pot's tree: a name or a number, or either with a
// group after a colon. An empty who is root.
func lookupUser(tree, who string) (user, error) {
	root, err := os.OpenRoot(tree)
	if err != nil {
		return user{}, err
	}
	defer root.Close()
	users, err := openBounded(root, "etc/passwd")
	if err != nil {
		return user{}, err
	}
	defer users.Close()
	groups, err := openBounded(root, "etc/group")
	if err != nil {
		return user{}, err
	}
	defer groups.Close()

	found, err := passwd.GetExecUser(who, &passwd.ExecUser{Home: "/"}, users, groups)
	if err != nil {
		return user{}, fmt.Errorf("user %q in the pot: %w", who, err)
	}
	u := user{home: found.Home, Identity: supervise.Identity{UID: uint32(found.Uid), GID: uint32(found.Gid)}}
	// On FreeBSD the first group of the list is the effective group, and setgid(2)
	// replaces it, so no supplementary group may be first: as with initgroups(3), the
	// user's own group is (sys/kern/kern_prot.c, kern_setgroups; in FreeBSD 15
	// freebsd14_setgroups, the system call that Go makes).
	u.Groups = []uint32{u.GID}
	for _, g := range found.Sgids {
		if uint32(g) != u.GID {
			u.Groups = append(u.Groups, uint32(g))
		}
	}
	u.name, _, _ = strings.Cut(who, ":")
	if _, err := strconv.Atoi(u.name); err == nil || u.name == "" {
		u.name, err = nameOf(root, found.Uid)
		return u, err
	}
	return u, nil
}

// nameOf returns the name of a user by passwd(5), or "" if that has none. User 0 is then
// "root".
func nameOf(root *os.Root, uid int) (string, error) {
	users, err := openBounded(root, "etc/passwd")
	if err != nil {
		return "", err
	}
	defer users.Close()
	all, err := passwd.ParsePasswdFilter(users, func(u passwd.User) bool { return u.Uid == uid })
	switch {
	case err != nil:
		return "", err
	case len(all) > 0:
		return all[0].Name, nil
	case uid == 0:
		return "root", nil
	}
	return "", nil
}

// openBounded opens a file of the pot's tree, and reads at most maxPasswd bytes of it. A
// file that does not exist reads as empty.
func openBounded(root *os.Root, name string) (io.ReadCloser, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // it may be a fifo
	if errors.Is(err, fs.ErrNotExist) {
		return io.NopCloser(io.LimitReader(nil, 0)), nil
	}
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, fmt.Errorf("%s: is not a regular file in the pot", name)
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(f, maxPasswd), f}, nil
}
