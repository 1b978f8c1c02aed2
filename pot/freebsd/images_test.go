package freebsd

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/freebsd/zfs"
)

// treeRoot is a package of an image whose tree has those snapshots, each on the one before it.
func treeRoot(guids ...uint64) modelStream {
	s := modelStream{Sent: []modelSent{{Snapshot: "top", GUID: 1000 + guids[0]}}}
	for i, guid := range guids {
		sent := modelSent{Child: "m", Snapshot: fmt.Sprint(guid), GUID: guid}
		if i > 0 {
			sent.From = guids[i-1]
		}
		s.Sent = append(s.Sent, sent)
	}
	return s
}

// layer is a package of an image whose tree is a clone of the snapshot with that GUID.
func layer(origin, guid uint64) modelStream {
	s := treeRoot(guid)
	s.Sent[1].From, s.Sent[1].Clone = origin, true
	return s
}

// The rules of zfs(8) that images meet are in the model.
func TestModel_images(t *testing.T) {
	leak.Check(t)
	receive := func(t *testing.T, m *model, name string, s modelStream, flags ...string) error {
		argv := append(append([]string{"zfs", "receive"}, flags...), "tank/pot/jails/"+name)
		_, err := m.Run(t.Context(), s.reader(), argv...)
		return err
	}
	t.Run("holds are received, unless -h is given, and keep a snapshot", func(t *testing.T) {
		m := newModel(t)
		held := treeRoot(7)
		held.Holds, held.Sent[1].Holds = true, []string{"keep"}
		must.NoError(t, receive(t, m, "a", held))
		_, err := m.Run(t.Context(), nil, "zfs", "destroy", "-rf", "tank/pot/jails/a")
		must.ErrorContains(t, err, "cannot destroy snapshot tank/pot/jails/a/m@7: pool or dataset is busy")
		_, err = m.Run(t.Context(), nil, "zfs", "release", "keep", "tank/pot/jails/a/m@7")
		must.NoError(t, err)
		_, err = m.Run(t.Context(), nil, "zfs", "release", "keep", "tank/pot/jails/a/m@7")
		must.ErrorContains(t, err, "no such tag on this dataset")
		_, err = m.Run(t.Context(), nil, "zfs", "destroy", "-rf", "tank/pot/jails/a")
		must.NoError(t, err)

		must.NoError(t, receive(t, m, "b", held, "-h"))
		held.Holds = false // the feature decides, not the list
		must.NoError(t, receive(t, m, "c", held))
		for _, name := range []string{"b", "c"} {
			_, err = m.Run(t.Context(), nil, "zfs", "destroy", "-rf", "tank/pot/jails/"+name)
			must.NoError(t, err)
		}
	})
	t.Run("a clone goes to any snapshot with the GUID, the nearest first", func(t *testing.T) {
		m := newModel(t)
		m.addDataset("tank/a").snapshots = []string{"7"}
		must.NoError(t, receive(t, m, "first", layer(7, 8)))
		must.Eq(t, "tank/a@7", m.datasets["tank/pot/jails/first/m"].origin)
		must.NoError(t, receive(t, m, "near", treeRoot(7)))
		must.NoError(t, receive(t, m, "second", layer(7, 9)))
		must.Eq(t, "tank/pot/jails/near/m@7", m.datasets["tank/pot/jails/second/m"].origin)
		must.ErrorContains(t, receive(t, m, "third", layer(99, 10)), "local origin for clone")
	})
	t.Run("what is incremental and no clone goes into any dataset that has the snapshot", func(t *testing.T) {
		m := newModel(t)
		must.NoError(t, receive(t, m, "near", treeRoot(7)))
		s := layer(7, 8)
		s.Sent[1].Clone = false
		must.NoError(t, receive(t, m, "second", s))
		must.Eq(t, []string{"7", "8"}, m.datasets["tank/pot/jails/near/m"].snapshots)
		must.Nil(t, m.datasets["tank/pot/jails/second/m"])
	})
	t.Run("properties are received, but for those that are excluded", func(t *testing.T) {
		m := newModel(t)
		s := treeRoot(7)
		s.Sent[1].Props = map[string]string{"copies": "3", "recordsize": "16K"}
		must.NoError(t, receive(t, m, "a", s, "-x", "copies"))
		must.Eq(t, "", m.value("tank/pot/jails/a/m", "copies"))
		must.Eq(t, "16K", m.value("tank/pot/jails/a/m", "recordsize"))
	})
}

