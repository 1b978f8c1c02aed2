//go:build linux || freebsd

package store_test

import (
	"testing"

	"nomad-driver-pot/e2e/leak"
)

// The whole corpus, by a host of this machine.
func TestStore_Ensure_hostileHost(t *testing.T) {
	leak.Check(t)
	place := newHostPlace(t)
	r := newHostileRig(t, place.open(t).Images, place.state)
	t.Run("streams", func(t *testing.T) { hostileStreams(t, r) })
	t.Run("files", func(t *testing.T) { hostileArtifacts(t, r) })
}
