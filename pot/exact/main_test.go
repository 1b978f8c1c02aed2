package exact

import (
	"os"
	"testing"

	"nomad-driver-pot/pot/hosttest/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m.Run)) }
