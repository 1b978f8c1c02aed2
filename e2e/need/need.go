// Package need lets tests skip on a machine that cannot run them, unless it is required to.
package need

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Have skips the test unless the machine has what. It fails the test instead if
// POT_TEST_REQUIRE lists what: CI sets it, so that no test is skipped there unnoticed.
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
