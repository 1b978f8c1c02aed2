//go:build linux

package linux_test

import (
	"os"
	"testing"

	"nomad-driver-pot/e2e/leak"
)

func TestMain(m *testing.M) {
	if o := os.Getenv(importVariable); o != "" {
		os.Exit(importAlone(o)) // a child of BenchmarkImport
	}
	os.Exit(leak.Run(m.Run))
}
