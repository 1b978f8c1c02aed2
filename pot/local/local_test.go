package local

import (
	"context"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/image/conf"
	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/supervise"
	"nomad-driver-pot/pot/tree"
)

// fakeHost is a host with directories for datasets, and with the jails and labels that a test
// gives it.
type fakeHost struct {
	pot.Jails
	dir     string
	mu      sync.Mutex
	labels  map[string]string
	running map[pot.Name]bool
	idle    []string
}

type fakeDatasets struct {
	pot.Datasets
	*fakeHost
}

type fakeImages struct {
	pot.Images
	*fakeHost
}

func (h *fakeHost) host() pot.Host {
	return pot.Host{Images: fakeImages{nil, h}, Datasets: fakeDatasets{nil, h}, Jails: h}
}

func (h fakeDatasets) Dir(_ context.Context, name string) (string, error) {
	dir := filepath.Join(h.dir, name)
	_, err := os.Lstat(dir)
	return dir, err
}

func (h fakeImages) SetLabels(_ context.Context, _ string, labels map[string]string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.labels == nil {
		h.labels = map[string]string{}
	}
	maps.Copy(h.labels, labels)
	maps.DeleteFunc(h.labels, func(_, value string) bool { return value == "" })
	return nil
}

func (h fakeImages) Idle(context.Context, string) ([]string, error) { return h.idle, nil }

func (h fakeImages) Labels(context.Context, string) (map[string]string, error) {
	return h.labels, nil
}

func (h *fakeHost) Find(_ context.Context, name pot.Name) (supervise.Jail, error) {
	if !h.running[name] {
		return supervise.Jail{}, fs.ErrNotExist
	}
	return supervise.Jail{ID: 1}, nil
}

const potConfText = "pot.level=0\npot.type=single\npot.cmd=sh /etc/rc\nx.unknown= as it is \npot.attr.persistent=YES\n"

// newPot returns a pot with potConfText as its pot.conf, and its host.
func newPot(t *testing.T, name pot.Name) (*Pot, *fakeHost) {
	t.Helper()
	h := &fakeHost{dir: t.TempDir(), running: map[pot.Name]bool{}}
	return addPot(t, h, name), h
}

func addPot(t *testing.T, h *fakeHost, name pot.Name) *Pot {
	t.Helper()
	for _, dir := range []string{"conf", "m/etc", "m/usr/home"} {
		must.NoError(t, os.MkdirAll(filepath.Join(h.dir, string(name), dir), 0o755))
	}
	must.NoError(t, os.WriteFile(filepath.Join(h.dir, string(name), conf.PotConf), []byte(potConfText), 0o644))
	s, err := Open(t.Context(), h.host(), name)
	must.NoError(t, err)
	return s
}

func (s *Pot) file(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, name))
	must.NoError(t, err)
	return string(data)
}

// changed returns how pot.conf differs from potConfText: removed lines with - before them, then
// added lines.
func (s *Pot) changed(t *testing.T) string {
	t.Helper()
	var lines []string
	now := s.file(t, conf.PotConf)
	for line := range strings.Lines(potConfText) {
		if !strings.Contains("\n"+now, "\n"+line) {
			lines = append(lines, "-"+line)
		}
	}
	for line := range strings.Lines(now) {
		if !strings.Contains("\n"+potConfText, "\n"+line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func TestOpen(t *testing.T) {
	leak.Check(t)
	_, h := newPot(t, "web")
	host := h.host()
	_, err := Open(t.Context(), host, "nosuch")
	must.EqError(t, err, "no such pot: nosuch")
	_, err = Open(t.Context(), host, "../web")
	must.ErrorContains(t, err, "name: must be letters")
	h.labels = map[string]string{conf.LabelTask: "x"}
	_, err = Open(t.Context(), host, "web")
	must.ErrorIs(t, err, ErrTaskPot)
}

// A change removes the labels of a verified image, and is refused if pots are cloned from it.
func TestPot_Apply_image(t *testing.T) {
	leak.Check(t)
	_, h := newPot(t, "web")
	verified := func() map[string]string {
		return map[string]string{conf.LabelRef: "x", conf.LabelDigest: "y", "nomad.pot:other": "z"}
	}
	h.labels = verified()
	s, err := Open(t.Context(), h.host(), "web")
	must.NoError(t, err)
	file := filepath.Join(t.TempDir(), "f")
	must.NoError(t, os.WriteFile(file, nil, 0o644))
	for _, change := range []Change{SetCmd{"sh"}, CopyIn{Copy: tree.Copy{Source: file, Target: "/etc/f"}}} {
		must.EqError(t, s.Apply(t.Context(), change), "web: is an image that pots are cloned from, and cannot be changed")
	}
	must.Eq(t, "", s.changed(t))
	must.NoError(t, s.Apply(t.Context(), CopyOut{Source: "/etc", Dir: t.TempDir()})) // it only reads
	must.Eq(t, verified(), h.labels)

	h.idle = []string{"web"}
	must.NoError(t, s.Apply(t.Context(), SetCmd{"sh"}))
	must.Eq(t, map[string]string{"nomad.pot:other": "z"}, h.labels)
	h.idle = nil // it is no image any more
	must.NoError(t, s.Apply(t.Context(), SetCmd{"sh"}))
}

// A pot that a person imported stays the image until it is changed.
func TestPot_Apply_imported(t *testing.T) {
	leak.Check(t)
	_, h := newPot(t, "web")
	h.labels = map[string]string{conf.LabelImported: "x", conf.LabelSources: "y", conf.LabelReceived: "z"}
	s, err := Open(t.Context(), h.host(), "web")
	must.NoError(t, err)
	must.NoError(t, s.Apply(t.Context(), CopyOut{Source: "/etc", Dir: t.TempDir()})) // it only reads
	must.Eq(t, "x", h.labels[conf.LabelImported])
	must.NoError(t, s.Apply(t.Context(), SetCmd{"sh"}))
	must.Eq(t, map[string]string{conf.LabelReceived: "z"}, h.labels)
}
