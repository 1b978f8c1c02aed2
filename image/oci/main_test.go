package oci_test

import (
	"os"
	"testing"

	"nomad-driver-pot/e2e/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m.Run)) }
