package supervise

import (
	"os"
	"testing"

	"nomad-driver-pot/e2e/leak"
)

func TestMain(m *testing.M) {
	if os.Getenv(inheritVariable) != "" {
		os.Exit(inherited())
	}
	os.Exit(leak.Run(m.Run))
}
