package freebsd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/freebsd/zfs"
	"nomad-driver-pot/pot/run"
)

// snapshot does what zfs does to snapshots of a dataset and of all below it.
func (m *model) snapshot(what, at string) string {
	name, snapshot, _ := strings.Cut(at, "@")
	if m.datasets[name] == nil {
		return fmt.Sprintf("cannot open '%s': dataset does not exist", name)
	}
	there := slices.Contains(m.datasets[name].snapshots, snapshot)
	switch {
	case what == "snapshot" && there:
		return fmt.Sprintf("cannot create snapshot '%s': dataset already exists", at)
	case what == "destroy" && !there:
		return "could not find any snapshots to destroy; check snapshot names."
	case what != "snapshot" && !there:
		return fmt.Sprintf("cannot open '%s': dataset does not exist", at)
	}
	if what == "destroy" {
		if complaint := m.held(name, "@"+snapshot); complaint != "" {
			return complaint
		}
	}
	for other, d := range m.datasets {
		if other != name && !strings.HasPrefix(other, name+"/") {
			if what == "destroy" && strings.HasPrefix(d.origin, name) && strings.HasSuffix(d.origin, "@"+snapshot) {
				return fmt.Sprintf("cannot destroy '%s': snapshot has dependent clones\nuse '-R' to destroy the following datasets:\n%s", at, other)
			}
			continue
		}
		switch what {
		case "snapshot":
			d.snapshots = append(d.snapshots, snapshot)
		case "destroy":
			d.snapshots = slices.DeleteFunc(d.snapshots, func(s string) bool { return s == snapshot })
		}
	}
	if d := m.datasets[name]; what == "rollback" && d.snapshots[len(d.snapshots)-1] != snapshot {
		return fmt.Sprintf("cannot rollback to '%s': more recent snapshots or bookmarks exist", at)
	}
	return ""
}

// showSnapshots is zfs list -t snapshot -o name,creation,used,guid,logicalreferenced.
func (m *model) showSnapshots(of string) (out string) {
	for _, name := range []string{of, of + "/m"} {
		for i, s := range m.datasets[name].snapshots {
			out += fmt.Sprintf("%s@%s\t%s\t%d\t%d\t%d\n", name, s, s, 4096, 18446744073709551610+uint64(i), 65536)
		}
	}
	return out
}

// Stream implements run.Streamer.
func (m *model) Stream(ctx context.Context, w io.Writer, argv ...string) error {
	_, err := m.Run(ctx, nil, argv...)
	if err == nil {
		_, err = io.WriteString(w, "the stream of "+argv[len(argv)-1])
	}
	return err
}

