package life

import (
	"os"
	"path"

	passwd "github.com/moby/sys/user"
)

// Shell returns the argument vector of root's shell by the pot's passwd(5), or of /bin/sh if
// that names none.
func (p *Pot) Shell() ([]string, error) {
	root, err := os.OpenRoot(p.Tree())
	if err != nil {
		return nil, err
	}
	defer root.Close()
	users, err := openBounded(root, "etc/passwd")
	if err != nil {
		return nil, err
	}
	defer users.Close()
	found, err := passwd.ParsePasswdFilter(users, func(u passwd.User) bool { return u.Uid == 0 })
	if err != nil {
		return nil, err
	}
	for _, u := range found {
		if u.Name == "root" && path.IsAbs(u.Shell) {
			return []string{u.Shell}, nil
		}
	}
	return []string{"/bin/sh"}, nil
}
