package freebsd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-pot/e2e/leak"
)

func TestShellToolVersion(t *testing.T) {
	leak.Check(t)
	path := filepath.Join(t.TempDir(), "pot")
	must.Eq(t, "", shellToolVersion(path))
	for text, want := range map[string]string{
		"":                                    "",
		"#!/bin/sh\n\n_POT_VERSION=0.16.0\nx": "0.16.0",
		"\x7fELF\n_POT_VERSION=0.16.0\n":      "",
		"#!/bin/sh\n# _POT_VERSION=1\n":       "",
		"#!/bin/sh\n" + strings.Repeat("#\n", maxShellTool) + "_POT_VERSION=0.16.0\n": "",
	} {
		must.NoError(t, os.WriteFile(path, []byte(text), 0o755))
		must.Eq(t, want, shellToolVersion(path))
	}
}
