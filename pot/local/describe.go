package local

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
)

// Description is what a list says of a dataset: a pot, an image, or the pot of a task.
type Description struct {
	Name     pot.Name
	Ref      string // of a verified image, or of the image that the pot was imported as: URL/NAME:TAG
	Digest   string // of a verified image
	From     string // the dataset that a task's pot was cloned from, or the release of another
	Task     bool   // the pot of a Nomad task
	Imported bool   // a pot that tasks can start from: Ref is not ""

	Running bool
	Started time.Time // zero unless it is running, and this program has started it
	Created time.Time // zero if not known
	Exit    *int      // exit code of the last run; nil if there was none, or the pot is running

	Network   pot.NetworkMode // HostNetwork for pot's inherit
	Stack     pot.Stack
	Bridge    string
	Addresses []string      // of network alias as INTERFACE|ADDRESS, if an interface is named
	Ports     []conf.Export // of a running pot those that are published

	Err error // why the pot's settings cannot be read; the rest is what is known without them
}

// IsImage reports whether d is a verified image, which is no pot of a person.
func (d Description) IsImage() bool { return d.Digest != "" }

// A Filter selects datasets for Describe. Without any field set it selects the pots of this
// host's operator.
type Filter struct {
	Name    pot.Name // this one alone, whatever it is
	Tasks   bool     // pots of tasks too
	Images  bool     // images too
	Running bool     // those that run alone
}

// selects reports whether f selects d, by its name and its labels.
func (f Filter) selects(d Description) bool {
	if f.Name != "" {
		return d.Name == f.Name
	}
	return (f.Tasks || !d.Task) && (f.Images || !d.IsImage())
}

// Describe describes the datasets of this host that f selects, by name. It leaves out imports
// that are not finished, and datasets that are destroyed meanwhile.
func Describe(ctx context.Context, ps *life.Pots, f Filter) ([]Description, error) {
	images := ps.Host().Images
	names, err := images.List(ctx, "")
	if err != nil {
		return nil, err
	}
	labels, err := images.Labelled(ctx, conf.LabelTask, conf.LabelRef, conf.LabelDigest, conf.LabelManifest, conf.LabelImported)
	if err != nil {
		return nil, err
	}
	created, err := images.Created(ctx)
	if err != nil {
		return nil, err
	}
	var all []Description
	for _, text := range names {
		name := pot.Name(text)
		if name.Validate() != nil || strings.HasPrefix(text, conf.ImportPrefix) {
			continue
		}
		its := labels[text]
		d := Description{
			Name: name, Ref: cmp.Or(its[conf.LabelRef], its[conf.LabelImported]), Digest: cmp.Or(its[conf.LabelDigest], its[conf.LabelManifest]),
			Task: its[conf.LabelTask] != "", Imported: its[conf.LabelImported] != "", Created: created[text],
		}
		if !f.selects(d) {
			continue
		}
		if _, err := ps.FindJail(ctx, name); err == nil {
			d.Running = true
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if f.Running && !d.Running {
			continue
		}
		if d.Err = d.read(ctx, ps); errors.Is(d.Err, fs.ErrNotExist) {
			if _, gone := ps.Host().Datasets.Dir(ctx, text); errors.Is(gone, fs.ErrNotExist) {
				continue
			}
		}
		all = append(all, d)
	}
	return all, nil
}

// read adds what the pot's settings and the record of its run say.
func (d *Description) read(ctx context.Context, ps *life.Pots) error {
	p, err := ps.Find(d.Name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && (d.Task || d.Running) {
		d.fromRecord(p)
		if d.Task {
			return nil
		}
	}
	dir, err := ps.Host().Datasets.Dir(ctx, string(d.Name))
	if err != nil {
		return err
	}
	s := &Pot{host: ps.Host(), name: d.Name, dir: dir}
	if !d.Running {
		if code, err := LastExitCode(ctx, ps, d.Name); err == nil {
			d.Exit = &code
		}
	}
	lines, err := s.Conf()
	if err != nil {
		return err
	}
	if d.From = lines.Value("pot.base"); d.Started.IsZero() {
		d.fromConf(lines)
	}
	return nil
}

// fromRecord adds what the record of a run says.
func (d *Description) fromRecord(p *life.Pot) {
	s := p.Spec()
	d.Started, d.Network, d.Stack, d.Bridge = p.Created(), s.Network, s.Stack, s.Bridge
	if d.Task {
		d.From, d.Created = s.Image, p.Created()
	}
	if !d.Running {
		d.Started = time.Time{}
	}
	if aliases := p.Aliases(); len(aliases) > 0 {
		for _, a := range aliases {
			d.Addresses = append(d.Addresses, a.String())
		}
	} else if p.Address().IsValid() {
		d.Addresses = []string{p.Address().String()}
	}
	for _, port := range s.Ports {
		d.Ports = append(d.Ports, conf.Export{Proto: port.Proto, Port: port.To, Host: port.Host.Port()})
	}
}

// fromConf adds what pot.conf says of the network.
func (d *Description) fromConf(lines *conf.Lines) {
	d.Network, d.Stack, d.Bridge = pot.NetworkMode(lines.Value("network_type")), pot.Stack(lines.Value("pot.stack")), lines.Value("bridge")
	if d.Network == "" || d.Network == "inherit" {
		d.Network = pot.HostNetwork
	}
	d.Addresses = strings.Fields(lines.Value("ip"))
	for _, text := range strings.Fields(lines.Value("pot.export.ports")) {
		if e, err := conf.ParseExport(text); err == nil {
			d.Ports = append(d.Ports, e)
		}
	}
}

// Size returns the size of the files of a dataset by its newest snapshot, or 0 if that is not
// known.
func Size(ctx context.Context, host pot.Host, name pot.Name) int64 {
	all, err := host.Snapshots.List(ctx, string(name))
	if err != nil {
		return 0
	}
	sizes := map[string]int64{}
	for _, one := range all {
		sizes[one.Name] += one.LogicalReferencedBytes
	}
	names := slices.Sorted(maps.Keys(sizes))
	if len(names) == 0 {
		return 0
	}
	return sizes[names[len(names)-1]]
}

// RemoveImage destroys an image of this host, or a pot that a person imported as one. It
// returns ErrCloned if pots are cloned from it, ErrRunning if it is a pot that runs, and an
// error for a pot that is no image.
func RemoveImage(ctx context.Context, ps *life.Pots, name pot.Name) error {
	s, err := Open(ctx, ps.Host(), name)
	if err != nil {
		return err
	}
	labels, err := knownLabels(ctx, ps.Host(), name)
	if err != nil {
		return err
	}
	label := conf.LabelRef
	if labels[conf.LabelImported] != "" {
		label = conf.LabelImported
	}
	if labels[label] == "" {
		return ErrNoImage
	}
	idle, err := ps.Host().Images.Idle(ctx, label)
	if err != nil {
		return err
	}
	if !slices.Contains(idle, string(s.name)) {
		return errInUse
	}
	return Destroy(ctx, ps, name, false, StartOptions{})
}

// ErrNoImage is returned for a pot that is no image.
var ErrNoImage = errors.New("is a pot, not an image")

var errInUse = errors.New("pots are cloned from it")
