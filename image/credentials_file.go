package image

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// maxLoginsBytes bounds a file of credentials.
const maxLoginsBytes = 1 << 20

// CredentialsFile has the credentials for servers, each for a URL and all URLs below it.
// It is safe for concurrent use.
type CredentialsFile []credentialsAt

// credentialsAt are the credentials for a URL and all URLs below it.
type credentialsAt struct {
	at    Prefix
	login Credentials
}

// ReadCredentials reads a file of credentials: a JSON object whose keys are URLs and whose
// values have username and password, token, or header. It must belong to root or to this
// user, and be closed to all others. Errors quote only its URLs.
func ReadCredentials(file string) (CredentialsFile, error) {
	text, err := readPrivate(file)
	if err != nil {
		return nil, err
	}
	all, err := parseCredentials(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return all, nil
}

// CheckPrivate returns an error unless only root or this user may read the file.
func CheckPrivate(file string) error {
	_, err := readPrivate(file)
	return err
}

// readPrivate reads a file that only root or this user may read. It checks the open file, so
// that nobody can replace it in between.
func readPrivate(name string) ([]byte, error) {
	f, err := OpenRegular(name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	owner := int(info.Sys().(*syscall.Stat_t).Uid)
	switch mode := info.Mode().Perm(); {
	case mode&0o077 != 0:
		return nil, fmt.Errorf("%s: others can use it: its mode must be 0600, not %#o", name, mode)
	case owner != 0 && owner != os.Geteuid():
		return nil, fmt.Errorf("%s: must belong to root, not to user %d", name, owner)
	}
	return ReadAtMost(f, maxLoginsBytes)
}

// parseCredentials parses a file of credentials. Its errors quote URLs and offsets only: the
// JSON decoder's own errors could quote a secret.
func parseCredentials(text []byte) (CredentialsFile, error) {
	var file map[string]struct {
		Username, Password, Token, Header string
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("not JSON: at offset %d", syntax.Offset)
		}
		return nil, errors.New("must be an object in JSON, from URLs to objects of username, password, token and header, which are strings")
	}
	if d.More() {
		return nil, errors.New("more than one object")
	}
	var all CredentialsFile
	for at, l := range file {
		p, err := ParsePrefix(at)
		if err != nil {
			return nil, err // of a URL, which shows no secret
		}
		login := Credentials{l.Username, l.Password, l.Token, l.Header}
		if err := login.Validate(); err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		all = append(all, credentialsAt{p, login})
	}
	return all, nil
}

// For returns the credentials for source: of the URLs that cover it, the longest counts. It
// returns no credentials if none does.
func (l CredentialsFile) For(source string) Credentials {
	var best credentialsAt
	for _, one := range l {
		if one.at.Covers(source) && (best.login.IsZero() || len(one.at.path) > len(best.at.path)) {
			best = one
		}
	}
	return best.login
}
