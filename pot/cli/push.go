package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/push"
	"nomad-driver-pot/schema"
)

// pushRetries bounds how often a file is sent again after a server's error.
const pushRetries = 4

// pushCommand publishes images. pot has no such command: its images are copied by hand, and
// clients can fetch a half-copied one. It stops at the first error; images before that stay
// published.
func pushCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "push FILE|DIR... DIR|URL",
		Short: "Publish images in a directory or on a server",
		Long: `Publishes images, with the files beside them, in a directory, or on a server that
supports PUT, such as WebDAV and most object stores. A DIR as source publishes all images
in it.

An image is verified before it is sent, and then read back and verified again. The
.skein, which clients fetch first, is sent last, so that a partly sent image is never
offered. An image that is published already is skipped; a different image of the same
name is replaced only with --force, for which a server must support DELETE.

Credentials for a server come from $POT_PUSH_TOKEN, from $POT_PUSH_USERNAME and
$POT_PUSH_PASSWORD, from $POT_PUSH_HEADER, which is a whole header, or from a file in the
form of netrc: machine HOST login USER password PASSWORD.`,
		Example: `  pot image push -C pots.pub hello_1.0.xz https://images.example.org/pots
  pot image push /srv/build /srv/images`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) < 2 {
				return arguments("FILE", "DIR or URL")(c, args)
			}
			return nil
		},
	}
	p := &pushes{}
	addPubkey(c, &p.pubkey)
	c.Flags().BoolVar(&p.options.Replace, "force", false, "replace a different image of the same name")
	c.Flags().StringVar(&p.netrc, "netrc", "", "`file` with credentials for the server, in the form of netrc")
	output := addOutput(c)
	c.RunE = runE(func(c *cobra.Command, args []string) error {
		p.bar = newProgress(c.ErrOrStderr())
		defer p.bar.done()
		p.options.Warn = aboveBar(p.bar, c)
		last := len(args) - 1
		done, err := p.run(c.Context(), args[:last], args[last])
		p.bar.done()
		return errors.Join(output.print(c.OutOrStdout(), done, func(w io.Writer) error { return pushedText(w, done) }), err)
	})
	return c
}

// pushes publishes images.
type pushes struct {
	options push.PushOptions
	pubkey  string
	netrc   string
	bar     *progress
}

// pushedText prints two lines for each image: where it is, and its digest.
func pushedText(w io.Writer, all []schema.Pushed) error {
	for _, p := range all {
		what := "published"
		if p.Already {
			what = "already published:"
		}
		if _, err := fmt.Fprintf(w, "%s %s\n%s\n", what, p.To, p.Digest); err != nil {
			return err
		}
	}
	return nil
}

// run publishes images, and stops at the first error.
func (p *pushes) run(ctx context.Context, from []string, to string) ([]schema.Pushed, error) {
	all := []schema.Pushed{}
	var err error
	if p.options.Credentials, err = pushCredentials(to, p.netrc, os.Getenv); err != nil {
		return all, err
	}
	if p.options.Checks, err = checks(p.pubkey, nil); err != nil {
		return all, err
	}
	p.options.Retries = pushRetries
	places, err := pushPlaces(from)
	if err != nil {
		return all, err
	}
	for _, at := range places {
		name := filepath.Base(at.String())
		p.options.Count = p.bar.of("verifying " + name)
		p.options.Sent, p.options.Back = p.inTurn("sending "+name), p.inTurn("reading back "+name)
		got, err := push.Push(ctx, at, to, p.options)
		if err != nil {
			return all, hintForce(fmt.Errorf("cannot %w", err), p.options.Replace)
		}
		all = append(all, schema.Pushed{File: at.String(), To: got.To, Digest: got.Digest.String(), Bytes: got.Bytes, Already: got.Already})
	}
	return all, nil
}

// inTurn returns a count whose bar starts with the first call. Three bars follow each other
// for each image, and only one can be drawn.
func (p *pushes) inTurn(what string) image.ProgressFunc {
	var count image.ProgressFunc
	return func(done, total int64) {
		if count == nil {
			if count = p.bar.of(what); count == nil {
				count = func(int64, int64) {}
			}
		}
		count(done, total)
	}
}

// pushPlaces returns the images in from: files, and all images in directories, by name.
func pushPlaces(from []string) ([]fetch.Location, error) {
	var all []fetch.Location
	for _, name := range from {
		files := []string{name}
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			if files, err = filepath.Glob(filepath.Join(escapeGlob(name), "*.xz")); err != nil {
				return nil, err
			}
			if len(files) == 0 {
				return nil, fmt.Errorf("%s: no images in this directory", name)
			}
			slices.Sort(files)
		}
		for _, file := range files {
			p, err := place(file)
			if err != nil {
				return nil, err
			}
			all = append(all, p)
		}
	}
	return all, nil
}

// escapeGlob returns the glob pattern that matches only name.
func escapeGlob(name string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(name)
}

// pushCredentials returns the credentials for the server at a URL: from the environment, a
// header before a token before a user, or else from a netrc file. Secrets are never flags:
// ps(1) shows those to every user.
func pushCredentials(to, netrc string, env func(string) string) (c image.Credentials, err error) {
	for _, c := range []image.Credentials{
		{Header: env("POT_PUSH_HEADER")},
		{Token: env("POT_PUSH_TOKEN")},
		{Username: env("POT_PUSH_USERNAME"), Password: env("POT_PUSH_PASSWORD")},
	} {
		if !c.IsZero() {
			return c, nil
		}
	}
	if netrc == "" {
		return c, nil
	}
	u, err := url.Parse(to)
	if err != nil || u.Host == "" {
		return c, nil // it is told by whoever opens it
	}
	info, err := os.Stat(netrc)
	if err != nil {
		return c, fmt.Errorf("--netrc: %w", err)
	}
	// ftp(1) refuses such a file too.
	if info.Mode()&0o077 != 0 {
		return c, hinted{fmt.Errorf("--netrc: %s is readable by users other than its owner", netrc), "chmod 600 " + netrc}
	}
	data, err := os.ReadFile(netrc)
	if err != nil {
		return c, fmt.Errorf("--netrc: %w", err)
	}
	c.Username, c.Password, err = parseNetrc(string(data), u.Hostname())
	if err != nil {
		return c, fmt.Errorf("--netrc: %s: %w", netrc, err)
	}
	return c, nil
}

// login is an entry of a netrc file. there tells an entry without a user from no entry.
type login struct {
	user, password string
	there          bool
}

// errNetrc quotes nothing of the file, which holds passwords.
var errNetrc = errors.New("not in the form of netrc: machine HOST login USER password PASSWORD")

// parseNetrc returns the login for a host, or else the default one, from a file in the
// format of ftp(1) and curl(1). The first entry of a host counts. Macros (macdef) are
// refused: their end is not a word.
func parseNetrc(text, host string) (user, password string, err error) {
	var found, fallback, other login
	at := &other
	words := strings.Fields(text)
	for i := 0; i < len(words); i++ {
		if words[i] == "default" {
			at = &fallback
			at.there = true
			continue
		}
		if i+1 == len(words) {
			return "", "", errNetrc
		}
		i++
		switch words[i-1] {
		case "machine":
			if at = &other; words[i] == host && !found.there {
				at = &found
				at.there = true
			}
		case "login":
			at.user = words[i]
		case "password":
			at.password = words[i]
		case "account":
		default:
			return "", "", errNetrc
		}
	}
	switch {
	case found.there:
		return found.user, found.password, nil
	case fallback.there:
		return fallback.user, fallback.password, nil
	}
	return "", "", fmt.Errorf("no entry for %s", host)
}
