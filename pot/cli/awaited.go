package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// awaited are pot's commands that are not there yet: they are refused by name,
// so that nobody takes a typing error for them or them for one.
var awaited = strings.Fields(`
	create-private-bridge de-init`)

// addAwaited adds commands that are not there yet, whatever flags they will have.
func addAwaited(to *cobra.Command, names []string) {
	for _, name := range names {
		to.AddCommand(&cobra.Command{
			Use:                name,
			Short:              "not there yet",
			Hidden:             true,
			DisableFlagParsing: true,
			RunE: act(func(c *cobra.Command, _ []string) error {
				path, _ := strings.CutPrefix(c.CommandPath(), c.Root().Name()+" ")
				return fmt.Errorf("%s is not there yet", path)
			}),
		})
	}
}
