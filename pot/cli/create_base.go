package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"nomad-driver-pot/image/conf"
)

// Bounds on what a mirror sends, in bytes.
const (
	maxManifest = 1 << 20
	maxBase     = 4 << 30
)

// createBaseCommand fetches a release.
func createBaseCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "create-base -r RELEASE",
		Short: "Fetch a FreeBSD release to create pots from",
		Long: `Fetches a release's base.txz into the cache, verifies it against the SHA-256 in the
MANIFEST beside it, and prints its path. pot create -b RELEASE then uses it. The mirror
is a server with FreeBSD's layout of releases, or a directory given as file:///DIR.`,
		Args: arguments(),
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
			file, err := o.cachedBase(*release)
			if err == nil {
				err = fetchBase(c.Context(), mirrored(*mirror, *release), file)
			}
			if err != nil {
				return fmt.Errorf("cannot fetch release %s: %w", *release, err)
			}
			return output.line(c.OutOrStdout(), "file", file, file)
		})(c, nil)
	}
	return c
}

// defaultMirror returns FreeBSD's own server, with the directory of this machine's
// architecture: there directories are MACHINE/ARCH.
func defaultMirror() string {
	arch := map[string]string{"arm64": "arm64/aarch64"}[runtime.GOARCH]
	return "https://download.freebsd.org/releases/" + cmp.Or(arch, "amd64/amd64")
}

// mirrored returns a release's directory on a mirror.
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

// cachedBase returns the path of a release's archive in pot's cache (pot-reference 4.1).
func (o *hostFlags) cachedBase(release string) (string, error) {
	_, c, err := o.configure()
	return filepath.Join(c.System.Cache, fullRelease(release)+"_base.txz"), err
}

// fetchBase downloads base.txz to a file, which gets its name when it has been verified.
func fetchBase(ctx context.Context, from, file string) error {
	var manifest bytes.Buffer
	if err := download(ctx, from+"/MANIFEST", &manifest, maxManifest); err != nil {
		return err
	}
	want, err := baseSum(&manifest)
	if err != nil {
		return fmt.Errorf("%s/MANIFEST: %w", from, err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".base-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // it has another name by then
	sum := sha256.New()
	err = download(ctx, from+"/base.txz", io.MultiWriter(f, sum), maxBase)
	if got := hex.EncodeToString(sum.Sum(nil)); err == nil && got != want {
		err = fmt.Errorf("%s/base.txz differs from MANIFEST: want sha256:%s, got sha256:%s", from, want, got)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

// sums matches a SHA-256 in MANIFEST.
var sums = regexp.MustCompile(`^[0-9a-f]{64}$`)

// baseSum returns the SHA-256 of base.txz in a MANIFEST: lines of fields separated by tabs,
// first the file and its sum (FreeBSD release/scripts/make-manifest.sh).
func baseSum(r io.Reader) (string, error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		words := strings.Split(lines.Text(), "\t")
		if words[0] == "base.txz" && len(words) > 1 && sums.MatchString(words[1]) {
			return words[1], nil
		}
	}
	return "", errors.Join(lines.Err(), errors.New("no SHA-256 of base.txz"))
}

// download writes the content of a URL, file:// included, to w. More than limit bytes are
// an error.
func download(ctx context.Context, url string, w io.Writer, limit int64) error {
	var body io.ReadCloser
	if path, local := strings.CutPrefix(url, "file://"); local {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		body = f
	} else {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		if body = resp.Body; resp.StatusCode != http.StatusOK {
			body.Close()
			return fmt.Errorf("get %s: %s", url, resp.Status)
		}
	}
	defer body.Close()
	n, err := io.Copy(w, io.LimitReader(body, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("%s: more than %d bytes", url, limit)
	}
	return err
}
