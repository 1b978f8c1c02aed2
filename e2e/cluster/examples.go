package cluster

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/hashicorp/nomad/api"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/imagetest"
	"nomad-driver-pot/image/signify"
)

// exampleToken is what the image server asks for below /private.
const exampleToken = "an-example-token"

// exampleDriver is the plugin's configuration that all of example-jobs run with.
const exampleDriver = `
    allowed_network_modes = ["public-bridge", "private-bridge", "host", "alias", "none", "task", "group"]
    allow_attributes      = ["exec_stop", "no-tmpfs"]

    volumes {
      enabled       = true
      allowed_paths = [%q]
    }
`

// prepareExamples writes what the jobs of example-jobs need on the client before its agent
// starts: a directory with a file, a key, and the image's signature.
func (c *Cluster) prepareExamples() error {
	if err := os.MkdirAll(c.exampleData(), 0o755); err != nil {
		return err
	}
	c.config.Driver += fmt.Sprintf(exampleDriver, c.exampleData())
	key, err := signify.NewKey()
	if err != nil {
		return err
	}
	public, err := key.Public().Marshal("example public key")
	if err != nil {
		return err
	}
	signature, err := key.Sign(imagetest.Hello(".skein")).Marshal("verify with example.pub")
	if err != nil {
		return err
	}
	for file, data := range map[string][]byte{
		filepath.Join(c.exampleData(), "greeting"): []byte("a greeting\n"),
		c.exampleKey(): public,
		c.path("images/" + helloFile + ".skein.sig"): signature,
	} {
		if err := os.WriteFile(file, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

const helloFile = imagetest.HelloName + "_" + imagetest.HelloTag + ".xz"

// exampleData is the directory of the client that jobs mount.
func (c *Cluster) exampleData() string { return c.path("example") }

func (c *Cluster) exampleKey() string { return c.path("example.pub") }

// finishExamples creates what the jobs need in a cluster that runs: a private bridge, by
// the command line, and Nomad variables.
func (c *Cluster) finishExamples(ctx context.Context) error {
	text := ""
	if c.config.Network != "" {
		text = "POT_NETWORK=" + c.config.Network + "\n"
	}
	if c.zfsRoot != "" {
		text += "POT_ZFS_ROOT=" + c.zfsRoot + "\n"
	}
	if err := os.WriteFile(c.path(exampleConf), []byte(text), 0o600); err != nil {
		return err
	}
	if err := c.commandLine(ctx, "create-private-bridge", "-B", exampleBridge, "-S", "10"); err != nil {
		return fmt.Errorf("create the private bridge: %w", err)
	}
	c.bridged = true
	for path, items := range map[string]api.VariableItems{
		"nomad/jobs/template":    {"greeting": "hello"},
		"nomad/jobs/credentials": {"token": exampleToken},
	} {
		if _, _, err := c.Client.Variables().Create(&api.Variable{Path: path, Items: items}, nil); err != nil {
			return err
		}
	}
	return nil
}

const (
	exampleBridge = "example"
	exampleConf   = "example.conf" // pot's configuration, for the command line
)

// commandLine runs a command of the command line on the cluster's pots.
func (c *Cluster) commandLine(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(c.config.Plugins, "nomad-driver-pot"),
		append(args, "--dir", c.StateDir(), "--config", c.path(exampleConf))...)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	return nil
}

// removeExamples destroys the private bridge, wherever the host describes it. It may be
// called twice.
func (c *Cluster) removeExamples() error {
	if !c.bridged {
		return nil
	}
	if err := c.commandLine(context.Background(), "destroy", "-B", exampleBridge); err != nil {
		return fmt.Errorf("destroy the private bridge: %w", err)
	}
	c.bridged = false
	return nil
}

// guard serves files below /private to clients with the token.
func guard(files http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", files)
	mux.HandleFunc("/private/", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+exampleToken {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.StripPrefix("/private", files).ServeHTTP(w, r)
	})
	return mux
}

// Values returns a value for each variable of a job of example-jobs that this cluster has
// one for, as "name=value".
func (c *Cluster) Values(file string, text []byte) ([]string, error) {
	digest, err := image.ParseSkein(imagetest.Hello(".skein"))
	if err != nil {
		return nil, err
	}
	images := c.Images
	if strings.HasPrefix(filepath.Base(file), "credentials.") {
		images += "/private"
	}
	var all []string
	for _, v := range [][2]string{
		{"image", images}, {"pot", imagetest.HelloName}, {"sidecar", SidecarName}, {"digest", digest.String()}, {"key", c.exampleKey()}, {"data", c.exampleData()},
	} {
		if bytes.Contains(text, []byte("\nvariable \""+v[0]+"\"")) {
			all = append(all, v[0]+"="+v[1])
		}
	}
	return all, nil
}

// Command returns the command that runs a job file against this cluster.
func (c *Cluster) Command(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	values, err := c.Values(file, text)
	if err != nil {
		return "", err
	}
	command := fmt.Sprintf("%s job run -address=%s", c.config.Nomad, c.HTTP)
	for _, v := range values {
		command += " -var " + v
	}
	return command + " " + file, nil
}
