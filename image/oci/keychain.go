package oci

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// keychain finds credentials in one config.json of docker. Unlike authn.DefaultKeychain it
// looks nowhere else: files in a home directory are another person's choice.
type keychain struct{ file *configfile.ConfigFile } // nil: there are none

// maxDockerConfig bounds a config.json, in bytes.
const maxDockerConfig = 1 << 20

// openKeychain reads the config.json at path, or else the one in $DOCKER_CONFIG if it exists.
func openKeychain(path string) (keychain, error) {
	dir := os.Getenv("DOCKER_CONFIG")
	optional := path == ""
	if optional {
		if dir == "" {
			return keychain{}, nil
		}
		path = filepath.Join(dir, config.ConfigFileName)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && optional {
		return keychain{}, nil
	}
	if err != nil {
		return keychain{}, err
	}
	defer f.Close()
	file, err := config.LoadFromReader(io.LimitReader(f, maxDockerConfig))
	if err != nil {
		return keychain{}, fmt.Errorf("%s: is no configuration of docker: %w", path, err)
	}
	return keychain{file}, nil
}

// Resolve implements authn.Keychain.
func (k keychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	if k.file == nil {
		return authn.Anonymous, nil
	}
	for _, key := range []string{target.String(), target.RegistryStr()} {
		if key == name.DefaultRegistry {
			key = authn.DefaultAuthKey
		}
		c, err := k.file.GetAuthConfig(key)
		if err != nil {
			return nil, fmt.Errorf("credentials for %s: %w", key, err)
		}
		found := authn.AuthConfig{
			Username: c.Username, Password: c.Password, Auth: c.Auth, IdentityToken: c.IdentityToken, RegistryToken: c.RegistryToken,
		}
		if found != (authn.AuthConfig{}) {
			return authn.FromConfig(found), nil
		}
	}
	return authn.Anonymous, nil
}
