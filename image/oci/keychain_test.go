package oci

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

// A credential helper that the file names is asked for its registry alone, and ends with the
// context.
func TestKeychain_helper(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	helper := func(name, script string) {
		must.NoError(t, os.WriteFile(filepath.Join(dir, helperPrefix+name), []byte("#!/bin/sh\n"+script), 0o755))
	}
	helper("good", `read -r server; echo "{\"ServerURL\": \"$server\", \"Username\": \"ann\", \"Secret\": \"of $server\"}"`)
	helper("token", `echo '{"Username": "<token>", "Secret": "t"}'`)
	helper("none", "echo 'credentials not found in native keychain'; exit 1")
	helper("bad", "echo geheim; exit 1")
	helper("hangs", "touch "+dir+"/hangs; sleep 60")
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	file := filepath.Join(dir, "config.json")
	must.NoError(t, os.WriteFile(file, []byte(`{"credHelpers": {"good.example": "good", "token.example": "token", "none.example": "none",
		"bad.example": "bad", "hangs.example": "hangs"}}`), 0o600))
	keys, err := openKeychain(file, true)
	must.NoError(t, err)
	resolve := func(ctx context.Context, host string) (authn.AuthConfig, error) {
		repo, err := name.NewRepository(host + "/team/app")
		must.NoError(t, err)
		as, err := keys.ResolveContext(ctx, repo)
		if err != nil {
			return authn.AuthConfig{}, err
		}
		c, err := as.Authorization()
		must.NoError(t, err)
		return *c, nil
	}
	for host, want := range map[string]authn.AuthConfig{
		"good.example": {Username: "ann", Password: "of good.example"}, "token.example": {IdentityToken: "t"}, "none.example": {}, "other.example": {},
	} {
		got, err := resolve(t.Context(), host)
		must.NoError(t, err)
		must.Eq(t, want, got, must.Sprint(host))
	}
	_, err = resolve(t.Context(), "bad.example")
	must.EqError(t, err, "credentials for bad.example: docker-credential-bad failed")

	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	go func() {
		for {
			if _, err := os.Stat(dir + "/hangs"); err == nil {
				cancel(stopped)
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	_, err = resolve(ctx, "hangs.example")
	must.ErrorIs(t, err, stopped)
}
