package cli

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/schema"
)

// Bounds on what a mirror sends, in bytes.
const (
	maxManifest = 1 << 20
	maxBase     = 4 << 30
)

// baseTimeout bounds a whole download of an archive, however slow the mirror is.
const baseTimeout = 24 * time.Hour

// createBaseCommand fetches a release into the cache (pot create-base -r). pot also creates
// three datasets, which pots of type multi share, and a pot of level 0 to update them:
// there are no such pots here, so the archive is all that create needs, and -b is missing.
// An unfinished download stays in the cache, and the next call resumes it.
func createBaseCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "create-base -r RELEASE",
		Short: "Fetch a FreeBSD release to create pots from",
		Long: `Fetches a release's base.txz into the cache, verifies it against the SHA-256 in the
MANIFEST beside it, and prints its path. pot create -b RELEASE then uses it. The mirror
is a server with FreeBSD's layout of releases, or a directory given as file:///DIR.`,
		Example: `  pot create-base -r 14.2`,
		Args:    arguments(),
	}
	release := c.Flags().StringP("release", "r", "", "`release`, such as 14.2")
	mirror := c.Flags().StringP("mirror", "U", defaultMirror(), "`URL` of the directory with releases")
	o := addHostFlags(c)
	output := addOutput(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if !conf.ValidRelease(*release) {
			return fmt.Errorf("-r: must be a release, as in 14.2, not %.80q", *release)
		}
		return runE(func(c *cobra.Command, _ []string) error {
			bar := newProgress(c.ErrOrStderr())
			defer bar.done()
			file, err := o.cachedBase(*release)
			if err == nil {
				err = fetchBase(c.Context(), mirrored(*mirror, *release), file, bar)
			}
			if err != nil {
				return fmt.Errorf("cannot fetch release %s: %w", *release, err)
			}
			bar.done()
			return output.line(c.OutOrStdout(), schema.File{File: file}, file)
		})(c, nil)
	}
	return c
}

// defaultMirror returns FreeBSD's own server, with the directory of this machine's
// architecture: there directories are MACHINE/ARCH. The second directory differs from the
// first where a machine has several architectures (uname -m and uname -p).
func defaultMirror() string {
	arch := map[string]string{"arm64": "arm64/aarch64"}[runtime.GOARCH]
	return "https://download.freebsd.org/releases/" + cmp.Or(arch, "amd64/amd64")
}

// mirrored returns a release's directory on a mirror. The layout is
// download.freebsd.org's: RELEASE/base.txz and RELEASE/MANIFEST.
func mirrored(mirror, release string) string {
	return strings.TrimSuffix(mirror, "/") + "/" + fullRelease(release)
}

// fullRelease returns a release's full name: 14.2-RELEASE for 14.2.
func fullRelease(release string) string {
	if strings.Contains(release, "-") {
		return release
	}
	return release + "-RELEASE"
}

// cachedBase returns the path of a release's archive in pot's cache. pot has the same files
// there (share/pot/common.sh, _fetch_freebsd), and each uses what the other has fetched.
func (o *hostFlags) cachedBase(release string) (string, error) {
	_, c, err := o.configure()
	return filepath.Join(c.System.Cache, fullRelease(release)+"_base.txz"), err
}

// fetchBase fetches base.txz to a file, which takes its name when it has been verified. A
// download that was interrupted is resumed by the next. pot takes the sum from the package
// freebsd-release-manifests. The MANIFEST beside the archive needs no package, but proves
// only that both are from one server: TLS is what vouches for that.
func fetchBase(ctx context.Context, from, file string, bar *progress) error {
	dir, name := filepath.Split(file)
	cache := fetch.NewCache(dir, fetch.Options{MaxBytes: maxBase, Timeout: baseTimeout, OnProgress: bar.of})
	manifest, err := cache.ReadURL(ctx, from+"/MANIFEST", maxManifest)
	if err != nil {
		return err
	}
	want, err := baseSum(manifest)
	if err != nil {
		return fmt.Errorf("%s/MANIFEST: %w", from, err)
	}
	return cache.FetchFile(ctx, from+"/base.txz", name, want)
}

// baseSum returns the SHA-256 of base.txz that a MANIFEST says: lines of words with tabs
// between, the file and its sum first (FreeBSD release/scripts/make-manifest.sh).
func baseSum(manifest []byte) (sum [sha256.Size]byte, err error) {
	for line := range strings.Lines(string(manifest)) {
		words := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if words[0] != "base.txz" || len(words) < 2 || len(words[1]) != hex.EncodedLen(len(sum)) {
			continue
		}
		if _, err := hex.Decode(sum[:], []byte(words[1])); err == nil {
			return sum, nil
		}
	}
	return sum, errors.New("has no SHA-256 of base.txz")
}