func TestReceive_holds(t *testing.T) {
	leak.Check(t)
	m := newModel(t)
	before := m.state()
	h, _ := m.host(t)
	s := treeRoot(7)
	s.Holds, s.Sent[0].Holds, s.Sent[1].Holds = true, []string{"x"}, []string{"keep", "-r"}
	must.NoError(t, h.Images.Receive(t.Context(), "new", s.reader()))
	must.NoError(t, h.Images.Destroy(t.Context(), "new"))
	must.Eq(t, before, m.state())
}

// An image may set how its files are stored, not how the host stores and caches.
func TestReceive_properties(t *testing.T) {
	leak.Check(t)
	m := newModel(t)
	h, _ := m.host(t)
	s := treeRoot(7)
	s.Sent[1].Props = map[string]string{"recordsize": "16K", "compression": "zstd"}
	hostile := []string{
		"copies", "dedup", "checksum", "sync", "logbias", "primarycache", "secondarycache", "snapdir", "redundant_metadata",
		"special_small_blocks", "mountpoint", "canmount", "reservation", "refreservation", "readonly", "sharenfs",
	}
	for _, property := range hostile {
		s.Sent[1].Props[property] = "hostile"
	}
	must.NoError(t, h.Images.Receive(t.Context(), "new", s.reader()))
	for _, property := range hostile {
		must.Eq(t, "", m.value("tank/pot/jails/new/m", property), must.Sprint(property))
	}
	must.Eq(t, "16K", m.value("tank/pot/jails/new/m", "recordsize"))
	must.Eq(t, "zstd", m.value("tank/pot/jails/new/m", "compression"))
}

// A layer may be on the image that is named, or on the same image under another name,
// whatever GUIDs say.
func TestReceiveLayer_origin(t *testing.T) {
	leak.Check(t)
	const signed, forged = "skein1024:51", "skein1024:f0"
	base := map[string]string{conf.LabelDigest: signed, conf.LabelReceived: signed + " 3ef 7"}
	for name, c := range map[string]struct {
		other  string // its name is before that of base, so it is found first
		labels map[string]string
		want   string
	}{
		"a pot of this host that no stream brought": {other: "a"},
		"the same image under another name":         {other: "a_1_0", labels: base},
		"the same image, from before labels said what was received": {
			other: "a_1_0", labels: map[string]string{conf.LabelDigest: signed}},
		"an image with another digest": {
			other: "a_1_0", labels: map[string]string{conf.LabelDigest: forged, conf.LabelReceived: forged + " 3ef 7"},
			want: "their images have different digests"},
		"an image with another digest, from before": {
			other: "a_1_0", labels: map[string]string{conf.LabelDigest: forged},
			want: "their images have different digests"},
		"a pot that was such an image": {
			other: "a_1_0", labels: map[string]string{conf.LabelReceived: forged + " 3ef 7"},
			want: "their images have different digests"},
		"an import, of which nothing is known yet": {
			other: conf.ImportPrefix + "1-2", want: "it is a layer on tank/pot/jails/_import-1-2/m@7, and must be on tank/pot/jails/base_1_0/m@7"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(t)
			h, _ := m.host(t)
			for _, image := range []string{"base_1_0", c.other} {
				must.NoError(t, h.Images.Receive(t.Context(), image, treeRoot(7).reader()))
			}
			must.NoError(t, h.Images.SetLabels(t.Context(), "base_1_0", base))
			must.NoError(t, h.Images.SetLabels(t.Context(), c.other, c.labels))
			before := m.state()
			err := h.Images.ReceiveLayer(t.Context(), "new", "base_1_0", "7", layer(7, 8).reader(), nil)
			if c.want == "" {
				must.NoError(t, err)
				must.Eq(t, "tank/pot/jails/"+c.other+"/m@7", m.datasets["tank/pot/jails/new/m"].origin)
				return
			}
			must.ErrorContains(t, err, c.want)
			must.Eq(t, before, m.state())
		})
	}
	t.Run("a snapshot that a pot took after it was an image is the pot's own", func(t *testing.T) {
		m := newModel(t)
		h, _ := m.host(t)
		must.NoError(t, h.Images.Receive(t.Context(), "a_1_0", treeRoot(5, 7).reader()))
		must.NoError(t, h.Images.SetLabels(t.Context(), "a_1_0", map[string]string{conf.LabelReceived: forged + " 3ed 5"}))
		must.NoError(t, h.Images.Receive(t.Context(), "base_1_0", treeRoot(7).reader()))
		must.NoError(t, h.Images.SetLabels(t.Context(), "base_1_0", base))
		must.NoError(t, h.Images.ReceiveLayer(t.Context(), "new", "base_1_0", "7", layer(7, 8).reader(), nil))
	})
	t.Run("a snapshot of the image's top dataset is not its tree", func(t *testing.T) {
		m := newModel(t)
		h, _ := m.host(t)
		s := treeRoot(7)
		s.Sent[0].GUID = 7
		s.Sent[1].GUID = 6
		must.NoError(t, h.Images.Receive(t.Context(), "a_1_0", s.reader()))
		must.NoError(t, h.Images.Receive(t.Context(), "base_1_0", treeRoot(7).reader()))
		before := m.state()
		err := h.Images.ReceiveLayer(t.Context(), "new", "base_1_0", "7", layer(7, 8).reader(), nil)
		must.EqError(t, err, "it is a layer on tank/pot/jails/a_1_0@top, and must be on tank/pot/jails/base_1_0/m@7")
		must.Eq(t, before, m.state())
	})
}

