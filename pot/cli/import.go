package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/fetch"
	"nomad-driver-pot/image/store"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/local"
	"nomad-driver-pot/schema"
)

// importCommand creates a pot from an image (pot import -p -t -U -C). pot looks in the file
// system's root without -U, which is refused here. pot ignores the exit status of zfs
// receive; here a failure leaves nothing of the pot, and the download in the cache.
func importCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "import NAME -t TAG -U URL",
		Short: "Create a pot from an image",
		Long: `Fetches the image NAME_TAG.xz from a server, or from a directory given as file:///DIR,
verifies it, and creates the pot NAME_TAG from it, with the dots of the tag replaced by _.
With -C the image must be signed with that key. Images that it is layered on are fetched
first. A pot on the public bridge gets an address.

The driver starts tasks from the pot, as from the image, until the pot is changed or
started.`,
		Example: `  pot import web -t 1.0 -U file:///srv/images
  pot import -p web -t 1.0 -U https://images.example.org/pots -C pots.pub`,
		Annotations: map[string]string{makesPot: "yes"},
		SuggestFor:  []string{"pull", "fetch", "load", "download"},
		Args:        cobra.ArbitraryArgs,
	}
	var ref image.Ref
	var pubkey string
	c.Flags().StringVarP(&ref.Name, "pot", "p", "", "`name` of the exported pot, instead of the argument NAME")
	c.Flags().StringVarP(&ref.Tag, "tag", "t", "", "`tag` of the image: its version")
	c.Flags().StringVarP(&ref.Source, "url", "U", "", "`URL` of the directory with the image")
	addPubkey(c, &pubkey)
	o := addHostFlags(c)
	output := addOutput(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		at := "-p"
		if ref.Name == "" && len(args) > 0 {
			at, ref.Name, args = "NAME", args[0], args[1:]
		}
		if len(args) > 0 {
			return arguments()(c, args)
		}
		if err := refProblem(ref, at); err != nil {
			return err
		}
		if err := pot.Name(ref.Dataset()).Validate(); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		return runE(func(c *cobra.Command, _ []string) error {
			name, err := o.importImage(c, ref, pubkey)
			if err != nil {
				return fmt.Errorf("cannot import the image: %w", err)
			}
			return output.line(c.OutOrStdout(), schema.Created{Name: string(name), Image: ref.Name + ":" + ref.Tag}, string(name))
		})(c, nil)
	}
	return c
}

// refProblem returns every problem of a reference, each led by where it was typed: name is
// where the name was.
func refProblem(ref image.Ref, name string) error {
	var errs []error
	ref.Check(func(field string, err error) {
		if field == "source" && image.IsContainer(ref.Source) {
			err = errors.New("is a container image: pot image build --from makes an image of it")
		}
		at := map[string]string{"source": "-U", "name": name, "tag": "-t"}[field]
		errs = append(errs, fmt.Errorf("%s: %w", at, err))
	})
	return errors.Join(errs...)
}

// importImage creates the pot and returns its name. After an error no pot is left. The
// label comes last: with it a task takes the pot for the image, so it must be complete.
func (o *hostFlags) importImage(c *cobra.Command, ref image.Ref, pubkey string) (name pot.Name, err error) {
	ctx := c.Context()
	ps, conf, err := o.pots()
	if err != nil {
		return "", err
	}
	name = pot.Name(ref.Dataset())
	check, err := checks(pubkey, nil)
	if err != nil {
		return "", err
	}
	bar := newProgress(c.ErrOrStderr())
	images := store.NewStore(fetch.NewCache(conf.Cache, fetch.Options{OnProgress: bar.of}), ps.Host().Images)
	_, err = images.Ensure(ctx, ref, image.PullOptions{Key: check.Key, AsPot: true}, nil)
	bar.done()
	if errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("pot %s already exists", name)
	}
	if err != nil {
		return "", err
	}
	err = o.localise(c, ps, name)
	if err == nil { // tasks may use the pot as the image, until it is changed or started
		err = ps.Host().Images.SetLabels(ctx, string(name), map[string]string{store.LabelImported: ref.String()})
	}
	if err != nil {
		after := context.WithoutCancel(ctx)
		return "", errors.Join(err, local.Destroy(after, ps, name, false, local.StartOptions{}))
	}
	return name, nil
}

// localise makes an imported pot one of this host: with its own hostname, an address and a
// snapshot. The pot.conf came with the image and holds the hostname and the address of the
// host that exported it. Of its networks only the public bridge is on every host; bridges
// and interfaces by name may not exist here, so the address stays as it is and a note says
// so. A clone, and so a task, needs a snapshot.
func (o *hostFlags) localise(c *cobra.Command, ps *life.Pots, name pot.Name) error {
	ctx := c.Context()
	s, err := local.Open(ctx, ps.Host(), name)
	if err != nil {
		return err
	}
	conf, err := s.Conf()
	if err != nil {
		return err
	}
	if err := errors.Join(ps.RemoveLogs(name), s.Apply(ctx, local.SetHostname{Hostname: string(name)})); err != nil {
		return err
	}
	connect := local.Connection{Network: pot.NetworkMode(conf.Value("network_type")), Stack: pot.Stack(conf.Value("pot.stack"))}
	switch connect.Network {
	case pot.PublicBridge:
		addr, err := local.Connect(ctx, ps, s, connect)
		if err != nil {
			return err
		}
		if addr.IsValid() {
			notes(c)("address of " + string(name) + ": " + addr.String())
		}
	case pot.PrivateBridge, pot.Alias:
		notes(c)("network " + string(connect.Network) + " of " + string(name) + " is not set up on this host: pot clone -N sets another")
	}
	if names, err := s.SnapshotNames(ctx); err != nil || len(names) > 0 {
		return err
	}
	_, err = s.Snapshot(ctx, false)
	return err
}
