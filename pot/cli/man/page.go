package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nomad-driver-pot/pot/cli"
	"nomad-driver-pot/pot/potconf"
	"nomad-driver-pot/version"
)

// page is a manual page in the Markdown of md2man(1).
type page struct{ strings.Builder }

// newPage returns the page of a command: its help, and what holds for all commands.
func newPage(c *cobra.Command, date string) *page {
	p := &page{}
	name := strings.ReplaceAll(c.CommandPath(), " ", "-")
	fmt.Fprintf(p, "%% \"%s\" \"1\" \"%s\" \"nomad-driver-pot %s\" \"pot\"\n", strings.ToUpper(name), date, version.Number)
	p.section("NAME", name+` \- `+escaped(c.Short))
	form := c.UseLine()
	if c.HasAvailableSubCommands() {
		form = c.CommandPath() + " COMMAND"
	}
	p.section("SYNOPSIS", "**"+escaped(form)+"**")
	p.section("DESCRIPTION", paragraphs(description(c)))
	p.commands(c)
	own, common := cli.Flags(c)
	p.section("OPTIONS", flags(own))
	p.section("COMMON OPTIONS", flags(common))
	if c.Flags().Lookup("config") != nil || !c.HasParent() {
		p.section("FILES", files())
	}
	p.section("ENVIRONMENT", environment(c))
	p.section("EXIT STATUS", exitStatus(c))
	if c.Example != "" {
		p.section("EXAMPLES", "```\n"+unindented(c.Example)+"\n```")
	}
	p.section("SEE ALSO", strings.Join(seeAlso(c), ", "))
	return p
}

func (p *page) section(title, text string) {
	if text != "" {
		fmt.Fprintf(p, "\n# %s\n\n%s\n", title, text)
	}
}

// description returns what a command does, with its aliases.
func description(c *cobra.Command) string {
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	if len(c.Aliases) > 0 {
		text += "\n\nAlso: " + strings.Join(c.Aliases, ", ") + "."
	}
	return text
}

// commands lists the subcommands of c, by group.
func (p *page) commands(c *cobra.Command) {
	list := func(group string) string {
		var b strings.Builder
		for _, sub := range c.Commands() {
			if sub.GroupID == group && sub.IsAvailableCommand() {
				fmt.Fprintf(&b, "**%s**\n: %s\n\n", sub.Name(), escaped(sub.Short))
			}
		}
		return strings.TrimRight(b.String(), "\n")
	}
	if !c.HasAvailableSubCommands() {
		return
	}
	var all []string
	for _, g := range c.Groups() {
		if text := list(g.ID); text != "" {
			all = append(all, "## "+g.Title+"\n\n"+text)
		}
	}
	if text := list(""); text != "" {
		all = append(all, text)
	}
	p.section("COMMANDS", strings.Join(all, "\n\n"))
}

// flags lists flags with their usage.
func flags(all *pflag.FlagSet) string {
	var b strings.Builder
	all.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, text := pflag.UnquoteUsage(f)
		names := "--" + f.Name
		if f.Shorthand != "" {
			names = "-" + f.Shorthand + ", " + names
		}
		fmt.Fprintf(&b, "**%s**", escaped(names))
		if value != "" {
			fmt.Fprintf(&b, " *%s*", escaped(value))
		}
		fmt.Fprintf(&b, "\n: %s\n\n", escaped(text))
	})
	return strings.TrimRight(b.String(), "\n")
}

// files lists the files that commands about this host's pots use.
func files() string {
	bsd, other := potconf.PathsFor("freebsd"), potconf.PathsFor("linux")
	return definitions([][2]string{
		{bsd.PotConfig, "pot's configuration; what it leaves out is in pot.default.conf beside it"},
		{strings.TrimSuffix(bsd.PotConfig, "pot.conf") + "flavours", "flavours"},
		{bsd.Dir, "state of the driver: records of pots, addresses, logs; on Linux " + other.Dir + ", with the pots themselves"},
		{bsd.Cache, "images and releases that were fetched; on Linux cache in the directory of the state"},
		{bsd.PotRoot, "where the dataset of pots is mounted, unless POT_FS_ROOT in the configuration says otherwise"},
	})
}

// environment lists the variables that c reads.
func environment(c *cobra.Command) string {
	var all [][2]string
	for _, v := range cli.Variables {
		if !c.HasParent() || v.Command == c.CommandPath() || v.Flag != "" && c.Flags().Lookup(v.Flag) != nil {
			all = append(all, [2]string{v.Name, v.Text})
		}
	}
	return definitions(all)
}

// exitStatus lists exit statuses.
func exitStatus(c *cobra.Command) string {
	all := [][2]string{{"0", "success"}, {"1", "failure"}, {"2", "usage error"}}
	switch c.Name() {
	case "exec", "run", "term":
		all = append(all, [2]string{"125", "the command could not be run"}, [2]string{"126", "the command is not executable"},
			[2]string{"127", "the pot does not have the command"})
		return definitions(all[2:]) + "\n\nOtherwise the status is the command's."
	case "start":
		all = append(all, [2]string{"125", "the pot's command has failed"})
	case c.Root().Name():
		return definitions(all) + "\n\n**pot exec**, **pot run** and **pot term** exit with the status of their command, and **pot start** with 125 if it failed."
	}
	return definitions(all)
}

// definitions lists terms with their meanings.
func definitions(all [][2]string) string {
	var lines []string
	for _, d := range all {
		lines = append(lines, "**"+escaped(d[0])+"**\n: "+escaped(d[1]))
	}
	return strings.Join(lines, "\n\n")
}

// seeAlso returns the pages of the command above c and of those below.
func seeAlso(c *cobra.Command) (pages []string) {
	add := func(c *cobra.Command) {
		pages = append(pages, "**"+strings.ReplaceAll(escaped(c.CommandPath()), " ", "-")+"**(1)")
	}
	if c.HasParent() {
		add(c.Parent())
	}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			add(sub)
		}
	}
	return pages
}

// escaped returns text without a meaning in Markdown.
func escaped(text string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "<", `\<`, ">", `\>`, "`", "\\`", "[", `\[`, "]", `\]`, "|", `\|`).Replace(text)
}

// paragraphs escapes text, but for its indented lines, which become blocks as they are.
func paragraphs(text string) string {
	var b strings.Builder
	inBlock := false
	for _, line := range strings.Split(text, "\n") {
		indented := strings.HasPrefix(line, "    ")
		if indented != inBlock && (indented || line != "") {
			b.WriteString("```\n")
			inBlock = indented
		}
		if !indented {
			line = escaped(line)
		}
		b.WriteString(strings.TrimPrefix(line, "    ") + "\n")
	}
	if inBlock {
		b.WriteString("```\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

// unindented strips the indentation of examples.
func unindented(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimPrefix(strings.TrimRight(line, "\n"), "  "))
	}
	return strings.Join(lines, "\n")
}
