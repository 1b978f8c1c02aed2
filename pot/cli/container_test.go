package cli_test

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"nomad-driver-pot/image/oci/ocitest"
)

// container adds a container image to the layout in a directory. Its upper layer removes a file
// and makes a hard link. With bare it has no command; with an archive, that is its lower layer,
// and a shell its command.
func container(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: container DIR TAG OS/ARCH [bare|ARCHIVE]")
	}
	system, arch, _ := strings.Cut(args[2], "/")
	c := v1.Config{
		Entrypoint: []string{"/bin/hello"}, Cmd: []string{"-x", "a b"}, Env: []string{"GREETING=hi", "LEVEL=info"}, User: "www", WorkingDir: "/srv/app",
		ExposedPorts: map[string]struct{}{"80/tcp": {}}, StopSignal: "SIGQUIT",
	}
	lower := ocitest.Archive(ocitest.File{Name: "bin/hello", Content: "#!/bin/sh\necho hello\n"}, ocitest.File{Name: "bin/old", Content: "old"})
	switch {
	case len(args) > 3 && args[3] == "bare":
		c.Entrypoint, c.Cmd = nil, nil
	case len(args) > 3:
		lower = []byte(ts.ReadFile(args[3]))
		c.Entrypoint, c.Cmd = []string{"/bin/sh", "-c"}, []string{`echo "$GREETING from $(pwd) as $(id -u)"`}
	}
	link := ocitest.File{Name: "bin/hi", Header: ocitest.HardLink("bin/hello")}
	ocitest.WriteLayout(ts.MkAbs(args[0]), args[1], ocitest.New(system, arch, c,
		ocitest.Layer(lower),
		ocitest.Layer(ocitest.Archive(ocitest.File{Name: "bin/.wh.old"}, link))))
	ocitest.ArchiveDir(ts.MkAbs(args[0]), ts.MkAbs(filepath.Clean(args[0])+".tar"))
}

// damage changes the last byte of the largest blob of the layout in a directory.
func damage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: damage DIR")
	}
	blobs, err := filepath.Glob(ts.MkAbs(filepath.Join(args[0], "blobs/sha256/*")))
	ts.Check(err)
	var largest []byte
	var at string
	for _, name := range blobs {
		data, err := os.ReadFile(name)
		ts.Check(err)
		if len(data) > len(largest) {
			largest, at = data, name
		}
	}
	largest[len(largest)-1]++
	ts.Check(os.WriteFile(at, largest, 0o644))
}
