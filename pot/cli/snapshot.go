package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/local"
	"nomad-driver-pot/schema"
)

// running wraps err as "cannot WHAT", with a hint if it is local.ErrRunning.
func running(what string, name pot.Name, err error) error {
	err = fmt.Errorf("cannot %s: %w", what, err)
	if errors.Is(err, local.ErrRunning) {
		return hinted{err, "pot stop " + string(name) + " stops it"}
	}
	return err
}

// snapshotCommand takes a snapshot (pot snapshot -p -r). -f, for file system components, is
// missing. Two snapshots within a second collide in pot; here the second one waits. With -r
// the oldest is destroyed first and stays destroyed if the new one fails.
func snapshotCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "snapshot POT",
		Short: "Take a snapshot of a pot",
		Long: `Takes a snapshot of the tree and the settings of a stopped pot, and prints its name, which
is the time in seconds since 1970.`,
		Example:    `  pot snapshot web`,
		SuggestFor: []string{"snap", "commit", "backup"},
	}
	replace := c.Flags().BoolP("replace", "r", false, "destroy the oldest snapshot first")
	output := addOutput(c)
	return onPot(c, func(c *cobra.Command, o *hostFlags, name pot.Name) error {
		s, err := o.settings(c.Context(), string(name))
		if err != nil {
			return running("take a snapshot", name, err)
		}
		taken, err := s.Snapshot(c.Context(), *replace)
		if err != nil {
			return running("take a snapshot", name, err)
		}
		return output.line(c.OutOrStdout(), schema.PotSnapshot{Name: string(name), Snapshot: taken}, string(name)+"@"+taken)
	})
}

// purgeSnapshotsCommand destroys old snapshots (pot purge-snapshots -p -a). pot ignores a
// snapshot that it cannot destroy; here the others are destroyed, and then the command
// fails.
func purgeSnapshotsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "purge-snapshots POT",
		Short: "Destroy all snapshots of a pot but the newest",
		Long: `Destroys all snapshots of a pot but the newest, and prints their names. A snapshot that
another pot was cloned from is kept, and reported as an error.`,
		Example: `  pot purge-snapshots web`,
	}
	all := c.Flags().BoolP("all", "a", false, "destroy the newest too")
	output := addOutput(c)
	return onPot(c, func(c *cobra.Command, o *hostFlags, name pot.Name) error {
		s, err := o.settings(c.Context(), string(name))
		if err != nil {
			return fmt.Errorf("cannot destroy snapshots: %w", err)
		}
		gone, err := s.PurgeSnapshots(c.Context(), *all)
		destroyed := []schema.PotSnapshot{}
		for _, one := range gone {
			destroyed = append(destroyed, schema.PotSnapshot{Name: string(name), Snapshot: one})
		}
		err = errors.Join(err, output.print(c.OutOrStdout(), destroyed, func(w io.Writer) error {
			for _, one := range destroyed {
				fmt.Fprintf(w, "%s@%s\n", one.Name, one.Snapshot)
			}
			return nil
		}))
		if err != nil {
			return fmt.Errorf("cannot destroy snapshots: %w", err)
		}
		return nil
	})
}

// revertCommand rolls back (pot revert -p) the settings together with the tree: both have
// snapshots of one name.
func revertCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "revert POT",
		Short: "Roll back a pot to its newest snapshot",
		Long: `Rolls back a stopped pot to its newest snapshot, and prints the snapshot's name. Changes
since the snapshot are lost.`,
		Example:    `  pot revert web`,
		SuggestFor: []string{"rollback", "restore", "undo"},
	}
	output := addOutput(c)
	return onPot(c, func(c *cobra.Command, o *hostFlags, name pot.Name) error {
		s, err := o.settings(c.Context(), string(name))
		if err != nil {
			return running("revert the pot", name, err)
		}
		to, err := s.Revert(c.Context())
		if errors.Is(err, local.ErrNoSnapshot) {
			return hinted{fmt.Errorf("cannot revert the pot: %w", err), "pot snapshot takes one"}
		}
		if err != nil {
			return running("revert the pot", name, err)
		}
		return output.line(c.OutOrStdout(), schema.PotSnapshot{Name: string(name), Snapshot: to}, string(name)+"@"+to)
	})
}
