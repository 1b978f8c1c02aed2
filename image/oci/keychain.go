package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/docker-credential-helpers/client"
	"github.com/docker/docker-credential-helpers/credentials"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// keychain finds credentials in one config.json of docker. Unlike authn.DefaultKeychain it
// looks nowhere else: files in a home directory are another person's choice.
type keychain struct{ file *configfile.ConfigFile } // nil: there are none

// maxDockerConfig bounds a config.json, in bytes.
const maxDockerConfig = 1 << 20

// CheckDockerConfig returns an error unless the file can be Options.DockerConfig.
func CheckDockerConfig(path string) error {
	_, err := openKeychain(path, true)
	return err
}

// openKeychain reads the config.json at path or, unless that is "" and noEnvironment is set, the
// one in $DOCKER_CONFIG if it exists.
func openKeychain(path string, noEnvironment bool) (keychain, error) {
	dir := os.Getenv("DOCKER_CONFIG")
	optional := path == ""
	if optional {
		if dir == "" || noEnvironment {
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

// ResolveContext returns the credentials for a repository, or else for its registry. A credential
// helper that the file names is killed when ctx ends.
func (k keychain) ResolveContext(ctx context.Context, target authn.Resource) (authn.Authenticator, error) {
	if k.file == nil {
		return authn.Anonymous, nil
	}
	for _, key := range []string{target.String(), target.RegistryStr()} {
		if key == name.DefaultRegistry {
			key = authn.DefaultAuthKey
		}
		found, err := k.find(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("credentials for %s: %w", key, err)
		}
		if found != (authn.AuthConfig{}) {
			return authn.FromConfig(found), nil
		}
	}
	return authn.Anonymous, nil
}

// find returns what the file has for a key, or its credential helper.
func (k keychain) find(ctx context.Context, key string) (authn.AuthConfig, error) {
	helper := k.file.CredentialsStore
	if of, is := k.file.CredentialHelpers[key]; is {
		helper = of
	}
	if helper == "" {
		c, err := k.file.GetAuthConfig(key)
		return authn.AuthConfig{
			Username: c.Username, Password: c.Password, Auth: c.Auth, IdentityToken: c.IdentityToken, RegistryToken: c.RegistryToken,
		}, err
	}
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	c, err := client.Get(func(args ...string) client.Program {
		cmd := exec.CommandContext(ctx, helperPrefix+helper, args...)
		cmd.WaitDelay = helperDelay
		return &helperProgram{cmd}
	}, key)
	switch {
	case credentials.IsErrCredentialsNotFound(err):
		return authn.AuthConfig{}, nil
	case err != nil && ctx.Err() != nil:
		return authn.AuthConfig{}, fmt.Errorf("%s: %w", helperPrefix+helper, context.Cause(ctx))
	case err != nil:
		return authn.AuthConfig{}, fmt.Errorf("%s failed", helperPrefix+helper) // its output may be a secret
	case c.Username == tokenUser:
		return authn.AuthConfig{IdentityToken: c.Secret}, nil
	}
	return authn.AuthConfig{Username: c.Username, Password: c.Secret}, nil
}

// How docker finds its credential helpers, and the user that stands for a token.
const (
	helperPrefix  = "docker-credential-"
	tokenUser     = "<token>"
	helperTimeout = 30 * time.Second
	helperDelay   = time.Second // what it has started may hold its output
)

// helperProgram implements client.Program with a command that ends with a context.
type helperProgram struct{ *exec.Cmd }

// Input implements client.Program.
func (h *helperProgram) Input(in io.Reader) { h.Stdin = in }
