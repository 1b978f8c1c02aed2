package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/local"
)

// datasetCommands are pot's commands that make pots, keep what they were, and take
// them away.
func datasetCommands() []*cobra.Command {
	return []*cobra.Command{
		snapshotCommand(), purgeSnapshotsCommand(), revertCommand(), exportCommand(), importCommand(), createCommand(), createBaseCommand(),
		infoCommand(), listCommand(), showCommand(), destroyCommand(), cloneCommand(), renameCommand(), pruneCommand(), prepareCommand(),
		createPrivateBridgeCommand(),
	}
}

// running is err, with what helps against a pot that runs.
func running(what string, name pot.Name, err error) error {
	err = fmt.Errorf("cannot %s: %w", what, err)
	if errors.Is(err, local.ErrRunning) {
		return hinted{err, "pot stop " + string(name) + " stops it"}
	}
	return err
}

func snapshotCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "snapshot -p POT",
		Short: "take a snapshot of a pot",
		Long: `Keeps what a pot that does not run is now: its tree and its settings. The snapshot's
name, which is printed, is the time in seconds since 1970.`,
	}
	replace := c.Flags().BoolP("replace", "r", false, "destroy the oldest snapshot before")
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
		at := string(name) + "@" + taken
		return output.line(c.OutOrStdout(), "snapshot", at, at)
	})
}

func purgeSnapshotsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "purge-snapshots -p POT",
		Short: "destroy a pot's snapshots but the newest",
		Long: `Destroys all snapshots of a pot but the newest, and prints their names. One that
another pot is cloned from stays, and is an error.`,
	}
	all := c.Flags().BoolP("all", "a", false, "destroy the newest too")
	output := addOutput(c)
	return onPot(c, func(c *cobra.Command, o *hostFlags, name pot.Name) error {
		s, err := o.settings(c.Context(), string(name))
		if err != nil {
			return fmt.Errorf("cannot destroy snapshots: %w", err)
		}
		gone, err := s.PurgeSnapshots(c.Context(), *all)
		for i := range gone {
			gone[i] = string(name) + "@" + gone[i]
		}
		err = errors.Join(err, output.lines(c.OutOrStdout(), gone))
		if err != nil {
			return fmt.Errorf("cannot destroy snapshots: %w", err)
		}
		return nil
	})
}

func revertCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "revert -p POT",
		Short: "make a pot what it was at its newest snapshot",
		Long: `Makes a pot that does not run what it was at its newest snapshot, whose name is
printed. What was changed since is lost.`,
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
		at := string(name) + "@" + to
		return output.line(c.OutOrStdout(), "snapshot", at, at)
	})
}
