// Package need keeps tests that a machine cannot run from being skipped unseen.
package need

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Have skips the test unless this machine has what, or fails it when
// POT_TEST_REQUIRE lists it: CI sets that, so nothing goes untested unseen.
func Have(t testing.TB, what string, have bool) {
	t.Helper()
	switch required := strings.Split(os.Getenv("POT_TEST_REQUIRE"), ","); {
	case have:
	case slices.Contains(required, what):
		t.Fatalf("needs %s, and POT_TEST_REQUIRE says this machine has it", what)
	default:
		t.Skipf("needs %s", what)
	}
}
