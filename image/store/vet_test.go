package store

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/zstream"
)

func TestVet(t *testing.T) {
	leak.Check(t)
	image := func(of, m map[string]any) *zstream.Stream {
		return &zstream.Stream{Top: "tank/jails/web", Package: true, Datasets: []zstream.Dataset{
			{Properties: of, Snapshots: []zstream.Snapshot{{Name: "1"}}}, {Name: "m", Properties: m, Snapshots: []zstream.Snapshot{{Name: "1"}}},
		}}
	}
	t.Run("the properties of pots are accepted", func(t *testing.T) {
		must.NoError(t, vet{}.stream(image(nil, nil)))
		must.NoError(t, vet{}.stream(image(
			map[string]any{"compression": uint64(15), "recordsize": uint64(1 << 20), ":pot.tag": "1.0", "org:note": "x", "nomad.pot:digest": "of what it was exported from", "mountpoint": "/opt/pot/jails/web"},
			map[string]any{"mountpoint": "/opt/pot/jails/web/m", "atime": uint64(0)},
		)))
	})
	t.Run("how a host stores and caches is the host's to say", func(t *testing.T) {
		s := image(map[string]any{"mountpoint": "/opt/pot/jails/web", "org:note": "x"}, map[string]any{
			"recordsize": uint64(1 << 20), "normalization": uint64(0), "xattr": uint64(2),
			"copies": uint64(3), "dedup": uint64(2), "checksum": uint64(2), "sync": uint64(2), "logbias": uint64(1), "primarycache": uint64(0),
			"secondarycache": uint64(0), "redundant_metadata": uint64(1), "special_small_blocks": uint64(1), "snapdir": uint64(1),
			"prefetch": uint64(0), "version": uint64(5), "com.sun:auto-snapshot": "true", "nomad.pot:digest": "x",
		})
		must.NoError(t, vet{}.stream(s))
		must.MapEmpty(t, s.Datasets[0].Properties)
		must.Eq(t, map[string]any{"recordsize": uint64(1 << 20), "normalization": uint64(0), "xattr": uint64(2)}, s.Datasets[1].Properties)
	})
	t.Run("what is kept is a number", func(t *testing.T) {
		must.ErrorContains(t, vet{}.stream(image(map[string]any{"compression": "lz4"}, nil)), "property compression=lz4 is none that an image may have")
	})
	t.Run("a dropped property must have its type too", func(t *testing.T) {
		for property, value := range map[string]any{"copies": "3", "sync": "disabled", "version": "5", "org:note": uint64(1), "nomad.pot:digest": uint64(1), ":pot.tag": uint64(1)} {
			must.ErrorContains(t, vet{}.stream(image(nil, map[string]any{property: value})), "property "+property+"=")
		}
	})
	for property, value := range map[string]any{
		"refreservation": uint64(1), "refquota": uint64(1), "snapshot_limit": uint64(1), "volmode": uint64(1), "vscan": uint64(1),
		"nbmand": uint64(1), "overlay": uint64(0), "readonly": uint64(1), "bookmarks": uint64(1), "snapdev": uint64(1), "mlslabel": "x",
		"sharenfs": "on", "sharesmb": "on", "mountpoint": "/etc", "canmount": uint64(1), "exec": uint64(0), "setuid": uint64(1),
		"devices": uint64(1), "jailed": uint64(1), "keylocation": "file:///etc/passwd", "encryption": uint64(8), "quota": uint64(1),
		"reservation": uint64(1 << 40), "volsize": uint64(1), "nobody knows": uint64(1), "filesystem_limit": uint64(1),
	} {
		t.Run(property+" is refused", func(t *testing.T) {
			for _, s := range []*zstream.Stream{image(map[string]any{property: value}, nil), image(nil, map[string]any{property: value})} {
				must.ErrorContains(t, vet{}.stream(s), "property "+property+"=")
				must.ErrorContains(t, vet{}.stream(s), "is none that an image may have")
			}
		})
	}
	t.Run("all problems are reported", func(t *testing.T) {
		s := image(map[string]any{"nomad.pot:digest": "x", "sharenfs": "on"}, nil)
		s.Datasets[1].Origin = 7
		s.Datasets[1].Snapshots[0].Properties = map[string]any{"nomad.pot:task": "x"}
		s.Datasets = append(s.Datasets, zstream.Dataset{Name: "usr.local"})
		err := vet{}.stream(s)
		for _, want := range []string{`dataset ".": property sharenfs=on`,
			`dataset "m": it is a layer on snapshot 0x7, and .meta names none`, "snapshot 1: property nomad.pot:task is this driver's own",
			`it is to have a child m, and no others, not ["" "m" "usr.local"]`} {
			must.ErrorContains(t, err, want)
		}
	})
	t.Run("so many snapshots are too many", func(t *testing.T) {
		s := image(nil, nil)
		s.Datasets[0].Snapshots = make([]zstream.Snapshot, maxSnapshots+1)
		must.ErrorContains(t, vet{}.stream(s), "it has 65 snapshots, and at most 64 are taken")
	})
	t.Run("what is not of send -R", func(t *testing.T) {
		s := image(nil, nil)
		s.Package = false
		must.True(t, strings.HasPrefix(vet{}.stream(s).Error(), "no image of a pot"))
	})
}
