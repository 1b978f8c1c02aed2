package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nomad-driver-pot/e2e/leak"
	"nomad-driver-pot/pot/cli"
	"nomad-driver-pot/version"
)

// Each command has its page, and each of its flags is there; what is not there
// yet has none.
func TestWrite(t *testing.T) {
	leak.Check(t)
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	dir := filepath.Join(t.TempDir(), "man1")
	must.NoError(t, write(dir, "pot"))
	var pages []string
	var look func(c *cobra.Command)
	look = func(c *cobra.Command) {
		if c.Hidden {
			return
		}
		name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".1"
		b, err := os.ReadFile(filepath.Join(dir, name))
		must.NoError(t, err)
		pages = append(pages, name)
		page := strings.ReplaceAll(string(b), `\-`, "-")
		must.StrContains(t, page, c.Short)
		for title, want := range map[string]bool{
			"NAME": true, "SYNOPSIS": true, "DESCRIPTION": true, "COMMON OPTIONS": true, "EXIT STATUS": true, "SEE ALSO": true,
			"EXAMPLES": true, "COMMANDS": c.HasAvailableSubCommands(),
			"FILES":       c.Flags().Lookup("config") != nil || !c.HasParent(),
			"ENVIRONMENT": c.Flags().Lookup("config") != nil || !c.HasParent() || name == "pot-image-push.1" || name == "pot-image-build.1",
		} {
			must.Eq(t, want, strings.Contains(page, "\n.SH "+title+"\n"), must.Sprint(name, title))
		}
		for _, line := range strings.Split(strings.TrimSpace(c.Example), "\n") {
			must.StrContains(t, strings.ReplaceAll(page, `\\`, `\`), strings.TrimSpace(line), must.Sprint(name))
		}
		must.StrContains(t, page, `"Nov 2023" "nomad-driver-pot `+version.Number+`"`)
		c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) { must.StrContains(t, page, "--"+f.Name) })
		for _, sub := range c.Commands() {
			look(sub)
		}
	}
	look(cli.New("pot"))
	must.SliceContains(t, pages, "pot-image-verify.1")
	there, err := os.ReadDir(dir)
	must.NoError(t, err)
	must.Len(t, len(pages), there)
}