func TestLabelled(t *testing.T) {
	leak.Check(t)
	m := newModel(t)
	h, _ := m.host(t)
	must.NoError(t, h.Images.Receive(t.Context(), "a", treeRoot(7).reader()))
	must.NoError(t, h.Images.SetLabels(t.Context(), "a", map[string]string{conf.LabelReceived: "d 7 8", conf.LabelRef: "r"}))
	m.datasets["tank/pot/jails/web_1_0"].received = map[string]string{conf.LabelReceived: "a stream's"}
	got, err := h.Images.Labelled(t.Context(), conf.LabelReceived, conf.LabelDigest)
	must.NoError(t, err)
	must.Eq(t, map[string]map[string]string{"a": {conf.LabelReceived: "d 7 8"}}, got)
	guids, err := h.Images.GUIDs(t.Context(), "a")
	must.NoError(t, err)
	must.Eq(t, []uint64{1007, 7}, guids)
}

// Holds that an earlier version took from a stream do not keep a failed import; the error names
// those of an image at once.
func TestDestroy_held(t *testing.T) {
	leak.Check(t)
	held := func(t *testing.T, name string, tags ...string) (*model, pot.Host) {
		m := newModel(t)
		h, _ := m.host(t)
		must.NoError(t, h.Images.Receive(t.Context(), name, treeRoot(7).reader()))
		m.datasets["tank/pot/jails/"+name+"/m"].holds = map[string][]string{"7": tags}
		return m, h
	}
	t.Run("an import is destroyed", func(t *testing.T) {
		m, h := held(t, "_import-1-2", "keep", "-r", "with blanks")
		must.NoError(t, h.Images.Destroy(t.Context(), "_import-1-2"))
		must.Nil(t, m.datasets["tank/pot/jails/_import-1-2"])
	})
	t.Run("an image is kept, and the error has the command that releases it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, h := held(t, "new_1_0", "keep", "it's")
			ctx, cancel := context.WithTimeout(t.Context(), busyTimeout/2)
			defer cancel()
			err := h.Images.Destroy(ctx, "new_1_0")
			must.NoError(t, ctx.Err())
			must.EqError(t, err, "destroy tank/pot/jails/new_1_0: "+
				`snapshot tank/pot/jails/new_1_0/m@7 has the hold "keep"; zfs release keep tank/pot/jails/new_1_0/m@7 removes it`+"\n"+
				`snapshot tank/pot/jails/new_1_0/m@7 has the hold "it's"; zfs release -- 'it'\''s' tank/pot/jails/new_1_0/m@7 removes it`)
		})
	})
	t.Run("so is its snapshot", func(t *testing.T) {
		m, h := held(t, "new_1_0", "keep")
		serveZFS(t, m)
		m.datasets["tank/pot/jails/new_1_0"].snapshots = []string{"7"}
		err := h.Snapshots.Destroy(t.Context(), "new_1_0", "7")
		must.ErrorContains(t, err, "zfs release keep tank/pot/jails/new_1_0/m@7 removes it")
	})
	t.Run("a zfs send that runs is waited for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, h := held(t, "new_1_0", ".send-812-1")
			ctx, cancel := context.WithTimeout(t.Context(), busyTimeout/2)
			defer cancel()
			must.ErrorIs(t, h.Images.Destroy(ctx, "new_1_0"), zfs.ErrBusy)
			must.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
			m.datasets["tank/pot/jails/new_1_0/m"].holds = nil
			must.NoError(t, h.Images.Destroy(t.Context(), "new_1_0"))
		})
	})
}