func TestSnapshots(t *testing.T) {
	leak.Check(t)
	m := newModel(t)
	serveZFS(t, m)
	s := snapshots{&datasets{runner: m, zfs: zfs.Commands{Runner: m}, kernel: m, root: "tank/pot"}, zfs.NewAdmin()}
	ctx := t.Context()

	t.Run("a snapshot includes the tree, and its name is unique", func(t *testing.T) {
		must.NoError(t, s.Take(ctx, "web_1_0", "1800000000"))
		must.ErrorIs(t, s.Take(ctx, "web_1_0", "1800000000"), fs.ErrExist)
		must.ErrorIs(t, s.Take(ctx, "nosuch", "1"), fs.ErrNotExist)
		all, err := s.List(ctx, "web_1_0")
		must.NoError(t, err)
		must.Eq(t, []pot.Snapshot{
			{Name: "1800000000", Created: time.Unix(1800000000, 0), UsedBytes: 4096, LogicalReferencedBytes: 65536, GUID: 18446744073709551610},
			{Child: "m", Name: "1700000000", Created: time.Unix(1700000000, 0), UsedBytes: 4096, LogicalReferencedBytes: 65536, GUID: 18446744073709551610},
			{Child: "m", Name: "1800000000", Created: time.Unix(1800000000, 0), UsedBytes: 4096, LogicalReferencedBytes: 65536, GUID: 18446744073709551611},
		}, all)
	})
	t.Run("it is sent with all before it", func(t *testing.T) {
		var b bytes.Buffer
		must.NoError(t, s.Send(ctx, "web_1_0", "1800000000", &b))
		must.Eq(t, "the stream of tank/pot/jails/web_1_0@1800000000", b.String())
		must.ErrorIs(t, s.Send(ctx, "web_1_0", "5", &b), fs.ErrNotExist)
	})
	t.Run("the tree is rolled back before the dataset above it", func(t *testing.T) {
		m.commands = nil
		must.NoError(t, s.Rollback(ctx, "web_1_0", "1800000000"))
		must.Eq(t, []string{
			"zfs list -Hp -d 2 -t snapshot -s createtxg -s name -o name,creation,used,guid,logicalreferenced tank/pot/jails/web_1_0",
			"zfs rollback tank/pot/jails/web_1_0/m@1800000000", "zfs rollback tank/pot/jails/web_1_0@1800000000",
		}, m.commands)
		must.ErrorContains(t, s.Rollback(ctx, "web_1_0", "1700000000"), "more recent snapshots")
		must.ErrorIs(t, s.Rollback(ctx, "web_1_0", "5"), fs.ErrNotExist)
	})
	t.Run("a snapshot with clones cannot be destroyed", func(t *testing.T) {
		_, err := s.Clone(ctx, pot.Clone{Origin: "web_1_0", Name: "copy", Snapshot: "1800000000"})
		must.NoError(t, err)
		must.Eq(t, "tank/pot/jails/web_1_0/m@1800000000", m.datasets["tank/pot/jails/copy/m"].origin)
		of, at, err := s.Origin(ctx, "copy")
		must.NoError(t, err)
		must.Eq(t, []string{"web_1_0", "1800000000"}, []string{of, at})
		of, _, err = s.Origin(ctx, "web_1_0")
		must.NoError(t, err)
		must.Eq(t, "", of)
		m.datasets["tank/pot/jails/copy/m"].origin = "tank/secrets@1"
		_, _, err = s.Origin(ctx, "copy")
		must.ErrorContains(t, err, "no pot's tree")
		m.datasets["tank/pot/jails/copy/m"].origin = "tank/pot/jails/web_1_0/m@1800000000"
		must.ErrorIs(t, s.Destroy(ctx, "web_1_0", "1800000000"), zfs.ErrDependents)
		must.NoError(t, s.datasets.Destroy(ctx, "copy"))
		must.NoError(t, s.Destroy(ctx, "web_1_0", "1800000000"))
		must.NoError(t, s.Destroy(ctx, "web_1_0", "1800000000"))
	})
	t.Run("names are no paths and no options", func(t *testing.T) {
		for _, bad := range []string{"", "a/b", "a@b", "-r", "..", "a%b", "a,b"} {
			must.Error(t, s.Take(ctx, "web_1_0", bad))
			must.Error(t, s.Destroy(ctx, "web_1_0", bad))
			must.Error(t, s.Send(ctx, bad, "1", io.Discard))
		}
	})
	t.Run("a line that cannot be read is an error", func(t *testing.T) {
		const list = "zfs list -Hp -d 2 -t snapshot -s createtxg -s name -o name,creation,used,guid,logicalreferenced tank/pot/jails/x"
		for _, line := range []string{"a@b\t1\t2\n", "a@b\tx\t2\t3\t4\n", "a@b\t1\t2\t3\t-\n", "\n"} {
			log := &run.Log{Answers: map[string]run.Answer{list: {Stdout: line}}}
			_, err := snapshots{&datasets{zfs: zfs.Commands{Runner: log}, root: "tank/pot"}, nil}.List(ctx, "x")
			must.ErrorContains(t, err, "zfs list tank/pot/jails/x")
		}
	})
}
