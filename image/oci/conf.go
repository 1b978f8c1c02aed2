package oci

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"nomad-driver-pot/image/conf"
)

// ErrNoCommand reports that an image says nothing to run.
var ErrNoCommand = errors.New("the image has neither an entrypoint nor a command")

// Created returns when the image was made, or the beginning of 1970 if it does not say: the same
// image has the same time.
func (i *Image) Created() time.Time {
	if t := i.config.Created.Time; t.Unix() > 0 {
		return time.Unix(t.Unix(), 0)
	}
	return time.Unix(1, 0)
}

// workDir returns the working directory of the command, "" for the root.
func (i *Image) workDir() string {
	dir := path.Join("/", strings.TrimSpace(i.config.Config.WorkingDir))
	if dir == "/" {
		return ""
	}
	return dir
}

// command returns the words of the command, or none if the image does not have one.
func (i *Image) command() []string {
	words := append(slices.Clone(i.config.Config.Entrypoint), i.config.Config.Cmd...)
	if len(words) > 0 && words[0] == "" {
		return nil
	}
	return words
}

// BaseConf returns the configuration of a pot that begins with the image's files, to be changed
// and exported, as a pot from a FreeBSD release: it stays when its command has ended. Without a
// command it runs /etc/rc, as root. Otherwise it is as Conf.
func (i *Image) BaseConf() (conf.New, []string, error) {
	given := conf.New{Attributes: map[string]string{"persistent": conf.NewPotAttribute("persistent")}}
	boots := len(i.command()) == 0
	if boots {
		given.Command = conf.DefaultCommand
		given.Attributes["no-rc-script"] = conf.NewPotAttribute("no-rc-script")
	}
	made, warnings, err := i.Conf(given)
	if boots {
		made.User, made.WorkDir = "", ""
	}
	return made, warnings, err
}

// Conf returns the configuration of a pot from the image's, which what is given overrides:
// single variables of the environment, single attributes, and all ports. warnings name what a
// pot does not have. What would change how the command runs, and what a pot.conf cannot hold,
// is an error.
func (i *Image) Conf(given conf.New) (_ conf.New, warnings []string, err error) {
	c := i.config.Config
	if given.Command == "" {
		switch words := i.command(); {
		case len(words) > 0:
			given.Command = conf.QuoteWords(words)
		case !given.NoCommand:
			return given, nil, ErrNoCommand
		}
	}
	given.Env, warnings, err = mergeEnv(c.Env, given.Env)
	if err != nil {
		return given, nil, err
	}
	if given.Ports == nil {
		var left []string
		given.Ports, left = ports(slices.Sorted(maps.Keys(c.ExposedPorts)))
		warnings = append(warnings, left...)
	}
	// A container runs its command alone, and ends with it.
	attributes := map[string]string{"no-rc-script": "YES", "persistent": "NO"}
	maps.Copy(attributes, given.Attributes)
	given.Attributes = attributes
	if release := strings.TrimSuffix(i.config.OSVersion, "-RELEASE"); given.Base == "" && conf.ValidRelease(release) {
		given.Base = release
	}
	given.User, given.WorkDir, given.OCIDigest = strings.TrimSpace(c.User), i.workDir(), i.Digest
	return given, append(warnings, i.leftOut()...), nil
}

// mergeEnv returns an image's environment with single variables replaced. It leaves out variables
// with names that no shell can export, which nothing can replace either. The error names each
// variable with a value that a pot.conf cannot hold.
func mergeEnv(image, given []string) (all, warnings []string, err error) {
	replaced := map[string]bool{}
	for _, v := range given {
		name, _, _ := strings.Cut(v, "=")
		replaced[name] = true
	}
	var errs []error
	for _, v := range image {
		name, _, _ := strings.Cut(v, "=")
		if replaced[name] {
			continue
		}
		if conf.CheckVariable(name+"=") != nil {
			warnings = append(warnings, fmt.Sprintf("left out: variable %.80q: no shell can export its name", name))
			continue
		}
		if err := conf.CheckVariable(v); err != nil {
			errs = append(errs, fmt.Errorf("the image's environment: %w", err))
		}
		all = append(all, v)
	}
	return append(all, given...), warnings, errors.Join(errs...)
}

// ports returns exposed ports, such as 8080/tcp, in the form of a pot.conf.
func ports(exposed []string) (all, warnings []string) {
	for _, e := range exposed {
		number, proto, _ := strings.Cut(e, "/")
		port := number
		if proto == "udp" {
			port = "udp:" + number
		}
		if _, err := conf.ParseExport(port); err != nil || proto != "" && proto != "tcp" && proto != "udp" {
			warnings = append(warnings, fmt.Sprintf("left out: exposed port %.80q: a pot exports single ports of tcp and udp", e))
			continue
		}
		all = append(all, port)
	}
	return all, warnings
}

// leftOut returns warnings for what a pot does not have.
func (i *Image) leftOut() (warnings []string) {
	c := i.config.Config
	if s := c.StopSignal; s != "" && s != "SIGTERM" && s != "TERM" && s != "15" {
		warnings = append(warnings, fmt.Sprintf("left out: stop signal %.40s: a job has kill_signal for it", s))
	}
	if len(c.Volumes) > 0 {
		warnings = append(warnings, fmt.Sprintf("left out: volumes, which are directories of the pot: %.200s", strings.Join(slices.Sorted(maps.Keys(c.Volumes)), ", ")))
	}
	if h := c.Healthcheck; h != nil && len(h.Test) > 0 && h.Test[0] != "NONE" {
		warnings = append(warnings, "left out: health check: a job has checks for it")
	}
	if n := len(c.Labels); n > 0 {
		warnings = append(warnings, fmt.Sprintf("left out: labels (%d)", n))
	}
	return warnings
}
