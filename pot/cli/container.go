package cli

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/image/oci"
)

// containerFlags are the flags for container images, which create and image build share.
type containerFlags struct{ oci.Options }

// add adds the flags to c.
func (f *containerFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.Platform, "platform", "", "`OS/ARCH` of the container image (default freebsd/"+runtime.GOARCH+")")
	flags.StringVar(&f.DockerConfig, "docker-config", "", "`file` config.json of docker with credentials for registries")
	flags.BoolVar(&f.Insecure, "insecure-registry", false, "accept plain HTTP and unknown certificate authorities")
}

// check calls report for every error in the flags, with the flag. from is the value of another
// flag, which names a container image or something else.
func (f *containerFlags) check(flag, from string, report func(flag string, err error)) {
	if oci.IsSource(from) {
		if err := oci.CheckPlatform(f.Platform); err != nil {
			report("--platform", err)
		}
		return
	}
	for name, given := range map[string]bool{
		"--platform": f.Platform != "", "--docker-config": f.DockerConfig != "", "--insecure-registry": f.Insecure,
	} {
		if given {
			report(name, fmt.Errorf("requires a container image, such as %s oci:DIR", flag))
		}
	}
}

// openImage opens a container image. The caller must close it.
func (f *containerFlags) openImage(ctx context.Context, from string) (*oci.Image, error) {
	image, err := oci.Open(ctx, from, f.Options)
	return image, hintContainer(err)
}

// settings returns the settings of a pot that from returns for a container image. It calls warn
// for what is left out.
func (f *containerFlags) settings(warn func(string), from func() (conf.New, []string, error)) (conf.New, error) {
	made, warnings, err := from()
	if err == nil {
		err = made.Validate()
	}
	if err != nil {
		return conf.New{}, hintContainer(err)
	}
	for _, w := range warnings {
		warn(w)
	}
	return made, nil
}

// hintContainer adds a hint on how to use a container image that was refused.
func hintContainer(err error) error {
	var platform *oci.PlatformError
	switch {
	case errors.As(err, &platform) && len(platform.Have) > 0:
		return hinted{err, "--platform " + platform.Have[0] + " takes that image"}
	case errors.Is(err, oci.ErrNoCommand):
		return hinted{err, "--cmd sets a command"}
	case errors.Is(err, oci.ErrDenied):
		return hinted{err, "--docker-config FILE has credentials"}
	case errors.Is(err, oci.ErrPlainHTTP):
		return hinted{err, "--insecure-registry accepts it"}
	}
	return err
}