// Pots are cloned from the newest snapshot, whoever took it.
func TestClone_newest(t *testing.T) {
	leak.Check(t)
	m := newModel(t)
	h, _ := m.host(t)
	clones := 0
	origin := func(t *testing.T) string {
		clones++
		name := fmt.Sprint("clone", clones)
		_, err := h.Datasets.Clone(t.Context(), pot.Clone{Origin: "new_1_0", Name: name})
		must.NoError(t, err)
		origin := m.datasets["tank/pot/jails/"+name+"/m"].origin
		must.NoError(t, h.Datasets.Destroy(t.Context(), name))
		return strings.TrimPrefix(origin, "tank/pot/jails/new_1_0/m@")
	}
	looks := func() (n int) {
		for _, command := range m.commands {
			if strings.HasPrefix(command, "zfs list -Hp -d 1 -t snapshot") {
				n++
			}
		}
		return n
	}
	zfs := func(t *testing.T, argv ...string) { // another program's
		_, err := m.Run(t.Context(), nil, append([]string{"zfs"}, argv...)...)
		must.NoError(t, err)
	}
	must.NoError(t, h.Images.Receive(t.Context(), "new_1_0", treeRoot(1).reader()))
	must.Eq(t, "1", origin(t))
	must.Eq(t, "1", origin(t))
	must.Eq(t, 1, looks(), must.Sprint("it is not looked for again"))

	t.Run("after an image was replaced by one that has the old snapshot as well", func(t *testing.T) {
		must.NoError(t, h.Images.Destroy(t.Context(), "new_1_0"))
		must.NoError(t, h.Images.Receive(t.Context(), "_import-1-1", treeRoot(1, 2).reader()))
		must.NoError(t, h.Images.Rename(t.Context(), "_import-1-1", "new_1_0"))
		must.Eq(t, "2", origin(t))
	})
	t.Run("after another process replaced it", func(t *testing.T) {
		zfs(t, "destroy", "-rf", "tank/pot/jails/new_1_0")
		_, err := m.Run(t.Context(), treeRoot(1, 2, 3).reader(), "zfs", "receive", "tank/pot/jails/new_1_0")
		must.NoError(t, err)
		zfs(t, "mount", "tank/pot/jails/new_1_0")
		zfs(t, "mount", "tank/pot/jails/new_1_0/m")
		must.Eq(t, "3", origin(t))
	})
	t.Run("after another process took a snapshot, and destroyed it", func(t *testing.T) {
		zfs(t, "snapshot", "-r", "tank/pot/jails/new_1_0@4")
		must.Eq(t, "4", origin(t))
		must.Eq(t, "4", origin(t))
		zfs(t, "destroy", "-r", "tank/pot/jails/new_1_0@4")
		must.Eq(t, "3", origin(t))
	})
	t.Run("after another dataset took the name", func(t *testing.T) {
		must.NoError(t, h.Images.Receive(t.Context(), "other", treeRoot(3, 9).reader()))
		zfs(t, "rename", "tank/pot/jails/new_1_0", "tank/pot/jails/old")
		zfs(t, "rename", "tank/pot/jails/other", "tank/pot/jails/new_1_0")
		must.Eq(t, "9", origin(t))
	})
	t.Run("a tree that is not mounted is looked at each time", func(t *testing.T) {
		must.Eq(t, "9", origin(t))
		mounts := m.mounts
		before := looks()
		m.mounts = nil
		d := h.Datasets
		_, err := d.Clone(t.Context(), pot.Clone{Origin: "new_1_0", Name: "x"})
		must.NoError(t, err)
		must.Eq(t, before+1, looks())
		m.mounts = mounts
	})
}
