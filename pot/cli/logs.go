package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"time"

	"github.com/spf13/cobra"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/life"
	"nomad-driver-pot/pot/local"
)

// logsCommand shows the output of a pot. pot has no such command: there a pot's output goes
// to the terminal of pot start and is lost. The output of a task goes to Nomad.
func logsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "logs POT",
		Short: "Show the output of a pot's command",
		Long: `Prints what the command of a pot has written in its present run or its last one: standard
output to standard output, and standard error to standard error. It is kept until the pot
is started again or destroyed: the last 16 MiB of each output, and at most 32 MiB.

With -f it then prints what the command writes, until the pot ends or is started again. The
exit status is 130 if it is interrupted before.`,
		Example: `  pot logs web
  pot logs -f -n 20 web`,
		SuggestFor: []string{"log", "tail"},
	}
	follow := c.Flags().BoolP("follow", "f", false, "print what is written, until the pot ends")
	lines := c.Flags().UintP("lines", "n", 0, "print only the last `number` of lines of each output")
	return onPot(c, func(c *cobra.Command, o *hostFlags, name pot.Name) error {
		last := -1
		if c.Flags().Changed("lines") {
			last = int(min(*lines, math.MaxInt))
		}
		if err := o.logs(c, name, last, *follow); err != nil {
			return fmt.Errorf("cannot show the output: %w", err)
		}
		return nil
	})
}

// logs prints the output of a pot.
func (o *hostFlags) logs(c *cobra.Command, name pot.Name, lines int, follow bool) error {
	ps, _, err := o.pots()
	if err != nil {
		return err
	}
	s, err := local.Open(c.Context(), ps.Host(), name)
	if errors.Is(err, local.ErrTaskPot) {
		return hinted{fmt.Errorf("pot %s belongs to a Nomad task", name), "nomad alloc logs shows its output"}
	}
	if err != nil {
		return err
	}
	logs, err := ps.Logs(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("pot %s was never started here", name)
	}
	if err != nil {
		return err
	}
	defer logs.Close()
	var until func(context.Context) error
	if follow {
		until = func(ctx context.Context) error { return untilEnded(ctx, s, logs) }
	}
	err = logs.Copy(c.Context(), c.OutOrStdout(), c.ErrOrStderr(), lines, until)
	if c.Context().Err() != nil {
		return exitStatus{errReported, exitInterrupted}
	}
	return err
}

// exitInterrupted is the exit status of a shell for a command that SIGINT has ended.
const exitInterrupted = 130

// endedEvery is how often untilEnded looks at a pot.
const endedEvery = 200 * time.Millisecond

// untilEnded returns when the run of a pot with these logs is over, or ctx ends. The pot's
// command is not waited for: daemons of a persistent pot write after it.
func untilEnded(ctx context.Context, s *local.Pot, logs *life.Logs) error {
	for {
		running, err := s.Running(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil || !running || logs.Replaced() {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(endedEvery):
		}
	}
}
