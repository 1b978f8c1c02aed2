package inspect

import (
	"fmt"
	"io"
	"path"
	"strings"
)

// Text prints the report to w for people, one line for each part. Text from the image is
// quoted if it is not printable.
func (r *Report) Text(w io.Writer) error {
	var b strings.Builder
	line := func(label, format string, args ...any) {
		fmt.Fprintf(&b, "%-11s %s\n", label, fmt.Sprintf(format, args...))
	}
	line("image", "%s", Printable(r.File))
	if r.pot != "" {
		line("pot", "%s, tag %s", r.pot, r.tag)
	}
	line("bytes", "%d", r.Bytes)
	line("digest", "%s", r.digest())
	line("signature", "%s", r.Signature)
	line("cloned from", "%s", r.origin())
	for _, d := range r.Datasets {
		line("dataset", "%s", d.text(r.Stream.Top))
	}
	r.Conf.text(line)
	for _, w := range r.Warnings {
		line("warning", "%s: %s", w.Kind, w.Text)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) digest() string {
	if !r.Verified {
		return "not verified"
	}
	return r.Digest + ", verified"
}

// String describes the signature, or its absence.
func (s signatureState) String() string {
	switch {
	case s.Verified:
		return "with key " + s.KeyNumber + ", verified"
	case s.KeyNumber != "":
		return "with key " + s.KeyNumber + ", not verified: use -C"
	case s.Fault != "":
		return "unreadable: " + Printable(s.Fault)
	}
	if !s.looked {
		return "not checked"
	}
	return "none"
}

// origin describes the image that this one is layered on. Without a verified .meta, only the
// stream shows that there is one.
func (r *Report) origin() string {
	incremental := false
	for _, d := range r.Datasets {
		incremental = incremental || d.IncrementalFrom != ""
	}
	switch {
	case r.ClonedFrom != "":
		return r.ClonedFrom
	case incremental:
		return "another image: this one is an increment"
	}
	return "none: not layered"
}

// text describes a dataset on one line.
func (d inspectedSystem) text(top string) string {
	text := fmt.Sprintf("%s@%s, made %s", Printable(path.Join(top, d.Name)), Printable(d.Snapshot), d.Created.Format("2006-01-02 15:04:05 MST"))
	if n := len(d.Snapshots); n > 1 {
		text += fmt.Sprintf(", and %d snapshots before it", n-1)
	}
	if d.Files == nil {
		return text + ", an increment: its files are not known without --origin"
	}
	return text + fmt.Sprintf(", %d files, %d bytes", *d.Files, *d.Bytes)
}

// text prints the settings, one to a line. It prints nothing if c is nil.
func (c *inspectedConf) text(line func(label, format string, args ...any)) {
	if c == nil {
		return
	}
	list := func(words []string) string {
		var shown []string
		for _, w := range words {
			shown = append(shown, Printable(w))
		}
		return strings.Join(shown, " ")
	}
	network := strings.Fields(strings.Join([]string{c.network, c.stack, c.bridge, c.address}, " "))
	for _, part := range []struct{ label, text string }{
		{"release", Printable(c.Release)},
		{"hostname", Printable(c.Hostname)},
		{"command", Printable(c.Command)},
		{"user", Printable(c.User)},
		{"work dir", Printable(c.WorkDir)},
		{"container", Printable(c.Container)},
		{"environment", list(c.variables())},
		{"network", list(network)},
		{"ports", list(strings.Fields(c.ports))},
		{"hosts", list(c.Hosts)},
		{"attributes", list(c.odd())},
		{"cpus", Printable(c.cpus)},
		{"memory", Printable(c.memory)},
	} {
		if part.text != "" {
			line(part.label, "%s", part.text)
		}
	}
}
