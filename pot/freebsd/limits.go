package freebsd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"nomad-driver-pot/pot"
	"nomad-driver-pot/pot/run"
)

// limiter implements pot.Limits with rctl(8). The kernel keeps rules by a jail's name, before
// the jail exists and after its end.
type limiter struct {
	runner run.Runner
	kernel Kernel
}

// Set implements pot.Limits. Cores are set in the jail (cpuset(2)), and rctl has no
// weights. A kernel with accounting off has no limits: Check reports it. It comes before
// the jail, so that no process runs without limits.
func (l limiter) Set(ctx context.Context, name pot.Name, limits pot.Limits) error {
	rules := rules(name, limits)
	if len(rules) == 0 {
		return nil
	}
	_, err := l.runner.Run(ctx, nil, append([]string{"rctl", "-a"}, rules...)...)
	return ignore(errNoRacct, classify(err))
}

// rules are limits in rctl's words (rctl(8), RESOURCES, ACTIONS). Memory has two: the
// kernel kills without a message, and the other rule logs it. pot's memoryuse:deny kills
// nothing: the kernel only deactivates pages of the jail (sys/vm/vm_swapout.c, vm_daemon).
func rules(name pot.Name, l pot.Limits) []string {
	var all []string
	subject := "jail:" + string(name)
	if l.MemoryBytes > 0 {
		all = append(all,
			fmt.Sprintf("%s:memoryuse:log=%d", subject, l.MemoryBytes),
			fmt.Sprintf("%s:memoryuse:sigkill=%d", subject, l.MemoryBytes))
	}
	for _, r := range []struct {
		resource, action string
		amount           int64
	}{
		{"pcpu", "deny", l.CPUPercent},
		{"maxproc", "deny", l.Processes},
		{"openfiles", "deny", l.OpenFiles},
		{"readbps", "throttle", l.ReadBPS}, // the only action for these four
		{"writebps", "throttle", l.WriteBPS},
		{"readiops", "throttle", l.ReadIOPS},
		{"writeiops", "throttle", l.WriteIOPS},
	} {
		if r.amount > 0 {
			all = append(all, fmt.Sprintf("%s:%s:%s=%d", subject, r.resource, r.action, r.amount))
		}
	}
	return all
}

// Clear implements pot.Limits. pot never removes its rules, and a pot of the same name then
// has both.
func (l limiter) Clear(ctx context.Context, name pot.Name) error {
	err := l.remove(ctx, name)
	if !errors.Is(err, fs.ErrNotExist) {
		return ignore(errNoRacct, err)
	}
	if joined, found := l.findJoined(ctx, name); found {
		err = l.remove(ctx, joined)
	}
	return ignore(fs.ErrNotExist, err)
}

// remove removes the rules of a jail.
func (l limiter) remove(ctx context.Context, jail pot.Name) error {
	_, err := l.runner.Run(ctx, nil, "rctl", "-r", "jail:"+string(jail))
	return classify(err)
}

// findJoined returns the jail with rules of a pot that has joined the network of another,
// given the bare name of the pot.
func (l limiter) findJoined(ctx context.Context, name pot.Name) (pot.Name, bool) {
	if ofPot(name) != name {
		return "", false
	}
	out, err := l.runner.Run(ctx, nil, "rctl")
	if err != nil {
		return "", false
	}
	for line := range strings.Lines(out) {
		if rest, ok := strings.CutPrefix(line, "jail:"); ok {
			jail, _, _ := strings.Cut(rest, ":")
			if jail := pot.Name(jail); jail != name && ofPot(jail) == name {
				return jail, true
			}
		}
	}
	return "", false
}

// Usage implements pot.Limits. rctl counts processor time in whole seconds.
func (l limiter) Usage(ctx context.Context, name pot.Name) (pot.Usage, error) {
	if _, err := l.kernel.JailID(string(name), false); err != nil {
		return pot.Usage{}, fmt.Errorf("jail %s: %w", name, err)
	}
	line, err := l.kernel.Usage(string(name))
	if err != nil {
		return pot.Usage{}, fmt.Errorf("usage of jail %s: %w", name, err)
	}
	return parseUsage(line)
}

// parseUsage reads a line of rctl_get_racct(2).
func parseUsage(line string) (pot.Usage, error) {
	var u pot.Usage
	for field := range strings.SplitSeq(strings.TrimSpace(line), ",") {
		key, text, _ := strings.Cut(field, "=")
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return pot.Usage{}, fmt.Errorf("no number in %q of a usage", field)
		}
		switch key {
		case "cputime":
			u.CPUUser = time.Duration(n) * time.Second
		case "pcpu":
			u.CPUPercent = float64(n)
		case "memoryuse":
			u.MemoryBytes = n
		case "swapuse":
			u.SwapBytes = n
		case "maxproc":
			u.Procs = int(n)
		}
	}
	return u, nil
}

// OutOfMemory implements pot.Limits: the kernel's message buffer has what the log
// rule wrote (sys/kern/kern_rctl.c, rctl_enforce).
func (l limiter) OutOfMemory(ctx context.Context, name pot.Name) (bool, error) {
	messages, err := l.kernel.Messages()
	if err != nil {
		return false, fmt.Errorf("read the kernel's messages: %w", err)
	}
	return strings.Contains(messages, fmt.Sprintf("rctl: rule \"jail:%s:memoryuse:log=", name)), nil
}
