package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"nomad-driver-pot/image"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/local"
	"nomad-driver-pot/schema"
)

// imageListCommand lists the images of this host. pot has none of its own: an image is a pot
// there, and this program's images are what the driver has fetched for tasks.
func imageListCommand(use string, aliases ...string) *cobra.Command {
	c := &cobra.Command{
		Use:     use,
		Aliases: aliases,
		Short:   "List the images on this host",
		Long: `Lists the images that the driver has fetched for tasks, and those that pot import has made
pots from. State is "in use" if pots are cloned from an image. NAME is the name of the
dataset.`,
		Example: `  pot image list
  pot image ls -o json`,
		Args: arguments(),
	}
	quiet := c.Flags().BoolP("quiet", "q", false, "print only names")
	o := addHostFlags(c)
	output := addOutput(c)
	c.RunE = runE(func(c *cobra.Command, _ []string) error {
		all, err := o.localImages(c)
		if err != nil {
			return fmt.Errorf("cannot list images: %w", err)
		}
		if *quiet {
			var names []string
			for _, i := range all {
				names = append(names, i.Name)
			}
			return output.lines(c.OutOrStdout(), names)
		}
		return output.print(c.OutOrStdout(), all, func(w io.Writer) error {
			now := time.Now()
			t := newTable(w, "NAME", "IMAGE", "STATE", "SIZE", "DIGEST", "AGE")
			for _, i := range all {
				t.row(i.Name, i.Image, imageState(i), sizeText(i.Bytes), shortDigest(i.Digest), age(now, i.Created))
			}
			return t.Flush()
		})
	})
	return c
}

// imagesCommand is pot image list under the name that docker has for it.
func imagesCommand() *cobra.Command {
	c := imageListCommand("images")
	c.Hidden = true
	return c
}

// localImages returns the images of this host.
func (o *hostFlags) localImages(c *cobra.Command) ([]schema.LocalImage, error) {
	ps, _, err := o.pots()
	if err != nil {
		return nil, err
	}
	found, err := local.Describe(c.Context(), ps, local.Filter{Images: true})
	if err != nil {
		return nil, err
	}
	idle := map[string]bool{}
	for _, label := range []string{conf.LabelRef, conf.LabelImported} {
		names, err := ps.Host().Images.Idle(c.Context(), label)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			idle[name] = true
		}
	}
	all := []schema.LocalImage{}
	for _, d := range found {
		ref, err := parseImage(d.Ref)
		if err != nil {
			continue // a pot that is no image
		}
		all = append(all, schema.LocalImage{
			Name: string(d.Name), Image: ref.Name + ":" + ref.Tag, URL: ref.Source, Digest: d.Digest,
			Bytes: local.Size(c.Context(), ps.Host(), d.Name), InUse: !idle[string(d.Name)], Imported: d.Imported, Created: timeOf(d.Created),
		})
	}
	return all, nil
}

// parseImage parses what an image was pulled as. The tag of a container image is what its
// dataset has for it.
func parseImage(text string) (image.Ref, error) {
	if !image.IsContainer(text) {
		return image.ParseRef(text)
	}
	c, err := image.ParseContainer(text)
	return image.Ref{Source: c.Source(), Name: c.Pot, Tag: c.DatasetTag()}, err
}

func imageState(i schema.LocalImage) string {
	if i.InUse {
		return "in use"
	}
	return "unused"
}

// sizeText is a size for a person; "" for one that is not known.
func sizeText(bytes int64) string {
	if bytes == 0 {
		return ""
	}
	return humanize.IBytes(uint64(bytes))
}

// shortDigest returns the beginning of a digest, which tells two images apart.
func shortDigest(digest string) string {
	_, hex, _ := strings.Cut(digest, ":")
	return hex[:min(len(hex), 12)]
}

// imageRemoveCommand destroys images of this host.
func imageRemoveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "remove IMAGE...",
		Aliases: []string{"rm"},
		Short:   "Remove images from this host",
		Long: `Destroys images that no pot is cloned from. IMAGE is a name or a NAME:TAG as pot image list
shows them, or NAME_TAG. If one of several cannot be removed, the others are. Files in the
cache stay: a task that needs the image again need not download it.`,
		Example: `  pot image remove web_1_0
  pot image rm web:1.0`,
		SuggestFor: []string{"delete", "destroy", "prune"},
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return arguments("IMAGE")(c, args)
			}
			return nil
		},
	}
	o := addHostFlags(c)
	c.ValidArgsFunction = o.completeImages
	output := addOutput(c)
	c.RunE = runE(func(c *cobra.Command, args []string) error {
		removed, err := o.removeImages(c, args)
		return errors.Join(err, output.lines(c.OutOrStdout(), removed))
	})
	return c
}

// removeImages destroys images and returns the names of those it destroyed. It
// continues after an image that it cannot destroy.
func (o *hostFlags) removeImages(c *cobra.Command, args []string) (removed []string, err error) {
	all, err := o.localImages(c)
	if err != nil {
		return nil, fmt.Errorf("cannot remove images: %w", err)
	}
	ps, _, err := o.pots()
	if err != nil {
		return nil, fmt.Errorf("cannot remove images: %w", err)
	}
	var errs []error
	for _, arg := range args {
		var names []string
		for _, i := range all {
			// NAME_TAG is the name of the image's files.
			if arg == i.Name || arg == i.Image || arg == strings.ReplaceAll(i.Image, ":", "_") {
				names = append(names, i.Name)
			}
		}
		switch len(names) {
		case 0:
			errs = append(errs, fmt.Errorf("cannot remove image %s: %w", arg, o.noImage(c, arg)))
			continue
		case 1:
			if slices.Contains(removed, names[0]) {
				continue // named twice
			}
		default:
			errs = append(errs, hinted{fmt.Errorf("cannot remove image %s: %d images have that name", arg, len(names)), "name one of " + list(names)})
			continue
		}
		if err := local.RemoveImage(c.Context(), ps, pot.Name(names[0])); err != nil {
			errs = append(errs, fmt.Errorf("cannot remove image %s: %w", arg, err))
			continue
		}
		removed = append(removed, names[0])
	}
	return removed, errors.Join(errs...)
}

// noImage returns the error for a name that is no image's.
func (o *hostFlags) noImage(c *cobra.Command, name string) error {
	if _, err := o.settings(c.Context(), name); err == nil {
		return hinted{local.ErrNoImage, "pot destroy " + name + " destroys it"}
	}
	return errors.New("no such image")
}

// completeImages completes the names of images.
func (o *hostFlags) completeImages(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	all, err := o.localImages(c)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, i := range all {
		names = append(names, i.Name, i.Image)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
