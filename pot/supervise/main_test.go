package supervise

import (
	"os"
	"testing"

	"nomad-driver-pot/pot/hosttest/leak"
)

func TestMain(m *testing.M) {
	if os.Getenv(inheritVariable) != "" {
		os.Exit(inherited())
	}
	os.Exit(leak.Run(m.Run))
}
